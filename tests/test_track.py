"""One track's place on the line: where each run of samples lies, whatever its stamps say."""

from __future__ import annotations

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.signals import RATE, counting, values

from audiotap.track import PATIENCE, STEP, WINDOW, Envelope, Jitter, Laid, Piece, Track

EXACT = Jitter(0.0, 0.0)
CHUNK = 160
SECONDS = CHUNK / RATE


class Line:
    """A track whose pieces are 10 ms of samples that tell their own number."""

    def __init__(self, track: str = "mixed") -> None:
        self.track = Track(("attendee", "bot_1"), track, RATE, 0.0)
        self.sent = b""
        self.laid: list[Laid] = []

    def offer(self, elapsed: float, now: float, samples: int = CHUNK, skipped: float = 0.0) -> list[int]:
        """The positions of what has its place now."""
        pcm = counting(samples, start=1 + len(self.sent) // 2)
        self.sent += pcm
        return self._keep(self.track.place(Piece(pcm, elapsed, now, 0.1, 0.05, skipped), EXACT, now))

    def release(self, now: float, *, everything: bool = False) -> list[int]:
        return self._keep(self.track.release(EXACT, now, everything=everything))

    def _keep(self, laid: list[Laid]) -> list[int]:
        self.laid += laid
        return [piece.position for piece in laid]


def at(*seconds: float) -> list[int]:
    return [round(second * RATE) for second in seconds]


# Holes wait for what may still fill them


def test_pieces_on_time_have_their_place_at_once() -> None:
    """Nothing is waited for while there is no hole."""
    line = Line()
    assert [line.offer(n * SECONDS, n * SECONDS) for n in range(5)] == [[n * CHUNK] for n in range(5)]


def test_a_hole_is_one_when_nothing_filled_it() -> None:
    """What comes after it waits a little, keeps its order, and then lies where its stamp says."""
    line = Line()
    line.offer(0.0, 50.0)
    assert [line.offer(2.0 + n * SECONDS, 52.0 + n * SECONDS) for n in range(5)] == [[]] * 5
    assert line.release(52.0 + PATIENCE / 2) == []
    assert line.release(52.0 + PATIENCE) == [32000 + n * CHUNK for n in range(5)]
    assert (line.track.counts.gaps, line.track.counts.gap_samples) == (1, 32000 - CHUNK)


def test_a_burst_fills_its_hole() -> None:
    """A bot that stalls for two seconds stamps all it heard meanwhile with one time: there is no hole and no lag."""
    line = Line()
    for n in range(200):
        line.offer(n * SECONDS, 50.0 + n * SECONDS)
    for n in range(200, 400):
        line.offer(4.0, 54.0 + (n - 200) / 10_000)
    for n in range(400, 600):
        line.offer(n * SECONDS, 50.0 + n * SECONDS)
    assert [piece.position for piece in line.laid] == [n * CHUNK for n in range(600)]
    assert (line.track.counts.gaps, line.track.counts.late) == (0, 0)


def test_two_holes_within_the_patience() -> None:
    """A word between two pauses: each hole has its own length."""
    line = Line()
    line.offer(0.0, 50.0)
    for second in (1.0, 1.01, 1.3, 1.31):
        line.offer(second, 50.0)
    assert line.release(51.0) == at(1.0, 1.01, 1.3, 1.31)
    assert line.track.counts.gaps == 2


def test_a_hole_whose_length_is_known_needs_no_stamps() -> None:
    """Where numbers tell how much is missing and the stamps agree, jitter does not matter."""
    line = Line()
    line.offer(0.0, 50.0)
    line.offer(0.07, 50.1, skipped=3 * SECONDS)
    assert line.release(51.0) == [4 * CHUNK]
    assert (line.track.counts.gaps, line.track.counts.gap_samples) == (1, 3 * CHUNK)


def test_what_is_late_follows_and_is_counted() -> None:
    """A piece from the past is not written over what lies there."""
    line = Line()
    line.offer(0.0, 50.0)
    line.offer(0.01, 50.0)
    assert line.offer(-3.0, 50.0) == [2 * CHUNK]
    assert line.track.counts.late == 1


# The floor of the stamps


def test_the_floor_takes_two_stamps_in_a_row() -> None:
    """A single stamp that is too early tells nothing."""
    envelope = Envelope()
    for above in (0.02, 0.03, -0.3, 0.02, 0.01, 0.012):
        envelope.see(above, 0.1)
    assert envelope.floor == pytest.approx(0.012)


def test_a_clock_that_is_set_back_begins_another_floor() -> None:
    """After a step back of seconds the old floor means nothing, and no drift is seen in it."""
    envelope = Envelope()
    for n in range(400):
        envelope.see(0.01 if n < 300 else 0.01 - 4 * STEP, 0.1)
    assert envelope.floor == pytest.approx(0.01 - 4 * STEP)
    assert envelope.drift == 0.0


@pytest.mark.parametrize("drift", [0.0002, -0.0002, 0.002])
def test_a_drifting_clock_shows_through_jitter(drift: float) -> None:
    """The floor moves as the clocks do, within the window that it is taken over."""
    envelope = Envelope()
    seconds = 200.0
    for n in range(round(seconds / 0.01)):
        envelope.see(drift * n * 0.01 + (n * n % 97) / 1000, 0.01)
    assert envelope.drift == pytest.approx(drift * seconds, abs=3 * WINDOW * abs(drift))
    assert envelope.spread == pytest.approx(0.096, abs=0.002 + 2 * WINDOW * abs(drift))


@pytest.mark.parametrize("ppm", [200, -200])
def test_samples_slip_after_a_drifting_clock(ppm: int) -> None:
    """Single samples are put in or taken out, far from each other; all others are what they were."""
    line = Line()
    track = line.track
    for n in range(60_000):
        pcm = counting(CHUNK, start=1 + n * CHUNK)
        piece = Piece(track.slip(pcm), n * SECONDS * (1 + ppm / 1e6), 0.0, 0.1, 0.05)
        (laid,) = track.place(piece, EXACT, 0.0)
        off = laid.position / RATE - piece.elapsed
        assert abs(off) < 0.04
        assert abs(len(laid.pcm) // 2 - CHUNK) <= 1
    slipped = track.counts.slipped_in if ppm > 0 else track.counts.slipped_out
    assert slipped == pytest.approx(600 * abs(ppm) / 1e6 * RATE, rel=0.2)
    assert (track.counts.gaps, track.counts.late) == (0, 0)


# Whatever stamps may say

stamps = st.one_of(st.floats(-100, 1000), st.floats(-1e9, 1e9), st.integers(0, 30).map(lambda n: n * SECONDS))
offers = st.lists(st.tuples(stamps, st.integers(1, 400), st.floats(0, 1), st.integers(0, 3)), max_size=60)


@settings(max_examples=400)
@given(offers, st.sampled_from(["mixed", "7"]), st.booleans())
def test_nothing_is_lost_doubled_or_swapped(story: list[tuple[float, int, float, int]], name: str, slow: bool) -> None:
    """Any times and lengths: positions rise without overlap, and the samples that lie there are those that came."""
    line = Line(name)
    now = 0.0
    for elapsed, samples, wait, skipped in story:
        now += wait if slow else wait / 100
        line.offer(elapsed, now, samples, skipped * SECONDS)
        line.release(now)
    line.release(now, everything=True)
    ends = [piece.position + len(piece.pcm) // 2 for piece in line.laid]
    assert all(piece.position >= end for piece, end in zip(line.laid[1:], ends, strict=False))
    assert b"".join(piece.pcm for piece in line.laid) == line.sent
    assert not line.track.waits
    assert line.track.next == (ends[-1] if ends else 0)


@settings(max_examples=400)
@given(offers)
def test_silence_never_goes_beyond_the_stamps(story: list[tuple[float, int, float, int]]) -> None:
    """No piece lies behind both its stamp and the end of what came before it: silence is put in only up to a stamp."""
    line = Line()
    latest = -math.inf
    for elapsed, samples, wait, _ in story:
        latest = max(latest, elapsed)
        line.offer(elapsed, wait, samples)
        line.release(wait, everything=True)
        total = len(line.sent) // 2
        assert line.track.next <= total + max(0, round(latest * RATE)) + 1


def test_samples_are_what_they_were_when_nothing_drifts() -> None:
    """The way onto the line changes no bit."""
    pcm = counting(CHUNK)
    assert Line().track.slip(pcm) is pcm
    assert values(pcm).size == CHUNK
