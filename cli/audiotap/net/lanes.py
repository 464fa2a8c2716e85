"""Lanes: how items get from the event loop to the sinks, in batches, with the sink's own meaning of failure."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import partial
from typing import Protocol

from audiotap.net.tasks import Worker, wait_for
from audiotap.reports import Failed, Odd, Report
from audiotap.session import Logged, Placed
from audiotap.sinks.base import Item, Sink

BATCH_SECONDS = 0.03
"""How long items gather before a thread writes them: what a kill can cost, against writing each chunk by itself.
Longer costs the processor no less: what was just decoded is still in its cache."""
CALM = 4 * 1024 * 1024
"""Bytes of audio that may gather; more are written at once, while they are still in the processor's cache."""
PATIENCE_SECONDS = 1.0
"""How long the end waits for a sink that isn't required."""
LOGGED = 4096
"""Bytes that something for the event log counts as."""
LIMIT = 64 * 1024 * 1024
"""Bytes of audio that wait for a sink; more hold the bots back (required) or are dropped."""


class Lane(Protocol):
    """The way to one sink."""

    @property
    def ready(self) -> bool:
        """Whether it takes more: always, unless a required sink is behind."""

    @property
    def calm(self) -> bool:
        """Whether it would not rather catch up first."""

    def put(self, item: Item) -> None: ...

    async def close(self) -> None:
        """Hand over what waits, then close the sink."""


class DirectLane:
    """To a sink that only remembers (the meter): no queue and no thread. A sink that fails is detached."""

    ready = calm = True

    def __init__(self, sink: Sink, name: str, tell: Callable[[Report], None]) -> None:
        self._sink: Sink | None = sink
        self._name = name
        self._tell = tell

    def put(self, item: Item) -> None:
        if self._sink is None:
            return
        try:
            self._sink.write((item,))
        except Exception as error:  # noqa: BLE001 - whatever a sink throws must not stop the other sinks
            self._sink = None
            self._tell(_detached(self._name, error))

    async def close(self) -> None:
        if self._sink is not None:
            self._sink.close()


class BatchLane:
    """To a sink that may block (disk, pipe): one thread, one batch at a time."""

    def __init__(self, sink: Sink, name: str, tell: Callable[[Report], None], limit: int = LIMIT) -> None:
        self.failed = False
        self.dropped = 0
        self._sink = sink
        self._name = name
        self._tell = tell
        self._limit = limit
        self._items: list[Item] = []
        self._bytes = 0
        self._closing = False
        self._some = asyncio.Event()
        self._hurry = asyncio.Event()
        self._worker = Worker(f"audiotap: {name}")
        self._task = asyncio.create_task(self._run(), name=f"lane {name}")

    @property
    def waiting(self) -> int:
        """Bytes of audio that wait for the sink."""
        return self._bytes

    @property
    def ready(self) -> bool:
        return self._bytes <= self._limit or not self._sink.required

    @property
    def calm(self) -> bool:
        return self._bytes <= CALM or not self._sink.required

    def put(self, item: Item) -> None:
        """Take an item; where the sink isn't required and too much waits, audio is dropped and counted."""
        if self.failed:
            return
        if type(item) is Placed and self._bytes > self._limit and not self._sink.required:
            self._drop()
            return
        self._bytes += _weight(item)
        if self._bytes > CALM:
            self._hurry.set()
        if not self._items:
            self._some.set()
        self._items.append(item)

    def between(self, work: Callable[[], None]) -> asyncio.Future[None]:
        """Have something done to the sink between two batches, in its thread."""
        return self._worker.do(work)

    async def close(self) -> None:
        """Hand over what waits, then close the sink; one that isn't required and stuck is left behind."""
        self._closing = True
        self._some.set()
        self._hurry.set()
        await asyncio.wait({self._task}, timeout=None if self._sink.required else PATIENCE_SECONDS)
        if self._task.done():
            await self._worker.do(self._sink.close)
        self._task.cancel()
        self._worker.stop()

    async def _run(self) -> None:
        while not (self._closing and not self._items):
            await self._some.wait()
            await wait_for(self._hurry, BATCH_SECONDS)
            batch, self._items = self._items, []
            if not self._closing:
                self._some.clear()
                self._hurry.clear()
            if batch:
                await self._hand_over(batch)

    async def _hand_over(self, batch: list[Item]) -> None:
        try:
            await self._worker.do(partial(self._sink.write, batch))
        except Exception as error:  # noqa: BLE001 - whatever a sink throws must not stop the other sinks
            self._fail(error)
        self._bytes -= sum(_weight(item) for item in batch)
        if self._bytes > CALM:
            self._hurry.set()

    def _drop(self) -> None:
        if not self.dropped:
            self._tell(Odd(f"{self._name} is too slow; audio is dropped there (the recording is not affected)"))
        self.dropped += 1

    def _fail(self, error: Exception) -> None:
        self.failed = True
        if isinstance(error, BrokenPipeError):
            self._tell(Odd(f"{self._name}: the reader is gone; that output stopped, recording goes on"))
        elif self._sink.required:
            self._tell(Failed(f"{self._name} failed: {type(error).__name__}: {error}", "please report this as a bug"))
        else:
            self._tell(_detached(self._name, error))


def _weight(item: Item) -> int:
    """Bytes that an item counts as; how a session stands is for nothing."""
    if type(item) is Placed:
        return len(item.chunk.pcm)
    return LOGGED if type(item) is Logged else 0


def _detached(name: str, error: Exception) -> Odd:
    return Odd(f"{name} failed and was detached: {error}")
