"""The Realtime API's other end: a client's words read, and a server's told with all that a server tells around them.

Sources as in `realtime`. An answer is more than its audio: a response, items in it, parts of them, each one announced,
told piece by piece, and finished, by ids that belong together.
"""

from __future__ import annotations

import re
from typing import Any

import msgspec

from audiotap.agent_events import (
    Cancel,
    Configure,
    Configured,
    Forget,
    Listen,
    Met,
    Recall,
    Replying,
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
    Write,
)
from audiotap.dialects.agents.base import Said, Wire
from audiotap.dialects.agents.openai import messages
from audiotap.errors import UnspokenError
from audiotap.events import Fault, Unknown

CLIENT_WORDS = frozenset(
    {
        messages.UPDATE,
        messages.APPEND,
        messages.COMMIT,
        messages.CLEAR,
        messages.CREATE_ITEM,
        messages.DELETE_ITEM,
        messages.RETRIEVE_ITEM,
        messages.TRUNCATE_ITEM,
        messages.RESPOND,
        messages.CANCEL,
        messages.CLEAR_OUTPUT,
    }
)
SEARCH = "Search-Tool"
"""What Botify's agent calls, and Botify answers."""
_PARAMETER = re.compile(r"'((?:session|audio|item|response)(?:[.\[]\w+\]?)*)'")
_USAGE = {"total_tokens": 0, "input_tokens": 0, "output_tokens": 0}
_SERVER_VAD = {
    "type": "server_vad",
    "threshold": 0.5,
    "prefix_padding_ms": 300,
    "silence_duration_ms": 500,
    "create_response": True,
    "interrupt_response": True,
}


class _Reply(msgspec.Struct):
    """An answer that is being given: its finished items, and the message that is open."""

    id: str
    outputs: list[dict[str, Any]] = []
    item: str = ""
    text: str = ""
    writing: bool = False
    sounding: bool = False


class Server:
    """A server's words on one connection, in today's names or (`beta`) the older ones.

    As a `proxy` it passes them on as Botify does.
    """

    def __init__(self, *, beta: bool, proxy: bool = False) -> None:
        self.beta = beta
        self.proxy = proxy
        self.deaf = False
        """Whether nothing that's said arrives any more (Botify, after what it couldn't read)."""
        self.session = first_session(beta=beta)
        self.buffered = 0
        """Bytes of audio since the last commit."""
        self.created: dict[str, Any] = {}
        """The item that the client made last, as it is acknowledged."""
        self.lengths: dict[str, int] = {}
        """Bytes of audio of each item that was said."""
        self._numbers: dict[str, int] = {}
        self._cause: str | None = None
        self._user_item = ""
        self._previous: str | None = None
        self._to_answer: list[UserEvent] = []
        self._callers: dict[str, str] = {}
        self._reply: _Reply | None = None

    @property
    def responding(self) -> str:
        """The id of the answer that is being given."""
        return self._reply.id if self._reply is not None else ""

    @property
    def transcribes(self) -> bool:
        """Whether the client asked for what the user says as text."""
        heard_as = self.session if self.beta else self.session["audio"]["input"]
        return bool(heard_as.get("input_audio_transcription" if self.beta else "transcription"))

    @property
    def text_only(self) -> bool:
        return bool(self.session.get("modalities" if self.beta else "output_modalities") == ["text"])

    # What a client says

    def decode(self, wire: Wire) -> list[Said]:
        """What a client's message says. A response.create says again what it wants answered, after the pieces of it."""
        if self.deaf:
            return []
        message = messages.read(wire, CLIENT_WORDS.__contains__)
        self._cause = message.event_id
        said: list[Said] = [Unknown(message.type, str(wire))]
        match message.type:
            case messages.APPEND:
                said = [self._listen(message)]
            case messages.UPDATE:
                said = [Configure(message.session or {})]
            case messages.CREATE_ITEM:
                said = [self._take(message.item or messages.Item(), wire)]
            case messages.RESPOND if self._reply is None:
                said, self._to_answer = [*(self._to_answer or [UtteranceEnd()])], []
            case messages.CANCEL:
                said = [Cancel()]
            case messages.TRUNCATE_ITEM:
                said = [Truncate(message.item_id or "", (message.audio_end_ms or 0) / 1000)]
            case messages.CLEAR:
                said = [Forget()]
            case messages.COMMIT:
                self._to_answer = []
        return said

    def _listen(self, message: messages.Message) -> Listen:
        audio = message.data if self.proxy and not bytes(message.audio) else message.audio
        chunk = messages.heard(audio, "$.audio")
        self.buffered += len(chunk.pcm)
        return Listen(chunk)

    def _take(self, item: messages.Item, wire: Wire) -> UserEvent:
        told = messages.fields(wire).get("item") or {}
        made = {"id": item.id or self._new("item"), "object": "realtime.item"}
        self.created = {"status": "completed", **told, **made}
        match item.type, item.role:
            case "message", "assistant":
                return Recall("agent", item.text)
            case "message", "system":
                self._to_answer = [Write(item.text, event=True)]
                return Write(item.text, event=True, start=False)
            case "message", "user":
                self._to_answer = [Write(item.text)]
                return Recall("user", item.text)
            case "function_call_output", _:
                call = item.call_id or ""
                results = [held for held in self._to_answer if isinstance(held, ToolResult)]
                result = ToolResult(call, self._callers.get(call, ""), messages.string(item.output))
                self._to_answer = [*results, result]
        return Unknown(messages.CREATE_ITEM, str(wire))

    # What a server says

    def encode(self, event: Said) -> list[str]:
        told = self._say(event)
        self._cause = None
        return told

    def _say(self, event: Said) -> list[str]:
        told: list[str] = []
        match event:
            case Met(name):
                self.session["id"] = name or self._new("sess")
                told = [self._tell(messages.SESSION_CREATED, session=self.session)]
            case Configured(wire=wire):
                self.session = wire or self.session
                told = [self._tell("session.updated", session=self.session)]
            case Truncated(item, seconds):
                cut = {"item_id": item, "content_index": 0, "audio_end_ms": messages.whole_milliseconds(seconds)}
                told = [self._tell("conversation.item.truncated", **cut)]
            case Fault(code, text):
                told = [self._wrong(code, text)]
            case Told(messages.ITEM_ADDED):
                told = self._added(self.created, done=True)
            case Told(kind, data) if kind != messages.COMMITTED:
                told = [self._tell(kind, **data)]
            case Unknown():
                told = [event.wire]
            case _:
                told = self._of_user(event)
        return told

    def _of_user(self, event: Said) -> list[str]:
        """What a server tells of the user's speech."""
        match event:
            case SpeechStarted(at, item):
                self._user_item = item or self._new("item")
                return [self._bound("started", "audio_start_ms", at)]
            case SpeechStopped(at, item):
                self._user_item = item or self._user_item or self._new("item")
                return [self._bound("stopped", "audio_end_ms", at), *self._commit(self._user_item)]
            case Told():
                self._user_item = self._new("item")
                return self._commit(self._user_item)
            case Transcript(role="user"):
                return self._transcribe(event)
            case _:
                return self._of_agent(event)

    def _of_agent(self, event: Said) -> list[str]:
        """What a server tells of its own answer."""
        match event:
            case Replying(name):
                return self._begin(name)
            case Transcript():
                return self._write(event)
            case Speech() | SpeechDone():
                return [] if self.text_only else self._speak(event)
            case ToolCall():
                return self._call(event)
            case TurnDone():
                return self._end(event)
            case _:
                raise UnspokenError(f"a server of the Realtime API has no word for {type(event).__name__}")

    def _new(self, kind: str) -> str:
        self._numbers[kind] = self._numbers.get(kind, 0) + 1
        return f"{kind}_{self._numbers[kind]:06}"

    def _tell(self, kind: str, **told: Any) -> str:
        name = messages.old_name(kind) if self.beta else kind
        return messages.spell(name, {"event_id": self._new("event"), **told})

    def _wrong(self, code: str, text: str) -> str:
        if self.proxy:
            internal = code == "internal_error"
            prefix, code = ("Server error", code) if internal else ("API Error", "api_error")
            return messages.spell(messages.ERROR, {"error": {"message": f"{prefix}: {text}", "code": code}})
        found = _PARAMETER.search(text)
        error = {"type": "invalid_request_error", "code": code, "message": text, "event_id": self._cause}
        return self._tell(messages.ERROR, error={**error, "param": found[1] if found else None})

    def _commit(self, item: str) -> list[str]:
        self.buffered = 0
        committed = self._tell(messages.COMMITTED, previous_item_id=self._previous, item_id=item)
        content = [{"type": "input_audio", "transcript": None}]
        return [committed, *self._added(_message(item, "user", content, "completed"), done=True)]

    def _added(self, item: dict[str, Any], *, done: bool) -> list[str]:
        """An item is in the conversation; today that it is finished is told as well."""
        told = {"previous_item_id": self._previous, "item": item}
        self._previous = item["id"]
        if self.beta:
            return [self._tell("conversation.item.created", **told)]
        return [self._tell(kind, **told) for kind in (messages.ITEM_ADDED, messages.ITEM_DONE)[: 1 + done]]

    def _transcribe(self, event: Transcript) -> list[str]:
        """Only if it was asked for: it's another model's work."""
        if not self.transcribes:
            return []
        told = {"item_id": event.item or self._user_item, "content_index": 0}
        if not event.final:
            return [self._tell(messages.USER_TRANSCRIPT + "delta", **told, delta=event.text)]
        usage = {"type": "duration", "seconds": 1}
        return [self._tell(messages.USER_TRANSCRIPT + "completed", **told, transcript=event.text, usage=usage)]

    def _bound(self, which: str, field: str, at: float | None) -> str:
        told = {field: round((at or 0) * 1000), "item_id": self._user_item}
        return self._tell(f"input_audio_buffer.speech_{which}", **told)

    # An answer

    def _write(self, event: Transcript) -> list[str]:
        begun, reply = self._open(event.item)
        if not event.final:
            reply.text, reply.writing = reply.text + event.text, True
            return [*begun, self._piece(f"{self._writing}.delta", reply, delta=event.text)]
        reply.text, reply.writing = event.text, False
        return [*begun, self._written(reply)]

    def _speak(self, event: Speech | SpeechDone) -> list[str]:
        begun, reply = self._open(event.item)
        reply.sounding = isinstance(event, Speech)
        if isinstance(event, SpeechDone):
            return [*begun, self._piece("response.output_audio.done", reply)]
        self.lengths[reply.item] = self.lengths.get(reply.item, 0) + len(event.chunk.pcm)
        return [*begun, self._piece("response.output_audio.delta", reply, delta=event.chunk.pcm)]

    @property
    def _writing(self) -> str:
        return "response.output_text" if self.text_only else "response.output_audio_transcript"

    def _written(self, reply: _Reply) -> str:
        return self._piece(f"{self._writing}.done", reply, **{"text" if self.text_only else "transcript": reply.text})

    def _begin(self, name: str) -> list[str]:
        self._reply = _Reply(name or self._new("resp"))
        limits = [{"name": "requests", "limit": 1000, "remaining": 999, "reset_seconds": 60}]
        created = self._tell("response.created", response=self._response(self._reply, "in_progress", None))
        return [created, self._tell("rate_limits.updated", rate_limits=limits)]

    def _open(self, item: str) -> tuple[list[str], _Reply]:
        """The message that is spoken in, announced if it's a new one."""
        begun = [] if self._reply is not None else self._begin("")
        reply = self._reply or _Reply("")
        if reply.item and item in {"", reply.item}:
            return begun, reply
        begun += self._close(reply, "completed")
        reply.item, reply.text = item or self._new("item"), ""
        message = _message(reply.item, "assistant", [], "in_progress")
        told = {"response_id": reply.id, "output_index": len(reply.outputs), "item": message}
        begun += [self._tell("response.output_item.added", **told), *self._added(message, done=False)]
        return [*begun, self._piece("response.content_part.added", reply, part=self._part(""))], reply

    def _close(self, reply: _Reply, status: str) -> list[str]:
        """The message that is spoken in is over, with all that's still open in it."""
        if not reply.item:
            return []
        told: list[str] = []
        if reply.sounding:
            told.append(self._piece("response.output_audio.done", reply))
        if reply.writing:
            told.append(self._written(reply))
        told.append(self._piece("response.content_part.done", reply, part=self._part(reply.text)))
        kind, field = ("text", "text") if self.text_only else ("audio", "transcript")
        content = [{"type": kind if self.beta else f"output_{kind}", field: reply.text}]
        told += self._finish(reply, _message(reply.item, "assistant", content, status))
        reply.item, reply.sounding, reply.writing = "", False, False
        return told

    def _finish(self, reply: _Reply, item: dict[str, Any]) -> list[str]:
        told = {"response_id": reply.id, "output_index": len(reply.outputs), "item": item}
        reply.outputs.append(item)
        finished = [self._tell(messages.OUTPUT_ITEM_DONE, **told)]
        if self.proxy and item["type"] == "function_call":
            finished = []
        return finished if self.beta else [*finished, self._tell(messages.ITEM_DONE, item=item)]

    def _call(self, call: ToolCall) -> list[str]:
        begun = [] if self._reply is not None else self._begin("")
        reply = self._reply or _Reply("")
        begun += self._close(reply, "completed")
        self._callers[call.id] = call.name
        name = self._new("item")
        item = {"id": name, "object": "realtime.item", "type": "function_call", "name": call.name, "call_id": call.id}
        at = {"response_id": reply.id, "output_index": len(reply.outputs)}
        started = {**item, "status": "in_progress", "arguments": ""}
        begun += [self._tell("response.output_item.added", **at, item=started), *self._added(started, done=False)]
        word, at = "response.function_call_arguments", {**at, "item_id": name, "call_id": call.id}
        begun.append(self._tell(f"{word}.delta", **at, delta=call.arguments))
        begun.append(self._tell(f"{word}.done", **at, name=call.name, arguments=call.arguments))
        return begun + self._finish(reply, {**item, "status": "completed", "arguments": call.arguments})

    def _end(self, done: TurnDone) -> list[str]:
        begun = [] if self._reply is not None else self._begin(done.id)
        reply = self._reply or _Reply(done.id)
        if done.pending and not any(item["type"] == "function_call" for item in reply.outputs):
            begun += self._call(ToolCall(self._new("call"), SEARCH, '{"query":"what was asked"}'))
        begun += self._close(reply, "completed" if done.status == "completed" else "incomplete")
        reply.id = done.id or reply.id
        details: dict[str, Any] | None = None
        if done.status == "failed":
            error = {"type": "server_error", "code": None, "message": done.reason}
            details = {"type": done.status, "error": error}
        elif done.status != "completed":
            details = {"type": done.status, "reason": done.reason or None}
        self._reply = None
        return [*begun, self._tell(messages.RESPONSE_DONE, response=self._response(reply, done.status, details))]

    def _piece(self, kind: str, reply: _Reply, **told: Any) -> str:
        at = {"item_id": reply.item, "output_index": len(reply.outputs), "content_index": 0}
        return self._tell(kind, response_id=reply.id, **at, **told)

    def _part(self, text: str) -> dict[str, Any]:
        return {"type": "text", "text": text} if self.text_only else {"type": "audio", "transcript": text}

    def _response(self, reply: _Reply, status: str, details: dict[str, Any] | None) -> dict[str, Any]:
        told: dict[str, Any] = {
            "object": "realtime.response",
            "id": reply.id,
            "status": status,
            "status_details": details,
            "output": reply.outputs,
            "conversation_id": "conv_000001",
            "usage": None if status == "in_progress" else _USAGE,
            "metadata": None,
        }
        shared = ("modalities", "voice", "output_audio_format") if self.beta else ("output_modalities",)
        told |= {key: self.session.get(key) for key in shared}
        if not self.beta:
            output = self.session["audio"]["output"]
            told["audio"] = {"output": {key: output.get(key) for key in ("format", "voice")}}
        return told


def first_session(*, beta: bool) -> dict[str, Any]:
    """What a session is before anything was asked for."""
    common = {
        "object": "realtime.session",
        "id": "",
        "model": "",
        "instructions": "",
        "tools": [],
        "tool_choice": "auto",
    }
    if beta:
        return {
            **common,
            "modalities": ["text", "audio"],
            "voice": "alloy",
            "input_audio_format": "pcm16",
            "output_audio_format": "pcm16",
            "input_audio_transcription": None,
            "turn_detection": dict(_SERVER_VAD),
            "temperature": 0.8,
            "max_response_output_tokens": "inf",
        }
    form = {"type": "audio/pcm", "rate": messages.RATE}
    listened = {"format": form, "transcription": None, "noise_reduction": None, "turn_detection": dict(_SERVER_VAD)}
    return {
        **common,
        "type": "realtime",
        "output_modalities": ["audio"],
        "max_output_tokens": "inf",
        "audio": {"input": listened, "output": {"format": form, "voice": "marin", "speed": 1.0}},
    }


def _message(name: str, role: str, content: list[dict[str, Any]], status: str) -> dict[str, Any]:
    kind = {"object": "realtime.item", "type": "message"}
    return {"id": name, **kind, "status": status, "role": role, "content": content}
