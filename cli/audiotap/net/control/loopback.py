"""What stands in for Unix sockets on a system without them: a port of this machine, and a token for it.

Both are in a file that nobody else can read. A client sends the token with its request for a connection, before it is
heard; the listener proves with its answer that it has the token, too, for another program may have its port by now.
"""

from __future__ import annotations

import hmac
import secrets
import socket
from collections.abc import Awaitable, Callable, Mapping
from http import HTTPStatus
from pathlib import Path
from typing import Any

import msgspec
from websockets.asyncio.client import ClientConnection, connect
from websockets.asyncio.server import Server, ServerConnection, serve
from websockets.exceptions import ConnectionClosed, InvalidHandshake
from websockets.http11 import Request, Response

from audiotap.files import write_atomically

HOST = "127.0.0.1"
TOKEN_BYTES = 32
TOKEN, PROOF = "Audiotap-Token", "Audiotap-Proof"
"""Headers of a request for a connection, and of its answer."""


Handler = Callable[[ServerConnection], Awaitable[None]]

NO_LISTENER = (InvalidHandshake, ConnectionClosed, AssertionError)
"""How the library says that something else is there; the last where that speaks and hangs up before it is asked."""


class Lock(msgspec.Struct, frozen=True):
    """A listener's port and its token."""

    port: int
    token: str

    def refuses(self, connection: ServerConnection, request: Request) -> Response | None:
        """The answer to whoever has not the token."""
        tokens = request.headers.get_all(TOKEN)
        if len(tokens) == 1 and _is_same(tokens[0], self.token):
            return None
        return connection.respond(HTTPStatus.FORBIDDEN, "")

    def prove(self, _: ServerConnection, request: Request, response: Response) -> None:
        """Put the proof into an answer that opens a connection."""
        if response.status_code == HTTPStatus.SWITCHING_PROTOCOLS:
            response.headers[PROOF] = self._proof(request)

    def is_proven(self, connection: ClientConnection) -> bool:
        """Whether the proof was in the answer."""
        request, response = connection.request, connection.response
        if request is None or response is None:
            return False
        return _is_same(response.headers.get(PROOF, ""), self._proof(request))

    def _proof(self, request: Request) -> str:
        return hmac.digest(self.token.encode(), request.headers["Sec-WebSocket-Key"].encode(), "sha256").hex()


async def serve_loopback(path: Path, handler: Handler, received: int, options: Mapping[str, Any]) -> Server:
    """Listen on a free port, and say so in a file. So many received bytes may wait. OSError when either is refused."""
    sock = socket.socket()
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, received)
    sock.bind((HOST, 0))
    sock.listen()
    lock = Lock(sock.getsockname()[1], secrets.token_urlsafe(TOKEN_BYTES))
    try:
        write_atomically(path, msgspec.json.encode(lock))
    except OSError:
        sock.close()
        raise
    return await serve(handler, sock=sock, process_request=lock.refuses, process_response=lock.prove, **options)


async def dial_loopback(path: Path, options: Mapping[str, Any]) -> ClientConnection:
    """Dial the port that a file names. ConnectionRefusedError when there is nobody who made the file."""
    lock = _lock(path)
    headers = {TOKEN: lock.token}
    try:
        connection = await connect(f"ws://{HOST}:{lock.port}/", additional_headers=headers, proxy=None, **options)
    except NO_LISTENER as error:
        raise ConnectionRefusedError(path) from error
    if not lock.is_proven(connection):
        connection.transport.abort()
        raise ConnectionRefusedError(path)
    return connection


def _lock(path: Path) -> Lock:
    try:
        return msgspec.json.decode(path.read_bytes(), type=Lock)
    except msgspec.MsgspecError as error:
        raise ConnectionRefusedError(path) from error


def _is_same(one: str, other: str) -> bool:
    return hmac.compare_digest(one.encode(errors="replace"), other.encode())
