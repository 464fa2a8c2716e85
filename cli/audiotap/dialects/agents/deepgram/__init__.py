"""Deepgram's Voice Agent API v1: JSON text frames with a `type`, and bare samples as binary frames, both ways.

Sources: developers.deepgram.com, "Voice Agent Message Flow", "Configure the Voice Agent", "Errors & Warnings", "Agent
Keep Alive" and the page of each message; asyncapi.yml of deepgram/deepgram-api-specs. docs/agents/deepgram.md tells
which says what, and what is doubtful. A wrong rate is no error there but noise, so encoding and rate are always stated.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar

import msgspec

from audiotap.agent_events import (
    INTERRUPTED,
    Configure,
    Configured,
    KeepAlive,
    Listen,
    Met,
    Replying,
    Speech,
    SpeechDone,
    SpeechFile,
    SpeechStarted,
    SpeechStopped,
    Told,
    ToolCall,
    ToolResult,
    Transcript,
    TurnDone,
    UserEvent,
    UtteranceEnd,
    Write,
)
from audiotap.audio import RATES, Chunk
from audiotap.dialects.agents.base import Account, Address, AgentSettings, Ending, Memory, Said, Step, Wire
from audiotap.dialects.agents.deepgram import manners
from audiotap.dialects.base import Side, Text, lenient
from audiotap.errors import UnspokenError
from audiotap.events import Fault, Unknown

INJECTION_REFUSED = "InjectionRefused"
TOLD = frozenset(
    {
        "AgentThinking",
        "FrustrationDetected",
        "FunctionCallCancelled",
        "FunctionCallResponse",
        "History",
        "LatencyReport",
        "ListenUpdated",
        "PromptUpdated",
        "SpeakUpdated",
        "ThinkLiveUpdated",
        "ThinkUpdated",
    }
)
"""What the server tells and nobody has to answer."""


class _Envelope(msgspec.Struct):
    type: Text


class _Welcome(msgspec.Struct):
    request_id: Text = ""


class _Line(msgspec.Struct):
    """What was said; pages have both `assistant` and `agent` for who answers."""

    role: Text
    content: str


class _Function(msgspec.Struct):
    id: Text
    name: Text
    arguments: str = "{}"
    client_side: bool = True


class _Functions(msgspec.Struct):
    functions: list[_Function]


class _Answer(msgspec.Struct):
    name: Text
    content: str
    id: Text = ""


class _Trouble(msgspec.Struct):
    code: Text = ""
    description: str = ""
    message: str = ""


class _Typed(msgspec.Struct):
    content: str


_ENVELOPE = msgspec.json.Decoder(_Envelope)
_WELCOME = msgspec.json.Decoder(_Welcome)
_LINE = msgspec.json.Decoder(_Line)
_FUNCTIONS = msgspec.json.Decoder(_Functions)
_ANSWER = msgspec.json.Decoder(_Answer)
_TROUBLE = msgspec.json.Decoder(_Trouble)
_TYPED = msgspec.json.Decoder(_Typed)
_ANY_DICT = msgspec.json.Decoder(dict[str, Any])
_SPEAKERS = {"user": "user", "assistant": "agent", "agent": "agent"}
_ROLES = {"user": "user", "agent": "assistant"}
_NOTHING_SET = AgentSettings()
_NOTHING_SAID = Memory()


class Deepgram:
    """One connection's worth of Deepgram's language.

    `asked` is what the Settings ask for: on OUR side the ones that are to be said, on THEIRS the ones that came.
    """

    name: ClassVar[str] = "deepgram"
    rates: ClassVar[tuple[int, ...]] = (16000, 8000, 24000, 32000, 44100, 48000)
    block: ClassVar[float] = 0.08
    most_per_minute: ClassVar[int] = 0
    idle: ClassVar[float] = 8.0
    silent: ClassVar[str] = "does it hear anything? user.wav is what it was sent"

    def __init__(self, side: Side, settings: AgentSettings = _NOTHING_SET, memory: Memory = _NOTHING_SAID) -> None:
        self.side = side
        self.settings = manners.settings_message(settings, memory)
        self.asked = manners.ours(settings) if side is Side.OURS else manners.Asked()
        self.rate = self.asked.rate
        self.output_rate = self.asked.output_rate
        self.ready = False
        self._replying = False
        self._interrupted = False
        self._configured = False
        self._fault: Fault | None = None

    @classmethod
    def address(cls, account: Account, settings: AgentSettings) -> Address:
        manners.check(settings)
        return Address(manners.url(account), manners.headers(account, settings))

    def opening(self) -> list[UserEvent]:
        """Nothing may be said before `Welcome`."""
        return []

    def reply(self, event: Said) -> list[UserEvent]:
        """`Welcome` is answered with the Settings, which may be said once only."""
        if isinstance(event, Configured):
            self.ready = True
        if isinstance(event, Met) and not self._configured:
            self._configured = True
            return [Configure()]
        return []

    def leaving(self, *, finish: bool) -> list[Step]:
        """There is no word for it: the socket is closed, and that is the end of the session either way."""
        del finish
        return []

    def ending(self, code: int, reason: str) -> Ending:
        """After an Error the close code says nothing more."""
        return manners.ending(self._fault, code, reason, ready=self.ready)

    def decode(self, wire: Wire) -> list[Said]:
        """What a message says; audio is binary, and its rate is the one that the Settings state."""
        if isinstance(wire, bytes):
            return [self._audio(wire)]
        kind = lenient(_ENVELOPE, wire).type
        read = (_FROM_SERVER if self.side is Side.OURS else _FROM_CLIENT).get(kind)
        if read is not None:
            return read(self, wire)
        if self.side is Side.OURS and kind in TOLD:
            return [Told(kind, _fields(wire))]
        return [Unknown(kind, wire)]

    def encode(self, event: Said) -> list[Wire]:
        spell = _SPELLINGS.get(type(event))
        if spell is None:
            raise UnspokenError(f"Deepgram has no word for {type(event).__name__}")
        return spell(self, event)

    def accept(self, settings: dict[str, Any]) -> None:
        """From here on the Settings of the other side hold. WireError if they can't be read."""
        self.asked = manners.asked(settings)
        if self.asked.rate in RATES and self.asked.output_rate in RATES:
            self.rate, self.output_rate = self.asked.rate, self.asked.output_rate

    def note(self, fault: Fault) -> None:
        """The first fatal one tells why the connection is about to end."""
        if fault.fatal and self._fault is None:
            self._fault = fault

    def _audio(self, samples: bytes) -> Said:
        if self.side is Side.THEIRS:
            return Listen(Chunk(samples, self.rate))
        self._replying, self._interrupted = True, False
        if self.asked.output_encoding != manners.RAW:
            return SpeechFile(samples, self.asked.output_encoding)
        return Speech(Chunk(samples, self.output_rate))


def _fields(wire: str) -> dict[str, Any]:
    return {key: value for key, value in lenient(_ANY_DICT, wire).items() if key != "type"}


# What the server says, read on OUR side


def _read_welcome(_: Deepgram, wire: str) -> list[Said]:
    return [Met(lenient(_WELCOME, wire).request_id)]


def _read_applied(_: Deepgram, _wire: str) -> list[Said]:
    return [Configured()]


def _read_user_started(self: Deepgram, _wire: str) -> list[Said]:
    """The only sign of a barge-in; the `AgentAudioDone` of what was cut off may come or not."""
    if not self._replying:
        return [SpeechStarted()]
    self._replying, self._interrupted = False, True
    return [SpeechStarted(), TurnDone(status="cancelled", reason=INTERRUPTED)]


def _read_agent_started(self: Deepgram, wire: str) -> list[Said]:
    self._replying, self._interrupted = True, False
    return [Replying(), Told("AgentStartedSpeaking", _fields(wire))]


def _read_audio_done(self: Deepgram, _wire: str) -> list[Said]:
    over, self._interrupted, self._replying = self._interrupted, False, False
    return [SpeechDone()] if over else [SpeechDone(), TurnDone()]


def _read_line(_: Deepgram, wire: str) -> list[Said]:
    line = lenient(_LINE, wire)
    match _SPEAKERS.get(line.role):
        case "user":
            return [Transcript("user", line.content)]
        case "agent":
            return [Transcript("agent", line.content)]
    return [Told("ConversationText", _fields(wire))]


def _read_functions(_: Deepgram, wire: str) -> list[Said]:
    functions = lenient(_FUNCTIONS, wire).functions
    return [ToolCall(call.id, call.name, call.arguments, ours=call.client_side) for call in functions]


def _read_error(self: Deepgram, wire: str) -> list[Said]:
    told = lenient(_TROUBLE, wire)
    fault = Fault(told.code, told.description or told.message, manners.hint(told.code))
    self.note(fault)
    return [fault]


def _read_warning(_: Deepgram, wire: str) -> list[Said]:
    told = lenient(_TROUBLE, wire)
    return [Fault(told.code, told.description or told.message, manners.hint(told.code), fatal=False)]


def _read_refusal(_: Deepgram, wire: str) -> list[Said]:
    return [Fault(INJECTION_REFUSED, lenient(_TROUBLE, wire).message, fatal=False)]


# What the client says, read on THEIR side


def _read_settings(self: Deepgram, wire: str) -> list[Said]:
    settings = lenient(_ANY_DICT, wire)
    self.accept(settings)
    return [Configure(settings)]


def _read_typed(_: Deepgram, wire: str) -> list[Said]:
    return [Write(lenient(_TYPED, wire).content)]


def _read_answer(_: Deepgram, wire: str) -> list[Said]:
    answer = lenient(_ANSWER, wire)
    return [ToolResult(answer.id, answer.name, answer.content)]


def _read_end_of_turn(self: Deepgram, wire: str) -> list[Said]:
    """Only Flux models let the client end a turn."""
    return [UtteranceEnd()] if self.asked.flux else [Unknown("ForceEndTurn", wire)]


def _read_keep_alive(_: Deepgram, _wire: str) -> list[Said]:
    return [KeepAlive()]


# Both ways: how events are spelt


def _say(kind: str, fields: dict[str, Any] | None = None) -> list[Wire]:
    return [msgspec.json.encode({"type": kind, **(fields or {})}).decode()]


def _spell_configure(self: Deepgram, event: Configure) -> list[Wire]:
    return [msgspec.json.encode(event.wire or self.settings).decode()]


def _spell_samples(chunk: Chunk, rate: int) -> list[Wire]:
    """An empty frame says nothing, and at a rate other than the stated one the rest would be noise."""
    if chunk.rate != rate:
        raise UnspokenError(f"audio at {chunk.rate} Hz where the Settings say {rate}")
    return [chunk.pcm] if chunk.pcm else []


def _spell_write(_: Deepgram, event: Write) -> list[Wire]:
    if not event.start:
        raise UnspokenError("Deepgram has no word for text that isn't answered")
    return _say("InjectUserMessage", {"content": event.text})


def _spell_end_of_turn(self: Deepgram, _event: UtteranceEnd) -> list[Wire]:
    if not self.asked.flux and not self.asked.agent:
        raise UnspokenError("Deepgram has no word for the end of an utterance except with Flux models")
    return _say("ForceEndTurn")


def _spell_replying(self: Deepgram, _event: Replying) -> list[Wire]:
    """Its latencies have to be there, and nobody measured them."""
    if not self.asked.experimental:
        return []
    return _say("AgentStartedSpeaking", {"total_latency": 0.0, "tts_latency": 0.0, "ttt_latency": 0.0})


def _spell_line(self: Deepgram, event: Transcript) -> list[Wire]:
    """Lines are told whole; the History repeats them unless the Settings switch it off."""
    if not event.final:
        return []
    line = {"role": _ROLES[event.role], "content": event.text}
    return _say("ConversationText", line) + (_say("History", line) if self.asked.history else [])


def _spell_call(_: Deepgram, event: ToolCall) -> list[Wire]:
    call = {"id": event.id, "name": event.name, "arguments": event.arguments, "client_side": event.ours}
    return _say("FunctionCallRequest", {"functions": [call]})


def _spell_turn_done(_: Deepgram, event: TurnDone) -> list[Wire]:
    """The end of the audio has said it; a report follows, whose figures may all be missing."""
    return _say("LatencyReport") if event.status == "completed" and not event.pending else []


def _spell_fault(_: Deepgram, event: Fault) -> list[Wire]:
    if event.code == INJECTION_REFUSED and not event.fatal:
        return _say(INJECTION_REFUSED, {"message": event.message})
    return _say("Error" if event.fatal else "Warning", {"description": event.message, "code": event.code})


_FROM_SERVER: dict[str, Callable[[Deepgram, str], list[Said]]] = {
    "Welcome": _read_welcome,
    "SettingsApplied": _read_applied,
    "UserStartedSpeaking": _read_user_started,
    "AgentStartedSpeaking": _read_agent_started,
    "AgentAudioDone": _read_audio_done,
    "ConversationText": _read_line,
    "FunctionCallRequest": _read_functions,
    "Error": _read_error,
    "Warning": _read_warning,
    INJECTION_REFUSED: _read_refusal,
}
_FROM_CLIENT: dict[str, Callable[[Deepgram, str], list[Said]]] = {
    "Settings": _read_settings,
    "InjectUserMessage": _read_typed,
    "FunctionCallResponse": _read_answer,
    "ForceEndTurn": _read_end_of_turn,
    "KeepAlive": _read_keep_alive,
}
_SPELLINGS: dict[type, Callable[[Deepgram, Any], list[Wire]]] = {
    Configure: _spell_configure,
    Listen: lambda self, event: _spell_samples(event.chunk, self.rate),
    Write: _spell_write,
    UtteranceEnd: _spell_end_of_turn,
    ToolResult: lambda _, event: _say(
        "FunctionCallResponse", {"id": event.id, "name": event.name, "content": event.output}
    ),
    KeepAlive: lambda _, _event: _say("KeepAlive"),
    Met: lambda _, event: _say("Welcome", {"request_id": event.id}),
    Configured: lambda _, _event: _say("SettingsApplied"),
    SpeechStarted: lambda _, _event: _say("UserStartedSpeaking"),
    SpeechStopped: lambda _, _event: [],
    Replying: _spell_replying,
    Speech: lambda self, event: _spell_samples(event.chunk, self.output_rate),
    SpeechFile: lambda _, event: [event.data],
    Transcript: _spell_line,
    SpeechDone: lambda _, _event: _say("AgentAudioDone"),
    TurnDone: _spell_turn_done,
    ToolCall: _spell_call,
    Told: lambda _, event: _say(event.kind, event.data),
    Fault: _spell_fault,
    Unknown: lambda _, event: [event.wire],
}
