"""Deepgram's simulated server: our dialect at one end, the actor at the other, and no socket between them."""

from __future__ import annotations

import json
from typing import Any, cast
from uuid import UUID

import pytest
from deepgram.agent.v1 import types as sdk
from deepgram.types import ThinkSettingsV1, ThinkSettingsV1FunctionsItem
from tests.signals import counting

from audiotap.actors.base import Act, Actor, HangUp, Refused, Script
from audiotap.actors.deepgram import APPLYING, CLOSED, FIELDS, LONGEST, SILENCE, WARNED, DeepgramActor
from audiotap.agent_events import (
    Configure,
    Configured,
    KeepAlive,
    Listen,
    Met,
    Speech,
    SpeechDone,
    SpeechStarted,
    Told,
    ToolCall,
    ToolResult,
    Transcript,
    TurnDone,
    UserEvent,
    UtteranceEnd,
    Write,
)
from audiotap.audio import Chunk
from audiotap.dialects.agents.base import Account, AgentSettings, Memory, Said
from audiotap.dialects.agents.deepgram import Deepgram
from audiotap.dialects.base import Side
from audiotap.errors import WireError
from audiotap.events import Fault, Unknown

PATH = "/v1/agent/converse"
AUDIO = Listen(Chunk(counting(160), 16000))


class Call:
    """A client that minds its manners, or doesn't, and a server; `heard` is what the client was told."""

    def __init__(self, settings: AgentSettings | None = None, script: Script | None = None) -> None:
        self.client = Deepgram(Side.OURS, settings or AgentSettings(), Memory())
        self.server: Actor = DeepgramActor(script or Script())
        self.heard: list[Said] = []
        self.closed: int | None = None
        self.now = 0.0

    def open(self, *, politely: bool = True) -> None:
        self._take(self.server.opened(self.now), politely=politely)

    def ready(self) -> None:
        """Up to the SettingsApplied, which is forgotten."""
        self.open()
        self.at(APPLYING)
        assert self.client.ready
        self.heard.clear()

    def at(self, now: float) -> None:
        self.now = now
        self._take(self.server.tick(now))

    def say(self, *events: Said) -> None:
        for event in events:
            for wire in self.client.encode(event):
                self.write(wire)

    def write(self, wire: str | bytes) -> None:
        """A message as it is, whoever wrote it."""
        try:
            events = self.server.dialect.decode(wire)
        except WireError as error:
            self._take(self.server.malformed(error, self.now))
            return
        for event in events:
            self._take(self.server.heard(cast("UserEvent", event), self.now))

    def _take(self, acts: list[Act], *, politely: bool = True) -> None:
        for act in acts:
            if isinstance(act, HangUp):
                self.closed = act.code
                continue
            for wire in self.server.dialect.encode(act):
                for event in self.client.decode(wire):
                    self.heard.append(event)
                    if politely:
                        self.say(*self.client.reply(event))

    def ended(self) -> str:
        """The code of the Error that ended the session; nothing more is answered after it."""
        (fault,) = self.heard
        assert isinstance(fault, Fault)
        assert fault.fatal
        assert self.closed == CLOSED
        self.heard.clear()
        self.say(KeepAlive())
        self.write("hello")
        self.at(LONGEST)
        assert (self.heard, self.server.hears) == ([], False)
        return fault.code


def settings(**agent: Any) -> dict[str, Any]:
    """A message that is taken, with some fields of the agent otherwise."""
    linear = {"encoding": "linear16", "sample_rate": 16000}
    return {"type": "Settings", "audio": {"input": linear, "output": linear}, "agent": agent}


# Who is let in


@pytest.mark.parametrize(
    ("headers", "subprotocols", "options"),
    [
        ({"authorization": "Token k"}, [], set()),
        ({"authorization": "token k"}, [], set()),
        ({}, ["token", "k"], set()),
        ({"authorization": "Bearer k"}, [], {"bearer"}),
        ({"authorization": "bearer k"}, [], {"bearer"}),
        ({}, ["bearer", "k"], {"bearer"}),
    ],
)
def test_the_key_is_let_in(headers: dict[str, str], subprotocols: list[str], options: set[str]) -> None:
    """As a header, or as a browser has to say it."""
    server = DeepgramActor(Script(key="k", options=frozenset(options)))
    assert server.admits(PATH, headers, subprotocols) is None


@pytest.mark.parametrize(
    ("headers", "subprotocols", "options"),
    [
        ({}, [], set()),
        ({"authorization": "Token other"}, [], set()),
        ({"authorization": "Bearer k"}, [], set()),
        ({"authorization": "Token k"}, [], {"bearer"}),
        ({"authorization": "k"}, [], set()),
        ({}, ["token"], set()),
        ({}, ["token", "other"], set()),
    ],
)
def test_anybody_else_is_refused_at_the_upgrade(
    headers: dict[str, str], subprotocols: list[str], options: set[str]
) -> None:
    """With status 401, a key with an access token's scheme included."""
    server = DeepgramActor(Script(key="k", options=frozenset(options)))
    refused = server.admits(PATH, headers, subprotocols)
    assert refused is not None
    assert refused.status == 401
    assert json.loads(refused.body)["err_code"] == "INVALID_AUTH"


def test_without_a_key_anybody_is_let_in() -> None:
    """But to no other path than Deepgram's."""
    server = DeepgramActor(Script())
    assert server.admits(f"{PATH}?a=b", {}, []) is None
    assert server.admits("/v1/listen", {}, []) == Refused(404)


def test_our_own_address_is_let_in() -> None:
    """What the dialect dials is what the server wants."""
    for options in (frozenset[str](), frozenset({"bearer"})):
        address = Deepgram.address(Account(key="k"), AgentSettings(options=options))
        headers = {name.lower(): value for name, value in address.headers.items()}
        assert DeepgramActor(Script(key="k", options=options)).admits(PATH, headers, address.subprotocols) is None


def test_a_browsers_subprotocol_is_chosen() -> None:
    """Otherwise the browser hangs up; the key is never repeated."""
    server = DeepgramActor(Script())
    assert server.subprotocol(["token", "k"]) == "token"
    assert server.subprotocol(["bearer", "k"]) == "bearer"
    assert server.subprotocol(["chat"]) is None
    assert server.subprotocol([]) is None


# The opening


def test_the_opening() -> None:
    """Server: Welcome. We: Settings. Server: SettingsApplied, and now it hears."""
    call = Call(AgentSettings(rate=24000, output_rate=48000))
    call.open()
    (met,) = call.heard
    assert isinstance(met, Met)
    assert UUID(met.id)
    assert not call.server.hears
    call.at(APPLYING)
    assert call.heard == [met, Configured()]
    assert call.client.ready
    assert (call.server.hears, call.server.rate, call.server.output_rate) == (True, 24000, 48000)


def test_the_greeting_is_the_settings_or_else_the_scripts() -> None:
    """Deepgram says what the client asked it to."""
    call = Call(AgentSettings(greeting="Hello!"), Script(greeting="Good morning."))
    call.ready()
    assert isinstance(call.server, DeepgramActor)
    assert call.server.greeting == "Hello!"
    assert DeepgramActor(Script(greeting="Good morning.")).greeting == "Good morning."


@pytest.mark.parametrize(
    ("event", "code"),
    [
        (AUDIO, "BINARY_MESSAGE_BEFORE_SETTINGS"),
        (Write("Hello"), "NON_SETTINGS_MESSAGE_BEFORE_SETTINGS"),
        (KeepAlive(), "NON_SETTINGS_MESSAGE_BEFORE_SETTINGS"),
        (Unknown("UpdatePrompt", '{"type":"UpdatePrompt","prompt":"a"}'), "NON_SETTINGS_MESSAGE_BEFORE_SETTINGS"),
    ],
)
def test_what_comes_before_the_settings_ends_the_session(event: Said, code: str) -> None:
    """Order is kept strictly."""
    call = Call()
    call.open(politely=False)
    call.heard.clear()
    call.say(event)
    assert call.ended() == code


@pytest.mark.parametrize(
    ("event", "code"),
    [(AUDIO, "BINARY_MESSAGE_BEFORE_SETTINGS"), (Write("Hello"), "NON_SETTINGS_MESSAGE_BEFORE_SETTINGS")],
)
def test_what_does_not_wait_until_the_settings_are_applied_ends_the_session(event: Said, code: str) -> None:
    """Sent is not applied."""
    call = Call()
    call.open()
    call.heard.clear()
    call.say(event)
    assert call.ended() == code


def test_a_keep_alive_may_be_said_while_the_settings_are_applied() -> None:
    """It is what one says to wait."""
    call = Call()
    call.open()
    call.say(KeepAlive())
    assert call.closed is None


@pytest.mark.parametrize("applied", [False, True])
def test_settings_are_said_once(*, applied: bool) -> None:
    """A second time ends the session, applied or not."""
    call = Call()
    call.open()
    if applied:
        call.at(APPLYING)
    call.heard.clear()
    call.say(Configure())
    assert call.ended() == "SETTINGS_ALREADY_APPLIED"


@pytest.mark.parametrize(
    ("message", "code", "what"),
    [
        ({**settings(), "settings": {}}, "UNPARSABLE_CLIENT_MESSAGE", "Settings.settings"),
        (settings(think={"timeout": 5}), "UNPARSABLE_CLIENT_MESSAGE", "Settings.agent.think.timeout"),
        (
            settings(think={"functions": [{"name": "f", "client_side": True}]}),
            "UNPARSABLE_CLIENT_MESSAGE",
            "functions.client_side",
        ),
        (settings(speak=[{"provider": {}, "volume": 1}]), "UNPARSABLE_CLIENT_MESSAGE", "speak.volume"),
        ({"type": "Settings", "agent": {}}, "UNPARSABLE_CLIENT_MESSAGE", "audio"),
        ({"type": "Settings", "audio": {}, "agent": 5}, "UNPARSABLE_CLIENT_MESSAGE", "agent"),
        ({**settings(), "agent": "my-agent"}, "INVALID_AGENT_ID", "my-agent"),
        ({**settings(), "audio": {"input": {"encoding": "mulaw"}}}, "INVALID_SETTINGS", "linear16"),
        ({**settings(), "audio": {"output": {"encoding": "mp3"}}}, "INVALID_SETTINGS", "linear16"),
        ({**settings(), "audio": {"output": {"container": "wav"}}}, "INVALID_SETTINGS", "container"),
        ({**settings(), "audio": {"output": {"sample_rate": 44100}}}, "INVALID_SETTINGS", "44100"),
        ({**settings(), "audio": {"input": {"sample_rate": 0}}}, "INVALID_SETTINGS", "rates of 0"),
    ],
)
def test_settings_that_are_refused(message: dict[str, Any], code: str, what: str) -> None:
    """Fields nobody knows, ids that are none, and formats the simulator doesn't have; each is named."""
    call = Call()
    call.open(politely=False)
    call.heard.clear()
    call.write(json.dumps(message))
    (fault,) = call.heard
    assert isinstance(fault, Fault)
    assert what in fault.message
    assert call.ended() == code


@pytest.mark.parametrize(
    "asked",
    [
        AgentSettings(transcribe="flux-general-multi", language="de", voice="flux-kit-en", instructions="Be brief."),
        AgentSettings(service="5cb2a1e4-6d1c-4f5e-9d2e-2f3c1f5a7b10"),
        AgentSettings(extra={"agent": {"think": {"functions": [{"name": "f", "parameters": {}}]}}}),
        AgentSettings(extra={"tags": ["a"], "flags": {"history": False}, "experimental": True}),
    ],
)
def test_settings_that_are_taken(asked: AgentSettings) -> None:
    """Whatever we say ourselves is."""
    call = Call(asked)
    call.ready()
    assert call.closed is None


def test_the_fields_are_those_of_the_sdk() -> None:
    """What the simulator knows of Settings is what the vendor's own types know."""
    types: dict[str, Any] = {
        "Settings": sdk.AgentV1Settings,
        "Settings.audio": sdk.AgentV1SettingsAudio,
        "Settings.audio.input": sdk.AgentV1SettingsAudioInput,
        "Settings.audio.output": sdk.AgentV1SettingsAudioOutput,
        "Settings.agent": sdk.AgentV1SettingsAgentContext,
        "Settings.agent.context": sdk.AgentV1SettingsAgentContextContext,
        "Settings.agent.listen": sdk.AgentV1SettingsAgentContextListen,
        "Settings.agent.think": ThinkSettingsV1,
        "Settings.agent.think.functions": ThinkSettingsV1FunctionsItem,
    }
    assert {name: set(model.model_fields) for name, model in types.items()} == {name: FIELDS[name] for name in types}


def test_fields_in_nested_lists_are_not_looked_for() -> None:
    """A list in a list in a list doesn't bring the server down."""
    call = Call()
    call.open(politely=False)
    call.heard.clear()
    deep = '{"type":"Settings","audio":{},"agent":{"think":{"functions":' + "[" * 900 + "]" * 900 + "}}}"
    call.write(deep)
    assert call.heard == []


# The conversation


def test_a_conversation() -> None:
    """Speech and text are taken in silence; the answer goes out at the rate the Settings ask for."""
    call = Call(AgentSettings(output_rate=24000))
    call.ready()
    call.say(AUDIO, Write("Hello"), ToolResult("1", "f", "a"), KeepAlive())
    assert (call.heard, call.closed) == ([], None)
    answer = Speech(Chunk(counting(3), call.server.output_rate))
    assert speak(call, Transcript("user", "Hello"), answer, SpeechDone(), TurnDone()) == [
        Transcript("user", "Hello"),
        Told("History", {"role": "user", "content": "Hello"}),
        answer,
        SpeechDone(),
        TurnDone(),
        Told("LatencyReport", {}),
    ]


def test_a_conversation_that_is_interrupted() -> None:
    """The simulator's cancelled turn has no message; the client knows by what it heard."""
    call = Call()
    call.ready()
    answer = Speech(Chunk(counting(3), 16000))
    assert speak(call, answer, SpeechStarted(), TurnDone(status="cancelled", reason="turn_detected")) == [
        answer,
        SpeechStarted(),
        TurnDone(status="cancelled", reason="turn_detected"),
    ]


def test_a_tool_call_is_the_clients_to_answer() -> None:
    """Deepgram shows calls, unlike servers that run them by themselves."""
    call = Call()
    call.ready()
    assert call.server.tools
    assert speak(call, ToolCall("1", "f", "{}")) == [ToolCall("1", "f", "{}")]


def speak(call: Call, *events: Said) -> list[Said]:
    """What the client is told when the simulator says this."""
    return [got for event in events for wire in call.server.dialect.encode(event) for got in call.client.decode(wire)]


@pytest.mark.parametrize("change", ["Listen", "Prompt", "Speak", "Think"])
def test_changes_are_acknowledged(change: str) -> None:
    """Nothing changes in the simulator, but a client that waits for it goes on."""
    call = Call()
    call.ready()
    call.write(json.dumps({"type": f"Update{change}"}))
    assert call.heard == [Told(f"{change}Updated", {})]


def test_words_put_into_the_agents_mouth_are_refused() -> None:
    """As Deepgram does when somebody is speaking: the session goes on."""
    call = Call()
    call.ready()
    call.write(json.dumps({"type": "InjectAgentMessage", "message": "a"}))
    (fault,) = call.heard
    assert isinstance(fault, Fault)
    assert (fault.code, fault.fatal, call.closed) == ("InjectionRefused", False, None)


def test_a_turn_is_ended_by_the_client_with_flux_only() -> None:
    """Another model's server warns, and the turn goes on."""
    wire = json.dumps({"type": "ForceEndTurn"})
    call = Call()
    call.ready()
    call.write(wire)
    (fault,) = call.heard
    assert isinstance(fault, Fault)
    assert (fault.code, fault.fatal, call.closed) == ("FORCE_END_TURN_UNSUPPORTED", False, None)
    flux = Call(AgentSettings(transcribe="flux-general-en"))
    flux.ready()
    flux.say(UtteranceEnd())
    assert (flux.heard, flux.server.dialect.decode(wire)) == ([], [UtteranceEnd()])


@pytest.mark.parametrize("wire", ["hello", "{}", '{"type":"CancelResponse"}', '{"type":"InjectUserMessage"}'])
def test_what_is_no_message_of_a_client_ends_the_session(wire: str) -> None:
    """Deepgram forgives nothing that it can't read."""
    call = Call()
    call.ready()
    call.write(wire)
    assert call.ended() == "UNPARSABLE_CLIENT_MESSAGE"


# The clocks


def test_silence_ends_the_session() -> None:
    """Neither audio nor KeepAlive for so long."""
    call = Call()
    call.ready()
    call.at(SILENCE - 0.1)
    assert call.closed is None
    call.at(SILENCE)
    assert call.ended() == "CLIENT_MESSAGE_TIMEOUT"


def test_whoever_never_says_settings_is_given_up_too() -> None:
    """The clock runs from the Welcome on."""
    call = Call()
    call.open(politely=False)
    call.heard.clear()
    call.at(SILENCE)
    assert call.ended() == "CLIENT_MESSAGE_TIMEOUT"


@pytest.mark.parametrize("event", [AUDIO, KeepAlive()])
def test_a_message_in_our_own_rhythm_keeps_the_session(event: Said) -> None:
    """The dialect's idle time is short enough."""
    call = Call()
    call.ready()
    for turn in range(1, 10):
        call.at(turn * Deepgram.idle)
        call.say(event)
    assert (call.heard, call.closed) == ([], None)


def test_two_hours_are_the_end() -> None:
    """Warned five minutes before, once; then ended, whatever was said; and it's worth to dial again."""
    call = Call()
    call.ready()
    call.now = WARNED - 1
    call.say(KeepAlive())
    call.at(WARNED)
    call.at(WARNED + 1)
    (warning,) = call.heard
    assert isinstance(warning, Fault)
    assert (warning.code, warning.fatal) == ("MAXIMUM_SESSION_LENGTH_APPROACHING", False)
    call.heard.clear()
    call.now = LONGEST - 1
    call.say(KeepAlive())
    call.at(LONGEST)
    assert call.ended() == "MAXIMUM_SESSION_LENGTH_REACHED"
    assert call.client.ending(CLOSED, "").again


def test_without_limits_nothing_ends_the_session() -> None:
    """For whoever tries something else."""
    call = Call(script=Script(limits=False))
    call.ready()
    call.at(LONGEST + SILENCE)
    assert (call.heard, call.closed) == ([], None)
