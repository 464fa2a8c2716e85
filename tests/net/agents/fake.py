"""A vendor that speaks our own vocabulary as JSON, its server on a real socket, and a clock that tests move on."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from http import HTTPStatus
from typing import ClassVar, TypeVar

import msgspec
from tests.signals import RATE
from websockets.asyncio.server import ServerConnection, serve
from websockets.datastructures import Headers
from websockets.http11 import Request, Response
from websockets.typing import Subprotocol

from audiotap.agent_events import (
    AgentEvent,
    Cancel,
    Conclude,
    Concluded,
    Configure,
    Configured,
    Leave,
    Met,
    Resume,
    UserEvent,
)
from audiotap.dialects.agents.base import Account, Address, AgentDialect, AgentSettings, Ending, Memory, Step
from audiotap.dialects.base import Side
from audiotap.errors import Exit, UnspokenError, WireError
from audiotap.events import Fault
from audiotap.net.agents.agent import Agent
from audiotap.net.tasks import wait_for
from audiotap.reports import Odd, Report

T = TypeVar("T")
KEY = "sk-k3y-of-nobody"
STEP = 0.01
TURNS = 8
"""Rounds of the loop in which everything happens that is due."""
ANSWER_SECONDS = 5.0
"""How long the vendor may take to say that a conversation is concluded."""
_DECODER = msgspec.json.Decoder(UserEvent | AgentEvent)


class Clock:
    """The running loop's clock, moved on by hand: what would take minutes is over at once."""

    def __init__(self) -> None:
        loop = asyncio.get_running_loop()
        real = loop.time
        self.ahead = 0.0
        setattr(loop, "time", lambda: real() + self.ahead)  # noqa: B010 - an assignment is what mypy forbids

    def advance(self, seconds: float) -> None:
        self.ahead += seconds

    async def go(self, seconds: float) -> None:
        """Let time pass little by little, with everything that is due in it."""
        for _ in range(round(seconds / STEP)):
            self.advance(STEP)
            for _ in range(TURNS):
                await asyncio.sleep(0)

    async def until(self, work: asyncio.Task[T]) -> T:
        """Move on, second by second, until some work that waits for nothing but time is done."""
        while not work.done():
            self.advance(1.0)
            await asyncio.sleep(0)
        return await work


class Fake:
    """Met, Configure, Configured: then it may be spoken to."""

    name: ClassVar[str] = "fake"
    rates: ClassVar[tuple[int, ...]] = (RATE,)
    block: ClassVar[float] = 0.02
    most_per_minute: ClassVar[int] = 0
    idle: ClassVar[float] = 0.0
    silent: ClassVar[str] = "look at the fake"

    def __init__(self, side: Side, settings: AgentSettings = AgentSettings(), memory: Memory = Memory()) -> None:  # noqa: B008 - both are frozen
        self.side = side
        self.ready = False
        self.rate = self.output_rate = RATE
        self._settings = settings
        self._memory = memory
        self._fault: Fault | None = None

    @classmethod
    def address(cls, account: Account, settings: AgentSettings) -> Address:  # noqa: ARG003 - the protocol has it
        return Address(account.url, {"Authorization": f"Bearer {account.key}"}, ("fake", f"key.{account.key}"))

    def opening(self) -> list[UserEvent]:
        return []

    def reply(self, event: AgentEvent) -> list[UserEvent]:
        if isinstance(event, Met):
            resume = [Resume(self._memory.conversation)] if self._memory.conversation else []
            return [Configure({"model": self._settings.model}), *resume, *self._memory.said]
        self.ready = self.ready or isinstance(event, Configured)
        return []

    def leaving(self, *, finish: bool) -> list[Step]:
        return [Step(Conclude(), Concluded, ANSWER_SECONDS)] * finish + [Step(Leave())]

    def ending(self, code: int, reason: str) -> Ending:
        if self._fault is not None:
            return Ending(self._fault.message, "pay", status=Exit.REFUSED)
        again = code in {1006, 1011, 1012}
        return Ending(f"{code} {reason}".strip(), again=again, status=Exit.OK if code == 1000 else Exit.FAILED)

    def decode(self, wire: str | bytes) -> list[UserEvent | AgentEvent]:
        try:
            event = _DECODER.decode(wire)
        except (msgspec.MsgspecError, UnicodeError, RecursionError) as error:
            raise WireError(f"{error}: {wire[:80]!r}") from error
        if isinstance(event, Fault) and event.fatal:
            self._fault = event
        return [event]

    def encode(self, event: UserEvent | AgentEvent) -> list[str | bytes]:
        if isinstance(event, Cancel):
            raise UnspokenError
        return [msgspec.json.encode(event).decode()]


THEIRS = Fake(Side.THEIRS)


class Line:
    """One connection, at the vendor's end."""

    def __init__(self, connection: ServerConnection) -> None:
        self.connection = connection

    async def heard(self) -> UserEvent | AgentEvent:
        """What we said next."""
        (event,) = THEIRS.decode(await self.connection.recv())
        return event

    async def heard_next(self, count: int) -> list[UserEvent | AgentEvent]:
        """The next things that we said."""
        return [await self.heard() for _ in range(count)]

    async def heard_all(self) -> list[UserEvent | AgentEvent]:
        """All that we said, to the end of the connection."""
        return [event async for wire in self.connection for event in THEIRS.decode(wire)]

    async def say(self, *events: AgentEvent) -> None:
        for event in events:
            for wire in THEIRS.encode(event):
                await self.connection.send(wire)

    async def configure(self, conversation: str = "") -> None:
        """Let us in, to the point where we may speak."""
        await self.say(Met())
        await self.heard()
        await self.say(Configured(conversation))

    def cut(self) -> None:
        """Be gone without a word."""
        self.connection.transport.abort()


class Vendor:
    """A vendor's server: connections for whoever awaits them, HTTP statuses for those that are to be refused."""

    def __init__(self) -> None:
        self.url = ""
        self.refusals: deque[Response] = deque()
        self.requests: list[Request] = []
        self.lines: asyncio.Queue[Line] = asyncio.Queue()
        self.asked = asyncio.Event()
        self.answers = asyncio.Event()
        self.answers.set()

    async def met(self) -> Line:
        """The next connection."""
        return await self.lines.get()

    def refuse(self, status: int, body: str = "", **headers: str) -> None:
        """The next request is answered with this instead."""
        told = Headers({"Content-Length": str(len(body.encode())), "Connection": "close"} | headers)
        self.refusals.append(Response(status, HTTPStatus(status).phrase, told, body.encode()))

    async def admit(self, _: ServerConnection, request: Request) -> Response | None:
        self.requests.append(request)
        self.asked.set()
        await self.answers.wait()
        return self.refusals.popleft() if self.refusals else None

    async def perform(self, connection: ServerConnection) -> None:
        self.lines.put_nowait(Line(connection))
        await connection.wait_closed()


@asynccontextmanager
async def vending() -> AsyncIterator[Vendor]:
    """A vendor's server, while the block runs."""
    vendor = Vendor()
    async with serve(
        vendor.perform,
        "127.0.0.1",
        0,
        process_request=vendor.admit,
        select_subprotocol=lambda _, offered: Subprotocol("fake") if "fake" in offered else None,
        compression=None,
        max_size=None,
        close_timeout=1.0,
    ) as server:
        vendor.url = f"ws://127.0.0.1:{server.sockets[0].getsockname()[1]}/agent?key={KEY}"
        yield vendor


class Told(list[T]):
    """What was told, and a way to wait for it."""

    def __init__(self) -> None:
        super().__init__()
        self._more = asyncio.Event()

    def add(self, one: T) -> None:
        self.append(one)
        self._more.set()

    async def until(self, count: int) -> None:
        """Return when so much was told."""
        while len(self) < count:
            self._more.clear()
            await wait_for(self._more, 30)


class Ear:
    """Who hears an agent."""

    def __init__(self) -> None:
        self.heard: Told[AgentEvent] = Told()
        self.losses: Told[Ending] = Told()

    def hear(self, event: AgentEvent) -> None:
        self.heard.add(event)

    def lost(self, ending: Ending) -> None:
        self.losses.add(ending)


class Talk:
    """An agent of a vendor, who hears it, and what it reported."""

    def __init__(
        self,
        vendor: Vendor | str,
        dialect: type[AgentDialect] = Fake,
        conversation: str = "",
        *,
        key: str = KEY,
        patient: bool = False,
    ) -> None:
        self.ear = Ear()
        self.told: Told[Report] = Told()
        url = vendor if isinstance(vendor, str) else vendor.url
        self.agent = Agent(
            dialect, Account(key, url), AgentSettings(), self.ear, self.told.add, conversation, patient=patient
        )

    @property
    def oddities(self) -> list[str]:
        return [report.message for report in self.told if isinstance(report, Odd)]

    async def begin(self, vendor: Vendor, conversation: str = "") -> Line:
        """Open, and be let in."""
        opening = asyncio.create_task(self.agent.open())
        line = await vendor.met()
        await line.configure(conversation)
        await opening
        return line


@asynccontextmanager
async def nothing_left() -> AsyncIterator[None]:
    """What is started within the block has ended with it."""
    before = asyncio.all_tasks()
    yield
    left = asyncio.all_tasks() - before - {asyncio.current_task()}
    assert not left, f"still there: {sorted(task.get_name() for task in left)}"
