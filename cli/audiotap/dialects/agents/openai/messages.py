"""The words of the OpenAI Realtime family: JSON text both ways, audio as base64 inside.

Sources: OpenAI's Realtime API reference (client events, server events) and its OpenAPI description, which has the older
("beta") names too; Microsoft's "Migration from Preview to GA version of Realtime API". Azure, Botify and many other
servers speak one or the other set of names, so both are read everywhere.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec

from audiotap.agent_events import (
    AgentEvent,
    Configured,
    Met,
    Replying,
    Role,
    Speech,
    SpeechDone,
    SpeechStarted,
    SpeechStopped,
    ToolCall,
    Transcript,
    Truncated,
    TurnDone,
)
from audiotap.audio import SAMPLE_BYTES, Chunk
from audiotap.dialects.agents.base import AgentSettings
from audiotap.dialects.base import Text, lenient, samples, whole
from audiotap.errors import WireError

RATE = 24000
"""The only rate of PCM on this wire, both ways."""
APPEND = "input_audio_buffer.append"
COMMIT = "input_audio_buffer.commit"
CLEAR = "input_audio_buffer.clear"
CREATE_ITEM = "conversation.item.create"
DELETE_ITEM = "conversation.item.delete"
RETRIEVE_ITEM = "conversation.item.retrieve"
TRUNCATE_ITEM = "conversation.item.truncate"
UPDATE = "session.update"
RESPOND = "response.create"
CANCEL = "response.cancel"
CLEAR_OUTPUT = "output_audio_buffer.clear"

COMMITTED = "input_audio_buffer.committed"
ITEM_ADDED = "conversation.item.added"
ITEM_DONE = "conversation.item.done"
OUTPUT_ITEM_DONE = "response.output_item.done"
RESPONSE_DONE = "response.done"
USER_TRANSCRIPT = "conversation.item.input_audio_transcription."
TRANSCRIPT_FAILED = "conversation.item.input_audio_transcription.failed"
SESSION_CREATED = "session.created"
ERROR = "error"

_RENAMED = {"response.output_audio": "response.audio", "response.output_text": "response.text"}
TOLD = frozenset(
    {
        "conversation.created",
        ITEM_ADDED,
        "conversation.item.created",
        ITEM_DONE,
        "conversation.item.deleted",
        "conversation.item.retrieved",
        USER_TRANSCRIPT + "segment",
        COMMITTED,
        "input_audio_buffer.cleared",
        "input_audio_buffer.timeout_triggered",
        "input_audio_buffer.dtmf_event_received",
        "output_audio_buffer.started",
        "output_audio_buffer.stopped",
        "output_audio_buffer.cleared",
        "response.output_item.added",
        OUTPUT_ITEM_DONE,
        "response.content_part.added",
        "response.content_part.done",
        "response.function_call_arguments.delta",
        "response.function_call_arguments.done",
        "response.mcp_call_arguments.delta",
        "response.mcp_call_arguments.done",
        "response.mcp_call.in_progress",
        "response.mcp_call.completed",
        "response.mcp_call.failed",
        "mcp_list_tools.in_progress",
        "mcp_list_tools.completed",
        "mcp_list_tools.failed",
        "rate_limits.updated",
    }
)
"""What a server tells besides what has a meaning here."""


class Error(msgspec.Struct):
    """What went wrong, as an `error` or as the details of a failed response."""

    type: Text | None = None
    code: Text | int | None = None
    message: str | None = None
    event_id: Text | None = None


class Part(msgspec.Struct):
    """A part of an item's content."""

    type: Text = ""
    text: str | None = None
    transcript: str | None = None


class Item(msgspec.Struct):
    """A message, a function's call, or what it gave."""

    id: Text | None = None
    type: Text = ""
    status: Text | None = None
    role: Text | None = None
    content: list[Part] | None = None
    name: Text | None = None
    call_id: Text | None = None
    arguments: str | None = None
    output: msgspec.Raw = msgspec.Raw(b"null")

    @property
    def text(self) -> str:
        """All that is said in it."""
        return "".join(part.text or part.transcript or "" for part in self.content or ())


class Details(msgspec.Struct):
    """Why a response ended as it did."""

    reason: Text | None = None
    error: Error | None = None


class Response(msgspec.Struct):
    """An answer."""

    id: Text | None = None
    status: Text | None = None
    status_details: Details | None = None
    output: list[Item] | None = None


class Message(msgspec.Struct, gc=False):
    """Any message, with the fields that mean something here."""

    type: Text
    event_id: Text | None = None
    item_id: Text | None = None
    delta: msgspec.Raw = msgspec.Raw(b'""')
    transcript: str | None = None
    text: str | None = None
    audio_start_ms: float | None = None
    audio_end_ms: float | None = None
    session: dict[str, Any] | None = None
    response: Response | None = None
    item: Item | None = None
    error: Error | str | None = None
    audio: msgspec.Raw = msgspec.Raw(b"")
    data: msgspec.Raw = msgspec.Raw(b"")


class _Envelope(msgspec.Struct):
    type: Text


_MESSAGE = msgspec.json.Decoder(Message)
_ENVELOPE = msgspec.json.Decoder(_Envelope)
_STRING = msgspec.json.Decoder(str)
_OBJECT = msgspec.json.Decoder(dict[str, Any])


def read(wire: str | bytes, known: Callable[[str], bool]) -> Message:
    """A message; of one that is not `known` only its type, whatever else it holds."""
    message = whole(_MESSAGE, wire)
    if message is not None:
        return message
    kind = lenient(_ENVELOPE, wire).type
    return lenient(_MESSAGE, wire) if known(kind) else Message(kind)


def fields(wire: str | bytes) -> dict[str, Any]:
    """All of a message but its type."""
    told = lenient(_OBJECT, wire)
    told.pop("type", None)
    return told


def spell(kind: str, said: dict[str, Any]) -> str:
    """A message as it goes on the wire; bytes become base64."""
    return msgspec.json.encode({"type": kind, **said}).decode()


def string(told: msgspec.Raw) -> str:
    """The text of a JSON string."""
    return lenient(_STRING, bytes(told).decode())


def heard(told: msgspec.Raw, where: str) -> Chunk:
    """The audio that a JSON string tells."""
    if not bytes(told):
        raise WireError(f"no audio - at `{where}`")
    return Chunk(samples(told, where), RATE)


def whole_milliseconds(seconds: float) -> int:
    """Rounded down, except for what a float lost."""
    return int(seconds * 1000 + 1e-6)


def duration(size: int) -> int:
    """Milliseconds of so many bytes of audio, rounded down."""
    return size * 1000 // (RATE * SAMPLE_BYTES)


def new_name(kind: str) -> str:
    """What a server's word is called today."""
    for new, old in _RENAMED.items():
        if kind.startswith((old + ".", old + "_")):
            return new + kind[len(old) :]
    return kind


def old_name(kind: str) -> str:
    """What a server's word was called in the beta."""
    for new, old in _RENAMED.items():
        if kind.startswith(new):
            return old + kind[len(new) :]
    return kind


def tells(kind: str) -> bool:
    """Whether a server's word has a meaning here."""
    return kind in SAID or new_name(kind) in SAID or kind in TOLD or kind in {ERROR, RESPONSE_DONE}


def turn_done(response: Response) -> TurnDone:
    """The end of a response, with the vendor's reason where it was not completed."""
    details = response.status_details or Details()
    reason = told_of(details.error) if details.error is not None else details.reason or ""
    return TurnDone(response.id or "", response.status or "completed", reason)


def told_of(error: Error) -> str:
    """An error in one line."""
    code = error.code or ""
    return ": ".join(str(part) for part in (code, error.message or ("" if code else error.type)) if part)


def calls(items: list[Item], *, ours: bool) -> list[ToolCall]:
    """The calls of functions among items, those that are whole."""
    return [
        ToolCall(item.call_id or item.id or "", item.name or "", item.arguments or "", ours)
        for item in items
        if item.type == "function_call" and item.status in {None, "completed"}
    ]


def begun(message: Message) -> list[AgentEvent]:
    """What the user said is an item from its commit on, whenever it is written down."""
    return [Transcript("user", "", final=False, item=_item(message))] if message.type == COMMITTED else []


def _item(message: Message) -> str:
    return message.item_id or ""


def _at(milliseconds: float | None) -> float | None:
    return None if milliseconds is None else milliseconds / 1000


def _transcript(role: Role, text: str | None, message: Message) -> Transcript | None:
    return None if text is None else Transcript(role, text, item=_item(message))


def _piece(role: Role, message: Message) -> Transcript:
    return Transcript(role, string(message.delta), final=False, item=_item(message))


def _named(session: dict[str, Any] | None) -> str:
    told = (session or {}).get("id")
    return told if isinstance(told, str) else ""


SAID: dict[str, Callable[[Message], AgentEvent | None]] = {
    SESSION_CREATED: lambda told: Met(_named(told.session)),
    "session.updated": lambda told: Configured(wire=told.session or {}),
    "input_audio_buffer.speech_started": lambda told: SpeechStarted(_at(told.audio_start_ms), _item(told)),
    "input_audio_buffer.speech_stopped": lambda told: SpeechStopped(_at(told.audio_end_ms), _item(told)),
    USER_TRANSCRIPT + "delta": lambda told: _piece("user", told),
    USER_TRANSCRIPT + "completed": lambda told: _transcript("user", told.transcript, told),
    "conversation.item.truncated": lambda told: Truncated(_item(told), (told.audio_end_ms or 0) / 1000),
    "response.created": lambda told: Replying((told.response or Response()).id or ""),
    "response.output_audio.delta": lambda told: Speech(heard(told.delta, "$.delta"), _item(told)),
    "response.output_audio.done": lambda told: SpeechDone(_item(told)),
    "response.output_audio_transcript.delta": lambda told: _piece("agent", told),
    "response.output_audio_transcript.done": lambda told: _transcript("agent", told.transcript, told),
    "response.output_text.delta": lambda told: _piece("agent", told),
    "response.output_text.done": lambda told: _transcript("agent", told.text, told),
}
"""What a server's words mean, by their names of today; None if they lack what they are for."""


def message_item(role: Role | str, text: str, *, beta: bool) -> dict[str, Any]:
    """A message of somebody; an assistant's text has another type in either shape, a user's is always the same."""
    if role == "agent":
        part = "text" if beta else "output_text"
        return {"type": "message", "role": "assistant", "content": [{"type": part, "text": text}]}
    return {"type": "message", "role": role, "content": [{"type": "input_text", "text": text}]}


def session_of(settings: AgentSettings, *, beta: bool, plain: bool) -> dict[str, Any]:
    """The `session` of a session.update; with `plain` only what the user set."""
    transcription = _filled({"model": settings.transcribe, "language": settings.language})
    detection: dict[str, Any] = {} if settings.vad else {"turn_detection": None}
    said = {
        "instructions": settings.instructions,
        "prompt": _filled({"id": settings.service, "version": settings.service_version}),
    }
    if beta:
        kinds = ["text"] if settings.text else ["text", "audio"]
        formats = {"modalities": kinds, "input_audio_format": "pcm16", "output_audio_format": "pcm16"}
        shape = {"voice": settings.voice, "input_audio_transcription": transcription, **detection}
        return _filled({**({} if plain and not settings.text else formats), **said, **shape})
    form = {} if plain else {"format": {"type": "audio/pcm", "rate": RATE}}
    heard_as = _filled({**form, "transcription": transcription, **detection})
    audio = _filled({"input": heard_as, "output": _filled({**form, "voice": settings.voice})})
    kinds = ["text"] if settings.text else [] if plain else ["audio"]
    return _filled({"output_modalities": kinds, **said, "audio": audio})


def _filled(told: dict[str, Any]) -> dict[str, Any]:
    """What isn't empty, and the null that means something."""
    return {key: value for key, value in told.items() if value or key == "turn_detection"}
