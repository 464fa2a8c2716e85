"""When speech leaves: a playout polled by a clock that is only a number."""

from __future__ import annotations

from itertools import islice, pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.signals import RATE, counting

from audiotap.pacing import BLOCK, LEAD, Block, Playout, spread_leads

SLACK = 1e-5


class Mouth:
    """Polls a playout as soon as it asks for it, and keeps what left and when."""

    def __init__(self, rate: int = RATE, begin: float = 0.0) -> None:
        self.playout = Playout(rate)
        self.now = begin
        self.left: list[tuple[float, Block]] = []

    def say(self, pcm: bytes) -> None:
        self.playout.push(pcm, self.now)

    def until(self, end: float) -> None:
        """Poll until `end`, never later than asked."""
        while self.now <= end:
            block, wake = self.playout.poll(self.now)
            if block is not None:
                self.left.append((self.now, block))
            elif wake is None or wake > end:
                break
            else:
                assert wake > self.now - SLACK
                self.now = max(self.now, wake)
        self.now = end

    @property
    def times(self) -> list[float]:
        return [now for now, _ in self.left]

    @property
    def heard_at(self) -> list[float]:
        return [block.plays_at for _, block in self.left]

    @property
    def sound(self) -> bytes:
        return b"".join(block.chunk.pcm[: 2 * block.sound] for _, block in self.left)


def near(times: list[float]) -> object:
    """These times, but for rounding."""
    return pytest.approx(times, abs=SLACK)


@pytest.mark.parametrize("rate", [8000, 11025, 16000, 24000])
def test_blocks_are_whole_and_at_most_the_lead_ahead(rate: int) -> None:
    """Two seconds leave as blocks of 100 ms, three at once and then one by one, 0.3 s before they are heard."""
    mouth = Mouth(rate)
    block = round(rate * BLOCK)
    mouth.say(counting(20 * block))
    mouth.until(10)
    assert [piece.chunk.samples for _, piece in mouth.left] == [block] * 20
    assert mouth.heard_at == near([n * block / rate for n in range(20)])
    assert mouth.times == near([max(0.0, at - LEAD) for at in mouth.heard_at])
    assert mouth.sound == counting(20 * block)


def test_the_last_block_is_padded() -> None:
    """A remainder waits for more until its time is a block away, and then leaves with silence behind it."""
    mouth = Mouth()
    mouth.say(counting(8500))
    mouth.until(10)
    tail = mouth.left[-1][1]
    assert (tail.sound, tail.chunk.pcm) == (500, counting(500, start=8001) + bytes(2 * 1100))
    assert tail.plays_at == pytest.approx(0.5)
    assert mouth.times[-1] == pytest.approx(0.5 - BLOCK)
    assert mouth.sound == counting(8500)


def test_more_that_comes_in_time_fills_the_remainder() -> None:
    """A stream in odd pieces that keeps ahead leaves without padding between them."""
    mouth = Mouth()
    mouth.say(counting(4000))
    for n in range(20):
        mouth.say(counting(1234, start=4001 + 1234 * n))
        mouth.until(mouth.now + 0.07)
    mouth.until(10)
    assert mouth.sound == counting(4000 + 20 * 1234)
    assert [block.sound for _, block in mouth.left[:-1]] == [1600] * (len(mouth.left) - 1)


def test_a_pause_delays_and_drops_nothing() -> None:
    """Nothing leaves or is heard while it lasts, and what was queued follows right behind it."""
    mouth = Mouth()
    mouth.say(counting(16000))
    mouth.until(0.25)
    before = len(mouth.left)
    mouth.playout.pause(2.0, mouth.now)
    mouth.until(10)
    assert mouth.times[before] == pytest.approx(2.25)
    assert all(at >= 2.25 - SLACK for at in mouth.heard_at[before:])
    assert mouth.sound == counting(16000)
    assert mouth.heard_at[-1] == pytest.approx(2.25 + 0.1 * (len(mouth.left) - before - 1))


def test_a_pause_of_zero_resumes() -> None:
    """The queue goes on at once, not when the first pause would have ended."""
    mouth = Mouth()
    mouth.say(counting(8000))
    mouth.playout.pause(60, 0.0)
    mouth.until(1.0)
    assert mouth.left == []
    mouth.playout.pause(0, mouth.now)
    mouth.until(2.0)
    assert mouth.times[0] == 1.0
    assert mouth.sound == counting(8000)


@pytest.mark.parametrize(("first", "second", "resumes"), [(10.0, 2.0, 3.0), (2.0, 10.0, 11.0)])
def test_the_last_pause_wins(first: float, second: float, resumes: float) -> None:
    """A second pause replaces the first, be it shorter or longer."""
    mouth = Mouth()
    mouth.say(counting(8000))
    mouth.playout.pause(first, 0.0)
    mouth.until(1.0)
    mouth.playout.pause(second, 1.0)
    assert mouth.playout.paused(1.0) == second
    mouth.until(20.0)
    assert mouth.times[0] == pytest.approx(resumes)


@pytest.mark.parametrize(("hold", "resumes"), [(0.8, 5.0), (8.0, 9.0)])
def test_a_hold_never_shortens_a_pause(hold: float, resumes: float) -> None:
    """The automatic hold of 0.8 s leaves a user's longer pause alone."""
    mouth = Mouth()
    mouth.say(counting(8000))
    mouth.playout.pause(5.0, 0.0)
    mouth.until(1.0)
    mouth.playout.hold(hold, 1.0)
    mouth.until(20.0)
    assert mouth.times[0] == pytest.approx(resumes)


def test_what_is_said_during_a_pause_waits_for_its_end() -> None:
    """A pause also holds speech that was not there when it began."""
    mouth = Mouth()
    mouth.playout.pause(3.0, 0.0)
    mouth.until(1.0)
    mouth.say(counting(1600))
    mouth.until(10)
    assert mouth.times == near([3.0])


def test_stop_drops_what_is_queued() -> None:
    """It tells how much that was; what comes after it is spoken at once."""
    mouth = Mouth()
    mouth.say(counting(32000))
    mouth.until(0.55)
    gone = len(mouth.left) * BLOCK
    assert mouth.playout.clear() == pytest.approx(2 - gone)
    assert mouth.playout.queued == 0
    assert mouth.playout.poll(mouth.now) == (None, None)
    mouth.say(counting(1600))
    mouth.until(5)
    assert mouth.heard_at[-1] == pytest.approx(gone)


def test_after_a_hole_there_is_no_burst() -> None:
    """When nobody polled for ten seconds, the clock starts anew: at most the lead leaves at once."""
    mouth = Mouth()
    mouth.say(counting(32000))
    mouth.until(0.5)
    before = len(mouth.left)
    mouth.now = 10.5
    mouth.until(10.5)
    assert len(mouth.left) - before <= round(LEAD / BLOCK) + 1
    mouth.until(20)
    assert mouth.sound == counting(32000)
    assert all(later - sooner >= BLOCK - SLACK for sooner, later in pairwise(mouth.heard_at))


def test_an_hour_does_not_drift() -> None:
    """Polled late by up to the lead, every block is still heard at its own time: lateness does not add up."""
    playout = Playout(RATE)
    for _ in range(3600):
        playout.push(bytes(2 * RATE), 0.0)
    now, blocks = 0.0, 0
    while playout.queued:
        block, wake = playout.poll(now)
        if block is None:
            assert wake is not None
            now = wake + (blocks * 37 % 100) / 100 * LEAD
            continue
        assert block.plays_at == pytest.approx(blocks * BLOCK, abs=SLACK)
        blocks += 1
    assert blocks == 36000


def test_two_utterances_follow_each_other() -> None:
    """What is pushed while the first still plays is heard right behind it; later, it begins when it is pushed."""
    mouth = Mouth()
    mouth.say(counting(1600))
    mouth.until(0.05)
    mouth.say(counting(1600))
    mouth.until(3.0)
    mouth.say(counting(1600))
    mouth.until(5.0)
    assert mouth.heard_at == near([0.0, 0.1, 3.0])
    assert mouth.playout.ends_at(3.0) == pytest.approx(3.1)
    assert mouth.playout.ends_at(4.0) == 4.0


def test_a_block_that_could_not_be_sent_is_the_next_again() -> None:
    """Its samples and its time come back; its padding does not."""
    playout = Playout(RATE)
    playout.push(counting(500), 0.0)
    block, _ = playout.poll(0.1)
    assert block is not None
    playout.unsend(block)
    assert playout.queued == 500 / RATE
    playout.push(counting(1500, start=501), 0.1)
    again, _ = playout.poll(0.1)
    assert again is not None
    assert (again.chunk.pcm, again.plays_at) == (counting(1600), block.plays_at)


def test_small_live_pieces_wait_to_be_a_block() -> None:
    """What comes 20 ms at a time, as live speech does, leaves in whole blocks without any padding between."""
    mouth = Mouth()
    for number in range(50):
        mouth.until(number * 0.02)
        mouth.say(counting(320, start=1 + number * 320))
    mouth.until(3.0)
    assert [block.sound for _, block in mouth.left] == [1600] * 10


def test_nothing_is_nothing() -> None:
    """An empty push queues nothing, and an empty playout asks for no poll."""
    playout = Playout(RATE)
    playout.push(b"", 0.0)
    assert playout.poll(0.0) == (None, None)
    assert (playout.queued, playout.ends_at(7.0), playout.paused(7.0)) == (0, 7.0, 0)


orders = st.lists(
    st.one_of(
        st.tuples(st.just("push"), st.integers(0, 5000)),
        st.tuples(st.sampled_from(["pause", "hold", "wait", "away"]), st.floats(0, 3)),
        st.tuples(st.just("unsend"), st.just(0)),
    ),
    max_size=30,
)


@settings(max_examples=300)
@given(orders)
def test_every_sample_leaves_once_in_order_and_in_time(story: list[tuple[str, float]]) -> None:
    """Whatever is pushed, paused, put back and polled when: nothing is lost, doubled, early, or heard over another."""
    mouth = Mouth(begin=100.0)
    said = 0
    for order, amount in [*story, ("pause", 0.0), ("wait", 1000.0)]:
        match order:
            case "push":
                mouth.say(counting(int(amount), start=1 + said))
                said += int(amount)
            case "pause":
                mouth.playout.pause(amount, mouth.now)
            case "hold":
                mouth.playout.hold(amount, mouth.now)
            case "unsend":
                block, _ = mouth.playout.poll(mouth.now)
                if block is not None:
                    mouth.playout.unsend(block)
            case "wait":
                mouth.until(mouth.now + amount)
            case "away":
                mouth.now += amount
    assert mouth.sound == counting(said)
    for now, block in mouth.left:
        assert now - SLACK <= block.plays_at <= now + LEAD + SLACK
        assert block.chunk.samples == 1600
    assert all(later - sooner >= BLOCK - SLACK for sooner, later in pairwise(mouth.heard_at))


@pytest.mark.parametrize("number", [1, 2, 20, 500])
def test_many_who_begin_at_once_have_their_blocks_due_one_after_the_other(number: int) -> None:
    """The first lead is the whole one; none is shorter by a block, and no two are much closer than their fair share."""
    leads = list(islice(spread_leads(), number))
    assert leads[0] == LEAD
    assert all(LEAD - BLOCK < lead <= LEAD for lead in leads)
    apart = [late - early for early, late in pairwise(sorted(leads))]
    assert all(gap > BLOCK / number / 2.3 for gap in apart)


def test_a_block_is_a_sample_at_least() -> None:
    """At a rate so low that there would be none in it, a playout still gets to its end."""
    playout = Playout(rate=24, block=0.02)
    playout.push(bytes(8), 0.0)
    assert sum(playout.poll(10.0 + n)[0] is not None for n in range(9)) == 4
