"""What may be heard after an interruption: nothing of the answer that was spoken into, and all of the next one."""

from __future__ import annotations

import pytest

from audiotap.agent_events import (
    INTERRUPTED,
    AgentEvent,
    Replying,
    Speech,
    SpeechDone,
    SpeechStopped,
    Transcript,
    TurnDone,
)
from audiotap.audio import Chunk
from audiotap.net.agents.gate import PATIENCE, Cut, Gate

RATE = 16000


def piece(item: str, seconds: float = 0.2) -> Speech:
    """A piece of what an agent says."""
    return Speech(Chunk(bytes(2 * round(RATE * seconds)), RATE), item)


@pytest.fixture
def gate() -> Gate:
    return Gate()


def test_everything_is_heard_until_somebody_speaks_into_it(gate: Gate) -> None:
    """Whatever it is called."""
    assert all(gate.passes(piece(item), 0.0) for item in ("a", "b", "", "a"))


def test_what_comes_late_of_a_cut_item_is_dropped(gate: Gate) -> None:
    """Its name is not forgotten, however many others come and go."""
    gate.shut([Cut("a", 0.1, 1.0)], 0.0)
    for n, name in enumerate("bcd"):
        assert gate.heed(Replying(name)) == []
        assert gate.passes(piece(name), n)
        assert not gate.passes(piece("a"), n)


@pytest.mark.parametrize(
    "word", [Replying(), SpeechStopped(), Transcript("user", "Wait!"), SpeechDone(), TurnDone()], ids=str
)
def test_items_without_names(gate: Gate, word: AgentEvent) -> None:
    """What comes late of one is dropped, until the agent's words tell that it is over or that another one begins."""
    gate.shut([Cut("", 0.1, 1.0)], 0.0)
    assert not gate.passes(piece(""), 0.0)
    assert gate.heed(Transcript("agent", "I was say")) == []
    assert not gate.passes(piece(""), 0.1)
    assert gate.heed(TurnDone(status="cancelled", reason=INTERRUPTED)) == []
    assert not gate.passes(piece(""), 0.2)
    assert gate.heed(word) == []
    assert gate.passes(piece(""), 0.3)


def test_an_answer_that_nobody_announces(gate: Gate) -> None:
    """A cough cuts an answer, and nothing is told of it: what comes after a while is the next one."""
    gate.shut([Cut("", 0.1, 1.0)], 0.0)
    assert not gate.passes(piece(""), PATIENCE)
    assert not gate.passes(piece(""), 2 * PATIENCE)
    assert gate.passes(piece(""), 3 * PATIENCE + 0.1)
    assert gate.passes(piece(""), 3 * PATIENCE + 0.2)


@pytest.mark.parametrize("item", ["a", ""])
def test_an_answer_of_which_nothing_had_come(gate: Gate, item: str) -> None:
    """It is not heard at all, and that is told when it is over, with how much there was of it."""
    gate.shut([], 0.0)
    assert not gate.passes(piece(item), 0.1)
    assert not gate.passes(piece(item), 0.2)
    assert gate.heed(TurnDone(status="cancelled")) == [Cut(item, 0.0, 0.4)]
    assert gate.heed(Replying("r2")) == []
    assert gate.passes(piece("b"), 0.3)
    assert gate.passes(piece("a"), 0.3) is (item != "a")


def test_words_about_the_user_open_nothing_where_answers_have_ids(gate: Gate) -> None:
    """The transcript of what was said before may come at any time, in the middle of what is late."""
    gate.heed(Replying("r1"))
    gate.shut([], 0.0)
    for word in (Transcript("user", "What time is it?"), SpeechStopped(), SpeechDone()):
        gate.heed(word)
        assert not gate.passes(piece("a"), 0.1)
    gate.heed(Replying("r2"))
    assert gate.passes(piece("b"), 0.2)


def test_a_new_connection_has_names_of_its_own(gate: Gate) -> None:
    """An item that is called like one of before is another, and nothing is late."""
    gate.shut([Cut("a", 0.1, 1.0)], 0.0)
    gate.renew()
    assert gate.passes(piece("a"), 0.1)
    assert gate.heed(TurnDone()) == []
