"""Turns, measured: who said what when is handed in, and the figures are taken again by hand."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import asdict
from tests.signals import RATE, tone

from audiotap.agent_events import (
    INTERRUPTED,
    AgentEvent,
    Replying,
    Speech,
    SpeechFile,
    SpeechStarted,
    SpeechStopped,
    ToolCall,
    Transcript,
    TurnDone,
)
from audiotap.audio import Chunk
from audiotap.turns import Turn, Turns

BLOCK = 0.02
SPEECH = Speech(Chunk(tone(0.1), RATE))


def play(turns: Turns, plays_at: float, pcm: bytes, block: float = BLOCK) -> None:
    """Hear audio as a mouth plays it: block by block, the last one shorter."""
    size = 2 * round(block * RATE)
    for at in range(0, len(pcm), size):
        turns.played(plays_at + at / 2 / RATE, pcm[at : at + size], RATE)


def silence(seconds: float) -> bytes:
    return bytes(2 * round(seconds * RATE))


def asked(until: float = 2.0, *, in_text: bool = False) -> tuple[Turns, Turn]:
    """A turn in which the user spoke from 1 s on."""
    turns = Turns(in_text=in_text)
    turn = turns.begin("question.wav", 1.0)
    turns.said(until)
    return turns, turn


def test_a_turn_from_the_question_to_the_end_of_the_answer() -> None:
    """Every figure is the difference of two times that are in the turn, too."""
    turns, turn = asked()
    turns.heard(SpeechStopped(), 2.5)
    turns.heard(Replying(), 2.6)
    turns.heard(SPEECH, 2.75)
    play(turns, 2.75, silence(0.25) + tone(1))
    turns.heard(TurnDone(), 3.5)
    whole = Turn(1, "question.wav", 1.0, 2.0, 2.5, 2.75, 2.75, 3.0, 3.5, "completed")
    assert asdict(turn) == pytest.approx(asdict(whole))
    assert turn.answered
    assert turn.figures() == {"response": 1.0, "first_byte": 0.75, "server": 0.25, "answer": 0.75}


def test_what_was_not_seen_is_missing() -> None:
    """A question without an answer has no figures, and none of them is 0."""
    _, turn = asked()
    assert not turn.answered
    assert turn.status == "missing"
    assert set(turn.figures().values()) == {None}


def test_nothing_is_measured_before_a_turn_begins() -> None:
    """An agent that speaks first, unasked, is nobody's answer."""
    turns = Turns()
    turns.heard(SPEECH, 1.0)
    turns.played(1.0, tone(1), RATE)
    turns.said(2.0)
    assert turns.turns == []
    assert turns.current is None


@pytest.mark.parametrize("block", [0.01, 0.02, 0.05, 0.1, 1.0])
def test_the_first_sound_is_found_in_blocks_of_any_length(block: float) -> None:
    """Also in blocks that are shorter than what counts as sound."""
    turns, turn = asked()
    turns.heard(SPEECH, 3.0)
    play(turns, 3.0, silence(0.5) + tone(1), block)
    assert turn.first_sound == pytest.approx(3.5)


@given(st.integers(0, 800), st.integers(1, 800))
def test_the_first_sound_is_where_it_is(quiet: int, block: int) -> None:
    """However much silence lies before it and however it is cut, to a frame of 10 ms."""
    turns, turn = asked()
    turns.heard(SPEECH, 3.0)
    play(turns, 3.0, silence(quiet / 1000) + tone(0.2), block / 1000)
    assert turn.first_sound == pytest.approx(3.0 + quiet / 1000, abs=0.0101)


def test_a_click_is_no_first_sound() -> None:
    """Less than 50 ms of it is none on either side of a conversation."""
    turns, turn = asked()
    turns.heard(SPEECH, 3.0)
    play(turns, 3.0, tone(0.03) + silence(0.47) + tone(1))
    assert turn.first_sound == pytest.approx(3.5)


def test_pieces_with_a_hole_between_them_are_not_one_sound() -> None:
    """Two clicks that are far apart in time are next to each other in the stream, and still no speech."""
    turns, turn = asked()
    turns.heard(SPEECH, 3.0)
    play(turns, 3.0, tone(0.04))
    play(turns, 4.0, tone(0.04))
    assert turn.first_sound is None
    play(turns, 5.0, tone(0.06))
    assert turn.first_sound == pytest.approx(5.0)


def test_a_player_that_stumbles_is_still_heard() -> None:
    """Blocks that come a little late each are one sound, which begins with the first of them."""
    turns, turn = asked()
    turns.heard(SPEECH, 3.0)
    for n in range(5):
        turns.played(3.0 + n * (BLOCK + 0.005), tone(BLOCK), RATE)
    assert turn.first_sound == pytest.approx(3.0, abs=0.02)


def test_an_answer_to_half_of_a_question_is_none() -> None:
    """The user paused and went on: what the agent said and did in the pause is taken back."""
    turns, turn = asked(2.0)
    turns.heard(SpeechStopped(), 2.1)
    turns.heard(SPEECH, 2.2)
    play(turns, 2.2, tone(0.2))
    turns.heard(TurnDone(), 2.4)
    turns.said(3.0)
    assert turn == Turn(1, "question.wav", 1.0, 3.0, first_sound=None, status="missing")
    turns.heard(SPEECH, 3.5)
    assert turn.figures()["first_byte"] == 0.5


def test_an_end_that_is_told_again_changes_nothing() -> None:
    """An answer that came after it stays one."""
    turns, turn = asked()
    turns.heard(SPEECH, 2.5)
    play(turns, 2.5, tone(0.2))
    turns.said(2.0)
    assert turn.figures()["response"] == 0.5


def test_an_interrupted_answer_is_not_the_end() -> None:
    """The agent stopped because the user spoke: another answer follows, and that one counts."""
    turns, turn = asked()
    turns.heard(SPEECH, 2.5)
    turns.heard(TurnDone(status="cancelled", reason=INTERRUPTED), 2.6)
    assert turn.status == "answering"
    turns.heard(TurnDone(status="cancelled", reason="client_cancelled"), 2.7)
    assert (turn.ended, turn.status, turn.reason) == (2.7, "cancelled", "client_cancelled")


def test_an_answer_of_two_parts_ends_with_the_second() -> None:
    """After a tool call another answer follows by itself; the first sound is the first part's."""
    turns, turn = asked()
    turns.heard(SPEECH, 2.5)
    turns.heard(TurnDone(pending=True), 2.6)
    assert turn.status == "answering"
    turns.heard(SPEECH, 4.0)
    turns.heard(TurnDone(), 5.0)
    assert turn.figures()["answer"] == 2.5


def test_an_answer_in_text() -> None:
    """Where the agent answers in text its first letter counts, otherwise a transcript is no answer."""
    turns, turn = asked(in_text=True)
    turns.heard(Transcript("user", "Hello?", final=False), 2.1)
    turns.heard(Transcript("agent", "", final=False), 2.2)
    assert not turn.answered
    turns.heard(Transcript("agent", "H", final=False), 2.5)
    assert turn.first_byte == 2.5

    turns, turn = asked()
    turns.heard(Transcript("agent", "Hello."), 2.5)
    assert not turn.answered


def test_an_answer_as_a_file() -> None:
    """Encoded audio is measured to its first byte; nobody has heard it."""
    turns, turn = asked()
    turns.heard(SpeechFile(b"ID3", "mp3"), 2.5)
    assert turn.figures() == {"response": None, "first_byte": 0.5, "server": None, "answer": None}


def test_turns_follow_each_other() -> None:
    """Each has its number, and what the agent says belongs to the last one."""
    turns, first = asked()
    turns.heard(SPEECH, 2.5)
    play(turns, 2.5, tone(1))
    second = turns.begin("again.wav", 5.0)
    turns.said(6.0)
    turns.heard(SPEECH, 6.25)
    play(turns, 6.25, tone(1))
    assert [turn.number for turn in turns.turns] == [1, 2]
    assert [turn.figures()["response"] for turn in (first, second)] == [0.5, 0.25]


def test_the_servers_figure_needs_its_word() -> None:
    """From the agent's own word for the end of speech, the last one, to the first byte after it."""
    turns, turn = asked()
    turns.heard(SpeechStopped(), 2.1)
    turns.heard(SPEECH, 2.2)
    turns.heard(SpeechStopped(), 2.3)
    turns.heard(SPEECH, 2.7)
    assert turn.figures()["server"] == 0.4


def test_the_rest_of_an_answer_belongs_to_the_turn_that_it_answers() -> None:
    """The user goes on to another turn: what still comes of the last answer, and its end, are no answer to that one."""
    turns, first = asked()
    turns.heard(Replying("r1"), 2.4)
    turns.heard(Speech(SPEECH.chunk, "i1"), 2.5)
    turns.interrupted(3.0)
    second = turns.begin("text: and then?")
    turns.said(3.0)
    turns.heard(Speech(SPEECH.chunk, "i1"), 3.1)
    turns.heard(TurnDone("r1", "cancelled", "client_cancelled"), 3.2)
    assert not second.answered
    assert asdict(first)["ended"] == 3.0
    assert first.status == "cancelled"
    turns.heard(Replying("r2"), 3.3)
    turns.heard(Speech(SPEECH.chunk, "i2"), 3.4)
    turns.heard(TurnDone("r2"), 3.5)
    assert (second.first_byte, second.ended, second.status) == (3.4, 3.5, "completed")


def test_the_rest_of_an_answer_without_a_name() -> None:
    """It goes on until its end is told."""
    turns, first = asked()
    turns.heard(SPEECH, 2.5)
    turns.interrupted(3.0)
    second = turns.begin("text: and then?")
    turns.said(3.0)
    turns.heard(SPEECH, 3.1)
    turns.heard(TurnDone(), 3.2)
    assert (first.status, second.answered) == ("cancelled", False)
    turns.heard(SPEECH, 3.4)
    assert second.first_byte == 3.4


@pytest.mark.parametrize("more", [SpeechStarted(), Replying(), ToolCall("1", "look_up", "{}", ours=False)])
def test_an_answer_that_goes_on(more: AgentEvent) -> None:
    """The agent heard something, or does something: another end is to come, and until then the first one counts."""
    turns, turn = asked()
    turns.heard(SPEECH, 2.5)
    turns.heard(TurnDone(), 3.0)
    assert not turns.more
    turns.heard(more, 3.1)
    assert turns.more
    assert (turn.ended, turn.status) == (3.0, "completed")
    turns.heard(SPEECH, 6.0)
    turns.heard(TurnDone(status="failed"), 6.5)
    assert not turns.more
    assert (turn.ended, turn.broken) == (6.5, True)


def test_a_question_that_nobody_could_measure() -> None:
    """No end of speech was found in it: it is answered, and has no figures."""
    turns = Turns()
    turn = turns.begin("quiet.wav")
    turns.heard(SPEECH, 2.5)
    play(turns, 2.5, tone(1))
    turns.heard(TurnDone(), 3.0)
    assert (turn.answered, turn.status) == (True, "completed")
    assert turn.figures() == {"response": None, "first_byte": None, "server": None, "answer": 0.5}
