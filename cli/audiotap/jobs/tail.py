"""The work of `audiotap tail`: a track on standard output, while it is recorded."""

from __future__ import annotations

import os
from collections.abc import AsyncGenerator
from contextlib import aclosing

import msgspec

from audiotap.errors import Exit, UsageError
from audiotap.jobs.output import talk, tell_plain
from audiotap.jobs.running import Signals, run
from audiotap.net.control.remote import Target, tailing
from audiotap.net.lanes import BatchLane
from audiotap.net.tasks import first_of, in_loop
from audiotap.reports import Report
from audiotap.session import Placed, SessionKey
from audiotap.sinks.stream import PcmStream
from audiotap.text import printable

STDOUT = 1
TRACK = "tail"
"""What the track is called here, whatever it is."""
MOST_UNREAD = 4 * 1024 * 1024
"""Bytes that wait for whoever reads our standard output."""


def tail(target: Target, track: str) -> Exit:
    """Write a track until its session's end, a signal, or until nobody reads."""
    if os.isatty(STDOUT):
        raise UsageError("standard output is a terminal", "pipe it into a player, or into a file")
    return run(_tail(target, track))


async def _tail(target: Target, track: str) -> Exit:
    signals = Signals()

    def tell(report: Report) -> None:
        tell_plain(report)
        if lane.failed:
            signals.asked.set()

    lane = BatchLane(PcmStream(STDOUT, TRACK), "standard output", in_loop(tell), MOST_UNREAD)
    try:
        await first_of(_play(_sounds(target, track), lane), signals.asked.wait())
    finally:
        await lane.close()
    return Exit.OK


async def _play(sounds: AsyncGenerator[Placed], lane: BatchLane) -> None:
    async with aclosing(sounds):
        async for placed in sounds:
            lane.put(msgspec.structs.replace(placed, track=TRACK))


def _sounds(target: Target, track: str) -> AsyncGenerator[Placed]:
    """A track of this machine's listener, or of a fleet's."""
    if target.fleet:
        from audiotap.net.fleet import remote

        return remote.tailing(target, track, _tuned)
    return tailing(target, track, _tuned)


def _tuned(session: SessionKey, track: str) -> None:
    talk(f"listening to {printable(track)} of {printable(session[1])}")
