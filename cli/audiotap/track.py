"""One track on the time line: where each run of samples lies, whatever its time stamps say.

The law it rests on: a stamp may come late, never early. So the least of (stamp minus place) over the last seconds is
the truth, what lies above it is jitter, and a hole is one only if no chunk that follows it shows otherwise.
There is no clock here: `now` is the listener's monotonic clock, handed in.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Sequence
from typing import NamedTuple

import msgspec

from audiotap.audio import SAMPLE_BYTES, slip
from audiotap.events import MIXED, Heard
from audiotap.inspection import Findings, Inspection
from audiotap.intake import Flaws, Intake, is_bare
from audiotap.order import Order

PATIENCE = 0.1
"""Seconds of arrival for which a hole waits, that a burst may still fill; but longer than a chunk, to see another."""
MORE_THAN_A_CHUNK = 1.5
WINDOW = 10.0
"""Seconds of a track's audio over which its stamps' floor and spread are taken (one to two of these)."""
ROUNDING = 0.002
"""Seconds that stamps in whole milliseconds may be beside the truth."""
WHOLE_CHUNK, HALF_CHUNK = 0.9, 0.5
"""Of a chunk: a participant's stamp that is ahead by about one or more is looked at, and what proves to be nearer to a
chunk than to nothing is silence that was left out."""
MOST_JITTER = 1.5
"""Times the dialect's tolerance: jitter beyond it is no excuse for a hole."""
ON_TIME = 0.04
"""Seconds by which a chunk may be off that needs no second look; of a participant half a chunk, if that is less."""
STEP = 0.5
"""Seconds; a floor that moves by more at once is a clock that was set, not one that drifts."""
DRIFT_BEGIN, DRIFT_END = 0.02, 0.005
"""Seconds of drift at which samples begin to slip, and at which they stop again."""
SLIP_SAMPLES = 400
"""Samples from one slip to the next: clocks that differ by up to 0.25 % are followed."""
MAX_NAMES = 20
MAX_NAME = 256
"""Characters of a display name that are kept."""


class TrackCounts(msgspec.Struct):
    """What happened to a track's time; `gap_samples` is the silence that was put in."""

    chunks: int = 0
    gaps: int = 0
    gap_samples: int = 0
    late: int = 0
    jumps: int = 0
    untimed: int = 0
    slipped_in: int = 0
    slipped_out: int = 0
    duplicates: int = 0
    reordered: int = 0
    missing: int = 0
    superseded: int = 0


class TrackSummary(msgspec.Struct, frozen=True):
    """A track as it stands. `samples` is where it ends on the time line, `start` where it began.

    `shift` is what jumps of the bot's clock took out of its stamps, in seconds.
    """

    track: str
    names: tuple[str, ...]
    rate: int
    start: int
    samples: int
    shift: float
    counts: TrackCounts
    flaws: Flaws
    findings: Findings

    @property
    def name(self) -> str | None:
        return self.names[-1] if self.names else None

    @property
    def seconds(self) -> float:
        return self.samples / self.rate


class Piece(msgspec.Struct, frozen=True, gc=False):
    """Whole samples that want a place: stamped `elapsed` seconds after the origin, arrived at `arrived`.

    `tolerance` is how far ahead of its track it may lie without a hole, and `least` the smallest hole there is;
    `skipped` is the length of what is known to be missing before it. All in seconds.
    """

    pcm: bytes
    elapsed: float
    arrived: float
    tolerance: float
    least: float
    skipped: float = 0.0

    @property
    def samples(self) -> int:
        return len(self.pcm) // SAMPLE_BYTES


class Jitter(NamedTuple):
    """By how much stamps lie above the time line at least, and the width over which they spread; in seconds."""

    floor: float
    spread: float


class Waiting(NamedTuple):
    """A piece without a place: `reach` is its stamp less the samples that were taken before it, in seconds."""

    piece: Piece
    reach: float


class Laid(NamedTuple):
    """Samples with their place: `pcm` is S16LE at the track's rate."""

    position: int
    pcm: bytes


class Envelope:
    """How a track's stamps lie above its samples, over the last one or two windows; in seconds.

    `drift` is by how much the floor has moved since the first window.
    """

    def __init__(self) -> None:
        self.drift = 0.0
        self._anchor: float | None = None
        self._low = self._past_low = math.inf
        self._high, self._before = -math.inf, math.inf
        self._fall = self._past_fall = 0.0
        self._seconds = 0.0

    @property
    def floor(self) -> float | None:
        """What every stamp exceeds; None before there was one."""
        floor = min(self._low, self._past_low)
        return floor if floor < math.inf else None

    @property
    def spread(self) -> float:
        """How much stamps jitter: how far they fell. What rises may be a hole as well."""
        return max(self._fall, self._past_fall)

    def see(self, above: float, seconds: float) -> None:
        """Take how far a stamp lies above its place, and how long its samples last.

        One stamp alone does not lower the floor: it takes two in a row.
        """
        before, self._before = self._before, above
        low = max(before, above)
        if low < self._low:
            if low < min(self._low, self._past_low) - STEP and self.floor is not None:
                self.restart()
            self._low = low
        if above > self._high:
            self._high = above
        fall = self._high - low
        if fall > self._fall:
            self._fall = fall
        self._seconds += seconds
        if self._seconds >= WINDOW:
            self._roll()

    def restart(self) -> None:
        """What was seen belongs to another line; only how much stamps jitter is still true."""
        self._low = self._past_low = math.inf
        self._high, self._before = -math.inf, math.inf
        self._anchor = None
        self.drift = 0.0

    def move(self, seconds: float) -> None:
        """The samples have moved later by `seconds` against the stamps."""
        self._low -= seconds
        self._past_low -= seconds
        self._high -= seconds
        self._before -= seconds
        self.drift -= seconds

    def _roll(self) -> None:
        self._seconds = 0.0
        self._past_low, self._low = self._low, math.inf
        self._past_fall, self._fall = self._fall, 0.0
        self._high = -math.inf
        if self._anchor is None or abs(self._past_low - self._anchor) > STEP:
            self._anchor = self._past_low
        self.drift = self._past_low - self._anchor


class Track:
    """One continuous source on a session's time line.

    `notices` are for the listener to report and to clear; `told` is for the listener to set when its sinks know of the
    track and of its newest name; `rejoined` says that it comes over another connection from now on.
    """

    def __init__(self, key: tuple[str, str], track: str, rate: int, shift: float) -> None:
        self.key = key
        self.track = track
        self.rate = rate
        self.shift = shift
        self.names: list[str] = []
        self.told = self.rejoined = False
        self.counts = TrackCounts()
        self.notices: list[str] = []
        self.intake = Intake(rate, self.notices.append)
        self.inspection = Inspection(rate, self.notices.append, quiet=track != MIXED)
        self.order: Order[Heard] = Order(self.counts)
        self.envelope = Envelope()
        self.start: int | None = None
        self.next = 0
        self._mixed = track == MIXED
        self._waiting: deque[Waiting] = deque()
        self._least: deque[float] = deque()
        self._taken = 0
        self._laid = 0
        self._slipping = False
        self._since_slip = 0

    @classmethod
    def resumed(cls, key: tuple[str, str], before: TrackSummary) -> Track:
        """Go on with a track whose recorder died."""
        track = cls(key, before.track, before.rate, before.shift)
        track.names = list(before.names)
        track.start, track.next = before.start, before.samples
        track.counts = msgspec.structs.replace(before.counts)
        track.order = Order(track.counts)
        track.intake.flaws = msgspec.structs.replace(before.flaws)
        track.inspection.findings = msgspec.structs.replace(before.findings)
        return track

    @property
    def head(self) -> float:
        """Where the next sample goes if time runs on evenly, in seconds from the origin."""
        return self.next / self.rate

    @property
    def heard(self) -> float:
        """Seconds of what came, without holes."""
        return (self.next - (self.start or 0) - self.counts.gap_samples) / self.rate

    @property
    def expected(self) -> float:
        """The stamp that the next piece should bear, in seconds from the origin."""
        if self._waiting:
            last = self._waiting[-1].piece
            return last.elapsed + last.samples / self.rate
        return self.head

    @property
    def waits(self) -> bool:
        """Whether something has no place yet, so that `release` is due after `PATIENCE`."""
        return bool(self._waiting) or self.order.waits

    def call(self, name: str | None) -> None:
        """Remember a display name, the newest last."""
        if not name or (self.names and self.names[-1] == name[:MAX_NAME]):
            return
        self.names = [*self.names, name[:MAX_NAME]][-MAX_NAMES:]
        self.told = False

    def flow(self, run: Sequence[Heard], zero: float, floor: float) -> list[bytes]:
        """Lay the chunks that come first, as far as they are what tracks are made of; the samples of each.

        That is: bare whole samples at the track's rate, with nothing special, and on time beyond doubt. `zero` is the
        track's origin on the bot's clock, `floor` that of the session's stamps; both in seconds.
        """
        laid: list[bytes] = []
        if not self._even:
            return laid
        rate, end, see = self.rate, self.next, self.envelope.see
        name = self.names[-1] if self.names else None
        slack, low = ON_TIME, min(floor, 0.0)
        for heard in run:
            pcm, at = heard.chunk.pcm, heard.at
            if at is None or heard.chunk.rate != rate or heard.sequence is not None or not is_bare(pcm):
                break
            if heard.name and heard.name != name:
                break
            samples = len(pcm) // SAMPLE_BYTES
            ahead = at - zero - end / rate
            if not self._mixed:
                slack = min(ON_TIME, HALF_CHUNK * samples / rate)
            if not low - slack <= ahead <= floor + slack:
                break
            see(ahead, samples / rate)
            end += samples
            laid.append(pcm)
        self._run_on(end - self.next, len(laid))
        return laid

    @property
    def _even(self) -> bool:
        """Whether nothing waits, drifts or is new about the track."""
        return (
            self.told
            and not self._waiting
            and not self.rejoined
            and not self._slipping
            and -DRIFT_BEGIN <= self.envelope.drift <= DRIFT_BEGIN
            and self.intake.even
        )

    def place(self, piece: Piece, jitter: Jitter, now: float) -> list[Laid]:
        """Take a piece, and give what has a place now: in order, never overlapping, nothing lost.

        `jitter` is that of the session's stamps.
        """
        reach = piece.elapsed - self._taken / self.rate
        while self._least and self._least[-1] > reach:
            self._least.pop()
        self._least.append(reach)
        self._waiting.append(Waiting(piece, reach))
        self._taken += piece.samples
        return self.release(jitter, now)

    def release(self, jitter: Jitter, now: float, *, everything: bool = False) -> list[Laid]:
        """What has a place by now: a hole is one when a burst had `PATIENCE` seconds to fill it and did not."""
        out: list[Laid] = []
        while self._waiting:
            piece, reach = self._waiting[0]
            hole = self._hole(piece, jitter)
            if hole and now < piece.arrived + self._patience(piece) and not everything:
                break
            self._waiting.popleft()
            if self._least[0] == reach:
                self._least.popleft()
            out.append(self._lay(piece, hole, jitter))
        return out

    def slip(self, pcm: bytes) -> bytes:
        """S16LE with single samples put in or taken out, while the bot's sample clock drifts from its stamps."""
        drift = self.envelope.drift
        self._slipping = abs(drift) > (DRIFT_END if self._slipping else DRIFT_BEGIN)
        if not self._slipping:
            return pcm
        self._since_slip += len(pcm) // SAMPLE_BYTES
        slips, self._since_slip = divmod(self._since_slip, SLIP_SAMPLES)
        if not slips:
            return pcm
        if drift > 0:
            self.counts.slipped_in += slips
        else:
            self.counts.slipped_out += slips
            slips = -slips
        self.envelope.move(slips / self.rate)
        return slip(pcm, slips)

    def summary(self) -> TrackSummary:
        return TrackSummary(
            self.track,
            tuple(self.names),
            self.rate,
            self.start or 0,
            self.next,
            self.shift,
            msgspec.structs.replace(self.counts),
            msgspec.structs.replace(self.intake.flaws),
            msgspec.structs.replace(self.inspection.findings),
        )

    def _hole(self, piece: Piece, jitter: Jitter) -> float:
        """Seconds of silence before the first piece that waits; those behind it may show that there is none."""
        offset = jitter.floor + (self.next - self._laid) / self.rate
        if self.start is not None and piece.skipped and abs(self._least[0] - offset - piece.skipped) <= piece.tolerance:
            return piece.skipped
        if self.start is not None and self._waiting[0].reach - offset <= piece.tolerance:
            return 0.0
        hole = self._least[0] - offset - jitter.spread / (1 + len(self._waiting))
        return max(0.0, hole) if self.start is None or hole >= piece.least else 0.0

    def _patience(self, piece: Piece) -> float:
        return max(PATIENCE, MORE_THAN_A_CHUNK * piece.samples / self.rate)

    def _lay(self, piece: Piece, hole: float, jitter: Jitter) -> Laid:
        late = piece.elapsed - min(0.0, jitter.floor) - self.head < -piece.tolerance
        skip = round(hole * self.rate)
        if self.start is None:
            self.start = skip
        elif skip:
            self._leave_gap(skip)
        self.next += skip
        self.counts.late += late
        laid = Laid(self.next, piece.pcm)
        self._laid += piece.samples
        self.envelope.see(piece.elapsed - self.head, piece.samples / self.rate)
        self._run_on(piece.samples, 1)
        self.inspection.take(piece.pcm)
        return laid

    def _run_on(self, samples: int, chunks: int) -> None:
        """The track's end moves on."""
        self.next += samples
        self.counts.chunks += chunks

    def _leave_gap(self, samples: int) -> None:
        self.counts.gaps += 1
        self.counts.gap_samples += samples
        self.inspection.gap()
        if not self._mixed:
            self.envelope.restart()
