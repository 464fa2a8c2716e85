"""The vocabulary: frozen events, each saying what a wire message says and never who sent it.

Every event is a tagged `msgspec.Struct`, so the union of them is also our own wire language (`dialects.native`).
"""

from __future__ import annotations

from typing import Any

import msgspec

from audiotap.audio import Chunk

MIXED = "mixed"
"""The track of everybody together."""
SPOKEN = "spoken"
"""The track of what we played into the meeting."""


class Asked(msgspec.Struct, frozen=True):
    """How a connection was asked for, where no message tells whose it is.

    `path` is without the listener's secret; `kind` is the request's Content-Type; `id` is no other connection's.
    """

    path: str = "/"
    query: str = ""
    kind: str = ""
    id: str = ""


UNASKED = Asked()


class Heard(msgspec.Struct, frozen=True, gc=False, tag="heard"):
    """Audio from a meeting.

    `session` is the provider's id of the recording, `track` is `mixed` or a participant's id, `at` the time of the
    chunk's first sample in seconds on the bot's own clock. `pcm` inside `chunk` may still hold an odd byte.
    `bot` is another id for the same session where a provider has two; `sequence` counts a track's messages.
    """

    session: str
    track: str
    chunk: Chunk
    at: float | None = None
    name: str | None = None
    bot: str | None = None
    sequence: int | None = None


class Occurred(msgspec.Struct, frozen=True, tag="occurred"):
    """Something a provider tells about the meeting (who joined, what was said); kept in the session's event log."""

    session: str
    kind: str
    data: dict[str, Any]
    at: float | None = None
    bot: str | None = None
    participant: str | None = None
    name: str | None = None


class Speak(msgspec.Struct, frozen=True, tag="speak"):
    """Audio to be played into a meeting."""

    chunk: Chunk


class Pause(msgspec.Struct, frozen=True, tag="pause"):
    """Hold playback for `seconds` from now and keep what is queued.

    `spelling` picks one of several words that a dialect has for it; empty is the dialect's usual one.
    """

    seconds: float
    spelling: str = ""


class Stop(msgspec.Struct, frozen=True, tag="stop"):
    """Drop what is queued."""


class Mark(msgspec.Struct, frozen=True, tag="mark"):
    """Tell by this name when all that was said before has been played."""

    name: str


class Fault(msgspec.Struct, frozen=True, tag="fault"):
    """The peer reports an error; after a fatal one it says nothing more."""

    code: str
    message: str
    hint: str = ""
    fatal: bool = True


class Unknown(msgspec.Struct, frozen=True, tag="unknown"):
    """A well-formed message that the dialect has no word for: a value, not an error."""

    kind: str
    wire: str
    session: str | None = None


# What a control client and a listener say to each other besides Speak, Pause, Stop and Fault.


class Attach(msgspec.Struct, frozen=True, tag="attach"):
    """Everything after this concerns one bot: an id, the beginning of one, or nothing if there is one bot only.

    `away` takes a bot that has no connection right now, too, and `deaf` any bot: it is to be heard, not spoken to.
    """

    bot: str = ""
    away: bool = False
    deaf: bool = False


def is_meant(bot: str, *ids: str | None) -> bool:
    """Whether `bot`, as an Attach names it, is one of a session's ids, or the beginning of one."""
    return any(known.startswith(bot) for known in ids if known)


class Attached(msgspec.Struct, frozen=True, tag="attached"):
    """The bot that was chosen, and the rate at which it is spoken to."""

    provider: str
    session: str
    rate: int


class Finish(msgspec.Struct, frozen=True, tag="finish"):
    """The utterance is complete."""


class Progress(msgspec.Struct, frozen=True, tag="progress"):
    """How much of the utterance was sent to the bot, in seconds; `state` is waiting, playing, paused, held or away."""

    sent: float
    state: str


class Finished(msgspec.Struct, frozen=True, tag="finished"):
    """The utterance is over: sent in full and had time to play, or stopped."""

    sent: float
    stopped: bool


class Done(msgspec.Struct, frozen=True, tag="done"):
    """A pause or a stop took effect; `told` says whether the bot was sent a word for it."""

    seconds: float
    told: bool


class Ask(msgspec.Struct, frozen=True, tag="ask"):
    """What is going on?"""


class Watch(msgspec.Struct, frozen=True, tag="watch"):
    """Show me everything from now on: after this the listener speaks as `net.control.audience` does."""


class Tail(msgspec.Struct, frozen=True, tag="tail"):
    """Let me hear a track of the bot from now on, by its id or somebody's name."""

    track: str


class Tailing(msgspec.Struct, frozen=True, tag="tailing"):
    """The track that was chosen: from now on it comes as `Sound`, or in a fleet to all its listeners at once."""

    track: str


class Sound(msgspec.Struct, frozen=True, tag="sound"):
    """Samples of a track, with their position on its line."""

    position: int
    chunk: Chunk


class TrackStatus(msgspec.Struct, frozen=True):
    """One track as it stands: seconds on the time line, samples per second."""

    track: str
    name: str | None
    seconds: float
    rate: int


class SessionStatus(msgspec.Struct, frozen=True):
    """One session as it stands; `queue` is speech not yet sent in seconds, `speaks` whether it can be spoken to now."""

    provider: str
    session: str
    bot: str | None
    connections: int
    seconds: float
    queue: float
    speaks: bool
    tracks: tuple[TrackStatus, ...]


class Status(msgspec.Struct, frozen=True, tag="status"):
    """The answer to `Ask`. `address` is where bots dial, with the secret, and so for `url` and `bot create` alone.

    It is empty before a tunnel has told it. The port answers with `identity` to who asks which listener it is.
    """

    url: str
    sessions: tuple[SessionStatus, ...]
    address: str = ""
    refused: dict[str, int] = {}
    identity: str = ""


Event = Heard | Occurred | Speak | Pause | Stop | Mark | Fault | Unknown
"""What a provider's dialect may say."""

ControlEvent = (
    Attach
    | Attached
    | Speak
    | Finish
    | Progress
    | Finished
    | Pause
    | Stop
    | Done
    | Ask
    | Watch
    | Tail
    | Tailing
    | Sound
    | Status
    | Fault
)
"""What our own control socket may say."""
