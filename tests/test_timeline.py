"""Whole calls on the time line: bots whose stamps jitter, stall, drift and burst, against when each sample was said.

Every figure is the worst of all chunks: how far a track lies from where its sounds were made.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import NamedTuple

import pytest
from tests.signals import RATE

from audiotap.audio import Chunk
from audiotap.events import MIXED, Heard
from audiotap.session import Placed, Session, Timing

EPOCH = 1_703_123_456.789
ANA = "7"
DELAY = 0.02

Stamp = Callable[[float], float]
"""From the time when a chunk was said to its stamp; both in seconds of the call."""


class Off(NamedTuple):
    """How far a track's chunks lie from when they were said, in milliseconds."""

    least: float
    most: float

    @property
    def worst(self) -> float:
        return max(-self.least, self.most)


class Call:
    """A bot that says what a mix and a participant hear, chunk by chunk; `talks` tells when the participant does.

    `ana` are the participant's stamps where they are others than the mix's.
    """

    def __init__(
        self, stamp: Stamp, *, ana: Stamp | None = None, chunk: float = 0.02, ppm: float = 0.0, mixed: bool = True
    ) -> None:
        self.session = Session(("attendee", "bot_1"), Timing(), datetime(2026, 1, 1, tzinfo=UTC))
        self.stamps = {MIXED: stamp, ANA: ana or stamp}
        self.chunk = chunk
        self.ppm = ppm
        self.tracks = (MIXED, ANA) if mixed else (ANA,)
        self.said: dict[str, list[float]] = {MIXED: [], ANA: []}
        self.lies: dict[str, list[float]] = {MIXED: [], ANA: []}

    def run(self, seconds: float, talks: Iterator[bool] | None = None) -> Call:
        pcm = bytes(2 * round(self.chunk * RATE))
        for n in range(round(seconds / self.chunk)):
            said = n * self.chunk * (1 + self.ppm / 1e6)
            for track in self.tracks:
                if track == ANA and talks is not None and not next(talks):
                    continue
                self.said[track].append(said)
                stamp = self.stamps[track](said)
                now = 1000 + max(said, stamp) + DELAY
                self._keep(self.session.place([Heard("bot_1", track, Chunk(pcm, RATE), EPOCH + stamp)], now))
                self._keep(self.session.release(now))
        self._keep(self.session.finish())
        return self

    def _keep(self, placed: list[Placed]) -> None:
        for item in placed:
            self.lies[item.track].append(item.position / RATE)
            self.session.tracks[item.track].told = True

    def off(self, track: str = ANA) -> Off:
        """Against the session's first sample that was said."""
        assert len(self.lies[track]) == len(self.said[track])
        zero = min(said[0] for said in self.said.values() if said)
        off = [1000 * (lies - said + zero) for lies, said in zip(self.lies[track], self.said[track], strict=True)]
        return Off(min(off), max(off))

    def beside_the_mix(self) -> Off:
        """How far the participant lies from the mix that was said at the same time."""
        mix = dict(zip(self.said[MIXED], self.lies[MIXED], strict=True))
        off = [1000 * (lies - mix[said]) for lies, said in zip(self.lies[ANA], self.said[ANA], strict=True)]
        return Off(min(off), max(off))

    def gaps(self, track: str = ANA) -> int:
        return self.session.tracks[track].counts.gaps


def jittery(most: float, seed: int) -> Stamp:
    """Each stamp is off by up to `most` seconds either way, each its own."""
    dice = random.Random(seed)
    return lambda said: said + dice.uniform(-most, most)


def now_and_then(chunk: float, seed: int, seconds: float = 0.3) -> Iterator[bool]:
    """Talk and silence in turns, some tenths of a second each: silence is left out, as Meet does."""
    dice = random.Random(seed)
    while True:
        for talks in (True, False):
            for _ in range(1 + round(dice.expovariate(1 / seconds) / chunk)):
                yield talks


def test_exact_stamps_are_kept_to_the_sample() -> None:
    """Silence that is left out in hundreds of pieces moves nothing."""
    call = Call(lambda said: said).run(300, now_and_then(0.02, 1))
    assert call.gaps() > 300
    assert call.off().worst < 0.03
    assert call.off(MIXED).worst < 0.03


@pytest.mark.parametrize("chunk", [0.01, 0.02, 0.1])
@pytest.mark.parametrize("seed", range(3))
def test_jitter_of_50_ms_and_silence_left_out(chunk: float, seed: int) -> None:
    """The mix is whole, and the participant lies within 100 ms of it, though hole and jitter look alike."""
    call = Call(jittery(0.05, seed), chunk=chunk).run(300, now_and_then(chunk, seed))
    print(f"jitter 50 ms, chunks of {chunk * 1000:g} ms: {call.off()}")
    assert call.off(MIXED).worst < 0.03
    assert call.gaps(MIXED) == 0
    assert call.off().worst < 100


def test_two_participants_without_a_mix() -> None:
    """Where nothing is continuous, the first chunk is the measure: nobody moves by more than twice the jitter."""
    call = Call(jittery(0.05, 4), mixed=False).run(300, now_and_then(0.02, 4))
    assert call.off().most - call.off().least < 200


@pytest.mark.parametrize("ppm", [200, -200])
@pytest.mark.parametrize("jitter", [0.0, 0.03])
def test_three_hours_on_a_clock_that_is_200_ppm_off(ppm: int, jitter: float) -> None:
    """Two seconds of drift all in all, and no track is ever 100 ms off; no hole is made of it; what slipped counts."""
    call = Call(jittery(jitter, 5), chunk=0.1, ppm=ppm).run(3 * 3600, now_and_then(0.1, 5, 3.0))
    counts = call.session.tracks[MIXED].counts
    print(f"{ppm} ppm for 3 h, jitter {jitter * 1000:g} ms: {call.off(MIXED)}, {call.beside_the_mix()}, {counts}")
    assert call.off(MIXED).worst < 100
    assert call.beside_the_mix().worst < 100
    assert (counts.gaps, counts.late) == (0, 0)
    assert (counts.slipped_in if ppm > 0 else counts.slipped_out) == pytest.approx(3 * 3600 * 0.0002 * RATE, rel=0.05)


@pytest.mark.parametrize("seconds", [0.3, 2.0, 30.0])
def test_a_bot_that_stalls(seconds: float) -> None:
    """What it heard meanwhile comes in one burst with one stamp: no hole in the mix, and nobody is late afterwards."""

    def stalled(said: float) -> float:
        return 100 + seconds if 100 <= said < 100 + seconds else said

    call = Call(stalled, chunk=0.01).run(200)
    assert call.off(MIXED).worst < 0.03
    assert call.off().worst < 0.03
    assert call.gaps() == call.gaps(MIXED) == 0


def test_the_bursts_of_teams() -> None:
    """Ten chunks with one stamp, every 100 ms and 2 s late: they lie in a row, 2 s late and not more."""

    def burst(said: float) -> float:
        return said // 0.1 * 0.1 + 2.1

    call = Call(lambda said: said, ana=burst, chunk=0.01).run(60)
    assert call.gaps() == call.gaps(MIXED) == 0
    assert call.off().least > 1900
    assert call.off().most - call.off().least < 0.03


def test_a_clock_that_is_set_back_by_seconds_keeps_tracks_together() -> None:
    """Too little to be a jump: the mix goes on evenly, and who speaks afterwards still lies beside it."""
    call = Call(lambda said: said if said < 100 else said - 3).run(200, now_and_then(0.02, 6))
    assert call.off(MIXED).worst < 0.03
    assert call.off().worst < 100
