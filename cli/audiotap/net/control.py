"""Control: how `speak`, `pause`, `stop` and `status` reach a running listener, over a Unix socket of its own.

A listener's socket is `<port>-<pid>.sock` in a folder that only its user can enter; the public port never serves this.
"""

from __future__ import annotations

import asyncio
import os
import tempfile
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import TypeVar

import msgspec
from websockets.asyncio.client import ClientConnection
from websockets.asyncio.connection import Connection
from websockets.exceptions import ConnectionClosed

from audiotap.audio import Chunk
from audiotap.dialects import native
from audiotap.errors import AudiotapError, Exit, MachineError, NobodyError, UsageError, WireError
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
    SessionStatus,
    Speak,
    Status,
    Stop,
)
from audiotap.net.mouth import Utterance
from audiotap.net.peer import dial_control, serve_control
from audiotap.net.tap import Live, Tap
from audiotap.net.tasks import first_of

T = TypeVar("T")
PROGRESS_SECONDS = 0.1
RETRY_SECONDS = 0.2
MAX_SOCKET_PATH = 100
"""Bytes of a Unix socket's path that every system takes (Linux 108, macOS 104, both with a final zero)."""


# The listener's end


@asynccontextmanager
async def control_server(tap: Tap, folder: Path, port: int) -> AsyncIterator[None]:
    """Serve control clients while the block runs."""
    path = _private(folder) / f"{port}-{os.getpid()}.sock"
    server = await serve_control(path, lambda connection: _serve(tap, connection))
    try:
        yield
    finally:
        server.close()
        await server.wait_closed()
        path.unlink(missing_ok=True)


def _private(folder: Path) -> Path:
    """The folder, made if need be; refused when somebody else could have put a socket there."""
    if len(str(folder)) > MAX_SOCKET_PATH - len("/65535-4194304.sock"):
        folder = Path(tempfile.gettempdir()) / f"audiotap-{os.getuid()}"
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        owner = folder.stat()
    except OSError as error:
        raise MachineError(
            f"cannot make {folder}: {error.strerror}", "set AUDIOTAP_RUNTIME_DIR to a writable folder"
        ) from error
    if owner.st_uid != os.getuid():
        raise MachineError(f"{folder} belongs to another user", "set AUDIOTAP_RUNTIME_DIR to a folder of yours")
    folder.chmod(0o700)
    return folder


async def _serve(tap: Tap, connection: Connection) -> None:
    """Answer one control client; speech is the last thing it can ask for."""
    live: Live | None = None
    with suppress(ConnectionClosed):
        async for wire in connection:
            try:
                event = native.decode(wire)
                if isinstance(event, Speak | Finish):
                    await _speak(tap, connection, _attached(live), event)
                    return
                live = await _answer(tap, connection, live, event)
            except WireError as error:
                await _say(connection, Fault("USAGE", f"not understood: {error}"))
            except AudiotapError as error:
                await _say(connection, Fault(error.status.name, error.message, error.hint))


async def _answer(tap: Tap, connection: Connection, live: Live | None, event: ControlEvent) -> Live | None:
    match event:
        case Ask():
            await _say(connection, tap.status())
        case Attach(bot):
            live = tap.choose(bot)
            provider, session = live.session.key
            await _say(connection, Attached(provider, session, tap.mouth(live).rate))
        case Pause():
            told = await tap.pause(_attached(live), event)
            await _say(connection, Done(event.seconds, told))
        case Stop():
            dropped = tap.mouth(_attached(live)).stop()
            await _say(connection, Done(dropped, told=False))
        case _:
            raise WireError(f"{type(event).__name__} is for the listener to say")
    return live


def _attached(live: Live | None) -> Live:
    if live is None:
        raise WireError("nothing was attached to")
    return live


async def _speak(tap: Tap, connection: Connection, live: Live, first: Speak | Finish) -> None:
    """Play what the client sends until it says Finish; a client that goes away takes its speech with it."""
    utterance = Utterance()
    telling = asyncio.create_task(_tell(connection, utterance))
    try:
        await first_of(tap.mouth(live).speak(utterance, _chunks(connection, first)), connection.wait_closed())
    finally:
        telling.cancel()
        await asyncio.gather(telling, return_exceptions=True)
    await _say(connection, Finished(utterance.sent, utterance.stopped))


async def _chunks(connection: Connection, first: Speak | Finish) -> AsyncIterator[Chunk]:
    event: ControlEvent = first
    while isinstance(event, Speak):
        yield event.chunk
        event = native.decode(await connection.recv())
    if not isinstance(event, Finish):
        raise WireError(f"{type(event).__name__} in the middle of speech")


async def _tell(connection: Connection, utterance: Utterance) -> None:
    with suppress(ConnectionClosed):
        while True:
            await _say(connection, Progress(utterance.sent, utterance.state))
            await asyncio.sleep(PROGRESS_SECONDS)


async def _say(connection: Connection, event: ControlEvent) -> None:
    await connection.send(native.encode(event))


# The client's end


class Listener:
    """A running listener as a control client sees it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.port = int(path.stem.partition("-")[0])

    async def status(self) -> Status | None:
        """How it stands; None if it's gone (its socket is then removed)."""
        try:
            async with await dial_control(self.path) as connection:
                await _say(connection, Ask())
                status = await _hear(connection)
        except (ConnectionRefusedError, FileNotFoundError):
            self.path.unlink(missing_ok=True)
            return None
        except (OSError, ConnectionClosed):
            return None
        return status if isinstance(status, Status) else None


def listeners(folder: Path, port: int | None) -> list[Listener]:
    """The listeners of this user, or those on one port."""
    folders = {folder, Path(tempfile.gettempdir()) / f"audiotap-{os.getuid()}"}
    found = [
        Listener(path)
        for place in folders
        if place.is_dir() and place.stat().st_uid == os.getuid()
        for path in sorted(place.glob("*-*.sock"))
        if path.stem.partition("-")[0].isdecimal()
    ]
    return [one for one in found if port is None or one.port == port]


async def statuses(folder: Path, port: int | None) -> list[tuple[Listener, Status]]:
    """Every running listener with how it stands."""
    asked = [(one, await one.status()) for one in listeners(folder, port)]
    return [(one, status) for one, status in asked if status is not None]


class Target(msgspec.Struct, frozen=True):
    """Which bot is meant: folder of the control sockets, a listener's port, a bot's id or its beginning, patience."""

    folder: Path
    port: int | None = None
    bot: str = ""
    wait: float = 0.0


class Attachment:
    """A connection to a listener, attached to one bot."""

    def __init__(self, connection: ClientConnection, to: Attached) -> None:
        self.connection = connection
        self.to = to

    async def pause(self, pause: Pause) -> Done:
        await _say(self.connection, pause)
        return await self._done()

    async def stop(self) -> Done:
        await _say(self.connection, Stop())
        return await self._done()

    async def speak(self, chunks: Iterator[Chunk], progress: Callable[[Progress], None]) -> Finished:
        """Send speech and return when it's over; cancelling drops what is queued of it."""
        sending = asyncio.create_task(self._send(chunks))
        try:
            while True:
                event = await _hear(self.connection)
                match event:
                    case Progress():
                        progress(event)
                    case Finished():
                        return event
                if sending.done() and sending.exception() is not None:
                    await sending
        finally:
            sending.cancel()
            await asyncio.gather(sending, return_exceptions=True)

    async def _send(self, chunks: Iterator[Chunk]) -> None:
        while (chunk := await asyncio.to_thread(next, chunks, None)) is not None:
            await _say(self.connection, Speak(chunk))
        await _say(self.connection, Finish())

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


async def _attach(target: Target) -> Attachment:
    listener = _choose(await statuses(target.folder, target.port), target)
    try:
        connection = await dial_control(listener.path)
    except OSError as error:
        raise NobodyError("the listener went away", "start it again: audiotap listen") from error
    try:
        await _say(connection, Attach(target.bot))
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
    having = [one for one, status in running if any(_is(session, target.bot) for session in status.sessions)]
    if len(having) == 1:
        return having[0]
    choices = "; ".join(
        f"--port {one.port} has {', '.join(s.session for s in status.sessions) or 'no bots'}" for one, status in running
    )
    if target.bot and not having:
        raise NobodyError(f"no bot {target.bot!r} is here", choices)
    raise UsageError("several listeners are running", f"choose one: {choices}")


def _is(session: SessionStatus, bot: str) -> bool:
    return any(known.startswith(bot) for known in (session.session, session.bot) if known)


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
