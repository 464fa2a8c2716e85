"""The vocabulary of a conversation with a voice agent: what the user's side says, and what the agent says.

As in `events.py` each is what a wire message says, never who sent it: a simulated agent reads what we write. Several
wire messages may say one event, and one wire message several.
"""

from __future__ import annotations

from typing import Any, Literal

import msgspec

from audiotap.audio import Chunk
from audiotap.events import Fault, Unknown

Role = Literal["user", "agent"]


# What the user's side says


class Configure(msgspec.Struct, frozen=True, tag="configure"):
    """How the agent is to be: what `AgentSettings` say. At the other end `wire` holds the vendor's own words."""

    wire: dict[str, Any] = {}


class Resume(msgspec.Struct, frozen=True, tag="resume"):
    """Go on with a conversation that the agent still knows."""

    conversation: str


class Recall(msgspec.Struct, frozen=True, tag="recall"):
    """What was said before, by whom, to an agent that knows nothing of it any more."""

    role: Role
    text: str


class Listen(msgspec.Struct, frozen=True, gc=False, tag="listen"):
    """What the user says, as audio."""

    chunk: Chunk


class ListenFile(msgspec.Struct, frozen=True, tag="listen-file"):
    """A part of an encoded file that the user says, as it is (`form` is its encoding: mp3)."""

    data: bytes
    form: str


class UtteranceEnd(msgspec.Struct, frozen=True, tag="utterance-end"):
    """The user has said all; it is the agent's turn. Said only where the agent does not find that out."""


class Forget(msgspec.Struct, frozen=True, tag="forget"):
    """What was said since the last utterance is not meant."""


class Write(msgspec.Struct, frozen=True, tag="write"):
    """What the user says, as text. `event`: a word from outside the conversation, answered if `start`."""

    text: str
    event: bool = False
    start: bool = True


class Cancel(msgspec.Struct, frozen=True, tag="cancel"):
    """The agent shall stop with what it's saying."""


class Truncate(msgspec.Struct, frozen=True, tag="truncate"):
    """Only so many seconds of an item were heard; the agent shall remember no more of it."""

    item: str
    seconds: float


class ToolResult(msgspec.Struct, frozen=True, tag="tool-result"):
    """The answer to a `ToolCall` that is ours to answer."""

    id: str
    name: str
    output: str


class KeepAlive(msgspec.Struct, frozen=True, tag="keep-alive"):
    """Nothing to say, and still here."""


class Conclude(msgspec.Struct, frozen=True, tag="conclude"):
    """The conversation is over for good."""


class Leave(msgspec.Struct, frozen=True, tag="leave"):
    """The connection is over; the conversation may be gone on with."""


# What both say


class VadMode(msgspec.Struct, frozen=True, tag="vad-mode"):
    """The agent finds the ends of the user's speech by itself, or no longer: asked for, or acknowledged."""

    on: bool


# What the agent says


class Met(msgspec.Struct, frozen=True, tag="met"):
    """The agent's first word; `id` is the connection's or the conversation's, where it tells one."""

    id: str = ""


class Configured(msgspec.Struct, frozen=True, tag="configured"):
    """The agent is as it was asked to be; `conversation` can be resumed by its id where there is one."""

    conversation: str = ""
    wire: dict[str, Any] = {}


class SpeechStarted(msgspec.Struct, frozen=True, tag="speech-started"):
    """The user began to speak, `at` so many seconds on the agent's own clock."""

    at: float | None = None
    item: str = ""


class SpeechStopped(msgspec.Struct, frozen=True, tag="speech-stopped"):
    """The user stopped."""

    at: float | None = None
    item: str = ""


class Replying(msgspec.Struct, frozen=True, tag="replying"):
    """The agent begins an answer."""

    id: str = ""


class Speech(msgspec.Struct, frozen=True, gc=False, tag="speech"):
    """What the agent says, as audio, often faster than real time.

    `item` is what `Truncate` names. `number` counts the pieces of an item where the agent numbers them.
    """

    chunk: Chunk
    item: str = ""
    number: int | None = None


class SpeechFile(msgspec.Struct, frozen=True, gc=False, tag="speech-file"):
    """A part of an encoded file that the agent says (`form` is its encoding: mp3)."""

    data: bytes
    form: str
    item: str = ""


class Transcript(msgspec.Struct, frozen=True, tag="transcript"):
    """What was said, as text: all of an item if `final`, otherwise what is to be added to it."""

    role: Role
    text: str
    final: bool = True
    item: str = ""


class SpeechDone(msgspec.Struct, frozen=True, tag="speech-done"):
    """The last of an item's audio was sent, not played."""

    item: str = ""


INTERRUPTED = "turn_detected"
"""Why an answer was cancelled that the user spoke into (OpenAI's word, for all vendors): another one follows."""


class TurnDone(msgspec.Struct, frozen=True, tag="turn-done"):
    """An answer is over. `pending` when another one follows by itself (after a tool call).

    `status` is completed, cancelled, incomplete or failed, `reason` the vendor's word for why.
    """

    id: str = ""
    status: str = "completed"
    reason: str = ""
    pending: bool = False


class ToolCall(msgspec.Struct, frozen=True, tag="tool-call"):
    """The agent wants something done before it goes on; `ours` if it waits for our `ToolResult`."""

    id: str
    name: str
    arguments: str
    ours: bool = True


class Truncated(msgspec.Struct, frozen=True, tag="truncated"):
    """The agent remembers only so many seconds of an item."""

    item: str
    seconds: float


class Told(msgspec.Struct, frozen=True, tag="told"):
    """Something else that the agent tells and that asks for nothing (latencies, thoughts, rate limits)."""

    kind: str
    data: dict[str, Any]


class Doubt(msgspec.Struct, frozen=True, tag="doubt"):
    """What the agent says cannot be meant as it is read here, or lacks something; a sentence for the user."""

    message: str


class Concluded(msgspec.Struct, frozen=True, tag="concluded"):
    """The agent holds the conversation for finished."""


UserEvent = (
    Configure
    | Resume
    | Recall
    | Listen
    | ListenFile
    | UtteranceEnd
    | Forget
    | Write
    | Cancel
    | Truncate
    | ToolResult
    | KeepAlive
    | VadMode
    | Conclude
    | Leave
    | Unknown
)
"""What we say to an agent."""

AgentEvent = (
    Met
    | Configured
    | VadMode
    | SpeechStarted
    | SpeechStopped
    | Replying
    | Speech
    | SpeechFile
    | Transcript
    | SpeechDone
    | TurnDone
    | ToolCall
    | Truncated
    | Told
    | Doubt
    | Concluded
    | Fault
    | Unknown
)
"""What an agent says to us."""
