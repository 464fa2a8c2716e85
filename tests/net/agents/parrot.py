"""An agent of nobody's: its language is the vocabulary itself as JSON, so what is tried with it is the simulator."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import ClassVar

import msgspec

from audiotap.actors.base import Act, HangUp, Refused, Script
from audiotap.agent_events import (
    AgentEvent,
    Configure,
    Configured,
    Met,
    Truncate,
    Truncated,
    UserEvent,
)
from audiotap.dialects.agents.base import Account, Address, AgentSettings, Ending, Memory, Said, Step, Wire
from audiotap.dialects.base import Side, lenient
from audiotap.errors import WireError
from audiotap.events import Fault

RATE = 16000
SETTINGS = AgentSettings()
MEMORY = Memory()
_SAID = msgspec.json.Decoder(UserEvent | AgentEvent)


class ParrotDialect:
    """The vocabulary as JSON, both ways."""

    name: ClassVar[str] = "parrot"
    rates: ClassVar[tuple[int, ...]] = (RATE,)
    block: ClassVar[float] = 0.1
    most_per_minute: ClassVar[int] = 0
    idle: ClassVar[float] = 0.0
    silent: ClassVar[str] = ""

    def __init__(self, side: Side, settings: AgentSettings = SETTINGS, memory: Memory = MEMORY) -> None:
        self.side, self.settings, self.memory = side, settings, memory
        self.ready = False
        self.rate = self.output_rate = RATE

    @classmethod
    def address(cls, account: Account, settings: AgentSettings) -> Address:
        vad = "on" if settings.vad else "off"
        return Address(f"{account.url}/parrot?vad={vad}", {"X-Key": account.key}, ("parrot.v2", "parrot.v1"))

    def opening(self) -> list[UserEvent]:
        return [Configure()]

    def reply(self, event: AgentEvent) -> list[UserEvent]:
        self.ready = self.ready or isinstance(event, Configured)
        return []

    def leaving(self, *, finish: bool) -> list[Step]:  # noqa: ARG002 - nobody leaves
        return []

    def ending(self, code: int, reason: str) -> Ending:
        return Ending(f"{code} {reason}")

    def decode(self, wire: Wire) -> list[Said]:
        return [lenient(_SAID, wire)]

    def encode(self, event: Said) -> list[Wire]:
        return [msgspec.json.encode(event).decode()]


class Parrot:
    """Hears once it was configured; complains about what it cannot read; hangs up on who says nothing at all."""

    name: ClassVar[str] = "parrot"
    paths: ClassVar[str] = "/parrot"
    delta: ClassVar[float] = 0.1
    options: ClassVar[Mapping[str, str]] = {}
    renews: ClassVar[bool] = True
    fillers: bool = False
    tools = True
    rate = output_rate = RATE

    def __init__(self, script: Script) -> None:
        self.script = script
        self.greeting = script.greeting
        self.dialect = ParrotDialect(Side.THEIRS)
        self.hears = False
        self.vad = True

    def admits(self, path: str, headers: Mapping[str, str], subprotocols: Sequence[str]) -> Refused | None:
        if self.script.key and headers.get("x-key") != self.script.key:
            return Refused(401, "no key")
        self.vad = path.endswith("vad=on")
        return None if "parrot.v1" in subprotocols else Refused(400)

    def subprotocol(self, offered: Sequence[str]) -> str | None:
        return offered[-1]

    def opened(self, now: float) -> list[Act]:  # noqa: ARG002 - at once
        return [Met("parrot")]

    def malformed(self, error: WireError, now: float) -> list[Act]:  # noqa: ARG002 - whatever it was
        return [Fault("malformed", "that is no message", fatal=False)]

    def heard(self, event: UserEvent, now: float) -> list[Act]:  # noqa: ARG002 - whenever
        match event:
            case Configure():
                self.hears = True
                return [Configured()]
            case Truncate():
                return [Truncated(event.item, event.seconds)]
        return []

    def tick(self, now: float) -> list[Act]:
        return [HangUp(4408, "idle")] if "impatient" in self.script.options and now > 0 and not self.hears else []
