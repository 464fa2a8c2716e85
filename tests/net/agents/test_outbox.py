"""What waits to be said: messages within a limit, audio in blocks, and the oldest of it dropped."""

from __future__ import annotations

from itertools import pairwise
from typing import ClassVar

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.net.agents.fake import Fake
from tests.signals import RATE, counting

from audiotap.agent_events import Listen, Truncate, UserEvent, UtteranceEnd, Write
from audiotap.audio import Chunk
from audiotap.net.agents.outbox import MINUTE, MOST_WAITING, Budget, Outbox

BLOCK = 0.06


class Frugal(Fake):
    """One that counts messages, so that audio is gathered."""

    most_per_minute: ClassVar[int] = 1200
    block: ClassVar[float] = BLOCK


def piece(samples: int, start: int = 1) -> Listen:
    return Listen(Chunk(counting(samples, start), RATE))


def taken(outbox: Outbox) -> list[UserEvent]:
    said = []
    while (event := outbox.take()) is not None:
        said.append(event)
    return said


def sound(events: list[UserEvent]) -> bytes:
    return b"".join(event.chunk.pcm for event in events if isinstance(event, Listen))


@given(st.integers(1, 8), st.lists(st.floats(0, 30), max_size=60))
def test_no_minute_has_more_messages_than_the_limit(most: int, pauses: list[float]) -> None:
    """Whoever waits for as long as is asked stays within it, and nobody waits longer than needed."""
    budget, now, sent = Budget(most), 1000.0, list[float]()
    for pause in pauses:
        now += pause
        wait = budget.wait(now)
        assert 0 <= wait <= MINUTE + 1e-6
        assert not wait or len([at for at in sent if at + MINUTE > now]) >= most
        now += wait
        while wait := budget.wait(now):
            now += wait
        budget.spend(now)
        sent.append(now)
    assert all(later - at >= MINUTE - 1e-6 for at, later in zip(sent, sent[most:], strict=False))


def test_without_a_limit_nobody_waits() -> None:
    """And nothing is remembered of what was sent."""
    budget = Budget(0)
    for _ in range(1000):
        budget.spend(1.0)
        assert budget.wait(1.0) == 0.0
    assert not budget._sent


async def test_audio_leaves_as_it_comes() -> None:
    """Where messages are not counted, each piece is one."""
    outbox = Outbox(Fake)
    for n in range(5):
        outbox.put(piece(100, 1 + 100 * n))
    assert taken(outbox) == [piece(100, 1 + 100 * n) for n in range(5)]


async def test_audio_is_gathered_where_messages_are_counted() -> None:
    """Into messages of the vendor's length; what is left over waits for more."""
    outbox = Outbox(Frugal)
    for n in range(7):
        outbox.put(piece(320, 1 + 320 * n))
    assert taken(outbox) == [piece(960), piece(960, 961)]
    assert outbox.empty


async def test_what_is_gathered_comes_before_a_word() -> None:
    """The end of an utterance is behind its last sample, however short the rest is."""
    outbox = Outbox(Frugal)
    outbox.put(piece(320))
    outbox.put(UtteranceEnd())
    assert taken(outbox) == [piece(320), UtteranceEnd()]


@pytest.mark.parametrize("dialect", [Fake, Frugal])
async def test_too_much_audio_loses_its_beginning(dialect: type[Fake]) -> None:
    """What is said in text stays; what is dropped is counted."""
    outbox = Outbox(dialect)
    outbox.put(Write("One"))
    for n in range(500):
        outbox.put(piece(320, 1 + 320 * n))
    outbox.put(Write("Two"))
    said = taken(outbox)
    assert [event for event in said if isinstance(event, Write)] == [Write("One"), Write("Two")]
    assert len(sound(said)) / 2 / RATE == pytest.approx(MOST_WAITING, abs=BLOCK)
    assert counting(320 * 500).endswith(sound(said))
    assert outbox.dropped == pytest.approx(10 - len(sound(said)) / 2 / RATE)


async def test_silence_is_dropped_from_the_front_too() -> None:
    """Pieces that are equal are not mistaken for each other."""
    outbox = Outbox(Fake)
    outbox.put(piece(320))
    for _ in range(300):
        outbox.put(Listen(Chunk(bytes(640), RATE)))
    assert sound(taken(outbox)) == bytes(640 * 250)


async def test_what_is_forgotten_with_a_connection() -> None:
    """Audio, gathered or not, and what is about it; a turn in text is not."""
    outbox = Outbox(Frugal)
    for event in (piece(960), Write("One"), Truncate("a", 1.0), UtteranceEnd(), piece(320)):
        outbox.put(event)
    outbox.forget()
    outbox.put(piece(960))
    assert taken(outbox) == [Write("One"), piece(960)]
    assert outbox.dropped == 0


async def test_what_could_not_be_sent_is_next_again() -> None:
    """In front of everything else."""
    outbox = Outbox(Fake)
    outbox.put(Write("One"))
    outbox.put(Write("Two"))
    first = outbox.take()
    assert first == Write("One")
    outbox.put_back(first)
    assert taken(outbox) == [Write("One"), Write("Two")]


puts = st.lists(st.one_of(st.integers(0, 4000), st.none()), max_size=60)


@pytest.mark.parametrize("dialect", [Fake, Frugal])
@given(steps=puts)
async def test_nothing_is_lost_or_said_twice(dialect: type[Fake], steps: list[int | None]) -> None:
    """Whatever is put in comes out in its order, but for what is counted as dropped."""
    outbox, came = Outbox(dialect), 0
    for number, samples in enumerate(steps):
        if samples is None:
            outbox.put(Write(f"{number}"))
        else:
            outbox.put(piece(samples, 1 + came))
            came += samples
    outbox.put(UtteranceEnd())
    said = taken(outbox)
    words = [int(event.text) for event in said if isinstance(event, Write)]
    assert words == [number for number, samples in enumerate(steps) if samples is None]
    assert all(before < after for before, after in pairwise(words))
    assert counting(came).endswith(sound(said))
    assert outbox.dropped == pytest.approx(came / RATE - len(sound(said)) / 2 / RATE)
    assert said[-1] == UtteranceEnd()
