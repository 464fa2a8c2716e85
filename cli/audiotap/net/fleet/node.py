"""A listener as a node of a fleet: tells everybody which bots it has, and answers for them.

Law: recording needs nobody else. While NATS is away the bots are recorded as ever; what there is to tell waits, and is
told when it is back.
"""

from __future__ import annotations

import asyncio
import os
import secrets
import socket
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime

from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.js.errors import KeyWrongLastSequenceError, NotFoundError
from nats.js.kv import KeyValue

from audiotap.errors import NobodyError, WireError
from audiotap.net.control.audience import Audience
from audiotap.net.control.server import serve
from audiotap.net.fleet import bus
from audiotap.net.fleet.air import Air
from audiotap.net.fleet.line import Line, answer
from audiotap.net.fleet.registry import (
    BEAT_SECONDS,
    SESSIONS,
    STEP,
    Directory,
    Entry,
    control_subject,
    decode,
    encode,
    entry_of,
    token,
)
from audiotap.net.lanes import DirectLane
from audiotap.net.tap import Tap, Tell
from audiotap.net.tasks import wait_for
from audiotap.reports import Odd
from audiotap.session import SessionKey, Summary, TimeLine
from audiotap.sinks.base import Item

START_SECONDS = 5.0
"""How long a listener waits for NATS before it takes bots without it."""
LAST_SECONDS = 3.0
"""How long its end waits for NATS."""
ANSWER_SECONDS = 10.0
AGAIN_SECONDS = 1.0
"""After which NATS is asked again that did not answer."""
AT_ONCE = 64
"""Sessions that are written down at the same time."""
MOST_TRIES = 5
"""To write down what others write down, too."""
MOST_CLIENTS = 1000


class Claim:
    """A session that is ours as far as we know, and what is written down of it at which revision."""

    def __init__(self, entry: Entry, connections: int) -> None:
        self.entry = entry
        self.connections = connections
        self.written: Entry | None = None
        self.revision = 0
        self.lost = False

    @property
    def due(self) -> bool:
        """Whether it has to be written down."""
        return not self.lost and (self.written is None or self.entry.says_more(self.written))


class Roll:
    """A sink that keeps what is to be written down of our sessions. `news` is set when that changes."""

    required = False

    def __init__(self, node: str, tap: Tap, directory: Directory) -> None:
        self.claims: dict[SessionKey, Claim] = {}
        self.ended: list[Claim] = []
        self.news = asyncio.Event()
        self._node = node
        self._tap = tap
        self._directory = directory

    def write(self, items: Sequence[Item]) -> None:
        for item in items:
            if type(item) is Summary:
                self.take(item)

    def close(self) -> None:
        """Nothing is open."""

    def take(self, summary: Summary) -> None:
        """Keep how a session stands."""
        now = datetime.now(UTC)
        key = summary.session
        claim = self.claims.get(key)
        joined = summary.open > 0 and (claim is None or summary.connections > claim.connections)
        if claim is None and not joined:
            return
        since = self._since(key, now) if joined or claim is None else claim.entry.since
        entry = entry_of(summary, self._node, since, now, released=self._tap.closing)
        if claim is None:
            claim = self.claims[key] = Claim(entry, summary.connections)
        claim.entry, claim.connections = entry, summary.connections
        claim.lost &= not joined
        if summary.ended is not None:
            self.ended.append(self.claims.pop(key))
        if claim.due:
            self._directory.take(entry)
            self.news.set()

    def _since(self, key: SessionKey, now: datetime) -> float:
        """When a bot connected: after its last connection, whatever the clocks say."""
        known = self._directory.get(key)
        return max(now.timestamp(), known.since + STEP if known is not None else 0.0)

    def lose(self, entry: Entry) -> bool:
        """Whether a session that was ours is another node's."""
        claim = self.claims.get(entry.key)
        if claim is None or claim.lost or entry.node in ("", self._node) or entry.since <= claim.entry.since:
            return False
        claim.lost = True
        return True


class Node:
    """One listener among others."""

    def __init__(self, url: str, tap: Tap, audience: Audience, tell: Tell) -> None:
        self.name = f"{socket.gethostname()}-{os.getpid()}-{secrets.token_hex(4)}"
        self.settled = asyncio.Event()
        self._url = url
        self._tap = tap
        self._audience = audience
        self._tell = tell
        self._directory = Directory()
        self.roll = Roll(self.name, tap, self._directory)
        self._lines: set[asyncio.Task[None]] = set()
        self._client: Client | None = None
        self._air: Air | None = None
        self._buckets: tuple[KeyValue, KeyValue] | None = None
        self._listed = False
        self._beat_at = 0.0
        self._complained = False
        self._leaving = False

    def line(self, key: SessionKey) -> TimeLine | None:
        """The line of a session that another node had."""
        return self._directory.line(key, datetime.now(UTC))

    async def run(self) -> None:
        """Be there for everybody, as far as NATS is, until this node leaves."""
        while not self._leaving:
            try:
                async with bus.connected(
                    self._url, f"audiotap {self.name}", lost=self._is_lost, back=self._is_back
                ) as client:
                    await self._serve(client)
            except NobodyError as error:
                self._complain(error.message)
            except bus.ERRORS as error:
                self._complain(self._does_not_answer(error))
                await asyncio.sleep(AGAIN_SECONDS)
            self.settled.set()

    async def _serve(self, client: Client) -> None:
        self._client, self._air = client, Air(client)
        await client.subscribe(control_subject(self.name), cb=self._answer)
        await client.subscribe(f"$KV.{SESSIONS}.>", cb=self._learn)
        while True:
            self.roll.news.clear()
            await self._bring_up_to_date(client)
            if self._leaving:
                break
            await wait_for(self.roll.news, AGAIN_SECONDS if self._complained else BEAT_SECONDS)

    async def leave(self, running: asyncio.Task[None]) -> None:
        """Write down what is left to write, and that this node is no more."""
        self._leaving = True
        for line in self._lines:
            line.cancel()
        await asyncio.gather(*self._lines, return_exceptions=True)
        self.roll.news.set()
        if self._client is not None and self._client.is_connected:
            await asyncio.wait({running}, timeout=LAST_SECONDS)
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)

    # What is written down

    async def _bring_up_to_date(self, client: Client) -> None:
        if not client.is_connected:
            return
        try:
            async with asyncio.timeout(ANSWER_SECONDS):
                nodes, sessions = self._buckets = self._buckets or (await bus.nodes(client), await bus.sessions(client))
                await self._list(sessions)
                await self._write_down(sessions)
                await self._beat(nodes)
                if self._leaving:
                    await nodes.delete(token(self.name))
        except bus.ERRORS as error:
            self._buckets = None
            self._complain(self._does_not_answer(error))
        else:
            if self._complained:
                self._complained = False
                self._tell(Odd(f"the fleet at {bus.shown(self._url)} is back"))
        self.settled.set()

    async def _list(self, sessions: KeyValue) -> None:
        """Learn of all sessions; after that, of every change."""
        if self._listed:
            return
        for value in (await bus.values(sessions)).values():
            self._note(value)
        self._listed = True

    def _does_not_answer(self, error: BaseException) -> str:
        return f"the fleet at {bus.shown(self._url)} does not answer: {bus.reason(error)}"

    async def _beat(self, nodes: KeyValue) -> None:
        """Say that this node lives; now and then is also the time to forget what nobody asks for any more."""
        now = asyncio.get_running_loop().time()
        if now - self._beat_at >= BEAT_SECONDS / 2:
            await nodes.put(token(self.name), self.name.encode())
            self._beat_at = now
            self._directory.forget(datetime.now(UTC))

    async def _write_down(self, sessions: KeyValue) -> None:
        due = [claim for claim in self.roll.claims.values() if claim.due]
        for at in range(0, len(due), AT_ONCE):
            await asyncio.gather(*(self._write(sessions, claim) for claim in due[at : at + AT_ONCE]))
        while self.roll.ended:
            await self._write(sessions, self.roll.ended[0])
            self.roll.ended.pop(0)

    async def _write(self, sessions: KeyValue, claim: Claim) -> None:
        """Write down a session, unless another node has it by now."""
        key = token(*claim.entry.key)
        for _ in range(MOST_TRIES):
            if not claim.due:
                return
            entry = claim.entry
            try:
                claim.revision = await sessions.update(key, encode(entry), last=claim.revision)
            except KeyWrongLastSequenceError:
                await self._compare(sessions, key, claim)
            else:
                claim.written = entry

    async def _compare(self, sessions: KeyValue, key: str, claim: Claim) -> None:
        try:
            found = await sessions.get(key)
        except NotFoundError:
            claim.revision = 0
            return
        claim.revision = found.revision or 0
        with suppress(WireError):
            entry = decode(found.value or b"")
            if entry.node not in ("", self.name) and entry.since > claim.entry.since:
                claim.lost = True
                self._directory.take(entry)

    # What is heard

    async def _learn(self, message: Msg) -> None:
        self._note(message.data)

    def _note(self, value: bytes) -> None:
        """Somebody has written down a session."""
        with suppress(WireError):
            entry = decode(value)
            if self._directory.take(entry) and self.roll.lose(entry) and self._air is not None:
                self._air.end(entry.key)

    async def _is_lost(self) -> None:
        if self._client is not None:
            self._complain(f"the fleet at {bus.shown(self._url)} is away")

    async def _is_back(self) -> None:
        self._listed = False
        self._beat_at = 0.0
        self.roll.news.set()

    def _complain(self, what: str) -> None:
        if not (self._complained or self._leaving):
            self._complained = True
            self._tell(Odd(f"{what}; bots are recorded as before, and cannot be controlled from elsewhere"))

    # Who asks

    async def _answer(self, message: Msg) -> None:
        """Somebody wants to control our bots."""
        if self._client is None or len(self._lines) >= MOST_CLIENTS:
            return
        line = await answer(self._client, message)
        if line is not None:
            task = asyncio.create_task(self._talk(line), name="fleet client")
            self._lines.add(task)
            task.add_done_callback(self._lines.discard)

    async def _talk(self, line: Line) -> None:
        try:
            if self._air is not None:
                await serve(self._tap, self._audience, line, self._air.let_hear)
        finally:
            await line.aclose()


@asynccontextmanager
async def member(url: str, tap: Tap, audience: Audience, tell: Tell) -> AsyncIterator[DirectLane]:
    """Be a node while the block runs; the lane to what has to be told of the tap's sessions."""
    node = Node(url, tap, audience, tell)
    tap.elsewhere = node.line
    tap.attend = lambda live: node.roll.take(live.summary())
    running = asyncio.create_task(node.run(), name="fleet")
    try:
        await wait_for(node.settled, START_SECONDS)
        yield DirectLane(node.roll, "the fleet", tell)
    finally:
        await node.leave(running)
