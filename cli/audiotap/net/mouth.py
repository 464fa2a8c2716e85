"""A bot's mouth: one playout, spoken through whichever connection the bot has, one utterance at a time."""

from __future__ import annotations

import asyncio
import math
from collections.abc import AsyncIterator, Awaitable, Callable

from audiotap.audio import SAMPLE_BYTES, Chunk
from audiotap.errors import NobodyError
from audiotap.intake import Intake
from audiotap.pacing import BLOCK, LEAD, Block, Playout

QUEUE_SECONDS = 5.0
"""Speech that waits here at most; the rest waits with its sender."""
SOON_SECONDS = 1.0
"""Speech that is taken at once; more is taken without haste, since hundreds of others may begin right now."""
HASTE = 0.25
"""Seconds between two pieces that are taken without haste; `speak` says half a second at once."""

TICK = 0.01
"""Seconds between the times at which any mouth looks: many who look at once cost much less than each by itself."""

Send = Callable[[Chunk], Awaitable[bool]]


class Utterance:
    """One sender's speech, from its place in the line to its last block."""

    def __init__(self) -> None:
        self.sent = 0.0
        self.state = "playing"
        self.stopped = False


class Mouth:
    """Plays utterances in the order they came. `send` returns False while the bot is away: speech then waits."""

    def __init__(
        self, rate: int, send: Send, spoken: Callable[[Block], None], lead: float = LEAD, block: float = BLOCK
    ) -> None:
        self.rate = rate
        self._loop = asyncio.get_running_loop()
        self._playout = Playout(rate, block, lead)
        self._send = send
        self._spoken = spoken
        self._turn = asyncio.Lock()
        self._speaking: Utterance | None = None
        self._line: list[Utterance] = []
        self._closed = False
        self._away = False
        self._held = False
        self._waiting: set[asyncio.Future[None]] = set()
        self._task = asyncio.create_task(self._run(), name="mouth")

    @property
    def queued(self) -> float:
        """Seconds of speech that were not sent yet."""
        return self._playout.queued

    @property
    def paused(self) -> float:
        """Seconds until a pause ends."""
        return self._playout.paused(self._now())

    async def speak(self, utterance: Utterance, chunks: AsyncIterator[Chunk]) -> None:
        """Play all chunks after those who came before; return when they had time to play, or were stopped.

        Cancelling drops what is queued of it. NobodyError when the session ends first.
        """
        self._line.append(utterance)
        utterance.state = "waiting" if self._turn.locked() else "playing"
        try:
            async with self._turn:
                self._speaking = utterance
                await self._play(utterance, chunks)
        finally:
            self._line.remove(utterance)
            if self._speaking is utterance:
                self._speaking = None
                self._playout.clear()
                self._changed()

    def pause(self, seconds: float) -> None:
        """Hold for `seconds` from now; the last word wins."""
        self._held = False
        self._playout.pause(seconds, self._now())
        self._changed()

    def hold(self, seconds: float) -> None:
        """Hold for at least `seconds` from now."""
        self._held = True
        self._playout.hold(seconds, self._now())
        self._changed()

    def stop(self) -> float:
        """Drop what is queued and what waits in line; returns the seconds dropped from the queue."""
        for utterance in self._line:
            utterance.stopped = True
        dropped = self._playout.clear()
        self._playout.pause(0, self._now())
        self._changed()
        return dropped

    def drop(self, utterance: Utterance) -> None:
        """Send nothing more of one utterance, from now on."""
        utterance.stopped = True
        if self._speaking is utterance:
            self._playout.clear()
        self._changed()

    def back(self) -> None:
        """The bot has a connection again."""
        self._away = False
        self._changed()

    async def close(self) -> None:
        """The session is over; whoever speaks is told."""
        self._closed = True
        self._changed()
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)

    async def _play(self, utterance: Utterance, chunks: AsyncIterator[Chunk]) -> None:
        intake = Intake(self.rate, lambda _: None)
        if utterance.stopped:
            return
        async for chunk in chunks:
            await self._push(utterance, intake.take(chunk))
            if utterance.stopped:
                return
        await self._push(utterance, intake.rest())
        while not utterance.stopped and (self.queued or self.unheard > 0):
            await self._wait(None if self.queued else self.unheard)
            self._check()

    async def _push(self, utterance: Utterance, pcm: bytes) -> None:
        """Queue in steps, so that never more than QUEUE_SECONDS wait here."""
        step = self.rate * SAMPLE_BYTES
        for start in range(0, len(pcm), step):
            while self.queued > QUEUE_SECONDS and not (utterance.stopped or self._closed):
                await self._wait(None)
            if self.queued > SOON_SECONDS:
                await self._wait(HASTE)
            self._check()
            if utterance.stopped:
                return
            self._playout.push(pcm[start : start + step], self._now())
            self._changed()

    def _check(self) -> None:
        if self._closed:
            raise NobodyError("the bot left the meeting", "what was not sent is gone")

    @property
    def unheard(self) -> float:
        """Seconds of what was sent that were not heard yet."""
        now = self._now()
        return self._playout.ends_at(now) - now

    async def _run(self) -> None:
        while True:
            self._describe()
            if self._away:
                await self._wait(None)
                continue
            block, wake_at = self._playout.poll(self._now())
            if block is None:
                await self._wait(None if wake_at is None else math.ceil(wake_at / TICK) * TICK - self._now())
            elif await self._send(block.chunk):
                self._spoken(block)
                if self._speaking is not None:
                    self._speaking.sent += block.sound / self.rate
                if self.queued <= QUEUE_SECONDS:
                    self._changed()
            else:
                self._playout.unsend(block)
                self._away = True

    def _describe(self) -> None:
        if self._speaking is None:
            return
        if self._away:
            self._speaking.state = "away"
        elif self._playout.paused(self._now()):
            self._speaking.state = "held" if self._held else "paused"
        else:
            self._speaking.state = "playing"

    def _now(self) -> float:
        return self._loop.time()

    def _changed(self) -> None:
        waiting, self._waiting = self._waiting, set()
        for waiter in waiting:
            _wake(waiter)

    async def _wait(self, seconds: float | None) -> None:
        """Wait until something changes, or for `seconds`."""
        waiter = self._loop.create_future()
        self._waiting.add(waiter)
        timer = self._loop.call_later(max(0.0, seconds), _wake, waiter) if seconds is not None else None
        try:
            await waiter
        finally:
            self._waiting.discard(waiter)
            if timer is not None:
                timer.cancel()


def _wake(waiter: asyncio.Future[None]) -> None:
    if not waiter.done():
        waiter.set_result(None)
