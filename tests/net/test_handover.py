"""A connection that one port lets go of and another one goes on with: nothing is lost, nothing comes twice."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager

from tests.net.test_port import REQUEST, frame, pong
from websockets.asyncio.client import connect
from websockets.frames import Frame, Opcode
from websockets.http11 import Request

from audiotap.net.door.limits import Limits
from audiotap.net.handover import Handed, Handover
from audiotap.net.ownership import Share, owner
from audiotap.net.peer import bind
from audiotap.net.port import Peer, Port, Receiver

KEY = next(("attendee", str(n)) for n in range(100) if owner(("attendee", str(n)), 2) == 1)
"""A session of the second worker."""


class Giver:
    """Takes so many messages, and has the rest go to the owner of a session."""

    def __init__(self, peer: Peer, handover: Handover, keeps: int) -> None:
        self._peer = peer
        self._handover = handover
        self._keeps = keeps
        self.kept: list[str | bytes] = []

    def take(self, wires: Sequence[str | bytes]) -> None:
        room = self._keeps - len(self.kept)
        self.kept += wires[:room]
        if len(wires) > room:
            sock, carried = self._peer.let_go(wires[room:])
            self._handover.give(KEY, sock, Handed("attendee", carried, 0, {}))

    def leave(self, *, lost: bool) -> None:
        raise AssertionError(lost)


class House:
    """A host that has a receiver for everybody."""

    def __init__(self, receiver: Callable[[Peer], Receiver]) -> None:
        self._receiver = receiver
        self.refused: list[str] = []

    def connect(self, peer: Peer, _: Request) -> Receiver:
        return self._receiver(peer)

    def ready(self) -> bool:
        return True

    def calm(self) -> bool:
        return True

    def refuse(self, what: str) -> None:
        self.refused.append(what)


class Taker:
    """Remembers what came, and how it ended."""

    def __init__(self) -> None:
        self.took: list[str | bytes] = []
        self.peer: Peer | None = None
        self.lost: asyncio.Future[bool] = asyncio.get_running_loop().create_future()

    def take(self, wires: Sequence[str | bytes]) -> None:
        self.took += wires

    def leave(self, *, lost: bool) -> None:
        self.lost.set_result(lost)


@asynccontextmanager
async def handing(keeps: int) -> AsyncIterator[tuple[str, Taker]]:
    """Two ports, the first of which keeps so many messages of each connection; the second one's taker."""
    pairs = [socket.socketpair() for _ in range(2)]
    for end in (end for pair in pairs for end in pair):
        end.setblocking(False)
    ways = [Handover(Share(n, 2), [hand for hand, _ in pairs], pairs[n][1]) for n in range(2)]
    houses = House(lambda peer: Giver(peer, ways[0], keeps)), House(lambda _: Taker())
    sockets, host, number = await bind("127.0.0.1", 0)
    first = Port(sockets, houses[0], Limits())
    second = Port([], houses[1], Limits())
    taker = Taker()

    def adopted(peer: Peer) -> Taker:
        taker.peer = peer
        return taker

    ways[1].start(lambda sock, handed: second.adopt(sock, handed.carried, adopted))
    first.start()
    second.start()
    async with asyncio.timeout(20):
        yield f"ws://{host}:{number}", taker
    for way in ways:
        await way.close()
    for port in (first, second):
        await port.close()
    for end in (end for pair in pairs for end in pair):
        end.close()
    assert not [house.refused for house in houses if house.refused]


async def test_a_goodbye_arrives_as_one() -> None:
    """Said with the last words or later: the new owner is told that nothing was lost."""
    for keeps in range(3):
        async with handing(keeps) as (url, taker):
            async with connect(url, compression=None) as bot:
                for wire in ("one", b"two", "three"):
                    await bot.send(wire)
            assert not await taker.lost
        assert taker.took == ["one", b"two", "three"][keeps:]


async def test_a_lost_connection_arrives_as_one() -> None:
    """Words without a goodbye: the new owner is told that it was lost."""
    async with handing(0) as (url, taker):
        bot = await connect(url, compression=None)
        await bot.send("one")
        bot.transport.abort()
        assert await taker.lost
        await bot.wait_closed()
    assert taker.took in (["one"], [])


async def test_a_message_in_pieces_arrives_whole() -> None:
    """Of which some came before it was handed over, in the middle of a letter, and the last one after."""
    async with handing(0) as (url, taker):
        reader, writer = await asyncio.open_connection("127.0.0.1", int(url.rpartition(":")[2]))
        writer.write(REQUEST + frame("one") + piece(b"caf\xc3", Opcode.TEXT))
        await reader.readuntil(b"\r\n\r\n")
        await pong(reader, writer)
        writer.write(piece(b"\xa9", Opcode.CONT) + frame("!", Opcode.CONT))
        await pong(reader, writer)
        assert taker.took == ["one", "café!"]
        writer.close()
        assert await taker.lost


def piece(data: bytes, opcode: Opcode) -> bytes:
    return Frame(opcode, data, fin=False).serialize(mask=True)


async def test_both_ways_go_on() -> None:
    """After it was handed over, a bot is heard, is answered its pings, and is spoken to as if nothing had happened."""
    async with handing(1) as (url, taker), connect(url, compression=None) as bot:
        for wire in ("one", "two", "three"):
            await bot.send(wire)
            await (await bot.ping())
        assert taker.took == ["two", "three"]
        assert taker.peer is not None
        assert await taker.peer.send("speech")
        assert await bot.recv() == "speech"
