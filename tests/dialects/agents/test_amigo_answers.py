"""What an Amigo agent says, with the safest reading of what its page leaves open."""

from __future__ import annotations

import json
from typing import Any

import pytest
from tests.dialects.agents.amigo_pages import (
    FIRST,
    NEXT,
    SERVER,
    SETTINGS,
    kinds,
    ours,
    piece,
    read,
)
from tests.signals import counting, tone

from audiotap import mp3
from audiotap.agent_events import (
    Concluded,
    Doubt,
    Replying,
    Speech,
    SpeechDone,
    SpeechFile,
    SpeechStarted,
    SpeechStopped,
    Told,
    Transcript,
    TurnDone,
)
from audiotap.audio import Chunk
from audiotap.dialects.agents.amigo.server import MISSING, TEXT_FOR_AUDIO
from audiotap.dialects.agents.base import AgentSettings
from audiotap.dialects.agents.headers import with_wav_header
from audiotap.errors import WireError
from audiotap.events import Fault, Unknown


def test_an_answer_from_its_first_piece_to_its_end() -> None:
    """Replying, pieces, the last of them, the whole text, done."""
    last = piece(sequence_number=2, stop=True)
    assert read(ours(), SERVER["audio_chunk"], last, SERVER["interaction_complete"]) == [
        Replying("i1"),
        Transcript("agent", "Hello", final=False, item="m1"),
        Speech(FIRST, "m1", 1),
        SpeechDone("m1"),
        Transcript("agent", "Complete text or transcript", item="m1"),
        TurnDone("i1"),
    ]


def test_an_answer_without_a_last_piece_is_done_all_the_same() -> None:
    """The completion says so."""
    events = read(ours(), piece(FIRST.pcm), SERVER["interaction_complete"])
    assert kinds(events) == [Replying, Speech, SpeechDone, Transcript, TurnDone]


def test_the_agent_ends_the_conversation() -> None:
    """By a completion that says so."""
    ended = {**SERVER["interaction_complete"], "conversation_completed": True}
    assert read(ours(), piece(FIRST.pcm), ended)[-2:] == [TurnDone("i1", reason="conversation_completed"), Concluded()]


@pytest.mark.parametrize("nothing", [None, ""])
def test_a_piece_without_audio_is_none(nothing: str | None) -> None:
    """Null or empty, with an alignment or without one."""
    assert read(ours(), piece(message=nothing)) == [Replying("i1")]


def test_words_where_audio_should_be_are_read_as_words() -> None:
    """What is no base64 is text, and it's told once."""
    events = read(ours(), SERVER["text_chunk"], {**SERVER["text_chunk"], "sequence_number": 2})
    assert kinds(events) == [Replying, Transcript, Doubt, Transcript]
    assert events[2] == Doubt(TEXT_FOR_AUDIO)


def test_what_is_neither_audio_nor_words_is_malformed() -> None:
    """Broken base64 doesn't become a transcript."""
    with pytest.raises(WireError, match="neither"):
        read(ours(), piece(message="A" * 1001))
    with pytest.raises(WireError):
        read(ours(), piece(message=7))


def test_a_wav_is_heard_at_its_own_rate() -> None:
    """Its header is cut out, and the rest of the message goes on at that rate; the next message does not."""
    events = read(
        ours(),
        piece(with_wav_header(FIRST.pcm, 24000)),
        piece(NEXT.pcm, sequence_number=2),
        piece(NEXT.pcm, message_id="m2"),
    )
    chunks = [event.chunk for event in events if isinstance(event, Speech)]
    assert chunks == [Chunk(FIRST.pcm, 24000), Chunk(NEXT.pcm, 24000), NEXT]


@pytest.mark.parametrize("header", [b"\2\0\x80\x3e", b"\1\0\0\0"])
def test_a_wav_that_is_no_mono_s16le_is_malformed(header: bytes) -> None:
    """Stereo, or a rate that cannot be."""
    wav = bytearray(with_wav_header(FIRST.pcm, 16000))
    wav[22:26] = header
    with pytest.raises(WireError, match="WAV"):
        read(ours(), piece(bytes(wav)))


def test_the_rate_can_be_told() -> None:
    """The page doesn't tell it."""
    amigo = ours(AgentSettings(service="s", output_rate=24000))
    assert amigo.output_rate == 24000
    assert read(amigo, piece(FIRST.pcm))[-1] == Speech(Chunk(FIRST.pcm, 24000), "m1", 1)


def aligned(seconds: float, rate: int, until: float) -> list[dict[str, Any]]:
    """An answer of so many seconds, whose last character is spoken at `until`, and its end."""
    alignment = [[round(until * 10 * tenth), "a"] for tenth in range(101)]
    return [piece(bytes(2 * round(seconds * rate)), transcript_alignment=alignment), SERVER["interaction_complete"]]


@pytest.mark.parametrize(("rate", "factor"), [(24000, 1.5), (8000, 0.5), (44100, 2.756)])
def test_a_wrong_rate_is_noticed(rate: int, factor: float) -> None:
    """Three seconds at another rate don't fit their alignment: told once, with the rate that would."""
    amigo = ours()
    (doubt,) = [event for event in read(amigo, *aligned(3.0, rate, 2.9)) if isinstance(event, Doubt)]
    assert doubt.message.startswith(f"its audio is {3.0 * factor:.1f} s long at 16000 Hz, and 2.9 s by its words")
    assert doubt.message.endswith(f"--output-rate {rate}")
    again = [{**message, "message_id": "m2", "interaction_id": "i2"} for message in aligned(3.0, rate, 2.9)]
    assert Doubt not in kinds(read(amigo, *again))


@pytest.mark.parametrize("until", [2.9, 2.55, 3.5])
def test_a_right_rate_is_not_doubted(until: float) -> None:
    """An alignment ends before the audio does, and a fifth is no doubt."""
    assert Doubt not in kinds(read(ours(), *aligned(3.0, 16000, until)))


def test_an_answer_with_a_gap_is_not_doubted() -> None:
    """It's shorter than its alignment because some of it is missing."""
    first, last = aligned(3.0, 16000, 9.0)
    events = read(ours(), first, piece(FIRST.pcm, sequence_number=3), last)
    assert [event.kind for event in events if isinstance(event, Told)] == ["sequence-gap"]
    assert [event.message for event in events if isinstance(event, Doubt)] == [MISSING]


def test_an_mp3_is_handed_on_as_it_is() -> None:
    """Where it was asked for, and where it comes without being asked for."""
    file, _ = mp3.encode([Chunk(tone(1.0, 24000), 24000)], most=10**6)
    asked = AgentSettings(service="s", vad=False, form="mp3")
    for settings in (asked, SETTINGS):
        pieces = [piece(file[:2000]), piece(file[2000:], sequence_number=2)]
        data = [event for event in read(ours(settings), *pieces) if isinstance(event, SpeechFile)]
        assert data == [SpeechFile(file[:2000], "mp3", "m1"), SpeechFile(file[2000:], "mp3", "m1")]
    tagged = b"ID3\4\0\0\0\0\0\0" + file
    assert kinds(read(ours(), piece(tagged))) == [Replying, SpeechFile]


def test_samples_that_look_like_a_frame_are_samples() -> None:
    """One header of an MP3's frame is found in quiet sound as well."""
    assert kinds(read(ours(), piece(b"\xff\xfb\x90\x64" + bytes(1000)))) == [Replying, Speech]


@pytest.mark.parametrize("numbers", [[1, 2, 2, 3], [1, 2, 1, 3], [0, 1, 0, 2], [5, 6, 5, 7]])
def test_each_piece_is_heard_once(numbers: list[int]) -> None:
    """A number that was there already is told and dropped."""
    events = read(ours(), *(piece(counting(3, number), sequence_number=number) for number in numbers))
    heard = [event.number for event in events if isinstance(event, Speech)]
    assert heard == sorted(set(numbers))
    assert [event.kind for event in events if isinstance(event, Told)] == ["sequence-late"]


def test_a_gap_is_told_and_not_waited_for() -> None:
    """What comes after it is heard at once."""
    events = read(ours(), piece(FIRST.pcm), piece(NEXT.pcm, sequence_number=4))
    assert kinds(events) == [Replying, Speech, Told, Doubt, Speech]
    assert events[2] == Told("sequence-gap", {"message_id": "m1", "missing": 2, "sequence_number": 4})


def test_numbers_are_those_of_their_message() -> None:
    """Each message counts for itself, and one without numbers is heard as it comes."""
    pieces = [piece(FIRST.pcm, message_id=name, sequence_number=1) for name in ("a", "b")]
    bare = [piece(FIRST.pcm, message_id="c", sequence_number=None)] * 2
    assert kinds(read(ours(), *pieces, *bare)) == [Replying, Speech, Speech, Speech, Speech]


def test_a_piece_after_the_end_is_too_late() -> None:
    """A completion comes when all pieces were sent."""
    events = read(ours(), piece(FIRST.pcm), SERVER["interaction_complete"], piece(NEXT.pcm, sequence_number=2))
    assert kinds(events)[-1] is TurnDone


def test_a_completion_is_one_turn() -> None:
    """Said twice it's still one."""
    events = read(ours(), piece(FIRST.pcm), *[SERVER["interaction_complete"]] * 2)
    assert kinds(events).count(TurnDone) == 1


def test_an_interruption_ends_the_answer() -> None:
    """What still comes of it is dropped until there is a new message; its late completion is no second end."""
    amigo = ours()
    read(amigo, piece(FIRST.pcm))
    assert read(amigo, SERVER["speech_started"]) == [
        SpeechStarted(1.234),
        TurnDone("i1", "cancelled", "turn_detected"),
    ]
    assert read(amigo, piece(NEXT.pcm, sequence_number=2), piece(sequence_number=3, stop=True)) == []
    assert kinds(read(amigo, SERVER["interaction_complete"])) == [Transcript]
    new = piece(FIRST.pcm, message_id="m2", interaction_id="i2")
    assert read(amigo, new) == [Replying("i2"), Speech(FIRST, "m2", 1)]


def test_a_new_message_is_heard_whatever_its_interaction() -> None:
    """Only the interrupted message is dropped; its interaction may go on with another one, and end."""
    amigo = ours()
    read(amigo, piece(FIRST.pcm), SERVER["speech_started"])
    new = piece(FIRST.pcm, message_id="m2")
    events = read(amigo, new, {**SERVER["interaction_complete"], "message_id": "m2"})
    assert kinds(events) == [Replying, Speech, SpeechDone, Transcript, TurnDone]


def test_speech_into_silence_interrupts_nothing() -> None:
    """There is no answer that could end."""
    amigo = ours()
    read(amigo, piece(FIRST.pcm), SERVER["interaction_complete"])
    assert read(amigo, SERVER["speech_started"]) == [SpeechStarted(1.234)]


def test_an_answer_that_takes_the_place_of_another_ends_it() -> None:
    """As an urgent event has it, without any word for the end; the first one's late pieces don't come back."""
    amigo = ours()
    read(amigo, piece(FIRST.pcm))
    new = piece(FIRST.pcm, message_id="m2", interaction_id="i2")
    events = read(amigo, new, piece(NEXT.pcm, sequence_number=2))
    assert events == [TurnDone("i1", "cancelled", "turn_detected"), Replying("i2"), Speech(FIRST, "m2", 1)]


def test_a_filler_belongs_to_its_answer() -> None:
    """Another message of the same interaction: one turn, two items."""
    filler = piece(with_wav_header(FIRST.pcm, 16000), message_id="f1", stop=True)
    events = read(ours(), filler, piece(FIRST.pcm), SERVER["interaction_complete"])
    assert kinds(events) == [Replying, Speech, SpeechDone, Speech, SpeechDone, Transcript, TurnDone]


def test_pieces_without_ids_are_heard() -> None:
    """They can't be told apart, and so none of them is dropped."""
    bare = piece(FIRST.pcm, message_id=None, interaction_id=None)
    events = read(ours(), bare, bare, {"type": "server.interaction-complete"})
    assert kinds(events) == [Replying, Speech, Speech, TurnDone]


def test_times_go_on_after_a_reset() -> None:
    """The new zero lies on the old clock."""
    reset = {"type": "server.vad-speech-reset-zero", "timestamp": 10.0}
    events = read(ours(), reset, SERVER["speech_started"], reset, SERVER["speech_ended"])
    assert events[1].at == pytest.approx(11.234)
    assert events[3].at == pytest.approx(23.456)


def test_an_empty_transcript_is_none() -> None:
    """The user was heard to stop, and that's all."""
    assert read(ours(), {**SERVER["speech_ended"], "transcript": ""}) == [SpeechStopped(3.456)]


def test_an_error_takes_the_answer_back() -> None:
    """The words are those of the HTTP interface; the connection goes on, and so may the answer after all."""
    amigo = ours()
    read(amigo, piece(FIRST.pcm))
    error = {"type": "server.error", "http_error_code": 500, "error_description": "no"}
    assert read(amigo, error) == [Fault("500", "no", fatal=False), TurnDone("i1", "failed", "no")]
    assert read(amigo, error) == [Fault("500", "no", fatal=False)]
    rest = [piece(NEXT.pcm, sequence_number=2), SERVER["interaction_complete"]]
    assert kinds(read(amigo, *rest)) == [Replying, Speech, SpeechDone, Transcript, TurnDone]


def test_what_the_agent_is_doing_is_told() -> None:
    """Where it was asked for by `action=`."""
    doing = {"type": "server.current-agent-action", "action": {"type": "tool.x"}}
    assert read(ours(), doing) == [Told("current-agent-action", {"action": {"type": "tool.x"}})]


@pytest.mark.parametrize("kind", ["Ack", "AgentAudio", "server.new-thing", "client.extend-timeout", ""])
def test_other_words_are_unknown_and_no_errors(kind: str) -> None:
    """Those of the page's diagram, and what is yet to come."""
    wire = json.dumps({"type": kind, "a": 1})
    assert ours().decode(wire) == [Unknown(kind, wire)]
