"""The listener's end of control: `speak`, `pause`, `stop` and `status`, over a Unix socket of its own.

The socket is `<port>-<pid>.sock` in a folder that only its user can enter; the public port never serves this. Workers
have theirs in a folder beside it, `<port>-<pid>`.
"""

from __future__ import annotations

import asyncio
import os
import stat
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

from websockets.asyncio.connection import Connection
from websockets.exceptions import ConnectionClosed

from audiotap.audio import Chunk
from audiotap.dialects import native
from audiotap.errors import AudiotapError, MachineError, WireError
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
    Stop,
)
from audiotap.net.mouth import Utterance
from audiotap.net.peer import Handler, serve_control
from audiotap.net.tap import Live, Tap
from audiotap.net.tasks import first_of

PROGRESS_SECONDS = 0.25
OTHER_FOLDER = "set AUDIOTAP_RUNTIME_DIR to a folder of yours"


@asynccontextmanager
async def control_server(path: Path, serve: Handler) -> AsyncIterator[None]:
    """Serve control clients on a socket while the block runs."""
    _make_private(path.parent)
    server = await serve_control(path, serve)
    try:
        yield
    finally:
        server.close()
        await server.wait_closed()
        _remove(path)


def _remove(path: Path) -> None:
    path.unlink(missing_ok=True)


def control_path(folder: Path, port: int) -> Path:
    """Where the control socket of the listener that is this process lies."""
    return folder / f"{port}-{os.getpid()}.sock"


def _make_private(folder: Path) -> None:
    """Make the folder if need be; refused when somebody else could put a socket there."""
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        found = folder.lstat()
    except OSError as error:
        raise MachineError(f"cannot make {folder}: {error.strerror}", OTHER_FOLDER) from error
    if found.st_uid != os.getuid() or not stat.S_ISDIR(found.st_mode) or found.st_mode & 0o077:
        raise MachineError(f"{folder} is open to others", f"remove it, or {OTHER_FOLDER}")


async def serve(tap: Tap, connection: Connection) -> None:
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
                await say(connection, Fault("USAGE", f"not understood: {error}"))
            except AudiotapError as error:
                await say(connection, Fault(error.status.name, error.message, error.hint))


async def _answer(tap: Tap, connection: Connection, live: Live | None, event: ControlEvent) -> Live | None:
    match event:
        case Ask():
            await say(connection, tap.status())
        case Attach(bot, away):
            live = tap.choose(bot, away=away)
            provider, session = live.session.key
            await say(connection, Attached(provider, session, tap.mouth(live).rate))
        case Pause():
            told = await tap.pause(_attached(live), event)
            await say(connection, Done(event.seconds, told))
        case Stop():
            dropped = tap.mouth(_attached(live)).stop()
            await say(connection, Done(dropped, told=False))
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
    await say(connection, Finished(utterance.sent, utterance.stopped))


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
            await say(connection, Progress(utterance.sent, utterance.state))
            await asyncio.sleep(PROGRESS_SECONDS)


async def say(connection: Connection, event: ControlEvent) -> None:
    """Say an event in our own language."""
    await connection.send(native.encode(event))
