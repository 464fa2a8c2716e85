"""Hostile peers: each runs into a limit that is told of, and a good bot on the same listener loses nothing by it."""

from __future__ import annotations

import asyncio
import os
import shutil
import socket
import ssl
import struct
import zlib
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
import trustme
from tests.scenarios.harness import (
    HELLO,
    RATE,
    Listener,
    Place,
    Samples,
    assert_same,
    attendee,
    call,
    chunks,
    ramp,
    recall,
    sounding,
)
from tests.scenarios.test_workers import id_of
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidHandshake
from websockets.frames import Frame, Opcode

from audiotap.audio import Chunk
from audiotap.dialects.attendee import Attendee
from audiotap.dialects.base import Side
from audiotap.events import Speak
from audiotap.net.control.remote import Target, attached
from audiotap.net.tap import NO_FILE_LEFT

MIB = 2**20
REQUEST = (
    b"GET / HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n"
    b"Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits\r\n\r\n"
)
SECOND = ramp(1)
SPEECH = ramp(0.5)
"""What is spoken to the good bot: whole blocks."""
IDLE = int(os.environ.get("AUDIOTAP_IDLE", "500"))
"""Idle connections of the test that counts their memory."""
AT_ONCE = 100
STRANGER = "127.0.0.2"
"""An address of this machine that the good bot has not."""

Line = tuple[asyncio.StreamReader, asyncio.StreamWriter]


@asynccontextmanager
async def good_bot(listener: Listener) -> AsyncIterator[None]:
    """A bot that talks and is spoken to all through the block and a little longer, over one connection.

    Every sample of both is heard and recorded.
    """
    over = asyncio.Event()
    talking = asyncio.create_task(talk(listener.url, over))
    await listener.event("track.started", session="good")
    speaking = asyncio.create_task(speak(listener))
    yield
    await speaking
    over.set()
    said, heard = await talking
    recording = await listener.finished("good")
    assert_same(recording.samples("mixed"), said)
    assert_same(heard, SPEECH)
    assert_same(sounding(recording.samples("spoken")), SPEECH)
    assert recording.manifest["connections"] == 1
    assert not recording.manifest["lossy"]


async def speak(listener: Listener) -> None:
    """Say something through the good bot."""
    async with attached(Target(listener.control, listener.port, "good")) as attachment:
        await attachment.speak(iter([Chunk(SPEECH.tobytes(), RATE)]), lambda _: None)


async def talk(url: str, over: asyncio.Event) -> tuple[Samples, Samples]:
    """Say a tenth of a second after the other until it is over, each when the one before has arrived.

    What was said, and what was heard.
    """
    count = 0
    async with connect(url, compression=None, ping_interval=None) as bot:
        hearing = asyncio.create_task(hear(bot))
        while not (count and over.is_set()):
            piece = (np.arange(count * RATE // 10, (count + 1) * RATE // 10) % 29989 + 1).astype(np.int16)
            count += 1
            await bot.send(attendee(piece, count / 10, bot="good"))
            await (await bot.ping())
    return ramp(count / 10), await hearing


async def hear(bot: ClientConnection) -> Samples:
    """What is spoken to a bot, to its end."""
    language = Attendee(Side.THEIRS)
    events = [event async for wire in bot for event in language.decode(wire)]
    said = b"".join(event.chunk.pcm for event in events if isinstance(event, Speak))
    return np.frombuffer(said, dtype=np.int16)


@asynccontextmanager
async def line(
    listener: Listener, address: str | None = None, trust: ssl.SSLContext | None = None
) -> AsyncIterator[Line]:
    """A connection byte by byte, from an address of its own, over TLS where something is trusted."""
    local = (address, 0) if address is not None else None
    reader, writer = await asyncio.open_connection("127.0.0.1", listener.port, local_addr=local, ssl=trust)
    try:
        yield reader, writer
    finally:
        writer.transport.abort()


@asynccontextmanager
async def websocket(
    listener: Listener, address: str | None = None, trust: ssl.SSLContext | None = None
) -> AsyncIterator[Line]:
    """The same past its handshake."""
    async with line(listener, address, trust) as (reader, writer):
        writer.write(REQUEST)
        await reader.readuntil(b"\r\n\r\n")
        yield reader, writer


async def end(reader: asyncio.StreamReader) -> bytes:
    """What comes before the other end closes, however it does."""
    heard = bytearray()
    with suppress(ConnectionResetError):
        while data := await reader.read(65536):
            heard += data
    return bytes(heard)


@asynccontextmanager
async def deaf(listener: Listener) -> AsyncIterator[Callable[[bytes], Awaitable[None]]]:
    """A connection that reads nothing after its handshake; how it sends."""
    loop = asyncio.get_running_loop()
    with socket.socket() as sock:
        sock.setblocking(False)
        await loop.sock_connect(sock, ("127.0.0.1", listener.port))
        await loop.sock_sendall(sock, REQUEST)
        assert (await loop.sock_recv(sock, 4096)).endswith(b"\r\n\r\n")
        yield partial(loop.sock_sendall, sock)


def frame(data: bytes, opcode: Opcode = Opcode.TEXT, *, fin: bool = True) -> bytes:
    return Frame(opcode, data, fin).serialize(mask=True)


def beginning(size: int, there: int) -> bytes:
    """A text message of a size, of which only a part is there."""
    return b"\x81\xff" + struct.pack("!Q", size) + bytes(4) + b"x" * there


def bomb() -> bytes:
    """A compressed frame of a few kilobytes that would be 4 MiB."""
    deflate = zlib.compressobj(wbits=-15)
    return frame(deflate.compress(b" " * 4 * MIB) + deflate.flush(zlib.Z_SYNC_FLUSH)[:-4]).replace(b"\x81", b"\xc1", 1)


def told(listener: Listener, words: str) -> list[str]:
    return [warning for warning in listener.warnings() if words in warning]


class Attack(NamedTuple):
    """What is sent after the handshake, again and again; the code it is answered with, and what is told."""

    data: bytes
    code: int
    word: str
    option: tuple[str, str | int] = ("--ping-interval", 20)


ATTACKS = {
    "a message that is too long": Attack(beginning(2 * MIB, 0), 1009, "--max-message", ("--max-message", "1M")),
    "a message longer than any": Attack(b"\x81\xff" + b"\xff" * 12, 1009, "--max-message"),
    "fragments without end": Attack(
        frame(b"x" * 1000, fin=False) + frame(b"x" * 1000, Opcode.CONT, fin=False) * 70,
        1009,
        "--max-message",
        ("--max-message", "64K"),
    ),
    "a deflate bomb": Attack(bomb(), 1002, "rules of websockets"),
    "invalid UTF-8": Attack(frame(b"\xff\xfe\xfd"), 1007, "UTF-8"),
    "invalid UTF-8 in fragments": Attack(frame(b"\xc3", fin=False) + frame(b"\x28", Opcode.CONT), 1007, "UTF-8"),
    "no mask": Attack(Frame(Opcode.TEXT, b"bare").serialize(mask=False), 1002, "rules of websockets"),
    "pongs that nobody asked for": Attack(frame(b"", Opcode.PONG) * 20_000, 1008, "--max-small"),
    "messages that say nothing": Attack(frame(b"") * 20_000, 1008, "--max-small"),
    "fragments that say nothing": Attack(
        frame(b"x", fin=False) + frame(b"", Opcode.CONT, fin=False) * 300, 1008, "--max-small", ("--max-small", 100)
    ),
    "a message within a message": Attack(frame(b"a", fin=False) + frame(b"b"), 1002, "rules of websockets"),
    "a ping in fragments": Attack(b"\x09\x80\0\0\0\0", 1002, "rules of websockets"),
}


@pytest.mark.parametrize("attack", ATTACKS.values(), ids=ATTACKS)
async def test_what_breaks_a_rule_ends_its_own_connection_only(place: Place, attack: Attack) -> None:
    """It is answered with the code for it, three times, and told once."""
    listener = await place.listen("--linger", 0.1, *attack.option)
    async with good_bot(listener):
        for _ in range(3):
            async with websocket(listener) as (reader, writer):
                writer.write(attack.data)
                assert struct.pack("!H", attack.code) in await end(reader)
    ended = await listener.stop()
    first, rest = told(listener, attack.word)
    assert rest == f"{first}; 2 more"
    assert ended.status == 0
    assert "Traceback" not in ended.err


async def test_compression_is_offered_and_refused(place: Place) -> None:
    """A client that would compress, as Attendee's would, is heard all the same, without it."""
    listener = await place.listen("--linger", 0.1)
    async with good_bot(listener), connect(listener.url, compression="deflate") as bot:
        assert bot.response is not None
        assert "Sec-WebSocket-Extensions" not in bot.response.headers
        await bot.send(attendee(SECOND, 1.0, bot="shy"))
        await listener.event("track.started", session="shy")
    assert_same((await listener.finished("shy")).samples("mixed"), SECOND)
    assert (await listener.stop()).status == 0


async def test_a_request_that_never_ends(place: Place) -> None:
    """Slowloris: who is no websocket in time is gone, however busily it drips; so is who says nothing at all."""
    listener = await place.listen("--linger", 0.1, "--handshake-timeout", 0.5)
    async with good_bot(listener), line(listener) as (reader, writer), line(listener) as (silent, _):
        dripping = asyncio.create_task(drip(writer))
        assert await end(reader) == b""
        assert await end(silent) == b""
        await dripping
    await listener.stop()
    assert len(told(listener, "--handshake-timeout")) == 2


async def drip(writer: asyncio.StreamWriter) -> None:
    """A request whose headers never end, one byte after the other."""
    writer.write(REQUEST[:-2])
    with suppress(ConnectionError):
        while True:
            writer.write(b"x")
            await writer.drain()
            await asyncio.sleep(0.02)


async def test_more_connections_than_there_may_be(place: Place) -> None:
    """Those that are there stay, no further one is taken, and when one leaves the next one has its place."""
    listener = await place.listen("--linger", 0.1, "--max-connections", 5)
    async with good_bot(listener), AsyncExitStack() as crowd:
        for _ in range(3):
            await crowd.enter_async_context(websocket(listener))
        async with websocket(listener):
            for _ in range(20):
                async with line(listener) as (reader, _):
                    assert await end(reader) == b""
        async with asyncio.timeout(20):
            while not await answers(listener):
                pass
    await listener.stop()
    first, rest = told(listener, "--max-connections")
    assert rest.startswith(f"{first}; ")


async def answers(listener: Listener) -> bool:
    """Whether a bot is taken."""
    try:
        async with connect(listener.url):
            return True
    except (ConnectionError, EOFError, InvalidHandshake):
        return False


async def test_more_connections_than_one_address_may_have(place: Place) -> None:
    """An address that has its share is refused, and another one is not."""
    listener = await place.listen("--linger", 0.1, "--max-per-address", 3)
    async with good_bot(listener), AsyncExitStack() as crowd:
        for _ in range(3):
            await crowd.enter_async_context(websocket(listener, STRANGER))
        async with line(listener, STRANGER) as (reader, _):
            assert await end(reader) == b""
        await call(listener.url, attendee(SECOND, 1.0, bot="other"))
    assert_same((await listener.finished("other")).samples("mixed"), SECOND)
    await listener.stop()
    assert len(told(listener, "--max-per-address")) == 1


async def test_a_connection_that_says_nothing(place: Place) -> None:
    """It answers every ping, and is closed by its idle time; who talks, or is idle for less, is not."""
    listener = await place.listen("--linger", 0.1, "--ping-interval", 0.1, "--idle-timeout", 0.5)
    async with good_bot(listener), connect(listener.url) as idle:
        with pytest.raises(ConnectionClosed) as closed:
            await idle.recv()
        assert closed.value.rcvd is not None
        assert closed.value.rcvd.code == 1001
    await listener.stop()
    assert len(told(listener, "--idle-timeout")) == 1


async def test_a_muted_bot_may_be_silent(place: Place) -> None:
    """Without an idle time, who answers pings stays, and who does not is dead."""
    listener = await place.listen("--linger", 0.1, "--ping-interval", 0.1)
    async with good_bot(listener), connect(listener.url) as muted, websocket(listener) as (reader, _):
        assert (await end(reader)).count(b"\x89\x00") == 1
        await muted.send(attendee(SECOND, 1.0, bot="muted"))
        await listener.event("track.started", session="muted")
    assert_same((await listener.finished("muted")).samples("mixed"), SECOND)
    await listener.stop()


async def test_many_that_say_nothing_all_day(place: Place) -> None:
    """Forty connections that come back as often as they are ended: the good bot is heard and spoken to all the same."""
    listener = await place.listen("--linger", 0.1)
    async with good_bot(listener):
        await asyncio.gather(*(flood(listener, kind) for kind in (Opcode.PONG, Opcode.PING, Opcode.TEXT) * 13))
    ended = await listener.stop()
    assert len(told(listener, "--max-small")) == 2
    assert ended.status == 0


async def flood(listener: Listener, kind: Opcode) -> None:
    """Two connections, one after the other, which send frames without content until they are ended."""
    nothing = frame(b"", kind) * 20_000
    for _ in range(2):
        async with websocket(listener) as (reader, writer):
            writer.write(nothing)
            await end(reader)


async def test_a_client_that_never_reads(place: Place) -> None:
    """It asks for pongs without end and leaves them all lying: its connection ends before they fill the memory."""
    listener = await place.listen("--linger", 0.1)
    async with good_bot(listener), deaf(listener) as send:
        with suppress(ConnectionError):
            while True:
                await send(frame(b"p" * 125, Opcode.PING) * 100)
    await listener.stop()
    assert len(told(listener, "does not read")) == 1


async def test_a_bot_that_never_reads_is_spoken_to(place: Place) -> None:
    """What it says is recorded; only who speaks to it may have to wait."""
    listener = await place.listen("--linger", 0.1)
    async with good_bot(listener), deaf(listener) as send:
        for at, piece in enumerate(chunks(ramp(3))):
            await send(frame(attendee(piece, (at + 1) / 10, bot="deaf").encode()))
        await listener.event("track.started", session="deaf")
        spoken = await place.run("speak", HELLO, "--bot", "deaf")
        assert spoken.status == 0
    assert_same((await listener.finished("deaf")).samples("mixed"), ramp(3))
    await listener.stop()


async def test_messages_that_never_end(place: Place) -> None:
    """Many that hold a large message back: who has the most in memory goes first, until there is room."""
    listener = await place.listen("--linger", 0.1, "--max-pending", "1M")
    async with good_bot(listener), websocket(listener) as small, websocket(listener) as large:
        small[1].write(beginning(2 * MIB, 400_000))
        large[1].write(beginning(2 * MIB, 800_000))
        await end(large[0])
        small[1].write(b"x" * (2 * MIB - 400_000 - 1))
        await end(small[0])
    await listener.stop()
    assert len(told(listener, "--max-pending")) == 2


async def test_messages_that_never_end_do_not_fill_the_memory(place: Place) -> None:
    """A quarter of a gigabyte of them, where 8 MiB are allowed: what was ended is let go of at once."""
    listener = await place.listen("--linger", 0.1, "--max-pending", "8M")
    async with good_bot(listener), AsyncExitStack() as crowd:
        before = memory_of(listener)
        lines = [await crowd.enter_async_context(websocket(listener)) for _ in range(60)]
        await asyncio.gather(*(never_end(writer) for _, writer in lines))
        assert memory_of(listener) - before < 64 * MIB
    await listener.stop()


async def never_end(writer: asyncio.StreamWriter) -> None:
    """Four megabytes of a message of five."""
    with suppress(ConnectionError):
        writer.write(beginning(5 * MIB, 0))
        for _ in range(4):
            writer.write(bytes(MIB))
            await writer.drain()


async def test_noise(place: Place) -> None:
    """Random bytes instead of a request and after one, TLS, HTTP, and a thousand connections that hang up at once."""
    listener = await place.listen("--linger", 0.1)
    dice = np.random.default_rng(1)
    async with good_bot(listener):
        for junk in (b"\x16\x03\x01\x02\x00", b"GET / HTTP/1.1\r\n\r\n", b"\r\n\r\n", dice.bytes(100_000)):
            async with line(listener) as (_, writer):
                writer.write(junk)
                await writer.drain()
        for _ in range(50):
            async with websocket(listener) as (_, writer):
                writer.write(dice.bytes(1000))
                await writer.drain()
        for _ in range(1000):
            async with line(listener):
                pass
    ended = await listener.stop()
    assert "Traceback" not in ended.err
    assert ended.status == 0


async def test_sessions_without_end_over_one_connection(place: Place) -> None:
    """A connection that makes up a bot with every message: its first ones are recorded, and so is the next bot."""
    listener = await place.listen("--linger", 0.1, "--max-per-connection", 5)
    async with good_bot(listener):
        await call(listener.url, *(attendee(SECOND, 1.0, bot=f"made_up_{n}") for n in range(300)))
        await call(listener.url, recall(SECOND, 0.0))
    assert_same((await listener.finished("rec")).samples("mixed"), SECOND)
    ended = await listener.stop()
    assert len(list(place.out.iterdir())) == 5 + 2
    assert told(listener, "; 294 more")
    assert ended.status == 6


async def test_more_sessions_than_there_may_be(place: Place) -> None:
    """Those that are there stay; a new one is recorded as soon as there is room."""
    listener = await place.listen("--linger", 0.1, "--max-sessions", 3)
    async with good_bot(listener):
        async with connect(listener.url) as first, connect(listener.url) as second:
            for at, bot in enumerate((first, second)):
                await bot.send(attendee(SECOND, 1.0, bot=f"bot_{at}"))
                await listener.event("track.started", session=f"bot_{at}")
            await call(listener.url, attendee(SECOND, 1.0, bot="late"))
            await (await first.ping())
            await listener.event("warning", message=told(listener, "--max-sessions")[0])
        await listener.finished("bot_0")
        await call(listener.url, attendee(SECOND, 1.0, bot="later"))
    assert_same((await listener.finished("later")).samples("mixed"), SECOND)
    ended = await listener.stop()
    assert not listener.told("session.started", session="late")
    assert ended.status == 6


async def test_tracks_without_end(place: Place) -> None:
    """A bot that makes up a participant with every message: the first ones are recorded, the rest is counted."""
    listener = await place.listen("--linger", 0.1, "--max-tracks", 3)
    async with good_bot(listener):
        made_up = [attendee(SECOND, 1.0, f"p{n}") for n in range(300)]
        await call(listener.url, attendee(SECOND, 1.0), *made_up, attendee(SECOND, 2.0))
    recording = await listener.finished("bot_1")
    ended = await listener.stop()

    assert [entry["track"] for entry in recording.manifest["tracks"]] == ["mixed", "p0", "p1"]
    assert recording.manifest["refused"] == 298
    assert recording.manifest["lossy"]
    assert_same(recording.samples("mixed"), np.concatenate((SECOND, SECOND)))
    assert len(told(listener, "--max-tracks")) == 1
    assert ended.status == 6


async def test_files_without_end(place: Place) -> None:
    """A connection that would have more files open than the system allows: others, control and later bots have some."""
    if shutil.which("prlimit") is None:
        pytest.skip("prlimit is not installed")
    listener = await place.listen("--linger", 0.1, within=("prlimit", "--nofile=400"))
    async with good_bot(listener), websocket(listener) as (_, writer):
        for n in range(500):
            writer.write(frame(attendee(SECOND[:160], 1.0, f"p{n % 20}", bot=f"made_up_{n // 20}").encode()))
        await listener.event("warning", message=NO_FILE_LEFT)
        await call(listener.url, attendee(SECOND, 1.0, bot="late"), attendee(SECOND, 1.0, "ana", bot="late"))
        late = await listener.finished("late")
        assert (await place.run("status", "--json")).json[0]["url"] == listener.url
    ended = await listener.stop()
    assert_same(late.samples("mixed"), SECOND)
    assert_same(late.samples("ana"), SECOND)
    assert not listener.told("error")
    assert ended.status == 6


async def test_a_disk_that_may_not_be_filled(place: Place) -> None:
    """At --max-disk nothing more is written; what was is whole, it is told and counted, and the status is 6."""
    place.out.mkdir()
    (place.out / "older").write_bytes(bytes(MIB))
    listener = await place.listen("--linger", 0.1, "--max-disk", "2M")
    async with connect(listener.url) as bot:
        for at in range(60):
            await bot.send(attendee(SECOND, at + 1.0))
            await (await bot.ping())
        error = await listener.event("error", session="bot_1")
    recording = await listener.finished("bot_1")
    ended = await listener.stop()

    assert "--max-disk" in error["message"]
    assert "--max-disk" in error["hint"]
    held = recording.samples("mixed")
    assert 0.8 * MIB < 2 * len(held) < MIB
    assert_same(held, np.tile(SECOND, 60)[: len(held)])
    assert recording.manifest["lost_samples"] == 60 * RATE - len(held)
    assert sum(size_of(path) for path in place.out.rglob("*")) <= 2 * MIB
    assert ended.status == 6


@pytest.mark.filterwarnings("ignore:.*multi-threaded, use of fork:DeprecationWarning")
async def test_a_disk_that_several_workers_may_not_fill(place: Place) -> None:
    """--max-disk is one limit for all of them: together they stay below it, and what each wrote before is whole."""
    place.out.mkdir()
    (place.out / "older").write_bytes(bytes(MIB))
    listener = await place.listen("--linger", 0.1, "--max-disk", "3M", "--workers", 2)
    ids = [id_of(0), id_of(1)]
    async with connect(listener.url) as one, connect(listener.url) as other:
        for at in range(60):
            for bot, name in zip((one, other), ids, strict=True):
                await bot.send(attendee(SECOND, at + 1.0, bot=name))
                await (await bot.ping())
    recordings = [await listener.finished(name) for name in ids]
    ended = await listener.stop()

    for recording in recordings:
        (error,) = listener.told("error", session=recording.manifest["session"])
        assert "--max-disk" in error["message"]
        held = recording.samples("mixed")
        assert 0.7 * MIB < 2 * len(held) < 1.3 * MIB
        assert_same(held, np.tile(SECOND, 60)[: len(held)])
        assert recording.manifest["lost_samples"] == 60 * RATE - len(held)
    assert 2.8 * MIB < sum(size_of(path) for path in place.out.rglob("*")) <= 3 * MIB
    assert ended.status == 6


async def test_room_that_is_made_is_used(place: Place) -> None:
    """Recordings that somebody removes make room for the calls that go on."""
    place.out.mkdir()
    (place.out / "older").write_bytes(bytes(2 * MIB))
    listener = await place.listen("--linger", 0.1, "--max-disk", "2M")
    async with connect(listener.url) as bot:
        await bot.send(attendee(SECOND, 1.0))
        await listener.says("--max-disk")
        (place.out / "older").unlink()
        at = 1
        while not listener.told("session.started"):
            at += 1
            await bot.send(attendee(SECOND, float(at)))
            await (await bot.ping())
        await bot.send(attendee(SECOND, at + 1.0))
    recording = await listener.finished("bot_1")
    assert_same(recording.samples("mixed")[-RATE:], SECOND)
    assert (await listener.stop()).status == 6


def size_of(path: Path) -> int:
    return path.lstat().st_blocks * 512


async def test_idle_connections_cost_little(place: Place) -> None:
    """Thousands of open connections that say nothing: the memory of each is printed, and the good bot feels none."""
    listener = await place.listen("--linger", 0.1)
    async with good_bot(listener):
        each = await cost(listener)
        assert not listener.warnings()
        print(f"{IDLE} idle connections: {each:.0f} bytes each")
    assert each < 32 * 1024
    assert (await listener.stop()).status == 0


async def test_idle_connections_over_tls_cost_little_more(place: Place) -> None:
    """The same with what OpenSSL keeps of each."""
    authority, both = trustme.CA(), place.folder / "both.pem"
    authority.issue_cert("127.0.0.1").private_key_and_cert_chain_pem.write_to_path(str(both))
    trust = ssl.create_default_context()
    authority.configure_trust(trust)
    listener = await place.listen("--tls-cert", both)
    each = await cost(listener, trust)
    print(f"{IDLE} idle connections over TLS: {each:.0f} bytes each")
    assert each < 64 * 1024
    assert not listener.warnings()
    assert (await listener.stop()).status == 130


async def cost(listener: Listener, trust: ssl.SSLContext | None = None) -> float:
    """Bytes of memory that each of many idle connections takes."""
    async with AsyncExitStack() as crowd:
        before = memory_of(listener)
        for _ in range(0, IDLE, AT_ONCE):
            lines = (crowd.enter_async_context(websocket(listener, trust=trust)) for _ in range(AT_ONCE))
            await asyncio.gather(*lines)
        return (memory_of(listener) - before) / IDLE


def memory_of(listener: Listener) -> int:
    """Resident bytes."""
    pages = Path(f"/proc/{listener.process.pid}/statm").read_text("ascii").split()[1]
    return int(pages) * os.sysconf("SC_PAGE_SIZE")


async def test_limits_hold_over_workers(place: Place) -> None:
    """Each process has its share, so that together they never take more than was asked for; what they say is one."""
    listener = await place.listen("--linger", 0.1, "--max-connections", 8, "--workers", 2)
    async with good_bot(listener), AsyncExitStack() as crowd:
        for _ in range(40):
            await crowd.enter_async_context(line(listener))
        assert "--max-connections" in (await listener.event("warning"))["message"]
    assert (await listener.stop()).status == 0
    first, rest = told(listener, "--max-connections")
    assert rest.startswith(f"{first}; ")
