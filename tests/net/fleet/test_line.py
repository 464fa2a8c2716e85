"""A conversation of two over NATS: order, credit and ends, with a NATS that is a dictionary."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any, cast

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from nats.aio.client import Client
from nats.aio.msg import Msg
from websockets.exceptions import ConnectionClosed

from audiotap.errors import NobodyError
from audiotap.net.fleet import line as module
from audiotap.net.fleet.line import FRAME, WINDOW, Dialled, Line, answer, dial
from audiotap.net.fleet.registry import control_subject

Take = Callable[[Msg], Awaitable[None]]


class Subscription:
    """One who listens."""

    def __init__(self, bus: Bus, subject: str) -> None:
        self._bus = bus
        self._subject = subject

    async def unsubscribe(self) -> None:
        self._bus.takers.pop(self._subject, None)


class Bus:
    """What a line needs of NATS; `lose` says which frames are lost on their way."""

    is_connected = True

    def __init__(self) -> None:
        self.takers: dict[str, Take] = {}
        self.lose: Callable[[bytes], bool] = lambda _: False
        self.sizes: list[int] = []
        self._inboxes = 0

    def new_inbox(self) -> str:
        self._inboxes += 1
        return f"_INBOX.{self._inboxes}"

    async def subscribe(self, subject: str, cb: Take) -> Subscription:
        self.takers[subject] = cb
        return Subscription(self, subject)

    async def publish(self, subject: str, data: bytes, reply: str = "") -> None:
        self.sizes.append(len(data))
        if self.lose(data):
            return
        taker = self.takers.get(subject)
        if taker is not None:
            await taker(self._message(subject, reply, data))
        elif reply in self.takers:
            await self.takers[reply](self._message(reply, "", b"", {"Status": "503"}))

    def _message(self, subject: str, reply: str, data: bytes, headers: dict[str, str] | None = None) -> Msg:
        return Msg(_client=self.client, subject=subject, reply=reply, data=data, headers=headers)

    @property
    def client(self) -> Client:
        return cast("Client", self)


class Two:
    """Both ends of a line."""

    def __init__(self, bus: Bus, ours: Dialled, theirs: Line) -> None:
        self.bus = bus
        self.ours = ours
        self.theirs = theirs

    async def close(self) -> None:
        await self.ours.aclose()
        await self.theirs.aclose()


async def two() -> Two:
    bus = Bus()
    answered: asyncio.Future[Line] = asyncio.get_running_loop().create_future()

    async def take(message: Msg) -> None:
        line = await answer(bus.client, message)
        if line is not None:
            answered.set_result(line)

    await bus.subscribe(control_subject("node"), take)
    return Two(bus, await dial(bus.client, "node"), await answered)


@pytest.fixture
async def ends() -> AsyncIterator[Two]:
    """Two who talk."""
    both = await two()
    yield both
    await both.close()


@settings(deadline=None, max_examples=30)
@given(st.lists(st.integers(0, 3 * WINDOW), max_size=6))
def test_whatever_is_said_arrives(sizes: list[int]) -> None:
    """Messages of any size, also larger than what may be on its way, in their order, in frames that are small."""

    async def talk() -> None:
        both = await two()
        said = [f"{n}" + "x" * size for n, size in enumerate(sizes)]

        async def say() -> None:
            for message in said:
                await both.ours.send(message)

        saying = asyncio.create_task(say())
        assert [await both.theirs.recv() for _ in said] == said
        await saying
        assert max(both.bus.sizes) <= FRAME + 16
        await both.close()

    asyncio.run(talk())


async def test_who_is_not_read_waits(ends: Two) -> None:
    """No more than what was granted is on its way, until the other side reads."""
    saying = asyncio.create_task(ends.ours.send("x" * 2 * WINDOW))
    for _ in range(100):
        await asyncio.sleep(0)
    assert sum(size for size in ends.bus.sizes if size > 1000) <= WINDOW
    assert not saying.done()
    assert await ends.theirs.recv() == "x" * 2 * WINDOW
    await saying


async def test_the_end_comes_after_what_was_said(ends: Two) -> None:
    """Who closes is heard to the end; nothing is said after it."""
    await ends.ours.send("one")
    await ends.ours.send("two")
    await ends.ours.aclose()
    assert [wire async for wire in ends.theirs] == ["one", "two"]
    await ends.theirs.wait_closed()
    assert not ends.theirs.why
    with pytest.raises(ConnectionClosed):
        await ends.theirs.send("three")


async def test_a_frame_is_lost(ends: Two) -> None:
    """A message with a hole in it is none: the line ends, and says why."""
    ends.bus.lose = lambda data: data[:1] == b"D"
    await ends.ours.send("x" * 2 * FRAME)
    with pytest.raises(ConnectionClosed):
        await ends.theirs.recv()
    assert ends.theirs.why == "a part of what was said was lost on its way"


async def test_more_is_said_than_was_granted(ends: Two) -> None:
    """Whoever does not keep to it is not listened to."""
    ends.ours._credit = 100 * WINDOW
    saying = asyncio.create_task(ends.ours.send("x" * 2 * WINDOW))
    await ends.theirs.wait_closed()
    assert ends.theirs.why == "it says more than was asked for"
    await asyncio.gather(saying, return_exceptions=True)


async def test_the_other_side_is_gone(ends: Two) -> None:
    """NATS knows nobody who listens: who waits for an answer is told at once which node it was."""
    ends.bus.takers = {subject: take for subject, take in ends.bus.takers.items() if subject == ends.ours._inbox}
    await ends.ours.send("anybody?")
    with pytest.raises(NobodyError, match="the node node went away: nobody is there any more"):
        await ends.ours.recv()


async def test_silence_is_an_end(monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither side waits for ever for one whose words do not arrive."""
    monkeypatch.setattr(module, "PING_SECONDS", 0.01)
    monkeypatch.setattr(module, "SILENCE_SECONDS", 0.05)
    both = await two()
    both.bus.lose = lambda _: True
    with pytest.raises(NobodyError, match="nothing was heard of it"):
        await both.ours.recv()
    await both.close()


@pytest.mark.parametrize("garbage", [b"", b"D", b"L\0\0", b"C\0", b"Z", b"\xff" * 100])
async def test_garbage_is_nothing(ends: Two, garbage: bytes) -> None:
    """What is no frame is not read; the line lives."""
    await ends.bus.publish(ends.theirs._inbox, garbage)
    await ends.ours.send("still here")
    assert await ends.theirs.recv() == "still here"


async def test_nobody_answers() -> None:
    """A node that is written down and dead costs no waiting."""
    bus = Bus()
    with pytest.raises(NobodyError, match="the node dead went away"):
        await dial(bus.client, "dead")


async def test_who_says_no_hello() -> None:
    """Only a hello with an address is answered, and never where NATS takes orders."""
    bus = Bus()
    nothing: Any = await answer(bus.client, bus._message("x", "", b"H"))
    something: Any = await answer(bus.client, bus._message("x", "_INBOX.1", b"D"))
    elsewhere: Any = await answer(bus.client, bus._message("x", "$JS.API.STREAM.PURGE.KV_audiotap_nodes", b"H"))
    assert (nothing, something, elsewhere) == (None, None, None)
