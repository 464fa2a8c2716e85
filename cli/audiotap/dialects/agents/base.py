"""What an agent's dialect is: a vendor's wire language and its manners, one instance per connection.

The manners are what the vendor's pages ask of a client beside the words: what is said first, what has to be waited for,
how often, how one leaves, and what a close code means. Pure: no clock, no socket, no printing.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Protocol, runtime_checkable
from urllib.parse import SplitResult, parse_qsl, quote, urlencode

import msgspec

from audiotap.agent_events import AgentEvent, Recall, UserEvent
from audiotap.dialects.base import Side
from audiotap.errors import Exit, UsageError

Wire = str | bytes
Said = UserEvent | AgentEvent


class Account(msgspec.Struct, frozen=True):
    """Where an agent is and who asks for it. What a vendor has no use for stays empty.

    `url` overrides the vendor's own address: its scheme, host and path, or a whole URL with a query.
    `organization`, `region` and `version` (of the vendor's API) are parts of some vendors' addresses.
    """

    key: str = ""
    url: str = ""
    organization: str = ""
    region: str = ""
    version: str = ""


class Address(msgspec.Struct, frozen=True):
    """What is dialled. Headers and subprotocols may hold the key: neither is ever told or logged."""

    url: str
    headers: Mapping[str, str] = {}
    subprotocols: tuple[str, ...] = ()


class AgentSettings(msgspec.Struct, frozen=True):
    """How an agent is to be. What is empty is left to the vendor's default, or to what the agent was set up with.

    `rate` and `output_rate` are samples per second of the user's and the agent's audio, 0 for the dialect's usual ones.
    With `vad` the agent finds out where turns end; without, `UtteranceEnd` says so. `text` asks for answers in text
    only, `form` is the encoding of the agent's audio (pcm, mp3).
    `service` and `service_version` name an agent that was set up at its vendor's. `extra` is laid over the vendor's own
    settings message, deep, and wins; `options` are a dialect's own switches, each named in its docs.
    """

    rate: int = 0
    output_rate: int = 0
    model: str = ""
    instructions: str = ""
    voice: str = ""
    language: str = ""
    greeting: str = ""
    transcribe: str = ""
    vad: bool = True
    text: bool = False
    form: str = "pcm"
    service: str = ""
    service_version: str = ""
    extra: dict[str, Any] = {}
    options: frozenset[str] = frozenset()


class Memory(msgspec.Struct, frozen=True):
    """What an earlier connection knew: the id by which a conversation is resumed, and what was said in it.

    `lost`: that connection was our own, and its other end may not have noticed yet that it is gone.
    """

    conversation: str = ""
    said: tuple[Recall, ...] = ()
    lost: bool = False


class Step(msgspec.Struct, frozen=True):
    """One step of leaving: say something, then wait for an answer of a kind, at most so many seconds."""

    say: UserEvent
    until: type | None = None
    seconds: float = 0.0


class Ending(msgspec.Struct, frozen=True):
    """What the end of a connection means.

    With `again` it's worth to dial once more, with back-off; otherwise the conversation is over, with `status`, and OK
    for a normal end.
    """

    message: str
    hint: str = ""
    again: bool = False
    status: Exit = Exit.FAILED


class AgentDialect(Protocol):
    """An agent's wire language and manners. The manners are those of OUR side."""

    name: ClassVar[str]
    rates: ClassVar[tuple[int, ...]]
    """Rates at which it hears, the usual one first."""
    block: ClassVar[float]
    """Seconds of audio per message."""
    most_per_minute: ClassVar[int]
    """Messages that may be sent in a minute; 0 for no limit."""
    idle: ClassVar[float]
    """`KeepAlive` is said when nothing was said for so many seconds; 0 for never."""
    silent: ClassVar[str]
    """What to look at where one is connected and says no word."""
    ready: bool
    """Whether the agent may be spoken to: the opening is done."""
    rate: int
    """Samples per second of what the user says."""
    output_rate: int
    """Samples per second of what the agent says, as asked for."""

    def __init__(self, side: Side, settings: AgentSettings = ..., memory: Memory = ...) -> None: ...

    @classmethod
    def address(cls, account: Account, settings: AgentSettings) -> Address:
        """Where to dial. UsageError, with what to type, if something is missing or two things contradict each other."""

    def opening(self) -> list[UserEvent]:
        """What is said as soon as there is a connection."""

    def reply(self, event: AgentEvent) -> list[UserEvent]:
        """What the opening, and nothing but good manners, asks to be said when the agent has said something."""

    def leaving(self, *, finish: bool) -> list[Step]:
        """How to leave: `finish` ends the conversation for good where the vendor makes a difference."""

    def ending(self, code: int, reason: str) -> Ending:
        """What a close code (1006: none came) means after all that was said on this connection."""

    def decode(self, wire: Wire) -> list[Said]:
        """What a wire message says. WireError if it is malformed; never any other exception."""

    def encode(self, event: Said) -> list[Wire]:
        """The wire messages that say an event. UnspokenError if the dialect has no word for it."""


@runtime_checkable
class Described(Protocol):
    """A dialect whose servers may describe themselves over HTTP, before they are dialled."""

    @classmethod
    def description_url(cls, account: Account) -> str:
        """Where; what is there is optional."""

    @classmethod
    def described(cls, settings: AgentSettings, body: str) -> tuple[AgentSettings, str]:
        """The settings by what a server tells of itself, and that in a line. WireError if it cannot be read."""


def asking(url: SplitResult, query: Mapping[str, str]) -> SplitResult:
    """A URL with what its query leaves out. UsageError where it says something else."""
    told = dict(parse_qsl(url.query, keep_blank_values=True))
    wanted = {name: value for name, value in query.items() if value}
    for name in wanted.keys() & told.keys():
        if told[name] != wanted[name]:
            raise UsageError(f"the URL says {name}={told[name]}, and the options say {wanted[name]}", "say one of them")
    return url._replace(query=urlencode(told | wanted, quote_via=quote, safe=""))


def refuse(vendor: str, **given: str) -> None:
    """UsageError for an option that was given, and for which a vendor has no use."""
    for name, value in given.items():
        if value:
            raise UsageError(f"{vendor} has no use for {value!r}", f"leave out --{name.replace('_', '-')}")


def laid_over(message: dict[str, Any], extra: Mapping[str, Any]) -> dict[str, Any]:
    """A message with `extra` laid over it: objects key by key, everything else replaced."""
    merged = dict(message)
    for key, value in extra.items():
        old = merged.get(key)
        merged[key] = laid_over(old, value) if isinstance(old, dict) and isinstance(value, dict) else value
    return merged
