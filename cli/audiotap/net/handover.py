"""Connections on their way to the worker that records their session: a socket, and what was read of it and not taken.

No extension is ever negotiated, so an open websocket has no other state. Each worker takes connections out of one end
of a Unix socket pair; the other end is everybody's. The front holds both ends open, so what is handed to a worker that
just died waits there for the one that is started in its place.
"""

from __future__ import annotations

import asyncio
import os
import socket
import sys
from collections import deque
from collections.abc import Callable, Sequence
from tempfile import TemporaryFile

import msgspec

from audiotap.events import UNASKED, Asked
from audiotap.files import append
from audiotap.net.ownership import Share, owner
from audiotap.net.port import Carried
from audiotap.net.tasks import wait_for
from audiotap.session import SessionKey

RETRY_SECONDS = 0.05
"""Until it is tried again where the system has too many descriptors on their way."""
PATIENCE_SECONDS = 1.0
"""How long the end waits for a worker that takes nothing."""


class Handed(msgspec.Struct, frozen=True):
    """A connection but for its socket: whose bot it is, what is carried on, what was odd before any session, and how
    it was asked for.
    """

    provider: str
    carried: Carried
    malformed: int
    unknown: dict[str, int]
    asked: Asked = UNASKED


Adopt = Callable[[socket.socket, Handed], object]


class Handover:
    """One worker's way to the others. `hands` lead to each of them, `mine` is where its own connections come out."""

    def __init__(self, share: Share, hands: Sequence[socket.socket], mine: socket.socket) -> None:
        self.share = share
        self._hands = hands
        self._mine = mine
        self._loop = asyncio.get_running_loop()
        self._waiting: list[deque[tuple[int, int]]] = [deque() for _ in hands]
        self._sent = asyncio.Event()
        self._sent.set()
        self._adopt: Adopt = _refuse

    def start(self, adopt: Adopt) -> None:
        """Take connections from now on."""
        self._adopt = adopt
        self._loop.add_reader(self._mine, self.take_in)

    def give(self, key: SessionKey, sock: socket.socket, handed: Handed) -> None:
        """Let a connection go to the worker that records a session."""
        number = owner(key, self.share.workers)
        self._waiting[number].append((sock.detach(), _packed(handed)))
        self._sent.clear()
        self._send(number)

    def take_in(self) -> None:
        """Take all connections that wait."""
        while True:
            try:
                data, descriptors, _, _ = socket.recv_fds(self._mine, 1, 2)
            except BlockingIOError:
                return
            if not data:
                self._loop.remove_reader(self._mine)
                return
            if len(descriptors) == 2:
                self._take(*descriptors)
            else:
                _close(descriptors)

    async def close(self) -> None:
        """Take no more, and return when all that was given is on its way."""
        self._loop.remove_reader(self._mine)
        await wait_for(self._sent, PATIENCE_SECONDS)

    def _take(self, connection: int, packed: int) -> None:
        sock = socket.socket(fileno=connection)
        try:
            handed = _unpacked(packed)
        except (OSError, msgspec.MsgspecError):
            sock.close()
            raise
        self._adopt(sock, handed)

    def _send(self, number: int) -> None:
        """Send as much as the other end has room for."""
        hand, waiting = self._hands[number], self._waiting[number]
        self._loop.remove_writer(hand)
        while waiting:
            try:
                socket.send_fds(hand, [b"\0"], waiting[0])
            except BlockingIOError:
                self._loop.add_writer(hand, self._send, number)
                return
            except OSError:
                self._loop.call_later(RETRY_SECONDS, self._send, number)
                return
            _close(waiting.popleft())
        if not any(self._waiting):
            self._sent.set()


def _refuse(sock: socket.socket, _: Handed) -> None:
    sock.close()


def _packed(handed: Handed) -> int:
    """The descriptor of a file without a name that holds it: of any size, which a socket's message is not."""
    data = msgspec.msgpack.encode(handed)
    if sys.platform == "linux":
        file = os.memfd_create("audiotap")
    else:
        with TemporaryFile() as temporary:
            file = os.dup(temporary.fileno())
    append(file, data)
    return file


def _unpacked(file: int) -> Handed:
    try:
        return msgspec.msgpack.decode(os.pread(file, os.fstat(file).st_size, 0), type=Handed)
    finally:
        os.close(file)


def _close(descriptors: Sequence[int]) -> None:
    for descriptor in descriptors:
        os.close(descriptor)
