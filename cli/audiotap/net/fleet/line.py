"""A conversation of two over NATS, with what sockets have and NATS has not: order, credit, and an end.

A message is cut into frames that every server takes. Each side may have so many bytes on their way as the other one
granted, and grants them again as it reads; so whoever is slow holds back the one who speaks, and nobody else. A frame
that is missing ends it, and so does silence; a side that died is noticed by NATS, which knows nobody who listens.
"""

from __future__ import annotations

import asyncio
import struct
from collections import deque
from collections.abc import AsyncIterator
from contextlib import suppress

from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.aio.subscription import Subscription
from websockets.exceptions import ConnectionClosed, ConnectionClosedError, ConnectionClosedOK

from audiotap.errors import NobodyError
from audiotap.net.fleet.bus import ERRORS
from audiotap.net.fleet.registry import control_subject
from audiotap.net.peer import MAX_MESSAGE

FRAME = 32 * 1024
"""Bytes of a frame at most."""
WINDOW = 8 * FRAME
"""Bytes that may be on their way."""
OVERHEAD = 64
"""Bytes that a frame counts beside what is in it, so that many small ones are many, too."""
PING_SECONDS = 1.0
SILENCE_SECONDS = 6.0
"""Without any word from the other side, after which it is gone: a cluster has a new leader by then."""
WELCOME_SECONDS = 3.0

HELLO, WELCOME, DATA, LAST, CREDIT, PING, BYE = b"H", b"W", b"D", b"L", b"C", b"P", b"X"
INBOX = "_INBOX."
"""What an address of somebody else begins with: nobody has us say anything where NATS itself listens."""
_NUMBER = struct.Struct("!I")
_HEAD = 1 + _NUMBER.size

_GONE = "503"
"""NATS' word for a subject on which nobody listens."""


class Line:
    """One end of it; a connection as far as `control` needs one. `why` says what ended it, if it did not end well."""

    def __init__(self, client: Client, peer: str) -> None:
        self.why = ""
        self._client = client
        self._peer = peer
        self._loop = asyncio.get_running_loop()
        self._inbox = client.new_inbox()
        self._subscription: Subscription | None = None
        self._frames: deque[bytes] = deque()
        self._news = asyncio.Event()
        self._credit = self._room = WINDOW
        self._sent = self._heard = 0
        self._heard_at = self._loop.time()
        self._over = asyncio.Event()
        self._welcome = asyncio.Event()
        self._pinging: asyncio.Task[None] | None = None
        self._sending = asyncio.Lock()

    async def hello(self) -> None:
        """Ask the other side for a conversation. NobodyError where nobody answers."""
        await self._open(HELLO)
        with suppress(TimeoutError):
            async with asyncio.timeout(WELCOME_SECONDS):
                while not (self._welcome.is_set() or self._over.is_set()):
                    await self._news.wait()
        if not self._welcome.is_set():
            raise NobodyError(self.why or "it does not answer")

    async def welcome(self) -> None:
        """Answer who said hello."""
        self._welcome.set()
        await self._open(WELCOME)

    async def _open(self, word: bytes) -> None:
        """Begin, with a word to the other side by which it learns where we listen."""
        self._subscription = await self._client.subscribe(self._inbox, cb=self._take)
        self._pinging = asyncio.create_task(self._keep_pinging(), name="line")
        await self._post(word)

    async def send(self, wire: str) -> None:
        """Say a message, once the other side takes it; ConnectionClosed where it is gone."""
        data = wire.encode()
        async with self._sending:
            for at in range(0, max(1, len(data)), FRAME):
                part = data[at : at + FRAME]
                await self._credited(len(part) + OVERHEAD)
                kind = LAST if at + FRAME >= len(data) else DATA
                self._sent += 1
                await self._post(kind + _NUMBER.pack(self._sent & 0xFFFFFFFF) + part)

    async def recv(self) -> str:
        """The other side's next message; ConnectionClosed after its last one."""
        parts: list[bytes] = []
        size = 0
        while True:
            frame = await self._frame()
            parts.append(frame[_HEAD:])
            size += len(frame)
            taken = len(frame) - _HEAD + OVERHEAD
            self._room += taken
            await self._post(CREDIT + _NUMBER.pack(taken))
            if frame[:1] == LAST:
                return b"".join(parts).decode(errors="replace")
            if size > MAX_MESSAGE:
                self._end("it says more than anybody takes")

    async def __aiter__(self) -> AsyncIterator[str]:
        with suppress(ConnectionClosedOK):
            while True:
                yield await self.recv()

    async def wait_closed(self) -> None:
        """Return when it is over."""
        await self._over.wait()

    async def aclose(self) -> None:
        """End it; what was said before arrives."""
        if not self._over.is_set():
            await self._post(BYE)
            self._end("")
        if self._pinging is not None:
            self._pinging.cancel()
            await asyncio.gather(self._pinging, return_exceptions=True)
        if self._subscription is not None:
            with suppress(*ERRORS):
                await self._subscription.unsubscribe()
            self._subscription = None

    # Frames

    async def _take(self, message: Msg) -> None:
        if (message.headers or {}).get("Status") == _GONE:
            self._end("nobody is there any more")
            return
        self._heard_at = self._loop.time()
        frame = message.data
        match frame[:1]:
            case b"D" | b"L" if len(frame) >= _HEAD:
                self._heard += 1
                if _NUMBER.unpack(frame[1:_HEAD])[0] != self._heard & 0xFFFFFFFF:
                    self._end("a part of what was said was lost on its way")
                    return
                self._room -= len(frame) - _HEAD + OVERHEAD
                if self._room < 0:
                    self._end("it says more than was asked for")
                    return
                self._frames.append(frame)
            case b"C" if len(frame) == _HEAD:
                self._credit += _NUMBER.unpack(frame[1:])[0]
            case b"W" if message.reply.startswith(INBOX):
                self._peer = message.reply
                self._welcome.set()
            case b"X":
                self._end("")
        self._stir()

    async def _frame(self) -> bytes:
        while not self._frames:
            self._check()
            await self._news.wait()
        return self._frames.popleft()

    async def _credited(self, size: int) -> None:
        while self._credit < size:
            self._check()
            await self._news.wait()
        self._check()
        self._credit -= size

    async def _post(self, frame: bytes) -> None:
        try:
            await self._client.publish(self._peer, frame, reply=self._inbox)
        except ERRORS:
            self._end("NATS does not take what is said")

    async def _keep_pinging(self) -> None:
        while not self._over.is_set():
            await asyncio.sleep(PING_SECONDS)
            if self._loop.time() - self._heard_at > SILENCE_SECONDS:
                self._end("nothing was heard of it" if self._client.is_connected else "NATS is away")
            elif self._welcome.is_set():
                await self._post(PING)

    def _stir(self) -> None:
        """Wake whoever waits for anything."""
        self._news.set()
        self._news = asyncio.Event()

    def _end(self, why: str) -> None:
        if not self._over.is_set():
            self.why = why
            self._over.set()
            self._stir()

    def _check(self) -> None:
        if self._over.is_set():
            raise ConnectionClosedError(None, None) if self.why else ConnectionClosedOK(None, None)


class Dialled(Line):
    """A client's end: what breaks it is an error that says which node went away, and why."""

    def __init__(self, client: Client, node: str) -> None:
        super().__init__(client, control_subject(node))
        self._node = node

    async def recv(self) -> str:
        try:
            return await super().recv()
        except ConnectionClosed as error:
            raise self.gone() from error

    def gone(self) -> NobodyError:
        """What became of the node."""
        return NobodyError(
            f"the node {self._node} went away: {self.why or 'it was stopped'}", "its bots connect to another one"
        )


async def dial(client: Client, node: str) -> Dialled:
    """A line to a node; NobodyError where it does not answer."""
    line = Dialled(client, node)
    try:
        await line.hello()
    except NobodyError as error:
        await line.aclose()
        raise line.gone() from error
    except BaseException:
        await line.aclose()
        raise
    return line


async def answer(client: Client, message: Msg) -> Line | None:
    """The line to a client that said hello; None for anything else."""
    if message.data[:1] != HELLO or not message.reply.startswith(INBOX):
        return None
    line = Line(client, message.reply)
    await line.welcome()
    return line
