"""Amigo's two ends back to back, and no wire that breaks one."""

from __future__ import annotations

import json
import re
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.dialects.agents.amigo_pages import (
    CLIENT,
    FIRST,
    NO_VAD,
    SERVER,
    SETTINGS,
    kinds,
    ours,
    piece,
    read,
    theirs,
)
from tests.signals import tone

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
    Transcript,
    TurnDone,
    UserEvent,
    VadMode,
    Write,
)
from audiotap.audio import Chunk
from audiotap.dialects.agents import AGENTS
from audiotap.dialects.agents.amigo import Amigo
from audiotap.dialects.agents.base import AgentDialect, AgentSettings, Said
from audiotap.dialects.base import MAX_TEXT, Side
from audiotap.errors import UnspokenError, WireError
from audiotap.events import Fault

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


def test_what_says_nothing_leaves_the_transcript_its_place() -> None:
    """An answer that gives way between the end of the user's speech and its transcript is no word of the server's."""
    writer, reader = theirs(), ours()
    turn: list[AgentEvent] = [SpeechStopped(2.0), TurnDone("i1", "cancelled"), Transcript("user", "Hello")]
    heard = [event for said in turn for wire in writer.encode(said) for event in reader.decode(wire)]
    assert heard == [turn[0], turn[2]]
    assert writer.encode(SpeechStopped(3.0)) == []
    assert kinds([event for wire in writer.encode(Replying("i2")) for event in reader.decode(wire)]) == []
    heard = [event for wire in writer.encode(Speech(FIRST, "m2")) for event in reader.decode(wire)]
    assert kinds(heard) == [SpeechStopped, Replying, Speech]


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
