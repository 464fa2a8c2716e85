"""An agent's voice for a bot that cannot be spoken to on its socket: each answer as a clip over REST (Recall)."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Iterator, Sequence

from audiotap.agent_events import Speech
from audiotap.audio import SAMPLE_BYTES, Chunk
from audiotap.errors import AudiotapError
from audiotap.net.agents.gate import Cut
from audiotap.net.agents.voice import MOST_SECONDS, Voice
from audiotap.net.rest.base import Access
from audiotap.net.rest.recall import RecallRest, speech
from audiotap.net.tasks import Worker, wait_for
from audiotap.reports import Odd, Report

BLOCK = 0.1
"""Seconds of a clip that are recorded at once, when they are heard."""
LEAVING = 2.0
"""Seconds that Recall may take to silence what is being played when we leave."""


class Clip:
    """One answer: its audio, since when it is heard, and whether it was cut."""

    def __init__(self, item: str) -> None:
        self.item = item
        self.chunks: list[Chunk] = []
        self.seconds = 0.0
        self.began: float | None = None
        self.cut = asyncio.Event()

    def push(self, chunk: Chunk) -> None:
        """Take audio."""
        self.chunks.append(chunk)
        self.seconds += chunk.seconds


class ClipVoice(Voice):
    """Has a bot play what an agent says, one answer after the other, each when all of it is there.

    Nobody tells when a clip was played: it counts as heard in real time from the answer to its request on, and
    `spoken` is told of each of its blocks with the time of its first sample.
    """

    def __init__(
        self, bot: str, access: Access, spoken: Callable[[Chunk, float], None], tell: Callable[[Report], None]
    ) -> None:
        self._bot = bot
        self._spoken = spoken
        self._tell = tell
        self._loop = asyncio.get_running_loop()
        self._recall = RecallRest(access, lambda told: tell(Odd(told)))
        self._encoder = Worker("audiotap: mp3")
        self._coming: Clip | None = None
        self._waiting: deque[Clip] = deque()
        self._current: Clip | None = None
        self._some = asyncio.Event()
        self._closed = False
        self._task = asyncio.create_task(self._run(), name="agent's clips")

    @property
    def speaking(self) -> bool:
        """Whether anything is left to be heard."""
        return bool(self._clips())

    def push(self, speech: Speech) -> None:
        """Take what the agent says."""
        if self._coming is not None and self._coming.item != speech.item:
            self.done()
        if self._coming is None:
            self._coming = Clip(speech.item)
        if self._coming.seconds > MOST_SECONDS:
            self.dropped += speech.chunk.seconds
            return
        self._coming.push(speech.chunk)

    def done(self) -> None:
        """The answer is complete: have it played."""
        if self._coming is not None:
            self._waiting.append(self._coming)
            self._coming = None
            self._some.set()

    def renew(self) -> None:
        """Nothing more comes of what was said, and its names mean nothing any more: the agent's connection is gone."""
        self.done()
        for clip in self._clips():
            clip.item = ""

    def cut(self) -> list[Cut]:
        """Be silent at once: the answers that were not heard in full, in order."""
        clips = self._clips()
        self._waiting.clear()
        self._coming = None
        for clip in clips:
            clip.cut.set()
        return [self._heard(clip) for clip in clips]

    async def close(self) -> None:
        """Be gone, and have the bot be silent."""
        self._closed = True
        self.cut()
        self._some.set()
        await asyncio.wait({self._task}, timeout=LEAVING)
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)
        self._encoder.stop()

    def _clips(self) -> list[Clip]:
        """What is not over yet, in order."""
        return [clip for clip in (self._current, *self._waiting, self._coming) if clip and not clip.cut.is_set()]

    def _heard(self, clip: Clip) -> Cut:
        heard = self._loop.time() - clip.began if clip.began is not None else 0.0
        return Cut(clip.item, min(heard, clip.seconds), clip.seconds)

    async def _run(self) -> None:
        async with self._recall:
            while not self._closed:
                while self._waiting:
                    self._current = self._waiting.popleft()
                    await self._try(self._current)
                    self._current = None
                if not self._closed:
                    self._some.clear()
                    await self._some.wait()

    async def _try(self, clip: Clip) -> None:
        try:
            await self._play(clip)
        except AudiotapError as error:
            if self._closed:
                return
            self._tell(Odd(f"an answer could not be {'silenced' if clip.cut.is_set() else 'played'}: {error.message}"))

    async def _play(self, clip: Clip) -> None:
        """Return when the clip had time to be heard, or is silenced; what was asked for is silenced only after that."""
        mp3, seconds = await self._encoder.do(lambda: speech(clip.chunks))
        if clip.cut.is_set():
            return
        await self._recall.speak(self._bot, mp3)
        clip.began = self._loop.time()
        if await self._is_cut(clip, clip.began + seconds):
            await self._recall.hush(self._bot)

    async def _is_cut(self, clip: Clip, ends: float) -> bool:
        """Record a clip as it is heard; whether it is cut before it ends."""
        at = clip.began or 0.0
        for chunk in _blocks(clip.chunks):
            if await wait_for(clip.cut, max(0.0, at - self._loop.time())):
                return True
            self._spoken(chunk, at)
            at += chunk.seconds
        return await wait_for(clip.cut, max(0.0, ends - self._loop.time()))


def _blocks(chunks: Sequence[Chunk]) -> Iterator[Chunk]:
    for chunk in chunks:
        size = round(chunk.rate * BLOCK) * SAMPLE_BYTES
        for start in range(0, len(chunk.pcm), size):
            yield Chunk(chunk.pcm[start : start + size], chunk.rate)
