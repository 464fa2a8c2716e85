"""The client's end of control: find a running listener and the bot that is meant, and tell it what to do."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import msgspec
from websockets.asyncio.client import ClientConnection
from websockets.exceptions import ConnectionClosed

from audiotap.audio import Chunk
from audiotap.dialects import native
from audiotap.errors import AudiotapError, Exit, NobodyError, UsageError, WireError
from audiotap.events import (
    Ask,
    Attach,
    Attached,
    ControlEvent,
    Done,
    Fault,
    Finish,
    Finished,
    Pause,
    Progress,
    Sound,
    Speak,
    Status,
    Stop,
    Tail,
    Tailing,
    Watch,
    is_meant,
)
from audiotap.files import is_ours
from audiotap.net.control.audience import Shown, decoded
from audiotap.net.control.sockets import Talk, dial_control, say
from audiotap.net.tasks import from_thread
from audiotap.session import Placed, SessionKey

T = TypeVar("T")
RETRY_SECONDS = 0.2
ANSWER_SECONDS = 10.0
"""That a listener may take to say how it stands; one whose disk or processor is slow takes a while."""
SAME_VERSION = "are both the same audiotap version?"


class Listener:
    """A running listener as a control client sees it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.port = int(path.stem.partition("-")[0])

    async def status(self, within: float = ANSWER_SECONDS) -> Status | None:
        """How it stands; None if it's gone (its socket is then removed, and those of its workers).

        AudiotapError says why another one cannot be told: it does not answer in time, or speaks another version.
        """
        try:
            async with asyncio.timeout(within), await dial_control(self.path) as connection:
                return await ask(connection)
        except (ConnectionRefusedError, FileNotFoundError):
            self.path.unlink(missing_ok=True)
            shutil.rmtree(self.path.with_suffix(""), ignore_errors=True)
        except TimeoutError as error:
            raise self._silence() from error
        except (OSError, ConnectionClosed, NobodyError):
            pass
        return None

    async def dial(self) -> ClientConnection:
        """A connection to it; NobodyError when it is gone, or does not answer."""
        try:
            return await dial_control(self.path)
        except TimeoutError as error:
            raise self._silence() from error
        except OSError as error:
            raise NobodyError("the listener went away", "start it again: audiotap listen") from error

    def _silence(self) -> NobodyError:
        process = self.path.stem.partition("-")[2]
        return NobodyError(
            f"the listener on port {self.port} does not answer",
            f"it is busy, or was halted; try again, and see what its process does: ps -p {process}",
        )


class Answers(NamedTuple):
    """The listeners that say how they stand, and what is wrong with those that run and do not."""

    running: list[tuple[Listener, Status]]
    troubles: list[AudiotapError]


def listeners(folder: Path, port: int | None) -> list[Listener]:
    """The listeners of this user, or those on one port. A folder that is somebody else's is not looked into."""
    if not folder.is_dir() or not is_ours(folder.stat()):
        return []
    found = [Listener(path) for path in sorted(folder.glob("*-*.sock")) if path.stem.partition("-")[0].isdecimal()]
    return [one for one in found if port is None or one.port == port]


async def answers(folder: Path, port: int | None, within: float = ANSWER_SECONDS) -> Answers:
    """Ask every listener how it stands, all at once: one that is busy holds up nobody for longer."""
    found = listeners(folder, port)
    asked = await asyncio.gather(*(_answer(one, within) for one in found))
    running = [(one, status) for one, status in zip(found, asked, strict=True) if isinstance(status, Status)]
    return Answers(running, [error for error in asked if isinstance(error, AudiotapError)])


async def _answer(listener: Listener, within: float) -> Status | AudiotapError | None:
    try:
        return await listener.status(within)
    except AudiotapError as error:
        return error


async def statuses(folder: Path, port: int | None) -> list[tuple[Listener, Status]]:
    """Every listener that says how it stands."""
    return (await answers(folder, port)).running


async def bots_url(folder: Path, port: int | None) -> str:
    """Where bots dial the listener that runs; NobodyError when none does, UsageError when several do."""
    found = await answers(folder, port)
    chosen = _choose(found, Target(folder, port))
    address = next(status.address for one, status in found.running if one is chosen)
    if not address:
        raise NobodyError(
            f"the tunnel of the listener on port {chosen.port} is starting", "try again in a moment: audiotap url"
        )
    return address


async def bots_heard(provider: str, folder: Path, port: int | None, bot: str) -> list[str]:
    """The provider's own ids of its bots that running listeners hear, of those that `bot` means."""
    running = await statuses(folder, port)
    sessions = [session for _, status in running for session in status.sessions if session.provider == provider]
    return sorted({one.bot or one.session for one in sessions if is_meant(bot, one.session, one.bot)})


class Target(msgspec.Struct, frozen=True):
    """Which bot is meant: folder of the control sockets, a listener's port, a bot's id or its beginning.

    `wait` is for how many seconds it may be missing; `away` and `deaf` are as in `Attach`. `fleet` has the servers by
    which it is reached, wherever it is; folder and port say nothing then.
    """

    folder: Path
    port: int | None = None
    bot: str = ""
    wait: float = 0.0
    away: bool = False
    deaf: bool = False
    fleet: str = ""

    @property
    def attach(self) -> Attach:
        """The word that means it."""
        return Attach(self.bot, self.away, self.deaf)


class Attachment:
    """A connection to a listener, attached to one bot; `abort` ends it at once."""

    def __init__(
        self,
        connection: Talk,
        to: Attached,
        closing: AbstractAsyncContextManager[Any],
        abort: Callable[[], None],
    ) -> None:
        self.connection = connection
        self.closing = closing
        self.to = to
        self.track = ""
        self._abort = abort

    async def pause(self, pause: Pause) -> Done:
        await say(self.connection, pause)
        return await self._done()

    async def stop(self) -> Done:
        await say(self.connection, Stop())
        return await self._done()

    async def speak(self, chunks: Iterator[Chunk], progress: Callable[[Progress], None]) -> Finished:
        """Send speech and return when it's over; cancelling drops what is queued of it. Raises what reading raises."""
        sending = asyncio.create_task(self._send(chunks))
        hearing = asyncio.create_task(self._follow(progress))
        try:
            await asyncio.wait({sending, hearing}, return_when=asyncio.FIRST_COMPLETED)
            if not hearing.done():
                await sending
            return await hearing
        finally:
            sending.cancel()
            hearing.cancel()
            await asyncio.gather(sending, hearing, return_exceptions=True)
            self._abort()  # a listener that holds speech back would read a farewell much later

    async def tail(self, track: str) -> None:
        """Listen to a track; what is heard of it comes out of `sounds`, or to all listeners of a fleet."""
        await say(self.connection, Tail(track))
        self.track = _expect(await _hear(self.connection), Tailing).track

    async def sounds(self) -> AsyncGenerator[Sound]:
        """What a tailed track sounds like, until the session's or the listener's end."""
        with suppress(ConnectionClosed):
            async for wire in self.connection:
                yield _expect(native.decode(wire), Sound)

    async def _send(self, chunks: Iterator[Chunk]) -> None:
        with suppress(ConnectionClosed):
            async for chunk in from_thread(chunks):
                await say(self.connection, Speak(chunk))
            await say(self.connection, Finish())

    async def _follow(self, progress: Callable[[Progress], None]) -> Finished:
        while not isinstance(event := await _hear(self.connection), Finished):
            if isinstance(event, Progress):
                progress(event)
        return event

    async def _done(self) -> Done:
        return _expect(await _hear(self.connection), Done)


Attaching = Callable[[Target], Awaitable[Attachment]]
Tuned = Callable[[SessionKey, str], None]
"""Told which session's track will be heard from now on."""


@asynccontextmanager
async def attached(target: Target) -> AsyncIterator[Attachment]:
    """A connection to the one bot that is meant; waits up to `target.wait` seconds for it to be there.

    NobodyError when there is none, UsageError with the choices when there are several.
    """
    attachment = await insist(_attach, target)
    async with attachment.closing:
        yield attachment


async def tailing(target: Target, wanted: str, tuned: Tuned) -> AsyncGenerator[Placed]:
    """A track while it is recorded, until the session's end."""
    attachment = await insist(partial(attached_to_track, _attach, wanted), target)
    key = attachment.to.provider, attachment.to.session
    async with attachment.closing:
        tuned(key, attachment.track)
        async for sound in attachment.sounds():
            yield Placed(key, attachment.track, sound.position, sound.chunk)


async def attached_to_track(attach: Attaching, wanted: str, target: Target) -> Attachment:
    """Attach to the bot that is meant, and to a track of it."""
    attachment = await attach(target)
    try:
        await attachment.tail(wanted)
    except BaseException:
        async with attachment.closing:
            raise
    return attachment


async def insist(attach: Attaching, target: Target) -> Attachment:
    """Attach, and try again for as long as the target waits."""
    loop = asyncio.get_running_loop()
    deadline = loop.time() + target.wait
    while True:
        try:
            return await attach(target)
        except NobodyError:
            if loop.time() >= deadline:
                raise
        await asyncio.sleep(RETRY_SECONDS)


async def watching(target: Target) -> AsyncGenerator[Shown]:
    """What the listener that is meant shows, until it ends."""
    connection = await _choose(await answers(target.folder, target.port), target).dial()
    async with connection:
        await say(connection, Watch())
        with suppress(ConnectionClosed):
            async for wire in connection:
                with suppress(WireError):
                    yield decoded(wire)


async def _attach(target: Target) -> Attachment:
    connection = await _choose(await answers(target.folder, target.port), target).dial()
    try:
        to = await greet(connection, target.attach)
        return Attachment(connection, to, connection, connection.transport.abort)
    except BaseException:
        await connection.close()
        raise


async def greet(connection: Talk, word: Attach) -> Attached:
    """Attach to a bot over a connection that is there."""
    await say(connection, word)
    return _expect(await _hear(connection), Attached)


async def ask(connection: Talk) -> Status:
    """How everything stands at the other end."""
    await say(connection, Ask())
    return _expect(await _hear(connection), Status)


def _choose(found: Answers, target: Target) -> Listener:
    """The listener that is meant: the only one, or the only one with that bot, or the only one with any bot."""
    running, troubles = found
    if not running and troubles:
        raise troubles[0]
    if not running:
        where = f"on port {target.port}" if target.port is not None else "here"
        raise NobodyError(f"no listener is running {where}", "start one first: audiotap listen")
    if len(running) == 1:
        return running[0][0]
    having = [one for one, status in running if any(is_meant(target.bot, s.session, s.bot) for s in status.sessions)]
    if len(having) == 1:
        return having[0]
    having_what = [(one.port, ", ".join(s.session for s in status.sessions) or "no bots") for one, status in running]
    choices = "; ".join([*(f"--port {port} has {what}" for port, what in having_what), *map(str, troubles)])
    if target.bot and not having:
        raise NobodyError(f"no bot {target.bot!r} is here", choices)
    raise UsageError("several listeners are running", f"choose one: {choices}")


async def _hear(connection: Talk) -> ControlEvent:
    """The listener's next word; its Fault becomes the error it was there."""
    try:
        event = native.decode(await connection.recv())
    except ConnectionClosed as error:
        raise NobodyError("the listener went away", "start it again: audiotap listen") from error
    except WireError as error:
        raise AudiotapError(f"the listener's answer is not understood: {error}", SAME_VERSION) from error
    if isinstance(event, Fault):
        raise _error(event)
    return event


def _expect(event: ControlEvent, kind: type[T]) -> T:
    if not isinstance(event, kind):
        raise AudiotapError(f"the listener answered {type(event).__name__}", SAME_VERSION)
    return event


def _error(fault: Fault) -> AudiotapError:
    """The error that the listener met, as one of ours with its exit status."""
    status = Exit.__members__.get(fault.code, Exit.FAILED)
    kind = {Exit.NOBODY: NobodyError, Exit.USAGE: UsageError}.get(status, AudiotapError)
    return kind(fault.message, fault.hint)
