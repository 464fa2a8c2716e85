"""Deepgram's server: the order of the opening, what is refused, and the two clocks that end a session.

Sources: as in `dialects/agents/deepgram.py`. The seconds of silence are those that Deepgram's workshop tells its
readers; the close code after an Error is told nowhere, so ours says nothing.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar
from uuid import UUID, uuid4

from audiotap.actors.base import Act, HangUp, Refused, Script
from audiotap.agent_events import Configure, Configured, KeepAlive, Listen, Met, Told, UserEvent
from audiotap.audio import RATES
from audiotap.dialects.agents.base import AgentDialect
from audiotap.dialects.agents.deepgram import INJECTION_REFUSED, Deepgram
from audiotap.dialects.agents.deepgram.manners import BEARER, PATH, RAW, SPEAKS
from audiotap.dialects.base import Side
from audiotap.errors import WireError
from audiotap.events import Fault, Unknown

FILLERS = "fillers"
SILENCE = 15.0
"""Seconds without any message after which a client is given up."""
WARNED = 6900.0
LONGEST = 7200.0
"""Seconds that a session lasts."""
APPLYING = 0.15
"""Seconds until Settings are applied: audio that doesn't wait for it comes too early, as it would at Deepgram's."""
CLOSED = 1000
UPDATES = {
    "UpdateListen": "ListenUpdated",
    "UpdatePrompt": "PromptUpdated",
    "UpdateSpeak": "SpeakUpdated",
    "UpdateThink": "ThinkUpdated",
}
_LISTEN = frozenset({"provider"})
_THINK = frozenset({"provider", "endpoint", "functions", "prompt", "context_length"})
_FUNCTION = frozenset(
    {
        "name",
        "description",
        "parameters",
        "endpoint",
        "defer_until_eot",
        "initial_agent_filler",
        "agent_filler_max_count",
        "agent_filler_interval_ms",
    }
)
FIELDS: dict[str, frozenset[str]] = {
    "Settings": frozenset({"type", "tags", "experimental", "flags", "mip_opt_out", "audio", "agent"}),
    "Settings.audio": frozenset({"input", "output"}),
    "Settings.audio.input": frozenset({"encoding", "sample_rate"}),
    "Settings.audio.output": frozenset({"encoding", "sample_rate", "bitrate", "container"}),
    "Settings.agent": frozenset({"language", "context", "listen", "think", "think_live", "speak", "greeting"}),
    "Settings.agent.context": frozenset({"messages"}),
    "Settings.agent.listen": _LISTEN,
    "Settings.agent.think": _THINK,
    "Settings.agent.think.functions": _FUNCTION,
    "Settings.agent.speak": frozenset({"provider", "endpoint"}),
}
"""What Settings may hold; anything else is refused, as far as it is looked into here."""


class DeepgramActor:
    """Deepgram's server on one connection.

    The option `bearer` says that the key is an access token, `fillers` that it says something before it calls a tool.
    `greeting` is what is said first: the Settings' own, or else the script's.
    """

    name: ClassVar[str] = "deepgram"
    paths: ClassVar[str] = rf"{PATH}/?"
    delta: ClassVar[float] = 0.1
    options: ClassVar[Mapping[str, str]] = {BEARER: BEARER, FILLERS: FILLERS}
    renews: ClassVar[bool] = False

    def __init__(self, script: Script) -> None:
        self.script = script
        self._deepgram = Deepgram(Side.THEIRS)
        self.dialect: AgentDialect = self._deepgram
        self.hears = False
        self.vad = True
        self.tools = True
        self.fillers = FILLERS in script.options
        self.rate = self._deepgram.rate
        self.output_rate = self._deepgram.output_rate
        self.greeting = script.greeting
        self._settled: float | None = None
        self._last = 0.0
        self._warned = False
        self._over = False

    def admits(self, path: str, headers: Mapping[str, str], subprotocols: Sequence[str]) -> Refused | None:
        """A key is taken with its own scheme only: as a header, or as a browser has to, after it as a subprotocol."""
        if not re.fullmatch(self.paths, path.partition("?")[0]):
            return Refused(404)
        scheme, _, key = headers.get("authorization", "").partition(" ")
        if not key and len(subprotocols) == 2:
            scheme, key = subprotocols
        wanted = BEARER if BEARER in self.script.options else "token"
        if not self.script.key or (scheme.lower(), key.strip()) == (wanted, self.script.key):
            return None
        return Refused(401, '{"err_code":"INVALID_AUTH","err_msg":"Invalid credentials."}')

    def subprotocol(self, offered: Sequence[str]) -> str | None:
        return offered[0] if offered and offered[0] in {"token", BEARER} else None

    def opened(self, now: float) -> list[Act]:
        self._last = now
        return [Met(str(uuid4()))]

    def malformed(self, error: WireError, now: float) -> list[Act]:
        del now
        return self._end("UNPARSABLE_CLIENT_MESSAGE", str(error))

    def heard(self, event: UserEvent, now: float) -> list[Act]:
        if self._over:
            return []
        self._last = now
        if isinstance(event, Configure):
            return self._configure(event.wire, now)
        if self._settled is None or not (self.hears or isinstance(event, KeepAlive)):
            return self._too_early(event)
        return self._other(event.kind) if isinstance(event, Unknown) else []

    def tick(self, now: float) -> list[Act]:
        if self._over:
            return []
        if self._settled is not None and not self.hears and now - self._settled >= APPLYING:
            self.hears = True
            return [Configured()]
        return self._limits(now) if self.script.limits else []

    def _limits(self, now: float) -> list[Act]:
        if now >= LONGEST:
            return self._end("MAXIMUM_SESSION_LENGTH_REACHED", "the session has lasted two hours")
        if now - self._last >= SILENCE:
            return self._end("CLIENT_MESSAGE_TIMEOUT", f"no message for {SILENCE:g} s, neither audio nor a KeepAlive")
        if now >= WARNED and not self._warned:
            self._warned = True
            return [Fault("MAXIMUM_SESSION_LENGTH_APPROACHING", "the session is closed in 5 minutes", fatal=False)]
        return []

    def _configure(self, settings: dict[str, Any], now: float) -> list[Act]:
        if self._settled is not None:
            return self._end("SETTINGS_ALREADY_APPLIED", "the Settings were said before")
        unknown = stray(settings)
        if unknown:
            return self._end("UNPARSABLE_CLIENT_MESSAGE", f"{unknown} is no field of Settings")
        asked = self._deepgram.asked
        if asked.agent and not _is_id(asked.agent):
            return self._end("INVALID_AGENT_ID", f"{asked.agent} is no agent's id")
        if (asked.encoding, asked.output_encoding, asked.container) != (RAW, RAW, "none"):
            return self._end("INVALID_SETTINGS", f"this simulator speaks {RAW} without a container, both ways")
        if asked.rate not in RATES or asked.output_rate not in SPEAKS:
            return self._end("INVALID_SETTINGS", f"sample rates of {asked.rate} and {asked.output_rate}")
        self._settled = now
        self.rate, self.output_rate = self._deepgram.rate, self._deepgram.output_rate
        self.greeting = asked.greeting or self.script.greeting
        return []

    def _too_early(self, event: UserEvent) -> list[Act]:
        if isinstance(event, Listen):
            return self._end("BINARY_MESSAGE_BEFORE_SETTINGS", "audio came before the Settings were applied")
        return self._end("NON_SETTINGS_MESSAGE_BEFORE_SETTINGS", "something came before the Settings were applied")

    def _other(self, kind: str) -> list[Act]:
        """Messages that have no event. What the agent shall say is refused: the simulator's voice says its own."""
        if kind in UPDATES:
            return [Told(UPDATES[kind], {})]
        if kind == "InjectAgentMessage":
            return [Fault(INJECTION_REFUSED, "this simulator says only what it was started with", fatal=False)]
        if kind == "ForceEndTurn":
            return [Fault("FORCE_END_TURN_UNSUPPORTED", "the listen model is no Flux model", fatal=False)]
        return self._end("UNPARSABLE_CLIENT_MESSAGE", f"no message of a client is called {kind}")

    def _end(self, code: str, description: str) -> list[Act]:
        if self._over:
            return []
        self._over, self.hears = True, False
        return [Fault(code, description), HangUp(CLOSED)]


def stray(settings: object, path: str = "Settings") -> str:
    """The first field in Settings that shouldn't be there; empty if there is none."""
    for part in settings if isinstance(settings, list) else [settings]:
        for key, inner in part.items() if isinstance(part, dict) and path in FIELDS else ():
            where = f"{path}.{key}"
            found = stray(inner, where) if key in FIELDS[path] else where
            if found:
                return found
    return ""


def _is_id(text: str) -> bool:
    try:
        UUID(text)
    except ValueError:
        return False
    return True
