"""A running listener: the public port, the control socket, the tap between them, and the sinks it records to."""

from __future__ import annotations

import asyncio
import gc
import os
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Iterator, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager, contextmanager
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from secrets import token_hex
from typing import TYPE_CHECKING, Any, Protocol

import msgspec
from websockets.frames import CloseCode

from audiotap import __version__
from audiotap.capture import VERSION, Hello, Moment
from audiotap.dialects import REGISTER
from audiotap.errors import MachineError
from audiotap.net.capturing import CaptureWriter
from audiotap.net.control.audience import Audience
from audiotap.net.control.server import serve
from audiotap.net.control.sockets import control_path, control_server
from audiotap.net.disk import SPACE, keep_syncing, watch_space
from audiotap.net.door.admission import Admission, Rules
from audiotap.net.door.door import Door
from audiotap.net.door.limits import Limits
from audiotap.net.door.tally import Tally, not_let_in
from audiotap.net.door.tls import Certificate
from audiotap.net.handover import Handed, Handover
from audiotap.net.lanes import LIMIT, BatchLane, DirectLane, Lane
from audiotap.net.peer import bind
from audiotap.net.port import TICK, Port
from audiotap.net.reach import Reach, reach
from audiotap.net.rest.base import Access
from audiotap.net.rest.names import keep_naming
from audiotap.net.tap import Tap, Tell
from audiotap.net.tasks import in_loop, never_silent
from audiotap.recovery import left_open
from audiotap.reports import CertificateReloaded, Listening, Metrics, Odd, Report
from audiotap.sinks.base import Sink
from audiotap.sinks.recording import Policy, Recorder
from audiotap.sinks.stream import PcmStream

if TYPE_CHECKING:
    from audiotap.net.fleet.metrics.counting import Counting
    from audiotap.net.fleet.metrics.figures import Figures

GARBAGE = (50_000, 10, 10)
"""Objects more than before, after which cycles are looked for: a look at hundreds of sessions takes 0.1 s."""


class Config(msgspec.Struct, frozen=True):
    """What a listener is told. `control` is the folder of control sockets; None opens none."""

    recording: Policy
    host: str = "127.0.0.1"
    port: int = 8765
    linger: float | None = None
    threshold: float | None = None
    control: Path | None = None
    pcm: tuple[int, str] | None = None
    """A file descriptor and the track whose samples go there."""
    min_free: int = 0
    """Bytes of disk space below which is warned."""
    buffer: int = LIMIT
    """Bytes of audio that wait for a slow disk before bots are held back."""
    attendee: Access | None = None
    """Who is asked for the names of participants in Attendee's meetings."""
    limits: Limits = Limits()
    rules: Rules = Rules()
    public: str = ""
    """The URL by which bots elsewhere reach the port, without the secret."""
    exposed: bool = False
    """Whether others than this machine's users can reach the port."""
    tunnel: bool = False
    """Whether a tunnel is to tell the public URL."""
    identity: str = msgspec.field(default_factory=lambda: token_hex(16))
    """By which whoever has access to control knows a connection to this listener from any other."""
    tls: tuple[Path, Path | None] | None = None
    """The certificate and its key."""
    tick: float = TICK
    """Seconds between the times at which bots are read."""
    capture: tuple[Path, int] | None = None
    """Where all that bots send is kept as it came, and how many bytes of it."""
    fleet: str = ""
    """The NATS servers by which other nodes and control clients are met."""
    metrics: tuple[str, int] | None = None
    """The host and the port at which it is told how everything stands."""

    def url(self, host: str, port: int) -> str:
        """What was bound."""
        return f"{'ws' if self.tls is None else 'wss'}://{host}:{port}"

    def address(self, url: str) -> str:
        """Where bots dial a URL that leads here: with the secret."""
        return f"{url.rstrip('/')}/{self.rules.secret}" if self.rules.secret else url

    def known(self, url: str) -> str:
        """Where bots dial as far as that is known when the port is bound: nothing before a tunnel tells it."""
        return "" if self.tunnel else self.address(self.public or url)

    def announced(self, url: str, port: int) -> list[Report]:
        """What is told when bots may dial."""
        told: list[Report] = [Listening(url, self.host, port, str(self.recording.out), not self.rules.open)]
        if self.exposed and self.rules.open:
            told.append(OPEN)
        if self.exposed and reach(self.known(url)) is Reach.NOWHERE:
            told.append(NAMELESS)
        return told


OPEN = Odd(
    "everybody who finds this port is let in and recorded; leave --no-secret out to have a secret in its address"
)
NAMELESS = Odd(
    "no name is known under which bots can dial this port, so audiotap url and bot create have none for them; add "
    "--public-url wss://YOUR-NAME:PORT/"
)


FOUND = Odd(
    "this port can be reached from elsewhere, through a tunnel or a proxy, and everybody who finds it is let in and "
    "recorded; start with --public-url wss://YOUR-TUNNEL-HOST/ to have a secret in its address"
)


class Seat(Protocol):
    """The place of a worker among others: what it was given instead of what a listener by itself makes."""

    bound: tuple[list[socket.socket], str, int]
    """Its own sockets on the port, the host for a URL, and the port."""
    control: Path | None
    handover: Handover

    def refused(self, kind: str) -> None:
        """Somebody was not let in."""

    def limited(self, what: str) -> None:
        """Something was not taken, since a limit was reached; a sentence says so."""

    async def settle(self) -> None:
        """Nobody new is taken here; returns when that holds for all workers."""


class Listener:
    """A listener that is running."""

    def __init__(
        self,
        tap: Tap,
        port: Port,
        lacking: Callable[[], bool],
        tell: Tell,
        certificate: Certificate | None,
        address: Callable[[str], str],
        counting: Counting | None,
    ) -> None:
        self.tap = tap
        self._port = port
        self._counting = counting
        self.tell = tell
        self._certificate = certificate
        self._address = address
        self.url, self.identity = tap.url, tap.identity
        self._lacking = lacking

    def publish(self, url: str) -> str:
        """Let bots dial a URL that leads here from outside; what they are to be told, with the secret."""
        self.tap.url, self.tap.address = url, self._address(url)
        return self.tap.address

    async def drain(self) -> None:
        """Take no more connections, and return when the last session is over."""
        self._port.settle()
        await self.tap.drain()

    @property
    def figures(self) -> Figures | None:
        """What was counted, if it was to be."""
        return self._counting.figures() if self._counting is not None else None

    def reload(self) -> None:
        """Take the certificate as its files are now; what cannot be used is told, and the old one stays."""
        if self._certificate is None:
            return
        try:
            self._certificate.load()
        except MachineError as error:
            self.tell(Odd(f"{error.message}; the old one stays"))
        else:
            self.tell(CertificateReloaded(str(self._certificate.chain)))
            for trouble in _troubles(self._certificate):
                self.tell(trouble)

    @property
    def recorded(self) -> bool:
        """Whether there was any session."""
        return self.tap.recorded

    @property
    def lossy(self) -> bool:
        """Whether any recording lacks something."""
        return self.tap.lossy or self._lacking()


@asynccontextmanager
async def listening(
    config: Config, tell: Tell, watchers: Sequence[Sink] = (), seat: Seat | None = None
) -> AsyncIterator[Listener]:
    """Run a listener while the block runs, then finish every file. `watchers` are sinks that only look (the meter).

    Sessions that a listener left open when it died are gone on with. `tell` is called in the event loop's thread.
    With a `seat` it is one of several workers, and records the sessions that are its own.
    MachineError when the port or a folder refuses.
    """
    gc.set_threshold(*GARBAGE)
    audience = Audience()
    tell = audience.telling(tell)
    aloud = in_loop(tell)
    handover = seat.handover if seat is not None else None
    tap = _tap(config, tell, seat)
    recorder = Recorder(config.recording, aloud)
    certificate = Certificate(*config.tls) if config.tls is not None else None
    async with AsyncExitStack() as stack:
        sockets, host, port = seat.bound if seat is not None else await bind(config.host, config.port)
        refusals = Tally(tell, not_let_in)
        stack.callback(refusals.close)
        count = seat.refused if seat is not None else refusals.count
        door = Door(Admission(config.rules), count, certificate, config.identity, _found(config, tell))
        server = Port(sockets, tap, config.limits, door, config.tick)
        stack.push_async_callback(server.close)
        tap.url = config.url(host, port)
        tap.identity, tap.address, tap.refused = config.identity, config.known(tap.url), refusals.counts
        if control := _control(config, port, seat):
            await stack.enter_async_context(control_server(control, partial(serve, tap, audience)))
        recording = BatchLane(recorder, "the recording", aloud, config.buffer)
        counting = _counting(config, tap, server, recorder, recording)
        lanes = [recording, *_lookers_on(config, watchers, aloud)]
        if counting is not None:
            lanes.append(counting)
        if config.fleet:
            lanes.append(await stack.enter_async_context(_member(config.fleet, tap, audience, tell)))
        tap.start(lanes)
        announced = [*config.announced(tap.url, port), *_troubles(certificate)]
        if counting is not None and seat is None:
            announced.append(Metrics(await stack.enter_async_context(_observed(config, counting))))
        if config.capture is not None:
            tap.witness = await stack.enter_async_context(_capturing(config, *config.capture, tell))
        server.start()
        for report in announced:
            tell(report)
        _resume(config, recorder, tap, tell)
        if handover is not None:
            handover.start(partial(_adopt, server, tap))
        stack.enter_context(_chores(config, tap, recorder, recording, tell, counting))
        try:
            lacking = partial(_lacking, recorder, recording)
            yield Listener(tap, server, lacking, tell, certificate, config.address, counting)
        finally:
            await _settled(server, seat)
            await server.close(CloseCode.SERVICE_RESTART if tap.closing else CloseCode.GOING_AWAY)
            await tap.close("the listener was stopped")
            await asyncio.sleep(0)
            await audience.close()


def _troubles(certificate: Certificate | None) -> list[Report]:
    """What is the matter with the certificate, if there is one."""
    trouble = certificate.trouble() if certificate is not None else ""
    return [Odd(trouble)] if trouble else []


def _tap(config: Config, tell: Tell, seat: Seat | None) -> Tap:
    """The tap of a listener by itself, or of a worker, whose front tells for all of them what was not taken."""
    if seat is None:
        return Tap(tell, config.linger, config.threshold, limits=config.limits)
    tap = Tap(tell, config.linger, config.threshold, seat.handover, config.limits)
    tap.count = seat.limited
    return tap


async def _settled(server: Port, seat: Seat | None) -> None:
    """Return when nobody new is taken, here and by the other workers."""
    if seat is not None:
        server.settle()
        await seat.settle()


def _lacking(recorder: Recorder, recording: BatchLane) -> bool:
    """Whether the disk did not get everything."""
    return recorder.failed or recording.failed


def _control(config: Config, port: int, seat: Seat | None) -> Path | None:
    """Where the control socket is to be."""
    if seat is not None:
        return seat.control
    return control_path(config.control, port) if config.control is not None else None


def _member(fleet: str, tap: Tap, audience: Audience, tell: Tell) -> AbstractAsyncContextManager[Lane]:
    """Be a node of a fleet; NATS' library is imported for that."""
    from audiotap.net.fleet.node import member

    return member(fleet, tap, audience, tell)


def _counting(config: Config, tap: Tap, port: Port, recorder: Recorder, recording: BatchLane) -> Counting | None:
    """Who counts, where anybody wants to know."""
    if config.metrics is None:
        return None
    from audiotap.net.fleet.metrics.counting import Counting

    return Counting(tap, port, recorder, recording)


def observed(config: Config, asked: Callable[[], Awaitable[Figures]]) -> AbstractAsyncContextManager[str]:
    """Tell whoever asks how everything stands, while the block runs; prometheus-client is imported for that."""
    from audiotap.net.fleet.metrics import web

    return web.observed(config.metrics or ("", 0), asked, config.recording, config.min_free)


def _observed(config: Config, counting: Counting) -> AbstractAsyncContextManager[str]:
    async def asked() -> Figures:
        return counting.figures()

    return observed(config, asked)


def _adopt(server: Port, tap: Tap, sock: socket.socket, handed: Handed) -> None:
    """Go on with a connection that another worker handed over."""
    server.adopt(sock, handed.carried, partial(tap.take_over, handed=handed))


def _found(config: Config, tell: Tell) -> Callable[[], None] | None:
    """What to do when somebody from afar is let in; None where that is known, or nobody unknown is let in."""
    return partial(tell, FOUND) if config.rules.open and not config.exposed else None


def _lookers_on(config: Config, watchers: Sequence[Sink], tell: Tell) -> list[Lane]:
    """Lanes to the sinks that aren't required."""
    lanes: list[Lane] = [DirectLane(watcher, "the meter", tell) for watcher in watchers]
    if config.pcm is not None:
        lanes.append(BatchLane(PcmStream(*config.pcm), "standard output", tell))
    return lanes


def _resume(config: Config, recorder: Recorder, tap: Tap, tell: Tell) -> None:
    """Go on with what a listener that died left open, as if its bots had just lost their connections."""
    for left in left_open(config.recording.out, lambda complaint: tell(Odd(complaint)), tap.records):
        provider, _ = left.manifest.summary.session
        if provider not in REGISTER:
            tell(Odd(f"{left.folder} is not gone on with: nothing here speaks {provider}"))
            os.close(left.lock)
            continue
        recorder.adopt(left.folder, left.lock, left.manifest)
        tap.resume(left.manifest.summary, left.touched)


@asynccontextmanager
async def _capturing(config: Config, path: Path, most: int, tell: Tell) -> AsyncIterator[Callable[[Moment], None]]:
    """Keep what a tap is made of while the block runs. MachineError when the file cannot be made."""
    writer = CaptureWriter(path, most, tell)
    writer.begin(
        Hello(
            asyncio.get_running_loop().time(),
            VERSION,
            f"audiotap {__version__}",
            datetime.now(UTC),
            config.recording.form,
            config.linger,
            config.limits.sessions,
            config.limits.per_connection,
            config.limits.tracks,
            config.limits.files,
        )
    )
    try:
        yield writer.take
    finally:
        await writer.close()


@contextmanager
def _chores(
    config: Config, tap: Tap, recorder: Recorder, recording: BatchLane, tell: Tell, counting: Counting | None
) -> Iterator[None]:
    """What is done again and again while a listener runs."""
    chores: dict[str, Coroutine[Any, Any, None]] = {}
    if counting is not None:
        chores["the count"] = counting.keep_time()
    if config.min_free:
        chores[SPACE] = watch_space(config.recording.out, config.min_free, tell)
    if config.recording.durable:
        chores["syncing (--durable)"] = keep_syncing(partial(recording.between, recorder.sync))
    if config.attendee is not None:
        chores["asking for names"] = keep_naming(tap, config.attendee, tell)
    tasks = [asyncio.create_task(never_silent(work, name, tell), name="chore") for name, work in chores.items()]
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
