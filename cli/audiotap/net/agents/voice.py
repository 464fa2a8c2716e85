"""An agent's voice: what it says goes through a mouth, item after item, and can be taken back when interrupted."""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import suppress

from audiotap.agent_events import AgentEvent, Speech, SpeechDone, Truncate, TurnDone
from audiotap.audio import Chunk
from audiotap.errors import NobodyError
from audiotap.net.agents.gate import Cut
from audiotap.net.mouth import Mouth, Utterance
from audiotap.net.tasks import wait_for

MOST_SECONDS = 600.0
"""Speech that waits to be played; agents send faster than real time, and more than that is no answer."""
STALLED = 15.0
"""Seconds for which an item may stay without more audio, and without an end; then it is over."""


class Item:
    """One item that the agent says: its audio as it comes, and how far it was played."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.utterance = Utterance()
        self.came = 0.0
        self.complete = False
        self._chunks: deque[Chunk] = deque()
        self._more = asyncio.Event()

    @property
    def waiting(self) -> float:
        """Seconds that came and were not played yet."""
        return self.came - self.utterance.sent

    def push(self, chunk: Chunk) -> None:
        """Take audio."""
        self.came += chunk.seconds
        self._chunks.append(chunk)
        self._more.set()

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
            if not await wait_for(self._more, STALLED):
                self.complete = True


def truncations(cuts: Sequence[Cut]) -> list[Truncate]:
    """What an agent has to be told of items that were interrupted: it may know no more of them than was heard."""
    return [Truncate(cut.item, cut.heard) for cut in cuts if cut.item and cut.heard < cut.came]


def sums(cuts: Sequence[Cut]) -> tuple[float, float]:
    """Seconds of interrupted items that were heard, and that were not."""
    heard = sum(cut.heard for cut in cuts)
    return heard, sum(cut.came for cut in cuts) - heard


class Voice(ABC):
    """What an agent speaks with; what of its words may be heard is for its `Gate` to say.

    `dropped` are seconds that came when more than MOST_SECONDS waited.
    """

    dropped = 0.0

    @property
    @abstractmethod
    def speaking(self) -> bool:
        """Whether anything is left to be heard."""

    @abstractmethod
    def push(self, speech: Speech) -> None:
        """Take what the agent says."""

    def heed(self, event: AgentEvent) -> None:
        """Take another of its words: where an answer ends."""
        if isinstance(event, SpeechDone | TurnDone):
            self.done()

    @abstractmethod
    def done(self) -> None:
        """The agent has said all of what it was saying."""

    @abstractmethod
    def renew(self) -> None:
        """Nothing more comes of what was said, and its names mean nothing any more: the agent's connection is gone."""

    @abstractmethod
    def cut(self) -> list[Cut]:
        """Be silent at once: what was not heard in full, in order."""

    @abstractmethod
    async def close(self) -> None:
        """Be gone."""


class AgentVoice(Voice):
    """Plays what an agent says through a mouth. All methods belong to the event loop's thread.

    `finished` is told of each item when it had time to be heard, or was stopped by somebody else; not when it was cut.
    """

    def __init__(self, mouth: Mouth, finished: Callable[[Item], None] = lambda _: None) -> None:
        self._mouth = mouth
        self._finished = finished
        self._items: dict[Item, asyncio.Task[None]] = {}
        self._ending: set[asyncio.Task[None]] = set()

    @property
    def speaking(self) -> bool:
        """Whether anything is left to be heard."""
        return bool(self._items)

    def push(self, speech: Speech) -> None:
        """Take what the agent says."""
        if sum(item.waiting for item in self._items) > MOST_SECONDS:
            self.dropped += speech.chunk.seconds
            return
        item = next((item for item in self._items if item.name == speech.item and not item.complete), None)
        if item is None:
            self.done()
            item = Item(speech.item)
            self._items[item] = asyncio.create_task(self._play(item), name="agent's voice")
        item.push(speech.chunk)

    def done(self) -> None:
        """The agent has said all of what it was saying."""
        for item in self._items:
            item.close()

    def cut(self) -> list[Cut]:
        """Be silent at once: the items that were not heard in full, in order."""
        items, self._items = self._items, {}
        cuts = []
        for item, task in items.items():
            cuts.append(self.heard(item))
            self._mouth.drop(item.utterance)
            task.cancel()
            self._ending.add(task)
            task.add_done_callback(self._ending.discard)
        return cuts

    def renew(self) -> None:
        """Nothing more comes of what was said, and its names mean nothing any more: the agent's connection is gone."""
        self.done()
        for item in self._items:
            item.name = ""

    def heard(self, item: Item) -> Cut:
        """How much of an item was heard by now."""
        heard = item.utterance.sent - (self._mouth.unheard if item.utterance.sent else 0.0)
        return Cut(item.name, max(0.0, min(heard, item.came)), item.came)

    async def close(self) -> None:
        """Be gone."""
        self.cut()
        await asyncio.gather(*self._ending, return_exceptions=True)

    async def _play(self, item: Item) -> None:
        with suppress(NobodyError):
            await self._mouth.speak(item.utterance, item.chunks())
        self._items.pop(item, None)
        self._finished(item)
