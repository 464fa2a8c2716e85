"""A simulated bot's connection: dialled, lost and dialled again by its vendor's rule."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping

import msgspec
from websockets.asyncio.client import ClientConnection
from websockets.exceptions import ConnectionClosed

from audiotap.errors import NobodyError
from audiotap.net.peer import dial
from audiotap.text import without_path

MAX_INCOMING = 1024 * 1024
"""What Attendee's client takes in one message; a larger one closes the connection with 1009."""


class Retry(msgspec.Struct, frozen=True):
    """How a vendor dials again: at once after a loss or not, seconds between tries, and tries per outage.

    Without `again` a connection that is lost is the end.
    """

    first: float
    delay: float
    tries: int
    again: bool = True


class Line:
    """One connection of a bot, dialled again by the vendor's rule; what is sent while it's down is dropped."""

    def __init__(
        self,
        url: str,
        retry: Retry,
        heard: Callable[[str | bytes], None],
        tell: Callable[[str], None],
        headers: Mapping[str, str] | None = None,
    ) -> None:
        self.connections = 0
        self.failed_tries = 0
        self.gave_up = False
        self._url = url
        self._retry = retry
        self._heard = heard
        self._tell = tell
        self._headers = headers
        self._connection: ClientConnection | None = None
        self._away_until = 0.0
        self._closing = False
        self._settled = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    async def send(self, wire: str | bytes) -> bool:
        """Send a message if there is a connection; the first one makes the bot dial, and is dropped."""
        self._start()
        if self._connection is None:
            return False
        try:
            await self._connection.send(wire)
        except ConnectionClosed:
            return False
        return True

    async def settle(self) -> None:
        """Dial now, and return when the first try has succeeded or failed."""
        self._start()
        await self._settled.wait()

    def drop(self, away: float) -> None:
        """Lose the connection without a closing handshake; nobody answers for `away` seconds."""
        self._away_until = asyncio.get_running_loop().time() + away
        if self._connection is not None:
            self._connection.transport.close()
            self._connection = None

    async def close(self) -> None:
        """Close normally; what was sent before arrives."""
        self._closing = True
        if self._connection is not None:
            await self._connection.close()
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    def _start(self) -> None:
        if self._task is None:
            self._task = asyncio.create_task(self._keep_dialling(), name="line")

    async def _keep_dialling(self) -> None:
        tries = 0
        while tries < self._retry.tries and not self._closing:
            try:
                connection = await self._dial()
            except NobodyError as error:
                tries += 1
                self._tell(f"{error.message}; try {tries} of {self._retry.tries}, next in {self._retry.delay:g} s")
                self.failed_tries += 1
                self._settled.set()
                await asyncio.sleep(self._retry.delay)
                continue
            tries = 0
            await self._stay(connection)
            if not self._retry.again:
                break
            if not self._closing:
                await asyncio.sleep(self._retry.first)
        self.gave_up = not self._closing

    async def _dial(self) -> ClientConnection:
        if asyncio.get_running_loop().time() < self._away_until:
            raise NobodyError(f"cannot connect to {without_path(self._url)}: the network is away (simulated)")
        return await dial(self._url, max_size=MAX_INCOMING, headers=self._headers)

    async def _stay(self, connection: ClientConnection) -> None:
        self._connection = connection
        self.connections += 1
        self._settled.set()
        try:
            async for wire in connection:
                self._heard(wire)
        except ConnectionClosed:
            pass
        finally:
            self._connection = None
