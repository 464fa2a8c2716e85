"""What of an agent's voice may be heard: nothing of an answer that somebody spoke into.

What still comes of it is known by its item's name, once it has one that was heard of. Items without names, and those of
which nothing had come yet, belong to it as long as no other answer has begun, in the agent's words or by the clock.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from audiotap.agent_events import (
    INTERRUPTED,
    AgentEvent,
    Replying,
    Speech,
    SpeechDone,
    SpeechStopped,
    Transcript,
    TurnDone,
)

PATIENCE = 2.0
"""Seconds in which nothing comes of an answer that was spoken into; what comes after them is another one."""


class Cut(msgspec.Struct, frozen=True):
    """An item that was interrupted: so many seconds of it were heard, and so many had come."""

    item: str
    heard: float
    came: float


class Gate:
    """Open, or shut by an interruption until another answer begins. `now` is in seconds of any one clock.

    An agent that gives its answers ids tells when another one begins; of others its words about the user do as well.
    """

    def __init__(self) -> None:
        self._cut: set[str] = set()
        self._known: set[str] = set()
        self._unheard: dict[str, float] = {}
        self._shut: float | None = None
        self._marked = False

    def shut(self, cuts: Sequence[Cut], now: float) -> None:
        """An answer was spoken into; `cuts` are the items of it that had begun to come."""
        self._known = {cut.item for cut in cuts}
        self._cut |= self._known - {""}
        self._shut = now

    def passes(self, speech: Speech, now: float) -> bool:
        """Whether speech that comes now may be heard."""
        if speech.item in self._cut:
            return False
        if self._shut is None or now - self._shut > PATIENCE:
            self._shut = None
            return True
        self._shut = now
        if speech.item not in self._known:
            self._unheard[speech.item] = self._unheard.get(speech.item, 0.0) + speech.chunk.seconds
        return False

    def heed(self, event: AgentEvent) -> list[Cut]:
        """Take another of its words: items that were cut before anything of them was heard, once that is known."""
        match event:
            case Replying(name):
                self._marked = self._marked or bool(name)
                self._shut = None
            case SpeechDone() | SpeechStopped() | Transcript(role="user") if not self._marked:
                self._shut = None
            case TurnDone(reason=reason):
                self._shut = self._shut if self._marked or reason == INTERRUPTED else None
            case _:
                return []
        unheard, self._unheard = self._unheard, {}
        self._cut |= unheard.keys() - {""}
        return [Cut(item, 0.0, seconds) for item, seconds in unheard.items()]

    def renew(self) -> None:
        """The agent has a new connection: its names mean nothing any more."""
        self._cut.clear()
        self._unheard.clear()
        self._shut = None
