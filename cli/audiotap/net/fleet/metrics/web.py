"""A web server for three questions, on a port of its own: bots' port answers bots only.

It reads a request's first line, never a body, answers, and closes.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from http import HTTPStatus

from audiotap.errors import MachineError
from audiotap.net.fleet.metrics.figures import Figures
from audiotap.net.fleet.metrics.health import Health
from audiotap.net.fleet.metrics.prometheus import CONTENT_TYPE, exposition
from audiotap.net.peer import bind
from audiotap.sinks.recording import Policy

MAX_REQUEST = 8192
"""Bytes of a request."""
PATIENCE_SECONDS = 5.0
"""That a client has to ask, and to take the answer."""
MOST = 256
"""Clients at a time."""
PLAIN = "text/plain; charset=utf-8"

Asked = Callable[[], Awaitable[Figures]]


class _Web:
    """Answers; `asked` tells how the listener stands."""

    def __init__(self, asked: Asked, health: Health) -> None:
        self._asked = asked
        self._health = health
        self._clients = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer one request; a client that is slow, gone or too much is left."""
        self._clients += 1
        try:
            if self._clients <= MOST:
                async with asyncio.timeout(PATIENCE_SECONDS):
                    writer.write(await self._answer(await reader.readuntil(b"\r\n\r\n")))
                    await writer.drain()
        except (OSError, EOFError, TimeoutError, asyncio.LimitOverrunError):
            pass
        finally:
            self._clients -= 1
            writer.close()

    async def _answer(self, request: bytes) -> bytes:
        method, _, rest = request.partition(b" ")
        if method not in {b"GET", b"HEAD"}:
            return _response(HTTPStatus.METHOD_NOT_ALLOWED, b"GET only\n")
        path = rest.split(b" ")[0].partition(b"?")[0]
        match path:
            case b"/healthz":
                answer = HTTPStatus.OK, b"ok\n", PLAIN
            case b"/readyz":
                answer = await self._ready()
            case b"/metrics":
                answer = HTTPStatus.OK, exposition(await self._figures()), CONTENT_TYPE
            case _:
                answer = HTTPStatus.NOT_FOUND, b"/healthz, /readyz or /metrics\n", PLAIN
        return _response(*answer, with_body=method == b"GET")

    async def _ready(self) -> tuple[HTTPStatus, bytes, str]:
        troubles = (await self._figures()).troubles
        if not troubles:
            return HTTPStatus.OK, b"ready\n", PLAIN
        return HTTPStatus.SERVICE_UNAVAILABLE, "".join(f"{one}\n" for one in troubles).encode(), PLAIN

    async def _figures(self) -> Figures:
        """How the listener stands, and the disk under it."""
        figures, disk = await asyncio.gather(self._asked(), self._health.disk())
        troubles = (*figures.troubles, *disk.troubles)
        more: dict[tuple[str, str], float] = {("ready", ""): not troubles}
        if disk.free is not None:
            more["disk_free_bytes", ""] = disk.free
        return Figures(figures.grown, {**figures.now, **more}, troubles)


def _response(status: HTTPStatus, body: bytes, content: str = PLAIN, *, with_body: bool = True) -> bytes:
    head = (
        f"HTTP/1.1 {status.value} {status.phrase}\r\n"
        f"Content-Type: {content}\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n"
    )
    return head.encode() + (body if with_body else b"")


@asynccontextmanager
async def observed(address: tuple[str, int], asked: Asked, policy: Policy, least: int) -> AsyncIterator[str]:
    """Serve while the block runs; the URL. `least` bytes of the disk have to be free. MachineError for the port."""
    try:
        sockets, host, port = await bind(*address)
    except MachineError as error:
        raise MachineError(error.message, "choose another address with --metrics HOST:PORT") from error
    health = Health(policy, least)
    web = _Web(asked, health)
    servers = [await asyncio.start_server(web.serve, sock=sock, limit=MAX_REQUEST) for sock in sockets]
    try:
        yield f"http://{host}:{port}"
    finally:
        for server in servers:
            server.close()
        health.close()
