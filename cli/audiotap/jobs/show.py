"""What a running listener shows: the meter, plain lines or JSON lines."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, TypeVar

from audiotap.jobs.mode import Output
from audiotap.jobs.output import lines, style, tell_json, tell_plain
from audiotap.jobs.page import FINISH
from audiotap.jobs.screen import Measured, Screen
from audiotap.net.tasks import wait_for
from audiotap.reports import Failed, Odd, Report
from audiotap.sinks.base import Sink
from audiotap.sinks.meter import FRAMES_PER_SECOND, Meter

T = TypeVar("T")


class Shown:
    """Where reports go, and the sinks that look on."""

    def __init__(self, mode: Output, screen: Screen | None = None) -> None:
        self.watchers: Sequence[Sink] = (screen.meter,) if screen and isinstance(screen.meter, Meter) else ()
        self._mode = mode
        self._screen = screen

    def tell(self, report: Report) -> None:
        """Show a report at once. Under JSON, warnings and errors are on stderr too, for whoever watches."""
        if self._mode is Output.JSON:
            tell_json(report)
            if isinstance(report, Odd | Failed):
                tell_plain(report)
        elif self._screen is not None:
            self._screen.log("\n".join(lines(report)), style(report))
        else:
            tell_plain(report)

    async def during(self, work: Coroutine[Any, Any, T]) -> T:
        """The work's result; the meter is redrawn while it runs."""
        over = asyncio.Event()
        working = asyncio.ensure_future(work)
        working.add_done_callback(lambda _: over.set())
        try:
            while self._screen is not None and not over.is_set():
                self._screen.refresh(asyncio.get_running_loop().time())
                await wait_for(over, 1 / FRAMES_PER_SECOND)
            return await working
        finally:
            working.cancel()
            await asyncio.gather(working, return_exceptions=True)


@contextmanager
def show(mode: Output, meter: Measured | None = None, footer: str = FINISH) -> Iterator[Shown]:
    """Show a listener in a mode while the block runs; the terminal is as it was afterwards.

    The screen shows a meter that looks on, or what is given in its place.
    """
    if mode is not Output.RICH:
        yield Shown(mode)
        return
    with Screen(meter or Meter()) as screen:
        screen.status(footer)
        yield Shown(mode, screen)
