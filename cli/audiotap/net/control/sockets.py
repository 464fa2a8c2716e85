"""Control sockets: one for each listener, `<port>-<pid>.sock` in a folder that only its user can enter.

Workers have theirs in a folder beside it, `<port>-<pid>`. It is a Unix socket that nobody else can open; on a system
without those a file stands there instead (`loopback`).
"""

from __future__ import annotations

import os
import socket
import stat
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Protocol

from websockets.asyncio.client import ClientConnection, unix_connect
from websockets.asyncio.server import Server, unix_serve

from audiotap.dialects import native
from audiotap.errors import MachineError
from audiotap.events import ControlEvent
from audiotap.files import is_private
from audiotap.net.control.loopback import NO_LISTENER, Handler, dial_loopback, serve_loopback
from audiotap.net.peer import MAX_MESSAGE

UNIX = hasattr(socket, "AF_UNIX") and os.name == "posix"
"""Whether this system has Unix sockets that asyncio can use."""
ON_THE_WAY = 32 * 1024
"""Bytes to a listener that may be on their way: hundreds of speakers may begin at once, and all that came is read."""
OPTIONS: dict[str, Any] = {
    "compression": None,
    "max_size": MAX_MESSAGE,
    "ping_interval": None,
    "close_timeout": 1,
}
"""Without pings on either end: a speaker that is held back is not read from, so its answers come late, and no peer on
this machine dies without its socket."""
ANYWHERE = "ws://localhost/"
"""A URL for a connection that needs none."""
OTHER_FOLDER = "set AUDIOTAP_RUNTIME_DIR to a folder of yours"


class Talk(Protocol):
    """A connection as far as control needs one: messages in order, and none that nobody has read piles up."""

    async def send(self, message: str) -> None:
        """Say a message when the other end takes it; ConnectionClosed where it is gone."""

    async def recv(self) -> str | bytes:
        """The next message; ConnectionClosed after the last one."""

    def __aiter__(self) -> AsyncIterator[str | bytes]: ...

    async def wait_closed(self) -> None:
        """Return when it is over."""


@asynccontextmanager
async def control_server(path: Path, handler: Handler) -> AsyncIterator[None]:
    """Serve control clients on a socket while the block runs."""
    _make_private(path.parent)
    try:
        server = await _serve(path, handler)
    except OSError as error:
        raise MachineError(
            f"cannot make the control socket {path}: {error.strerror or error}",
            "set AUDIOTAP_RUNTIME_DIR to a short, writable folder",
        ) from error
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
    if not stat.S_ISDIR(found.st_mode) or not is_private(found):
        raise MachineError(f"{folder} is open to others", f"remove it, or {OTHER_FOLDER}")


async def _serve(path: Path, handler: Handler) -> Server:
    options = {**OPTIONS, "max_queue": 1}
    if not UNIX:
        return await serve_loopback(path, handler, ON_THE_WAY, options)
    before = os.umask(0o177)
    try:
        return await unix_serve(handler, str(path), **options)
    finally:
        os.umask(before)


async def dial_control(path: Path) -> ClientConnection:
    """Dial a listener's control socket. OSError when no listener is there any more, or does not answer.

    What our own listener says may be as long as it likes: how thousands of tracks stand takes megabytes.
    """
    options = {**OPTIONS, "max_size": None}
    try:
        connection = await (unix_connect(str(path), ANYWHERE, **options) if UNIX else dial_loopback(path, options))
    except NO_LISTENER as error:
        raise ConnectionResetError(path) from error
    connection.transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, ON_THE_WAY)
    return connection


async def say(connection: Talk, event: ControlEvent) -> None:
    """Say an event in our own language."""
    await connection.send(native.encode(event))
