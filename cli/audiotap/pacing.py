"""When speech leaves: whole blocks on an absolute clock, a small lead ahead of real time.

Bots offer no way to take audio back, so what is queued stays here until it is due, and pause and stop act at once.
There is no clock here: `now` is handed in, in seconds on any monotonic clock.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterator
from itertools import count

import msgspec

from audiotap.audio import SAMPLE_BYTES, Chunk

BLOCK = 0.1
LEAD = 0.3
GOLDEN = (math.sqrt(5) - 1) / 2
_EPSILON = 1e-6


def spread_leads() -> Iterator[float]:
    """Leads of one playout after the other: all that begin at once do not have all their blocks due at once.

    Steps of the golden ratio keep any number of them evenly apart, between LEAD - BLOCK and LEAD.
    """
    for number in count():
        yield LEAD - BLOCK * (number * GOLDEN % 1)


class Block(msgspec.Struct, frozen=True):
    """A block that is to be sent now and will be heard from `plays_at` on; `sound` samples of it are not padding."""

    chunk: Chunk
    plays_at: float
    sound: int


class Playout:
    """Speech queued for a bot: push samples, poll for blocks.

    A block is heard right after the one before it, and leaves `lead` before that. A remainder shorter than a block
    waits for more, until its own time is one block away and nothing has come for as long; then it leaves padded. A
    pause moves what was not sent yet to the pause's end, so it delays and never drops. After a hole (nobody polled: the
    bot was away) the clock starts anew, never in a burst.
    """

    def __init__(self, rate: int, block: float = BLOCK, lead: float = LEAD) -> None:
        self.rate = rate
        self.lead = lead
        self._size = max(1, round(block * rate)) * SAMPLE_BYTES
        self._block = self._size / SAMPLE_BYTES / rate
        self._queue: deque[bytes] = deque()
        self._queued = 0
        self._began = -math.inf
        self._pushed = -math.inf
        self._sent_until = -math.inf
        self._paused_until = -math.inf

    @property
    def queued(self) -> float:
        """Seconds of speech that were not handed out yet."""
        return self._queued / SAMPLE_BYTES / self.rate

    def ends_at(self, now: float) -> float:
        """When the last block that was handed out has been heard; `now` if that is over."""
        return max(now, self._sent_until)

    def paused(self, now: float) -> float:
        """Seconds until a pause ends."""
        return max(0.0, self._paused_until - now)

    def push(self, pcm: bytes, now: float) -> None:
        """Queue S16LE at the playout's rate (whole samples)."""
        if not pcm:
            return
        if not self._queued:
            self._began = now
        self._pushed = now
        self._queue.append(pcm)
        self._queued += len(pcm)

    def pause(self, seconds: float, now: float) -> None:
        """Hold from now on for `seconds`; the last word wins, so 0 resumes."""
        self._paused_until = now + seconds

    def hold(self, seconds: float, now: float) -> None:
        """Hold for at least `seconds` from now; never shortens a pause."""
        self._paused_until = max(self._paused_until, now + seconds)

    def clear(self) -> float:
        """Drop what is queued; returns the seconds dropped."""
        dropped = self.queued
        self._queue.clear()
        self._queued = 0
        return dropped

    def unsend(self, block: Block) -> None:
        """Put back a block that could not be sent; it is the next one again."""
        sound = block.chunk.pcm[: block.sound * SAMPLE_BYTES]
        self._queue.appendleft(sound)
        self._queued += len(sound)
        self._sent_until = block.plays_at

    def poll(self, now: float) -> tuple[Block | None, float | None]:
        """The block that is due, or when to ask again; (None, None) when nothing is queued."""
        if not self._queued:
            return None, None
        plays_at = max(self._began, self._sent_until, self._paused_until)
        due = plays_at - self.lead
        if self._queued < self._size:
            due = max(plays_at - min(self.lead, self._block), self._pushed + self._block)
        due = max(due, self._paused_until)
        if now < due - _EPSILON:
            return None, due
        plays_at = max(plays_at, now)
        self._sent_until = plays_at + self._block
        return self._take(plays_at), None

    def _take(self, plays_at: float) -> Block:
        parts = []
        missing = self._size
        while missing and self._queue:
            part = self._queue.popleft()
            if len(part) > missing:
                self._queue.appendleft(part[missing:])
                part = part[:missing]
            parts.append(part)
            missing -= len(part)
        self._queued -= self._size - missing
        chunk = Chunk(b"".join(parts) + bytes(missing), self.rate)
        return Block(chunk, plays_at, (self._size - missing) // SAMPLE_BYTES)
