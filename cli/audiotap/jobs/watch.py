"""The work of `audiotap watch`: a listener's meter and reports, in another terminal."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from contextlib import aclosing

import msgspec

from audiotap.errors import Exit
from audiotap.jobs.mode import Output
from audiotap.jobs.output import talk, write
from audiotap.jobs.running import Signals, run
from audiotap.jobs.show import Shown, show
from audiotap.net.control.remote import Target, watching
from audiotap.net.tasks import first_of
from audiotap.sinks.meter import Levels, MeterSession

DETACH = "Ctrl-C to detach"


class Mirror:
    """What another process's meter showed last."""

    def __init__(self) -> None:
        self.sessions: Sequence[MeterSession] = ()

    def measure(self, _now: float) -> list[MeterSession]:
        """All sessions, newest first."""
        return list(self.sessions)


def watch(target: Target, mode: Output, *, levels: bool) -> Exit:
    """Watch until a signal, or the listener's end. With `levels` they are JSON lines, too."""
    return run(_watch(target, mode, levels=levels))


async def _watch(target: Target, mode: Output, *, levels: bool) -> Exit:
    signals = Signals()
    mirror = Mirror()
    with show(mode, mirror, DETACH) as shown:
        following = _follow(target, mirror, shown, levels=levels)
        await shown.during(first_of(following, signals.asked.wait()))
    if not signals.asked.is_set() and mode is not Output.JSON:
        talk("the listener ended")
    return Exit.OK


async def _follow(target: Target, mirror: Mirror, shown: Shown, *, levels: bool) -> None:
    async with aclosing(watching(target)) as news:
        async for new in news:
            if not isinstance(new, Levels):
                shown.tell(new)
                continue
            mirror.sessions = new.sessions
            if levels:
                write(sys.stdout, msgspec.json.encode(new).decode() + "\n")
