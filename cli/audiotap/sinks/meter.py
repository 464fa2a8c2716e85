"""The level meter's state: how loud every track is now. It draws nothing and knows no clock.

Law: a chunk costs an append; samples are looked at once per redraw, and only what came since the last one.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Sequence

import msgspec

from audiotap.audio import SAMPLE_BYTES, SILENCE_DB, Level
from audiotap.session import Placed, SessionKey, Summary
from audiotap.sinks.base import Item
from audiotap.track import TrackSummary

FRAMES_PER_SECOND = 12
"""How often whoever shows a meter looks at it."""
FLOOR = -60.0
"""Where a bar begins, in dBFS; it ends at 0."""
INTEGRATION = 0.3
"""Seconds after which a steady tone shows 99 % of its power; one that stops has then fallen by 20 dB."""
HOLD = 1.5
"""Seconds for which a peak stands still."""
FALL = 20 / 1.7
"""Decibels per second by which a peak comes down after that."""
KEPT = 0.5
"""Seconds of a track that wait for the next measurement; what is older is not measured."""
STALE = 1.0
"""Seconds without a sample after which a track has no data, which is not the same as silence."""

_TAU = INTEGRATION / math.log(100)


class MeterRow(msgspec.Struct, frozen=True):
    """One track as the meter shows it.

    `rms` and `peak` are in dBFS (digital silence is -120), `clips` counts the samples at full scale so far,
    `live` is False where nothing arrives, `seconds` is where the track ends on the time line.
    """

    session: SessionKey
    track: str
    name: str | None
    rms: float
    peak: float
    clips: int
    live: bool
    seconds: float
    gaps: int
    rate: int


class MeterSession(msgspec.Struct, frozen=True):
    """One session as the meter shows it, with its tracks in the order in which they began."""

    session: SessionKey
    bot: str | None
    seconds: float
    connections: int
    malformed: int
    tracks: tuple[MeterRow, ...]


class Levels(msgspec.Struct, frozen=True, tag="levels", tag_field="event"):
    """What a meter shows, newest session first."""

    sessions: tuple[MeterSession, ...]


class Ballistics:
    """How a level moves: power integrated over 300 ms, and a peak that is held and then falls."""

    def __init__(self) -> None:
        self._power = 0.0
        self._peak = SILENCE_DB
        self._peaked = -math.inf

    def feed(self, level: Level, seconds: float, now: float) -> None:
        """Take the level of the last `seconds` of audio."""
        self.settle(level.rms, seconds)
        if level.peak >= self.peak(now):
            self._peak, self._peaked = level.peak, now

    def settle(self, rms: float, seconds: float) -> None:
        """Move towards an RMS level (dBFS) that has stood for `seconds`."""
        power = 10 ** (rms / 10)
        self._power += (power - self._power) * -math.expm1(-seconds / _TAU)

    @property
    def rms(self) -> float:
        """The integrated level in dBFS."""
        return max(SILENCE_DB, 10 * math.log10(self._power)) if self._power > 0 else SILENCE_DB

    def peak(self, now: float) -> float:
        """The held or falling peak in dBFS."""
        falling = now - self._peaked - HOLD
        return self._peak if falling <= 0 else max(SILENCE_DB, self._peak - FALL * falling)


class Meter:
    """A sink that only remembers; it is written and read by the same thread."""

    required = False

    def __init__(self) -> None:
        self._sessions: dict[SessionKey, _MeteredSession] = {}

    def write(self, items: Sequence[Item]) -> None:
        """Take placed chunks and how sessions stand; a session leaves with its last summary."""
        for item in items:
            if isinstance(item, Placed):
                self._session(item.session).take(item)
            elif isinstance(item, Summary):
                self._stand(item)

    def measure(self, now: float) -> list[MeterSession]:
        """Measure what came since the last call, at `now` in monotonic seconds; newest session first."""
        return [session.measure(now) for session in reversed(self._sessions.values())]

    def close(self) -> None:
        """Forget everything; there is nothing to finish."""
        self._sessions.clear()

    def _session(self, key: SessionKey) -> _MeteredSession:
        session = self._sessions.get(key)
        if session is None:
            session = self._sessions[key] = _MeteredSession(key)
        return session

    def _stand(self, summary: Summary) -> None:
        if summary.ended is None:
            self._session(summary.session).stand(summary)
        else:
            self._sessions.pop(summary.session, None)


class _MeteredSession:
    def __init__(self, key: SessionKey) -> None:
        self.key = key
        self.bot: str | None = None
        self.connections = 0
        self.malformed = 0
        self.tracks: dict[str, _MeteredTrack] = {}

    def take(self, placed: Placed) -> None:
        track = self.tracks.get(placed.track)
        if track is None:
            track = self.tracks[placed.track] = _MeteredTrack(placed.chunk.rate)
        track.take(placed)

    def stand(self, summary: Summary) -> None:
        self.bot, self.connections, self.malformed = summary.bot, summary.open, summary.malformed
        for told in summary.tracks:
            if told.track not in self.tracks:
                self.tracks[told.track] = _MeteredTrack(told.rate)
            self.tracks[told.track].stand(told)

    def measure(self, now: float) -> MeterSession:
        rows = tuple(track.measure(self.key, name, now) for name, track in self.tracks.items())
        seconds = max((row.seconds for row in rows), default=0.0)
        return MeterSession(self.key, self.bot, seconds, self.connections, self.malformed, rows)


class _MeteredTrack:
    def __init__(self, rate: int) -> None:
        self.rate = rate
        self.name: str | None = None
        self.gaps = 0
        self.end = 0
        self.clips = 0
        self._kept = int(KEPT * rate) * SAMPLE_BYTES
        self._pending: deque[bytes] = deque()
        self._size = 0
        self._ballistics = Ballistics()
        self._arrived = -math.inf
        self._measured = -math.inf

    def take(self, placed: Placed) -> None:
        pcm = placed.chunk.pcm
        self.end = placed.position + len(pcm) // SAMPLE_BYTES
        self._pending.append(pcm)
        self._size += len(pcm)
        while self._size - len(self._pending[0]) >= self._kept:
            self._size -= len(self._pending.popleft())

    def stand(self, told: TrackSummary) -> None:
        self.name, self.gaps = told.name, told.counts.gaps
        self.end = max(self.end, told.samples)

    def measure(self, session: SessionKey, track: str, now: float) -> MeterRow:
        if self._size:
            self._hear(now)
        else:
            self._wait(now)
        self._measured = now
        return MeterRow(
            session,
            track,
            self.name,
            self._ballistics.rms,
            self._ballistics.peak(now),
            self.clips,
            now - self._arrived <= STALE,
            self.end / self.rate,
            self.gaps,
            self.rate,
        )

    def _hear(self, now: float) -> None:
        level = Level.of(b"".join(self._pending))
        self._ballistics.feed(level, self._size / SAMPLE_BYTES / self.rate, now)
        self.clips += level.clipped
        self._arrived = now
        self._pending.clear()
        self._size = 0

    def _wait(self, now: float) -> None:
        """Between two chunks the level stands; only when the next one is overdue it comes down."""
        overdue = now - max(self._measured, self._arrived + INTEGRATION)
        if 0 < overdue < math.inf:
            self._ballistics.settle(SILENCE_DB, overdue)
