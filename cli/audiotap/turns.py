"""Turns of a conversation, measured: from the end of what the user said to the first sound of the answer.

All times are seconds on the conversation's time line, on our own clock: the user's audio lies where it was spoken in
real time, the agent's where it would be heard if each piece were played as soon as it is there and the one before it is
over. What was not seen is None, never 0.
"""

from __future__ import annotations

import math
from typing import Any

import msgspec

from audiotap.agent_events import (
    INTERRUPTED,
    AgentEvent,
    Replying,
    Speech,
    SpeechFile,
    SpeechStarted,
    SpeechStopped,
    ToolCall,
    Transcript,
    TurnDone,
)
from audiotap.audio import SAMPLE_BYTES
from audiotap.endpointing import THRESHOLD, Endpointer

MISSING = "missing"
CANCELLED = "cancelled"
INCOMPLETE = "incomplete"
FAILED = "failed"

MOST_ANSWERS = 64
"""Answers, and items of them, whose turns are known by their names."""
TOGETHER = 0.1
"""Seconds between two pieces of an answer that are still heard as one."""


class Turn(msgspec.Struct):
    """One turn: what the user said, and how the agent answered it.

    `said_until` is the end of the user's speech in the audio that we sent; `first_byte` when the first of the answer's
    audio (or text, where it answers in text) came; `first_sound` when the first of it that isn't silence is heard;
    `server_stopped` when the agent told that the user's speech is over, `server_byte` the first audio after that.
    """

    number: int
    source: str
    said_from: float | None = None
    said_until: float | None = None
    server_stopped: float | None = None
    server_byte: float | None = None
    first_byte: float | None = None
    first_sound: float | None = None
    ended: float | None = None
    status: str = MISSING
    reason: str = ""
    interrupted: bool = False

    @property
    def answered(self) -> bool:
        return self.first_byte is not None

    @property
    def broken(self) -> bool:
        """Whether the agent didn't say all that it had to say, and nobody interrupted it."""
        return self.answered and self.status in {FAILED, INCOMPLETE}

    def figures(self) -> dict[str, float | None]:
        """Seconds from the end of the user's speech to the first sound and the first byte; by the agent's own word for
        that end to its first byte; and how long the answer took.
        """
        return {
            "response": _between(self.said_until, self.first_sound),
            "first_byte": _between(self.said_until, self.first_byte),
            "server": _between(self.server_stopped, self.server_byte),
            "answer": _between(self.first_byte, self.ended),
        }

    def row(self) -> dict[str, Any]:
        """All of it, for JSON."""
        told = {name: round(v, 4) if isinstance(v, float) else v for name, v in msgspec.structs.asdict(self).items()}
        return told | {"figures": self.figures()}


class Turns:
    """The turns of one conversation, each begun by the user; `in_text` if the agent answers in text.

    An answer, and each item of it, belongs to the turn in which it was first heard of; one without a name until its end
    is told, or that of the user's next words. `more` is whether the agent has told of something that is still to come:
    an answer that it begins, a tool that it waits for, speech that it hears.
    """

    def __init__(self, *, in_text: bool = False, threshold: float = THRESHOLD) -> None:
        self.turns: list[Turn] = []
        self._in_text = in_text
        self._threshold = threshold
        self._ear: Ear | None = None
        self._answers: dict[str, Turn] = {}
        self.more = False

    @property
    def current(self) -> Turn | None:
        return self.turns[-1] if self.turns else None

    def begin(self, source: str, said_from: float | None = None) -> Turn:
        """The user begins to say something."""
        self.turns.append(Turn(len(self.turns) + 1, source, said_from))
        self.more = False
        return self.turns[-1]

    def leave_out(self, source: str, reason: str) -> None:
        """A turn that is never begun: nobody is there to whom it could be said."""
        self.turns.append(Turn(len(self.turns) + 1, source, reason=reason))

    def said(self, until: float) -> None:
        """The user's speech ended at this time. What came of an answer before that was not an answer to all of it."""
        turn = self.current
        if turn is None:
            return
        turn.said_until = until
        unnamed = self._answers.get("")
        if unnamed is not None and not unnamed.interrupted:
            del self._answers[""]
        if turn.first_byte is not None and turn.first_byte < until:
            turn.first_byte = turn.first_sound = None
            turn.status = MISSING
        if turn.server_stopped is not None and turn.server_stopped < until:
            turn.server_stopped = turn.server_byte = None
        if turn.ended is not None and turn.ended < until:
            turn.ended = None
            turn.status, turn.reason = MISSING, ""

    def heard(self, event: AgentEvent, now: float) -> None:
        """The agent said something."""
        turn = self.current
        if turn is None:
            return
        match event:
            case SpeechStarted() | Transcript(role="user"):
                self._answers.pop("", None)
                self.more = self.more or isinstance(event, SpeechStarted)
            case SpeechStopped():
                self._answers.pop("", None)
                turn.server_stopped, turn.server_byte = now, None
            case Replying(name):
                self.more = self._whose(name, turn) is turn
            case ToolCall():
                self.more = True
            case Speech(item=item) | SpeechFile(item=item):
                _came(self._whose(item, turn), now)
            case Transcript(role="agent") if event.text and self._in_text:
                _came(self._whose(event.item, turn), now)
            case TurnDone():
                self._done(self._whose(event.id, turn), event, now)
                self._answers.pop("", None)

    def _whose(self, name: str, current: Turn) -> Turn:
        """The turn that something of this name belongs to."""
        turn = self._answers.setdefault(name, current)
        if len(self._answers) > MOST_ANSWERS:
            del self._answers[next(iter(self._answers))]
        return turn

    def _done(self, turn: Turn, done: TurnDone, now: float) -> None:
        """An answer is over; what the user's next turn has interrupted stays as it was."""
        over = turn is self.current
        if done.pending or done.reason == INTERRUPTED:
            self.more = self.more or over
        elif over or not turn.interrupted:
            turn.ended, turn.status, turn.reason = now, done.status, done.reason
            self.more = self.more and not over

    def interrupted(self, now: float) -> None:
        """The user speaks into the answer that is heard, whether the agent has said the rest of it already or not."""
        turn = next((turn for turn in reversed(self.turns[-2:]) if turn.first_byte is not None), None)
        if turn is not None:
            turn.interrupted, turn.ended, turn.status = True, now, CANCELLED

    def lost(self, now: float, reason: str) -> None:
        """The agent is gone: of an answer that it was giving nothing more comes."""
        self._answers.clear()
        self.more = False
        turn = self.current
        if turn is None or turn.ended is not None:
            return
        turn.reason = reason
        if turn.first_byte is not None:
            turn.ended, turn.status = now, INCOMPLETE

    def played(self, plays_at: float, pcm: bytes, rate: int) -> None:
        """Agent's audio is heard from `plays_at` on."""
        turn = self.current
        if turn is None or turn.first_sound is not None or turn.said_until is None or turn.first_byte is None:
            self._ear = None
            return
        if self._ear is None or rate != self._ear.rate or plays_at > self._ear.until + TOGETHER:
            self._ear = Ear(rate, self._threshold)
        begun = self._ear.hear(plays_at, pcm)
        if begun is not None:
            turn.first_sound = max(begun, turn.said_until)


class Ear:
    """Hears where sound begins in audio that is played in pieces, each much shorter than what counts as sound."""

    def __init__(self, rate: int, threshold: float) -> None:
        self.rate = rate
        self.until = math.inf
        self._endpointer = Endpointer(rate, threshold)
        self._heard = 0

    def hear(self, plays_at: float, pcm: bytes) -> float | None:
        """Take the next piece; when the sound began that is noticed with it."""
        begun = next((one.at for one in self._endpointer.push(pcm) if one.speech), None)
        at = plays_at + (begun - self._heard) / self.rate if begun is not None else None
        self._heard += len(pcm) // SAMPLE_BYTES
        self.until = plays_at + len(pcm) / SAMPLE_BYTES / self.rate
        return at


def _came(turn: Turn, now: float) -> None:
    """Something of its answer came."""
    if turn.first_byte is None:
        turn.first_byte = now
    if turn.server_stopped is not None and turn.server_byte is None:
        turn.server_byte = now
    if turn.status == MISSING:
        turn.status = "answering"


def _between(start: float | None, end: float | None) -> float | None:
    return round(end - start, 4) if start is not None and end is not None else None
