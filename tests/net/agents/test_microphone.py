"""The user's voice, by a clock that is moved on: block after block, each when its last sample was spoken."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager, suppress

import numpy as np
import pytest
from tests.net.agents.fake import Clock
from tests.signals import RATE, counting, tone, values

from audiotap.audio import Chunk
from audiotap.endpointing import FRAME, Boundary
from audiotap.net.agents.microphone import AHEAD, Microphone

BLOCK = 0.02
SAMPLES = round(RATE * BLOCK)


class Room:
    """A microphone, and all that it says."""

    def __init__(self, clock: Clock, rate: int = RATE, block: float = BLOCK, *, open: bool) -> None:  # noqa: A002 - as the microphone's
        self.clock = clock
        self.blocks: list[Chunk] = []
        self.times: list[float] = []
        self.late: list[float] = []
        self.boundaries: list[tuple[bool, float]] = []
        self._loop = asyncio.get_running_loop()
        self.microphone = Microphone(rate, block, self._said, self._found, open=open)

    @property
    def pcm(self) -> bytes:
        return b"".join(block.pcm for block in self.blocks)

    def talk(self, chunks: AsyncIterator[Chunk]) -> asyncio.Task[None]:
        return asyncio.create_task(self.microphone.say(chunks))

    def _said(self, chunk: Chunk, at: float) -> None:
        self.blocks.append(chunk)
        self.times.append(at)
        self.late.append(self._loop.time() - at - chunk.seconds)

    def _found(self, boundary: Boundary, at: float) -> None:
        self.boundaries.append((boundary.speech, at))


@asynccontextmanager
async def room(clock: Clock, *, open: bool, rate: int = RATE, block: float = BLOCK) -> AsyncIterator[Room]:  # noqa: A002 - as the microphone's
    """A microphone that is closed at the end."""
    made = Room(clock, rate, block, open=open)
    try:
        yield made
    finally:
        await made.microphone.close()


async def pieces(*data: bytes, rate: int = RATE) -> AsyncIterator[Chunk]:
    for pcm in data:
        yield Chunk(pcm, rate)


async def from_queue(queue: asyncio.Queue[bytes]) -> AsyncIterator[Chunk]:
    """A live source: what is put there, up to an empty piece."""
    while pcm := await queue.get():
        yield Chunk(pcm, RATE)


def speech(data: bytes) -> bytes:
    """Samples that are not silence."""
    sound = np.frombuffer(data, dtype="<i2")
    return bytes(sound[sound != 0].tobytes())


@pytest.mark.parametrize("sizes", [[1.0], [0.5, 0.5], [0.013] * 77, [0.001, 0.6, 0.001]])
async def test_all_of_it_is_said_in_blocks(clock: Clock, sizes: Iterable[float]) -> None:
    """However it comes: every sample once and in order, the last block whole with silence at its end."""
    parts, came = [], 0
    for size in sizes:
        parts.append(counting(round(size * RATE), 1 + came))
        came += round(size * RATE)
    async with room(clock, open=False) as there:
        talking = there.talk(pieces(*parts))
        await there.clock.go(1.5)
        await talking
        assert there.pcm == counting(came).ljust(-(-came // SAMPLES) * SAMPLES * 2, b"\0")
        assert {block.samples for block in there.blocks} == {SAMPLES}


@pytest.mark.parametrize(("rate", "block"), [(16000, 0.02), (24000, 0.1), (11025, 0.02), (8000, 0.06)])
async def test_blocks_lie_on_an_absolute_clock(clock: Clock, rate: int, block: float) -> None:
    """Each begins where the one before it ends, to the sample, and none is said before its last sample was spoken."""
    async with room(clock, open=False, rate=rate, block=block) as there:
        talking = there.talk(pieces(counting(2 * rate), rate=rate))
        await there.clock.go(2.5)
        await talking
        seconds = there.blocks[0].seconds
        assert there.times == pytest.approx([there.times[0] + n * seconds for n in range(len(there.times))])
        assert min(there.late) >= -1e-6


async def test_a_loop_that_was_late_catches_up(clock: Clock) -> None:
    """What should have been said meanwhile is said at once, with the times at which it was spoken."""
    async with room(clock, open=False) as there:
        talking = there.talk(pieces(counting(RATE)))
        await there.clock.go(0.1)
        clock.advance(0.5)
        await there.clock.go(0.1)
        assert len(there.blocks) >= 34
        await there.clock.go(1.0)
        await talking
        assert there.pcm == counting(RATE)
        assert there.times == pytest.approx([there.times[0] + n * BLOCK for n in range(50)])


async def test_one_that_is_open_says_silence(clock: Clock) -> None:
    """Before, between and after what there is to say, on one clock."""
    async with room(clock, open=True) as there:
        await there.clock.go(0.3)
        for _ in range(2):
            talking = there.talk(pieces(counting(1600)))
            await there.clock.go(0.5)
            await talking
        assert speech(there.pcm) == counting(1600) * 2
        assert there.pcm.startswith(bytes(2 * SAMPLES * 14))
        assert there.pcm.endswith(bytes(2 * SAMPLES * 15))
        assert len(there.blocks) == pytest.approx(1.3 / BLOCK, abs=2)
        assert there.times == pytest.approx([there.times[0] + n * BLOCK for n in range(len(there.times))])


async def test_one_that_is_not_open_says_nothing_of_itself(clock: Clock) -> None:
    """It is silent where there is nothing to say, and each utterance begins when it comes."""
    async with room(clock, open=False) as there:
        await there.clock.go(0.5)
        assert there.blocks == []
        for _ in range(2):
            talking = there.talk(pieces(counting(1600)))
            await there.clock.go(0.5)
            await talking
        assert there.pcm == counting(1600) * 2
        assert there.times[5] - there.times[0] == pytest.approx(0.5, abs=0.05)


@pytest.mark.parametrize("is_open", [False, True])
async def test_a_live_source_that_is_behind(clock: Clock, is_open: bool) -> None:
    """Silence is said until there is a whole block again; no sample is lost, and none is said before it came."""
    queue: asyncio.Queue[bytes] = asyncio.Queue()
    async with room(clock, open=is_open) as there:
        talking = there.talk(from_queue(queue))
        queue.put_nowait(counting(1000))
        await there.clock.go(0.3)
        said = speech(there.pcm)
        assert said == counting(len(said) // 2)
        assert 2 * BLOCK * RATE < len(said) // 2 <= 3 * BLOCK * RATE
        queue.put_nowait(counting(1000, 1001))
        queue.put_nowait(b"")
        await there.clock.go(0.3)
        await talking
        assert speech(there.pcm) == counting(2000)
        assert there.times == pytest.approx([there.times[0] + n * BLOCK for n in range(len(there.times))])


async def test_a_source_that_says_nothing(clock: Clock) -> None:
    """It is over at once."""
    async with room(clock, open=False) as there:
        await there.microphone.say(pieces())
        await there.microphone.say(pieces(b""))
        assert there.blocks == []


async def test_another_rate(clock: Clock) -> None:
    """A file at 44.1 kHz is said at the agent's rate, to its last sample."""
    async with room(clock, open=False) as there:
        talking = there.talk(pieces(*[tone(1, 44_100)] * 2, rate=44_100))
        await there.clock.go(2.5)
        await talking
        assert len(there.pcm) / 2 / RATE == pytest.approx(2.0, abs=BLOCK)
        assert abs(values(there.pcm)).max() == pytest.approx(8000, rel=0.05)
        assert abs(values(there.pcm)[-SAMPLES * 2 :]).max() > 7000


async def test_no_more_is_read_than_will_soon_be_said(clock: Clock) -> None:
    """An hour of a file doesn't come into memory."""
    read = 0

    async def hour() -> AsyncIterator[Chunk]:
        nonlocal read
        for _ in range(7200):
            read += 1
            yield Chunk(tone(0.5), RATE)

    async with room(clock, open=False) as there:
        talking = there.talk(hour())
        await there.clock.go(3.0)
        assert read * 0.5 <= 3.0 + AHEAD + 2 * 0.5
        talking.cancel()
        with suppress(asyncio.CancelledError):
            await talking


async def test_a_source_that_fails(clock: Clock) -> None:
    """What it raises is raised; what it gave before is said, and so is the next one."""

    async def damaged() -> AsyncIterator[Chunk]:
        yield Chunk(counting(1600), RATE)
        raise ValueError("damaged")

    async with room(clock, open=False) as there:
        with pytest.raises(ValueError, match="damaged"):
            await there.microphone.say(damaged())
        await there.clock.go(0.5)
        talking = there.talk(pieces(counting(1600)))
        await there.clock.go(0.5)
        await talking
        assert there.pcm == counting(1600) * 2


@pytest.mark.parametrize("is_open", [False, True])
@pytest.mark.parametrize("tail", [0.0, 0.03, 0.09, 0.3])
async def test_where_speech_begins_and_ends(clock: Clock, is_open: bool, tail: float) -> None:
    """In seconds of the clock, where it is in the file: silence behind it, or what fills a block, is no part of it."""
    silence = bytes(2 * round(0.3 * RATE))
    async with room(clock, open=is_open, block=0.1) as there:
        await there.clock.go(0.1)
        talking = there.talk(pieces(silence + tone(0.53) + bytes(2 * round(tail * RATE))))
        await there.clock.go(2.0)
        await talking
        first = next(at for at, block in zip(there.times, there.blocks, strict=True) if any(block.pcm))
        (begun, start), (ended, end) = there.boundaries
        assert (begun, ended) == (True, False)
        assert first <= start < first + 0.1
        assert end - start == pytest.approx(0.53, abs=FRAME)


async def test_the_end_of_speech_is_known_when_all_was_said(clock: Clock) -> None:
    """Whoever waits for that may tell the agent that it's its turn, and measure from there."""
    async with room(clock, open=False) as there:
        talking = there.talk(pieces(tone(1)))
        seen: list[int] = []
        talking.add_done_callback(lambda _: seen.append(len(there.boundaries)))
        await there.clock.go(1.5)
        await talking
        assert seen == [2]


@pytest.mark.parametrize("is_open", [False, True])
async def test_closing_in_the_middle(clock: Clock, is_open: bool) -> None:
    """Nothing is said after that."""
    async with room(clock, open=is_open) as there:
        talking = there.talk(pieces(counting(RATE)))
        await there.clock.go(0.3)
        await there.microphone.close()
        said = len(there.blocks)
        await there.clock.go(0.3)
        assert len(there.blocks) == said
        talking.cancel()
        with suppress(asyncio.CancelledError):
            await talking
