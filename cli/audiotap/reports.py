"""What a running listener tells: the same reports become plain lines, JSON lines and the meter's log."""

from __future__ import annotations

from typing import Any

import msgspec


class Listening(msgspec.Struct, frozen=True, tag="listening", tag_field="event"):
    """The port is bound; bots may dial `url`. If it is `guarded`, they need what `audiotap url` prints."""

    url: str
    host: str
    port: int
    out: str | None
    guarded: bool = False


class Reachable(msgspec.Struct, frozen=True, tag="reachable", tag_field="event"):
    """A tunnel leads to us; `round_trip` in seconds, None where no frame came back yet.

    `subscriptions` are what makes bots dial us, by provider: a part of the request that creates one.
    """

    url: str
    tunnel: str
    round_trip: float | None
    subscriptions: dict[str, dict[str, Any]]


class SessionStarted(msgspec.Struct, frozen=True, tag="session.started", tag_field="event"):
    """The first valid message of a session; `resumed` when a listener that died had begun it."""

    provider: str
    session: str
    bot: str | None
    path: str | None
    resumed: bool


class TrackStarted(msgspec.Struct, frozen=True, tag="track.started", tag_field="event"):
    """A track's first samples; `start` in seconds from the session's origin."""

    provider: str
    session: str
    track: str
    name: str | None
    rate: int
    start: float
    path: str | None


class TrackFinished(msgspec.Struct, frozen=True, tag="track.finished", tag_field="event"):
    """A track's file is closed; `seconds` is where it ends on the time line."""

    provider: str
    session: str
    track: str
    name: str | None
    rate: int
    seconds: float
    gaps: int
    path: str | None
    play: str | None


class SessionFinished(msgspec.Struct, frozen=True, tag="session.finished", tag_field="event"):
    """A session is over and its files are complete."""

    provider: str
    session: str
    bot: str | None
    seconds: float
    path: str | None
    manifest: str | None
    files: tuple[str, ...]
    lossy: bool
    reason: str


class AgentReady(msgspec.Struct, frozen=True, tag="agent.ready", tag_field="event"):
    """An agent may be spoken to. `session` is the bot's session that it belongs to, or the conversation."""

    provider: str
    session: str
    url: str
    connections: int


class SaidAloud(msgspec.Struct, frozen=True, tag="transcript", tag_field="event"):
    """Something was said, as text, `at` so many seconds on the time line; `role` is user or agent."""

    session: str
    role: str
    text: str
    at: float


class AgentInterrupted(msgspec.Struct, frozen=True, tag="interrupted", tag_field="event"):
    """The agent was spoken into: `heard` seconds of its answer were heard, and `dropped` were not, at `at`."""

    session: str
    heard: float
    dropped: float
    at: float


class TurnMeasured(msgspec.Struct, frozen=True, tag="turn", tag_field="event"):
    """A turn is over. Seconds, None where there was nothing to measure; docs/agents.md says from what to what."""

    session: str
    number: int
    source: str
    status: str
    reason: str
    interrupted: bool
    response: float | None
    first_byte: float | None
    server: float | None
    answer: float | None


class ConversationFinished(msgspec.Struct, frozen=True, tag="conversation.finished", tag_field="event"):
    """A conversation is over and its files are complete; a `broken` answer failed, or was not said to its end."""

    provider: str
    session: str
    path: str | None
    files: tuple[str, ...]
    turns: int
    missing: int
    broken: int
    seconds: float
    reason: str


class HookStarted(msgspec.Struct, frozen=True, tag="hook.started", tag_field="event"):
    """The command for a finished session (`--exec`) begins."""

    provider: str
    session: str
    command: str


class HookSaid(msgspec.Struct, frozen=True, tag="hook.output", tag_field="event"):
    """A line of what it says."""

    provider: str
    session: str
    line: str


class HookFinished(msgspec.Struct, frozen=True, tag="hook.finished", tag_field="event"):
    """It ended with status 0; any other end is a warning."""

    provider: str
    session: str
    command: str
    seconds: float


class CertificateReloaded(msgspec.Struct, frozen=True, tag="certificate.reloaded", tag_field="event"):
    """New connections get the certificate that is in the file now."""

    path: str


class Capturing(msgspec.Struct, frozen=True, tag="capturing", tag_field="event"):
    """Whatever bots send is kept in a file, as it came."""

    path: str


class Metrics(msgspec.Struct, frozen=True, tag="metrics", tag_field="event"):
    """`/healthz`, `/readyz` and `/metrics` are served at a URL."""

    url: str


class Draining(msgspec.Struct, frozen=True, tag="draining", tag_field="event"):
    """SIGTERM with `--drain-timeout`: nobody new is taken, and sessions have so many `seconds` to end."""

    seconds: float


class Odd(msgspec.Struct, frozen=True, tag="warning", tag_field="event"):
    """Something was mended, counted or ignored; the recording goes on."""

    message: str
    session: str | None = None
    track: str | None = None


class Failed(msgspec.Struct, frozen=True, tag="error", tag_field="event"):
    """Something failed."""

    message: str
    hint: str = ""
    session: str | None = None


Report = (
    Listening
    | Reachable
    | SessionStarted
    | TrackStarted
    | TrackFinished
    | SessionFinished
    | AgentReady
    | SaidAloud
    | AgentInterrupted
    | TurnMeasured
    | ConversationFinished
    | HookStarted
    | HookSaid
    | HookFinished
    | CertificateReloaded
    | Capturing
    | Metrics
    | Draining
    | Odd
    | Failed
)
