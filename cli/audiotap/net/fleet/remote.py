"""A fleet as its clients see it: who holds which bot, and a line to that node."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing, asynccontextmanager, suppress
from functools import partial

from nats.aio.client import Client
from nats.aio.msg import Msg
from websockets.exceptions import ConnectionClosed

from audiotap.dialects import REGISTER
from audiotap.errors import NobodyError, WireError
from audiotap.events import Attach, SessionStatus, Speak, Status
from audiotap.net.choice import choose
from audiotap.net.control.remote import RETRY_SECONDS, Attachment, Target, Tuned, ask, attached_to_track, greet, insist
from audiotap.net.fleet import bus
from audiotap.net.fleet.air import decode as decode_sound
from audiotap.net.fleet.line import dial
from audiotap.net.fleet.registry import NODES, SESSIONS, Entry, decode, live_subject
from audiotap.session import Placed

MOST_UNREAD = 2000
"""Messages of a track that wait for us."""


@asynccontextmanager
async def attached(target: Target) -> AsyncIterator[Attachment]:
    """A line to the node that holds the bot that is meant; errors and waits as where there is one listener."""
    async with bus.connected(target.fleet) as client:
        attachment = await insist(partial(_attach, client), target)
        async with attachment.closing:
            yield attachment


async def statuses(fleet: str) -> list[Status]:
    """How every node stands."""
    async with bus.connected(fleet) as client:
        asked = await asyncio.gather(*(_status(client, node) for node in sorted(await _living(client))))
    return [status for status in asked if status is not None]


async def tailing(target: Target, wanted: str, tuned: Tuned) -> AsyncGenerator[Placed]:
    """A track while it is recorded, on whichever node its bot is; until the session's end."""
    async with bus.connected(target.fleet) as client:
        attachment = await insist(partial(attached_to_track, partial(_attach, client), wanted), target)
        listener = _Listener(client, target, attachment)
        following = asyncio.create_task(listener.follow(tuned), name="following")
        try:
            while (placed := await listener.next()) is not None:
                yield placed
            await following
        finally:
            following.cancel()
            await asyncio.gather(following, return_exceptions=True)


class _Listener:
    """Hears one track of one session, and asks for it at the node that has the session now."""

    def __init__(self, client: Client, target: Target, attachment: Attachment) -> None:
        self._client = client
        self._target = target
        self._key = attachment.to.provider, attachment.to.session
        self._track = attachment.track
        self._attachment: Attachment | None = attachment
        self._heard: asyncio.Queue[Placed | None] = asyncio.Queue(MOST_UNREAD)

    async def next(self) -> Placed | None:
        """What is heard next; None at the end."""
        return await self._heard.get()

    async def follow(self, tuned: Tuned) -> None:
        """Have the track on the air as long as there is the session."""
        try:
            await self._client.subscribe(live_subject(self._key, self._track), cb=self._take)
            await self._client.flush()
            while self._attachment is not None:
                tuned(self._key, self._track)
                await self._attachment.connection.wait_closed()
                await self._hang_up()
                await self._go_after()
        finally:
            await self._hang_up()
            if self._heard.full():
                self._heard.get_nowait()
            self._heard.put_nowait(None)

    async def _hang_up(self) -> None:
        if self._attachment is not None:
            async with self._attachment.closing:
                self._attachment = None

    async def _go_after(self) -> None:
        """Ask the node that has the session now, until there is one, or no session."""
        while (entry := await self._entry()) is not None:
            with suppress(NobodyError, ConnectionClosed):
                self._attachment = await _attach_to(self._client, entry, self._target)
                await self._attachment.tail(self._track)
                return
            await self._hang_up()
            await asyncio.sleep(RETRY_SECONDS)

    async def _entry(self) -> Entry | None:
        """What is written down of the session, once that can be read; None where it is over."""
        while True:
            with suppress(NobodyError):
                entries = {entry.key: entry for entry in await _held(self._client)}
                entry = entries.get(self._key)
                return entry if entry is not None and not entry.ended else None
            await asyncio.sleep(RETRY_SECONDS)

    async def _take(self, message: Msg) -> None:
        with suppress(WireError, asyncio.QueueFull):
            position, chunk = decode_sound(message.data)
            self._heard.put_nowait(Placed(self._key, self._track, position, chunk))


async def _attach(client: Client, target: Target) -> Attachment:
    living = await _living(client)
    entries = {entry.key: entry for entry in await _held(client) if not entry.ended and entry.provider in REGISTER}
    held = [_as_status(entry, living) for entry in entries.values()]
    one = choose(held, target.bot, away=target.away, deaf=target.deaf)
    return await _attach_to(client, entries[one.provider, one.session], target)


async def _attach_to(client: Client, entry: Entry, target: Target) -> Attachment:
    """A line to the node that holds a session, attached to it."""
    if not entry.node:
        raise NobodyError(f"no node holds bot {entry.session} right now", "it will be back: add --wait SECONDS")
    line = await dial(client, entry.node)
    try:
        return Attachment(
            line, await greet(line, Attach(entry.session, target.away, target.deaf)), aclosing(line), lambda: None
        )
    except BaseException:
        await line.aclose()
        raise


def _as_status(entry: Entry, living: set[str]) -> SessionStatus:
    """An entry as the one who chooses wants it; what a dead node holds has no connection."""
    there = entry.connected and entry.node in living
    speaks = there and Speak in REGISTER[entry.provider].knows
    return SessionStatus(
        entry.provider, entry.session, entry.bot, int(there), entry.line.seconds, 0.0, speaks, tracks=()
    )


async def _living(client: Client) -> set[str]:
    return {name.decode(errors="replace") for name in await _written(client, NODES)}


async def _held(client: Client) -> list[Entry]:
    entries = []
    for value in await _written(client, SESSIONS):
        with suppress(WireError):
            entries.append(decode(value))
    return entries


async def _written(client: Client, name: str) -> list[bytes]:
    try:
        return await bus.written(client, name)
    except bus.ERRORS as error:
        raise NobodyError(
            f"the fleet does not tell who holds which bot: {bus.reason(error)}", "is JetStream running there?"
        ) from error


async def _status(client: Client, node: str) -> Status | None:
    """How a node stands; None for one that just died."""
    with suppress(NobodyError, ConnectionClosed):
        line = await dial(client, node)
        async with aclosing(line):
            return await ask(line)
    return None
