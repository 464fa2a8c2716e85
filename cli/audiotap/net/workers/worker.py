"""A worker: a listener that records its share of the sessions, started and told what to do by a front."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from audiotap.errors import AudiotapError
from audiotap.net.handover import Handover
from audiotap.net.listener import Listener, listening
from audiotap.net.workers.channel import (
    ORDERS,
    Broken,
    Channel,
    Count,
    Drain,
    Drained,
    Ended,
    Finish,
    Limited,
    Refused,
    Settle,
    Settled,
    Setup,
)
from audiotap.net.workers.levels import keep_measuring
from audiotap.sinks.meter import Levels, Meter


async def work(sock: socket.socket) -> None:
    """Work for the front at the other end of a socket pair, until it says so or is gone."""
    channel = await Channel.on(sock)
    setup = await channel.hear(ORDERS)
    if isinstance(setup, Setup):
        try:
            await _work(channel, setup)
        except AudiotapError as error:
            channel.say(Broken(error.message, error.hint, error.status))
    await channel.close()


async def _work(channel: Channel, setup: Setup) -> None:
    place = _Place(channel, setup)
    obeying = asyncio.create_task(place.obey(), name="orders")
    meter = Meter()
    async with listening(setup.config, channel.say, (meter,) if setup.levels else (), place) as listener:
        place.listener.set_result(listener)
        with _measuring(channel, meter, wanted=setup.levels):
            await place.asked.wait()
    channel.say(Ended(listener.lossy, listener.recorded))
    obeying.cancel()
    if setup.control is not None:
        _leave(setup.control.parent)


def _leave(folder: Path) -> None:
    """Remove the folder of the workers' control sockets, if nobody else has one there."""
    with suppress(OSError):
        folder.rmdir()


class _Place:
    """A seat, and the orders of the front. A front that is gone has given them all."""

    def __init__(self, channel: Channel, setup: Setup) -> None:
        self.bound = ([socket.socket(fileno=number) for number in setup.sockets], setup.host, setup.port)
        self.control = setup.control
        hands = [socket.socket(fileno=number) for number in setup.hands]
        self.handover = Handover(setup.share, hands, socket.socket(fileno=setup.mine))
        self.listener: asyncio.Future[Listener] = asyncio.get_running_loop().create_future()
        self.asked = asyncio.Event()
        self._draining: asyncio.Task[None] | None = None
        self._finish = asyncio.Event()
        self._channel = channel

    async def obey(self) -> None:
        """Hear the front's orders to their end."""
        while (order := await self._channel.hear(ORDERS)) is not None:
            match order:
                case Count():
                    if self.listener.done() and (figures := self.listener.result().figures) is not None:
                        self._channel.say(figures)
                case Drain():
                    self._draining = asyncio.create_task(self._drain(), name="drain")
                case Settle():
                    self._end()
                case Finish():
                    break
        self._end()
        self._finish.set()

    def _end(self) -> None:
        if self._draining is not None:
            self._draining.cancel()
        self.asked.set()

    async def _drain(self) -> None:
        await (await asyncio.shield(self.listener)).drain()
        self._channel.say(Drained())

    def refused(self, kind: str) -> None:
        self._channel.say(Refused(kind))

    def limited(self, what: str) -> None:
        self._channel.say(Limited(what))

    async def settle(self) -> None:
        await self.handover.close()
        self._channel.say(Settled())
        await self._finish.wait()
        self.handover.take_in()


@contextmanager
def _measuring(channel: Channel, meter: Meter, *, wanted: bool) -> Iterator[None]:
    """Tell the front what the meter shows while the block runs."""
    if not wanted:
        yield
        return
    telling = asyncio.create_task(keep_measuring(meter, lambda shown: channel.say(Levels(tuple(shown)))))
    try:
        yield
    finally:
        telling.cancel()
