"""Amigo's `server.*` messages as we read them: what an agent says on `converse_realtime`.

Source: docs.amigo.ai, "Real-time Voice (WebSocket)", Messages You Receive; the words for errors and for what the agent
is doing are those of the vendor's HTTP events (specs/openapi-baseline.json of amigo-ai/amigo-typescript-sdk).
"""

from __future__ import annotations

import math
from collections import deque
from typing import Any

import msgspec

from audiotap.agent_events import (
    INTERRUPTED,
    AgentEvent,
    Concluded,
    Configured,
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
    VadMode,
)
from audiotap.audio import Chunk
from audiotap.dialects.agents.base import AgentSettings
from audiotap.dialects.agents.headers import MP3, is_mp3, without_wav_header
from audiotap.dialects.base import Text, lenient, samples, whole
from audiotap.errors import WireError
from audiotap.events import Fault, Unknown

RATE = 16000
"""The agent's samples per second, which the page doesn't tell: those of the user's audio and of the fillers."""
COMPLETED = "conversation_completed"
DOUBT = 0.2
"""Of an answer's length, by which its audio and its alignment may differ …"""
DOUBT_SECONDS = 0.5
"""… and the least that counts: an alignment ends where the last character begins, and silence may follow."""
_COMMON = (8000, 11025, 12000, 16000, 22050, 24000, 32000, 44100, 48000)
_MESSAGES = 16
"""Messages of the agent that are remembered."""
_LONGEST_WORD = 200
"""Characters without a space that may be text where base64 was to be expected."""
_NULL = b"null"
MISSING = "pieces of an answer are missing, by their numbers: it is heard without them"
TEXT_FOR_AUDIO = "it says text where a voice was asked for: it is read, and not heard"


class _Envelope(msgspec.Struct):
    type: Text


class _Created(msgspec.Struct):
    conversation_id: Text


class _Piece(msgspec.Struct):
    message: msgspec.Raw = msgspec.Raw(_NULL)
    interaction_id: Text | None = None
    message_id: Text | None = None
    transcript_alignment: msgspec.Raw = msgspec.Raw(_NULL)
    stop: bool | None = None
    sequence_number: int | None = None


class _Complete(msgspec.Struct):
    message_id: Text | None = None
    interaction_id: Text | None = None
    full_message: str | None = None
    conversation_completed: bool | None = None


class _Started(msgspec.Struct):
    start: float | None = None


class _Ended(msgspec.Struct):
    transcript: str | None = None
    end: float | None = None


class _Zero(msgspec.Struct):
    timestamp: float | None = None


class _Switched(msgspec.Struct):
    current_vad_mode_on: bool


class _Error(msgspec.Struct):
    http_error_code: int | None = None
    error_description: str | None = None


_ENVELOPE = msgspec.json.Decoder(_Envelope)
_CREATED = msgspec.json.Decoder(_Created)
_PIECE = msgspec.json.Decoder(_Piece)
_COMPLETE = msgspec.json.Decoder(_Complete)
_STARTED = msgspec.json.Decoder(_Started)
_ENDED = msgspec.json.Decoder(_Ended)
_ZERO = msgspec.json.Decoder(_Zero)
_SWITCHED = msgspec.json.Decoder(_Switched)
_ERROR = msgspec.json.Decoder(_Error)
_TEXT = msgspec.json.Decoder(str | None)
_ALIGNMENT = msgspec.json.Decoder(list[tuple[float, str]])
_ANY = msgspec.json.Decoder(dict[str, Any])


class _Message(msgspec.Struct):
    """One message of the agent as far as it came. `over`: whatever still comes of it is too late."""

    turn: str
    rate: int
    form: str = ""
    last: int | None = None
    seconds: float = 0.0
    aligned: float = 0.0
    lossy: bool = False
    over: bool = False


class ServerReader:
    """What an agent says. `conversation` is the one that was asked to be gone on with."""

    def __init__(self, settings: AgentSettings, conversation: str) -> None:
        self.rate = settings.output_rate or RATE
        self._text = settings.text
        self._form = settings.form
        self._conversation = conversation
        self._messages: dict[str, _Message] = {}
        self._turn: str | None = None
        self._past: deque[str] = deque(maxlen=_MESSAGES)
        self._zero = 0.0
        self._warned: set[str] = set()

    def read(self, wire: str | bytes) -> list[AgentEvent]:  # noqa: PLR0911 - one line for each word
        kind = lenient(_ENVELOPE, wire).type
        match kind:
            case "server.new-message":
                return self._piece(lenient(_PIECE, wire))
            case "server.interaction-complete":
                return self._complete(lenient(_COMPLETE, wire))
            case "server.vad-speech-started":
                return [SpeechStarted(self._at(lenient(_STARTED, wire).start)), *self._cancel()]
            case "server.vad-speech-ended":
                return self._ended(lenient(_ENDED, wire))
            case "server.conversation-created":
                return [Configured(lenient(_CREATED, wire).conversation_id)]
            case "server.conversation-retrieved":
                return [Configured(self._conversation)]
            case "server.vad-mode-switched":
                return [VadMode(lenient(_SWITCHED, wire).current_vad_mode_on)]
            case "server.conversation-completed":
                return [Concluded()]
            case _:
                return self._rest(kind, wire)

    def _rest(self, kind: str, wire: str | bytes) -> list[AgentEvent]:
        match kind:
            case "server.vad-speech-reset-zero":
                self._zero = self._at(lenient(_ZERO, wire).timestamp) or 0.0
                return [_told(kind, wire)]
            case "server.current-agent-action":
                return [_told(kind, wire)]
            case "server.error":
                return self._failed(lenient(_ERROR, wire))
            case _:
                return [Unknown(kind, str(wire))]

    def _piece(self, piece: _Piece) -> list[AgentEvent]:
        turn = piece.interaction_id or piece.message_id or ""
        item = piece.message_id or turn
        message = self._message(item, turn)
        if message.over:
            return []
        number = piece.sequence_number
        if number is not None and message.last is not None and number <= message.last:
            return [Told("sequence-late", {"message_id": item, "sequence_number": number})]
        gap = _gap(message, item, number)
        events = [*self._begin(turn), *gap, *(self._once("gap", MISSING) if gap else ())]
        events += self._words(piece.message, item) if self._text else self._voice(piece, message, item)
        if piece.stop:
            events += self._stop(message, item)
        return events

    def _message(self, item: str, turn: str) -> _Message:
        message = self._messages.get(item)
        if message is None:
            message = _Message(turn, self.rate, self._form if self._form == MP3 else "")
            if item:
                self._messages[item] = message
            if len(self._messages) > _MESSAGES:
                del self._messages[next(iter(self._messages))]
        return message

    def _begin(self, turn: str) -> list[AgentEvent]:
        """An interaction begins with its first piece; one that was still open is over by that."""
        if turn == self._turn:
            return []
        before = self._cancel(except_turn=turn)
        if turn in self._past:
            self._past.remove(turn)
        self._turn = turn
        return [*before, Replying(turn)]

    def _voice(self, piece: _Piece, message: _Message, item: str) -> list[AgentEvent]:
        try:
            data = b"" if bytes(piece.message) == _NULL else samples(piece.message, "$.message")
        except WireError:
            return [*self._words(piece.message, item), *self._once("text", TEXT_FOR_AUDIO)]
        events: list[AgentEvent] = []
        alignment = whole(_ALIGNMENT, bytes(piece.transcript_alignment).decode())
        if alignment:
            message.aligned = max(message.aligned, alignment[-1][0] / 1000)
            events.append(Transcript("agent", "".join(said for _, said in alignment), final=False, item=item))
        return events + (_sound(message, data, item, piece.sequence_number) if data else [])

    def _words(self, told: msgspec.Raw, item: str) -> list[AgentEvent]:
        text = lenient(_TEXT, bytes(told).decode())
        if not text:
            return []
        if not self._text and max(map(len, text.split()), default=0) > _LONGEST_WORD:
            raise WireError("neither base64 nor text - at `$.message`")
        return [Transcript("agent", text, final=False, item=item)]

    def _stop(self, message: _Message, item: str) -> list[AgentEvent]:
        message.over = True
        if self._text:
            return []
        return [*self._doubt(message), SpeechDone(item)]

    def _doubt(self, message: _Message) -> list[AgentEvent]:
        """A wrong rate shows where the audio is longer or shorter than its alignment says."""
        apart = abs(message.seconds - message.aligned)
        if message.lossy or not message.aligned or not message.seconds:
            return []
        if apart <= max(DOUBT * message.aligned, DOUBT_SECONDS):
            return []
        true = message.rate * message.seconds / message.aligned
        perhaps = min(_COMMON, key=lambda rate: abs(math.log(rate / true)))
        return self._once(
            "rate",
            f"its audio is {message.seconds:.1f} s long at {message.rate} Hz, and {message.aligned:.1f} s by its "
            f"words: if it sounds wrong, try --output-rate {perhaps}",
        )

    def _complete(self, complete: _Complete) -> list[AgentEvent]:
        turn = complete.interaction_id or complete.message_id or ""
        item = complete.message_id or turn
        events: list[AgentEvent] = []
        for id_, message in self._messages.items():
            if message.turn == turn and not message.over:
                events += self._stop(message, id_)
        if complete.full_message:
            events.append(Transcript("agent", complete.full_message, item=item))
        if turn not in self._past:
            reason = COMPLETED if complete.conversation_completed else ""
            events = [*self._begin(turn), *events, TurnDone(turn, reason=reason)]
            self._leave()
        return [*events, Concluded()] if complete.conversation_completed else events

    def _cancel(self, except_turn: str | None = None) -> list[AgentEvent]:
        """What is being said ends here, for another answer's sake, and what still comes of it is too late."""
        for message in self._messages.values():
            message.over = message.over or except_turn is None or message.turn != except_turn
        return [TurnDone(self._leave(), "cancelled", INTERRUPTED)] if self._turn is not None else []

    def _leave(self) -> str:
        turn, self._turn = self._turn or "", None
        if turn:
            self._past.append(turn)
        return turn

    def _ended(self, ended: _Ended) -> list[AgentEvent]:
        stopped = SpeechStopped(self._at(ended.end))
        return [stopped, Transcript("user", ended.transcript)] if ended.transcript else [stopped]

    def _failed(self, error: _Error) -> list[AgentEvent]:
        """An error takes its whole interaction back, as over HTTP; should more of it come, it's heard."""
        code, message = str(error.http_error_code or ""), error.error_description or ""
        fault = Fault(code, message, fatal=False)
        return [fault] if self._turn is None else [fault, TurnDone(self._leave(), "failed", message)]

    def _at(self, seconds: float | None) -> float | None:
        """Times are told in seconds since the last reset."""
        return self._zero + seconds if seconds is not None and math.isfinite(seconds) else None

    def _once(self, kind: str, doubt: str) -> list[AgentEvent]:
        """A doubt, the first time that there is one of its kind."""
        if kind in self._warned:
            return []
        self._warned.add(kind)
        return [Doubt(doubt)]


def _gap(message: _Message, item: str, number: int | None) -> list[AgentEvent]:
    """Numbers that are missing are told, and not waited for."""
    last, message.last = message.last, message.last if number is None else number
    if number is None or last is None or number == last + 1:
        return []
    message.lossy = True
    return [Told("sequence-gap", {"message_id": item, "missing": number - last - 1, "sequence_number": number})]


def _sound(message: _Message, data: bytes, item: str, number: int | None) -> list[AgentEvent]:
    """What a piece's bytes are, as its message's first ones show: bare samples, a WAV with its own rate, or an MP3."""
    bare = without_wav_header(data)
    if bare is not None:
        message.form, message.rate, data = "pcm", bare.rate, bare.pcm
    if not message.form:
        message.form = MP3 if is_mp3(data) else "pcm"
    if message.form == MP3:
        return [SpeechFile(data, MP3, item)]
    chunk = Chunk(data, message.rate)
    message.seconds += chunk.seconds
    return [Speech(chunk, item, number)] if data else []


def _told(kind: str, wire: str | bytes) -> Told:
    data = lenient(_ANY, wire)
    del data["type"]
    return Told(kind.removeprefix("server."), data)
