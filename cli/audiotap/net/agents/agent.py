"""An agent that is talked to: dialled, opened by its dialect's manners, kept alive, dialled again where that helps."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable
from contextlib import suppress
from ssl import SSLError
from typing import Protocol, cast

import msgspec
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import (
    ConnectionClosed,
    InvalidHandshake,
    InvalidStatus,
)
from websockets.typing import Subprotocol

from audiotap import __version__
from audiotap.agent_events import (
    AgentEvent,
    Configured,
    Doubt,
    KeepAlive,
    Met,
    Recall,
    Speech,
    SpeechFile,
    ToolCall,
    ToolResult,
    TurnDone,
    UserEvent,
    Write,
)
from audiotap.dialects.agents.base import Account, Address, AgentDialect, AgentSettings, Ending, Memory
from audiotap.dialects.base import Side
from audiotap.dialogue import Dialogue
from audiotap.errors import AudiotapError, Exit, UnspokenError, UsageError, WireError
from audiotap.events import Fault
from audiotap.net.agents.outbox import Budget, Fleeting, Outbox
from audiotap.net.peer import MAX_MESSAGE, NO_SERVER, check_url
from audiotap.net.tasks import wait_for
from audiotap.reports import Odd, Report
from audiotap.text import printable, without_path

OPENING_SECONDS = 15.0
"""What an agent may take from the dial to its readiness, or from what it says before that."""
SENDING_SECONDS = 5.0
"""What an agent that we leave may take to read what was said to it before."""
LAST_WORDS_SECONDS = 2.0
"""How long an agent that told of a fatal fault is given to close by itself."""
BACK_OFF = (0.5, 1.0, 2.0, 4.0, 8.0, 15.0, 15.0)
"""Seconds before each try to dial again; after the last one it's over, or goes on like that for who is patient."""
LASTING = 30.0
"""Seconds after which a connection was a good one: the next tries begin anew."""
MOST_MEMORY = 100
"""Things said that a new connection is told of."""
BROKEN = frozenset({1002, 1007, 1009})
"""Codes with which we end a connection on which something came that nobody may send."""
SHORTEST_KEY = 8
"""Characters of a key that is looked for in what an agent says; a shorter one would be found in any word."""
SHOWN = 200
"""Characters of a refusal's body that are shown."""
NO_ADDRESS = "check --url and what it names"
NO_ENTRY = "check the key and what it may do"
TROUBLE = "it has trouble right now: try again in a while"


class Hears(Protocol):
    """Who is told what an agent says."""

    def hear(self, event: AgentEvent) -> None:
        """The agent said something."""

    def lost(self, ending: Ending) -> None:
        """The connection is lost, and dialled again."""


class Agent:
    """One agent over any number of connections. All methods belong to the event loop's thread.

    With a `conversation` it goes on with that one, where the vendor can; a `patient` one dials again from the first try
    on, and for ever. `id` is the agent's for what is going on, `ready` is set while it may be spoken to, `over` when it
    is finished, `ending` then says why.
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
        if account.key and not re.fullmatch(r"[!-~]+", account.key):
            raise UsageError(f"the key for {dialect.name} holds what no key has", "set it to the bare key")
        self.dialect = dialect(Side.OURS, settings)
        self._kind = dialect
        self._key = account.key
        self._settings = settings
        self._hears = hears
        self._tell = tell
        self._loop = asyncio.get_running_loop()
        self._outbox = Outbox(dialect)
        self._budget = Budget(dialect.most_per_minute)
        self._sent_at = self._spoke_at = self._loop.time()
        self._idle = asyncio.Event()
        self._dialogue = Dialogue()
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

    async def open(self) -> None:
        """Dial, and return when it may be spoken to. AudiotapError, by the vendor's own words, when it never may."""
        self._task = asyncio.create_task(self._run(), name=f"agent {self.name}")
        self._task.add_done_callback(self._stopped)
        await _first(self.ready.wait(), self.over.wait())
        if self.ending is not None and not self.connections:
            raise as_error(self.name, self.ending)

    def say(self, event: UserEvent) -> bool:
        """Say something. What is said before the agent is ready waits for it, some seconds of it if it is audio.

        False for what is gone: it's over, or the agent was lost and could not use it later.
        """
        lost = self.connections and not self.ready.is_set()
        if self.over.is_set() or (lost and isinstance(event, Fleeting)):
            return False
        self._idle.clear()
        before = self._outbox.dropped
        self._outbox.put(event)
        if self._outbox.dropped and not before:
            self._tell(Odd(f"{self.name}: it does not take what is said in time; the oldest of it is dropped"))
        return True

    def refuse(self, call: ToolCall) -> None:
        """Nobody here has tools; an agent that waits for an answer would say nothing more."""
        self.say(ToolResult(call.id, call.name, '{"error": "this tool is not available"}'))

    async def leave(self, *, finish: bool = False) -> None:
        """Leave as the vendor wants it; `finish` ends the conversation for good where that makes a difference."""
        self._leaving = True
        if self.ready.is_set():
            for step in self.dialect.leaving(finish=finish):
                answered = asyncio.Event()
                self._awaited = (step.until, answered) if step.until is not None else None
                self.say(step.say)
                await _first(wait_for(self._idle, SENDING_SECONDS), self.over.wait())
                if not self._idle.is_set():
                    break
                if step.until is not None:
                    await _first(wait_for(answered, step.seconds), self.over.wait())
        if self._connection is not None:
            await _closed(self._connection)
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
            dialled, before = self._loop.time(), self.connections
            ending = await self._dial_and_talk()
            self.ready.clear()
            self._outbox.forget()
            lost = self.connections > before
            tries = 0 if self._loop.time() - dialled > LASTING else tries
            last = tries >= len(BACK_OFF)
            if self._leaving or not ending.again or (last and not self._patient):
                self._end(ending)
                return
            if tries <= len(BACK_OFF):
                when = f"every {BACK_OFF[-1]:g} s from now on" if last else f"in {BACK_OFF[tries]:g} s"
                self._tell(Odd(f"{self.name}: {printable(ending.message)}; dialling again {when}"))
            if lost:
                self._dialogue.renew()
                self._hears.lost(ending)
            await asyncio.sleep(BACK_OFF[min(tries, len(BACK_OFF) - 1)])
            tries += 1

    async def _dial_and_talk(self) -> Ending:
        self.dialect = self._kind(Side.OURS, self._settings, self._memory())
        try:
            connection = await _dial(self.address)
        except InvalidStatus as error:
            return self._refusal(error)
        except NO_SERVER as error:
            where = without_path(self.address.url)
            return Ending(
                f"cannot connect to {where}: {self._without_key(str(error)) or type(error).__name__}",
                _look_at(self.address.url, error),
                again=self._patient or bool(self.connections),
                status=Exit.NOBODY,
            )
        async with connection:
            self._connection = connection
            sending = asyncio.create_task(self._send(connection), name=f"to {self.name}")
            try:
                ending = await self._talk(connection)
                return msgspec.structs.replace(ending, message=self._without_key(ending.message))
            finally:
                self._connection = None
                sending.cancel()
                await asyncio.gather(sending, return_exceptions=True)

    async def _talk(self, connection: ClientConnection) -> Ending:
        """Hear until the connection is over; what its end means."""
        fatal, began = False, self._loop.time()
        try:
            async with asyncio.timeout(OPENING_SECONDS) as patience:
                for event in self.dialect.opening():
                    await self._answer(connection, event)
                async for wire in connection:
                    if await self._take(connection, wire) and not fatal:
                        fatal = True
                        patience.reschedule(self._loop.time() + LAST_WORDS_SECONDS)
                    elif self.dialect.ready and not (fatal or self.ready.is_set()):
                        patience.reschedule(None)
                        self.connections += 1
                        self.ready.set()
                        self._outbox.some.set()
                    elif self._spoke_at > began and not (fatal or self.ready.is_set()):
                        patience.reschedule(self._spoke_at + OPENING_SECONDS)
        except TimeoutError:
            if not fatal:
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
                why = printable(self._without_key(str(error)))
                self._tell(Odd(f"{self.name}: a message that cannot be read; counted: {why}"))
            return False
        fatal = False
        for told in events:
            event = self._cleaned(told) if isinstance(told, Fault) else told
            for answer in self.dialect.reply(event):
                await self._answer(connection, answer)
            if isinstance(event, Doubt):
                self._tell(Odd(f"{self.name}: {printable(event.message)}"))
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
        elif isinstance(event, Speech | SpeechFile):
            self._spoke_at = self._loop.time()
        self._dialogue.take(event, self._loop.time())
        if self._awaited is not None and isinstance(event, self._awaited[0]):
            self._awaited[1].set()

    def _memory(self) -> Memory:
        """What was said on all connections until now, in its order."""
        said = [Recall(one.role, one.text) for one in self._dialogue.said if one.final and one.text]
        return Memory(self._conversation, tuple(said[-MOST_MEMORY:]), lost=bool(self.connections))

    async def _send(self, connection: ClientConnection) -> None:
        """Send what is to be said, and that we're still here when there is nothing."""
        while True:
            event = self._outbox.take() if self.ready.is_set() else None
            if event is not None:
                try:
                    await self._write(connection, event)
                except ConnectionClosed:
                    self._outbox.put_back(event)
                    raise
                if isinstance(event, Write) and not event.event:
                    self._dialogue.wrote(event, self._loop.time())
                continue
            if self._outbox.empty:
                self._idle.set()
            rest = self._sent_at + self.dialect.idle - self._loop.time()
            if not self.ready.is_set():
                self._outbox.some.clear()
                await self._outbox.some.wait()
            elif not await wait_for(self._outbox.some, max(0.0, rest) if self.dialect.idle else None):
                await self._write(connection, KeepAlive())

    async def _answer(self, connection: ClientConnection, event: UserEvent) -> None:
        """Say something at once; one who doesn't hear it any more may still have said something to be read."""
        with suppress(ConnectionClosed):
            await self._write(connection, event)

    async def _write(self, connection: ClientConnection, event: UserEvent) -> None:
        try:
            wires = self.dialect.encode(event)
        except UnspokenError:
            return
        for wire in wires:
            while wait := self._budget.wait(self._loop.time()):  # noqa: ASYNC110 - nobody but time makes room
                await asyncio.sleep(wait)
            self._budget.spend(self._loop.time())
            self._sent_at = self._loop.time()
            await connection.send(wire)

    def _refusal(self, error: InvalidStatus) -> Ending:
        """What an HTTP status instead of a connection means."""
        code = error.response.status_code
        body = self._without_key(bytes(error.response.body or b"").decode(errors="replace"))[:SHOWN]
        said = (
            f"HTTP {code} at {without_path(self.address.url)}{f': {printable(body.strip())}' if body.strip() else ''}"
        )
        if code == 429 or code >= 500:
            return Ending(said, TROUBLE, again=True, status=Exit.FAILED)
        if code in {401, 403}:
            return Ending(said, NO_ENTRY, status=Exit.REFUSED)
        return Ending(said, NO_ADDRESS, status=Exit.NOBODY if code == 404 else Exit.REFUSED)

    def _cleaned(self, fault: Fault) -> Fault:
        """A fault in which the key isn't told."""
        code, message, hint = map(self._without_key, (fault.code, fault.message, fault.hint))
        return Fault(code, message, hint, fault.fatal)

    def _without_key(self, text: str) -> str:
        """Nobody is told the key, whoever repeats it."""
        return text.replace(self._key, "…") if len(self._key) >= SHORTEST_KEY else text

    def _stopped(self, task: asyncio.Task[None]) -> None:
        """Whatever ends the task, nobody waits for ever."""
        error = None if task.cancelled() else task.exception()
        told = "we left" if error is None else self._without_key(f"{type(error).__name__}: {error}")
        self._end(Ending(told, "" if error is None else "please report this as a bug"))

    def _end(self, ending: Ending) -> None:
        if self.ending is None:
            self.ending = ending
            if self._outbox.dropped:
                self._tell(Odd(f"{self.name}: {self._outbox.dropped:.1f} s of what was said did not reach it"))
        self.ready.clear()
        self.over.set()


def without_tool(call: ToolCall, session: str) -> Odd:
    """An agent wants something of a tool, and there is none; said where `refuse` tells the agent."""
    return Odd(f"the agent calls the tool {printable(call.name)}: nobody has it", session)


def _look_at(url: str, error: BaseException) -> str:
    """What to do where there is no connection."""
    if isinstance(error, InvalidHandshake):
        return f"is it the right kind of server? {NO_ADDRESS}"
    if url.startswith("wss:") and isinstance(error, ConnectionResetError | EOFError | SSLError):
        return "does it speak TLS? without, its address begins with ws://"
    return "is the server running there? --url says where it is"


def broken_off(done: TurnDone, session: str) -> Odd:
    """An answer that is over before all of it was said, and nobody interrupted it."""
    return Odd(
        f"the agent calls its answer {done.status}{f': {printable(done.reason)}' if done.reason else ''}", session
    )


def as_error(name: str, ending: Ending) -> AudiotapError:
    """An ending as the error of a command."""
    error = AudiotapError(f"{name}: {ending.message}", ending.hint)
    error.status = ending.status
    return error


class Dial(connect):
    """A connection to where the key belongs: redirects are answers like any other that is no connection."""

    def process_redirect(self, exc: Exception) -> Exception:
        return exc


async def _dial(address: Address) -> ClientConnection:
    return await Dial(
        address.url,
        additional_headers=dict(address.headers),
        subprotocols=[Subprotocol(one) for one in address.subprotocols] or None,
        user_agent_header=f"audiotap/{__version__}",
        compression=None,
        max_size=MAX_MESSAGE,
        close_timeout=LAST_WORDS_SECONDS,
    )


async def _closed(connection: ClientConnection) -> None:
    """Close a connection; one whose other end reads nothing any more is cut."""
    try:
        async with asyncio.timeout(LAST_WORDS_SECONDS):
            await connection.close()
    except TimeoutError:
        connection.transport.abort()


async def _first(*works: object) -> None:
    """Return when the first of several waits is over."""
    tasks = [asyncio.ensure_future(work) for work in works]  # type: ignore[call-overload]
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
