"""The client's end of control: find a running listener and the bot that is meant, and tell it what to do."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import TypeVar

import msgspec
from websockets.asyncio.client import ClientConnection
from websockets.exceptions import ConnectionClosed

from audiotap.audio import Chunk
from audiotap.dialects import native
from audiotap.errors import AudiotapError, Exit, NobodyError, UsageError, WireError
from audiotap.events import (
    Ask,
    Attach,
    Attached,
    ControlEvent,
    Done,
    Fault,
    Finish,
    Finished,
    Pause,
    Progress,
    Speak,
    Status,
    Stop,
    Watch,
    is_meant,
)
from audiotap.files import is_ours
from audiotap.net.control.audience import Shown, decoded
from audiotap.net.control.sockets import dial_control, say
from audiotap.net.tasks import from_thread

T = TypeVar("T")
RETRY_SECONDS = 0.2


class Listener:
    """A running listener as a control client sees it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.port = int(path.stem.partition("-")[0])

    async def status(self) -> Status | None:
        """How it stands; None if it's gone (its socket is then removed, and those of its workers)."""
        try:
            async with await dial_control(self.path) as connection:
                await say(connection, Ask())
                status = await _hear(connection)
        except (ConnectionRefusedError, FileNotFoundError):
            self.path.unlink(missing_ok=True)
            shutil.rmtree(self.path.with_suffix(""), ignore_errors=True)
            return None
        except (OSError, ConnectionClosed):
            return None
        return status if isinstance(status, Status) else None


def listeners(folder: Path, port: int | None) -> list[Listener]:
    """The listeners of this user, or those on one port. A folder that is somebody else's is not looked into."""
    if not folder.is_dir() or not is_ours(folder.stat()):
        return []
    found = [Listener(path) for path in sorted(folder.glob("*-*.sock")) if path.stem.partition("-")[0].isdecimal()]
    return [one for one in found if port is None or one.port == port]


async def statuses(folder: Path, port: int | None) -> list[tuple[Listener, Status]]:
    """Every running listener with how it stands."""
    asked = [(one, await one.status()) for one in listeners(folder, port)]
    return [(one, status) for one, status in asked if status is not None]


async def answering_within(seconds: float, folder: Path, port: int | None) -> list[tuple[Listener, Status]]:
    """The running listeners that say in time how they stand; one that is busy holds up nobody."""
    asking = {asyncio.create_task(one.status()): one for one in listeners(folder, port)}
    if not asking:
        return []
    await asyncio.wait(asking, timeout=seconds)
    late = [task for task in asking if not task.done()]
    for task in late:
        task.cancel()
    answered = [(one, task.result()) for task, one in asking.items() if task not in late and not task.exception()]
    return [(one, status) for one, status in answered if status is not None]


async def bots_url(folder: Path, port: int | None) -> str:
    """Where bots dial the listener that runs; NobodyError when none does, UsageError when several do."""
    running = await statuses(folder, port)
    chosen = _choose(running, Target(folder, port))
    return next(status.address for one, status in running if one is chosen)


async def bots_heard(provider: str, folder: Path, port: int | None, bot: str) -> list[str]:
    """The provider's own ids of its bots that running listeners hear, of those that `bot` means."""
    running = await statuses(folder, port)
    sessions = [session for _, status in running for session in status.sessions if session.provider == provider]
    return sorted({one.bot or one.session for one in sessions if is_meant(bot, one.session, one.bot)})


class Target(msgspec.Struct, frozen=True):
    """Which bot is meant: folder of the control sockets, a listener's port, a bot's id or its beginning.

    `wait` is for how many seconds it may be missing; `away` takes one that has no connection right now, too.
    """

    folder: Path
    port: int | None = None
    bot: str = ""
    wait: float = 0.0
    away: bool = False


class Attachment:
    """A connection to a listener, attached to one bot."""

    def __init__(self, connection: ClientConnection, to: Attached) -> None:
        self.connection = connection
        self.to = to

    async def pause(self, pause: Pause) -> Done:
        await say(self.connection, pause)
        return await self._done()

    async def stop(self) -> Done:
        await say(self.connection, Stop())
        return await self._done()

    async def speak(self, chunks: Iterator[Chunk], progress: Callable[[Progress], None]) -> Finished:
        """Send speech and return when it's over; cancelling drops what is queued of it. Raises what reading raises."""
        sending = asyncio.create_task(self._send(chunks))
        hearing = asyncio.create_task(self._follow(progress))
        try:
            await asyncio.wait({sending, hearing}, return_when=asyncio.FIRST_COMPLETED)
            if not hearing.done():
                await sending
            return await hearing
        finally:
            sending.cancel()
            hearing.cancel()
            await asyncio.gather(sending, hearing, return_exceptions=True)
            self.connection.transport.abort()  # a listener that holds speech back would read a farewell much later

    async def _send(self, chunks: Iterator[Chunk]) -> None:
        with suppress(ConnectionClosed):
            async for chunk in from_thread(chunks):
                await say(self.connection, Speak(chunk))
            await say(self.connection, Finish())

    async def _follow(self, progress: Callable[[Progress], None]) -> Finished:
        while not isinstance(event := await _hear(self.connection), Finished):
            if isinstance(event, Progress):
                progress(event)
        return event

    async def _done(self) -> Done:
        return _expect(await _hear(self.connection), Done)


@asynccontextmanager
async def attached(target: Target) -> AsyncIterator[Attachment]:
    """A connection to the one bot that is meant; waits up to `target.wait` seconds for it to be there.

    NobodyError when there is none, UsageError with the choices when there are several.
    """
    loop = asyncio.get_running_loop()
    deadline = loop.time() + target.wait
    while True:
        try:
            attachment = await _attach(target)
            break
        except NobodyError:
            if loop.time() >= deadline:
                raise
            await asyncio.sleep(RETRY_SECONDS)
    async with attachment.connection:
        yield attachment


async def watching(target: Target) -> AsyncGenerator[Shown]:
    """What the listener that is meant shows, until it ends."""
    listener = _choose(await statuses(target.folder, target.port), target)
    try:
        connection = await dial_control(listener.path)
    except OSError as error:
        raise NobodyError("the listener went away", "start it again: audiotap listen") from error
    async with connection:
        await say(connection, Watch())
        with suppress(ConnectionClosed):
            async for wire in connection:
                with suppress(WireError):
                    yield decoded(wire)


async def _attach(target: Target) -> Attachment:
    listener = _choose(await statuses(target.folder, target.port), target)
    try:
        connection = await dial_control(listener.path)
    except OSError as error:
        raise NobodyError("the listener went away", "start it again: audiotap listen") from error
    try:
        await say(connection, Attach(target.bot, target.away))
        return Attachment(connection, _expect(await _hear(connection), Attached))
    except BaseException:
        await connection.close()
        raise


def _choose(running: list[tuple[Listener, Status]], target: Target) -> Listener:
    """The listener that is meant: the only one, or the only one with that bot, or the only one with any bot."""
    if not running:
        where = f"on port {target.port}" if target.port is not None else "here"
        raise NobodyError(f"no listener is running {where}", "start one first: audiotap listen")
    if len(running) == 1:
        return running[0][0]
    having = [one for one, status in running if any(is_meant(target.bot, s.session, s.bot) for s in status.sessions)]
    if len(having) == 1:
        return having[0]
    choices = "; ".join(
        f"--port {one.port} has {', '.join(s.session for s in status.sessions) or 'no bots'}" for one, status in running
    )
    if target.bot and not having:
        raise NobodyError(f"no bot {target.bot!r} is here", choices)
    raise UsageError("several listeners are running", f"choose one: {choices}")


async def _hear(connection: ClientConnection) -> ControlEvent:
    """The listener's next word; its Fault becomes the error it was there."""
    try:
        event = native.decode(await connection.recv())
    except ConnectionClosed as error:
        raise NobodyError("the listener went away", "start it again: audiotap listen") from error
    if isinstance(event, Fault):
        raise _error(event)
    return event


def _expect(event: ControlEvent, kind: type[T]) -> T:
    if not isinstance(event, kind):
        raise AudiotapError(f"the listener answered {type(event).__name__}", "are both the same audiotap version?")
    return event


def _error(fault: Fault) -> AudiotapError:
    """The error that the listener met, as one of ours with its exit status."""
    status = Exit.__members__.get(fault.code, Exit.FAILED)
    kind = {Exit.NOBODY: NobodyError, Exit.USAGE: UsageError}.get(status, AudiotapError)
    return kind(fault.message, fault.hint)
