"""What waits to be said to an agent: in order, within its limit of messages, and not for ever."""

from __future__ import annotations

import asyncio
from collections import deque

from audiotap.agent_events import Cancel, Listen, ListenFile, ToolResult, Truncate, UserEvent, UtteranceEnd
from audiotap.audio import Chunk
from audiotap.dialects.agents.base import AgentDialect

MINUTE = 60.0
MOST_WAITING = 5.0
"""Seconds of audio that wait for an agent who doesn't read; older audio is dropped."""
Fleeting = Listen | ListenFile | UtteranceEnd | Cancel | Truncate | ToolResult
"""What means nothing any more to the next connection."""


class Budget:
    """Messages of the last minute, so that a limit is kept. `now` in seconds."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._sent: deque[float] = deque()

    def wait(self, now: float) -> float:
        """Seconds until another message may be sent."""
        while self._sent and self._sent[0] + MINUTE <= now:
            self._sent.popleft()
        return self._sent[0] + MINUTE - now if self._most and len(self._sent) >= self._most else 0.0

    def spend(self, now: float) -> None:
        """A message is sent."""
        if self._most:
            self._sent.append(now)


class Outbox:
    """What is to be said, in order. Audio is gathered to the dialect's blocks where messages are limited in number."""

    def __init__(self, dialect: type[AgentDialect]) -> None:
        self.some = asyncio.Event()
        self.dropped = 0.0
        self._block = dialect.block if dialect.most_per_minute else 0.0
        self._events: deque[UserEvent] = deque()
        self._gathered: list[Chunk] = []
        self._waiting = 0.0

    def put(self, event: UserEvent) -> None:
        """Take an event; the oldest audio is dropped where too much of it waits."""
        if isinstance(event, Listen):
            self._gathered.append(event.chunk)
            if sum(chunk.seconds for chunk in self._gathered) + 1e-6 < self._block:
                return
        self._close_block()
        if not isinstance(event, Listen):
            self._events.append(event)
        self.some.set()

    def take(self) -> UserEvent | None:
        """What is next."""
        if not self._events:
            self.some.clear()
            return None
        event = self._events.popleft()
        if isinstance(event, Listen):
            self._waiting -= event.chunk.seconds
        return event

    def put_back(self, event: UserEvent) -> None:
        """What could not be sent is next again."""
        self._events.appendleft(event)

    def forget(self) -> None:
        """What could not be said in its time."""
        self._events = deque(event for event in self._events if not isinstance(event, Fleeting))
        self._gathered, self._waiting = [], 0.0

    @property
    def empty(self) -> bool:
        return not self._events

    def _close_block(self) -> None:
        if not self._gathered:
            return
        chunk = Chunk(b"".join(chunk.pcm for chunk in self._gathered), self._gathered[0].rate)
        self._gathered = []
        self._events.append(Listen(chunk))
        self._waiting += chunk.seconds
        while self._waiting > MOST_WAITING:
            oldest = next(event for event in self._events if isinstance(event, Listen))
            self._events.remove(oldest)
            self._waiting -= oldest.chunk.seconds
            self.dropped += oldest.chunk.seconds
