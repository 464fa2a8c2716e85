"""A simulated agent's answer on its way: said piece by piece, and stopped between any two of them."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable, Iterator
from itertools import islice

import msgspec

from audiotap.agent_events import AgentEvent, Replying, Speech, SpeechDone, ToolCall, Transcript, TurnDone
from audiotap.audio import SAMPLE_BYTES, Chunk, Resampler
from audiotap.net.tasks import wait_for

Say = Callable[[AgentEvent], Awaitable[None]]


class Answer(msgspec.Struct, frozen=True):
    """What is to be said: an answer's number in its conversation, its words, and its sound."""

    turn: int
    text: str
    chunk: Chunk


class Pace(msgspec.Struct, frozen=True):
    """How an answer is said: seconds before its first audio, and of audio per message.

    Audio leaves `faster` times as fast as it is played, 0 for at once. A tool call takes at most `tool` seconds, 0 for
    none; clients see it if `seen`, and if it `renews` the answer, what follows the call is another one. With `fillers`
    the first message of its audio comes before the call, as an answer of its own.
    """

    think: float
    delta: float
    faster: float
    tool: float
    seen: bool
    renews: bool
    fillers: bool = False


class Voice:
    """Samples at whatever rate is asked for."""

    def __init__(self, chunk: Chunk) -> None:
        self._chunk = chunk
        self._known: dict[int, Chunk] = {}

    def at(self, rate: int) -> Chunk:
        """The whole of it."""
        if rate not in self._known:
            self._known[rate] = resampled(self._chunk, rate)
        return self._known[rate]


def resampled(chunk: Chunk, rate: int) -> Chunk:
    """The same sound at another rate."""
    return Chunk(Resampler(chunk.rate, rate).push(chunk.pcm, last=True), rate)


class Reply:
    """One answer; `begun` is awaited after its first piece.

    `sent` counts the seconds of audio that were sent. It is `open` from the word of its beginning to that of its end.
    """

    def __init__(self, answer: Answer, pace: Pace, say: Say, begun: Callable[[], Awaitable[None]]) -> None:
        self.answer = answer
        self.id = f"resp_{answer.turn}"
        self.sent = 0.0
        self.open = False
        self.completed = False
        self._item = f"item_agent_{answer.turn}"
        self._pace = pace
        self._out = say
        self._begun = begun
        self._pieces = _pieces(answer, pace.delta)
        self._number = 0
        self._calling = False
        self._stopping = False
        self._nudge = asyncio.Event()
        self._over = asyncio.Event()

    async def run(self) -> None:
        """Say it, until it is over or stopped."""
        try:
            await self._say(Replying(self.id))
            if self._pace.tool:
                await self._call()
            await self._pause(self._pace.think)
            await self._speak()
            await self._say(Transcript("agent", self.answer.text, item=self._item))
            await self._say(SpeechDone(self._item))
            await self._say(TurnDone(self.id))
            self.completed = True
        except _StoppedError:
            pass
        finally:
            self._over.set()

    async def stop(self) -> bool:
        """Say no more from now on; whether there was more to say."""
        self._stopping = True
        self._nudge.set()
        await self._over.wait()
        return not self.completed

    async def late(self, pieces: int) -> None:
        """Some more of it although it was stopped, as by servers that don't stop at once."""
        for words, chunk in islice(self._pieces, pieces):
            await self._utter(words, chunk, self._out)

    def go_on(self) -> bool:
        """The tool call's result is there; whether one was waited for."""
        if self._calling:
            self._nudge.set()
        return self._calling

    async def _call(self) -> None:
        if self._pace.fillers:
            await self._fill()
        if self._pace.seen:
            await self._say(ToolCall(f"call_{self.answer.turn}", "look_up", "{}"))
        if self._pace.renews:
            await self._say(TurnDone(self.id, pending=True))
        self._calling = True
        await self._pause(self._pace.tool)
        self._calling = False
        if self._pace.renews:
            self.id += "_2"
            await self._say(Replying(self.id))

    async def _fill(self) -> None:
        """Something to hear while the tool is called."""
        for words, chunk in islice(self._pieces, 1):
            await self._utter(words, chunk, self._say)
        await self._say(SpeechDone(self._item))

    async def _speak(self) -> None:
        loop = asyncio.get_running_loop()
        due = loop.time()
        for n, (words, chunk) in enumerate(self._pieces):
            await self._utter(words, chunk, self._say)
            if n == 0:
                await self._begun()
            if self._pace.faster:
                due += chunk.seconds / self._pace.faster
            await self._pause(due - loop.time())

    async def _utter(self, words: str, chunk: Chunk, say: Say) -> None:
        if words:
            await say(Transcript("agent", words, final=False, item=self._item))
        if chunk.pcm:
            self._number += 1
            self.sent += chunk.seconds
            await say(Speech(chunk, self._item, self._number))

    async def _say(self, event: AgentEvent) -> None:
        if self._stopping:
            raise _StoppedError
        if isinstance(event, Replying | TurnDone):
            self.open = isinstance(event, Replying)
        await self._out(event)

    async def _pause(self, seconds: float) -> None:
        await wait_for(self._nudge, max(0.0, seconds))
        self._nudge.clear()
        if self._stopping:
            raise _StoppedError


class _StoppedError(Exception):
    """Nothing more is to be said."""


def _pieces(answer: Answer, delta: float) -> Iterator[tuple[str, Chunk]]:
    """An answer's words and sound, cut into messages over which the words are spread."""
    pcm, rate = answer.chunk.pcm, answer.chunk.rate
    size = max(1, round(delta * rate)) * SAMPLE_BYTES
    count = max(1, -(-len(pcm) // size))
    words = re.findall(r"\s*\S+\s*", answer.text)
    for n in range(count):
        told = words[len(words) * n // count : len(words) * (n + 1) // count]
        yield "".join(told), Chunk(pcm[n * size : (n + 1) * size], rate)
