"""The time line: turns a provider's times into positions, so that every sample has one address.

A position is the number of samples since the session's origin at the track's own rate. Positions of a track never go
back and never overlap. There is no clock here: `now` is the listener's monotonic clock, handed in.
"""

from __future__ import annotations

from datetime import datetime

import msgspec

from audiotap.audio import SAMPLE_BYTES, Chunk
from audiotap.events import MIXED, SPOKEN, Heard, Occurred
from audiotap.intake import Flaws, Intake

MAX_GAP = 600.0
"""Seconds of silence that are believed from a time stamp alone; a longer hole must have passed on our clock too."""
MAX_STEP_BACK = 10.0
"""Seconds that a time stamp may lie behind its track before it counts as another clock, not as late audio."""
MAX_TIME = 1e12
"""Seconds; a time beyond it (thirty thousand years) is none."""
WHOLE_CHUNK = 0.9
"""Of a chunk: a participant's hole of about one chunk or more is silence that was left out, not jitter."""
JITTER_MEMORY = 60.0
"""Seconds of audio over which jitter that was seen is forgotten."""
UNTIMED_TOLERANCE = 0.5
"""Seconds of jitter for chunks without a time stamp, which are placed by their arrival."""
SPOKEN_TOLERANCE = 0.05
CLOCK_SLACK = 0.25
"""Seconds by which the bot's clock may seem to move against ours before `spoken` follows it."""
SEQUENCE_WINDOW = 1000
"""How far back a sequence number still means a duplicate and not a counter that began anew."""
MAX_NAMES = 20
MAX_EARLY = 1000
"""Occurrences that wait for the first chunk."""

SessionKey = tuple[str, str]
"""(provider, the provider's id)."""


class Timing(msgspec.Struct, frozen=True):
    """What a dialect promises about its times; all in seconds.

    `tolerance` is the most jitter that is not a gap; `linger` is how long a session outlives its last connection.
    """

    tolerance: float = 0.1
    linger: float = 30.0


class Placed(msgspec.Struct, frozen=True):
    """A chunk with its address."""

    session: SessionKey
    track: str
    position: int
    chunk: Chunk

    @property
    def end(self) -> int:
        return self.position + self.chunk.samples


class Logged(msgspec.Struct, frozen=True):
    """Something that occurred, with the time line's seconds where they're known."""

    session: SessionKey
    occurred: Occurred
    seconds: float | None


class TrackCounts(msgspec.Struct):
    """What happened to a track's time; `gap_samples` is the silence that was put in."""

    chunks: int = 0
    gaps: int = 0
    gap_samples: int = 0
    late: int = 0
    jumps: int = 0
    untimed: int = 0
    duplicates: int = 0
    missing: int = 0


class TrackSummary(msgspec.Struct, frozen=True):
    """A track as it stands. `samples` is where it ends on the time line, `start` where it began."""

    track: str
    names: tuple[str, ...]
    rate: int
    start: int
    samples: int
    counts: TrackCounts
    flaws: Flaws

    @property
    def name(self) -> str | None:
        return self.names[-1] if self.names else None

    @property
    def seconds(self) -> float:
        return self.samples / self.rate


class Summary(msgspec.Struct, frozen=True):
    """A session as it stands; `ended` is set in the last one, with the `reason`.

    `connections` is how many there ever were, `open` how many there are.
    """

    session: SessionKey
    bot: str | None
    started: datetime
    ended: datetime | None
    reason: str
    connections: int
    open: int
    malformed: int
    unknown: dict[str, int]
    tracks: tuple[TrackSummary, ...]

    @property
    def seconds(self) -> float:
        return max((track.seconds for track in self.tracks), default=0.0)

    @property
    def lossy(self) -> bool:
        """Whether audio is known to be missing: unreadable messages, missing sequence numbers, holes in the mix."""
        return bool(self.malformed) or any(
            track.counts.missing or (track.track == MIXED and track.counts.gaps) for track in self.tracks
        )


class Track:
    """One continuous source on a session's time line; `notices` are for the listener to report and to clear."""

    def __init__(self, key: SessionKey, track: str, rate: int, shift: float) -> None:
        self.key = key
        self.track = track
        self.rate = rate
        self.shift = shift
        self.names: list[str] = []
        self.renamed = False
        self.counts = TrackCounts()
        self.notices: list[str] = []
        self.intake = Intake(rate, self.notices.append)
        self.start: int | None = None
        self.next = 0
        self._sequence: int | None = None

    @property
    def head(self) -> float:
        """Where the next sample goes if time runs on evenly, in seconds from the origin."""
        return self.next / self.rate

    def call(self, name: str | None) -> None:
        """Remember a display name, the newest last; `renamed` is for the listener to report and to clear."""
        if not name or (self.names and self.names[-1] == name) or len(self.names) >= MAX_NAMES:
            return
        self.names.append(name)
        self.renamed = True

    def accepts(self, sequence: int | None) -> bool:
        """Follow a track's message numbers; False for one that was there already."""
        if sequence is None:
            return True
        last, self._sequence = self._sequence, sequence
        if last is None:
            return True
        if last - SEQUENCE_WINDOW < sequence <= last:
            self._sequence = last
            self.counts.duplicates += 1
            return False
        if sequence > last:
            self.counts.missing += sequence - last - 1
        return True

    def place(self, elapsed: float, samples: int, tolerance: float) -> int:
        """The position of `samples` samples that begin `elapsed` seconds after the origin.

        Within the tolerance they follow the last ones; later leaves a gap; earlier follows too, and is counted.
        """
        if self.start is None:
            self.next = self.start = max(0, round(elapsed * self.rate))
            self.counts.late += elapsed < 0
        else:
            ahead = elapsed - self.head
            if ahead > tolerance:
                position = round(elapsed * self.rate)
                self.counts.gaps += 1
                self.counts.gap_samples += position - self.next
                self.next = position
            elif ahead < -tolerance:
                self.counts.late += 1
        position = self.next
        self.next += samples
        self.counts.chunks += 1
        return position

    def summary(self) -> TrackSummary:
        return TrackSummary(
            self.track,
            tuple(self.names),
            self.rate,
            self.start or 0,
            self.next,
            msgspec.structs.replace(self.counts),
            msgspec.structs.replace(self.intake.flaws),
        )


class Session:
    """One bot in one meeting: its tracks on one time line, over any number of connections.

    `head` is the furthest point that a heard track has reached, in seconds from the origin.
    """

    def __init__(self, key: SessionKey, timing: Timing, started: datetime, bot: str | None = None) -> None:
        self.key = key
        self.timing = timing
        self.started = started
        self.bot = bot
        self.tracks: dict[str, Track] = {}
        self.connections = 0
        self._early: list[Occurred] = []
        self._origin: float | None = None
        self._shift = 0.0
        self._arrival: float | None = None
        self._heard_at: float | None = None
        self.head = 0.0
        self._jitter = 0.0

    def place(self, heard: Heard, now: float) -> Placed | None:
        """Give a heard chunk its address; None when nothing of it is to be kept (empty, or a duplicate)."""
        self.bot = heard.bot or self.bot
        track = self.tracks.get(heard.track)
        if track is None:
            track = self.tracks[heard.track] = Track(self.key, heard.track, heard.chunk.rate, self._shift)
        track.call(heard.name)
        if not track.accepts(heard.sequence):
            return None
        held = track.intake.held
        pcm = track.intake.take(heard.chunk)
        if not pcm:
            return None
        chunk = Chunk(pcm, track.rate)
        elapsed, tolerance = self._elapsed(track, heard, held, now)
        position = track.place(elapsed, chunk.samples, tolerance)
        self._follow(position / track.rate + chunk.seconds, now)
        return Placed(self.key, heard.track, position, chunk)

    def place_spoken(self, chunk: Chunk, plays_at: float) -> Placed:
        """Give a chunk we played its address; `plays_at` is its time on our clock."""
        track = self.tracks.get(SPOKEN)
        if track is None:
            track = self.tracks[SPOKEN] = Track(self.key, SPOKEN, chunk.rate, 0.0)
        pcm = track.intake.take(chunk)
        if self._arrival is None:
            self._arrival = plays_at
        elapsed = max(0.0, plays_at - self._arrival)
        position = track.place(elapsed, len(pcm) // SAMPLE_BYTES, SPOKEN_TOLERANCE)
        return Placed(self.key, SPOKEN, position, Chunk(pcm, track.rate))

    def log(self, occurred: Occurred) -> list[Logged]:
        """Give something that occurred its place on the time line, where it told a time.

        What occurred before the line has an origin waits for it, up to a limit, and comes out of `early`.
        """
        self.bot = occurred.bot or self.bot
        if occurred.participant is not None and occurred.participant in self.tracks:
            self.tracks[occurred.participant].call(occurred.name)
        if occurred.at is not None and self._origin is None and len(self._early) < MAX_EARLY:
            self._early.append(occurred)
            return []
        return [self._logged(occurred)]

    def early(self) -> list[Logged]:
        """What occurred before there was an origin. For the time after the first chunk, or for the end."""
        waited, self._early = self._early, []
        return [self._logged(occurred) for occurred in waited]

    def finish(self) -> list[Placed]:
        """The ends of tracks that resamplers still held. Nothing may be placed after this."""
        ends = []
        for track in self.tracks.values():
            chunk = Chunk(track.intake.rest(), track.rate)
            if chunk.pcm:
                ends.append(Placed(self.key, track.track, track.place(track.head, chunk.samples, 0.0), chunk))
        return ends

    def _logged(self, occurred: Occurred) -> Logged:
        seconds = None
        if occurred.at is not None and self._origin is not None:
            seconds = occurred.at - self._origin - self._shift
        return Logged(self.key, occurred, seconds)

    def summary(
        self,
        open_connections: int = 0,
        malformed: int = 0,
        unknown: dict[str, int] | None = None,
        ended: datetime | None = None,
        reason: str = "",
    ) -> Summary:
        """The session as it stands, safe to hand to another thread; what its connections counted is handed in."""
        return Summary(
            self.key,
            self.bot,
            self.started,
            ended,
            reason,
            self.connections,
            open_connections,
            malformed,
            unknown or {},
            tuple(track.summary() for track in self.tracks.values() if track.start is not None),
        )

    def _elapsed(self, track: Track, heard: Heard, held: float, now: float) -> tuple[float, float]:
        """Seconds from the origin, and the jitter to forgive."""
        if heard.at is None or not abs(heard.at) < MAX_TIME:
            track.counts.untimed += 1
            arrived = now - self._arrival - heard.chunk.seconds - held if self._arrival is not None else 0.0
            return max(arrived, track.head), UNTIMED_TOLERANCE
        if self._origin is None:
            self._origin = heard.at - self.head
        since = heard.at - held - self._origin
        if self._is_jump(track, since - track.shift, now):
            track.shift = self._shifted(track, since, now)
        elapsed = since - track.shift
        return elapsed, self._tolerance(track, elapsed, heard.chunk.seconds)

    def _tolerance(self, track: Track, elapsed: float, seconds: float) -> float:
        """How far ahead of its track a chunk may lie without leaving a gap.

        The mix is continuous, so only the dialect's tolerance counts. Participants may leave out silence, chunk by
        chunk: the hole of one chunk counts, if it is more than twice the jitter that was seen. Jitter shows when chunks
        come early after one that seemed late.
        """
        if track.track == MIXED:
            return self.timing.tolerance
        early = track.head - elapsed
        self._jitter *= max(0.0, 1 - seconds / JITTER_MEMORY)
        if track.start is not None and self._jitter < early < MAX_STEP_BACK:
            self._jitter = min(early, self.timing.tolerance)
        return min(self.timing.tolerance, max(WHOLE_CHUNK * seconds, 2 * self._jitter))

    def _is_jump(self, track: Track, elapsed: float, now: float) -> bool:
        """Whether a time is absurd: far behind its track, or ahead by more than can have passed."""
        ahead = elapsed - self._expected(track)
        if ahead > MAX_GAP:
            passed = now - self._heard_at if self._heard_at is not None else 0.0
            return ahead > 2 * passed
        return ahead < -MAX_STEP_BACK and (track.start is not None or elapsed < -MAX_STEP_BACK)

    def _shifted(self, track: Track, since: float, now: float) -> float:
        """What to take out of a track's times after a jump: what another track's jump took, if that explains it."""
        track.counts.jumps += 1
        if track.counts.jumps == 1:
            track.notices.append("the bot's clock jumped; the recording goes on without a hole")
        if track.shift != self._shift and not self._is_jump(track, since - self._shift, now):
            return self._shift
        self._shift = since - self._expected(track)
        return self._shift

    def _expected(self, track: Track) -> float:
        """Where a track goes on, in seconds from the origin; a new one begins where the others are."""
        return self.head if track.start is None else track.head

    def _follow(self, end: float, now: float) -> None:
        """Keep the time of our clock at the origin, by which speech and untimed chunks are placed."""
        self._heard_at = now
        self.head = max(self.head, end)
        arrival = now - self.head
        if self._arrival is None or abs(arrival - self._arrival) > CLOCK_SLACK:
            self._arrival = arrival
