"""The tap and its connections: who is alive, who is held back, and who may bring a track."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

from websockets.asyncio.client import connect

from audiotap.net.door.limits import Limits
from audiotap.net.peer import bind
from audiotap.net.port import Port
from audiotap.net.tap import Tap
from audiotap.sinks.base import Item

MESSAGE = bytes(2**20)
MESSAGES = 50
"""More than the sockets on the way between two peers hold."""


class Narrow:
    """A lane without room, until it is given some."""

    ready = False
    calm = True

    def put(self, item: Item) -> None:
        """Forget it."""

    async def close(self) -> None:
        return


@asynccontextmanager
async def tapping(lane: Narrow) -> AsyncIterator[tuple[Tap, str]]:
    """A tap on a port of its own, which pings after a twentieth of a second."""
    tap = Tap(lambda _: None)
    sockets, host, number = await bind("127.0.0.1", 0)
    port = Port(sockets, tap, Limits(ping=0.05))
    tap.start([lane])
    port.start()
    async with asyncio.timeout(20):
        yield tap, f"ws://{host}:{number}"
    await port.close()
    await tap.close("the test is over")


async def test_a_peer_that_is_held_back_is_not_dropped() -> None:
    """However many pings go unanswered since nobody reads: later every message is taken."""
    lane = Narrow()

    async def say(url: str) -> None:
        async with connect(url, compression=None, max_size=None) as bot:
            for _ in range(MESSAGES):
                await bot.send(MESSAGE)

    async with tapping(lane) as (_, url):
        saying = asyncio.create_task(say(url))
        await asyncio.wait({saying}, timeout=1)
        assert not saying.done()
        lane.ready = True
        await saying


async def test_a_peer_that_is_dead_is_dropped() -> None:
    """Who neither answers pings nor says anything has gone without a word; its connection is closed."""
    lane = Narrow()
    lane.ready = True
    async with tapping(lane) as (_, url):
        reader, writer = await asyncio.open_connection("127.0.0.1", int(url.rpartition(":")[2]))
        writer.write(
            b"GET / HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
        )
        with suppress(ConnectionResetError):
            while await reader.read(65536):
                pass
        writer.close()
