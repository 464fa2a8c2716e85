"""An agent's voice: what it says goes through a mouth, item after item, and can be taken back when interrupted."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable
from contextlib import suppress

import msgspec

from audiotap.agent_events import Speech
from audiotap.audio import Chunk
from audiotap.errors import NobodyError
from audiotap.net.mouth import Mouth, Utterance

MOST_SECONDS = 600.0
"""Speech of one item that waits to be played; agents send faster than real time, and more than that is no answer."""


class Cut(msgspec.Struct, frozen=True):
    """An item that was interrupted: so many seconds of it were heard, and so many had come."""

    item: str
    heard: float
    came: float


class Item:
    """One item that the agent says: its audio as it comes, and how far it was played."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.utterance = Utterance()
        self.came = 0.0
        self.complete = False
        self._chunks: deque[Chunk] = deque()
        self._more = asyncio.Event()

    def push(self, chunk: Chunk) -> bool:
        """Take audio; False when there is too much of it."""
        if self.came - self.utterance.sent > MOST_SECONDS:
            return False
        self.came += chunk.seconds
        self._chunks.append(chunk)
        self._more.set()
        return True

    def close(self) -> None:
        """Nothing more comes."""
        self.complete = True
        self._more.set()

    async def chunks(self) -> AsyncIterator[Chunk]:
        """The audio, as it comes, to its end."""
        while True:
            while self._chunks:
                yield self._chunks.popleft()
            if self.complete:
                return
            self._more.clear()
            await self._more.wait()


class AgentVoice:
    """Plays what an agent says through a mouth. All methods belong to the event loop's thread.

    `finished` is told of each item when it had time to be heard, or was cut.
    """

    def __init__(self, mouth: Mouth, finished: Callable[[Item], None] = lambda _: None) -> None:
        self.dropped = 0.0
        self._mouth = mouth
        self._finished = finished
        self._items: dict[Item, asyncio.Task[None]] = {}
        self._cut: set[str] = set()

    @property
    def speaking(self) -> bool:
        """Whether anything is left to be heard."""
        return bool(self._items)

    def push(self, speech: Speech) -> None:
        """Take what the agent says. What still comes of an item that was cut is dropped."""
        if speech.item in self._cut:
            return
        item = next((item for item in self._items if item.name == speech.item and not item.complete), None)
        if item is None:
            self.done()
            item = Item(speech.item)
            self._items[item] = asyncio.create_task(self._play(item), name="agent's voice")
        if not item.push(speech.chunk):
            self.dropped += speech.chunk.seconds

    def done(self) -> None:
        """The agent has said all of what it was saying."""
        for item in self._items:
            item.close()

    def cut(self) -> list[Cut]:
        """Be silent at once: the items that were not heard in full, in order."""
        cuts = []
        for item, task in list(self._items.items()):
            heard = max(0.0, item.utterance.sent - (self._mouth.unheard if item.utterance.sent else 0.0))
            cuts.append(Cut(item.name, min(heard, item.came), item.came))
            if item.name:
                self._cut.add(item.name)
            task.cancel()
        return cuts

    async def close(self) -> None:
        """Be gone."""
        tasks = list(self._items.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _play(self, item: Item) -> None:
        try:
            with suppress(NobodyError):
                await self._mouth.speak(item.utterance, item.chunks())
        finally:
            del self._items[item]
            self._finished(item)
