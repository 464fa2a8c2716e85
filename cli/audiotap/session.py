"""The time line: turns a provider's times into positions, so that every sample has one address.

A position is the number of samples since the session's origin at the track's own rate. Positions of a track never go
back and never overlap. There is no clock here: `now` is the listener's monotonic clock, handed in.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple

import msgspec

from audiotap.audio import SAMPLE_BYTES, Chunk
from audiotap.events import MIXED, SPOKEN, Heard, Occurred
from audiotap.order import InOrder
from audiotap.track import HALF_CHUNK, MOST_JITTER, ROUNDING, WHOLE_CHUNK, Jitter, Laid, Piece, Track, TrackSummary

MAX_GAP = 600.0
"""Seconds of silence that are believed from a time stamp alone; a longer hole must have passed on our clock too.

All holes together are believed up to this and twice what passed on our clock, or what was heard if that is more: a
call that is played faster than it was spoken may be as silent as any other."""
MAX_STEP_BACK = 10.0
"""Seconds that a time stamp may lie behind its track before it counts as another clock, not as late audio."""
MAX_TIME = 1e12
"""Seconds; a time beyond it (thirty thousand years) is none."""
UNTIMED_TOLERANCE = 0.5
"""Seconds of jitter for chunks without a time stamp, which are placed by their arrival."""
SPOKEN_TOLERANCE = 0.05
EXACT = Jitter(0.0, 0.0)
AT_ONCE = -math.inf
"""As the arrival of a piece whose time is certain, so that nothing has to be waited for."""
CLOCK_SLACK = 0.25
"""Seconds by which the bot's clock may seem to move against ours before `spoken` follows it."""
MAX_EARLY = 1000
"""Occurrences that wait for the first chunk."""
MAX_EARLY_SIZE = 4096
"""Bytes of one that waits, as JSON; somebody who joins has some hundred."""

OTHER_KINDS = "others"
"""Unknown messages of kinds that are too many to be named."""

SessionKey = tuple[str, str]
"""(provider, the provider's id)."""


class Timing(msgspec.Struct, frozen=True):
    """What a dialect promises about its times; all in seconds.

    `tolerance` is the most jitter that is not a gap. A session outlives its last connection by `linger` when the bot
    closed it, and by `retries` when it was lost: so long the bot tries to come back. Where chunks bear no time, a
    `steady` bot leaves out none of them: each follows the one before, however late it is, and only another connection
    leaves a hole.
    """

    tolerance: float = 0.1
    linger: float = 30.0
    retries: float = 330.0
    steady: bool = False


class TimeLine(msgspec.Struct, frozen=True):
    """What another recorder knows of a session's line, so that both give every sample the same address.

    `origin` and `shift` are as in a `Summary` and its tracks; `seconds` is how far the line had got at `touched`.
    """

    node: str
    started: datetime
    origin: float | None
    shift: float
    seconds: float
    touched: datetime


class Placed(msgspec.Struct, frozen=True, gc=False):
    """A chunk with its address."""

    session: SessionKey
    track: str
    position: int
    chunk: Chunk

    @property
    def end(self) -> int:
        return self.position + self.chunk.samples


class Flow(NamedTuple):
    """So many chunks in a row, placed as one."""

    placed: Placed
    chunks: int


class Logged(msgspec.Struct, frozen=True):
    """Something that occurred, with the time line's seconds where they're known."""

    session: SessionKey
    occurred: Occurred
    seconds: float | None


class Summary(msgspec.Struct, frozen=True):
    """A session as it stands; `ended` is set in the last one, with the `reason`.

    `connections` is how many there ever were, `open` how many there are, `restarts` how often a recorder that died was
    followed by another one. `origin` is the time zero on the bot's own clock, in seconds; None while no stamp told it.
    `refused` counts chunks of tracks that were too many. `continued_from` is the node that had the session before.
    """

    session: SessionKey
    bot: str | None
    started: datetime
    ended: datetime | None
    reason: str
    origin: float | None
    restarts: int
    connections: int
    open: int
    malformed: int
    unknown: dict[str, int]
    tracks: tuple[TrackSummary, ...]
    refused: int = 0
    continued_from: str = ""

    @property
    def seconds(self) -> float:
        return max((track.seconds for track in self.tracks), default=0.0)

    @property
    def lossy(self) -> bool:
        """Whether audio is known to be missing: messages unread or refused, missing numbers, holes in the mix."""
        return bool(self.malformed or self.restarts or self.refused) or any(
            track.counts.missing or (track.track == MIXED and track.counts.gaps) for track in self.tracks
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
        self.restarts = 0
        self.refused = 0
        self.continued_from = ""
        self.head = 0.0
        self._names: dict[str, str] = {}
        self._early: list[Occurred] = []
        self._origin: float | None = None
        self._shift = 0.0
        self._began: float | None = None
        self._arrival: float | None = None
        self._heard_at: float | None = None

    @classmethod
    def resumed(cls, before: Summary, timing: Timing, zero: float, heard_at: float) -> Session:
        """Go on with a session whose recorder died: `before` is how it stood.

        `zero` is when its line began and `heard_at` when it last heard something, on our clock of today.
        """
        session = cls(before.session, timing, before.started, before.bot)
        session.tracks = {track.track: Track.resumed(before.session, track) for track in before.tracks}
        session.connections = before.connections
        session.restarts = before.restarts + 1
        session.refused = before.refused
        session.continued_from = before.continued_from
        session.head = max((track.seconds for track in before.tracks if track.track != SPOKEN), default=0.0)
        session._origin = before.origin
        session._shift = before.tracks[0].shift if before.tracks else 0.0
        session._arrival = zero if before.tracks else None
        session._began = zero
        session._heard_at = heard_at
        return session

    @classmethod
    def continued(
        cls, key: SessionKey, timing: Timing, line: TimeLine, bot: str | None, zero: float, heard_at: float
    ) -> Session:
        """Go on with a session that another node had; `zero` and `heard_at` are as for `resumed`."""
        session = cls(key, timing, line.started, bot)
        session.continued_from = line.node
        session.head = line.seconds
        session._origin, session._shift = line.origin, line.shift
        session._arrival = session._began = zero
        session._heard_at = heard_at
        return session

    @property
    def waits(self) -> bool:
        """Whether something has no place yet, so that `release` is due after `track.PATIENCE`."""
        return any(track.waits for track in self.tracks.values())

    def place(self, run: Sequence[Heard], now: float) -> list[Placed]:
        """Take chunks of one track, and give what has an address now, joined where that is possible.

        A hole, or a missing number, is waited for a little.
        """
        placed: list[Placed] = []
        at = 0
        while at < len(run):
            flow = self._flow(run, at, now)
            if flow is None:
                placed += self._place_with_care(run[at], now)
                at += 1
            else:
                at += flow.chunks
                placed.append(flow.placed)
        return placed

    def _flow(self, run: Sequence[Heard], at: int, now: float) -> Flow | None:
        """The chunks from `at` on that are what tracks are made of, on time beyond doubt, as one; None if none is."""
        track = self.tracks.get(run[at].track)
        if track is None or self._origin is None:
            return None
        position = track.next
        pcm = track.flow(run[at:] if at else run, self._origin + track.shift, self._floor(track))
        if not pcm:
            return None
        chunk = run[at].chunk if len(pcm) == 1 else Chunk(b"".join(pcm), track.rate)
        track.inspection.take(chunk.pcm)
        self._follow(track.next / track.rate, now)
        return Flow(Placed(self.key, track.track, position, chunk), len(pcm))

    def _place_with_care(self, heard: Heard, now: float) -> list[Placed]:
        """Whatever is not the even flow of a track."""
        self.bot = heard.bot or self.bot
        track = self.tracks.get(heard.track)
        if track is None:
            track = self.tracks[heard.track] = Track(self.key, heard.track, heard.chunk.rate, self._shift)
            track.call(self._names.get(heard.track))
        track.call(heard.name)
        placed: list[Placed] = []
        for message in track.order.take(heard.sequence, heard, now):
            placed += self._place(track, message, now)
        return placed

    def name(self, track: str, name: str) -> None:
        """A participant's name was learnt apart from their audio, maybe before it."""
        if self._names.get(track) == name:
            return
        self._names[track] = name
        if track in self.tracks:
            self.tracks[track].call(name)

    def rejoin(self, track: str) -> None:
        """A track comes over another connection now, so its next chunk may well leave a hole, however small."""
        self.tracks[track].rejoined = True

    def release(self, now: float, *, everything: bool = False) -> list[Placed]:
        """What waited long enough for those before it."""
        placed: list[Placed] = []
        for track in self.tracks.values():
            for message in track.order.release(now, everything=everything):
                placed += self._place(track, message, now)
            placed += self._placed(track, track.release(self._jitter(track), now, everything=everything), now)
        return placed

    def begin(self, now: float) -> None:
        """The line's zero is now on our clock, whoever speaks first."""
        self._arrival = now

    def elapsed(self, now: float) -> float | None:
        """Seconds on the line at a time on our clock; None before anything lies on it."""
        return now - self._arrival if self._arrival is not None else None

    def place_spoken(self, chunk: Chunk, plays_at: float) -> list[Placed]:
        """Give a chunk we played its address; `plays_at` is its time on our clock."""
        return self.place_played(SPOKEN, chunk, plays_at)

    def place_played(self, name: str, chunk: Chunk, plays_at: float) -> list[Placed]:
        """Give a chunk of a track whose times are our own clock's its address."""
        track = self.tracks.get(name)
        if track is None:
            track = self.tracks[name] = Track(self.key, name, chunk.rate, 0.0)
        if self._arrival is None:
            self._arrival = plays_at
        elapsed = max(0.0, plays_at - self._arrival)
        piece = Piece(track.intake.take(chunk), elapsed, AT_ONCE, SPOKEN_TOLERANCE, SPOKEN_TOLERANCE)
        return self._addressed(track, track.place(piece, EXACT, plays_at))

    def log(self, occurred: Occurred) -> list[Logged]:
        """Give something that occurred its place on the time line, where it told a time.

        What occurred before the line has an origin waits for it, up to some limits, and comes out of `early`.
        """
        self.bot = occurred.bot or self.bot
        if occurred.participant is not None and occurred.participant in self.tracks:
            self.tracks[occurred.participant].call(occurred.name)
        early = occurred.at is not None and self._origin is None
        if early and len(self._early) < MAX_EARLY and _size(occurred) <= MAX_EARLY_SIZE:
            self._early.append(occurred)
            return []
        return [self._logged(occurred)]

    def early(self) -> list[Logged]:
        """What occurred before there was an origin. For the time after the first chunk, or for the end."""
        waited, self._early = self._early, []
        return [self._logged(occurred) for occurred in waited]

    def finish(self) -> list[Placed]:
        """What still waited, and the ends that resamplers held. Nothing may be placed after this."""
        now = self._heard_at or 0.0
        ends = self.release(now, everything=True)
        for track in self.tracks.values():
            rest = track.intake.rest()
            if rest:
                piece = Piece(rest, track.head, AT_ONCE, math.inf, math.inf)
                ends += self._addressed(track, track.place(piece, EXACT, now))
            track.inspection.finish()
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
            self._origin,
            self.restarts,
            self.connections,
            open_connections,
            malformed,
            unknown or {},
            tuple(track.summary() for track in self.tracks.values() if track.start is not None),
            self.refused,
            self.continued_from,
        )

    def _jitter(self, track: Track) -> Jitter:
        """How the stamps of a track lie above the line: the mix tells, since it is continuous.

        Without one, the line goes through the middle of what was seen.
        """
        mix = self.tracks.get(MIXED, track).envelope
        most = MOST_JITTER * self.timing.tolerance
        spread = min(max(track.envelope.spread, mix.spread), most)
        return Jitter(self._floor(track), spread)

    def _floor(self, track: Track) -> float:
        mix = self.tracks.get(MIXED)
        if mix is not None:
            return mix.envelope.floor or 0.0
        return -min(track.envelope.spread, MOST_JITTER * self.timing.tolerance) / 2

    def _place(self, track: Track, message: InOrder[Heard], now: float) -> list[Placed]:
        if self._began is None:
            self._began = now
        heard = message.message
        held = track.intake.held
        pcm = track.intake.take(heard.chunk)
        if not pcm:
            return []
        jitter = self._jitter(track)
        skipped = message.missing * heard.chunk.seconds
        if heard.at is not None and abs(heard.at) < MAX_TIME:
            elapsed = self._elapsed(track, heard.at - held, now)
            tolerance, least = self._tolerance(track, heard.chunk.seconds, jitter.spread)
            piece = Piece(track.slip(pcm), elapsed, now, tolerance, least, skipped)
        else:
            piece = self._untimed(track, pcm, now - held)
        return self._placed(track, track.place(piece, jitter, now), now)

    def _placed(self, track: Track, laid: list[Laid], now: float) -> list[Placed]:
        """Addresses of heard samples, by which the session's head moves on."""
        placed = self._addressed(track, laid)
        if placed:
            self._follow(placed[-1].end / track.rate, now)
        return placed

    def _addressed(self, track: Track, laid: list[Laid]) -> list[Placed]:
        return [Placed(self.key, track.track, position, Chunk(pcm, track.rate)) for position, pcm in laid]

    def _untimed(self, track: Track, pcm: bytes, arrived: float) -> Piece:
        """Samples without a usable time lie where they arrived, evenly."""
        track.counts.untimed += 1
        steady, track.rejoined = self.timing.steady and not track.rejoined, False
        if steady and track.start is not None:
            return Piece(pcm, track.expected, AT_ONCE, UNTIMED_TOLERANCE, UNTIMED_TOLERANCE)
        seconds = len(pcm) / SAMPLE_BYTES / track.rate
        elapsed = arrived - self._arrival - seconds if self._arrival is not None else 0.0
        return Piece(pcm, max(elapsed, track.expected), AT_ONCE, UNTIMED_TOLERANCE, UNTIMED_TOLERANCE)

    def _elapsed(self, track: Track, at: float, now: float) -> float:
        """Seconds from the origin, on a clock that does not jump."""
        if self._origin is None:
            self._origin = at - self.head
        since = at - self._origin
        if self._is_jump(track, since - track.shift, now):
            track.shift = self._shifted(track, since, now)
        return since - track.shift

    def _tolerance(self, track: Track, seconds: float, spread: float) -> tuple[float, float]:
        """How far ahead of its track a chunk may lie without leaving a hole, and the smallest hole there is.

        The mix is continuous, so the dialect's tolerance counts. Participants may leave out silence, chunk by chunk,
        and a connection may have lost one: the hole of one chunk counts. Jitter that was seen is forgiven on both.
        """
        jitter, most = spread + ROUNDING, self.timing.tolerance
        steady, track.rejoined = track.track == MIXED and not track.rejoined, False
        if steady:
            return max(most, jitter), most
        return max(min(WHOLE_CHUNK * seconds, most), jitter), min(HALF_CHUNK * seconds, most)

    def _is_jump(self, track: Track, elapsed: float, now: float) -> bool:
        """Whether a time is absurd: far behind its track, or ahead by more than can have passed."""
        ahead = elapsed - self._expected(track)
        if ahead > MAX_GAP:
            passed = now - self._heard_at if self._heard_at is not None else 0.0
            return ahead > 2 * passed
        if ahead > self.timing.tolerance and elapsed > MAX_GAP:
            passed = now - self._began if self._began is not None else 0.0
            heard = max(track.heard for track in self.tracks.values())
            return elapsed > MAX_GAP + 3 * max(passed, heard)
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
        """The stamp with which a track goes on, in seconds from the origin; a new one begins where the others are."""
        return self.head if track.start is None and not track.waits else track.expected

    def _follow(self, end: float, now: float) -> None:
        """Keep the time of our clock at the origin, by which speech and untimed chunks are placed."""
        self._heard_at = now
        self.head = max(self.head, end)
        arrival = now - self.head
        if self._arrival is None or abs(arrival - self._arrival) > CLOCK_SLACK:
            self._arrival = arrival


def _size(occurred: Occurred) -> float:
    """Bytes of what is told, as JSON; infinite where it is too deep to be written from here."""
    try:
        return len(msgspec.json.encode(occurred.data))
    except RecursionError:
        return math.inf
