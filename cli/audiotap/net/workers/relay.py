"""The control socket of a listener with several workers: asks all of them, and passes on what is for one.

Clients see one listener. Which bot is meant is decided here, by the rule that every listener has (`net.choice`); what
follows goes both ways as it is, to the worker that records the bot's session.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import msgspec
from websockets.asyncio.client import ClientConnection
from websockets.asyncio.connection import Connection
from websockets.exceptions import ConnectionClosed

from audiotap.dialects import native
from audiotap.errors import AudiotapError, NobodyError, WireError
from audiotap.events import Ask, Attach, Fault, Status, Watch
from audiotap.net.choice import choose
from audiotap.net.control.audience import Unread, decoded, show
from audiotap.net.control.sockets import dial_control, say
from audiotap.net.ownership import owner
from audiotap.net.tasks import first_of
from audiotap.net.workers.levels import Board
from audiotap.sinks.meter import Levels

AGAIN_SECONDS = 0.2
"""After which a worker that is gone is asked again."""


class Relay:
    """One listener in front of several: `itself` but for the sessions. `paths` are the workers' own control sockets."""

    def __init__(self, itself: Status, paths: Sequence[Path]) -> None:
        self.itself = itself
        self.over = asyncio.Event()
        self._paths = paths

    async def serve(self, connection: Connection) -> None:
        """Answer one control client, until it or the worker that it talks to has enough."""
        with suppress(ConnectionClosed):
            async for wire in connection:
                try:
                    if await self._answer(connection, wire):
                        return
                except WireError as error:
                    await say(connection, Fault("USAGE", f"not understood: {error}"))
                except AudiotapError as error:
                    await say(connection, Fault(error.status.name, error.message, error.hint))

    async def _answer(self, connection: Connection, wire: str | bytes) -> bool:
        """Answer a message; whether a worker answered all the others."""
        match native.decode(wire):
            case Ask():
                await say(connection, await self.status())
            case Watch():
                await self._watch(connection)
                return True
            case Attach(bot, away, deaf):
                chosen = choose((await self.status()).sessions, bot, away=away, deaf=deaf)
                path = self._paths[owner((chosen.provider, chosen.session), len(self._paths))]
                async with _dialled(path) as worker:
                    await say(worker, Attach(chosen.session, away, deaf))
                    await first_of(_both_ways(connection, worker), connection.wait_closed())
                return True
            case _:
                raise WireError("nothing was attached to")
        return False

    async def _watch(self, connection: Connection) -> None:
        """Show a watcher what all workers show, as if they were one; those that are started again are asked again."""
        board, unread = Board(), Unread(())
        asking = [asyncio.create_task(_overlook(n, path, board, unread)) for n, path in enumerate(self._paths)]
        try:
            await show(connection, unread.take, board.measure, self.over)
        finally:
            for task in asking:
                task.cancel()
            await asyncio.gather(*asking, return_exceptions=True)

    async def status(self) -> Status:
        """How everything stands; a worker that is being started again has nothing to say."""
        told = await asyncio.gather(*map(_status, self._paths))
        sessions = tuple(session for status in told if status for session in status.sessions)
        return msgspec.structs.replace(self.itself, sessions=sessions)


async def _overlook(worker: int, path: Path, board: Board, unread: Unread) -> None:
    """Take what one worker shows, as long as anybody wants it. Never returns."""
    while True:
        with suppress(OSError, ConnectionClosed):
            async with await dial_control(path) as connection:
                await say(connection, Watch())
                async for wire in connection:
                    with suppress(WireError):
                        shown = decoded(wire)
                        if isinstance(shown, Levels):
                            board.put(worker, shown.sessions)
                        else:
                            unread.put(shown)
        board.put(worker, ())
        await asyncio.sleep(AGAIN_SECONDS)


async def _status(path: Path) -> Status | None:
    with suppress(OSError, ConnectionClosed, WireError):
        async with await dial_control(path) as worker:
            await say(worker, Ask())
            status = native.decode(await worker.recv())
            return status if isinstance(status, Status) else None
    return None


@asynccontextmanager
async def _dialled(path: Path) -> AsyncIterator[ClientConnection]:
    """A connection to a worker, which ends as a client's does: at once, since a farewell would wait behind speech."""
    try:
        worker = await dial_control(path)
    except OSError as error:
        raise NobodyError("the bot's connection was just lost", "it will be back: add --wait SECONDS") from error
    try:
        yield worker
    finally:
        worker.transport.abort()
        await worker.wait_closed()


async def _both_ways(client: Connection, worker: Connection) -> None:
    """Pass on what either says, until the worker has said all; a client that has said all still waits for answers."""
    asking = asyncio.create_task(_pass_on(client, worker))
    try:
        await _pass_on(worker, client)
    finally:
        asking.cancel()
        await asyncio.gather(asking, return_exceptions=True)


async def _pass_on(source: Connection, target: Connection) -> None:
    with suppress(ConnectionClosed):
        async for wire in source:
            await target.send(wire)
