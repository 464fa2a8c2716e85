"""The port over real sockets: whatever a peer does with its bytes, its messages come whole, and nobody else suffers."""

from __future__ import annotations

import asyncio
import os
import socket
import struct
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed
from websockets.frames import CloseCode, Frame, Opcode
from websockets.http11 import Request
from websockets.protocol import State
from websockets.server import ServerProtocol

from audiotap.net import port as module
from audiotap.net.door.door import Door
from audiotap.net.door.limits import Limits
from audiotap.net.peer import MAX_MESSAGE, bind
from audiotap.net.port import MAX_UNSENT, TOO_MANY_SMALL, TOO_MUCH_PENDING, Peer, Port

REQUEST = (
    b"GET / HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
)
LONGEST = 2**16
"""Bytes of a message in the test of any bytes; twice as many zeros end whatever was begun, and break the rules."""
TEXTS = ["", "a", "é" * 100, "x" * 125, "x" * 126, "x" * 65_535, "x" * 65_536, "y" * 300_000]


class Ear:
    """Takes everything one peer says."""

    def __init__(self, peer: Peer) -> None:
        self.peer = peer
        self.heard: list[str | bytes] = []
        self.lost: bool | None = None
        self.news = asyncio.Event()

    def take(self, wires: Sequence[str | bytes]) -> None:
        if "fail" in wires:
            raise RuntimeError("on purpose")
        self.heard += wires
        self.news.set()

    def leave(self, *, lost: bool) -> None:
        self.lost = lost
        self.news.set()

    async def hears(self, count: int) -> list[str | bytes]:
        """What it heard, once it is so many messages."""
        while len(self.heard) < count and self.lost is None:
            self.news.clear()
            await self.news.wait()
        return self.heard

    async def left(self) -> bool:
        """Whether the connection was lost, once it is over."""
        while self.lost is None:
            self.news.clear()
            await self.news.wait()
        return self.lost


class House:
    """A port that is open, and the ears of those who dialled it."""

    def __init__(self, sockets: list[socket.socket], number: int, limits: Limits) -> None:
        self.number = number
        self.url = f"ws://127.0.0.1:{number}"
        self.ears: list[Ear] = []
        self.refused: list[str] = []
        self.reads = True
        self.news = asyncio.Event()
        self.turned_away: list[str] = []
        self.port = Port(sockets, self, limits, Door(count=self.turned_away.append))
        self.port.start()

    def connect(self, peer: Peer, _: Request | None = None) -> Ear:
        self.ears.append(Ear(peer))
        self.news.set()
        return self.ears[-1]

    def ready(self) -> bool:
        return self.reads

    def calm(self) -> bool:
        return True

    def refuse(self, what: str) -> None:
        self.refused.append(what)

    async def ear(self, number: int = 0) -> Ear:
        """That of the peer who dialled as the so-manieth."""
        while len(self.ears) <= number:
            self.news.clear()
            await self.news.wait()
        return self.ears[number]


@pytest.fixture
async def house() -> AsyncIterator[House]:
    """A port that is open while a test runs."""
    async with opened(Limits()) as house:
        yield house


@asynccontextmanager
async def opened(limits: Limits) -> AsyncIterator[House]:
    """A port with limits of its own."""
    sockets, _, number = await bind("127.0.0.1", 0)
    house = House(sockets, number, limits)
    async with asyncio.timeout(20):
        yield house
        await house.port.close()


@asynccontextmanager
async def line(house: House) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    """A connection byte by byte."""
    reader, writer = await asyncio.open_connection("127.0.0.1", house.number)
    try:
        yield reader, writer
    finally:
        writer.close()
        with suppress(OSError):
            await writer.wait_closed()


@asynccontextmanager
async def raw(house: House) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    """The same past its handshake."""
    async with line(house) as (reader, writer):
        writer.write(REQUEST)
        await reader.readuntil(b"\r\n\r\n")
        yield reader, writer


def frame(text: str, opcode: Opcode = Opcode.TEXT, *, fin: bool = True, mask: bool = True) -> bytes:
    return Frame(opcode, text.encode(), fin).serialize(mask=mask)


async def close_code(reader: asyncio.StreamReader) -> int:
    """The code of the close frame that comes."""
    while True:
        head = await reader.readexactly(2)
        payload = await reader.readexactly(head[1])
        if head[0] & 15 == Opcode.CLOSE:
            return int(struct.unpack("!H", payload[:2])[0])


async def test_messages_of_every_length(house: House) -> None:
    """Each of the three ways to write a length, text and binary, and the end is no loss."""
    async with connect(house.url, compression=None) as bot:
        for text in TEXTS:
            await bot.send(text)
        await bot.send(b"\x00\xff")
    ear = await house.ear()
    assert await ear.hears(len(TEXTS) + 1) == [*TEXTS, b"\x00\xff"]
    assert not await ear.left()


async def test_frames_in_crumbs(house: House) -> None:
    """However the network cuts: three messages that come byte by byte."""
    async with raw(house) as (_, writer):
        for byte in frame("one") + frame("x" * 200) + frame("three"):
            writer.write(bytes([byte]))
            await writer.drain()
            await asyncio.sleep(0)
        assert await (await house.ear()).hears(3) == ["one", "x" * 200, "three"]


async def test_a_request_in_crumbs_with_a_message_behind_it(house: House) -> None:
    """A client that does not wait for its answer, over a slow line."""
    async with line(house) as (reader, writer):
        writer.write(REQUEST[:40])
        await asyncio.sleep(2 * module.TICK)
        writer.write(REQUEST[40:] + frame("early"))
        await reader.readuntil(b"\r\n\r\n")
        assert await (await house.ear()).hears(1) == ["early"]


async def test_fragments_are_joined(house: House) -> None:
    """With a ping between them, and a whole message behind."""
    async with raw(house) as (reader, writer):
        writer.write(frame("a", fin=False) + frame("b", Opcode.CONT, fin=False))
        writer.write(frame("hi", Opcode.PING) + frame("c", Opcode.CONT) + frame("d"))
        assert await (await house.ear()).hears(2) == ["abc", "d"]
        assert await reader.readexactly(4) == b"\x8a\x02hi"


async def test_fragments_cost_no_more_than_their_bytes() -> None:
    """Empty ones by the ten thousand, where they may be sent, are nothing; the message is what the others hold."""
    async with opened(Limits(small=30_000)) as house, raw(house) as (reader, writer):
        writer.write(frame("a", fin=False) + frame("", Opcode.CONT, fin=False) * 20_000)
        writer.write(frame("b", Opcode.CONT, fin=False) * 3)
        await pong(reader, writer)
        ear = await house.ear()
        assert ear.peer.weight == 4
        writer.write(frame("c", Opcode.CONT))
        assert await ear.hears(1) == ["abbbc"]
        await pong(reader, writer)
        assert ear.peer.weight == 0


async def pong(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Return when all that was sent before was taken."""
    writer.write(frame("", Opcode.PING))
    assert await reader.readexactly(2) == b"\x8a\x00"


@pytest.mark.parametrize(
    ("data", "code"),
    [
        pytest.param(frame("bare", mask=False), 1002, id="unmasked"),
        pytest.param(b"\x83\x80\0\0\0\0", 1002, id="an unknown kind"),
        pytest.param(b"\xf1\x80\0\0\0\0", 1002, id="reserved bits"),
        pytest.param(frame("x", Opcode.CONT), 1002, id="nothing to go on with"),
        pytest.param(Frame(Opcode.TEXT, b"\xff\xfe").serialize(mask=True), 1007, id="no UTF-8"),
        pytest.param(b"\x81\xff" + struct.pack("!Q", MAX_MESSAGE + 1), 1009, id="too long"),
        pytest.param(b"\x81\xff" + b"\xff" * 8, 1009, id="longer than can be"),
    ],
)
async def test_what_breaks_the_rules_ends_the_connection(house: House, data: bytes, code: int) -> None:
    """With the code that says why; what came before counts, what follows does not, and others go on."""
    async with connect(house.url) as other, raw(house) as (reader, writer):
        writer.write(frame("before") + data + frame("after"))
        assert await close_code(reader) == code
        await other.send("still here")
        heard = [await (await house.ear(number)).hears(1) for number in range(2)]
    assert ["before"] in heard
    assert ["still here"] in heard


async def test_who_hangs_up_is_lost(house: House) -> None:
    """Without a goodbye, in the middle of a message too."""
    async with raw(house) as (_, writer):
        writer.write(frame("whole") + frame("x" * 1000)[:500])
        ear = await house.ear()
        await ear.hears(1)
        writer.transport.abort()
    assert await ear.left()
    assert ear.heard == ["whole"]
    assert not await ear.peer.send("anybody?")


async def test_a_receiver_that_fails_costs_its_own_connection(house: House) -> None:
    """A bug in taking one bot's message must not silence the others."""
    told: list[object] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: told.append(context["exception"]))
    async with connect(house.url) as good, connect(house.url) as bad:
        await bad.send("fail")
        with pytest.raises(ConnectionClosed):
            await bad.recv()
        await good.send("hello")
        heard = [await (await house.ear(n)).hears(1) for n in range(2)]
    assert ["hello"] in heard
    assert [str(error) for error in told] == ["on purpose"]


async def test_nobody_is_read_while_there_is_no_room(house: House) -> None:
    """What is sent meanwhile waits in the network, and comes later in order."""
    async with connect(house.url) as bot:
        await bot.send("first")
        ear = await house.ear()
        await ear.hears(1)
        house.reads = False
        for number in range(100):
            await bot.send(str(number))
        await asyncio.sleep(3 * module.TICK)
        assert ear.heard == ["first"]
        house.reads = True
        assert await ear.hears(101) == ["first", *map(str, range(100))]


async def test_what_is_said_to_a_peer_comes_whole_and_in_order(house: House) -> None:
    """Whatever its length, and when more is said than the socket takes at once."""
    async with connect(house.url, max_size=None) as bot:
        ear = await house.ear()
        saying = asyncio.gather(*(ear.peer.send(text) for text in TEXTS * 5))
        assert [await bot.recv() for _ in TEXTS * 5] == TEXTS * 5
        assert all(await saying)


async def test_a_peer_that_never_reads_holds_up_only_who_sends_to_it(house: House) -> None:
    """Its sender waits when a megabyte waits, the port goes on, and the end of the connection ends the wait."""
    async with raw(house) as (_, writer):
        ear = await house.ear()
        sending = asyncio.create_task(send_much(ear.peer))
        async with connect(house.url) as other:
            await other.send("hello")
            assert await (await house.ear(1)).hears(1) == ["hello"]
        assert not sending.done()
        writer.transport.abort()
        assert await sending > 0


async def send_much(peer: Peer) -> int:
    sent = 0
    while await peer.send("x" * (MAX_UNSENT // 4)):
        sent += 1
    return sent


@pytest.mark.parametrize(
    "junk", [b"hello\r\n\r\n", os.urandom(100_000), b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", b"\x16\x03\x01"]
)
async def test_who_does_not_ask_for_a_websocket(house: House, junk: bytes) -> None:
    """Noise, TLS, a browser: the connection ends or waits, nobody is welcomed, and others are."""
    async with line(house) as (_, writer), connect(house.url) as bot:
        writer.write(junk)
        await bot.send("hello")
        assert await (await house.ear()).hears(1) == ["hello"]
    assert len(house.ears) == 1


async def test_many_connections_and_their_ends(house: House) -> None:
    """Three hundred bots at once, each with its own words; all are gone at the end."""

    async def say(number: int) -> None:
        async with connect(house.url, compression=None) as bot:
            await bot.send(str(number))

    await asyncio.gather(*(say(number) for number in range(300)))
    for number in range(300):
        await (await house.ear(number)).left()
    assert sorted(int(str(ear.heard[0])) for ear in house.ears) == [*range(300)]


async def test_the_heaviest_of_too_many_unfinished_messages_goes() -> None:
    """Whoever brings the last byte: room is made by who keeps the most."""
    async with opened(Limits(pending=300_000)) as house, raw(house) as (_, heavy):
        heavy.write(frame("x" * 200_000, fin=False))
        first = await house.ear()
        async with raw(house) as (_, light):
            light.write(frame("y" * 150_000, fin=False))
            assert await first.left()
            light.write(frame("!", Opcode.CONT))
            assert await (await house.ear(1)).hears(1) == ["y" * 150_000 + "!"]
    assert house.refused == [TOO_MUCH_PENDING]


@pytest.mark.parametrize(
    "small",
    [
        pytest.param(frame("", Opcode.PONG), id="pongs"),
        pytest.param(frame("x", Opcode.PING), id="pings"),
        pytest.param(frame(""), id="texts"),
        pytest.param(frame("{}", Opcode.BINARY), id="bytes"),
        pytest.param(frame("", fin=False) + frame("", Opcode.CONT), id="fragments"),
        pytest.param(frame("a", fin=False) + frame("", Opcode.CONT, fin=False) * 99, id="fragments without end"),
    ],
)
async def test_who_says_nothing_too_often_has_to_go(small: bytes) -> None:
    """A few frames without content are none of anybody's business; thousands end their own connection, told once."""
    async with opened(Limits(small=50)) as house, connect(house.url) as other, raw(house) as (reader, writer):
        writer.write(small * 20_000)
        assert await close_code(reader) == 1008
        await other.send("still here")
        heard = [await (await house.ear(number)).hears(1) for number in range(2)]
        assert ["still here"] in heard
    assert house.refused == [TOO_MANY_SMALL]


async def test_small_frames_beside_large_ones_are_nobodys_business() -> None:
    """A bot that asks after every chunk whether it is heard, however fast it sends."""
    async with opened(Limits(small=5)) as house, raw(house) as (reader, writer):
        for _ in range(50):
            writer.write(frame("audio" * 40) + frame("", Opcode.PING) + frame("mark"))
        await reader.readexactly(50 * 2)
        await (await house.ear()).hears(100)
    assert not house.refused


async def test_everybody_else_has_a_turn_between_peers(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    """However many peers are to be read: what else is due does not wait for the last of them, nor does any of them."""
    monkeypatch.setattr(module, "TURN", 0.0)
    loop = asyncio.get_running_loop()
    async with AsyncExitStack() as stack:
        bots = [await stack.enter_async_context(connect(house.url)) for _ in range(10)]
        ears = [await house.ear(number) for number in range(10)]
        house.reads = False
        for bot in bots:
            await bot.send("hello")
        turns: list[int] = []

        def turn() -> None:
            turns.append(sum(bool(ear.heard) for ear in ears))
            if turns[-1] < 10:
                loop.call_soon(turn)

        house.reads = True
        loop.call_soon(turn)
        for ear in ears:
            await ear.hears(1)
        await asyncio.sleep(0)
    assert {*range(1, 10)} <= {*turns}


async def test_a_request_without_an_end(house: House) -> None:
    """It may be long, and no longer; what is too long is nobody's whom we know, and is counted."""
    async with line(house) as (reader, writer):
        writer.write(REQUEST[:-2] + b"X-Long: " + b"x" * (module.MAX_REQUEST))
        assert await reader.read() == b""
    assert house.turned_away == ["request"]
    async with connect(house.url, additional_headers={f"X-{n}": "x" * 4000 for n in range(7)}) as bot:
        await bot.send("hello")
        assert await (await house.ear()).hears(1) == ["hello"]


@pytest.mark.parametrize(
    ("request_", "status", "kind"),
    [
        pytest.param(REQUEST.replace(b"Upgrade: websocket\r\n", b""), 426, "upgrade", id="a browser"),
        pytest.param(REQUEST.replace(b"Connection: Upgrade", b"Connection: close"), 426, "upgrade", id="a proxy"),
        pytest.param(REQUEST.replace(b"GET", b"HEAD"), 405, "request", id="another method"),
        pytest.param(b"POST / HTTP/1.1\r\nContent-Length: 99\r\n\r\n" + b"x" * 99, 0, "request", id="a body"),
        pytest.param(REQUEST.replace(b"1.1", b"1.0"), 505, "request", id="an old version"),
        pytest.param(REQUEST.replace(b"GET /", b"GET /" + b"x" * 9000), 414, "request", id="a long path"),
        pytest.param(REQUEST.replace(b"Host", b"X" * 9000), 431, "request", id="a long header"),
        pytest.param(REQUEST.replace(b"GET /", b"GET /\xc3\xa9"), 0, "request", id="a path that is not ASCII"),
        pytest.param(REQUEST.replace(b"Host", b"Transfer-Encoding"), 0, "request", id="an encoding"),
        pytest.param(REQUEST.replace(b"Version: 13", b"Version: 8"), 400, "request", id="an old protocol"),
        pytest.param(b"hello\r\n\r\n" + b"x" * 99_000, 0, "request", id="noise"),
    ],
)
async def test_a_request_that_is_none_is_counted_once(house: House, request_: bytes, status: int, kind: str) -> None:
    """Whoever has a proxy in front that leaves headers out finds it in the listener's words; noise has no answer."""
    async with line(house) as (reader, writer):
        writer.write(request_)
        answer = bytearray()
        with suppress(ConnectionError):
            while data := await reader.read(65536):
                answer += data
    assert answer.startswith(b"HTTP/1.1 %d " % status if status else b"")
    assert house.turned_away == [kind]
    assert not house.ears


@pytest.mark.parametrize(
    ("address", "customer"),
    [
        ("192.0.2.7", "192.0.2.7"),
        ("2001:db8:1:2:3::4", "2001:db8:1:2::/64"),
        ("2001:db8:1:2:ffff::9", "2001:db8:1:2::/64"),
        ("2001:db8:1:3::4", "2001:db8:1:3::/64"),
        ("fe80::1%eth0", "fe80::/64"),
    ],
)
def test_whose_a_connection_is(address: str, customer: str) -> None:
    """Of IPv6 the half that one customer has, since all addresses in it are theirs."""
    assert module.customer_of(address) == customer


texts = st.text(max_size=200).map(str.encode)
frames = st.builds(
    lambda opcode, fin, data, head, mask: bytes([head ^ (0x80 * fin) ^ opcode]) + masked(data, mask=mask),
    st.sampled_from([0, 1, 1, 1, 2, 8, 9, 10, 3]),
    st.sampled_from([True, True, False]),
    texts | st.binary(max_size=300),
    st.sampled_from([0, 0, 0, 0, 0, 0x40, 0x10]),
    st.sampled_from([True] * 9 + [False]),
)


def masked(data: bytes, *, mask: bool) -> bytes:
    """A frame from its second byte on."""
    return Frame(Opcode.BINARY, data).serialize(mask=mask)[1:]


@given(
    data=st.lists(frames | st.binary(max_size=20), max_size=8).map(b"".join),
    cut=st.integers(1, 400),
)
@settings(max_examples=60, deadline=None)
def test_any_bytes_are_heard_as_the_library_hears_them(data: bytes, cut: int) -> None:
    """Frames in any order, broken ones, noise, in pieces: the same messages and the same goodbye as by the book."""
    data += bytes(2 * LONGEST)
    assert asyncio.run(heard(data, cut)) == by_the_book(data)


async def heard(data: bytes, cut: int) -> tuple[list[str | bytes], int]:
    """What the port hears in two pieces, and the code of its goodbye, 0 without one."""
    failed: list[object] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: failed.append(context))
    async with opened(Limits(message=LONGEST)) as house, raw(house) as (reader, writer):
        ear = await house.ear()
        writer.write(data[:cut])
        await writer.drain()
        await asyncio.sleep(0)
        writer.write(data[cut:])
        writer.write_eof()
        answer = await reader.read()
        await ear.left()
    assert not failed
    return ear.heard, goodbye(answer)


def goodbye(answer: bytes) -> int:
    """The code of the close frame among what a server sent, 0 without one."""
    at = 0
    while at < len(answer):
        if answer[at] & 15 == Opcode.CLOSE:
            return int.from_bytes(answer[at + 2 : at + 4], "big") if answer[at + 1] else CloseCode.NO_STATUS_RCVD
        at += 2 + answer[at + 1]
    return 0


def by_the_book(data: bytes) -> tuple[list[str | bytes], int]:
    """What the library's own protocol makes of it."""
    protocol = ServerProtocol(max_size=LONGEST, state=State.OPEN)
    protocol.receive_data(data)
    said: list[str | bytes] = []
    parts: list[Frame] = []
    for event in protocol.events_received():
        if isinstance(event, Frame) and event.opcode in {Opcode.TEXT, Opcode.BINARY, Opcode.CONT}:
            parts.append(event)
            if event.fin:
                whole = b"".join(part.data for part in parts)
                try:
                    said.append(whole.decode() if parts[0].opcode is Opcode.TEXT else whole)
                except UnicodeDecodeError:
                    return said, CloseCode.INVALID_DATA
                parts = []
    return said, goodbye(b"".join(protocol.data_to_send()))
