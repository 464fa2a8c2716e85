"""Tracks on the air: published once for all who listen, and only while anybody does."""

from __future__ import annotations

import asyncio
import struct
from contextlib import suppress

from nats.aio.client import Client

from audiotap.audio import SAMPLE_BYTES, Chunk
from audiotap.errors import WireError
from audiotap.events import Tailing
from audiotap.net.control.live import listening_to, track_of
from audiotap.net.control.sockets import Talk, say
from audiotap.net.fleet.bus import ERRORS
from audiotap.net.fleet.registry import live_subject
from audiotap.net.live import Live
from audiotap.net.tap import Tap
from audiotap.net.tasks import first_of
from audiotap.session import Placed, SessionKey

MOST_SAMPLES = 16 * 1024
"""Of one message."""
_HEAD = struct.Struct("!QI")
"""Position and rate, before S16LE."""


def encode(position: int, rate: int, pcm: bytes) -> bytes:
    """Samples as a message."""
    return _HEAD.pack(position, rate) + pcm


def decode(data: bytes) -> tuple[int, Chunk]:
    """The samples of a message, and their position; WireError where it is none."""
    if len(data) < _HEAD.size or (len(data) - _HEAD.size) % SAMPLE_BYTES:
        raise WireError(f"no samples in {len(data)} bytes")
    position, rate = _HEAD.unpack_from(data)
    if not rate:
        raise WireError("samples without a rate")
    return position, Chunk(data[_HEAD.size :], rate)


class Programme:
    """One track on the air, and how many listen to it."""

    def __init__(self) -> None:
        self.listeners = 0
        self.over = asyncio.Event()
        self.publishing: asyncio.Task[None] | None = None


class Air:
    """All that a node publishes."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._programmes: dict[tuple[SessionKey, str], Programme] = {}

    async def let_hear(self, tap: Tap, live: Live, wanted: str, connection: Talk) -> None:
        """Have a track on the air for as long as a client stays, or the session is here."""
        track = track_of(live, wanted)
        address = live.session.key, track
        programme = self._programmes.get(address)
        if programme is None:
            programme = self._programmes[address] = Programme()
            programme.publishing = asyncio.create_task(self._publish(tap, live, track, programme), name="on the air")
        programme.listeners += 1
        try:
            await say(connection, Tailing(track))
            await first_of(connection.wait_closed(), programme.over.wait())
        finally:
            programme.listeners -= 1
            if not programme.listeners and programme.publishing is not None:
                programme.publishing.cancel()
                self._take_off(address, programme)

    def end(self, key: SessionKey) -> None:
        """A session is another node's: whoever listens has to ask there."""
        for (session, track), programme in list(self._programmes.items()):
            if session == key:
                self._take_off((session, track), programme)

    def _take_off(self, address: tuple[SessionKey, str], programme: Programme) -> None:
        programme.over.set()
        if self._programmes.get(address) is programme:
            del self._programmes[address]

    async def _publish(self, tap: Tap, live: Live, track: str, programme: Programme) -> None:
        address = live.session.key, track
        subject = live_subject(*address)
        with listening_to(tap, live, track) as ear:
            while not programme.over.is_set() and (placed := await ear.next()) is not None:
                if self._client.is_connected:
                    await self._say(subject, placed)
        self._take_off(address, programme)

    async def _say(self, subject: str, placed: Placed) -> None:
        pcm, step = placed.chunk.pcm, MOST_SAMPLES * SAMPLE_BYTES
        with suppress(*ERRORS):
            for at in range(0, len(pcm), step):
                position = placed.position + at // SAMPLE_BYTES
                await self._client.publish(subject, encode(position, placed.chunk.rate, pcm[at : at + step]))
