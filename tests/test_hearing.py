"""What a listener in the meeting hears, by a clock that is only a number."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.signals import RATE, counting, pcm, tone, values

from audiotap.audio import Chunk
from audiotap.events import MIXED
from audiotap.hearing import BEHIND, CUSHION, MOST_BEHIND, PATIENCE, UNANSWERED, Hearing, Notice

TICK = 0.02
LAG = round(CUSHION * RATE)


class Listener:
    """Somebody in the meeting, from 100 s on: hears what is pushed, and ticks now and then."""

    def __init__(self, rate: int = RATE) -> None:
        self.now = 100.0
        self.hearing = Hearing(rate, self.now)
        self.heard = b""

    @property
    def samples(self) -> int:
        return len(self.heard) // 2

    @property
    def passed(self) -> int:
        return round((self.now - 100.0) * self.hearing.rate)

    def push(self, track: str, data: bytes, rate: int = RATE) -> None:
        self.heard += self.hearing.push(track, [Chunk(data, rate)], self.now)

    def wait(self, seconds: float) -> None:
        """Time passes, tick by tick."""
        end = self.now + seconds
        while self.now < end - 1e-9:
            self.now = min(end, self.now + TICK)
            self.heard += self.hearing.tick(self.now)


def test_nobody_speaks() -> None:
    """Silence in real time, but for the cushion."""
    listener = Listener()
    listener.wait(1.0)
    assert listener.heard == bytes(2 * (RATE - LAG))


def test_the_mix_is_heard_as_it_comes() -> None:
    """At once, unchanged, and with nothing between two pieces."""
    listener = Listener()
    for n in range(50):
        listener.push(MIXED, counting(320, start=1 + 320 * n))
        listener.wait(TICK)
    assert listener.heard == counting(RATE)


def test_a_mix_that_pauses_becomes_silence() -> None:
    """After some patience all the time that passed is heard, so that the agent notices; speech follows right behind."""
    listener = Listener()
    listener.push(MIXED, tone(0.1))
    listener.wait(PATIENCE - TICK)
    assert listener.samples == RATE // 10
    listener.wait(1.0)
    assert listener.samples == listener.passed
    listener.push(MIXED, tone(0.1))
    assert listener.heard[-3200:] == tone(0.1)


def test_a_mix_that_makes_up_for_a_pause_is_heard_in_full() -> None:
    """What comes late comes beside the silence that was heard instead; there is no more silence until that is even."""
    listener = Listener()
    listener.push(MIXED, counting(320))
    listener.wait(1.0)
    listener.push(MIXED, counting(RATE, start=321))
    late = listener.samples
    listener.wait(0.9)
    assert listener.samples == late
    listener.wait(1.0)
    assert listener.samples == listener.passed
    sound = values(listener.heard)
    assert np.array_equal(sound[sound != 0], values(counting(320 + RATE)))


def test_participants_make_up_for_a_stall_in_their_pauses() -> None:
    """What was said is heard in full and in order; it is behind until its speaker is quiet, and no longer."""
    listener = Listener()
    pieces = [pcm(np.arange(1600) % 9000 + 1000 + n) for n in range(60)]
    for n, piece in enumerate(pieces):
        listener.push("ana", piece)
        if n == 10:
            listener.wait(0.8)
        elif not 10 < n < 19:
            listener.wait(0.1)
        if n % 4 == 3:
            listener.push("ana", bytes(3200))
            listener.wait(0.1)
    before = listener.samples
    listener.push("ana", pcm([7]))
    listener.wait(0.5)
    sound = values(listener.heard)
    assert np.array_equal(sound[sound > 7], values(b"".join(pieces)))
    (last,) = np.flatnonzero(sound == 7)
    assert last - before <= (BEHIND + CUSHION) * RATE


def test_the_mix_takes_over_from_participants() -> None:
    """Nobody is heard twice: what participants had waiting is dropped, and what still comes of them is nothing."""
    listener = Listener()
    listener.push("ana", counting(800))
    listener.push(MIXED, tone(0.1))
    listener.push("ana", counting(800))
    listener.wait(0.1)
    assert listener.heard == tone(0.1)


@pytest.mark.parametrize("phase", [0.0, 0.001, 0.007, 0.0199])
def test_participants_add_up_aligned(phase: float) -> None:
    """Two who speak at once are heard at once, wherever between two ticks the pieces of each come in."""
    listener = Listener()
    listener.wait(0.5)
    for n in range(50):
        piece = pcm(np.arange(1 + 320 * n, 321 + 320 * n) // 4)
        listener.push("ana", piece)
        listener.push("bo", piece)
        listener.now += phase
        listener.heard += listener.hearing.tick(listener.now)
        listener.now += TICK - phase
        listener.heard += listener.hearing.tick(listener.now)
    listener.wait(1.0)
    sound = values(listener.heard)
    first = int(np.flatnonzero(sound)[0]) - 3
    assert np.array_equal(sound[first : first + RATE], np.arange(1, RATE + 1) // 4 * 2)


@pytest.mark.parametrize("apart", [0.001, 0.01, 0.019, 0.02, 0.3])
def test_participants_lie_where_they_came(apart: float) -> None:
    """Whoever begins later is heard later by just as much, be a tick in between or not."""
    listener = Listener()
    listener.wait(0.5)
    listener.push("ana", pcm(np.full(8000, 10000)))
    before = listener.passed
    listener.wait(apart)
    listener.push("bo", pcm(np.full(8000, 1000)))
    later = listener.passed - before
    listener.wait(1.0)
    sound = values(listener.heard)
    ana, bo = (int(np.flatnonzero(sound // size % 10 == 1)[0]) for size in (10000, 1000))
    assert (ana, bo - ana) == (before, later)


@given(st.lists(st.floats(0, CUSHION - TICK), min_size=10, max_size=30))
def test_jitter_within_the_cushion_makes_no_hole(delays: list[float]) -> None:
    """A participant whose pieces come by so much late is heard without a break."""
    listener = Listener()
    listener.wait(0.5)
    began = listener.now
    for n, late in enumerate([0.0, *delays]):
        listener.wait(max(0.0, began + n * TICK + late - listener.now))
        listener.push("ana", counting(320, start=1 + 320 * n))
    listener.wait(1.0)
    sound = values(listener.heard)
    first = int(np.flatnonzero(sound)[0])
    length = 320 * (1 + len(delays))
    assert np.array_equal(sound[first : first + length], values(counting(length)))
    assert not sound[first + length :].any()


def test_overs_are_clipped() -> None:
    """Two who are loud at once are not wrapped around."""
    listener = Listener()
    for track in ("ana", "bo"):
        listener.push(track, pcm(np.full(320, 30_000)))
    listener.wait(0.2)
    assert values(listener.heard).max() == 32_767
    assert values(listener.heard).min() == 0


def test_a_participant_who_comes_in_a_burst_is_heard_from_its_end() -> None:
    """More than a second of it is dropped from the front, since an agent must not hear the past."""
    listener = Listener()
    listener.push("ana", counting(3 * RATE))
    listener.wait(3.0)
    sound = values(listener.heard)
    kept = round(MOST_BEHIND * RATE)
    assert np.array_equal(sound[sound != 0], values(counting(3 * RATE))[-kept:])


@pytest.mark.parametrize("track", [MIXED, "ana"])
@pytest.mark.parametrize(("source", "rate"), [(16000, 24000), (48000, 16000), (8000, 16000)])
def test_any_rate(track: str, source: int, rate: int) -> None:
    """What comes at another rate is heard at the listener's own, for as long and as high."""
    listener = Listener(rate)
    for _ in range(50):
        listener.push(track, tone(0.02, source, 500), source)
        listener.wait(TICK)
    listener.wait(1.0)
    sound = np.flatnonzero(np.abs(values(listener.heard)) > 100)
    assert (sound[-1] - sound[0]) / rate == pytest.approx(1.0, abs=0.01)


actions = st.lists(
    st.one_of(
        st.tuples(st.just("wait"), st.floats(0, 0.7)),
        st.tuples(st.sampled_from(["ana", "bo"]), st.integers(0, 20_000)),
    ),
    max_size=25,
)
mixed = st.lists(
    st.one_of(
        st.tuples(st.just("wait"), st.floats(0, 0.7)),
        st.tuples(st.just(MIXED), st.integers(0, 20_000)),
    ),
    max_size=25,
)


@given(actions)
def test_participants_are_never_ahead_of_real_time(steps: list[tuple[str, float]]) -> None:
    """Whatever they send: exactly the time that passed is heard, but for the cushion."""
    listener = Listener()
    for kind, amount in steps:
        if kind == "wait":
            listener.wait(amount)
        else:
            listener.push(kind, counting(int(amount)))
    listener.wait(1.0)
    assert listener.samples == listener.passed - LAG


@given(mixed)
def test_every_sample_of_the_mix_comes_out_once(steps: list[tuple[str, float]]) -> None:
    """In order, whatever its pauses; silence only fills what is missing to real time."""
    listener, came = Listener(), 0
    for kind, amount in steps:
        if kind == "wait":
            listener.wait(amount)
        else:
            listener.push(kind, pcm(np.arange(came, came + int(amount)) % 30_000 + 1))
            came += int(amount)
        assert listener.samples <= listener.passed + came
    sound = values(listener.heard)
    assert np.array_equal(sound[sound != 0], np.arange(came) % 30_000 + 1)
    listener.wait(PATIENCE + TICK)
    assert listener.samples >= listener.passed - LAG


def test_notice() -> None:
    """Whoever speaks for long enough is noticed, or it is told once that nobody did."""
    speech, pause = tone(1.2), bytes(2 * round(0.6 * RATE))
    notice = Notice(RATE)
    notice.push(speech + pause, now=10.0)
    assert not notice.overdue(10.0 + UNANSWERED - 0.1)
    assert notice.overdue(10.0 + UNANSWERED)
    assert not notice.overdue(1000.0)
    notice.push(speech + pause, now=1000.0)
    assert not notice.overdue(2000.0)
    notice.taken()
    notice.push(speech + pause, now=2000.0)
    notice.taken()
    assert not notice.overdue(3000.0)
    notice.push(tone(0.8) + pause, now=3000.0)
    assert not notice.overdue(4000.0)
