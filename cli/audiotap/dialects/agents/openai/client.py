"""The Realtime API's client: what we say and understand, and the manners that its vendors have in common.

Sources as in `realtime`; barge-in as OpenAI's Realtime guide has it for WebSockets, closings as clients met them.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, ClassVar

import msgspec

from audiotap.agent_events import (
    AgentEvent,
    Cancel,
    Configure,
    Configured,
    Listen,
    Recall,
    Replying,
    Speech,
    SpeechDone,
    Told,
    ToolResult,
    Truncate,
    TurnDone,
    UserEvent,
    UtteranceEnd,
    VadMode,
    Write,
)
from audiotap.dialects.agents.base import AgentDialect, AgentSettings, Ending, Memory, Said, Step, Wire, laid_over
from audiotap.dialects.agents.openai import messages
from audiotap.dialects.agents.openai.server import Server
from audiotap.dialects.base import Side
from audiotap.errors import Exit, UnspokenError, WireError
from audiotap.events import Fault, Unknown

USUAL = AgentSettings()
NO_MEMORY = Memory()
BETA = "beta"
SETTINGS_EVENT = "audiotap-settings"
"""The id of the message that sets the agent up, by which an error says that it was that one."""
NOT_ACTIVE = "response_cancel_not_active"
NONE_ACTIVE = "Cancellation failed: no active response"
BETA_DISABLED = "beta_api_shape_disabled"
EXPIRED = "session_expired"
REFUSED = frozenset({"invalid_api_key", "account_deactivated", "insufficient_quota", "billing_hard_limit_reached"})
FATAL = REFUSED | {EXPIRED, BETA_DISABLED}
LOST = frozenset({1006, 1011, 1012, 1013})
"""Codes after which the same may go well: the network, or a server that stumbled."""
MOST_CALLS = 128
MOST_ITEMS = 16
"""Items whose length is kept: an interruption concerns the last ones."""

_HINTS = {
    "invalid_api_key": "give a key of this vendor that is still valid",
    "account_deactivated": "ask the vendor what became of the account",
    "insufficient_quota": "look at the account's plan and credit at the vendor's",
    "billing_hard_limit_reached": "look at the account's spending limit at the vendor's",
    "missing_model": "name one with --model",
    BETA_DISABLED: "leave `--option beta` out, and any `OpenAI-Beta` header that a proxy puts in",
    "conversation_already_has_active_response": "the agent was still answering; what was written is kept",
    "input_audio_buffer_commit_empty": "a tenth of a second has to be said before an utterance can end",
}
_WANTS_BETA = re.compile(r"[Uu]nknown parameter: 'session\.(type|audio|output_modalities|max_output_tokens)\b")
_WANTS_GA = re.compile(
    r"[Mm]issing required parameter: 'session\.type'|[Uu]nknown parameter: 'session\.(modalities|voice|turn_detection"
    r"|input_audio_\w+|output_audio_format|temperature|max_response_output_tokens)\b"
)


class Realtime(AgentDialect):
    """One connection's worth of the Realtime API's language: the codec and the manners that its vendors share."""

    name: ClassVar[str]
    rates: ClassVar[tuple[int, ...]] = (messages.RATE,)
    block: ClassVar[float] = 0.05
    most_per_minute: ClassVar[int] = 0
    idle: ClassVar[float] = 0.0
    silent: ClassVar[str] = "does it hear anything? user.wav is what it was sent"
    plain: ClassVar[bool] = False
    """Whether nothing is set that the user did not set."""
    tools: ClassVar[bool] = True
    """Whether its calls are ours to answer."""
    switches: ClassVar[frozenset[str]] = frozenset({BETA})
    """The options that it has."""

    def __init__(self, side: Side, settings: AgentSettings = USUAL, memory: Memory = NO_MEMORY) -> None:
        self.side = side
        self.settings = settings
        self.memory = memory
        self.rate = self.output_rate = messages.RATE
        self.ready = False
        self.beta = BETA in settings.options
        self.server = self._served()
        self._opened = False
        self._asked = False
        self._answering = False
        self._owes_answer = False
        self._calls: dict[str, messages.Item] = {}
        self._unanswered: set[str] = set()
        self._lengths: dict[str, int] = {}
        self._complete: set[str] = set()
        self._last: Fault | None = None
        self._fault: Fault | None = None

    def _served(self) -> Server:
        return Server(beta=self.beta)

    # Manners

    def opening(self) -> list[UserEvent]:
        """Nothing: the server speaks first, and its first word tells which shape it wants to be spoken to in."""
        return []

    def reply(self, event: AgentEvent) -> list[UserEvent]:
        """The settings and what was said before, once there is a server; then the greeting; answers that are owed."""
        if not self._opened:
            return [] if isinstance(event, Fault) else self._open()
        if isinstance(event, Configured) and not self.ready:
            return self._be_ready()
        if self._owes_answer and not self._busy() and isinstance(event, TurnDone | Fault):
            return [Write("")]
        return []

    def _open(self) -> list[UserEvent]:
        self._opened = True
        if self._session():
            return [Configure(), *self.memory.said]
        return [*self.memory.said, *self._be_ready()]

    def _be_ready(self) -> list[UserEvent]:
        self.ready = True
        if not self.settings.greeting or self.memory.said:
            return []
        return [Write(f"Begin the conversation with these words: {self.settings.greeting}", event=True)]

    def leaving(self, *, finish: bool) -> list[Step]:  # noqa: ARG002 - the socket is closed either way, nothing is kept
        return []

    def ending(self, code: int, reason: str) -> Ending:
        """A fatal error says more than any code; of the vendor's own codes, an error before them says why."""
        fault = self._fault
        why = f": {reason}" if reason else ""
        if code == 1001 or (fault is not None and fault.code == EXPIRED):
            ending = Ending(reason or "the agent went away", "a session lasts an hour at most", again=True)
        elif fault is not None:
            status = Exit.REFUSED if fault.code in REFUSED or code == 3000 else Exit.FAILED
            ending = Ending(fault.message, fault.hint, status=status)
        elif code == 3000:
            ending = Ending(f"the key was refused{why}", _HINTS["invalid_api_key"], status=Exit.REFUSED)
        elif BETA_DISABLED in reason:
            ending = Ending("the server no longer takes the beta's shape", _HINTS[BETA_DISABLED])
        elif code == 1000:
            ending = Ending("the agent closed the connection", status=Exit.OK)
        elif code in LOST:
            ending = Ending(f"the connection was lost, code {code}{why}", again=True)
        elif self._last is not None and code >= 3000:
            ending = Ending(self._last.message, self._last.hint)
        else:
            ending = Ending(f"the agent closed the connection with code {code}{why}")
        return ending

    # What the agent says

    def decode(self, wire: Wire) -> list[Said]:
        if self.side is Side.THEIRS:
            return self.server.decode(wire)
        message = messages.read(wire, messages.tells)
        events = self._meaning(message, wire)
        for event in events:
            self._follow(event)
        return [*events]

    def _meaning(self, message: messages.Message, wire: Wire) -> list[AgentEvent]:
        meaning = messages.SAID.get(message.type) or messages.SAID.get(messages.new_name(message.type))
        if meaning is not None:
            if message.type == messages.SESSION_CREATED:
                self._recognise(message.session or {})
            said = meaning(message)
            return [said if said is not None else Told(message.type, messages.fields(wire))]
        if message.type == messages.RESPONSE_DONE:
            return self._turn(message)
        if message.type in {messages.ERROR, messages.TRANSCRIPT_FAILED}:
            return [self._wrong(message, wire)]
        if message.type in messages.TOLD:
            self._collect(message)
            begun = [] if self.settings.vad else messages.begun(message)
            return [Told(message.type, messages.fields(wire)), *begun]
        return [Unknown(message.type, str(wire))]

    def _recognise(self, session: Mapping[str, Any]) -> None:
        """A server's first word shows which shape it speaks, whatever its address and whatever was thought."""
        if "output_modalities" in session or session.get("type") == "realtime":
            self.beta = False
        elif "modalities" in session or "input_audio_format" in session:
            self.beta = True

    def _collect(self, message: messages.Message) -> None:
        """Calls are kept until their response is over: before that, an answer could not be asked for."""
        item = message.item
        if message.type == messages.OUTPUT_ITEM_DONE and item is not None and item.type == "function_call":
            if len(self._calls) >= MOST_CALLS:
                raise WireError(f"more than {MOST_CALLS} calls in one response")
            self._calls[item.call_id or item.id or ""] = item

    def _turn(self, message: messages.Message) -> list[AgentEvent]:
        response = message.response or messages.Response()
        known = self._calls | {item.call_id or item.id or "": item for item in response.output or ()}
        self._calls = {}
        done = messages.turn_done(response)
        called = messages.calls(list(known.values()), ours=self.tools) if done.status == "completed" else []
        self._unanswered = {call.id for call in called if call.ours}
        events: list[AgentEvent] = [*called, msgspec.structs.replace(done, pending=bool(called))]
        error = (response.status_details or messages.Details()).error
        if error is not None and error.code in FATAL:
            events.insert(0, self._fault_of(error))
        return events

    def _wrong(self, message: messages.Message, wire: Wire) -> AgentEvent:
        error = message.error
        if not isinstance(error, messages.Error):
            error = messages.Error(message=error)
        if error.code == NOT_ACTIVE or NONE_ACTIVE in (error.message or ""):
            return Told(message.type, messages.fields(wire))
        return self._fault_of(error)

    def _fault_of(self, error: messages.Error) -> Fault:
        code = str(error.code or error.type or messages.ERROR)
        message = error.message or messages.told_of(error) or "an error without a message"
        refused = error.event_id == SETTINGS_EVENT or (self._opened and not self.ready)
        return Fault(code, message, self._hint(code, message), fatal=code in self._fatal() or refused)

    def _fatal(self) -> frozenset[str]:
        return FATAL

    def _hint(self, code: str, message: str) -> str:
        if _WANTS_BETA.search(message):
            return "this server wants the older session.update: type --option beta"
        if _WANTS_GA.search(message):
            return "this server wants today's session.update: leave `--option beta` out"
        return _HINTS.get(code, "")

    def _follow(self, event: AgentEvent) -> None:
        match event:
            case Replying():
                self._asked, self._answering = False, True
            case TurnDone(pending=pending):
                self._answering = False
                self._owes_answer = self._owes_answer and not pending
            case Fault():
                self._asked = False
                self._last = event
                self._fault = event if event.fatal else self._fault
            case Speech(chunk, item):
                self._lengths[item] = self._lengths.pop(item, 0) + len(chunk.pcm)
                if len(self._lengths) > MOST_ITEMS:
                    oldest = next(iter(self._lengths))
                    del self._lengths[oldest]
                    self._complete.discard(oldest)
            case SpeechDone(item) if item in self._lengths:
                self._complete.add(item)
            case _:
                pass

    # What we say

    def encode(self, event: Said) -> list[Wire]:
        if self.side is Side.THEIRS:
            return [*self.server.encode(event)]
        if isinstance(event, Unknown):
            return [event.wire]
        return [messages.spell(kind, said) for kind, said in self._words(event)]

    def _words(self, event: Said) -> list[tuple[str, dict[str, Any]]]:
        words: list[tuple[str, dict[str, Any]]] = []
        match event:
            case Listen(chunk):
                words = [(messages.APPEND, {self._audio_field(): chunk.pcm})]
            case UtteranceEnd():
                words = [(messages.COMMIT, {}), *self._ask()]
            case Configure(wire):
                words = [(messages.UPDATE, {"event_id": SETTINGS_EVENT, "session": wire or self._session()})]
            case VadMode(on):
                words = [(messages.UPDATE, {"session": self._vad({"type": "server_vad"} if on else None)})]
            case Recall(role, text):
                words = [self._item(messages.message_item(role, text, beta=self.beta))]
            case Write():
                words = self._write(event)
            case ToolResult():
                words = self._result(event)
            case Cancel():
                words = [(messages.CANCEL, {})] if self._busy() else []
            case Truncate(item, seconds):
                words = self._cut(item, messages.whole_milliseconds(seconds))
            case _:
                raise UnspokenError(f"the Realtime API has no word for {type(event).__name__}")
        return words

    def _write(self, said: Write) -> list[tuple[str, dict[str, Any]]]:
        item = messages.message_item("system" if said.event else "user", said.text, beta=self.beta)
        return [*([self._item(item)] if said.text else []), *(self._ask() if said.start else [])]

    def _result(self, result: ToolResult) -> list[tuple[str, dict[str, Any]]]:
        """The last one that's awaited asks for the answer."""
        self._unanswered.discard(result.id)
        item = {"type": "function_call_output", "call_id": result.id, "output": result.output}
        return [self._item(item), *([] if self._unanswered else self._ask())]

    def _audio_field(self) -> str:
        return "audio"

    def _session(self) -> dict[str, Any]:
        """What the user set, with `extra` over it; nothing if there is nothing to set."""
        session = messages.session_of(self.settings, beta=self.beta, plain=self.plain)
        session = laid_over(session, self.settings.extra)
        return {"type": "realtime"} | session if session and not self.beta else session

    def _vad(self, detection: dict[str, Any] | None) -> dict[str, Any]:
        if self.beta:
            return {"turn_detection": detection}
        return {"type": "realtime", "audio": {"input": {"turn_detection": detection}}}

    @staticmethod
    def _item(item: dict[str, Any]) -> tuple[str, dict[str, Any]]:
        return (messages.CREATE_ITEM, {"item": item})

    def _ask(self) -> list[tuple[str, dict[str, Any]]]:
        """An answer, now or when the one that's being given is over: a server refuses to give two at once."""
        self._owes_answer = self._busy()
        if self._owes_answer:
            return []
        self._asked = True
        return [(messages.RESPOND, {})]

    def _busy(self) -> bool:
        return self._asked or self._answering

    def _cut(self, item: str, milliseconds: int) -> list[tuple[str, dict[str, Any]]]:
        """Never more than there is, which is an error; nothing if all was heard; gone as a whole if nothing was."""
        if item in self._lengths:
            length = messages.duration(self._lengths[item])
            if milliseconds >= length and item in self._complete:
                return []
            milliseconds = min(milliseconds, length)
        if milliseconds <= 0:
            return [(messages.DELETE_ITEM, {"item_id": item})]
        return [(messages.TRUNCATE_ITEM, {"item_id": item, "content_index": 0, "audio_end_ms": milliseconds})]
