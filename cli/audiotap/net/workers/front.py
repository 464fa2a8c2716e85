"""The front of several workers: it has the port, the control socket and the reports; they have the bots.

A worker that dies is started again. What it was recording is gone on with as after any death of a listener, and the
bots that dial meanwhile wait in sockets that the front holds open.
"""

from __future__ import annotations

import asyncio
import signal
import socket
import sys
from asyncio.subprocess import DEVNULL, Process
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from shutil import rmtree

import msgspec

from audiotap.errors import AudiotapError, Exit, MachineError
from audiotap.events import Status
from audiotap.net.control.sockets import control_path, control_server
from audiotap.net.disk import SPACE, watch_space
from audiotap.net.door.admission import Admission
from audiotap.net.door.tally import Tally, complaint, not_let_in
from audiotap.net.fleet.metrics.figures import Figures
from audiotap.net.listener import Config, observed
from audiotap.net.ownership import Share
from audiotap.net.peer import bind_shared
from audiotap.net.tap import Tell
from audiotap.net.tasks import first_of, never_silent
from audiotap.net.workers.channel import (
    WORDS,
    Broken,
    Channel,
    Count,
    Drain,
    Drained,
    Ended,
    Finish,
    Limited,
    Order,
    Refused,
    Settle,
    Settled,
    Setup,
    Word,
)
from audiotap.net.workers.levels import Board
from audiotap.net.workers.relay import Relay
from audiotap.reports import Listening, Metrics, Odd, Reachable, Report, SessionStarted
from audiotap.sinks.meter import Levels

MODULE = "audiotap.jobs.worker"
"""What a worker's process runs."""
MOST_DEATHS = 3
SHORT_LIFE = 10.0
"""So many deaths of a worker in a row, each so few seconds after its start, and it is given up."""
COUNT_SECONDS = 1.0
"""That a worker has to say what it counted."""
SETTLE_SECONDS = 3.0
"""How long the end of the others waits for a worker that does nothing any more."""


class Front:
    """Several workers as one listener."""

    def __init__(
        self,
        setups: list[Setup],
        tell: Callable[[Report], None],
        board: Board | None,
        relay: Relay,
        address: Callable[[str], str],
        public: Sequence[socket.socket],
    ) -> None:
        self.draining = False
        self._public = public
        self.url, self.identity = relay.itself.url, relay.itself.identity
        self.lossy = False
        self.recorded = False
        self.refusals = Tally(self.report, not_let_in)
        self.limited = Tally(self.report, complaint)
        self._tell = tell
        self._board = board
        self._relay = relay
        self._address = address
        relay.itself = msgspec.structs.replace(relay.itself, refused=self.refusals.counts)
        self._early: list[Report] | None = []
        self._orders: list[Order] = []
        self._trouble: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._workers = [_Worker(setup, self._hear) for setup in setups]
        self._keeping = [asyncio.create_task(self._keep(worker), name="worker") for worker in self._workers]

    async def trouble(self) -> None:
        """Never returns; an AudiotapError says why the workers cannot go on."""
        await asyncio.shield(self._trouble)

    def publish(self, url: str) -> str:
        """Let bots dial a URL that leads here from outside; what they are to be told, with the secret."""
        address = self._address(url)
        self._relay.itself = msgspec.structs.replace(self._relay.itself, url=url, address=address)
        return address

    async def ready(self, announced: Sequence[Report]) -> None:
        """Return, and tell so, when every worker takes bots."""
        await first_of(self.trouble(), _all(worker.ready for worker in self._workers))
        early, self._early = self._early or [], None
        for report in (*announced, *early):
            self._tell(report)

    async def drain(self) -> None:
        """Take no more connections, and return when the last session is over."""
        self.draining = True
        for worker in self._workers:
            worker.drain()
        for sock in self._public:
            sock.close()
        await _all(worker.drained for worker in self._workers)

    async def figures(self) -> Figures:
        """What all workers have counted, together with those that died."""
        for worker in self._workers:
            worker.ask()
        with suppress(TimeoutError):
            async with asyncio.timeout(COUNT_SECONDS):
                await _all(worker.counted for worker in self._workers)
        refused = {("connections_refused", kind): float(number) for kind, number in self.refusals.counts.items()}
        troubles = ("draining",) if self.draining else ()
        itself = Figures(refused, {("workers", ""): len(self._workers)}, troubles)
        return Figures.together([itself, *(figures for worker in self._workers for figures in worker.figures())])

    async def close(self) -> None:
        """Have every worker finish its files: first nobody hands anything over any more, then all end."""
        self._order(Settle())
        with suppress(TimeoutError):
            async with asyncio.timeout(SETTLE_SECONDS):
                await _all(worker.settled for worker in self._workers)
        self._order(Finish())
        await asyncio.gather(*self._keeping)
        self._relay.over.set()
        self.refusals.close()
        self.limited.close()
        self._trouble.cancel()
        await asyncio.gather(self._trouble, return_exceptions=True)

    def kill(self) -> None:
        """End every worker at once."""
        for worker in self._workers:
            worker.kill()

    def _order(self, order: Order) -> None:
        self._orders.append(order)
        for worker in self._workers:
            worker.say(order)

    async def _keep(self, worker: _Worker) -> None:
        """Run a worker, and start it again when it dies."""
        loop = asyncio.get_running_loop()
        deaths = 0
        while True:
            began = loop.time()
            try:
                why = await worker.run(self._orders)
            except OSError as error:
                self._give_up(MachineError(f"cannot start {worker.name}: {error.strerror or error}", "take fewer"))
                return
            if self._board is not None:
                self._board.put(worker.number, ())
            if self._orders:
                if why:
                    self.lossy = True
                    self.report(Odd(f"{worker.name} {why} before it had finished; the next listener goes on with it"))
                return
            deaths = deaths + 1 if loop.time() - began < SHORT_LIFE else 1
            if worker.error is not None:
                self._give_up(worker.error)
            if deaths >= MOST_DEATHS:
                self._give_up(AudiotapError(f"{worker.name} {why}, {deaths} times in a row", "please report this"))
            if self._trouble.done():
                return
            self.report(Odd(f"{worker.name} {why}; it is started again, and goes on with what it was recording"))

    def _give_up(self, error: AudiotapError) -> None:
        if not self._trouble.done():
            self._trouble.set_exception(error)

    def _hear(self, worker: _Worker, word: Word) -> None:
        match word:
            case Levels(sessions):
                if self._board is not None:
                    self._board.put(worker.number, sessions)
            case Refused(kind):
                self.refusals.count(kind)
            case Limited(what):
                self.limited.count(what)
            case Ended(lossy, recorded):
                self.lossy |= lossy
                self.recorded |= recorded
            case Listening() | Reachable() | Settled() | Broken() | Figures() | Drained():
                return
            case _:
                self.recorded |= isinstance(word, SessionStarted)
                self.report(word)

    def report(self, report: Report) -> None:
        """Tell, or keep until the first thing was told, which is that there is a listener."""
        if self._early is None:
            self._tell(report)
        else:
            self._early.append(report)


class _Worker:
    """One worker: its process, of which there may be several one after the other, and what it says."""

    def __init__(self, setup: Setup, hear: Callable[[_Worker, Word], None]) -> None:
        self.number = setup.share.number
        self.name = f"worker {self.number + 1} of {setup.share.workers}"
        self.ready = asyncio.Event()
        self.settled = asyncio.Event()
        self.counted = asyncio.Event()
        self.drained = asyncio.Event()
        self.error: AudiotapError | None = None
        self._setup = setup
        self._hear = hear
        self._draining = False
        self._past = Figures()
        self._figures = Figures()
        self._channel: Channel | None = None
        self._process: Process | None = None

    async def run(self, orders: list[Order]) -> str:
        """Run the process to its end, with orders that were given already; how it died, nothing if it did not."""
        ended = False
        self.settled.clear()
        channel = await self._start()
        channel.say(self._setup)
        if self._draining:
            channel.say(Drain())
        for order in orders:
            channel.say(order)
        self._channel = channel
        while (word := await channel.hear(WORDS)) is not None:
            ended |= isinstance(word, Ended)
            self._note(word)
            self._hear(self, word)
        self._channel = None
        self._past = Figures.together([self._past, self._figures]).ended()
        self._figures = Figures()
        self.counted.set()
        self.settled.set()
        await channel.close()
        return _death(await self._over()) if not ended else ""

    def say(self, order: Order) -> None:
        if self._channel is not None:
            self._channel.say(order)

    def ask(self) -> None:
        """Ask for what it counted; `counted` is set when it has told."""
        if self._channel is not None:
            self.counted.clear()
            self._channel.say(Count())

    def figures(self) -> list[Figures]:
        """What it counted, and what those counted that died before."""
        silent = [] if self.counted.is_set() else [Figures(troubles=(f"{self.name} does not answer",))]
        return [self._past, self._figures, *silent]

    def drain(self) -> None:
        """Take no more connections, now and after a death; `drained` is set when the last session is over."""
        self._draining = True
        self._setup = msgspec.structs.replace(self._setup, sockets=())
        self.say(Drain())

    def kill(self) -> None:
        if self._process is not None:
            with suppress(ProcessLookupError):
                self._process.kill()

    def _note(self, word: Word) -> None:
        match word:
            case Listening():
                self.ready.set()
            case Settled():
                self.settled.set()
            case Drained():
                self.drained.set()
            case Figures():
                self._figures = word
                self.counted.set()
            case Broken(message, hint, status):
                self.error = AudiotapError(message, hint)
                self.error.status = Exit(status)

    async def _start(self) -> Channel:
        """Start a process, in a session of its own: what the terminal sends is for the front."""
        ours, theirs = socket.socketpair()
        setup = self._setup
        with theirs:
            self._process = await asyncio.create_subprocess_exec(
                sys.executable,
                *("-m", MODULE, str(theirs.fileno())),
                stdin=DEVNULL,
                stdout=DEVNULL,
                pass_fds=(theirs.fileno(), *setup.sockets, *setup.hands, setup.mine),
                start_new_session=True,
            )
        return await Channel.on(ours)

    async def _over(self) -> int:
        return await self._process.wait() if self._process is not None else 0


@asynccontextmanager
async def fronting(config: Config, workers: int, tell: Tell, board: Board | None = None) -> AsyncIterator[Front]:
    """Run a listener of several workers while the block runs, then have them finish every file.

    What their meters show is put on the board. MachineError when the port or a folder refuses.
    """
    Admission(config.rules)
    async with AsyncExitStack() as stack:
        sockets, host, port = await bind_shared(config.host, config.port, workers)
        public = [stack.enter_context(sock) for some in sockets for sock in some]
        pairs = [_pair(stack) for _ in range(workers)]
        url = config.url(host, port)
        control = control_path(config.control, port) if config.control is not None else None
        setups = [
            Setup(
                _part(config, workers),
                Share(number, workers),
                host,
                port,
                tuple(sock.fileno() for sock in sockets[number]),
                tuple(hand.fileno() for hand, _ in pairs),
                pairs[number][1].fileno(),
                control and control.with_suffix("") / f"{number}.sock",
                board is not None,
            )
            for number in range(workers)
        ]
        itself = Status(url, (), config.known(url), identity=config.identity)
        relay = Relay(itself, [setup.control for setup in setups if setup.control is not None])
        front = Front(setups, tell, board, relay, config.address, public)
        watching = asyncio.create_task(
            never_silent(_watch_space(config, front.report), SPACE, front.report), name=SPACE
        )
        try:
            if control is not None:
                await stack.enter_async_context(control_server(control, relay.serve))
                stack.callback(rmtree, control.with_suffix(""), ignore_errors=True)
            announced = config.announced(url, port)
            if config.metrics is not None:
                announced.append(Metrics(await stack.enter_async_context(observed(config, front.figures))))
            await front.ready(announced)
            yield front
        finally:
            watching.cancel()
            for sock in public:
                sock.close()
            await front.close()


def _pair(stack: AsyncExitStack) -> tuple[socket.socket, socket.socket]:
    """The ends of a worker's way in: for the others, and its own. Nobody may wait in what all processes have."""
    ends = socket.socketpair()
    for end in ends:
        end.setblocking(False)
        stack.enter_context(end)
    return ends


def _part(config: Config, workers: int) -> Config:
    """What one of so many workers is told: its share of the limits; the free space is watched by the front."""
    return msgspec.structs.replace(
        config,
        recording=msgspec.structs.replace(config.recording, writers=workers),
        buffer=max(1, config.buffer // workers),
        limits=config.limits.shared(workers),
        min_free=0,
        exposed=False,
    )


async def _watch_space(config: Config, tell: Tell) -> None:
    if config.min_free:
        await watch_space(config.recording.out, config.min_free, tell)


async def _all(events: Iterable[asyncio.Event]) -> None:
    await asyncio.gather(*(event.wait() for event in events))


def _death(status: int) -> str:
    """How a process ended that should not have."""
    if status < 0:
        return f"died ({signal.Signals(-status).name})"
    return f"ended with status {status}"
