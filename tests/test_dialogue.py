"""What was said, in its order: transcripts come late, in pieces, twice, and never."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.signals import RATE

from audiotap import dialogue as module
from audiotap.agent_events import (
    AgentEvent,
    Replying,
    Role,
    Speech,
    SpeechDone,
    SpeechStarted,
    SpeechStopped,
    Transcript,
    TurnDone,
    Write,
)
from audiotap.audio import Chunk
from audiotap.dialogue import MOST_TEXT, Dialogue


def hear(*events: AgentEvent) -> tuple[Dialogue, list[str]]:
    """A dialogue in which these events come second by second, and what it told of."""
    dialogue = Dialogue()
    told = [dialogue.take(event, float(second)) for second, event in enumerate(events)]
    return dialogue, [said.text for said in told if said is not None]


def lines(dialogue: Dialogue) -> list[tuple[str, float, str]]:
    return [(row["role"], row["at"], row["text"]) for row in dialogue.rows()]


def speech(item: str) -> Speech:
    return Speech(Chunk(bytes(320), RATE), item)


def test_a_question_that_is_written_down_after_its_answer() -> None:
    """It stands before the answer, at the time at which it was said, since its item was named there."""
    dialogue, told = hear(
        SpeechStarted(item="q"),
        SpeechStopped(item="q"),
        Replying(),
        speech("a"),
        Transcript("agent", "It is ", final=False, item="a"),
        Transcript("agent", "noon.", final=False, item="a"),
        Transcript("agent", "It is noon.", item="a"),
        TurnDone(),
        Transcript("user", "What time is it?", item="q"),
    )
    assert lines(dialogue) == [("user", 0.0, "What time is it?"), ("agent", 3.0, "It is noon.")]
    assert told == ["It is noon.", "What time is it?"]


def test_items_without_names() -> None:
    """The order of arrival is all there is, but for the user's words, which belong to where speech began."""
    dialogue, told = hear(
        Transcript("agent", "Hello!"),
        SpeechStarted(),
        Transcript("user", "Hi."),
        Transcript("agent", "What can I do?"),
        SpeechStarted(),
        SpeechStopped(),
        Transcript("user", "Nothing."),
    )
    assert lines(dialogue) == [
        ("agent", 0.0, "Hello!"),
        ("user", 1.0, "Hi."),
        ("agent", 3.0, "What can I do?"),
        ("user", 4.0, "Nothing."),
    ]
    assert len(told) == 4


def test_a_user_who_is_heard_without_being_announced() -> None:
    """An agent without a VAD of its own tells only what was said."""
    dialogue, _ = hear(Transcript("user", "Hi."), Replying(), Transcript("agent", "Ho."), Transcript("user", "Bye."))
    assert [row["text"] for row in dialogue.rows()] == ["Hi.", "Ho.", "Bye."]


def test_a_false_start_is_nothing() -> None:
    """Speech that never became text is left out."""
    dialogue, told = hear(SpeechStarted(), SpeechStopped(), SpeechStarted(item="q"), speech("a"), SpeechDone("a"))
    assert dialogue.rows() == []
    assert told == []


def test_a_final_text_is_told_once() -> None:
    """Saying it again changes nothing, and letters that come after it are not added to it."""
    dialogue, told = hear(
        Transcript("agent", "Yes.", item="a"),
        Transcript("agent", "Yes.", item="a"),
        Transcript("agent", "Yes", final=False, item="a"),
    )
    assert lines(dialogue) == [("agent", 0.0, "Yes.")]
    assert told == ["Yes."]


def test_an_item_of_several_parts() -> None:
    """A second final text of an item that differs from the first is another thing that was said."""
    dialogue, told = hear(
        Transcript("agent", "One", final=False, item="a"),
        Transcript("agent", "One.", item="a"),
        Transcript("agent", "Two", final=False, item="a"),
        Transcript("agent", "Two.", item="a"),
    )
    assert [row["text"] for row in dialogue.rows()] == told == ["One.", "Two."]


def test_the_same_name_on_both_sides() -> None:
    """An item belongs to who says it."""
    dialogue, _ = hear(Transcript("user", "Ping.", item="1"), Transcript("agent", "Pong.", item="1"))
    assert lines(dialogue) == [("user", 0.0, "Ping."), ("agent", 1.0, "Pong.")]


def test_an_answer_that_was_cut() -> None:
    """Its text is all that the agent said, with how much of it was heard beside it; others have no such figure."""
    dialogue, _ = hear(speech("a"), Transcript("agent", "A long story", final=False, item="a"), Transcript("user", "!"))
    dialogue.cut("a", 0.12345)
    dialogue.cut("b", 1.0)
    dialogue.cut("", 1.0)
    assert dialogue.rows() == [
        {"role": "agent", "at": 0.0, "text": "A long story", "final": False, "heard": 0.123},
        {"role": "user", "at": 2.0, "text": "!", "final": True},
    ]


def test_what_is_written_is_said_at_once() -> None:
    """A turn in text has its place like one that was spoken."""
    dialogue, _ = hear(Transcript("agent", "Hello!"))
    dialogue.wrote(Write("Hi."), 1.5)
    assert lines(dialogue) == [("agent", 0.0, "Hello!"), ("user", 1.5, "Hi.")]


def test_a_text_without_an_end_is_cut() -> None:
    """However much a network says."""
    dialogue, _ = hear(*(Transcript("agent", "x" * 30_000, final=False, item="a") for _ in range(5)))
    final = dialogue.take(Transcript("agent", "y" * 150_000, item="a"), 5.0)
    again = dialogue.take(Transcript("agent", "y" * 150_000, item="a"), 6.0)
    assert final is not None
    assert again is None
    assert [len(row["text"]) for row in dialogue.rows()] == [MOST_TEXT]


def test_things_without_an_end_are_not_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    """Beyond the limit they are told and forgotten, names and all."""
    monkeypatch.setattr(module, "MOST_SAID", 3)
    dialogue, told = hear(*(Transcript("agent", f"{n}", item=f"{n}") for n in range(9)))
    assert [row["text"] for row in dialogue.rows()] == ["0", "1", "2"]
    assert len(told) == 9
    assert len(dialogue._items) == 3


items = st.sampled_from(["", "1", "2"])
roles: st.SearchStrategy[Role] = st.sampled_from(["user", "agent"])
events: st.SearchStrategy[AgentEvent] = st.one_of(
    st.builds(SpeechStarted, item=items),
    st.builds(speech, items),
    st.just(Replying()),
    st.builds(Transcript, role=roles, text=st.sampled_from(["", "a", "b"]), final=st.booleans(), item=items),
)


@given(st.lists(events, max_size=30))
def test_any_order_of_events(said: list[AgentEvent]) -> None:
    """Places never move, no role changes, each final text that is told stands in the rows and is told once."""
    dialogue, told = hear(*said)
    rows = dialogue.rows()
    assert [row["at"] for row in rows] == sorted(row["at"] for row in rows)
    assert all(row["text"] for row in rows)
    assert sorted(told) == sorted(row["text"] for row in rows if row["final"])


def test_what_is_not_written_down_yet() -> None:
    """What the user said, and has a name, is waited for until it is text."""
    dialogue, _ = hear(SpeechStarted(item="q"), speech("a"), Transcript("agent", "It is noon.", item="a"))
    assert dialogue.unwritten
    dialogue.take(Transcript("user", "What time is it?", item="q"), 3.0)
    assert not dialogue.unwritten


@pytest.mark.parametrize("name", ["a", ""])
def test_a_new_connection_has_names_of_its_own(name: str) -> None:
    """What was begun on the one before stays as it is; the same name is somebody else's from now on."""
    dialogue, _ = hear(speech(name), Transcript("agent", "It is ", final=False, item=name))
    dialogue.renew()
    dialogue.take(Transcript("user", "Are you there?", item=name), 3.0)
    dialogue.take(Transcript("agent", "Yes.", item=name), 4.0)
    texts = [("agent", "It is "), ("user", "Are you there?"), ("agent", "Yes.")]
    assert [(role, text) for role, _, text in lines(dialogue)] == texts
