"""Deepgram's words and manners, as its pages, its schema and its SDK have them."""

from __future__ import annotations

import json
import warnings
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from typing import Any, get_args

import msgspec
import pydantic
import pytest
from deepgram.agent.v1 import types as sdk
from hypothesis import given
from hypothesis import strategies as st
from tests.signals import counting

from audiotap.agent_events import (
    INTERRUPTED,
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
    Truncated,
    TurnDone,
    UtteranceEnd,
    VadMode,
    Write,
)
from audiotap.audio import Chunk
from audiotap.dialects.agents import AGENTS
from audiotap.dialects.agents.base import Account, AgentSettings, Memory, Said, Wire
from audiotap.dialects.agents.deepgram import TOLD, Deepgram
from audiotap.dialects.base import Side
from audiotap.errors import Exit, UnspokenError, UsageError, WireError
from audiotap.events import Fault, Unknown

FIXTURES = sorted(Path(__file__).parent.joinpath("fixtures").glob("deepgram_*.json"))
FLUX = AgentSettings(transcribe="flux-general-en", voice="flux-kit-en")
CALL = "fc_12345678-90ab-cdef-1234-567890abcdef"
texts = st.text(max_size=20)
ids = st.text(min_size=1, max_size=20)
json_values: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | texts,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(texts, inner, max_size=4),
    max_leaves=10,
)
roles = st.sampled_from(["user", "agent"])


def ours(settings: AgentSettings | None = None, *said: Recall) -> Deepgram:
    return Deepgram(Side.OURS, settings or AgentSettings(), Memory(said=said))


def theirs(settings: AgentSettings | None = None) -> Deepgram:
    """A server to whom these settings were said."""
    server = Deepgram(Side.THEIRS)
    for wire in ours(settings).encode(Configure()):
        server.decode(wire)
    return server


def page(name: str) -> str:
    return Path(__file__).parent.joinpath("fixtures", f"deepgram_{name}.json").read_text("utf-8")


def heard(*events: Said, by: Deepgram | None = None, said_by: Deepgram | None = None) -> list[Said]:
    """What is read of what is spelt, by default by us of a server."""
    speaker, reader = said_by or theirs(), by or ours()
    return [event for said in events for wire in speaker.encode(said) for event in reader.decode(wire)]


def message(wires: Sequence[Wire]) -> dict[str, Any]:
    """The one message, as JSON."""
    (wire,) = wires
    assert isinstance(wire, str)
    spelt: dict[str, Any] = json.loads(wire)
    return spelt


def settings_of(settings: AgentSettings, *said: Recall) -> dict[str, Any]:
    return message(ours(settings, *said).encode(Configure()))


# The pages


@pytest.mark.parametrize(
    ("name", "events"),
    [
        ("welcome", [Met("fc553ec9-5874-49ca-a47c-b670d525a4b1")]),
        ("settings_applied", [Configured()]),
        ("conversation_text", [Transcript("agent", "Hello! How can I help you today?")]),
        ("user_started_speaking", [SpeechStarted()]),
        (
            "agent_started_speaking",
            [
                Replying(),
                Told("AgentStartedSpeaking", {"total_latency": 0.0, "tts_latency": 0.0, "ttt_latency": 0.0}),
            ],
        ),
        ("agent_audio_done", [SpeechDone(), TurnDone()]),
        (
            "latency_report",
            [
                Told(
                    "LatencyReport",
                    {"stt_latency": 0.12, "ttt_token_latency": 0.34, "tts_latency": 0.18, "total_latency": 0.64},
                )
            ],
        ),
        ("function_call_request", [ToolCall(CALL, "get_weather", '{"location": "Fremont, CA 94539"}')]),
        ("error", [Fault("The error code", "A description of what went wrong")]),
        ("warning", [Fault("The warning code", "A description of the warning", fatal=False)]),
        ("injection_refused", [Fault("InjectionRefused", "", fatal=False)]),
    ],
)
def test_what_the_server_says_on_its_pages(name: str, events: list[Said]) -> None:
    """Each sample is read as what its page says it means."""
    assert ours().decode(page(name)) == events


@pytest.mark.parametrize(
    ("name", "events"),
    [
        ("inject_user_message", [Write("Hello")]),
        ("keep_alive", [KeepAlive()]),
    ],
)
def test_what_the_client_says_on_its_pages(name: str, events: list[Said]) -> None:
    """Each sample is read by a server, and we spell it with the same keys and nothing else."""
    assert Deepgram(Side.THEIRS).decode(page(name)) == events
    assert message(ours().encode(events[0])) == json.loads(page(name))


def test_the_pages_settings_are_ours() -> None:
    """Asked for the models and rates of the page, we say its very message."""
    settings = AgentSettings(
        rate=16000, output_rate=24000, transcribe="nova-3", model="gpt-4o-mini", voice="flux-kit-en"
    )
    assert settings_of(settings) == json.loads(page("settings"))


def test_the_pages_settings_are_read() -> None:
    """A server hears at the input's rate and speaks at the output's."""
    server = Deepgram(Side.THEIRS)
    assert server.decode(page("settings")) == [Configure(json.loads(page("settings")))]
    assert (server.rate, server.output_rate) == (16000, 24000)
    assert server.decode(counting(3)) == [Listen(Chunk(counting(3), 16000))]


def test_the_page_with_mp3_is_read() -> None:
    """Encoding, greeting and rates are found beside fields that don't concern the wire."""
    server = Deepgram(Side.THEIRS)
    server.decode(page("settings_mp3"))
    assert (server.asked.output_encoding, server.asked.greeting) == ("mp3", "Hello! How can I help you today?")


def test_the_pages_history_is_our_memory() -> None:
    """What was said before is spelt as the page spells it, though the page's message as a whole has no audio."""
    sample = json.loads(page("settings_history"))["agent"]["context"]["messages"]
    speakers = {"user": "user", "assistant": "agent"}
    said = [msgspec.convert({"role": speakers[line["role"]], "text": line["content"]}, Recall) for line in sample]
    assert settings_of(AgentSettings(), *said)["agent"]["context"]["messages"] == sample
    with pytest.raises(WireError, match="audio"):
        Deepgram(Side.THEIRS).decode(page("settings_history"))


def test_one_message_answers_both_ways() -> None:
    """A client's FunctionCallResponse is the result of a call; a server's tells of a call that was its own."""
    wire = page("function_call_response")
    answer = json.loads(wire)
    assert Deepgram(Side.THEIRS).decode(wire) == [ToolResult(CALL, "get_weather", answer["content"])]
    assert ours().decode(wire) == [
        Told("FunctionCallResponse", {key: answer[key] for key in ("id", "name", "content")})
    ]
    assert message(ours().encode(ToolResult(CALL, "get_weather", answer["content"]))) == answer


# The Settings


def test_encoding_rate_and_container_are_always_stated() -> None:
    """Their defaults have changed before, and a mismatch is noise without any error."""
    assert settings_of(AgentSettings())["audio"] == {
        "input": {"encoding": "linear16", "sample_rate": 16000},
        "output": {"encoding": "linear16", "sample_rate": 16000, "container": "none"},
    }


def test_what_is_asked_for_has_its_place() -> None:
    """Models of the three stages, the prompt, the language and the greeting."""
    settings = AgentSettings(
        transcribe="nova-3-medical",
        model="gpt-4.1",
        voice="aura-2-thalia-en",
        language="de",
        instructions="Be brief.",
        greeting="Hello!",
    )
    assert settings_of(settings)["agent"] == {
        "listen": {"provider": {"type": "deepgram", "model": "nova-3-medical", "language": "de"}},
        "think": {"provider": {"type": "open_ai", "model": "gpt-4.1"}, "prompt": "Be brief."},
        "speak": {"provider": {"type": "deepgram", "model": "aura-2-thalia-en"}},
        "greeting": "Hello!",
    }


def test_what_is_not_asked_for_is_left_to_deepgram() -> None:
    """But a model that thinks, which no page leaves out."""
    assert settings_of(AgentSettings())["agent"] == {"think": {"provider": {"type": "open_ai", "model": "gpt-4o-mini"}}}


@pytest.mark.parametrize(
    ("model", "vendor"),
    [
        ("gpt-5-mini", "open_ai"),
        ("claude-haiku-4-5", "anthropic"),
        ("gemini-2.5-flash", "google"),
        ("nemotron-3-nano-30B-A3B", "nvidia"),
        ("nvidia/nemotron-3.5-lightning-30b-a3b", "nvidia"),
    ],
)
def test_a_models_name_tells_its_vendor(model: str, vendor: str) -> None:
    """Of the four whose models Deepgram runs."""
    assert settings_of(AgentSettings(model=model))["agent"]["think"]["provider"] == {"type": vendor, "model": model}


def test_flux_models_are_of_the_second_version() -> None:
    """They take hints instead of a language, and the English one none at all."""
    multi = settings_of(AgentSettings(transcribe="flux-general-multi", language="de"))["agent"]["listen"]["provider"]
    assert multi == {"type": "deepgram", "version": "v2", "model": "flux-general-multi", "language_hints": ["de"]}
    english = settings_of(AgentSettings(transcribe="flux-general-en", language="en"))["agent"]["listen"]["provider"]
    assert english == {"type": "deepgram", "version": "v2", "model": "flux-general-en"}


def test_an_agent_with_an_id_is_only_named() -> None:
    """Everything else was set up at the vendor's."""
    service = "5cb2a1e4-6d1c-4f5e-9d2e-2f3c1f5a7b10"
    assert settings_of(AgentSettings(service=service))["agent"] == service


def test_an_agent_that_remembers_does_not_greet_again() -> None:
    """On a new connection the conversation goes on."""
    said = (Recall("user", "Hello?"), Recall("agent", "Hello!"))
    agent = settings_of(AgentSettings(greeting="Hello!"), *said)["agent"]
    assert "greeting" not in agent
    assert agent["context"]["messages"] == [
        {"type": "History", "role": "user", "content": "Hello?"},
        {"type": "History", "role": "assistant", "content": "Hello!"},
    ]


def test_what_is_laid_over_wins() -> None:
    """And the rates that count are those that are said in the end."""
    functions = [{"name": "get_weather"}]
    extra = {
        "tags": ["a"],
        "audio": {"output": {"sample_rate": 48000}},
        "agent": {"think": {"functions": functions, "provider": {"type": "groq"}}},
    }
    dialect = ours(AgentSettings(model="llama", extra=extra))
    wire = message(dialect.encode(Configure()))
    assert wire["tags"] == ["a"]
    assert wire["agent"]["think"] == {"provider": {"type": "groq", "model": "llama"}, "functions": functions}
    assert dialect.output_rate == 48000
    assert dialect.decode(counting(1)) == [Speech(Chunk(counting(1), 48000))]


@pytest.mark.parametrize(
    "settings",
    [
        AgentSettings(),
        AgentSettings(transcribe="nova-3", model="claude-haiku-4-5", voice="aura-2-thalia-en", language="en"),
        AgentSettings(model="gemini-2.5-flash", instructions="Be brief.", greeting="Hello!"),
        AgentSettings(transcribe="flux-general-multi", language="de", voice="flux-kit-en"),
        AgentSettings(form="mp3", voice="aura-2-thalia-en"),
        AgentSettings(service="5cb2a1e4-6d1c-4f5e-9d2e-2f3c1f5a7b10"),
    ],
)
def test_the_sdk_takes_our_settings(settings: AgentSettings) -> None:
    """The vendor's own types find every field and know every one."""
    said = () if settings.service else (Recall("user", "Hello?"), Recall("agent", "Hello!"))
    assert unknown_fields(sdk.AgentV1Settings.model_validate(settings_of(settings, *said))) == []


def unknown_fields(model: object) -> list[str]:
    """Fields that the SDK's types only tolerate, however deep."""
    if isinstance(model, list):
        return [name for each in model for name in unknown_fields(each)]
    if not isinstance(model, pydantic.BaseModel):
        return []
    return [*(model.model_extra or {}), *(name for _, value in model for name in unknown_fields(value))]


# Both ends


@st.composite
def lines(draw: st.DrawFn) -> Transcript:
    return Transcript("user" if draw(st.booleans()) else "agent", draw(texts))


speeches = st.binary(min_size=1, max_size=64)
tolds = st.builds(Told, st.sampled_from(sorted(TOLD)), st.dictionaries(ids.filter("type".__ne__), texts, max_size=3))
faults = st.builds(Fault, st.sampled_from(["A", "InjectionRefused"]), texts, fatal=st.booleans())
unknowns = ids.map(lambda name: Unknown(f"x{name}", json.dumps({"type": f"x{name}"})))
from_agent: st.SearchStrategy[Said] = st.one_of(
    st.builds(Met, ids),
    st.just(Configured()),
    st.just(SpeechStarted()),
    speeches.map(lambda pcm: Speech(Chunk(pcm, 16000))),
    lines(),
    st.builds(ToolCall, ids, ids, texts, st.booleans()),
    tolds,
    faults,
    unknowns,
)
to_agent: st.SearchStrategy[Said] = st.one_of(
    st.dictionaries(ids, texts, max_size=3).map(
        lambda more: Configure({"type": "Settings", "audio": {}, "agent": {}, **{f"x{key}": more[key] for key in more}})
    ),
    speeches.map(lambda pcm: Listen(Chunk(pcm, 16000))),
    st.builds(Write, texts),
    st.builds(ToolResult, ids, ids, texts),
    st.sampled_from([KeepAlive(), UtteranceEnd()]),
    unknowns,
)


@given(event=from_agent)
def test_what_an_agent_says_is_what_we_read(event: Said) -> None:
    """Every event that is one message arrives as it was said; the history may repeat it."""
    assert heard(event)[0] == event


@given(event=to_agent)
def test_what_we_say_is_what_an_agent_reads(event: Said) -> None:
    """Everything that has a word arrives as it was said."""
    assert heard(event, said_by=ours(FLUX), by=theirs(FLUX)) == [event]


def test_a_turn_is_told_by_the_end_of_its_audio() -> None:
    """One message says that the audio and the turn are over, and a report follows."""
    assert heard(SpeechDone(), TurnDone()) == [SpeechDone(), TurnDone(), Told("LatencyReport", {})]


def test_the_history_repeats_what_was_said_unless_it_is_off() -> None:
    """It is on by default, as the schema says; we take it for no second line."""
    line = Transcript("agent", "Hello!")
    assert heard(line) == [line, Told("History", {"role": "assistant", "content": "Hello!"})]
    off = theirs(AgentSettings(extra={"flags": {"history": False}}))
    assert heard(line, said_by=off) == [line]


def test_only_experimental_settings_are_told_when_the_agent_starts() -> None:
    """A client that relies on it would wait for ever."""
    assert heard(Replying()) == []
    experimental = theirs(AgentSettings(extra={"experimental": True}))
    assert heard(Replying(), said_by=experimental)[0] == Replying()


def test_there_is_no_word_for_parts_of_a_line_and_for_the_end_of_speech() -> None:
    """Lines come whole, and nobody tells that the user stopped: a simulated server says nothing then."""
    assert heard(Transcript("agent", "Hel", final=False), SpeechStopped(), TurnDone(status="cancelled")) == []


@pytest.mark.parametrize(
    "event",
    [
        Resume("1"),
        Recall("user", "a"),
        ListenFile(b"", "mp3"),
        Cancel(),
        Truncate("1", 1.0),
        Conclude(),
        Leave(),
        VadMode(on=True),
        Truncated("1", 1.0),
        Concluded(),
        Write("a", start=False),
        UtteranceEnd(),
        Listen(Chunk(counting(1), 8000)),
        Speech(Chunk(counting(1), 8000)),
    ],
)
def test_what_has_no_word_is_not_said(event: Said) -> None:
    """Nor is audio at a rate that wasn't stated, which would be noise."""
    with pytest.raises(UnspokenError):
        ours().encode(event)


def test_an_empty_chunk_is_no_frame() -> None:
    """Deepgram's listening interface took an empty one for a goodbye."""
    assert ours().encode(Listen(Chunk(b"", 16000))) == []


def test_mp3_is_handed_on() -> None:
    """Audio in another encoding is no samples."""
    dialect = ours(AgentSettings(form="mp3", voice="aura-2-thalia-en"))
    assert dialect.decode(b"\xff\xfb\x90") == [SpeechFile(b"\xff\xfb\x90", "mp3")]
    assert dialect.encode(SpeechFile(b"\xff\xfb\x90", "mp3")) == [b"\xff\xfb\x90"]


def test_only_flux_lets_us_end_a_turn() -> None:
    """To another model's server the word means nothing."""
    wire = message(ours(FLUX).encode(UtteranceEnd()))
    assert wire == {"type": "ForceEndTurn"}
    assert theirs().decode(json.dumps(wire)) == [Unknown("ForceEndTurn", json.dumps(wire))]


@pytest.mark.parametrize(("role", "speaker"), [("user", "user"), ("assistant", "agent"), ("agent", "agent")])
def test_who_speaks_has_three_names(role: str, speaker: str) -> None:
    """The schema says assistant, examples say agent."""
    (line,) = ours().decode(json.dumps({"type": "ConversationText", "role": role, "content": "a"}))
    assert isinstance(line, Transcript)
    assert line.role == speaker


def test_a_role_that_nobody_knows_is_told() -> None:
    """A line of neither side is no line of the conversation."""
    wire = json.dumps({"type": "ConversationText", "role": "developer", "content": "a"})
    assert ours().decode(wire) == [Told("ConversationText", {"role": "developer", "content": "a"})]


def test_a_calls_signature_stays_with_the_server() -> None:
    """Some models' calls have one; the schema of the answer has no place for it, and strange fields end a session."""
    call = {"id": "1", "name": "f", "arguments": "{}", "client_side": True, "thought_signature": "s"}
    dialect = ours()
    assert dialect.decode(json.dumps({"type": "FunctionCallRequest", "functions": [call]})) == [
        ToolCall("1", "f", "{}")
    ]
    assert "thought_signature" not in message(dialect.encode(ToolResult("1", "f", "a")))


def test_a_call_that_the_server_answers_is_not_ours() -> None:
    """And one that is taken back is only told."""
    call = {"id": "1", "name": "f", "arguments": "{}", "client_side": False}
    wire = json.dumps({"type": "FunctionCallRequest", "functions": [call, {**call, "id": "2", "client_side": True}]})
    assert ours().decode(wire) == [ToolCall("1", "f", "{}", ours=False), ToolCall("2", "f", "{}")]
    cancelled = {"functions": [{"id": "1", "name": "f"}]}
    assert ours().decode(json.dumps({"type": "FunctionCallCancelled", **cancelled})) == [
        Told("FunctionCallCancelled", cancelled)
    ]


# Interruptions


def test_an_interrupted_turn_is_over() -> None:
    """UserStartedSpeaking is the only sign; an AgentAudioDone that comes late doesn't end a second turn."""
    dialect = ours()
    dialect.decode(counting(1))
    assert dialect.decode(page("user_started_speaking")) == [
        SpeechStarted(),
        TurnDone(status="cancelled", reason=INTERRUPTED),
    ]
    assert dialect.decode(page("agent_audio_done")) == [SpeechDone()]


def test_the_turn_after_an_interrupted_one_ends_once() -> None:
    """The end of the cut off audio may never be told."""
    dialect = ours()
    for wire in (counting(1), page("user_started_speaking"), counting(1)):
        dialect.decode(wire)
    assert dialect.decode(page("agent_audio_done")) == [SpeechDone(), TurnDone()]
    assert dialect.decode(page("user_started_speaking")) == [SpeechStarted()]


# Hostile wires


def endure(wire: Wire) -> None:
    """Either side answers with events or a WireError; any other exception fails the test."""
    for dialect in (ours(), theirs()):
        try:
            dialect.decode(wire)
        except WireError:
            continue


@given(wire=st.text() | st.binary())
def test_any_frame_is_survived(wire: Wire) -> None:
    """Binary frames are audio, whatever they hold."""
    endure(wire)


@given(kind=st.sampled_from([json.loads(path.read_text("utf-8"))["type"] for path in FIXTURES]) | texts, data=st.data())
def test_any_json_is_survived(kind: str, data: st.DataObject) -> None:
    """No shape of JSON breaks it, alone or under a name that is known."""
    value = data.draw(json_values)
    endure(json.dumps(value))
    endure(json.dumps({"type": kind, **value} if isinstance(value, dict) else {"type": kind, "content": value}))


@given(data=st.data())
def test_a_message_with_one_wrong_value_is_survived(data: st.DataObject) -> None:
    """A page's message in which one value, however deep, is something else."""
    whole = json.loads(data.draw(st.sampled_from(FIXTURES)).read_text("utf-8"))
    place = whole
    key = data.draw(st.sampled_from(sorted(place)))
    while isinstance(place[key], dict) and place[key] and data.draw(st.booleans()):
        place = place[key]
        key = data.draw(st.sampled_from(sorted(place)))
    place[key] = data.draw(json_values | st.sampled_from([10**400, -1, 1e308, "\ud800", [[]], [{}]]))
    endure(json.dumps(whole))


@pytest.mark.parametrize(
    "wire",
    [
        "[" * 100_000,
        '{"type":"History","content":' + "[" * 100_000,
        '{"type":"Settings","audio":' + '{"input":' * 100_000,
        '{"type":"Settings","audio":{},"agent":{"think":{"functions":' + "[" * 900 + "]" * 900 + "}}}",
    ],
)
def test_deep_nesting_is_survived(wire: str) -> None:
    """Nobody gets us to the end of our stack."""
    endure(wire)


def test_half_a_character_is_replaced() -> None:
    """A name that was cut in the middle of one is read all the same."""
    wire = '{"type":"ConversationText","role":"user","content":"a\\ud83d"}'
    assert ours().decode(wire) == [Transcript("user", "a\N{REPLACEMENT CHARACTER}")]


def test_rates_that_nobody_believes_are_not_taken_over() -> None:
    """A chunk at no samples a second would last for ever."""
    server = Deepgram(Side.THEIRS)
    server.decode('{"type":"Settings","audio":{"input":{"sample_rate":0}},"agent":{}}')
    assert server.decode(counting(1)) == [Listen(Chunk(counting(1), 24000))]


# The SDK


@pytest.mark.parametrize(
    ("event", "model"),
    [
        (Met("1"), sdk.AgentV1Welcome),
        (Configured(), sdk.AgentV1SettingsApplied),
        (SpeechStarted(), sdk.AgentV1UserStartedSpeaking),
        (Replying(), sdk.AgentV1AgentStartedSpeaking),
        (Transcript("agent", "a"), sdk.AgentV1ConversationText),
        (SpeechDone(), sdk.AgentV1AgentAudioDone),
        (TurnDone(), sdk.AgentV1LatencyReport),
        (ToolCall("1", "f", "{}"), sdk.AgentV1FunctionCallRequest),
        (Fault("A", "b"), sdk.AgentV1Error),
        (Fault("A", "b", fatal=False), sdk.AgentV1Warning),
        (Fault("InjectionRefused", "b", fatal=False), sdk.AgentV1InjectionRefused),
        (Told("PromptUpdated", {}), sdk.AgentV1PromptUpdated),
    ],
)
def test_the_sdk_takes_what_a_simulated_server_says(event: Said, model: type[pydantic.BaseModel]) -> None:
    """A client that is built on the vendor's SDK finds every field that it expects."""
    server = theirs(AgentSettings(extra={"experimental": True}))
    wire = json.loads(server.encode(event)[0])
    assert unknown_fields(model.model_validate(wire)) == []


@pytest.mark.parametrize(
    ("event", "model"),
    [
        (Write("a"), sdk.AgentV1InjectUserMessage),
        (KeepAlive(), sdk.AgentV1KeepAlive),
        (UtteranceEnd(), sdk.AgentV1ForceEndTurn),
        (ToolResult("1", "f", "a"), sdk.AgentV1SendFunctionCallResponse),
    ],
)
def test_the_sdk_knows_what_we_say(event: Said, model: type[pydantic.BaseModel]) -> None:
    """We say nothing that the vendor's own client wouldn't."""
    assert unknown_fields(model.model_validate(message(ours(FLUX).encode(event)))) == []


def test_whatever_the_sdk_knows_has_a_meaning_for_us() -> None:
    """Each type of a server's message is read as something; only the pass-through of another model isn't."""
    with warnings.catch_warnings(action="ignore", category=DeprecationWarning):
        client = import_module("deepgram.agent.v1.socket_client")
    models = [model for model in get_args(client.V1SocketClientResponse) if model is not bytes]
    kinds = {model.model_fields["type"].default for model in models}
    unread = {kind for kind in kinds if isinstance(read_any(kind), Unknown)}
    assert unread == {"__customFromThinkProvider"}


def read_any(kind: str) -> Said:
    """Read a message of a kind that has every field any kind needs."""
    fields = {"role": "user", "content": "a", "functions": [{"id": "1", "name": "f", "arguments": ""}]}
    return ours().decode(json.dumps({"type": kind, **fields}))[0]


# Manners


def test_nothing_is_said_before_welcome_and_the_settings_once() -> None:
    """Welcome, Settings, SettingsApplied: then it may be spoken to, and a second Welcome changes nothing."""
    dialect = ours()
    assert dialect.opening() == []
    assert dialect.reply(Met("1")) == [Configure()]
    assert not dialect.ready
    assert dialect.reply(Met("1")) == []
    assert dialect.reply(Configured()) == []
    assert dialect.ready


def test_it_is_left_by_closing_the_socket() -> None:
    """There is no word for goodbye, for good or not."""
    assert ours().leaving(finish=True) == ours().leaving(finish=False) == []


def test_the_register_has_it() -> None:
    """By its name; and a KeepAlive is due before the server gives up."""
    assert AGENTS["deepgram"] is Deepgram
    assert Deepgram.idle == 8.0


def test_the_address_and_the_key() -> None:
    """The key goes into a header with its scheme, an access token with another one."""
    address = Deepgram.address(Account(key="k"), AgentSettings())
    assert address.url == "wss://agent.deepgram.com/v1/agent/converse"
    assert address.headers == {"Authorization": "Token k"}
    token = Deepgram.address(Account(key="t"), AgentSettings(options=frozenset({"bearer"})))
    assert token.headers == {"Authorization": "Bearer t"}


@pytest.mark.parametrize(
    ("account", "url"),
    [
        (Account(key="k", url="https://host"), "wss://host/v1/agent/converse"),
        (Account(key="k", region="eu"), "wss://api.eu.deepgram.com/v1/agent/converse"),
        (Account(key="k", version="v1", region="in"), "wss://api.in.deepgram.com/v1/agent/converse"),
        (Account(url="ws://127.0.0.1:8080"), "ws://127.0.0.1:8080/v1/agent/converse"),
        (Account(url="ws://127.0.0.1:8080/"), "ws://127.0.0.1:8080/v1/agent/converse"),
        (Account(url="wss://host/agent?a=b"), "wss://host/agent?a=b"),
    ],
)
def test_other_addresses(account: Account, url: str) -> None:
    """Regions, and servers of one's own, which may want no key."""
    assert Deepgram.address(account, AgentSettings()).url == url


KEY = Account(key="k")


@pytest.mark.parametrize(
    ("account", "settings", "complaint"),
    [
        (Account(), AgentSettings(), "wants a key"),
        (Account(url="ws://host"), AgentSettings(options=frozenset({"bearer"})), "wants a key"),
        (Account(key="k\r\nX: y"), AgentSettings(), "characters"),
        (Account(key="k", region="mars"), AgentSettings(), "region mars"),
        (Account(key="k", region="eu", url="wss://host"), AgentSettings(), "at once"),
        (Account(key="k", url="ftp://host"), AgentSettings(), "websocket"),
        (Account(key="k", organization="o"), AgentSettings(), "no use"),
        (Account(key="k", url="wss://[::1"), AgentSettings(), "no URL"),
        (Account(key="k", version="v2"), AgentSettings(), "version v2"),
        (KEY, AgentSettings(text=True), "voice only"),
        (KEY, AgentSettings(service="1", model="gpt-5"), "an id"),
        (KEY, AgentSettings(service="1", greeting="Hello!"), "an id"),
        (KEY, AgentSettings(service="1", service_version="2"), "versions"),
        (KEY, AgentSettings(vad=False), "Flux models only"),
        (KEY, AgentSettings(form="opus"), "linear16"),
        (KEY, AgentSettings(form="mp3"), "Aura"),
        (KEY, AgentSettings(form="mp3", voice="flux-kit-en"), "Aura"),
        (KEY, AgentSettings(extra={"audio": {"output": {"container": "wav"}}}), "container"),
        (KEY, AgentSettings(extra={"audio": {"input": {"encoding": "mulaw"}}}), "linear16"),
        (KEY, AgentSettings(extra={"audio": 5}), "don't take"),
        (KEY, AgentSettings(rate=1), "sample rate of 1"),
        (KEY, AgentSettings(output_rate=44100), "44100"),
        (KEY, AgentSettings(options=frozenset({"beta"})), "option beta"),
    ],
)
def test_what_cannot_be_is_refused_before_dialling(account: Account, settings: AgentSettings, complaint: str) -> None:
    """Each with what to type instead, and never with the key."""
    with pytest.raises(UsageError, match=complaint) as refused:
        Deepgram.address(account, settings)
    assert refused.value.hint
    assert "X: y" not in refused.value.message


def test_turns_are_ours_to_end_with_flux_or_an_unknown_agent() -> None:
    """Then the word is said; whether a stored agent takes it, nobody knows before."""
    Deepgram.address(KEY, msgspec.structs.replace(FLUX, vad=False))
    stored = AgentSettings(vad=False, service="1")
    Deepgram.address(KEY, stored)
    assert message(ours(stored).encode(UtteranceEnd())) == {"type": "ForceEndTurn"}


@pytest.mark.parametrize(
    ("code", "again"),
    [
        ("MAXIMUM_SESSION_LENGTH_REACHED", True),
        ("SERVER_GOING_AWAY", True),
        ("CLIENT_MESSAGE_TIMEOUT", True),
        ("INTERNAL_SERVER_ERROR", True),
        ("INVALID_SETTINGS", False),
        ("INVALID_AGENT_ID", False),
        ("UNPARSABLE_CLIENT_MESSAGE", False),
        ("FAILED_TO_THINK", False),
    ],
)
def test_an_error_tells_whether_to_dial_again(code: str, *, again: bool) -> None:
    """Whatever the close code is; what was said goes into the next Settings, so that two hours are no end."""
    dialect = ours()
    (fault,) = dialect.decode(json.dumps({"type": "Error", "description": "why", "code": code}))
    assert isinstance(fault, Fault)
    assert fault.fatal
    assert fault.hint
    ending = dialect.ending(1000, "")
    assert (ending.again, ending.status, ending.hint) == (again, Exit.FAILED, fault.hint)
    assert f"{code}: why" in ending.message


def test_a_warning_is_no_end() -> None:
    """It is told with what can be done, and the connection's end is judged by its code."""
    dialect = ours()
    dialect.reply(Configured())
    (fault,) = dialect.decode(json.dumps({"type": "Warning", "description": "long", "code": "PROMPT_TOO_LONG"}))
    assert fault == Fault("PROMPT_TOO_LONG", "long", "25,000 characters are taken", fatal=False)
    assert dialect.ending(1000, "").status is Exit.OK


def test_the_first_error_is_the_cause() -> None:
    """What follows from it isn't; an unknown code is told as it is."""
    dialect = ours()
    for code in ("NEW_CODE", "SERVER_GOING_AWAY"):
        dialect.decode(json.dumps({"type": "Error", "description": "", "code": code}))
    assert dialect.ending(1011, "bye").message == "Deepgram ended the session: NEW_CODE"


@pytest.mark.parametrize(
    ("code", "ready", "again", "status"),
    [
        (1000, True, False, Exit.OK),
        (1005, True, False, Exit.OK),
        (1000, False, False, Exit.FAILED),
        (1001, True, True, Exit.FAILED),
        (1006, True, True, Exit.FAILED),
        (1011, True, True, Exit.FAILED),
        (1012, False, True, Exit.FAILED),
        (1008, True, False, Exit.REFUSED),
        (1009, True, False, Exit.FAILED),
    ],
)
def test_a_close_code_without_an_error(code: int, *, ready: bool, again: bool, status: Exit) -> None:
    """What passes is dialled again; a goodbye before the Settings were applied is no normal end."""
    dialect = ours()
    if ready:
        dialect.reply(Configured())
    ending = dialect.ending(code, "reason")
    assert (ending.again, ending.status) == (again, status)
    assert "reason" in ending.message
