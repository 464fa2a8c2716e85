"""What an actor is: the manners of a vendor's server on one connection, for the simulator.

The simulator (`net.agents.simulator`) does what all servers have in common: it hears with a VAD, answers with a voice,
is interrupted. An actor does what is the vendor's own: who is let in, what is said in which order, what is refused,
when the connection is closed and with which code. No clock: `now` is in seconds since the connection began.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Protocol, runtime_checkable

import msgspec

from audiotap.agent_events import AgentEvent, UserEvent
from audiotap.dialects.agents.base import AgentDialect
from audiotap.errors import WireError


class Script(msgspec.Struct, frozen=True):
    """What was asked of a simulated agent.

    `key` is the only one that's let in; empty lets in any, and none. `greeting` is what it says first. `tool` makes
    each answer wait so many seconds for a tool call; `limits` keeps the vendor's rate limit and time-outs.
    `options` are switches of the actor, as its `options` has them. `shared` is what the connections of
    one simulator know of each other, each actor under its own name: they are all given the same script.
    """

    key: str = ""
    greeting: str = ""
    tool: float = 0.0
    limits: bool = True
    options: frozenset[str] = frozenset()
    shared: dict[str, Any] = {}


class Refused(msgspec.Struct, frozen=True):
    """The upgrade is answered with an HTTP status instead."""

    status: int
    body: str = ""


class HangUp(msgspec.Struct, frozen=True):
    """The connection is closed; with code 1006 it is cut without a word."""

    code: int
    reason: str = ""


Act = AgentEvent | HangUp


class Actor(Protocol):
    """A vendor's server on one connection."""

    name: ClassVar[str]
    paths: ClassVar[str]
    """A regular expression of the paths that the vendor serves."""
    delta: ClassVar[float]
    """Seconds of audio in one message of its voice."""
    options: ClassVar[Mapping[str, str]]
    """Its switches: how each is written, and the regular expression that it is."""
    renews: ClassVar[bool]
    """Whether what follows a tool call is another answer."""
    fillers: bool
    """Whether something is said before a tool call, as an answer of its own."""
    hears: bool
    """Whether audio is heard now: the client has done what has to come first."""
    vad: bool
    """Whether the user's speech is found in the audio; otherwise `UtteranceEnd` ends it."""
    tools: bool
    """Whether a tool call is seen by the client (Botify swallows it)."""
    rate: int
    """Samples per second at which it hears."""
    output_rate: int
    """Samples per second at which it speaks; known once the client has configured it."""
    greeting: str
    """What it says as soon as it hears: the script's, or what the client has configured; empty for nothing."""

    def __init__(self, script: Script) -> None: ...

    @property
    def dialect(self) -> AgentDialect:
        """On THEIR side."""

    def admits(self, path: str, headers: Mapping[str, str], subprotocols: Sequence[str]) -> Refused | None:
        """Whether the upgrade is refused; `path` has its query, the names of headers are in lower case."""

    def subprotocol(self, offered: Sequence[str]) -> str | None:
        """The one that the server chooses."""

    def opened(self, now: float) -> list[Act]:
        """The connection was made."""

    def malformed(self, error: WireError, now: float) -> list[Act]:
        """A message came that can't be read."""

    def heard(self, event: UserEvent, now: float) -> list[Act]:
        """A message came: what the server answers at once, before and beside any answer by voice."""

    def tick(self, now: float) -> list[Act]:
        """Time passed; asked several times a second."""


@runtime_checkable
class Occupant(Protocol):
    """An actor that keeps others out for as long as its connection lives."""

    def vacate(self) -> None:
        """The connection is over, whoever ended it."""


@runtime_checkable
class Deferring(Protocol):
    """An actor that has some words answered only when the user's speech has ended."""

    def due(self, event: UserEvent, *, speaking: bool) -> bool:
        """Whether an event that asks for an answer gets it now, while the user is `speaking` or not."""
