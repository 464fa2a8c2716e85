"""An agent that is talked to: dialled, opened by its dialect's manners, kept alive, dialled again where that helps."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Protocol, cast

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import (
    ConnectionClosed,
    InvalidHandshake,
    InvalidStatus,
    NegotiationError,
)
from websockets.typing import Subprotocol

from audiotap import __version__
from audiotap.agent_events import (
    AgentEvent,
    Configured,
    KeepAlive,
    Listen,
    Met,
    Recall,
    ToolCall,
    ToolResult,
    Transcript,
    UserEvent,
)
from audiotap.audio import Chunk
from audiotap.dialects.agents.base import Account, Address, AgentDialect, AgentSettings, Ending, Memory
from audiotap.dialects.base import Side
from audiotap.errors import AudiotapError, Exit, UnspokenError, WireError
from audiotap.events import Fault
from audiotap.net.peer import MAX_MESSAGE, check_url
from audiotap.net.tasks import wait_for
from audiotap.reports import Odd, Report
from audiotap.text import printable, without_path

OPENING_SECONDS = 15.0
"""What an agent may take from the dial to its readiness."""
LAST_WORDS_SECONDS = 2.0
"""How long an agent that told of a fatal fault is given to close by itself."""
BACK_OFF = (0.5, 1.0, 2.0, 4.0, 8.0, 15.0)
"""Seconds before each try to dial again; after the last one it's over."""
LASTING = 30.0
"""Seconds after which a connection was a good one: the next tries begin anew."""
MOST_WAITING = 5.0
"""Seconds of audio that wait for an agent who doesn't read; older audio is dropped."""
MOST_MEMORY = 100
"""Things said that a new connection is told of."""
MINUTE = 60.0
BROKEN = frozenset({1002, 1007, 1009})
"""Codes with which we end a connection on which something came that nobody may send."""
SHORTEST_KEY = 8
"""Characters of a key that is looked for in what an agent says; a shorter one would be found in any word."""
SHOWN = 200
"""Characters of a refusal's body that are shown."""


class Hears(Protocol):
    """Who is told what an agent says."""

    def hear(self, event: AgentEvent) -> None:
        """The agent said something."""

    def lost(self, ending: Ending) -> None:
        """The connection is lost, and dialled again."""


class Budget:
    """Messages of the last minute, so that a limit is kept. `now` in seconds."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._sent: deque[float] = deque()

    def wait(self, now: float) -> float:
        """Seconds until another message may be sent."""
        while self._sent and self._sent[0] <= now - MINUTE:
            self._sent.popleft()
        return self._sent[0] + MINUTE - now if self._most and len(self._sent) >= self._most else 0.0

    def spend(self, now: float) -> None:
        """A message is sent."""
        if self._most:
            self._sent.append(now)


class Outbox:
    """What is to be said, in order. Audio is gathered to the dialect's blocks where messages are limited in number."""

    def __init__(self, dialect: type[AgentDialect]) -> None:
        self.some = asyncio.Event()
        self.dropped = 0.0
        self._block = dialect.block if dialect.most_per_minute else 0.0
        self._events: deque[UserEvent] = deque()
        self._gathered: list[Chunk] = []
        self._waiting = 0.0

    def put(self, event: UserEvent) -> None:
        """Take an event; the oldest audio is dropped where too much of it waits."""
        if isinstance(event, Listen):
            self._gathered.append(event.chunk)
            if sum(chunk.seconds for chunk in self._gathered) + 1e-6 < self._block:
                return
        self._close_block()
        if not isinstance(event, Listen):
            self._events.append(event)
        self.some.set()

    def take(self) -> UserEvent | None:
        """What is next."""
        if not self._events:
            self.some.clear()
            return None
        event = self._events.popleft()
        if isinstance(event, Listen):
            self._waiting -= event.chunk.seconds
        return event

    def forget_audio(self) -> None:
        """Audio that could not be said in its time."""
        self._events = deque(event for event in self._events if not isinstance(event, Listen))
        self._gathered, self._waiting = [], 0.0

    @property
    def empty(self) -> bool:
        return not self._events

    def _close_block(self) -> None:
        if not self._gathered:
            return
        chunk = Chunk(b"".join(chunk.pcm for chunk in self._gathered), self._gathered[0].rate)
        self._gathered = []
        self._events.append(Listen(chunk))
        self._waiting += chunk.seconds
        while self._waiting > MOST_WAITING:
            oldest = next(event for event in self._events if isinstance(event, Listen))
            self._events.remove(oldest)
            self._waiting -= oldest.chunk.seconds
            self.dropped += oldest.chunk.seconds


class Agent:
    """One agent over any number of connections. All methods belong to the event loop's thread.

    With a `conversation` it goes on with that one, where the vendor can; a `patient` one dials again from the first try
    on. `id` is the agent's for what is going on,
    `ready` is set while it may be spoken to, `over` when it is finished, `ending` then says why.
    """

    def __init__(
        self,
        dialect: type[AgentDialect],
        account: Account,
        settings: AgentSettings,
        hears: Hears,
        tell: Callable[[Report], None],
        conversation: str = "",
        *,
        patient: bool = False,
    ) -> None:
        self.id = conversation
        self._patient = patient
        self.ready = asyncio.Event()
        self.over = asyncio.Event()
        self.ending: Ending | None = None
        self.connections = 0
        self.malformed = 0
        self.address = dialect.address(account, settings)
        check_url(self.address.url)
        self.dialect = dialect(Side.OURS, settings)
        self._kind = dialect
        self._key = account.key
        self._settings = settings
        self._hears = hears
        self._tell = tell
        self._loop = asyncio.get_running_loop()
        self._outbox = Outbox(dialect)
        self._budget = Budget(dialect.most_per_minute)
        self._sent_at = self._loop.time()
        self._idle = asyncio.Event()
        self._said: deque[Recall] = deque(maxlen=MOST_MEMORY)
        self._conversation = conversation
        self._leaving = False
        self._awaited: tuple[type, asyncio.Event] | None = None
        self._connection: ClientConnection | None = None
        self._task: asyncio.Task[None] | None = None

    @property
    def name(self) -> str:
        return self._kind.name

    @property
    def lost(self) -> Ending | None:
        """What ended it, if that was not us."""
        return self.ending if self.ending is not None and not self._leaving else None

    @property
    def dropped(self) -> float:
        """Seconds of the user's audio that the agent did not read in time."""
        return self._outbox.dropped

    async def open(self) -> None:
        """Dial, and return when it may be spoken to. AudiotapError, by the vendor's own words, when it never may."""
        self._task = asyncio.create_task(self._run(), name=f"agent {self.name}")
        self._task.add_done_callback(self._stopped)
        await _first(self.ready.wait(), self.over.wait())
        if self.ending is not None and not self.connections:
            raise as_error(self.name, self.ending)

    def say(self, event: UserEvent) -> bool:
        """Say something. What is said before the agent is ready waits for it, some seconds of it if it is audio.

        False for what nobody hears: audio while the agent is lost, everything when it is over.
        """
        lost = self.connections and not self.ready.is_set()
        if self.over.is_set() or (lost and isinstance(event, Listen)):
            return False
        self._idle.clear()
        self._outbox.put(event)
        return True

    def refuse(self, call: ToolCall) -> None:
        """Nobody here has tools; an agent that waits for an answer would say nothing more."""
        self.say(ToolResult(call.id, call.name, '{"error": "this tool is not available"}'))

    async def flushed(self) -> None:
        """Return when everything that was said has been sent, or it's over."""
        await _first(self._idle.wait(), self.over.wait())

    async def leave(self, *, finish: bool = False) -> None:
        """Leave as the vendor wants it; `finish` ends the conversation for good where that makes a difference."""
        self._leaving = True
        if self.ready.is_set():
            for step in self.dialect.leaving(finish=finish):
                answered = asyncio.Event()
                self._awaited = (step.until, answered) if step.until is not None else None
                self.say(step.say)
                await _first(self._idle.wait(), self.over.wait())
                if step.until is not None:
                    await _first(wait_for(answered, step.seconds), self.over.wait())
        if self._connection is not None:
            await self._connection.close()
        await self.close()

    async def close(self) -> None:
        """Be gone at once."""
        self._leaving = True
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        self._end(Ending("we left", status=Exit.OK))

    async def _run(self) -> None:
        tries = 0
        while True:
            dialled = self._loop.time()
            ending = await self._dial_and_talk()
            self.ready.clear()
            self._outbox.forget_audio()
            tries = 0 if self._loop.time() - dialled > LASTING else tries
            if self._leaving or not ending.again or tries >= len(BACK_OFF):
                self._end(ending)
                return
            self._tell(Odd(f"{self.name}: {printable(ending.message)}; dialling again in {BACK_OFF[tries]:g} s"))
            if self.connections:
                self._hears.lost(ending)
            await asyncio.sleep(BACK_OFF[tries])
            tries += 1

    async def _dial_and_talk(self) -> Ending:
        self.dialect = self._kind(Side.OURS, self._settings, Memory(self._conversation, tuple(self._said)))
        try:
            connection = await _dial(self.address)
        except InvalidStatus as error:
            return self._refusal(error)
        except (NegotiationError, InvalidHandshake, OSError, TimeoutError, EOFError) as error:
            where = without_path(self.address.url)
            return Ending(
                f"cannot connect to {where}: {self._without_key(str(error)) or type(error).__name__}",
                "is the server running there? --url says where it is",
                again=self._patient or bool(self.connections),
                status=Exit.NOBODY,
            )
        async with connection:
            self._connection = connection
            sending = asyncio.create_task(self._send(connection), name=f"to {self.name}")
            try:
                return await self._talk(connection)
            finally:
                self._connection = None
                sending.cancel()
                await asyncio.gather(sending, return_exceptions=True)

    async def _talk(self, connection: ClientConnection) -> Ending:
        """Hear until the connection is over; what its end means."""
        try:
            async with asyncio.timeout(OPENING_SECONDS) as patience:
                for event in self.dialect.opening():
                    await self._write(connection, event)
                async for wire in connection:
                    fatal = await self._take(connection, wire)
                    if fatal:
                        patience.reschedule(self._loop.time() + LAST_WORDS_SECONDS)
                    elif self.dialect.ready and not self.ready.is_set():
                        patience.reschedule(None)
                        self.connections += 1
                        self.ready.set()
                        self._outbox.some.set()
        except TimeoutError:
            if not self.dialect.ready:
                return Ending(
                    f"the agent was not ready within {OPENING_SECONDS:g} s of the connection",
                    "is it the right kind of server?",
                    again=bool(self.connections),
                )
        except ConnectionClosed as error:
            if error.sent is not None and error.sent.code in BROKEN and not error.rcvd_then_sent:
                return Ending(f"the agent broke the rules of websockets: {error.sent.reason or error.sent.code}")
        return self.dialect.ending(connection.close_code or 1006, self._without_key(connection.close_reason or ""))

    async def _take(self, connection: ClientConnection, wire: str | bytes) -> bool:
        """Take a message; whether it tells of the end."""
        try:
            wire = self._without_key(wire) if isinstance(wire, str) else wire
            events = cast("list[AgentEvent]", self.dialect.decode(wire))
        except WireError as error:
            self.malformed += 1
            if self.malformed == 1:
                self._tell(Odd(f"{self.name}: a message that cannot be read; counted: {printable(str(error))}"))
            return False
        fatal = False
        for event in events:
            for answer in self.dialect.reply(event):
                await self._write(connection, answer)
            self._remember(event)
            self._hears.hear(event)
            fatal |= isinstance(event, Fault) and event.fatal
        return fatal

    def _remember(self, event: AgentEvent) -> None:
        """What a new connection has to know, and what somebody waits for."""
        if isinstance(event, Configured) and event.conversation:
            self._conversation = self.id = event.conversation
        elif isinstance(event, Met):
            self.id = self.id or event.id
        elif isinstance(event, Transcript) and event.final and event.text:
            self._said.append(Recall(event.role, event.text))
        if self._awaited is not None and isinstance(event, self._awaited[0]):
            self._awaited[1].set()

    async def _send(self, connection: ClientConnection) -> None:
        """Send what is to be said, and that we're still here when there is nothing."""
        while True:
            event = self._outbox.take() if self.ready.is_set() else None
            if event is not None:
                await self._write(connection, event)
                continue
            if self._outbox.empty:
                self._idle.set()
            rest = self._sent_at + self.dialect.idle - self._loop.time()
            if not self.ready.is_set():
                self._outbox.some.clear()
                await self._outbox.some.wait()
            elif not await wait_for(self._outbox.some, max(0.0, rest) if self.dialect.idle else None):
                await self._write(connection, KeepAlive())

    async def _write(self, connection: ClientConnection, event: UserEvent) -> None:
        try:
            wires = self.dialect.encode(event)
        except UnspokenError:
            return
        for wire in wires:
            if wait := self._budget.wait(self._loop.time()):
                await asyncio.sleep(wait)
            self._budget.spend(self._loop.time())
            self._sent_at = self._loop.time()
            try:
                await connection.send(wire)
            except ConnectionClosed:
                return

    def _refusal(self, error: InvalidStatus) -> Ending:
        """What an HTTP status instead of a connection means."""
        code = error.response.status_code
        body = self._without_key(bytes(error.response.body or b"").decode(errors="replace"))[:SHOWN]
        said = f"{self.name} answers HTTP {code} at {without_path(self.address.url)}{f': {body}' if body else ''}"
        if code in {401, 403}:
            return Ending(said, "check the key and what it may do", status=Exit.REFUSED)
        again = code == 429 or code >= 500
        return Ending(said, "check --url and what it names", again=again, status=Exit.REFUSED)

    def _without_key(self, text: str) -> str:
        """Nobody is told the key, whoever repeats it."""
        return text.replace(self._key, "…") if len(self._key) >= SHORTEST_KEY else text

    def _stopped(self, task: asyncio.Task[None]) -> None:
        """Whatever ends the task, nobody waits for ever."""
        error = None if task.cancelled() else task.exception()
        told = "we left" if error is None else f"{type(error).__name__}: {error}"
        self._end(Ending(told, "" if error is None else "please report this as a bug"))

    def _end(self, ending: Ending) -> None:
        if self.ending is None:
            self.ending = ending
        self.ready.clear()
        self.over.set()


def as_error(name: str, ending: Ending) -> AudiotapError:
    """An ending as the error of a command."""
    error = AudiotapError(f"{name}: {ending.message}", ending.hint)
    error.status = ending.status
    return error


async def _dial(address: Address) -> ClientConnection:
    return await connect(
        address.url,
        additional_headers=dict(address.headers),
        subprotocols=[Subprotocol(one) for one in address.subprotocols] or None,
        user_agent_header=f"audiotap/{__version__}",
        compression=None,
        max_size=MAX_MESSAGE,
        close_timeout=LAST_WORDS_SECONDS,
    )


async def _first(*works: object) -> None:
    """Return when the first of several waits is over."""
    tasks = [asyncio.ensure_future(work) for work in works]  # type: ignore[call-overload]
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
