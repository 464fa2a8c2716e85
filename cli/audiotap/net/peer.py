"""Sockets: serve and dial websockets, with errors that say what to type."""

from __future__ import annotations

import asyncio
import errno
import os
import socket
from collections.abc import Mapping
from ipaddress import ip_address
from typing import Any

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import InvalidHandshake, InvalidURI
from websockets.uri import parse_uri

from audiotap.errors import MachineError, NobodyError, UsageError
from audiotap.text import without_path

MAX_MESSAGE = 16 * 1024 * 1024
"""Bytes of one incoming message; a minute of audio fits."""

NO_SERVER = (OSError, InvalidHandshake, TimeoutError, EOFError, AssertionError)
"""What a dial ends in where no websocket server is; websockets 17.4 asserts that none speaks before it was asked."""


async def bind(host: str, port: int) -> tuple[list[socket.socket], str, int]:
    """Bind a port on every address of a host; the sockets, the host for a URL, and the port that was bound."""
    return await _bind(host, port, shared=False)


async def bind_shared(host: str, port: int, workers: int) -> tuple[list[list[socket.socket]], str, int]:
    """Bind a port as often as there are workers: sockets for each of them, among which the system shares out bots.

    First nobody else may have the port, or two listeners would share it, too. MachineError where there is no sharing.
    """
    if not hasattr(socket, "SO_REUSEPORT"):
        raise MachineError("this system cannot share a port among processes (SO_REUSEPORT)", "leave --workers out")
    alone, shown, number = await bind(host, port)
    for sock in alone:
        sock.close()
    sockets: list[list[socket.socket]] = []
    try:
        for _ in range(workers):
            some, _, _ = await _bind(host, number, shared=True)
            sockets.append(some)
    except MachineError:
        for sock in (sock for some in sockets for sock in some):
            sock.close()
        raise
    return sockets, shown, number


async def _bind(host: str, port: int, *, shared: bool) -> tuple[list[socket.socket], str, int]:
    sockets: list[socket.socket] = []
    try:
        found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
        for family, _, _, _, address in dict.fromkeys(found):
            number = sockets[0].getsockname()[1] if sockets else port
            sockets.append(_bound(family, (address[0], number, *address[2:]), shared=shared))
    except (OSError, OverflowError, UnicodeError) as error:
        for sock in sockets:
            sock.close()
        raise _unbound(host, port, error) from error
    return sockets, f"[{host}]" if ":" in host else host, int(sockets[0].getsockname()[1])


def _bound(family: int, address: tuple[Any, ...], *, shared: bool) -> socket.socket:
    sock = socket.socket(family)
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if shared:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        if family == socket.AF_INET6:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        sock.setblocking(False)
        sock.bind(address)
    except OSError:
        sock.close()
        raise
    return sock


def _unbound(host: str, port: int, error: Exception) -> MachineError:
    code = getattr(error, "errno", None)
    if code == errno.EADDRINUSE:
        hint = f"another program listens there (another audiotap?): choose a port, e.g. --port {port + 1} or --port 0"
    elif code == errno.EACCES:
        hint = "ports below 1024 are the system's: choose a higher one, e.g. --port 8765"
    else:
        hint = "check --host: it must be an address of this machine, e.g. 127.0.0.1 or 0.0.0.0"
    reason = os.strerror(code) if isinstance(code, int) and code > 0 else str(error)
    return MachineError(f"cannot listen on {host}:{port}: {reason}", hint)


def is_loopback(host: str) -> bool:
    """Whether an address to listen on is for this machine alone."""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def check_url(url: str) -> None:
    """UsageError for what is no websocket URL, or has a host that no name server is asked for."""
    whole = url.isprintable() and " " not in url
    try:
        parse_uri(url).host.encode("idna")
    except (InvalidURI, ValueError):
        whole = False
    if not whole:
        raise UsageError(f"{without_path(url)} is no websocket URL", "write it as ws://HOST:PORT or wss://HOST/PATH")


async def dial(url: str, *, max_size: int = MAX_MESSAGE, headers: Mapping[str, str] | None = None) -> ClientConnection:
    """Dial a server as a bot's client does: compression offered, no pings. NobodyError when it does not answer."""
    try:
        return await connect(url, max_size=max_size, ping_interval=None, additional_headers=headers)
    except NO_SERVER as error:
        raise NobodyError(f"cannot connect to {without_path(url)}: {error}", "is the server running there?") from error
