"""Control sockets: a Unix socket for each listener, in a folder that only its user can enter.

The socket is `<port>-<pid>.sock`; workers have theirs in a folder beside it, `<port>-<pid>`.
"""

from __future__ import annotations

import os
import socket
import stat
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

from websockets.asyncio.client import ClientConnection, unix_connect
from websockets.asyncio.connection import Connection
from websockets.asyncio.server import Server, ServerConnection, unix_serve

from audiotap.dialects import native
from audiotap.errors import MachineError
from audiotap.events import ControlEvent
from audiotap.net.peer import MAX_MESSAGE

ON_THE_WAY = 32 * 1024
"""Bytes to a listener that may be on their way: hundreds of speakers may begin at once, and all that came is read."""
OTHER_FOLDER = "set AUDIOTAP_RUNTIME_DIR to a folder of yours"

Handler = Callable[[ServerConnection], Awaitable[None]]


@asynccontextmanager
async def control_server(path: Path, serve: Handler) -> AsyncIterator[None]:
    """Serve control clients on a socket while the block runs."""
    _make_private(path.parent)
    server = await _serve(path, serve)
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


async def _serve(path: Path, handler: Handler) -> Server:
    """Listen for control clients on a Unix socket that only its owner can open.

    Without pings on either end: a speaker that is held back is not read from, so its answers come late, and no peer on
    this machine dies without its socket.
    """
    before = os.umask(0o177)
    try:
        return await unix_serve(
            handler, str(path), compression=None, max_size=MAX_MESSAGE, max_queue=1, ping_interval=None, close_timeout=1
        )
    except OSError as error:
        raise MachineError(
            f"cannot make the control socket {path}: {error.strerror or error}",
            "set AUDIOTAP_RUNTIME_DIR to a short, writable folder",
        ) from error
    finally:
        os.umask(before)


async def dial_control(path: Path) -> ClientConnection:
    """Dial a listener's control socket. OSError when nobody listens there any more."""
    connection = await unix_connect(
        str(path), "ws://localhost/", compression=None, max_size=MAX_MESSAGE, ping_interval=None, close_timeout=1
    )
    connection.transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, ON_THE_WAY)
    return connection


async def say(connection: Connection, event: ControlEvent) -> None:
    """Say an event in our own language."""
    await connection.send(native.encode(event))
