"""A conversation's recording: one session whose tracks lie on our own clock, handed to the sinks."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from audiotap.audio import Chunk
from audiotap.events import Occurred
from audiotap.net.lanes import Lane
from audiotap.session import Logged, Session, SessionKey, Timing
from audiotap.sinks.base import Item

TELL_SECONDS = 5.0
"""How often the sinks are told how the session stands."""


class Tape:
    """One session, from now on. All methods belong to the event loop's thread."""

    def __init__(self, key: SessionKey, lanes: Sequence[Lane]) -> None:
        self.malformed = 0
        self.connections = 1
        self._loop = asyncio.get_running_loop()
        self._zero = self._told = self._loop.time()
        self._session = Session(key, Timing(), datetime.now(UTC))
        self._session.begin(self._zero)
        self._lanes = lanes
        self._tracks: set[str] = set()
        self._session.connections = self.connections
        self._put(self._session.summary())

    @property
    def seconds(self) -> float:
        """Where the time line is."""
        return self._loop.time() - self._zero

    def at(self, now: float) -> float:
        """Seconds on the time line at a time on the loop's clock."""
        return now - self._zero

    def play(self, track: str, chunk: Chunk, plays_at: float) -> None:
        """Record a chunk of a track that is heard at a time on the loop's clock."""
        for placed in self._session.place_played(track, chunk, plays_at):
            if track not in self._tracks or self._loop.time() - self._told > TELL_SECONDS:
                self._tracks.add(track)
                self._told = self._loop.time()
                self._put(self._session.summary(malformed=self.malformed))
            self._put(placed)

    def note(self, kind: str, data: dict[str, Any]) -> None:
        """Keep something that occurred now in the event log."""
        provider, session = self._session.key
        self._put(Logged((provider, session), Occurred(session, kind, data), self.seconds))

    async def close(self, reason: str) -> None:
        """Finish the files; returns when they are complete."""
        self._session.connections = self.connections
        for placed in self._session.finish():
            self._put(placed)
        ended = self._session.started + timedelta(seconds=self.seconds)
        self._put(self._session.summary(malformed=self.malformed, ended=ended, reason=reason))
        for lane in self._lanes:
            await lane.close()

    def _put(self, item: Item) -> None:
        for lane in self._lanes:
            lane.put(item)
