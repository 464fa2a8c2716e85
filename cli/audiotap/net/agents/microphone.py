"""The user's voice: what is given to it is said in real time, block by block, on an absolute clock."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable

from audiotap.audio import SAMPLE_BYTES, Chunk
from audiotap.endpointing import Boundary, Endpointer
from audiotap.intake import Intake

AHEAD = 2.0
"""Seconds of an utterance that are read before they are said."""
QUIET = 0.1
"""Seconds of silence after which speech counts as over for now."""
Said = Callable[[Chunk, float], None]
Found = Callable[[Boundary, float], None]


class Microphone:
    """Says blocks of `block` seconds at `rate`, each when its last sample has been spoken.

    `said` gets each block with the time of its first sample, `found` each boundary of speech with its own time. With
    `open` it goes on in silence where there is nothing to be said, as a microphone does.
    """

    def __init__(self, rate: int, block: float, said: Said, found: Found, *, open: bool) -> None:  # noqa: A002 - a microphone is open or not
        self._rate = rate
        self._size = round(rate * block) * SAMPLE_BYTES
        self._said = said
        self._found = found
        self._open = open
        self._loop = asyncio.get_running_loop()
        self._buffer = bytearray()
        self._reading = False
        self._began = self._loop.time()
        self._changed = asyncio.Event()
        self._task = asyncio.create_task(self._run(), name="microphone")

    async def say(self, chunks: AsyncIterator[Chunk]) -> None:
        """Say all of it; returns when its last block was said. What the iterator raises is raised."""
        intake = Intake(self._rate, lambda _: None)
        said = False
        self._reading = True
        try:
            async for chunk in chunks:
                if not said:
                    self._buffer += self._passed()
                said = True
                self._buffer += intake.take(chunk)
                self._changed.set()
                while len(self._buffer) > AHEAD * self._rate * SAMPLE_BYTES:
                    await self._next()
            self._buffer += intake.rest()
        finally:
            self._reading = False
            self._changed.set()
        while self._buffer:
            await self._next()

    def _passed(self) -> bytes:
        """Silence for what has passed of the block that is being said: nothing is said before it was there."""
        passed = round((self._loop.time() - self._began) * self._rate) * SAMPLE_BYTES if self._open else 0
        return bytes(min(max(0, passed), self._size))

    async def close(self) -> None:
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)

    async def _next(self) -> None:
        self._changed.clear()
        await self._changed.wait()

    async def _run(self) -> None:
        """One block after the other. Where it's not open, each utterance has a clock of its own."""
        while True:
            while not (self._open or self._buffer):
                await self._next()
            await self._run_clock()

    async def _run_clock(self) -> None:
        began = self._loop.time()
        seconds = self._size / SAMPLE_BYTES / self._rate
        endpointer = Endpointer(self._rate, end=QUIET)
        blocks = 0
        while self._open or self._buffer or self._reading:
            self._began = began + blocks * seconds
            await asyncio.sleep(max(0.0, began + (blocks + 1) * seconds - self._loop.time()))
            block = self._take()
            self._said(Chunk(block, self._rate), began + blocks * seconds)
            for boundary in endpointer.push(block):
                self._found(boundary, began + boundary.at / self._rate)
            blocks += 1
            self._changed.set()
        for boundary in endpointer.finish():
            self._found(boundary, began + boundary.at / self._rate)

    def _take(self) -> bytes:
        """The next block; where a live source is behind, or ends, silence."""
        ready = len(self._buffer) >= self._size or not self._reading
        block = bytes(self._buffer[: self._size]) if ready else b""
        del self._buffer[: len(block)]
        return block.ljust(self._size, b"\0")
