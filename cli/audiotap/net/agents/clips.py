"""An agent's voice for a bot that cannot be spoken to on its socket: each answer as a clip over REST (Recall)."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from audiotap.agent_events import Speech
from audiotap.audio import Chunk
from audiotap.errors import AudiotapError
from audiotap.net.agents.voice import Cut
from audiotap.net.rest.base import Access
from audiotap.net.rest.recall import RecallRest, speech
from audiotap.net.tasks import Worker
from audiotap.reports import Odd, Report


class ClipVoice:
    """Has a bot play what an agent says, answer by answer, each when all of it is there.

    Nobody tells when a clip was played: it counts as heard in real time from the answer to its request on.
    """

    def __init__(self, bot: str, access: Access, tell: Callable[[Report], None]) -> None:
        self._bot = bot
        self._tell = tell
        self._loop = asyncio.get_running_loop()
        self._recall = RecallRest(access, lambda told: tell(Odd(told)))
        self._encoder = Worker("audiotap: mp3")
        self._chunks: list[Chunk] = []
        self._item = ""
        self._cut: set[str] = set()
        self._playing: tuple[str, float, float] | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def speaking(self) -> bool:
        """Whether anything is left to be heard."""
        return bool(self._chunks) or (self._playing is not None and self._left(*self._playing[1:]) > 0)

    def push(self, speech: Speech) -> None:
        """Take what the agent says."""
        if speech.item in self._cut:
            return
        if speech.item != self._item:
            self.done()
            self._item = speech.item
        self._chunks.append(speech.chunk)

    def done(self) -> None:
        """The answer is complete: have it played."""
        if not self._chunks:
            return
        chunks, self._chunks = self._chunks, []
        self._do(self._play(self._item, chunks))

    def cut(self) -> list[Cut]:
        """Be silent at once: the answer that was not heard in full."""
        cuts = []
        if self._playing is not None:
            item, began, seconds = self._playing
            left = self._left(began, seconds)
            if left > 0:
                cuts.append(Cut(item, seconds - left, seconds))
                self._do(self._recall.hush(self._bot))
        if self._chunks:
            cuts.append(Cut(self._item, 0.0, sum(chunk.seconds for chunk in self._chunks)))
        self._cut |= {cut.item for cut in cuts if cut.item}
        self._chunks, self._playing = [], None
        return cuts

    async def close(self) -> None:
        """Be gone."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._encoder.stop()
        await self._recall.__aexit__(None, None, None)

    async def _play(self, item: str, chunks: list[Chunk]) -> None:
        mp3, seconds = await self._encoder.do(lambda: speech(chunks))
        if item in self._cut:
            return
        await self._recall.speak(self._bot, mp3)
        self._playing = (item, self._loop.time(), seconds)

    def _left(self, began: float, seconds: float) -> float:
        return began + seconds - self._loop.time()

    def _do(self, work: object) -> None:
        task = asyncio.ensure_future(self._told(work))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _told(self, work: object) -> None:
        try:
            await work  # type: ignore[misc]
        except AudiotapError as error:
            self._tell(Odd(f"the answer was not played: {error.message}"))
