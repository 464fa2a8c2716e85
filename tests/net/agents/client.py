"""A client of a simulated agent: a dialect on a real websocket, and what was heard on it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any, TypeVar, cast

import msgspec
from tests.signals import spaced
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed
from websockets.typing import Subprotocol

from audiotap.agent_events import AgentEvent, Listen, Speech, UserEvent
from audiotap.audio import SAMPLE_BYTES, Chunk
from audiotap.dialects.agents.base import Account, AgentDialect, AgentSettings, Wire
from audiotap.dialects.base import Side
from audiotap.errors import WireError

DEADLINE = 20.0
NEEDED = AgentSettings(model="model")
SERVICE = AgentSettings(service="service")


def needed(kind: type[AgentDialect], **settings: Any) -> AgentSettings:
    """Settings with what a vendor's dialect has to be told beside them."""
    return msgspec.structs.replace({"amigo": SERVICE, "botify": AgentSettings()}.get(kind.name, NEEDED), **settings)


T = TypeVar("T")


class Client:
    """Reads for ever; what the agent said is in `events`."""

    def __init__(self, connection: ClientConnection, dialect: AgentDialect) -> None:
        self.connection = connection
        self.dialect = dialect
        self.events: list[AgentEvent] = []
        self.malformed = 0
        self._news = asyncio.Condition()
        self.over = asyncio.Event()

    async def say(self, *events: UserEvent) -> None:
        for event in events:
            for wire in self.dialect.encode(event):
                await self.connection.send(wire)

    async def talk(self, pcm: bytes, silence: float = 1.0) -> None:
        """Speech and then silence, as fast as it can be sent, in the dialect's blocks."""
        rate = self.dialect.rate
        pcm += bytes(SAMPLE_BYTES * round(silence * rate))
        for piece in spaced(len(pcm), SAMPLE_BYTES * round(self.dialect.block * rate)):
            await self.say(Listen(Chunk(pcm[piece], rate)))

    async def hears(self, kind: type[T], after: int = 0, *, when: Callable[[T], bool] = lambda _: True) -> T:
        """The first event of a kind, already heard or still to come, among those from `after` on."""
        return await self.until(
            lambda: next((one for one in self.events[after:] if isinstance(one, kind) and when(one)), None)
        )

    async def until(self, look: Callable[[], T | None]) -> T:
        async with asyncio.timeout(DEADLINE), self._news:
            while (found := look()) is None:
                assert not self.over.is_set(), f"closed with {self.connection.close_code}"
                await self._news.wait()
            return found

    async def ends(self) -> int:
        """The close code; 1006 if there was none."""
        async with asyncio.timeout(DEADLINE):
            await self.over.wait()
        return self.connection.close_code or 1006

    @property
    def voice(self) -> bytes:
        """All that the agent said."""
        return b"".join(one.chunk.pcm for one in self.events if isinstance(one, Speech))

    async def read(self) -> None:
        """Hear and do what manners ask for, until the connection ends."""
        try:
            await self.say(*self.dialect.opening())
            async for wire in self.connection:
                await self._take(wire)
        except ConnectionClosed:
            pass
        async with self._news:
            self.over.set()
            self._news.notify_all()

    async def _take(self, wire: Wire) -> None:
        try:
            told = self.dialect.decode(wire)
        except WireError:
            self.malformed += 1
            told = []
        async with self._news:
            for event in told:
                self.events.append(cast("AgentEvent", event))
                await self.say(*self.dialect.reply(cast("AgentEvent", event)))
            self._news.notify_all()


@asynccontextmanager
async def dialled(
    kind: type[AgentDialect], url: str, settings: AgentSettings | None = None, key: str = "key"
) -> AsyncIterator[Client]:
    """A client that may speak: the opening is done."""
    async with connected(kind, url, settings, key) as client:
        await client.until(lambda: client.dialect.ready or None)
        yield client


@asynccontextmanager
async def connected(
    kind: type[AgentDialect], url: str, settings: AgentSettings | None = None, key: str = "key"
) -> AsyncIterator[Client]:
    """A client that has been let in."""
    settings = settings or needed(kind)
    organization = "org" if kind.name == "amigo" else ""
    address = kind.address(Account(key=key, url=url, organization=organization), settings)
    offered = [Subprotocol(one) for one in address.subprotocols]
    async with connect(
        address.url,
        additional_headers=address.headers,
        subprotocols=offered or None,
        compression=None,
        close_timeout=1,
    ) as connection:
        client = Client(connection, kind(Side.OURS, settings))
        reading = asyncio.create_task(client.read())
        try:
            yield client
        finally:
            await connection.close()
            await reading
