"""An agent's voice for a bot that cannot be spoken to on its socket: each answer as a clip over REST (Recall)."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Iterator
from contextlib import AsyncExitStack, contextmanager
from functools import partial
from typing import Any

from audiotap.agent_events import Speech
from audiotap.audio import Chunk
from audiotap.errors import AudiotapError
from audiotap.net.agents.voice import MOST_SECONDS, Cut
from audiotap.net.rest.base import Access
from audiotap.net.rest.recall import RecallRest, speech
from audiotap.net.tasks import Worker
from audiotap.reports import Odd, Report


class Clip:
    """One answer on its way to the bot: `sent` once the bot was asked, `began` when it had said yes."""

    def __init__(self, item: str, chunks: list[Chunk]) -> None:
        self.item = item
        self.chunks = chunks
        self.seconds = sum(chunk.seconds for chunk in chunks)
        self.sent = False
        self.began: float | None = None
        self.task: asyncio.Task[None] | None = None

    def heard(self, now: float) -> float:
        """Seconds of it that were heard by now."""
        return min(self.seconds, now - self.began) if self.began is not None else 0.0


class ClipVoice:
    """Has a bot play what an agent says, answer after answer, each when all of it is there.

    Nobody tells when a clip was played: it counts as heard in real time from the answer to its request on.
    """

    def __init__(self, bot: str, access: Access, tell: Callable[[Report], None]) -> None:
        self._bot = bot
        self._tell = tell
        self._loop = asyncio.get_running_loop()
        self._recall = RecallRest(access, lambda told: tell(Odd(told)))
        self._connected = AsyncExitStack()
        self._asked = False
        self._encoder = Worker("audiotap: mp3")
        self._turn = asyncio.Lock()
        self._chunks: list[Chunk] = []
        self._came = 0.0
        self._item = ""
        self._cut: set[str] = set()
        self._clips: list[Clip] = []
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def speaking(self) -> bool:
        """Whether anything is left to be heard."""
        return bool(self._chunks or self._clips)

    def push(self, speech: Speech) -> None:
        """Take what the agent says; what still comes of an answer that was cut, or never ends, is dropped."""
        if speech.item in self._cut:
            return
        if speech.item != self._item:
            self.done()
            self._item = speech.item
        if self._came <= MOST_SECONDS:
            self._chunks.append(speech.chunk)
            self._came += speech.chunk.seconds

    def done(self) -> None:
        """The answer is complete: have it played."""
        if not self._chunks:
            return
        clip = Clip(self._item, self._chunks)
        self._chunks, self._came = [], 0.0
        self._clips.append(clip)
        clip.task = self._do(self._play(clip))
        clip.task.add_done_callback(partial(self._over, clip))

    def cut(self) -> list[Cut]:
        """Be silent at once: the answers that were not heard in full, in order."""
        self.done()
        clips, self._clips = self._clips, []
        for clip in clips:
            if clip.item:
                self._cut.add(clip.item)
            if clip.task is not None:
                clip.task.cancel()
        if any(clip.sent for clip in clips):
            self._do(self._hush())
        now = self._loop.time()
        return [Cut(clip.item, clip.heard(now), clip.seconds) for clip in clips]

    async def close(self) -> None:
        """Be gone."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._encoder.stop()
        await self._connected.aclose()

    async def _play(self, clip: Clip) -> None:
        with self._telling():
            async with self._turn:
                mp3, _ = await self._encoder.do(lambda: speech(clip.chunks))
                recall = await self._connect()
                clip.sent = True
                await recall.speak(self._bot, mp3)
                clip.began = self._loop.time()
                await asyncio.sleep(clip.seconds)

    async def _hush(self) -> None:
        with self._telling():
            async with self._turn:
                await (await self._connect()).hush(self._bot)

    @contextmanager
    def _telling(self) -> Iterator[None]:
        """What goes wrong is told, and the next answer is tried."""
        try:
            yield
        except AudiotapError as error:
            self._tell(Odd(f"the answer was not played: {error.message}"))

    async def _connect(self) -> RecallRest:
        """The bot's provider, once there is something to ask."""
        if not self._asked:
            self._asked = True
            await self._connected.enter_async_context(self._recall)
        return self._recall

    def _over(self, clip: Clip, _: asyncio.Task[None]) -> None:
        if clip in self._clips:
            self._clips.remove(clip)

    def _do(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = asyncio.create_task(work, name="agent's clip")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task
