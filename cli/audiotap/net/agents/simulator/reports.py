"""What a simulated agent tells its user: sizes, kinds and codes, never what was said, and no key."""

from __future__ import annotations

import msgspec


class Listening(msgspec.Struct, frozen=True, tag="listening", tag_field="event"):
    """The port is bound; clients may dial `url`."""

    url: str
    host: str
    port: int
    provider: str


class Refused(msgspec.Struct, frozen=True, tag="refused", tag_field="event"):
    """An upgrade was answered with an HTTP status."""

    status: int


class Connected(msgspec.Struct, frozen=True, tag="connected", tag_field="event"):
    """A client is there. Connections are counted from 1."""

    connection: int


class Ready(msgspec.Struct, frozen=True, tag="ready", tag_field="event"):
    """The client did what has to come first, `seconds` after it connected: audio is heard from now on."""

    connection: int
    seconds: float


class SpeechStarted(msgspec.Struct, frozen=True, tag="speech.started", tag_field="event"):
    """The user began to speak, `at` so many seconds of audio."""

    connection: int
    at: float


class SpeechStopped(msgspec.Struct, frozen=True, tag="speech.stopped", tag_field="event"):
    """The user stopped, `at` so many seconds of audio."""

    connection: int
    at: float


class Turn(msgspec.Struct, frozen=True, tag="turn", tag_field="event"):
    """An answer was given: seconds of speech that it answers, and seconds that were said. The greeting is turn 0."""

    connection: int
    turn: int
    heard: float
    said: float


class Interrupted(msgspec.Struct, frozen=True, tag="interrupted", tag_field="event"):
    """An answer was stopped, by the user's speech or on request, after `sent` seconds of its audio."""

    connection: int
    turn: int
    sent: float
    reason: str


class Truncated(msgspec.Struct, frozen=True, tag="truncated", tag_field="event"):
    """The client says that only so many seconds of an answer were heard."""

    connection: int
    seconds: float


class Malformed(msgspec.Struct, frozen=True, tag="malformed", tag_field="event"):
    """A message came that cannot be read."""

    connection: int


class Complained(msgspec.Struct, frozen=True, tag="error", tag_field="event"):
    """The client was told of an error."""

    connection: int
    code: str
    fatal: bool


class Befell(msgspec.Struct, frozen=True, tag="fault", tag_field="event"):
    """What was asked for has gone wrong; `connection` is 0 for an upgrade that was refused."""

    connection: int
    fault: str


class Closed(msgspec.Struct, frozen=True, tag="closed", tag_field="event"):
    """A connection is over; `code` 1006 stands for an end without a close frame. Seconds of audio either way."""

    connection: int
    code: int
    by_us: bool
    heard: float
    said: float


class Summary(msgspec.Struct, tag="summary", tag_field="event"):
    """What happened in all; seconds are those of connections that are over."""

    connections: int = 0
    refused: int = 0
    turns: int = 0
    interrupted: int = 0
    malformed: int = 0
    heard: float = 0.0
    said: float = 0.0

    def add(self, report: Report) -> None:
        """Count what was told."""
        match report:
            case Connected():
                self.connections += 1
            case Refused():
                self.refused += 1
            case Turn():
                self.turns += 1
            case Interrupted():
                self.interrupted += 1
            case Malformed():
                self.malformed += 1
            case Closed():
                self.heard = round(self.heard + report.heard, 3)
                self.said = round(self.said + report.said, 3)


Report = (
    Listening
    | Refused
    | Connected
    | Ready
    | SpeechStarted
    | SpeechStopped
    | Turn
    | Interrupted
    | Truncated
    | Malformed
    | Complained
    | Befell
    | Closed
    | Summary
)
