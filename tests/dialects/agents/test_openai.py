"""The Realtime API's words and manners, as OpenAI, Azure and Botify have them."""

from __future__ import annotations

import json
from base64 import b64encode
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st
from openai.types.realtime import RealtimeClientEvent, RealtimeServerEvent
from pydantic import TypeAdapter
from tests.signals import counting

from audiotap.agent_events import (
    AgentEvent,
    Cancel,
    Conclude,
    Configure,
    Configured,
    Forget,
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
    SpeechStarted,
    SpeechStopped,
    Told,
    ToolCall,
    ToolResult,
    Transcript,
    Truncate,
    Truncated,
    TurnDone,
    UserEvent,
    UtteranceEnd,
    VadMode,
    Write,
)
from audiotap.audio import Chunk
from audiotap.dialects.agents import AGENTS
from audiotap.dialects.agents.base import Account, AgentSettings, Ending, Memory, Said
from audiotap.dialects.agents.openai import USUAL_MODEL, Azure, Botify, OpenAI, botify_info
from audiotap.dialects.agents.openai.client import MOST_CALLS, MOST_ITEMS, Realtime
from audiotap.dialects.base import Side
from audiotap.errors import Exit, UnspokenError, UsageError, WireError
from audiotap.events import Fault, Unknown

FIXTURES = Path(__file__).parent / "fixtures"
CHUNK = Chunk(counting(3), 24000)
BETA = AgentSettings(options=frozenset({"beta"}))
FAMILY = (OpenAI, Azure, Botify)
MODEL = AgentSettings(model="gpt-realtime-2.1")

every_flavour = pytest.mark.parametrize("flavour", FAMILY, ids=lambda flavour: flavour.name)


def fixture(name: str) -> list[dict[str, Any]]:
    told: list[dict[str, Any]] = json.loads(FIXTURES.joinpath(name).read_text())
    return told


def said(dialect: Realtime, event: Said) -> list[dict[str, Any]]:
    """What is sent for an event."""
    return [json.loads(wire) for wire in dialect.encode(event)]


def kinds(dialect: Realtime, event: Said) -> list[str]:
    return [told["type"] for told in said(dialect, event)]


def hear(dialect: Realtime, kind: str, **told: Any) -> list[Said]:
    """A server says something."""
    return dialect.decode(json.dumps({"type": kind, **told}))


def meet(dialect: Realtime, **session: Any) -> list[UserEvent]:
    """A server says its first word; what is answered."""
    (met,) = hear(dialect, "session.created", session={"id": "sess_1", **session})
    assert met == Met("sess_1")
    return dialect.reply(Met("sess_1"))


def set_up(dialect: Realtime, **session: Any) -> Realtime:
    """A dialect whose opening is done."""
    meet(dialect, **session)
    dialect.reply(Configured())
    assert dialect.ready
    return dialect


@cache
def oracle(server: bool) -> TypeAdapter[Any]:
    return TypeAdapter(RealtimeServerEvent if server else RealtimeClientEvent)


def approve(told: dict[str, Any], *, server: bool) -> None:
    """The vendor's own types know the message, and every field at its top."""
    event = oracle(server).validate_python(told, strict=True)
    assert event.type == told["type"]
    assert not event.model_extra


# The reference


def test_the_turn_of_the_reference_is_understood() -> None:
    """A whole turn in today's names: who spoke when, what was said, and what else was told, named."""
    dialect = OpenAI(Side.OURS)
    events = [event for told in fixture("openai_ga_turn.json") for event in dialect.decode(json.dumps(told))]
    assert [event for event in events if not isinstance(event, Told | Configured)] == [
        Met("sess_1"),
        SpeechStarted(1.2, "item_1"),
        SpeechStopped(2.75, "item_1"),
        Replying("resp_7"),
        Transcript("agent", "It is", final=False, item="item_2"),
        Speech(CHUNK, "item_2"),
        Transcript("agent", " noon.", final=False, item="item_2"),
        Transcript("user", "What time", final=False, item="item_1"),
        Transcript("user", "What time is it?", item="item_1"),
        SpeechDone("item_2"),
        Transcript("agent", "It is noon.", item="item_2"),
        TurnDone("resp_7"),
        Truncated("item_2", 1.5),
        Fault("invalid_value", "Invalid value: 'voic'.", fatal=False),
    ]
    assert [event.kind for event in events if isinstance(event, Told)] == [
        "input_audio_buffer.committed",
        "conversation.item.added",
        "conversation.item.done",
        "response.output_item.added",
        "conversation.item.added",
        "response.content_part.added",
        "response.content_part.done",
        "response.output_item.done",
        "conversation.item.done",
        "rate_limits.updated",
    ]


@every_flavour
def test_the_names_of_the_beta_mean_the_same(flavour: type[Realtime]) -> None:
    """Every flavour reads either age's names, whatever it was set to."""
    today, then = (
        [
            event
            for told in fixture(name)
            for event in flavour(Side.OURS).decode(json.dumps(told))
            if not isinstance(event, Told | Configured)
        ]
        for name in ("openai_ga_turn.json", "openai_beta_turn.json")
    )
    assert then == today


@pytest.mark.parametrize("name", ["openai_ga_turn.json", "openai_call.json"])
def test_the_fixtures_are_the_vendors(name: str) -> None:
    """The `openai` package knows each message and each of its fields."""
    for told in fixture(name):
        approve(told, server=True)


def test_a_client_of_the_reference_is_understood() -> None:
    """What any client may say; what a response.create answers is said with it."""
    dialect = OpenAI(Side.THEIRS)
    heard = []
    for told in fixture("openai_client.json"):
        approve(told, server=False)
        heard += dialect.decode(json.dumps(told))
    assert [event.kind if isinstance(event, Unknown) else event for event in heard] == [
        Configure({"type": "realtime", "instructions": "Be brief.", "audio": {"input": {"turn_detection": None}}}),
        Listen(CHUNK),
        "input_audio_buffer.commit",
        UtteranceEnd(),
        Recall("user", "hi"),
        "conversation.item.create",
        ToolResult("call_9", "", '{"ok":true}'),
        Truncate("item_2", 1.5),
        Cancel(),
        Forget(),
        "conversation.item.delete",
        "conversation.item.retrieve",
    ]


def test_the_seeds_append_is_botifys_own() -> None:
    """Its page says `data` where all others say `audio`; its value is a placeholder, so it's filled in here."""
    seed = json.loads(FIXTURES.joinpath("botify_append.json").read_text())
    filled = json.dumps(seed | {"data": b64encode(CHUNK.pcm).decode()})
    assert Botify(Side.THEIRS).decode(filled) == [Listen(CHUNK)]
    with pytest.raises(WireError, match="audio"):
        Botify(Side.THEIRS).decode(json.dumps(seed))
    with pytest.raises(WireError, match="audio"):
        OpenAI(Side.THEIRS).decode(filled)


# Where


@pytest.mark.parametrize(
    ("account", "settings", "url"),
    [
        (Account("k"), AgentSettings(model="m&1"), "wss://api.openai.com/v1/realtime?model=m%261"),
        (Account("k"), AgentSettings(), f"wss://api.openai.com/v1/realtime?model={USUAL_MODEL}"),
        (Account("k", "http://localhost:80"), MODEL, "ws://localhost:80/v1/realtime?model=gpt-realtime-2.1"),
        (Account("", "ws://h/v1"), AgentSettings(), "ws://h/v1/realtime"),
        (Account("", "https://h/team/realtime/"), AgentSettings(), "wss://h/team/realtime/"),
        (Account("k", "wss://h/p?call_id=1"), AgentSettings(), "wss://h/p?call_id=1"),
        (Account("k", "wss://h/p?tenant=1"), MODEL, "wss://h/p?tenant=1&model=gpt-realtime-2.1"),
        (Account("", "localhost:8765"), AgentSettings(), "wss://localhost:8765/v1/realtime"),
    ],
)
def test_openai_is_dialled(account: Account, settings: AgentSettings, url: str) -> None:
    """Its own address, a server's of the same kind, or a whole URL; the key in a header if there is one."""
    address = OpenAI.address(account, settings)
    assert address.url == url
    assert address.headers == ({"Authorization": "Bearer k"} if account.key else {})


@pytest.mark.parametrize(
    ("account", "url"),
    [
        (Account("k", organization="res"), "wss://res.openai.azure.com/openai/v1/realtime?model=my%20dep"),
        (Account("k", "https://res.openai.azure.com"), "wss://res.openai.azure.com/openai/v1/realtime?model=my%20dep"),
        (
            Account("k", "https://res.openai.azure.com/", version="2025-04-01-preview"),
            "wss://res.openai.azure.com/openai/realtime?api-version=2025-04-01-preview&deployment=my%20dep",
        ),
        (
            Account("k", "wss://r.cognitiveservices.azure.com/openai/realtime?api-version=1&deployment=my%20dep"),
            "wss://r.cognitiveservices.azure.com/openai/realtime?api-version=1&deployment=my%20dep",
        ),
        (Account("k", "https://r?tenant=1"), "wss://r/openai/v1/realtime?tenant=1&model=my%20dep"),
        (
            Account("k", "https://r?deployment=my+dep", version="1"),
            "wss://r/openai/realtime?deployment=my%20dep&api-version=1",
        ),
    ],
)
def test_azure_is_dialled(account: Account, url: str) -> None:
    """GA without a version, the preview with one, any whole URL; never a beta header."""
    address = Azure.address(account, AgentSettings(model="my dep"))
    assert (address.url, address.headers) == (url, {"api-key": "k"})
    entra = Azure.address(account, AgentSettings(model="my dep", options=frozenset({"bearer"})))
    assert entra.headers == {"Authorization": "Bearer k"}


def test_azure_takes_a_key_in_the_address() -> None:
    """As its pages have it for who can't set a header; none is shown beside it then."""
    address = Azure.address(Account("", "https://r?api-key=k"), AgentSettings(model="m"))
    assert (address.url, dict(address.headers)) == ("wss://r/openai/v1/realtime?api-key=k&model=m", {})


def test_botify_is_dialled_without_a_key() -> None:
    """It asks nobody who they are."""
    address = Botify.address(Account("k", "http://localhost:8080"), AgentSettings())
    assert (address.url, dict(address.headers)) == ("ws://localhost:8080/realtime", {})


@pytest.mark.parametrize(
    ("flavour", "account", "settings", "hint"),
    [
        (OpenAI, Account(), MODEL, "OPENAI_API_KEY"),
        (OpenAI, Account("k", "ftp://h"), MODEL, "wss://"),
        (OpenAI, Account("k", "wss://[h"), MODEL, "wss://"),
        (OpenAI, Account("k", "wss://h:port"), MODEL, "wss://"),
        (OpenAI, Account("k"), AgentSettings(model="m", form="mp3"), "PCM"),
        (OpenAI, Account("k"), AgentSettings(model="m", rate=16000), "resampled"),
        (OpenAI, Account("k"), AgentSettings(model="m", language="de"), "--transcribe"),
        (Azure, Account("k"), MODEL, "--url"),
        (Azure, Account(organization="r"), MODEL, "AZURE_OPENAI_API_KEY"),
        (Azure, Account("k", organization="r"), AgentSettings(), "--model"),
        (Azure, Account("k", "https://r/openai/v1", version="1"), MODEL, "version"),
        (Azure, Account("k", "wss://r/openai/v1/realtime?model=m&api-version=1"), MODEL, "version"),
        (Botify, Account(), AgentSettings(), "--url"),
        (OpenAI, Account("k"), AgentSettings(options=frozenset({"bearer"})), "beta"),
        (OpenAI, Account("k", "wss://h?model=a"), AgentSettings(model="b"), "one of them"),
        (OpenAI, Account("k", region="eu"), MODEL, "--region"),
        (OpenAI, Account("k", organization="o"), MODEL, "--organization"),
        (OpenAI, Account("k", version="1"), MODEL, "--api-version"),
        (OpenAI, Account("k"), AgentSettings(model="m", service_version="2"), "--service-version"),
        (Azure, Account("k", "https://r?deployment=a", version="1"), AgentSettings(model="b"), "one of them"),
        (Azure, Account("k", "https://r", region="eu"), MODEL, "--region"),
        (Botify, Account("", "ws://h"), MODEL, "--model"),
        (Botify, Account("", "ws://h"), AgentSettings(options=frozenset({"data"})), "data-field"),
    ],
)
def test_what_is_missing_is_named(
    flavour: type[Realtime], account: Account, settings: AgentSettings, hint: str
) -> None:
    """Before anything is dialled, with what to type."""
    with pytest.raises(UsageError) as raised:
        AGENTS[flavour.name].address(account, settings)
    assert hint in raised.value.hint


# Settings


def test_settings_in_todays_shape() -> None:
    """Everything that was asked for, where the reference has it, and the vendor's types take it."""
    settings = AgentSettings(
        instructions="Be brief.",
        voice="marin",
        language="de",
        transcribe="gpt-4o-transcribe",
        vad=False,
        service="pmpt_1",
        service_version="2",
        extra={"audio": {"output": {"speed": 1.5}}},
    )
    dialect = OpenAI(Side.OURS, settings)
    (update,) = said(dialect, Configure())
    approve(update, server=False)
    form = {"type": "audio/pcm", "rate": 24000}
    assert update["session"] == {
        "type": "realtime",
        "output_modalities": ["audio"],
        "instructions": "Be brief.",
        "prompt": {"id": "pmpt_1", "version": "2"},
        "audio": {
            "input": {
                "format": form,
                "transcription": {"model": "gpt-4o-transcribe", "language": "de"},
                "turn_detection": None,
            },
            "output": {"format": form, "voice": "marin", "speed": 1.5},
        },
    }


def test_settings_in_the_betas_shape() -> None:
    """The same, flat; an Azure preview refuses audio alone, so it's always both."""
    settings = AgentSettings(voice="coral", transcribe="whisper-1", vad=False, options=frozenset({"beta"}))
    (update,) = said(OpenAI(Side.OURS, settings), Configure())
    assert update["session"] == {
        "modalities": ["text", "audio"],
        "voice": "coral",
        "input_audio_format": "pcm16",
        "output_audio_format": "pcm16",
        "input_audio_transcription": {"model": "whisper-1"},
        "turn_detection": None,
    }


def test_answers_in_text_only() -> None:
    """Never both in today's shape."""
    for settings, kind in ((AgentSettings(text=True), "output_modalities"), (BETA, "modalities")):
        (update,) = said(OpenAI(Side.OURS, settings), Configure())
        assert update["session"][kind] == (["text"] if settings.text else ["text", "audio"])


@pytest.mark.parametrize("flavour", [OpenAI, Azure])
@pytest.mark.parametrize(
    ("session", "beta"),
    [
        ({"type": "realtime", "output_modalities": ["audio"]}, False),
        ({"modalities": ["text", "audio"], "input_audio_format": "pcm16"}, True),
        ({}, False),
    ],
)
def test_the_servers_first_word_tells_the_shape(flavour: type[Realtime], session: dict[str, Any], beta: bool) -> None:
    """An Azure preview, or an older server, is spoken to in its own shape without being asked to."""
    dialect = flavour(Side.OURS)
    assert meet(dialect, **session) == [Configure()]
    (update,) = said(dialect, Configure())
    assert ("modalities" in update["session"]) == beta


def test_botify_is_left_as_it_is_set_up() -> None:
    """It sets its agent up by itself: nothing is sent, and it may be spoken to at once."""
    dialect = Botify(Side.OURS)
    assert meet(dialect, modalities=["text", "audio"]) == []
    assert dialect.ready


@pytest.mark.parametrize(
    ("settings", "session"),
    [
        (AgentSettings(voice="alloy"), {"voice": "alloy"}),
        (AgentSettings(vad=False), {"turn_detection": None}),
        (AgentSettings(extra={"temperature": 0.7}), {"temperature": 0.7}),
    ],
)
def test_botify_is_told_only_what_was_asked_for(settings: AgentSettings, session: dict[str, Any]) -> None:
    """The rest stays as its own settings have it."""
    dialect = Botify(Side.OURS, settings)
    assert meet(dialect, modalities=["text", "audio"]) == [Configure()]
    assert not dialect.ready
    assert said(dialect, Configure())[0]["session"] == session


def test_a_botify_that_moved_on_is_spoken_to_in_todays_shape() -> None:
    """A fork whose upstream is GA says so in its first word."""
    dialect = Botify(Side.OURS, AgentSettings(voice="alloy"))
    meet(dialect, type="realtime", output_modalities=["audio"])
    assert said(dialect, Configure())[0]["session"] == {
        "type": "realtime",
        "audio": {"output": {"voice": "alloy"}},
    }


# Manners


def test_the_opening_waits_for_the_server() -> None:
    """Nothing before its first word; then the settings; ready when they are acknowledged, and not asked twice."""
    dialect = OpenAI(Side.OURS)
    assert dialect.opening() == []
    assert meet(dialect) == [Configure()]
    assert not dialect.ready
    assert dialect.reply(Configured()) == []
    assert dialect.ready
    assert dialect.reply(Configured()) == []


def test_a_server_that_does_not_introduce_itself_is_met_all_the_same() -> None:
    """Its first word, whatever it is, opens; an error doesn't."""
    dialect = OpenAI(Side.OURS)
    assert dialect.reply(Fault("x", "y")) == []
    assert dialect.reply(Told("rate_limits.updated", {})) == [Configure()]


def test_what_was_said_before_is_told_again() -> None:
    """After an hour's end a new session gets the settings and what was said, in the type that each speaker has."""
    said_before = (Recall("user", "My name is Ana."), Recall("agent", "Hello, Ana."))
    dialect = OpenAI(Side.OURS, AgentSettings(greeting="Hi."), Memory(said=said_before))
    assert meet(dialect) == [Configure(), *said_before]
    assert dialect.reply(Configured()) == []
    items = [said(dialect, event)[0] for event in said_before]
    for item in items:
        approve(item, server=False)
    assert [item["item"]["content"][0]["type"] for item in items] == ["input_text", "output_text"]
    assert said(OpenAI(Side.OURS, BETA), said_before[1])[0]["item"]["content"][0]["type"] == "text"


def test_a_greeting_is_asked_for_once() -> None:
    """In words from outside the conversation, when the opening is done."""
    dialect = OpenAI(Side.OURS, AgentSettings(greeting="Good morning."))
    meet(dialect)
    (greeting,) = dialect.reply(Configured())
    item, ask = said(dialect, greeting)
    assert item["item"]["role"] == "system"
    assert "Good morning." in item["item"]["content"][0]["text"]
    assert ask == {"type": "response.create"}


def test_nothing_is_said_on_leaving() -> None:
    """There is no word for it."""
    assert OpenAI(Side.OURS).leaving(finish=True) == OpenAI(Side.OURS).leaving(finish=False) == []
    for event in (Leave(), Conclude(), KeepAlive(), Resume("x"), ListenFile(b"", "mp3"), Speech(CHUNK)):
        with pytest.raises(UnspokenError, match=type(event).__name__):
            OpenAI(Side.OURS).encode(event)


# Turns


def test_an_utterance_ends_with_a_commit_and_a_question() -> None:
    """A commit alone makes no answer."""
    assert said(OpenAI(Side.OURS), UtteranceEnd()) == [
        {"type": "input_audio_buffer.commit"},
        {"type": "response.create"},
    ]


@pytest.mark.parametrize(
    ("event", "role", "asks"),
    [(Write("hi"), "user", True), (Write("hi", start=False), "user", False), (Write("hi", event=True), "system", True)],
)
def test_text_is_an_item(event: Write, role: str, asks: bool) -> None:
    """What's written is put into the conversation; the answer has to be asked for."""
    words = said(OpenAI(Side.OURS), event)
    assert words[0] == {
        "type": "conversation.item.create",
        "item": {"type": "message", "role": role, "content": [{"type": "input_text", "text": "hi"}]},
    }
    assert [word["type"] for word in words[1:]] == ["response.create"] * asks


def test_an_answer_is_asked_for_when_the_last_one_is_over() -> None:
    """Asking for two at once is an error, and the second question would never be answered."""
    dialect = set_up(OpenAI(Side.OURS))
    assert kinds(dialect, UtteranceEnd()) == ["input_audio_buffer.commit", "response.create"]
    assert kinds(dialect, Write("and?")) == ["conversation.item.create"]
    hear(dialect, "response.created", response={"id": "resp_1"})
    assert dialect.reply(Replying("resp_1")) == []
    (done,) = hear(dialect, "response.done", response={"id": "resp_1", "status": "completed"})
    assert isinstance(done, TurnDone)
    (owed,) = dialect.reply(done)
    assert said(dialect, owed) == [{"type": "response.create"}]
    assert dialect.reply(done) == []


def test_what_is_written_into_an_answer_is_answered_after_it() -> None:
    """Once; a call's result asks for itself, and an agent that answers its own call goes on by itself."""
    for flavour in FAMILY:
        for pending in (False, True):
            dialect = set_up(flavour(Side.OURS))
            hear(dialect, "response.created", response={"id": "r"})
            assert kinds(dialect, Write("and?")) == ["conversation.item.create"]
            output = [{"type": "function_call", "call_id": "c", "name": "f", "arguments": "{}"}] * pending
            done = hear(dialect, "response.done", response={"id": "r", "output": output})[-1]
            assert done == TurnDone("r", pending=pending)
            owed = dialect.reply(done)
            assert owed == ([] if pending else [Write("")])
            assert [kind for event in owed for kind in kinds(dialect, event)] == ["response.create"] * len(owed)


def test_a_refused_question_is_over_too() -> None:
    """The next one is asked at once."""
    dialect = set_up(OpenAI(Side.OURS))
    dialect.encode(UtteranceEnd())
    (fault,) = hear(dialect, "error", error={"code": "input_audio_buffer_commit_empty", "message": "buffer too small"})
    assert isinstance(fault, Fault)
    assert (fault.fatal, dialect.reply(fault)) == (False, [])
    assert kinds(dialect, Write("hi")) == ["conversation.item.create", "response.create"]


def test_cancelling_nothing_is_not_said() -> None:
    """It is an error; the one that crosses the end of an answer is harmless and told as such."""
    dialect = set_up(OpenAI(Side.OURS))
    assert said(dialect, Cancel()) == []
    hear(dialect, "response.created", response={"id": "resp_1"})
    assert said(dialect, Cancel()) == [{"type": "response.cancel"}]
    (told,) = hear(dialect, "error", error={"code": "response_cancel_not_active", "message": "no"})
    assert isinstance(told, Told)


def test_vad_is_switched_in_either_shape() -> None:
    """`null` is the vendor's word for off."""
    assert said(OpenAI(Side.OURS), VadMode(on=False))[0]["session"] == {
        "type": "realtime",
        "audio": {"input": {"turn_detection": None}},
    }
    assert said(OpenAI(Side.OURS, BETA), VadMode(on=True))[0]["session"] == {"turn_detection": {"type": "server_vad"}}


def test_botifys_field_is_one_or_the_other() -> None:
    """`audio` is right for Botify and everybody; `data`, which its page has, is an option; never both."""
    pcm = b64encode(CHUNK.pcm).decode()
    assert said(Botify(Side.OURS), Listen(CHUNK)) == [{"type": "input_audio_buffer.append", "audio": pcm}]
    seed = Botify(Side.OURS, AgentSettings(options=frozenset({"data-field"})))
    assert said(seed, Listen(CHUNK)) == [{"type": "input_audio_buffer.append", "data": pcm}]


@every_flavour
def test_never_a_binary_frame(flavour: type[Realtime]) -> None:
    """Botify goes deaf at the first one, and the others take none either."""
    dialect = flavour(Side.OURS, AgentSettings(voice="alloy"))
    events: list[UserEvent] = [
        Configure(),
        Listen(CHUNK),
        UtteranceEnd(),
        Write("hi"),
        Recall("agent", "hello"),
        ToolResult("c", "n", "{}"),
        Truncate("item", 1.0),
        VadMode(on=True),
    ]
    assert all(isinstance(wire, str) for event in events for wire in dialect.encode(event))


# Barge-in


def speak(dialect: Realtime, item: str, milliseconds: int) -> None:
    delta = b64encode(bytes(48 * milliseconds)).decode()
    hear(dialect, "response.output_audio.delta", item_id=item, delta=delta)


def test_what_was_played_is_rounded_down() -> None:
    """A millisecond more than there is would be an error."""
    dialect = OpenAI(Side.OURS)
    speak(dialect, "item_2", 2000)
    words = said(dialect, Truncate("item_2", 1.2349))
    approve(words[0], server=False)
    assert words == [
        {"type": "conversation.item.truncate", "item_id": "item_2", "content_index": 0, "audio_end_ms": 1234}
    ]
    assert said(dialect, Truncate("item_2", 0.29))[0]["audio_end_ms"] == 290


def test_no_more_is_cut_than_there_is() -> None:
    """Whoever counts its own padding as played is put right; what was heard to its end is left alone."""
    dialect = OpenAI(Side.OURS)
    speak(dialect, "item_2", 1000)
    assert said(dialect, Truncate("item_2", 57.34))[0]["audio_end_ms"] == 1000
    hear(dialect, "response.output_audio.done", item_id="item_2")
    assert said(dialect, Truncate("item_2", 1.0)) == []
    assert said(dialect, Truncate("item_2", 0.9))[0]["audio_end_ms"] == 900


def test_what_nobody_heard_is_taken_out() -> None:
    """An item of which nothing was played is deleted, so that the agent doesn't think it said it."""
    assert said(OpenAI(Side.OURS), Truncate("item_2", 0.0)) == [
        {"type": "conversation.item.delete", "item_id": "item_2"}
    ]


def test_lengths_are_kept_of_the_last_items_only() -> None:
    """A long conversation takes no more memory than a short one."""
    dialect = OpenAI(Side.OURS)
    for number in range(10 * MOST_ITEMS):
        speak(dialect, f"item_{number}", 10)
        hear(dialect, "response.output_audio.done", item_id=f"item_{number}")
    assert len(dialect._lengths) == len(dialect._complete) == MOST_ITEMS


# Calls


def test_a_call_is_told_when_its_response_is_over() -> None:
    """Before that an answer could not be asked for; the last result asks."""
    dialect = OpenAI(Side.OURS)
    events = [event for told in fixture("openai_call.json") for event in dialect.decode(json.dumps(told))]
    assert events[-2:] == [ToolCall("call_9", "get_weather", '{"city":"Paris"}'), TurnDone("resp_7", pending=True)]
    assert not any(isinstance(event, ToolCall) for event in events[:-2])
    result, ask = said(dialect, ToolResult("call_9", "get_weather", "sunny"))
    approve(result, server=False)
    assert result["item"] == {"type": "function_call_output", "call_id": "call_9", "output": "sunny"}
    assert ask == {"type": "response.create"}


def test_of_several_calls_only_the_last_result_asks() -> None:
    """Two questions at once would be one too many."""
    dialect = OpenAI(Side.OURS)
    call = {"type": "function_call", "name": "f", "arguments": "{}"}
    output = [{**call, "call_id": "c1"}, {**call, "call_id": "c2"}]
    events = hear(dialect, "response.done", response={"id": "r", "status": "completed", "output": output})
    assert [event.id for event in events if isinstance(event, ToolCall)] == ["c1", "c2"]
    assert kinds(dialect, ToolResult("c2", "f", "")) == ["conversation.item.create"]
    assert kinds(dialect, ToolResult("c1", "f", "")) == ["conversation.item.create", "response.create"]


def test_a_call_that_was_cut_off_is_none() -> None:
    """An interrupted response waits for nothing."""
    dialect = OpenAI(Side.OURS)
    call = {"type": "function_call", "call_id": "c", "name": "f", "arguments": "{", "status": "incomplete"}
    details = {"reason": "turn_detected"}
    response = {"id": "r", "status": "cancelled", "status_details": details, "output": [call]}
    assert hear(dialect, "response.done", response=response) == [TurnDone("r", "cancelled", "turn_detected")]


def test_a_server_that_leaves_the_output_out_still_calls() -> None:
    """The finished item is enough."""
    dialect = OpenAI(Side.OURS)
    item = {"type": "function_call", "call_id": "c", "name": "f", "arguments": "{}"}
    hear(dialect, "response.output_item.done", item=item)
    assert hear(dialect, "response.done", response={"id": "r"}) == [
        ToolCall("c", "f", "{}"),
        TurnDone("r", pending=True),
    ]


def test_calls_without_end_are_malformed() -> None:
    """A server can't fill our memory with them."""
    dialect = OpenAI(Side.OURS)
    for number in range(MOST_CALLS):
        hear(dialect, "response.output_item.done", item={"type": "function_call", "call_id": str(number)})
    with pytest.raises(WireError, match="calls"):
        hear(dialect, "response.output_item.done", item={"type": "function_call", "call_id": "more"})


def test_botify_answers_its_own_calls() -> None:
    """It swallows the finished item, but response.done has it: the turn goes on, and nothing is ours to do."""
    dialect = Botify(Side.OURS)
    events = [
        event
        for told in fixture("openai_call.json")
        if told["type"] != "response.output_item.done"
        for event in dialect.decode(json.dumps(told))
    ]
    assert events[-2:] == [
        ToolCall("call_9", "get_weather", '{"city":"Paris"}', ours=False),
        TurnDone("resp_7", pending=True),
    ]


# What goes wrong


@pytest.mark.parametrize(
    ("status", "details", "reason"),
    [
        ("cancelled", {"type": "cancelled", "reason": "client_cancelled"}, "client_cancelled"),
        ("incomplete", {"type": "incomplete", "reason": "max_output_tokens"}, "max_output_tokens"),
        ("incomplete", {"type": "incomplete", "reason": "content_filter"}, "content_filter"),
        ("failed", {"type": "failed", "error": {"code": "rate_limit_exceeded", "message": "Slow."}}, "Slow."),
        ("failed", {"type": "failed", "error": {"type": "server_error", "code": None}}, "server_error"),
        ("failed", None, ""),
    ],
)
def test_an_answer_that_came_to_nothing_says_why(status: str, details: dict[str, Any] | None, reason: str) -> None:
    """A failed one comes without any error event, so its end is the only word of it."""
    response: dict[str, Any] = {"id": "resp_1", "status": status, "status_details": details, "output": []}
    (done,) = hear(OpenAI(Side.OURS), "response.done", response=response)
    assert isinstance(done, TurnDone)
    assert done.status == status
    assert done.reason.endswith(reason)


def test_an_account_without_credit_ends_the_conversation() -> None:
    """The usual place to hear of it is a failed answer."""
    dialect = OpenAI(Side.OURS)
    error = {"type": "insufficient_quota", "code": "insufficient_quota", "message": "You exceeded your quota."}
    response = {"id": "r", "status": "failed", "status_details": {"type": "failed", "error": error}}
    fault, done = hear(dialect, "response.done", response=response)
    assert isinstance(fault, Fault)
    assert fault.fatal
    assert done == TurnDone("r", "failed", "insufficient_quota: You exceeded your quota.")
    assert dialect.ending(1000, "").status == Exit.REFUSED


@pytest.mark.parametrize(
    "code",
    [
        "insufficient_quota",
        "invalid_api_key",
        "account_deactivated",
        "billing_hard_limit_reached",
        "session_expired",
        "beta_api_shape_disabled",
    ],
)
def test_some_errors_are_the_end(code: str) -> None:
    """Of all errors only these; each but the hour's end comes with what to do."""
    (fault,) = hear(OpenAI(Side.OURS), "error", error={"code": code, "message": "No."})
    assert isinstance(fault, Fault)
    assert (fault.code, fault.message, fault.fatal) == (code, "No.", True)
    assert fault.hint or code == "session_expired"


def test_refused_settings_are_the_end() -> None:
    """The user asked for something and doesn't have it: by the id of our message, or because nothing else is open."""
    error = {"type": "invalid_request_error", "code": "invalid_value", "message": "Invalid voice."}
    waiting = OpenAI(Side.OURS)
    meet(waiting)
    (fault,) = hear(waiting, "error", error=error)
    assert isinstance(fault, Fault)
    assert fault.fatal
    ready = set_up(OpenAI(Side.OURS))
    (ours,) = said(ready, Configure())
    (named,) = hear(ready, "error", error=error | {"event_id": ours["event_id"]})
    (other,) = hear(ready, "error", error=error)
    assert isinstance(named, Fault)
    assert isinstance(other, Fault)
    assert (named.fatal, other.fatal) == (True, False)


@pytest.mark.parametrize(
    ("message", "hint"),
    [
        ("Unknown parameter: 'session.type'.", "--option beta"),
        ("API Error: Unknown parameter: 'session.output_modalities'.", "--option beta"),
        ("Unknown parameter: 'session.audio'.", "--option beta"),
        ("Missing required parameter: 'session.type'.", "leave `--option beta` out"),
        ("Unknown parameter: 'session.modalities'.", "leave `--option beta` out"),
        ("Unknown parameter: 'session.input_audio_format'.", "leave `--option beta` out"),
        ("Unknown parameter: 'session.foo'.", ""),
    ],
)
def test_a_server_of_the_other_age_is_recognised(message: str, hint: str) -> None:
    """Its error says which shape it wants; the hint says what to type. Botify leaves only the message of an error."""
    for flavour in (OpenAI, Botify):
        (fault,) = hear(flavour(Side.OURS), "error", error={"code": "unknown_parameter", "message": message})
        assert isinstance(fault, Fault)
        assert hint in fault.hint
        assert bool(hint) == bool(fault.hint)


def test_the_end_of_the_beta_says_what_to_type() -> None:
    """As its own frame has it; the closing after it means the same."""
    dialect = OpenAI(Side.OURS)
    (fault,) = dialect.decode(json.dumps(fixture("openai_beta_disabled.json")[0]))
    assert isinstance(fault, Fault)
    assert "--option beta" in fault.hint
    for ending in (
        dialect.ending(4000, "invalid_request_error.beta_api_shape_disabled"),
        OpenAI(Side.OURS).ending(4000, "invalid_request_error.beta_api_shape_disabled"),
    ):
        assert "--option beta" in ending.hint
        assert (ending.status, ending.again) == (Exit.FAILED, False)


def test_botifys_errors_are_read() -> None:
    """Their code is lost; one of them means that it never reached its agent, after which it drops the line."""
    dialect = Botify(Side.OURS)
    soft, hard = (dialect.decode(json.dumps(told))[0] for told in fixture("botify_errors.json"))
    assert isinstance(soft, Fault)
    assert isinstance(hard, Fault)
    assert (soft.code, soft.fatal, hard.code, hard.fatal) == ("api_error", False, "internal_error", True)
    assert "AZURE_OPENAI" in hard.hint
    assert dialect.ending(1006, "") == Ending(hard.message, hard.hint)


def test_an_error_may_be_bare() -> None:
    """A string, nothing at all, or a number for a code: it is a fault all the same."""
    for error in ("Oh no.", None, {}, {"code": 500}, {"message": "Oh no."}):
        (fault,) = hear(OpenAI(Side.OURS), "error", error=error)
        assert isinstance(fault, Fault)
        assert fault.message


def test_a_failed_transcription_is_told() -> None:
    """The conversation goes on; what the user said stays unwritten."""
    error = {"type": "transcription_error", "code": "audio_unintelligible", "message": "Unintelligible."}
    kind = "conversation.item.input_audio_transcription.failed"
    assert hear(set_up(OpenAI(Side.OURS)), kind, item_id="i", content_index=0, error=error) == [
        Fault("audio_unintelligible", "Unintelligible.", fatal=False)
    ]


@pytest.mark.parametrize(
    ("code", "reason", "status", "again"),
    [
        (1000, "", Exit.OK, False),
        (1001, "Your session hit the maximum duration of 60 minutes.", Exit.FAILED, True),
        (3000, "invalid_request_error.invalid_api_key", Exit.REFUSED, False),
        (4000, "invalid_request_error.missing_model", Exit.FAILED, False),
        (1006, "", Exit.FAILED, True),
        (1009, "too big", Exit.FAILED, False),
        (1011, "internal", Exit.FAILED, True),
        (1012, "restart", Exit.FAILED, True),
    ],
)
def test_what_a_closing_means(code: int, reason: str, status: Exit, again: bool) -> None:
    """The hour's end and a lost line are worth another try; a refusal isn't."""
    ending = OpenAI(Side.OURS).ending(code, reason)
    assert (ending.status, ending.again) == (status, again)
    assert reason in ending.message or code == 1000


def test_a_closing_of_the_vendors_own_is_told_by_the_error_before_it() -> None:
    """Its reason is a code only; what to type stands in the hint."""
    dialect = OpenAI(Side.OURS)
    hear(dialect, "error", error={"code": "missing_model", "message": "You must provide a model parameter."})
    ending = dialect.ending(4000, "invalid_request_error.missing_model")
    assert (ending.message, ending.hint) == ("You must provide a model parameter.", "name one with --model")
    assert "closed" in dialect.ending(1009, "too big").message


def test_an_expired_session_goes_on_however_it_is_closed() -> None:
    """The error before the closing says enough."""
    dialect = OpenAI(Side.OURS)
    hear(dialect, "error", error={"code": "session_expired", "message": "60 minutes."})
    assert dialect.ending(1006, "").again


def test_botifys_silent_end_is_told_as_what_it_is() -> None:
    """It drops the line without a word when Azure has hung up: that's said, with the last error there was."""
    dialect = Botify(Side.OURS)
    ending = dialect.ending(1006, "")
    assert (ending.again, ending.status) == (False, Exit.FAILED)
    assert "Azure" in ending.message
    hear(dialect, "error", error={"code": "api_error", "message": "API Error: too slow"})
    assert "too slow" in dialect.ending(1006, "").message


def test_a_botify_that_was_ready_begins_anew() -> None:
    """A session with Azure lasts an hour at most, and Botify makes a new one for whoever dials again."""
    dialect = Botify(Side.OURS)
    assert dialect.reply(Met("sess_1")) == []
    assert dialect.ready
    assert dialect.ending(1006, "").again


# Botify's own page


def test_older_botifys_tell_of_themselves() -> None:
    """The voices, the one in use, and whether it is the age of `data`."""
    info = botify_info(FIXTURES.joinpath("botify_info.json").read_text())
    assert (info.available_voice_options, info.current_voice) == (("alloy", "coral"), "coral")
    assert info.options == {"data-field"}
    assert botify_info("{}").options == frozenset()
    for body in ("", "[]", "null", '{"available_voice_options": 7}'):
        with pytest.raises(WireError):
            botify_info(body)


# Both ends

texts = st.text(max_size=20)
names = st.text("abcdefgh_123", min_size=1, max_size=12)
chunks = st.builds(Chunk, st.binary(max_size=64), st.just(24000))
moments = st.integers(0, 10**9).map(lambda ms: ms / 1000)

FROM_USER = st.one_of(
    st.builds(Listen, chunks),
    st.builds(Configure, st.dictionaries(names, st.integers(), min_size=1, max_size=3)),
    st.just(UtteranceEnd()),
    st.builds(Recall, st.sampled_from(["user", "agent"]), texts),
    st.builds(Write, texts.filter(bool)),
    st.builds(Write, texts.filter(bool), st.just(True), st.booleans()),
    st.builds(Truncate, names, st.integers(1, 10**9).map(lambda ms: ms / 1000)),
    st.builds(ToolResult, names, st.just(""), texts),
)
AT_ONCE = st.one_of(
    st.builds(Met, names),
    st.builds(Configured, st.just(""), st.just({})),
    st.builds(SpeechStarted, moments, names),
    st.builds(SpeechStopped, moments, names),
    st.builds(Truncated, names, moments),
    st.builds(Told, st.just("rate_limits.updated"), st.just({"event_id": "e", "rate_limits": []})),
    st.builds(Fault, names.map("odd_{}".format), texts.filter(bool), st.just(""), st.just(False)),
    st.builds(Replying, names),
)
IN_AN_ANSWER = st.one_of(
    st.builds(Speech, chunks, names),
    st.builds(Transcript, st.just("agent"), texts, st.booleans(), names),
    st.builds(SpeechDone, names),
)
ENDS = st.one_of(
    st.builds(TurnDone, names),
    st.builds(TurnDone, names, st.just("cancelled"), st.sampled_from(["turn_detected", "client_cancelled"])),
    st.builds(TurnDone, names, st.just("incomplete"), st.sampled_from(["max_output_tokens", "content_filter"])),
    st.builds(TurnDone, names, st.just("failed"), texts.filter(bool)),
)


@every_flavour
@given(event=FROM_USER)
def test_what_we_say_is_what_a_server_hears(flavour: type[Realtime], event: UserEvent) -> None:
    """The last of what is read is what was said; before it are the pieces that it is made of."""
    ours, theirs = flavour(Side.OURS), flavour(Side.THEIRS)
    heard = [read for wire in ours.encode(event) for read in theirs.decode(wire)]
    assert heard[-1] == event


@every_flavour
@given(event=AT_ONCE)
def test_what_a_server_says_is_what_we_hear(flavour: type[Realtime], event: AgentEvent) -> None:
    """Its first word for an event says it; what else it tells is told."""
    ours, theirs = flavour(Side.OURS), flavour(Side.THEIRS)
    first, *rest = [read for wire in theirs.encode(event) for read in ours.decode(wire)]
    match first, event:
        case Configured(), Configured():
            assert first.wire == theirs.server.session
        case Told(kind), Told():
            assert kind == event.kind
        case Fault(message=message), Fault() if flavour is Botify:
            assert message == f"API Error: {event.message}"
        case _:
            assert first == event
    assert all(isinstance(read, Told) for read in rest)


@every_flavour
@given(events=st.lists(IN_AN_ANSWER, max_size=8), end=ENDS)
def test_an_answer_arrives_as_it_was_given(flavour: type[Realtime], events: list[AgentEvent], end: TurnDone) -> None:
    """In the order it was given, however often the item changes; what was left open is closed before the end."""
    ours, theirs = flavour(Side.OURS), flavour(Side.THEIRS)
    given_: list[Said] = [Replying("resp_1"), *events, end]
    read = [
        event
        for said_ in given_
        for wire in theirs.encode(said_)
        for event in ours.decode(wire)
        if not isinstance(event, Told)
    ]
    assert (read[0], read[-1]) == (given_[0], end)
    rest: Iterator[Said] = iter(read)
    assert all(any(event == one for one in rest) for event in given_)


@every_flavour
def test_a_call_arrives_as_it_was_made(flavour: type[Realtime]) -> None:
    """With the end of its response; the name of a result is known at the other end again."""
    ours, theirs = flavour(Side.OURS), flavour(Side.THEIRS)
    call = ToolCall("call_1", "Search-Tool", "{}", ours=flavour.tools)
    given_: list[Said] = [Replying("r"), call, TurnDone("r", pending=True)]
    wires = [str(wire) for event in given_ for wire in theirs.encode(event)]
    read = [event for wire in wires for event in ours.decode(wire) if not isinstance(event, Told)]
    assert read == given_
    assert ('"function_call"' in "".join(wire for wire in wires if "output_item.done" in wire)) == flavour.tools
    heard = [event for wire in ours.encode(ToolResult("call_1", "x", "y")) for event in theirs.decode(wire)]
    assert heard[-1] == ToolResult("call_1", "Search-Tool", "y")


def everything_a_server_says() -> list[str]:
    """A session with all that's in it."""
    theirs = OpenAI(Side.THEIRS)
    asked = {"type": "realtime", "audio": {"input": {"transcription": {"model": "gpt-4o-transcribe"}}}}
    events: list[Said] = [
        Met("sess_1"),
        Configured(wire=theirs.server.session | {"audio": theirs.server.session["audio"] | asked["audio"]}),
        SpeechStarted(0.5),
        SpeechStopped(1.5),
        Transcript("user", "What", final=False),
        Transcript("user", "What time is it?"),
        Replying(),
        ToolCall("call_1", "clock", "{}"),
        TurnDone(pending=True),
        Replying(),
        Transcript("agent", "It is", final=False),
        Speech(CHUNK),
        Transcript("agent", "It is noon."),
        SpeechDone(),
        TurnDone(),
        Replying(),
        Transcript("agent", "And", final=False),
        Speech(CHUNK),
        TurnDone(status="cancelled", reason="turn_detected"),
        Replying(),
        TurnDone(status="failed", reason="No."),
        Truncated("item_000001", 0.5),
        Fault("invalid_value", "Invalid value: 'session.voice'."),
        Told("input_audio_buffer.committed", {}),
        Told("input_audio_buffer.cleared", {}),
    ]
    return [str(wire) for event in events for wire in theirs.encode(event)]


def test_a_client_of_the_vendors_understands_our_server() -> None:
    """Each message that a simulated server sends is one that the `openai` package has a type for, every field of it."""
    for wire in everything_a_server_says():
        approve(json.loads(wire), server=True)


def test_ids_belong_together() -> None:
    """Every piece is of an item that was announced, in a response that was, and every event has an id of its own."""
    told = [json.loads(wire) for wire in everything_a_server_says()]
    assert len({message["event_id"] for message in told}) == len(told)
    responses: set[str] = set()
    items: set[str] = set()
    for message in told:
        if message["type"] == "response.created":
            responses.add(message["response"]["id"])
        if message["type"] == "response.output_item.added":
            items.add(message["item"]["id"])
        if message["type"].startswith("response.") and "item_id" in message:
            assert message["item_id"] in items
            assert message["response_id"] in responses
        if message["type"] == "response.done":
            assert {item["id"] for item in message["response"]["output"]} <= items


@pytest.mark.parametrize("beta", [False, True])
def test_a_server_that_was_asked_for_text_writes(beta: bool) -> None:
    """No audio, and the text where text belongs; the transcript of the user only if it was asked for."""
    theirs = OpenAI(Side.THEIRS, BETA if beta else AgentSettings())
    ours = OpenAI(Side.OURS)
    theirs.server.session["modalities" if beta else "output_modalities"] = ["text"]
    events: list[Said] = [Replying("r"), Transcript("agent", "Hi"), Speech(CHUNK), SpeechDone(), TurnDone("r")]
    wires = [wire for event in events for wire in theirs.encode(event)]
    assert not any("audio" in json.loads(wire)["type"] for wire in wires)
    read = [event for wire in wires for event in ours.decode(wire) if not isinstance(event, Told)]
    assert read == [Replying("r"), Transcript("agent", "Hi", item="item_000001"), TurnDone("r")]
    assert theirs.encode(Transcript("user", "Hello")) == []


# Hostile input

json_values: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=10),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=10), inner, max_size=4),
    max_leaves=10,
)
MESSAGES = [
    *fixture("openai_ga_turn.json"),
    *fixture("openai_beta_turn.json"),
    *fixture("openai_call.json"),
    *fixture("openai_client.json"),
]


def endure(wire: str | bytes) -> None:
    """Events or a WireError, at either end of every flavour, and what is answered to them can be sent."""
    for flavour in FAMILY:
        for side in Side:
            dialect = flavour(side)
            try:
                events = dialect.decode(wire)
            except WireError:
                continue
            if side is Side.OURS:
                for event in events:
                    for answer in dialect.reply(cast("AgentEvent", event)):
                        dialect.encode(answer)


@given(st.text() | st.binary() | json_values.map(json.dumps))
def test_anything_is_survived(wire: str | bytes) -> None:
    """No text, no bytes, no JSON."""
    endure(wire)


@given(st.data())
def test_a_message_with_one_wrong_value_is_survived(data: st.DataObject) -> None:
    """A real message in which one value, however deep, is something else."""
    message = json.loads(json.dumps(data.draw(st.sampled_from(MESSAGES))))
    place = message
    key = data.draw(st.sampled_from(sorted(place)))
    while isinstance(place[key], dict) and place[key] and data.draw(st.booleans()):
        place = place[key]
        key = data.draw(st.sampled_from(sorted(place)))
    place[key] = data.draw(json_values | st.sampled_from([10**400, -1, 1e308, "UklGRg=", "====", "\ud800"]))
    endure(json.dumps(message))


@pytest.mark.parametrize("around", ["{}", '{{"type":"session.updated","session":{}}}', '{{"type":"x","delta":{}}}'])
@pytest.mark.parametrize("nested", ["[" * 200_000, '{"a":' * 200_000, "[" * 200_000 + "]" * 200_000])
def test_deep_nesting_is_survived(around: str, nested: str) -> None:
    """A message that is nothing but brackets ends neither the process nor the connection."""
    endure(around.format(nested))


@pytest.mark.parametrize(
    "wire",
    [
        b"\x00\x01",
        '{"event_id": "x"}',
        '{"type": 7}',
        '{"type": "response.output_audio.delta", "delta": "no base64!"}',
        '{"type": "response.output_audio.delta", "delta": 7}',
        '{"type": "response.output_audio_transcript.delta", "delta": 7}',
        '{"type": "input_audio_buffer.speech_started", "audio_start_ms": "soon"}',
    ],
)
def test_what_cannot_be_meant_is_malformed(wire: str | bytes) -> None:
    """A wrong value in a field that means something is one WireError, not a guess."""
    with pytest.raises(WireError):
        OpenAI(Side.OURS).decode(wire)


def test_words_of_tomorrow_are_unknown() -> None:
    """Whatever they hold, also in fields that mean something else today."""
    wire = '{"type": "response.hologram.delta", "delta": {"x": 1}, "item_id": 7}'
    assert OpenAI(Side.OURS).decode(wire) == [Unknown("response.hologram.delta", wire)]
    assert OpenAI(Side.OURS).encode(Unknown("x", wire)) == [wire]
    half = hear(OpenAI(Side.OURS), "response.output_text.delta", item_id="i", delta="cut \ud83d")
    assert half == [Transcript("agent", "cut \ufffd", final=False, item="i")]
