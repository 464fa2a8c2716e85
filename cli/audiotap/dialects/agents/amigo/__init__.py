"""Amigo's `converse_realtime`: JSON text frames with a `type`, audio as base64 inside, and a mode in which it hears
by itself where the user's speech ends.

Source: docs.amigo.ai, "Real-time Voice (WebSocket)". docs/agents/amigo.md tells what that page leaves open, and how
it's read here.
"""

from __future__ import annotations

import re
from typing import ClassVar
from urllib.parse import quote, urlsplit

from audiotap.agent_events import (
    AgentEvent,
    Conclude,
    Concluded,
    Configure,
    Configured,
    Leave,
    Resume,
    TurnDone,
    UserEvent,
    VadMode,
)
from audiotap.dialects.agents.amigo.client import FRAME_RATES, PCM, TYPE_FIELD, ClientReader, ClientWriter
from audiotap.dialects.agents.amigo.server import RATE, ServerReader
from audiotap.dialects.agents.amigo.voice import ServerWriter
from audiotap.dialects.agents.base import (
    Account,
    Address,
    AgentSettings,
    Ending,
    Memory,
    Said,
    Step,
    Wire,
    asking,
    refuse,
)
from audiotap.dialects.agents.headers import MP3
from audiotap.dialects.base import Side
from audiotap.errors import Exit, UsageError

BEARER = "bearer.authorization.amigo.ai."
FIRST_MESSAGE = "first-message"
ACTION = "action="
OPTIONS = (TYPE_FIELD, FIRST_MESSAGE, f"{ACTION}REGEX")
SWITCHING = 10.0
"""Seconds that leaving the VAD mode may take, and so finishing."""
TIMED_OUT, LOCKED, LIMITED = 3008, 4009, 4029
LOST = frozenset({1001, 1006, 1011, 1012, 1013})
"""Close codes of a connection or a server that was lost."""
MOST_PER_MINUTE = 1200
_PASSING = {
    TIMED_OUT: "Amigo heard nothing for 30 s and closed the connection",
    LIMITED: f"Amigo takes {MOST_PER_MINUTE} messages a minute, and there were more",
    LOCKED: "Amigo still holds the conversation for the connection that was lost",
}
"""Close codes after which the same conversation is gone on with."""
_HOSTS = {
    "us": "api",
    "ca": "api-ca-central-1",
    "eu": "api-eu-central-1",
    "ap": "api-ap-southeast-2",
}
_REGIONS = {
    "": "us",
    "us-east-1": "us",
    "ca-central-1": "ca",
    "eu-central-1": "eu",
    "ap-southeast-2": "ap",
    "ca-central": "ca",
    "eu-central": "eu",
    "ap-southeast": "ap",
    "au": "ap",
}
_TOKEN = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+")
"""What a subprotocol may consist of (RFC 6455, section 4.1)."""
_SECRET = re.compile(re.escape(BEARER) + r"\S*")
_SETTINGS = AgentSettings()
_NOTHING = Memory()
_ELSEWHERE = ("model", "instructions", "voice", "language", "greeting")
"""Settings that an Amigo agent has from its service."""
_FINAL = {
    3000: Ending(
        "Amigo refuses the token: it's wrong or has expired",
        "sign in with your API key for a new one, and set AMIGO_TOKEN to it",
        status=Exit.REFUSED,
    ),
    3003: Ending(
        "Amigo refuses: the token's user may not do that",
        "ask for the permission to converse with this service",
        status=Exit.REFUSED,
    ),
    4000: Ending("Amigo couldn't read a message", "report this, with the reason that it gave"),
    4004: Ending(
        "Amigo knows no such service or conversation",
        "check the service's id and the region; an organization is known in its own region only",
        status=Exit.NOBODY,
    ),
    4009: Ending(
        "Amigo's conversation is finished, or in use by another connection of the same user and service",
        "end the other connection, or start a new conversation",
    ),
    4015: Ending("Amigo doesn't take this form of audio", "use PCM; the VAD mode takes nothing else"),
}


class Amigo:
    """One connection's worth of Amigo's language.

    `actions` is for a simulated agent: which of its actions it tells.
    """

    name: ClassVar[str] = "amigo"
    rates: ClassVar[tuple[int, ...]] = (16000, 8000, 24000, 44100)
    block: ClassVar[float] = 0.06
    """1000 messages a minute: blocks of 50 ms would be all of Amigo's 1200, with no room for a word beside them."""
    most_per_minute: ClassVar[int] = MOST_PER_MINUTE
    idle: ClassVar[float] = 15.0
    silent: ClassVar[str] = "does it hear anything? user.wav is what it was sent"

    def __init__(
        self,
        side: Side,
        settings: AgentSettings = _SETTINGS,
        memory: Memory = _NOTHING,
        actions: re.Pattern[str] | None = None,
    ) -> None:
        self.side = side
        self.ready = False
        self.rate = settings.rate or RATE
        self.output_rate = settings.output_rate or RATE
        self._settings = settings
        self._conversation = memory.conversation
        self._lost = memory.lost
        self._client = ClientWriter(settings)
        self._server = ServerReader(settings, memory.conversation)
        self._users = ClientReader()
        self._agents = ServerWriter(settings, actions)
        self._configured = self._concluded = self._left = False
        self._waiting = False

    @classmethod
    def address(cls, account: Account, settings: AgentSettings) -> Address:
        _check(settings)
        refuse("Amigo", api_version=account.version)
        if not (settings.service or account.url or "service_id" in settings.extra):
            raise UsageError("Amigo's agents are services, and none is named", "name one: --service ID")
        query = _query(settings)
        if not account.key and not account.url:
            raise UsageError("Amigo wants a token", "set AMIGO_TOKEN to the JWT that Amigo issued")
        if account.key and not _TOKEN.fullmatch(account.key):
            raise UsageError(
                "the key has characters that no JWT has", "set AMIGO_TOKEN to the JWT alone, without `Bearer`"
            )
        subprotocols = (f"{BEARER}{account.key}",) if account.key else ()
        return Address(_url(account, query), subprotocols=subprotocols)

    def opening(self) -> list[UserEvent]:
        return [Resume(self._conversation)] if self._conversation else [Configure()]

    def reply(self, event: AgentEvent) -> list[UserEvent]:
        """A conversation that is there is gone over to the VAD mode, at once or after the agent's first answer."""
        match event:
            case Configured() if not self._configured:
                self._configured = True
                self._waiting = FIRST_MESSAGE in self._settings.options and not self._conversation
                return [] if self._waiting else self._open()
            case TurnDone() if self._waiting:
                self._waiting = False
                return self._open()
            case VadMode(on=True):
                self.ready = self._configured and not self._concluded
            case Concluded():
                self._concluded, self.ready = True, False
        return []

    def _open(self) -> list[UserEvent]:
        self.ready = not self._settings.vad
        return [VadMode(on=True)] if self._settings.vad else []

    def leaving(self, *, finish: bool) -> list[Step]:
        if self._concluded or not self._configured:
            return [Step(Leave())]
        switch = [Step(VadMode(on=False), VadMode, SWITCHING)] if self._client.vad else []
        return [*switch, Step(Conclude(), Concluded, SWITCHING) if finish else Step(Leave())]

    def ending(self, code: int, reason: str) -> Ending:
        """Final for what would happen again; otherwise the conversation is gone on with, by its id."""
        told = f" ({_SECRET.sub(f'{BEARER}…', reason)})" if reason else ""
        if self._concluded or self._left or code == 1000:
            return Ending(f"the conversation with Amigo is over{told if code != 1000 else ''}", status=Exit.OK)
        held = code == LOCKED and self._lost and not self._configured
        if code in _FINAL and not held:
            final = _FINAL[code]
            return Ending(f"{final.message}{told}", final.hint, status=final.status)
        if code in _PASSING:
            return Ending(f"{_PASSING[code]}{told}", again=True)
        if code in LOST:
            return Ending(f"the connection to Amigo was lost, code {code}{told}", again=True)
        return Ending(f"Amigo closed the connection with code {code}{told}")

    def decode(self, wire: Wire) -> list[Said]:
        if self.side is Side.THEIRS:
            heard = self._users.read(wire)
            self._agents.resumed = self._agents.resumed or isinstance(heard[0], Resume)
            return [*heard]
        said = self._server.read(wire)
        for event in said:
            if isinstance(event, VadMode):
                self._client.vad = event.on
        return [*said]

    def encode(self, event: Said) -> list[Wire]:
        if self.side is Side.THEIRS:
            return [*self._agents.write(event)]
        self._left = self._left or isinstance(event, Leave)
        return [*self._client.write(event)]


def _check(settings: AgentSettings) -> None:
    """UsageError for what Amigo can't do."""
    for option in settings.options:
        if option not in OPTIONS[:2] and not option.startswith(ACTION):
            raise UsageError(f"Amigo has no option {option!r}", f"it has {', '.join(OPTIONS)}")
    for name in _ELSEWHERE:
        if getattr(settings, name):
            raise UsageError(f"an Amigo agent has its {name} from its service", f"leave out --{name}")
    if settings.form not in {PCM, MP3}:
        raise UsageError(f"Amigo speaks no {settings.form}", f"use {PCM} or {MP3}")
    if settings.form == MP3 and settings.vad and not settings.text:
        raise UsageError(
            "Amigo speaks PCM only where it finds the ends of the user's speech",
            "leave out --answer mp3, or add --no-vad",
        )
    if settings.rate and settings.rate not in FRAME_RATES:
        raise UsageError(
            f"Amigo doesn't hear at {settings.rate} Hz", f"from {FRAME_RATES[0]} to {FRAME_RATES[-1]} Hz it does"
        )


def _query(settings: AgentSettings) -> dict[str, str]:
    query = (
        {"response_format": "text"} if settings.text else {"response_format": "voice", "audio_format": settings.form}
    )
    for option in settings.options:
        if option.startswith(ACTION):
            query["current_agent_action_type"] = option.removeprefix(ACTION)
    return query


def _url(account: Account, query: dict[str, str]) -> str:
    """The vendor's address, or the account's own with what it leaves out."""
    try:
        own = urlsplit(account.url)
    except ValueError as error:
        raise UsageError(f"the URL is none: {error}", "it begins with wss:// and a host") from error
    scheme = {"http": "ws", "https": "wss"}.get(own.scheme, own.scheme)
    path = own.path if own.path not in {"", "/"} else _path(account)
    if account.url and (scheme not in {"ws", "wss"} or not own.hostname):
        raise UsageError("the URL is none of a websocket", "it begins with wss:// and a host")
    where = own._replace(
        scheme=scheme or "wss", netloc=own.netloc or f"{_host(account.region)}.amigo.ai", path=path, fragment=""
    )
    return asking(where, query).geturl()


def _path(account: Account) -> str:
    if not account.organization:
        raise UsageError("Amigo wants an organization", "name yours: --organization ID")
    return f"/v1/{quote(account.organization, safe='')}/conversation/converse_realtime"


def _host(region: str) -> str:
    name = region.strip().lower().replace(" ", "-").replace("_", "-").removeprefix("api-")
    name = _REGIONS.get(name, name)
    if name not in _HOSTS:
        raise UsageError(f"Amigo has no region {region!r}", f"it has {', '.join(_HOSTS)}")
    return _HOSTS[name]
