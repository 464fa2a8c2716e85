"""Amigo's words and manners, as its page has them, and the safest reading of what that page leaves open."""

from __future__ import annotations

import json
import re
from base64 import b64encode
from pathlib import Path
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.signals import counting, tone

from audiotap import mp3
from audiotap.agent_events import (
    AgentEvent,
    Cancel,
    Conclude,
    Concluded,
    Configure,
    Configured,
    KeepAlive,
    Leave,
    Listen,
    ListenFile,
    Met,
    Recall,
    Replying,
    Resume,
    Speech,
    SpeechDone,
    SpeechFile,
    SpeechStarted,
    SpeechStopped,
    Told,
    ToolCall,
    ToolResult,
    Transcript,
    Truncate,
    TurnDone,
    UserEvent,
    UtteranceEnd,
    VadMode,
    Write,
)
from audiotap.audio import Chunk
from audiotap.dialects.agents import AGENTS
from audiotap.dialects.agents.amigo import BEARER, Amigo
from audiotap.dialects.agents.amigo_client import LARGEST
from audiotap.dialects.agents.base import Account, AgentDialect, AgentSettings, Memory, Said, Step
from audiotap.dialects.agents.headers import with_wav_header
from audiotap.dialects.base import MAX_TEXT, Side
from audiotap.errors import Exit, UnspokenError, UsageError, WireError
from audiotap.events import Fault, Unknown

FIXTURES = Path(__file__).parent / "fixtures"
CLIENT: dict[str, dict[str, Any]] = json.loads(FIXTURES.joinpath("amigo_client.json").read_text())
SERVER: dict[str, dict[str, Any]] = json.loads(FIXTURES.joinpath("amigo_server.json").read_text())
JWT = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJ1c2VyIn0.c2lnbmF0dXJl"
SETTINGS = AgentSettings(service="your-service-id")
NO_VAD = AgentSettings(service="your-service-id", vad=False)
ACCOUNT = Account(JWT, organization="your-org")
FIRST = Chunk(counting(3), 16000)
NEXT = Chunk(counting(3, 4), 16000)


def ours(settings: AgentSettings = SETTINGS, conversation: str = "") -> Amigo:
    return Amigo(Side.OURS, settings, Memory(conversation))


def theirs(settings: AgentSettings = SETTINGS) -> Amigo:
    return Amigo(Side.THEIRS, settings)


def opened(settings: AgentSettings = SETTINGS) -> Amigo:
    """A dialect whose opening is done."""
    amigo = ours(settings)
    say(amigo, *amigo.opening())
    hear(amigo, SERVER["created"])
    if settings.vad:
        hear(amigo, SERVER["vad_switched"])
    assert amigo.ready
    return amigo


def say(amigo: Amigo, *events: UserEvent) -> list[dict[str, Any]]:
    """What is sent for events."""
    return [json.loads(wire) for event in events for wire in amigo.encode(event)]


def hear(amigo: Amigo, *messages: dict[str, Any]) -> list[dict[str, Any]]:
    """What is sent because of messages."""
    events = [event for message in messages for event in read(amigo, message)]
    return [sent for event in events for answer in amigo.reply(event) for sent in say(amigo, answer)]


def read(amigo: Amigo, *messages: dict[str, Any]) -> list[Any]:
    return [event for message in messages for event in amigo.decode(json.dumps(message))]


def piece(pcm: bytes = b"", **fields: Any) -> dict[str, Any]:
    """A piece of an answer, with some fields otherwise."""
    told = {"message": b64encode(pcm).decode(), "transcript_alignment": None}
    return {**SERVER["audio_chunk"], **told, **fields}


def kinds(events: list[Any]) -> list[type]:
    return [type(event) for event in events]


# The page


@pytest.mark.parametrize(
    ("name", "event"),
    [
        ("start", Configure()),
        ("continue", Resume("existing-conversation-id")),
        ("user_message", Write("Hello, how can you help me?")),
        ("event", Write("User navigated to checkout page", event=True, start=False)),
        ("urgent_event", Write("Critical system alert", event=True, start=True)),
        ("first_chunk", Listen(FIRST)),
        ("vad_on", VadMode(on=True)),
        ("vad_off", VadMode(on=False)),
        ("finish", Conclude()),
        ("close", Leave()),
        ("extend", KeepAlive()),
    ],
)
def test_we_say_it_as_the_page_does(name: str, event: UserEvent) -> None:
    """The same keys with the same values, and nothing else; read back it is what was said."""
    assert say(ours(), event) == [CLIENT[name]]
    (heard,) = theirs().decode(json.dumps(CLIENT[name]))
    assert heard == (Configure(CLIENT["start"]) if isinstance(event, Configure) else event)


def test_an_utterance_is_said_as_on_the_page() -> None:
    """Its first chunk has the config, the next ones have none, and null ends it; the next utterance begins anew."""
    amigo = opened(NO_VAD)
    utterance: list[UserEvent] = [Listen(FIRST), Listen(NEXT), UtteranceEnd()]
    said = say(amigo, *utterance * 2)
    page = [CLIENT["first_chunk"], CLIENT["next_chunk"], CLIENT["end_of_audio"]]
    assert said == page * 2
    reader = theirs()
    assert read(reader, *said) == utterance * 2


@pytest.mark.parametrize(
    ("name", "events"),
    [
        ("created", [Configured("507f1f77bcf86cd799439012")]),
        ("retrieved", [Configured("mine")]),
        ("completed", [Concluded()]),
        (
            "audio_chunk",
            [Replying("i1"), Transcript("agent", "Hello", final=False, item="m1"), Speech(FIRST, "m1", 1)],
        ),
        (
            "interaction_complete",
            [Replying("i1"), Transcript("agent", "Complete text or transcript", item="m1"), TurnDone("i1")],
        ),
        ("speech_started", [SpeechStarted(1.234)]),
        ("speech_ended", [SpeechStopped(3.456), Transcript("user", "What the user said")]),
        ("reset_zero", [Told("vad-speech-reset-zero", {"timestamp": 0.0})]),
        ("vad_switched", [VadMode(on=True)]),
        ("vad_switched_off", [VadMode(on=False)]),
    ],
)
def test_we_read_what_the_page_says(name: str, events: list[AgentEvent]) -> None:
    """Every message that the page has of a server."""
    assert read(ours(conversation="mine"), SERVER[name]) == events


def test_a_text_answer_is_read_as_text() -> None:
    """With text asked for, the same message holds words."""
    amigo = ours(AgentSettings(service="s", text=True))
    delta = Transcript("agent", "Hello! I can help you with...", final=False, item="m1")
    assert read(amigo, SERVER["text_chunk"]) == [Replying("i1"), delta]
    assert read(amigo, {**SERVER["text_chunk"], "sequence_number": 2, "message": "", "stop": True}) == []


@pytest.mark.parametrize(
    "name", ["created", "completed", "speech_started", "reset_zero", "vad_switched", "vad_switched_off"]
)
def test_the_simulated_server_says_it_as_the_page_does(name: str) -> None:
    """What a single event makes a message of, it makes that very message of."""
    spoken = [json.loads(wire) for event in read(ours(), SERVER[name]) for wire in theirs().encode(event)]
    assert spoken == [SERVER[name]]


def test_the_simulated_server_answers_as_the_page_does() -> None:
    """A turn has all the keys that the page's messages have, and the user's end its transcript."""
    amigo = theirs()
    turn: list[AgentEvent] = [
        SpeechStarted(1.234),
        SpeechStopped(3.456),
        Transcript("user", "What the user said"),
        Replying("i1"),
        Speech(FIRST, "m1"),
        Transcript("agent", "Complete text or transcript", item="m1"),
        SpeechDone("m1"),
        TurnDone("i1"),
    ]
    said = [json.loads(wire) for event in turn for wire in amigo.encode(event)]
    assert said[:2] == [SERVER["speech_started"], SERVER["speech_ended"]]
    assert said[2] == {**SERVER["audio_chunk"], "transcript_alignment": None}
    assert said[3].keys() == SERVER["audio_chunk"].keys()
    assert said[3]["stop"]
    assert said[4] == SERVER["interaction_complete"]


# The opening and the end


def test_the_opening_in_vad_mode() -> None:
    """Start, created, VAD on, switched: ready. Nothing is sent before the conversation is there."""
    amigo = ours()
    assert say(amigo, *amigo.opening()) == [CLIENT["start"]]
    assert not amigo.ready
    assert hear(amigo, SERVER["created"]) == [CLIENT["vad_on"]]
    assert not amigo.ready
    assert hear(amigo, SERVER["vad_switched"]) == []
    assert amigo.ready


def test_the_opening_without_vad() -> None:
    """Created is enough."""
    amigo = ours(NO_VAD)
    assert say(amigo, *amigo.opening()) == [CLIENT["start"]]
    assert hear(amigo, SERVER["created"]) == []
    assert amigo.ready


def test_a_conversation_is_gone_on_with() -> None:
    """By its id; the same opening follows."""
    amigo = ours(conversation="existing-conversation-id")
    assert say(amigo, *amigo.opening()) == [CLIENT["continue"]]
    assert hear(amigo, SERVER["retrieved"], SERVER["vad_switched"]) == [CLIENT["vad_on"]]
    assert amigo.ready


def test_an_agent_that_speaks_before_the_opening_is_done_is_heard() -> None:
    """Its greeting may come any time, and nobody waits for one."""
    amigo = ours()
    say(amigo, *amigo.opening())
    assert kinds(read(amigo, piece(FIRST.pcm))) == [Replying, Speech]
    assert hear(amigo, SERVER["created"]) == [CLIENT["vad_on"]]


def test_the_first_message_is_waited_for_where_that_is_wished() -> None:
    """The diagram's order: the agent's first answer is complete before the VAD mode is switched on."""
    amigo = ours(AgentSettings(service="s", options=frozenset({"first-message"})))
    assert hear(amigo, SERVER["created"], piece(FIRST.pcm)) == []
    assert hear(amigo, SERVER["interaction_complete"]) == [CLIENT["vad_on"]]
    resumed = ours(AgentSettings(service="s", options=frozenset({"first-message"})), "c")
    assert hear(resumed, SERVER["retrieved"]) == [CLIENT["vad_on"]]


def test_what_is_laid_over_the_start() -> None:
    """Another version set, and whatever the page will once have."""
    amigo = ours(AgentSettings(service="s", service_version="edge", extra={"new": {"a": 1}}))
    (start,) = say(amigo, Configure())
    assert start == {
        "type": "client.start-conversation",
        "service_id": "s",
        "service_version_set_name": "edge",
        "new": {"a": 1},
    }


def test_leaving_in_vad_mode() -> None:
    """VAD off, its acknowledgement within 10 s, then either word; finishing waits for the last one."""
    off = Step(VadMode(on=False), VadMode, 10.0)
    assert opened().leaving(finish=False) == [off, Step(Leave())]
    assert opened().leaving(finish=True) == [off, Step(Conclude(), Concluded, 10.0)]


def test_leaving_without_vad() -> None:
    """The same, with nothing to be switched off; nor is there after it was."""
    assert opened(NO_VAD).leaving(finish=False) == [Step(Leave())]
    assert opened(NO_VAD).leaving(finish=True) == [Step(Conclude(), Concluded, 10.0)]
    amigo = opened()
    assert hear(amigo, SERVER["vad_switched_off"]) == []
    assert amigo.leaving(finish=False) == [Step(Leave())]


def test_nothing_is_finished_that_is_not_there() -> None:
    """Before the conversation is there, and after the agent ended it, there is only the connection."""
    assert ours().leaving(finish=True) == [Step(Leave())]
    amigo = opened()
    assert hear(amigo, SERVER["completed"]) == []
    assert not amigo.ready
    assert amigo.leaving(finish=True) == [Step(Leave())]


@pytest.mark.parametrize(
    ("code", "status"),
    [
        (3000, Exit.REFUSED),
        (3003, Exit.REFUSED),
        (4000, Exit.FAILED),
        (4004, Exit.NOBODY),
        (4009, Exit.FAILED),
        (4015, Exit.FAILED),
        (4321, Exit.FAILED),
        (1009, Exit.FAILED),
    ],
)
def test_some_closes_are_final(code: int, status: Exit) -> None:
    """What would only happen again."""
    ending = opened().ending(code, "because")
    assert (ending.again, ending.status) == (False, status)
    assert "because" in ending.message


@pytest.mark.parametrize("code", [3008, 4029, 1006, 1011, 1012, 1001, 1013])
def test_some_closes_are_worth_another_dial(code: int) -> None:
    """A time-out, too many messages, a lost connection, a server that is started again."""
    assert opened().ending(code, "").again


@pytest.mark.parametrize("code", [1000, 1006, 3008, 4009])
def test_a_close_after_the_end_is_the_end(code: int) -> None:
    """Whoever said the last word, and however the connection is closed then."""
    left = opened()
    say(left, Leave())
    concluded = opened()
    hear(concluded, SERVER["completed"])
    for amigo in (left, concluded):
        assert amigo.ending(code, "").status is Exit.OK
        assert not amigo.ending(code, "").again


def test_a_normal_close_is_a_normal_end() -> None:
    """The server may end it as well."""
    assert opened().ending(1000, "").status is Exit.OK


# The user's side


def test_in_vad_mode_audio_has_no_end() -> None:
    """The config once for the connection, and never null; after the mode was switched, the config again."""
    amigo = opened()
    said = say(amigo, Listen(FIRST), UtteranceEnd(), Listen(NEXT))
    assert said == [CLIENT["first_chunk"], CLIENT["next_chunk"]]
    say(amigo, VadMode(on=False))
    assert say(amigo, Listen(FIRST), UtteranceEnd()) == [CLIENT["first_chunk"]]
    hear(amigo, SERVER["vad_switched_off"])
    assert say(amigo, UtteranceEnd()) == [CLIENT["end_of_audio"]]


def test_null_needs_an_utterance() -> None:
    """Where nothing was said, nothing is ended."""
    assert say(opened(NO_VAD), UtteranceEnd(), Write("a"), UtteranceEnd())[1:] == []


def test_a_new_rate_is_told() -> None:
    """Also in the middle of an utterance."""
    amigo = opened(NO_VAD)
    said = say(amigo, Listen(FIRST), Listen(Chunk(NEXT.pcm, 8000)))
    assert said[1]["audio_config"]["frame_rate"] == said[1]["audio_config"]["sample_rate"] == 8000
    assert read(theirs(), *said) == [Listen(FIRST), Listen(Chunk(NEXT.pcm, 8000))]


def test_the_type_field_is_added_where_it_is_wished() -> None:
    """The OpenAPI document's word beside the page's."""
    amigo = opened(AgentSettings(service="s", vad=False, options=frozenset({"type-field"})))
    (said,) = say(amigo, Listen(FIRST))
    assert said["audio_config"] == CLIENT["first_chunk"]["audio_config"] | {"type": "pcm"}


def test_blocks_leave_room_for_other_words() -> None:
    """60 ms are 1000 messages a minute; 50 would be all of the 1200."""
    assert 60 / Amigo.block <= Amigo.most_per_minute - 60 / Amigo.idle
    assert Amigo.block <= 0.06


@pytest.mark.parametrize("size", [1, 700_000, 700_002, 2_000_000])
def test_no_message_is_too_large(size: int) -> None:
    """Audio is cut into messages below 1 MB, and comes together again."""
    pcm = bytes(size)
    wires = opened(NO_VAD).encode(Listen(Chunk(pcm, 16000)))
    assert all(len(wire) < LARGEST for wire in wires)
    reader = theirs()
    assert (
        b"".join(event.chunk.pcm for wire in wires for event in reader.decode(wire) if isinstance(event, Listen)) == pcm
    )


def test_a_text_that_is_too_large_is_not_said() -> None:
    """Better told here than by a close code."""
    with pytest.raises(UnspokenError, match=str(LARGEST)):
        ours().encode(Write("x" * LARGEST))
    with pytest.raises(WireError, match=str(LARGEST)):
        theirs().decode(json.dumps({"type": "client.new-text-message", "text": "x" * LARGEST}))


def test_an_mp3_is_said_as_it_is() -> None:
    """With the figures of its own first frame, once for the utterance; null ends it."""
    file, _ = mp3.encode([Chunk(tone(1.0, 24000), 24000)], most=10**6)
    amigo = opened(NO_VAD)
    half = len(file) // 2
    said = say(amigo, ListenFile(file[:half], "mp3"), ListenFile(file[half:], "mp3"), UtteranceEnd())
    config = {"format": "mp3", "bit_rate": 80000, "sample_rate": 24000, "n_channels": 1}
    assert [message.get("audio_config") for message in said] == [config, None, None]
    assert read(theirs(), *said) == [ListenFile(file[:half], "mp3"), ListenFile(file[half:], "mp3"), UtteranceEnd()]


def test_an_mp3_without_a_frame_has_the_pages_figures() -> None:
    """A tag of half a megabyte may come first."""
    (said,) = say(opened(NO_VAD), ListenFile(b"ID3\4\0\0\0\0\x7f\x7f", "mp3"))
    assert said["audio_config"] == {"format": "mp3", "bit_rate": 128000, "sample_rate": 44100, "n_channels": 2}


def test_in_vad_mode_no_mp3_is_said() -> None:
    """The server would close with 4015."""
    with pytest.raises(UnspokenError, match="VAD"):
        opened().encode(ListenFile(b"", "mp3"))
    with pytest.raises(UnspokenError, match="ogg"):
        opened(NO_VAD).encode(ListenFile(b"", "ogg"))


@pytest.mark.parametrize("event", [Cancel(), Truncate("m1", 1.0), Recall("user", "a"), ToolResult("a", "b", "c")])
def test_it_has_no_word_for_some_things(event: UserEvent) -> None:
    """Nothing can be taken back, and tools run at the vendor's."""
    with pytest.raises(UnspokenError, match=type(event).__name__):
        ours().encode(event)


# The agent's side


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
    assert kinds(events) == [Replying, Transcript, Told, Transcript]
    assert events[2].kind == "text-for-audio"


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
    (told,) = [event for event in read(amigo, *aligned(3.0, rate, 2.9)) if isinstance(event, Told)]
    assert told.kind == "rate-doubt"
    assert told.data["perhaps"] == rate
    assert told.data["rate"] == 16000
    assert told.data["audio_seconds"] == pytest.approx(3.0 * factor, abs=0.01)
    again = [{**message, "message_id": "m2", "interaction_id": "i2"} for message in aligned(3.0, rate, 2.9)]
    assert Told not in kinds(read(amigo, *again))


@pytest.mark.parametrize("until", [2.9, 2.55, 3.5])
def test_a_right_rate_is_not_doubted(until: float) -> None:
    """An alignment ends before the audio does, and a fifth is no doubt."""
    assert Told not in kinds(read(ours(), *aligned(3.0, 16000, until)))


def test_an_answer_with_a_gap_is_not_doubted() -> None:
    """It's shorter than its alignment because some of it is missing."""
    first, last = aligned(3.0, 16000, 9.0)
    events = read(ours(), first, piece(FIRST.pcm, sequence_number=3), last)
    assert [event.kind for event in events if isinstance(event, Told)] == ["sequence-gap"]


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
    assert kinds(events) == [Replying, Speech, Told, Speech]
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
    """The words are those of the HTTP interface; the connection goes on."""
    amigo = ours()
    read(amigo, piece(FIRST.pcm))
    error = {"type": "server.error", "http_error_code": 500, "error_description": "no"}
    assert read(amigo, error) == [Fault("500", "no", fatal=False), TurnDone("i1", "failed", "no")]


def test_what_the_agent_is_doing_is_told() -> None:
    """Where it was asked for by `action=`."""
    doing = {"type": "server.current-agent-action", "action": {"type": "tool.x"}}
    assert read(ours(), doing) == [Told("current-agent-action", {"action": {"type": "tool.x"}})]


@pytest.mark.parametrize("kind", ["Ack", "AgentAudio", "server.new-thing", "client.extend-timeout", ""])
def test_other_words_are_unknown_and_no_errors(kind: str) -> None:
    """Those of the page's diagram, and what is yet to come."""
    wire = json.dumps({"type": kind, "a": 1})
    assert ours().decode(wire) == [Unknown(kind, wire)]


# Where it is


def test_the_address_is_the_pages() -> None:
    """The token is in the subprotocol and nowhere else."""
    address = Amigo.address(ACCOUNT, SETTINGS)
    path = "/v1/your-org/conversation/converse_realtime"
    assert address.url == f"wss://api.amigo.ai{path}?response_format=voice&audio_format=pcm"
    assert address.subprotocols == (f"bearer.authorization.amigo.ai.{JWT}",)
    assert address.headers == {}
    assert JWT not in address.url


@pytest.mark.parametrize(
    ("region", "host"),
    [
        ("", "api"),
        ("us", "api"),
        ("US", "api"),
        ("us-east-1", "api"),
        ("ca", "api-ca-central-1"),
        ("CA Central", "api-ca-central-1"),
        ("eu-central-1", "api-eu-central-1"),
        ("api-eu-central-1", "api-eu-central-1"),
        ("ap", "api-ap-southeast-2"),
        ("ap_southeast_2", "api-ap-southeast-2"),
        ("au", "api-ap-southeast-2"),
    ],
)
def test_regions_have_hosts(region: str, host: str) -> None:
    """By a short name, or by any of the vendor's."""
    account = Account(JWT, organization="o", region=region)
    assert Amigo.address(account, SETTINGS).url.startswith(f"wss://{host}.amigo.ai/v1/o/")


@pytest.mark.parametrize(
    ("settings", "query"),
    [
        ({"text": True}, "response_format=text"),
        ({"form": "mp3", "vad": False}, "response_format=voice&audio_format=mp3"),
        (
            {"options": frozenset({r"action=^tool\..*"})},
            "response_format=voice&audio_format=pcm&current_agent_action_type=%5Etool%5C..%2A",
        ),
    ],
)
def test_the_query_says_what_is_wanted(settings: dict[str, Any], query: str) -> None:
    """What is required always, and a filter where there is one."""
    assert Amigo.address(ACCOUNT, AgentSettings(service="s", **settings)).url.endswith(f"realtime?{query}")


@pytest.mark.parametrize(
    ("url", "dialled"),
    [
        ("ws://127.0.0.1:9", "ws://127.0.0.1:9/v1/your-org/conversation/converse_realtime?"),
        ("https://proxy/a/b", "wss://proxy/a/b?"),
        ("wss://proxy/a?x=1&audio_format=pcm", "wss://proxy/a?x=1&audio_format=pcm&"),
    ],
)
def test_a_url_of_ones_own(url: str, dialled: str) -> None:
    """A host, a path, a query: what it leaves out is the vendor's."""
    account = Account(url=url, organization="your-org")
    address = Amigo.address(account, SETTINGS)
    assert address.url.startswith(dialled)
    assert "response_format=voice" in address.url
    assert address.url.count("audio_format=pcm") == 1
    assert address.subprotocols == ()


@pytest.mark.parametrize(
    ("account", "settings", "told"),
    [
        (Account(JWT), SETTINGS, "organization"),
        (Account(organization="o"), SETTINGS, "token"),
        (Account(f"Bearer {JWT}", organization="o"), SETTINGS, "key"),
        (Account(f"{JWT}\n", organization="o"), SETTINGS, "key"),
        (Account(JWT, organization="o", region="mars"), SETTINGS, "mars"),
        (Account(JWT, "http://[", "o"), SETTINGS, "URL"),
        (Account(JWT, "amigo.ai/v1", "o"), SETTINGS, "URL"),
        (Account(JWT, "wss://h/p?response_format=text"), SETTINGS, "response_format"),
        (ACCOUNT, AgentSettings(), "service"),
        (ACCOUNT, AgentSettings(service="s", form="mp3"), "PCM"),
        (ACCOUNT, AgentSettings(service="s", form="ogg"), "ogg"),
        (ACCOUNT, AgentSettings(service="s", rate=48000), "48000"),
        (ACCOUNT, AgentSettings(service="s", voice="alloy"), "voice"),
        (ACCOUNT, AgentSettings(service="s", options=frozenset({"beta"})), "beta"),
    ],
)
def test_what_cannot_be_meant_is_told(account: Account, settings: AgentSettings, told: str) -> None:
    """Before anything is dialled, with what to do, and without the token."""
    with pytest.raises(UsageError, match=told) as raised:
        Amigo.address(account, settings)
    assert raised.value.hint
    assert JWT not in raised.value.message + raised.value.hint


def test_a_reason_with_the_token_does_not_tell_it() -> None:
    """A server may say the subprotocol back."""
    for code in (3000, 3008, 1011, 4321):
        assert JWT not in opened().ending(code, f"bad protocol {BEARER}{JWT}").message


# Both ends


def test_it_is_registered() -> None:
    """And it has all that an agent's dialect has."""
    kind: type[AgentDialect] = AGENTS["amigo"]
    assert kind.name == "amigo"


texts = st.text(max_size=20)
ids = st.text("0123456789abcdef", min_size=1, max_size=24)
pcm = st.binary(max_size=64)
user_events: st.SearchStrategy[UserEvent] = st.one_of(
    st.builds(Configure, st.just(CLIENT["start"])),
    st.builds(Resume, texts),
    st.builds(Listen, st.builds(Chunk, pcm.filter(bool), st.integers(4000, 44100))),
    st.builds(ListenFile, pcm.filter(bool), st.just("mp3")),
    st.builds(Write, texts),
    st.builds(Write, texts, st.just(True), st.booleans()),
    st.sampled_from([KeepAlive(), Conclude(), Leave(), VadMode(on=False)]),
)


@given(st.lists(user_events, max_size=8))
def test_what_we_say_is_what_they_hear(events: list[UserEvent]) -> None:
    """Whatever is said in whichever order."""
    writer, reader = ours(NO_VAD), theirs()
    assert [event for said in events for wire in writer.encode(said) for event in reader.decode(wire)] == events


agent_events: st.SearchStrategy[AgentEvent] = st.one_of(
    st.builds(Configured, ids),
    st.builds(VadMode, st.booleans()),
    st.builds(SpeechStarted, st.floats(0, 1e6)),
    st.builds(Told, st.just("current-agent-action"), st.just({"action": {"type": "x"}})),
    st.builds(Fault, st.integers(100, 599).map(str), texts, fatal=st.just(False)),
    st.just(Concluded()),
)


@given(st.lists(agent_events, max_size=8))
def test_what_they_say_is_what_we_hear(events: list[AgentEvent]) -> None:
    """Whatever stands for itself."""
    writer, reader = theirs(), ours()
    assert [event for said in events for wire in writer.encode(said) for event in reader.decode(wire)] == events


@given(
    st.lists(
        st.tuples(ids, texts.filter(bool), st.lists(pcm.filter(bool), max_size=4)), max_size=4, unique_by=lambda a: a[0]
    ),
    st.booleans(),
)
def test_answers_arrive_as_they_were_said(answers: list[tuple[str, str, list[bytes]]], fillers: bool) -> None:
    """Turn after turn: the user's words, the text in pieces and as a whole, the audio, each end once."""
    options = frozenset({"fillers"}) if fillers else frozenset()
    writer, reader = theirs(AgentSettings(options=options)), ours()
    for id_, text, chunks in answers:
        turn: list[AgentEvent] = [
            SpeechStarted(1.0),
            SpeechStopped(2.0),
            Transcript("user", text),
            Replying(id_),
            *(Transcript("agent", character, final=False, item=f"m{id_}") for character in text),
            *(Speech(Chunk(chunk, 16000), f"m{id_}") for chunk in chunks),
            Transcript("agent", text, item=f"m{id_}"),
            SpeechDone(f"m{id_}"),
            TurnDone(id_),
        ]
        heard = [event for said in turn for wire in writer.encode(said) for event in reader.decode(wire)]
        own = [event for event in heard if not getattr(event, "item", "").startswith("f")]
        assert own[:4] == turn[:4]
        assert own[-3:] == [SpeechDone(f"m{id_}"), Transcript("agent", text, item=f"m{id_}"), TurnDone(id_)]
        deltas = [event.text for event in own if isinstance(event, Transcript) and not event.final]
        assert "".join(deltas) == text
        assert [event.chunk.pcm for event in own if isinstance(event, Speech)] == chunks
        assert (len(heard) > len(own)) == fillers
        assert Told not in kinds(heard)


def test_an_interruption_arrives_as_it_was_said() -> None:
    """The engine's two events are one word of the server's, and two events again."""
    writer, reader = theirs(), ours()
    turn: list[AgentEvent] = [
        Replying("i1"),
        Speech(FIRST, "m1", 1),
        SpeechStarted(1.0),
        TurnDone("i1", "cancelled", "turn_detected"),
        SpeechStopped(2.0),
        Replying("i2"),
        Speech(FIRST, "m2", 1),
    ]
    assert [event for said in turn for wire in writer.encode(said) for event in reader.decode(wire)] == turn


def test_a_failed_answer_is_an_error() -> None:
    """And the one that the engine makes of a fault."""
    writer, reader = theirs(), ours()
    turn: list[AgentEvent] = [Replying("i1"), Speech(FIRST, "m1", 1), TurnDone("i1", "failed", "no")]
    heard = [event for said in turn for wire in writer.encode(said) for event in reader.decode(wire)]
    assert heard == [*turn[:2], Fault("500", "no", fatal=False), turn[2]]


def test_a_text_answer_arrives_as_text() -> None:
    """The voice isn't sent, whether the text comes in pieces or as a whole."""
    settings = AgentSettings(service="s", text=True, options=frozenset({"fillers"}))
    for deltas in (["Hel", "lo"], []):
        writer = theirs(settings)
        reader = ours(AgentSettings(service="s", text=True))
        turn: list[AgentEvent] = [
            Replying("i1"),
            *(Transcript("agent", delta, final=False, item="m1") for delta in deltas),
            Speech(FIRST, "m1"),
            Transcript("agent", "Hello", item="m1"),
            SpeechDone("m1"),
            TurnDone("i1"),
        ]
        heard = [event for said in turn for wire in writer.encode(said) for event in reader.decode(wire)]
        words = [event.text for event in heard if isinstance(event, Transcript)]
        assert words == ["Let me look that up. ", *(deltas or ["Hello"]), "Hello"]
        assert set(kinds(heard)) == {Replying, Transcript, TurnDone}


def test_an_mp3_answer_arrives_as_a_file() -> None:
    """Made when all of it is known, sent in pieces."""
    settings = AgentSettings(service="s", vad=False, form="mp3", options=frozenset({"fillers"}))
    writer, reader = theirs(settings), ours(settings)
    voice = [Speech(Chunk(tone(1.0), 16000), "m1") for _ in range(4)]
    turn: list[AgentEvent] = [Replying("i1"), *voice, Transcript("agent", "Hi"), SpeechDone("m1"), TurnDone("i1")]
    heard = [event for said in turn for wire in writer.encode(said) for event in reader.decode(wire)]
    file = b"".join(event.data for event in heard if isinstance(event, SpeechFile))
    assert len(file) > 4 * 8_000
    assert {event.item for event in heard if isinstance(event, SpeechFile)} == {"m1"}
    assert kinds(heard)[-4:] == [Transcript, SpeechDone, Transcript, TurnDone]


def test_a_tool_is_an_action_that_is_told_where_it_was_asked_for() -> None:
    """The filter is the client's."""
    call = ToolCall("c", "weather", "{}", ours=False)
    assert Amigo(Side.THEIRS).encode(call) == []
    assert Amigo(Side.THEIRS, actions=re.compile("^engage")).encode(call) == []
    (wire,) = Amigo(Side.THEIRS, actions=re.compile(r"^tool\.")).encode(call)
    assert ours().decode(wire) == [Told("current-agent-action", {"action": {"type": "tool.weather"}})]


@pytest.mark.parametrize("event", [Cancel(), Listen(FIRST), Recall("user", "a")])
def test_the_server_has_no_word_for_some_things(event: Said) -> None:
    """What the user says is not the server's to say."""
    with pytest.raises(UnspokenError, match=type(event).__name__):
        theirs().encode(event)


def test_a_first_word_is_none() -> None:
    """Amigo says nothing until it's spoken to."""
    assert theirs().encode(Met()) == []


# Hostile wires

json_values: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=10),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=10), inner, max_size=4),
    max_leaves=10,
)
odd_values = json_values | st.sampled_from(
    [10**400, -1, 1e308, -1e308, "UklGRg==", "UklGRiQAAABXQVZF", "====", "\ud800"]
)


def endure(wire: str | bytes) -> None:
    """Either side answers with events, or with a WireError."""
    for settings in (SETTINGS, AgentSettings(text=True), AgentSettings(form="mp3")):
        for side in Side:
            amigo = Amigo(side, settings)
            for _ in range(2):
                try:
                    events = amigo.decode(wire)
                except WireError:
                    continue
                for event in events:
                    amigo.reply(cast("AgentEvent", event))


@given(st.text())
def test_text_is_survived(wire: str) -> None:
    """No text breaks it."""
    endure(wire)


@given(st.binary())
def test_binary_frames_are_malformed(wire: bytes) -> None:
    """It speaks text only; bytes are never guessed at."""
    for side in Side:
        with pytest.raises(WireError, match=f"{len(wire)} bytes"):
            Amigo(side).decode(wire)


@given(json_values.map(json.dumps))
def test_any_json_is_survived(wire: str) -> None:
    """No shape of JSON breaks it, infinities and NaN included."""
    endure(wire)


@given(st.sampled_from([*CLIENT.values(), *SERVER.values()]), st.data())
def test_a_message_with_one_wrong_value_is_survived(message: dict[str, Any], data: st.DataObject) -> None:
    """A real message in which one value is something else."""
    broken: dict[str, Any] = json.loads(json.dumps(message))
    place = broken.get("audio_config", broken) if data.draw(st.booleans()) else broken
    place[data.draw(st.sampled_from(sorted(place)))] = data.draw(odd_values)
    endure(json.dumps(broken))


@pytest.mark.parametrize("message", [*CLIENT.values(), *SERVER.values()], ids=[*CLIENT, *SERVER])
def test_a_message_cut_short_is_malformed(message: dict[str, Any]) -> None:
    """However much of it is missing."""
    wire = json.dumps(message)
    for end in range(len(wire)):
        for side in Side:
            with pytest.raises(WireError):
                Amigo(side).decode(wire[:end])


@pytest.mark.parametrize(
    "around", ["{}", '{{"type":"server.new-message","message":{}}}', '{{"type":"server.x","a":{}}}']
)
@pytest.mark.parametrize("nested", ["[" * 200_000, '{"a":' * 200_000, "[" * 200_000 + "]" * 200_000])
def test_deep_nesting_is_survived(around: str, nested: str) -> None:
    """A message that is nothing but brackets ends neither the process nor the connection."""
    endure(around.format(nested))


@pytest.mark.parametrize("number", ["9" * 5000, "1e999", "-1", "0.5", "1" + "0" * 30])
@pytest.mark.parametrize("field", ['"sequence_number"', '"transcript_alignment"', '"start"', '"timestamp"', '"end"'])
def test_any_number_is_survived(field: str, number: str) -> None:
    """Wherever there is one."""
    for kind in ("new-message", "vad-speech-started", "vad-speech-ended", "vad-speech-reset-zero"):
        endure(f'{{"type":"server.{kind}","message":"AAAA",{field}:{number}}}')


def test_an_id_has_a_length() -> None:
    """Ids are remembered, and there may be many."""
    with pytest.raises(WireError):
        read(ours(), piece(message_id="x" * (MAX_TEXT + 1)))


def test_messages_are_not_remembered_for_ever() -> None:
    """However many ids there are."""
    amigo = ours()
    for number in range(1000):
        read(amigo, piece(FIRST.pcm, message_id=str(number), interaction_id=str(number)))
    assert len(amigo._server._messages) == 16


@pytest.mark.parametrize(
    "config",
    [
        None,
        {},
        {"format": "ogg"},
        {"format": "pcm"},
        {"format": "pcm", "frame_rate": 48000},
        {"format": "pcm", "frame_rate": 16000, "sample_rate": 8000},
        {"format": "pcm", "frame_rate": 16000, "n_channels": 2},
        {"format": "pcm", "frame_rate": 16000, "sample_width": 4},
    ],
    ids=str,
)
def test_audio_without_a_form_is_malformed(config: dict[str, Any] | None) -> None:
    """A simulated server takes what the page has, and the OpenAPI document's names for it."""
    with pytest.raises(WireError):
        read(theirs(), {**CLIENT["first_chunk"], "audio_config": config})
    good = {"type": "pcm", "frame_rate": 16000, "n_channels": 1, "sample_width": 2}
    assert read(theirs(), {**CLIENT["first_chunk"], "audio_config": good}) == [Listen(FIRST)]
