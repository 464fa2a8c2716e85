"""An object store as listeners meet it: moto's S3, which enforces conditional creation, at the end of a road."""

from __future__ import annotations

import asyncio
from asyncio import StreamReader, StreamWriter
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from pathlib import PurePath

import obstore
from moto.server import ThreadedMotoServer
from obstore.store import S3Store
from tests.scenarios.harness import DEADLINE

from audiotap.segments import Segment, parse

KEY, SECRET = "AKIAOFTHESETESTS", "the-secret-of-these-tests"
BUCKET = "bucket"


class Road:
    """The way to a store. `says` is a status that is answered in the store's place; `asked` counts what was asked for.

    A `silent` one takes everything and never answers.
    """

    def __init__(self, host: str, port: int) -> None:
        self.port = 0
        self.says = 0
        self.silent = False
        self.asked: Counter[str] = Counter()
        self._behind = host, port
        self._server: asyncio.Server | None = None
        self._passing: set[asyncio.Task[None]] = set()
        self._news = asyncio.Condition()

    async def open(self) -> None:
        """Let everybody through, at the same port every time."""
        self._server = await asyncio.start_server(self._take, "127.0.0.1", self.port)
        self.port = self._server.sockets[0].getsockname()[1]

    async def cut(self) -> None:
        """Nobody is there any more, and what was on its way is lost."""
        if self._server is not None:
            self._server.close()
            self._server = None
        for task in self._passing:
            task.cancel()
        await asyncio.gather(*self._passing, return_exceptions=True)

    async def until(self, look: Callable[[], object], what: str) -> None:
        """Wait until something holds, which is looked at whenever something was asked for or answered."""
        try:
            async with asyncio.timeout(DEADLINE), self._news:
                await self._news.wait_for(look)
        except TimeoutError:
            raise AssertionError(f"waited in vain for {what}; asked for were {self.asked}") from None

    async def _take(self, reader: StreamReader, writer: StreamWriter) -> None:
        task = asyncio.ensure_future(self._pass(reader, writer))
        self._passing.add(task)
        task.add_done_callback(self._passing.discard)
        with suppress(asyncio.CancelledError):
            await task

    async def _pass(self, reader: StreamReader, writer: StreamWriter) -> None:
        """Pass requests on, one after the other."""
        behind: StreamWriter | None = None
        try:
            inward, behind = await asyncio.open_connection(*self._behind)
            with suppress(asyncio.IncompleteReadError, ConnectionError):
                while True:
                    head, body = await _message(reader)
                    await self._note(head.split()[0].decode())
                    if self.silent:
                        await asyncio.Event().wait()
                    if self.says:
                        writer.write(b"HTTP/1.1 %d No\r\ncontent-length: 0\r\n\r\n" % self.says)
                    else:
                        behind.write(head + body)
                        answer, content = await _message(inward, head.split()[0] == b"HEAD")
                        writer.write(answer + content)
                        await self._note(answer.split()[1].decode())
                    await writer.drain()
        finally:
            for end in (writer, behind):
                if end is not None:
                    end.transport.abort()
                    with suppress(OSError):
                        await end.wait_closed()

    async def _note(self, what: str) -> None:
        async with self._news:
            self.asked[what] += 1
            self._news.notify_all()


async def _message(reader: StreamReader, bare: bool = False) -> tuple[bytes, bytes]:
    """The head and the body of a request or an answer; an answer to HEAD has none."""
    head = await reader.readuntil(b"\r\n\r\n")
    fields = dict(line.lower().split(b": ", 1) for line in head.split(b"\r\n")[1:-2] if b": " in line)
    return head, b"" if bare else await reader.readexactly(int(fields.get(b"content-length", 0)))


class Bucket:
    """A bucket, the road to it, and what lies in it."""

    def __init__(self, road: Road, host: str, port: int) -> None:
        self.road = road
        self.url = f"s3://{BUCKET}/calls"
        self.environment = {
            "AWS_ENDPOINT_URL": f"http://127.0.0.1:{road.port}",
            "AWS_ACCESS_KEY_ID": KEY,
            "AWS_SECRET_ACCESS_KEY": SECRET,
            "AWS_REGION": "us-east-1",
        }
        self._store = S3Store(
            BUCKET,
            prefix="calls",
            endpoint=f"http://{host}:{port}",
            access_key_id=KEY,
            secret_access_key=SECRET,
            region="us-east-1",
            client_options={"allow_http": True},
        )

    def names(self) -> list[str]:
        """All objects."""
        return sorted(one["path"] for page in obstore.list(self._store) for one in page)

    def segments(self, track: str = "") -> list[tuple[str, Segment]]:
        """The segments of all tracks, or of those with a name: their objects, and what these tell."""
        found = [(name, parse(PurePath(name).name)) for name in self.names()]
        return [(name, one) for name, one in found if one is not None and PurePath(name).parts[-2].startswith(track)]

    def put(self, name: str, data: bytes) -> None:
        obstore.put(self._store, name, data)

    def remove(self, name: str) -> None:
        obstore.delete(self._store, name)

    async def has(self, look: Callable[[], object], what: str) -> None:
        """Wait until something holds of what lies in it."""
        await self.road.until(look, what)


@contextmanager
def s3() -> Iterator[tuple[str, int]]:
    """A server, which forgets everything at its end: its host and its port."""
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    try:
        yield server.get_host_and_port()
    finally:
        server.stop()


@asynccontextmanager
async def bucket_at(host: str, port: int) -> AsyncIterator[Bucket]:
    """An empty bucket on a server."""
    await _ask(host, port, b"POST /moto-api/reset")
    await _ask(host, port, b"PUT /%s" % BUCKET.encode())
    road = Road(host, port)
    await road.open()
    try:
        yield Bucket(road, host, port)
    finally:
        await road.cut()


async def _ask(host: str, port: int, what: bytes) -> None:
    """A request that has to be answered with 200."""
    reader, writer = await asyncio.open_connection(host, port)
    writer.write(what + b" HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
    answer = await reader.read()
    writer.close()
    await writer.wait_closed()
    assert b" 200 " in answer.partition(b"\r\n")[0], answer
