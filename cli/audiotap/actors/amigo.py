"""Amigo's server, as its page tells of it: who is let in, what comes first, and each of its close codes.

Source: docs.amigo.ai, "Real-time Voice (WebSocket)"; where the page is silent, docs/agents/amigo.md says what is done.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Mapping, Sequence
from typing import ClassVar
from urllib.parse import parse_qs

import msgspec

from audiotap.actors.base import Act, HangUp, Refused, Script
from audiotap.agent_events import (
    Conclude,
    Concluded,
    Configure,
    Configured,
    KeepAlive,
    Leave,
    ListenFile,
    Resume,
    UserEvent,
    UtteranceEnd,
    VadMode,
    Write,
)
from audiotap.dialects.agents.amigo import BEARER, Amigo
from audiotap.dialects.agents.amigo.client import PCM, MediaError
from audiotap.dialects.agents.amigo.server import RATE
from audiotap.dialects.agents.amigo.voice import FILLERS
from audiotap.dialects.agents.base import AgentDialect, AgentSettings
from audiotap.dialects.agents.headers import MP3
from audiotap.dialects.base import Side
from audiotap.errors import WireError
from audiotap.events import Unknown

FORBIDDEN = "forbidden"
SERVICE = "service="
OUTPUT_RATE = "output-rate="
PATIENCE = 30.0
"""Seconds without a message after which the connection is closed."""
MINUTE = 60.0
_REASON = 123
"""Bytes of a close frame's reason (RFC 6455, section 5.5)."""


class Conversation(msgspec.Struct):
    """What a server keeps of a conversation when its connection is gone."""

    owner: str
    service: str
    finished: bool = False


class House(msgspec.Struct):
    """What one simulator's connections share: conversations by id, and which user is at which service."""

    conversations: dict[str, Conversation] = {}
    occupied: set[tuple[str, str]] = set()


class AmigoActor:
    """Amigo's end of one connection.

    Options: `forbidden` (the token's user may not converse), `service=ID` (the only services there are), `fillers`,
    `output-rate=HZ` (it speaks at another rate than anybody would think).
    """

    name: ClassVar[str] = "amigo"
    paths: ClassVar[str] = r"/v1/[^/]+/conversation/converse_realtime"
    delta: ClassVar[float] = 0.1
    options: ClassVar[Mapping[str, str]] = {
        FORBIDDEN: FORBIDDEN,
        f"{SERVICE}ID": f"{SERVICE}.+",
        FILLERS: FILLERS,
        f"{OUTPUT_RATE}HZ": f"{OUTPUT_RATE}[1-9][0-9]{{3,4}}",
    }
    renews: ClassVar[bool] = False
    fillers: bool = False

    def __init__(self, script: Script) -> None:
        self._script = script
        self.greeting = script.greeting
        self._house: House = script.shared.setdefault(self.name, House())
        self._services = _told(script, SERVICE)
        rates = _told(script, OUTPUT_RATE)
        self.dialect: AgentDialect = Amigo(Side.THEIRS)
        self.hears = False
        self.vad = False
        self.tools = False
        self.rate = RATE
        self.output_rate = int(rates[0]) if rates else RATE
        self._mp3 = False
        self._token = ""
        self._refusal: HangUp | None = None
        self._talk: Conversation | None = None
        self._last = 0.0
        self._times: deque[float] = deque()

    def admits(self, path: str, headers: Mapping[str, str], subprotocols: Sequence[str]) -> Refused | None:
        """Nobody is refused before the connection stands: Amigo's refusals are close codes."""
        del headers
        tokens = [name.removeprefix(BEARER) for name in subprotocols if name.startswith(BEARER)]
        self._token = tokens[0] if tokens else ""
        self._refusal = self._refused() or self._asked(path.partition("?")[2])
        return None

    def _refused(self) -> HangUp | None:
        if self._script.key and self._token != self._script.key:
            return HangUp(3000, "unauthorized")
        return HangUp(3003, "forbidden") if FORBIDDEN in self._script.options else None

    def _asked(self, query: str) -> HangUp | None:
        told = {name: values[-1] for name, values in parse_qs(query, keep_blank_values=True).items()}
        response, form = told.get("response_format"), told.get("audio_format", PCM)
        if response not in {"text", "voice"}:
            return HangUp(4000, "response_format is text or voice")
        if form not in {PCM, MP3} or (response == "voice" and "audio_format" not in told):
            return HangUp(4000, "audio_format is pcm or mp3")
        actions = told.get("current_agent_action_type")
        try:
            pattern = None if actions is None else re.compile(actions)
        except (re.error, OverflowError, RecursionError):
            return HangUp(4000, "current_agent_action_type is no regular expression")
        fillers = self._script.options & {FILLERS}
        self._mp3 = response == "voice" and form == MP3
        self.tools = pattern is not None
        self.dialect = Amigo(
            Side.THEIRS, AgentSettings(text=response == "text", form=form, options=fillers), actions=pattern
        )
        return None

    def subprotocol(self, offered: Sequence[str]) -> str | None:
        """The one with the token: a browser that offered one fails a connection that takes none (WHATWG WebSockets)."""
        return next((name for name in offered if name.startswith(BEARER)), None)

    def opened(self, now: float) -> list[Act]:
        self._last = now
        return [self._refusal] if self._refusal is not None else []

    def malformed(self, error: WireError, now: float) -> list[Act]:
        return self._counted(now) or [_hang_up(4015 if isinstance(error, MediaError) else 4000, str(error))]

    def heard(self, event: UserEvent, now: float) -> list[Act]:
        return self._counted(now) or self._answered(event)

    def _answered(self, event: UserEvent) -> list[Act]:
        match event:
            case Leave():
                return [HangUp(1000)]
            case KeepAlive():
                return []
            case Configure() | Resume() if self._talk is not None:
                return [HangUp(4000, "there is a conversation already")]
            case Configure(wire):
                return self._start(str(wire["service_id"]))
            case Resume(conversation):
                return self._resume(conversation)
            case _:
                return self._misplaced(event) or self._talked(event)

    def _start(self, service: str) -> list[Act]:
        if self._services and service not in self._services:
            return [HangUp(4004, "no such service")]
        conversation = Conversation(self._token, service)
        id_ = f"{len(self._house.conversations) + 1:024x}"
        acts = self._enter(conversation, id_)
        if self._talk is not None:
            self._house.conversations[id_] = conversation
        return acts

    def _resume(self, id_: str) -> list[Act]:
        conversation = self._house.conversations.get(id_)
        if conversation is None or conversation.owner != self._token:
            return [HangUp(4004, "no such conversation")]
        if conversation.finished:
            return [HangUp(4009, "the conversation is finished")]
        self.greeting = ""
        return self._enter(conversation, id_)

    def _enter(self, conversation: Conversation, id_: str) -> list[Act]:
        """One connection for each user and service."""
        place = (conversation.owner, conversation.service)
        if place in self._house.occupied:
            return [HangUp(4009, "the conversation is locked")]
        self._house.occupied.add(place)
        self._talk = conversation
        self.hears = True
        return [Configured(id_)]

    def _misplaced(self, event: UserEvent) -> list[Act]:
        """What can't be said now, or never."""
        match event:
            case Unknown(kind):
                return [_hang_up(4000, f"no such message: {kind}")]
            case _ if self._talk is None:
                return [HangUp(4000, "there is no conversation yet")]
            case _ if self._talk.finished:
                return [HangUp(4009, "the conversation is finished")]
            case ListenFile() if self.vad:
                return [HangUp(4015, "VAD mode takes PCM only")]
            case UtteranceEnd() | Conclude() if self.vad:
                return [HangUp(4000, "not in VAD mode")]
            case _:
                return []

    def _talked(self, event: UserEvent) -> list[Act]:
        match event:
            case VadMode(on):
                return self._switch(on=on)
            case Conclude():
                return self._finish()
            case _:
                return []

    def _finish(self) -> list[Act]:
        if self._talk is not None:
            self._talk.finished = True
        self.hears = False
        return [Concluded()]

    def _switch(self, *, on: bool) -> list[Act]:
        if on and self._mp3:
            return [HangUp(4015, "VAD mode takes PCM only")]
        self.vad = on
        return [VadMode(on)]

    def due(self, event: UserEvent, *, speaking: bool) -> bool:
        """An external event waits in VAD mode until the user has finished."""
        return not (self.vad and speaking and isinstance(event, Write) and event.event)

    def tick(self, now: float) -> list[Act]:
        if self._script.limits and now - self._last >= PATIENCE:
            return [HangUp(3008, "timed out")]
        return []

    def vacate(self) -> None:
        if self._talk is not None:
            self._house.occupied.discard((self._talk.owner, self._talk.service))

    def _counted(self, now: float) -> list[Act]:
        """Every message counts, and lets the time-out begin anew."""
        self._last = now
        self._times.append(now)
        while self._times[0] <= now - MINUTE:
            self._times.popleft()
        if self._script.limits and len(self._times) > Amigo.most_per_minute:
            return [HangUp(4029, f"more than {Amigo.most_per_minute} messages a minute")]
        return []


def _told(script: Script, option: str) -> list[str]:
    return sorted(told.removeprefix(option) for told in script.options if told.startswith(option))


def _hang_up(code: int, reason: str) -> HangUp:
    return HangUp(code, reason.encode(errors="replace")[:_REASON].decode(errors="ignore"))
