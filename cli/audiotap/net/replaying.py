"""A capture played to a server over the network: one connection for each captured one, frame by frame, in time.

One hand does it all, so that nothing overtakes anything on its way out, whatever the speed. What the server says is
read and left alone.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from contextlib import suppress

import msgspec
from websockets.asyncio.client import ClientConnection
from websockets.exceptions import ConnectionClosed

from audiotap.capture import Capture, Left, Opened, Took
from audiotap.errors import NobodyError
from audiotap.net.peer import dial

LOSING_SECONDS = 1.0
"""That a server has to close its end of a connection that was lost."""


class Outcome(msgspec.Struct):
    """What became of a replay; `unsent` are frames for which there was no connection any more."""

    connections: int = 0
    refused: int = 0
    frames: int = 0
    unsent: int = 0
    bytes: int = 0
    seconds: float = 0.0
    whole: bool = False


async def replay(capture: Capture, url: str, speed: float, tell: Callable[[str], None], outcome: Outcome) -> None:
    """Play a capture to a server, so many times as fast as it was; `outcome` counts as it goes.

    NobodyError when the server never answers, CaptureError where the file is damaged.
    """
    loop = asyncio.get_running_loop()
    began = loop.time()
    stage = _Stage(url, tell, outcome)
    try:
        for moment in capture:
            await asyncio.sleep(max(0.0, began + (moment.t - capture.hello.t) / speed - loop.time()))
            match moment:
                case Opened():
                    await stage.open(moment.connection)
                case Took():
                    await stage.say(moment.connection, moment.wires)
                case Left():
                    await stage.leave(moment.connection, lost=moment.lost)
        outcome.whole = capture.whole
    finally:
        await stage.close()
        outcome.seconds = loop.time() - began


class _Stage:
    """The connections of a replay."""

    def __init__(self, url: str, tell: Callable[[str], None], outcome: Outcome) -> None:
        self._url = url
        self._tell = tell
        self._outcome = outcome
        self._open: dict[int, tuple[ClientConnection, asyncio.Task[None]]] = {}

    async def open(self, number: int) -> None:
        """Dial."""
        try:
            connection = await dial(self._url)
        except NobodyError as error:
            if not self._outcome.connections:
                raise
            self._outcome.refused += 1
            self._tell(f"connection {number}: {error.message}")
            return
        self._outcome.connections += 1
        self._open[number] = connection, asyncio.create_task(_hear(connection), name=f"hearing {number}")

    async def say(self, number: int, wires: Sequence[str | bytes]) -> None:
        """Send what was read at once, at once."""
        connection, _ = self._open.get(number, (None, None))
        for at, wire in enumerate(wires):
            try:
                if connection is not None:
                    await connection.send(wire)
            except ConnectionClosed as error:
                self._tell(f"connection {number}: the server ended it: {error}")
                self._forget(number)
                connection = None
            if connection is None:
                self._outcome.unsent += len(wires) - at
                return
            self._outcome.frames += 1
            self._outcome.bytes += len(wire)

    async def leave(self, number: int, *, lost: bool) -> None:
        """End a connection as it ended: with a goodbye, or without one after all that was said."""
        if number not in self._open:
            return
        connection, _ = self._open[number]
        if lost:
            await _lose(connection)
        else:
            await connection.close()
        self._forget(number)

    async def close(self) -> None:
        """Say goodbye on every connection that was open to the end."""
        for number in list(self._open):
            await self.leave(number, lost=False)

    def _forget(self, number: int) -> None:
        _, hearing = self._open.pop(number)
        hearing.cancel()


async def _lose(connection: ClientConnection) -> None:
    """End a connection without a goodbye. Its end comes behind all that was said: a reset would overtake that."""
    if connection.transport.can_write_eof():
        connection.transport.write_eof()
        with suppress(TimeoutError):
            async with asyncio.timeout(LOSING_SECONDS):
                await connection.wait_closed()
    connection.transport.close()
    await connection.wait_closed()


async def _hear(connection: ClientConnection) -> None:
    """Read what the server says, so that it can go on."""
    with suppress(ConnectionClosed):
        async for _ in connection:
            pass
