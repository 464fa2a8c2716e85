"""The tap and its connections: who is alive, who is held back, and who may bring a track."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime

from tests.scenarios.harness import attendee, ramp
from websockets.asyncio.client import connect

from audiotap.capture import VERSION, Hello
from audiotap.events import UNASKED
from audiotap.net.door.limits import Limits
from audiotap.net.live import Link
from audiotap.net.peer import bind
from audiotap.net.port import Port
from audiotap.net.rerecording import CapturedClock, Deaf
from audiotap.net.tap import NO_FILE_LEFT, SESSION_FILES, Tap
from audiotap.reports import Odd, Report
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


# Files that may be open


class Room:
    """A tap that may have a thousand files open, on a clock that goes when it is told to."""

    def __init__(self) -> None:
        self.reports: list[Report] = []
        self.clock = CapturedClock(Hello(0.0, VERSION, "test", datetime.now(UTC), "wav", None, 1, 1, 1))
        self.tap = Tap(self.reports.append, linger=10.0, limits=Limits(files=1000), clock=self.clock)
        self.tap.start([Wide()], telling=False)

    def bot(self, session: str, tracks: int) -> Link:
        """A bot that brings so many participants."""
        link = self.tap.connect(Deaf(UNASKED))
        link.take([attendee(ramp(0.01), 1.0, f"p{n}", bot=session) for n in range(tracks)])
        return link

    def held(self, session: str) -> int:
        """Tracks of a session that are recorded."""
        live = self.tap.sessions.get(("attendee", session))
        return len(live.session.tracks) if live is not None else 0


class Wide(Narrow):
    """A lane that takes everything."""

    ready = True


async def test_a_connection_cannot_take_the_last_file() -> None:
    """It gets a quarter of all; what it is refused is counted and told once; however often it dials, a bot has room."""
    room = Room()
    hog = room.bot("hog", 600)
    assert room.held("hog") == 250 - SESSION_FILES
    assert room.tap.sessions["attendee", "hog"].session.refused == 600 - room.held("hog")
    assert room.reports == [Odd(NO_FILE_LEFT)]
    for n in range(9):
        room.bot(f"hog {n}", 600).leave(lost=True)
    room.bot("good", 5)
    assert room.held("good") == 5
    hog.take([attendee(ramp(0.01), 1.0, bot="one more")])
    assert room.held("one more") == 0
    assert room.tap.lossy
    await room.tap.close("the test is over")


async def test_files_of_a_session_that_is_over_are_free_again() -> None:
    """The next connection may have as many as the first one."""
    room = Room()
    for n in range(20):
        room.clock.go_to(20.0 * n)
        room.bot(f"bot {n}", 250 - SESSION_FILES).leave(lost=True)
        assert room.held(f"bot {n}") == 250 - SESSION_FILES
    assert not room.reports
    await room.tap.close("the test is over")
