"""A track heard while it is recorded, on a control client's own connection.

Law: a listener costs nobody anything but itself. Whoever does not read misses samples, which are silence then.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from audiotap.errors import NobodyError
from audiotap.events import Sound, Tailing
from audiotap.net.control.sockets import Talk, say
from audiotap.net.lanes import DirectLane
from audiotap.net.live import Live
from audiotap.net.tap import Tap
from audiotap.net.tasks import first_of
from audiotap.session import Placed, SessionKey, Summary
from audiotap.sinks.base import Item

MOST_UNREAD = 1024 * 1024
"""Bytes of samples that wait for a listener who does not read."""


class Ear:
    """A sink for one track of one session, until that ends. `lost` counts chunks that nobody took in time."""

    required = False

    def __init__(self, key: SessionKey, track: str) -> None:
        self.over = False
        self.lost = 0
        self._key = key
        self._track = track
        self._unread: deque[Placed] = deque()
        self._bytes = 0
        self._some = asyncio.Event()

    def write(self, items: Sequence[Item]) -> None:
        for item in items:
            if type(item) is Placed:
                if item.track == self._track and item.session == self._key:
                    self._put(item)
            elif type(item) is Summary and item.session == self._key and item.ended is not None:
                self.close()

    def close(self) -> None:
        self.over = True
        self._some.set()

    async def next(self) -> Placed | None:
        """The next samples; None after the session's last ones."""
        while not self._unread:
            if self.over:
                return None
            self._some.clear()
            await self._some.wait()
        placed = self._unread.popleft()
        self._bytes -= len(placed.chunk.pcm)
        return placed

    def _put(self, placed: Placed) -> None:
        self._unread.append(placed)
        self._bytes += len(placed.chunk.pcm)
        while self._bytes > MOST_UNREAD:
            self.lost += 1
            self._bytes -= len(self._unread.popleft().chunk.pcm)
        self._some.set()


@contextmanager
def listening_to(tap: Tap, live: Live, track: str) -> Iterator[Ear]:
    """An ear on a track while the block runs."""
    ear = Ear(live.session.key, track)
    lane = DirectLane(ear, "a listener", lambda _: None)
    tap.admit(lane)
    try:
        yield ear
    finally:
        tap.dismiss(lane)


def track_of(live: Live, wanted: str) -> str:
    """The track that an id or a display name means; NobodyError names those that there are."""
    tracks = live.session.tracks
    if wanted in tracks:
        return wanted
    named = [track for track in tracks if wanted in tracks[track].names]
    if not named:
        there = ", ".join(tracks) or "none yet"
        raise NobodyError(f"this bot has no track {wanted!r}", f"there are: {there}; or add --wait SECONDS")
    return named[-1]


async def air(tap: Tap, live: Live, wanted: str, connection: Talk) -> None:
    """Let a client hear a track until it goes away, or the session ends."""
    track = track_of(live, wanted)
    await say(connection, Tailing(track))
    with listening_to(tap, live, track) as ear:
        await first_of(_send(ear, connection), connection.wait_closed())


async def _send(ear: Ear, connection: Talk) -> None:
    while (placed := await ear.next()) is not None:
        await say(connection, Sound(placed.position, placed.chunk))
