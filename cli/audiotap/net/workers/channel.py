"""What the front and a worker say to each other: reports and levels up, orders down, over one socket pair.

Messages are msgpack with their length in front. The end of the channel is the end of the other process.
"""

from __future__ import annotations

import asyncio
import os
import socket
import struct
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from audiotap.net.fleet.metrics.figures import Figures
from audiotap.net.listener import Config
from audiotap.net.ownership import Share
from audiotap.reports import Report
from audiotap.sinks.meter import Levels

T = TypeVar("T")
MOST_UNSENT = 1024 * 1024
"""Bytes that wait for a front that does not read, above which levels are left out."""
_LENGTH = struct.Struct("!I")


class Setup(msgspec.Struct, frozen=True, tag="worker.setup", tag_field="event"):
    """The first word to a worker; what is a number is an inherited descriptor.

    `host` and `port` are what was bound, by all `sockets`; `control` is the worker's own control socket; `levels`
    asks for what its meter shows.
    """

    config: Config
    share: Share
    host: str
    port: int
    sockets: tuple[int, ...]
    hands: tuple[int, ...]
    mine: int
    control: Path | None
    levels: bool


class Count(msgspec.Struct, frozen=True, tag="worker.count", tag_field="event"):
    """Say what you have counted."""


class Drain(msgspec.Struct, frozen=True, tag="worker.drain", tag_field="event"):
    """Take no more connections, and say when the last session is over."""


class Drained(msgspec.Struct, frozen=True, tag="worker.drained", tag_field="event"):
    """The last session is over."""


class Settle(msgspec.Struct, frozen=True, tag="worker.settle", tag_field="event"):
    """Take nobody new."""


class Finish(msgspec.Struct, frozen=True, tag="worker.finish", tag_field="event"):
    """Nobody hands anything over any more: finish all files, and end."""


class Settled(msgspec.Struct, frozen=True, tag="worker.settled", tag_field="event"):
    """Everything was handed over that had to be."""


class Refused(msgspec.Struct, frozen=True, tag="worker.refused", tag_field="event"):
    """Somebody was not let in; the word of a `Refusal`."""

    kind: str


class Limited(msgspec.Struct, frozen=True, tag="worker.limited", tag_field="event"):
    """Something was not taken, since a limit was reached; the sentence for it."""

    what: str


class Broken(msgspec.Struct, frozen=True, tag="worker.broken", tag_field="event"):
    """The worker cannot work; an AudiotapError says why."""

    message: str
    hint: str
    status: int


class Ended(msgspec.Struct, frozen=True, tag="worker.ended", tag_field="event"):
    """All files are finished; what counts for the exit status."""

    lossy: bool
    recorded: bool


Order = Setup | Count | Drain | Settle | Finish
Word = Report | Figures | Drained | Settled | Refused | Limited | Levels | Broken | Ended


def _path_out(value: Any) -> Any:
    if isinstance(value, Path):
        return os.fsencode(value)
    raise NotImplementedError


def _path_in(kind: type, value: Any) -> Any:
    if issubclass(kind, Path):
        return Path(os.fsdecode(value))
    raise NotImplementedError


ORDERS: msgspec.msgpack.Decoder[Order] = msgspec.msgpack.Decoder(Order, dec_hook=_path_in)
WORDS: msgspec.msgpack.Decoder[Word] = msgspec.msgpack.Decoder(Word)
_ENCODER = msgspec.msgpack.Encoder(enc_hook=_path_out)


class Channel:
    """One end of it. After the other end is gone, what is said goes nowhere."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    @classmethod
    async def on(cls, sock: socket.socket) -> Channel:
        """The channel on one socket of a pair."""
        return cls(*await asyncio.open_unix_connection(sock=sock))

    def say(self, message: Order | Word) -> None:
        """Say something; it never waits. Levels are left out while much else waits."""
        transport = self._writer.transport
        if transport.is_closing() or (isinstance(message, Levels) and transport.get_write_buffer_size() > MOST_UNSENT):
            return
        data = _ENCODER.encode(message)
        self._writer.write(_LENGTH.pack(len(data)) + data)

    async def hear(self, decoder: msgspec.msgpack.Decoder[T]) -> T | None:
        """The other end's next word; None when it is gone."""
        try:
            (length,) = _LENGTH.unpack(await self._reader.readexactly(_LENGTH.size))
            data = await self._reader.readexactly(length)
        except (OSError, asyncio.IncompleteReadError):
            return None
        return decoder.decode(data)

    async def close(self) -> None:
        """Return when all that was said is on its way."""
        self._writer.close()
        try:
            await self._writer.wait_closed()
        except OSError:
            return
