"""A capture recorded once more, without a network: the same tap and the same recorder, on the captured clock.

Whatever a session is made of is in its capture, so it becomes what it was, byte by byte, as fast as the disk allows.
"""

from __future__ import annotations

import asyncio
import heapq
import socket
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from itertools import count
from pathlib import Path
from typing import Any

from audiotap.audio import Chunk
from audiotap.capture import Capture, CaptureError, Ended, Hello, Left, Moment, Named, Noted, Opened, Spoke, Took
from audiotap.events import Asked
from audiotap.net.door.limits import Limits
from audiotap.net.live import Link, Live
from audiotap.net.port import Carried
from audiotap.net.tap import Tap, Tell
from audiotap.session import Placed
from audiotap.sinks.base import Item
from audiotap.sinks.recording import Policy, Recorder

CUT_OFF = "the capture ends here"
BATCH = 4 * 1024 * 1024
"""Bytes of audio that gather before they are written."""


async def rerecord(capture: Capture, out: Path, tell: Tell) -> bool:
    """Record a capture's sessions in a folder; whether nothing is missing in them.

    CaptureError where the file is damaged; what came before is recorded and complete.
    """
    hello = capture.hello
    clock = CapturedClock(hello)
    limits = Limits(
        sessions=hello.max_sessions,
        per_connection=hello.max_per_connection,
        tracks=hello.max_tracks,
        files=hello.max_files,
    )
    tap = Tap(tell, hello.linger, limits=limits, clock=clock)
    tap.wall = clock.wall
    recorder = Recorder(Policy(out, hello.format), tell)
    lane = StraightLane(recorder)
    tap.start([lane], telling=False)
    again = _Again(tap)
    reason = CUT_OFF
    try:
        for moment in capture:
            clock.go_to(moment.t)
            if isinstance(moment, Opened):
                clock.set_wall(moment.wall)
            if isinstance(moment, Ended):
                reason = moment.reason
            again.happens(moment)
            if not lane.calm:
                lane.write()
                await asyncio.sleep(0)
    except RecursionError as error:
        raise CaptureError(f"{capture.path} holds something too deep to be written", "") from error
    finally:
        await tap.close(reason)
    return not (tap.lossy or recorder.failed)


class CapturedClock:
    """The clock of a capture: it goes from moment to moment, and what is due on the way is done at its own time."""

    def __init__(self, hello: Hello) -> None:
        self._now = hello.t
        self._order = count()
        self._due: list[tuple[float, int, _Timer]] = []
        self.set_wall(hello.wall)

    def time(self) -> float:
        return self._now

    def wall(self) -> datetime:
        """The time of day, by what was last told of it."""
        return self._wall + timedelta(seconds=self._now - self._wall_at)

    def set_wall(self, wall: datetime) -> None:
        self._wall, self._wall_at = wall, self._now

    def call_later(self, delay: float, callback: Callable[..., object], /, *args: Any) -> _Timer:
        timer = _Timer(callback, args)
        heapq.heappush(self._due, (self._now + delay, next(self._order), timer))
        return timer

    def go_to(self, now: float) -> None:
        """Let the time pass up to a moment."""
        while self._due and self._due[0][0] <= now:
            self._now, _, timer = heapq.heappop(self._due)
            timer.run()
        self._now = now


class _Timer:
    """What is due at some time, unless it is cancelled."""

    def __init__(self, callback: Callable[..., object], args: tuple[Any, ...]) -> None:
        self._callback, self._args = callback, args
        self._wanted = True

    def cancel(self) -> None:
        self._wanted = False

    def run(self) -> None:
        if self._wanted:
            self._callback(*self._args)


class _Again:
    """Has what was captured happen to a tap."""

    def __init__(self, tap: Tap) -> None:
        self._tap = tap
        self._links: dict[int, Link] = {}

    def happens(self, moment: Moment) -> None:
        match moment:
            case Opened():
                self._links[moment.connection] = self._tap.connect(Deaf(moment.asked))
            case Took():
                self._links[moment.connection].take(moment.wires)
            case Left():
                self._links.pop(moment.connection).leave(lost=moment.lost)
            case Spoke() | Named() | Noted():
                live = self._tap.sessions.get((moment.provider, moment.session))
                if live is not None:
                    self._concerns(live, moment)

    def _concerns(self, live: Live, moment: Spoke | Named | Noted) -> None:
        match moment:
            case Spoke():
                self._tap.place_spoken(live, Chunk(moment.data, moment.rate), moment.plays_at)
            case Named():
                self._tap.name(live, moment.names)
            case Noted():
                self._tap.note(live, moment.event, moment.data)


class Deaf:
    """A connection to which nothing can be said."""

    def __init__(self, asked: Asked) -> None:
        self.asked = asked

    async def send(self, _wire: str | bytes) -> bool:
        return False

    def let_go(self, _untaken: Sequence[str | bytes]) -> tuple[socket.socket, Carried]:
        raise NotImplementedError


class StraightLane:
    """The lane to a recorder for which everybody waits."""

    ready = True

    def __init__(self, recorder: Recorder) -> None:
        self._recorder = recorder
        self._items: list[Item] = []
        self._bytes = 0

    @property
    def calm(self) -> bool:
        return self._bytes < BATCH

    def put(self, item: Item) -> None:
        self._items.append(item)
        self._bytes += len(item.chunk.pcm) if isinstance(item, Placed) else 0

    def write(self) -> None:
        """Write what has gathered."""
        items, self._items, self._bytes = self._items, [], 0
        if items:
            self._recorder.write(items)

    async def close(self) -> None:
        self.write()
        self._recorder.close()
