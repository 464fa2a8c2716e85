"""The work of `audiotap listen`."""

from __future__ import annotations

import asyncio
import resource
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager, nullcontext, suppress
from functools import partial
from pathlib import Path

import msgspec

from audiotap.errors import Exit, MachineError
from audiotap.jobs.hangup import is_reloading
from audiotap.jobs.mode import Output
from audiotap.jobs.running import Signals, run
from audiotap.jobs.show import Shown, show
from audiotap.net.door.limits import Limits
from audiotap.net.fleet.upload import Uploader, Uploads, uploading
from audiotap.net.hooks import Hook, Hooks
from audiotap.net.listener import Config, Listener, listening
from audiotap.net.tasks import first_of
from audiotap.net.tunnel import Start, Way, check_tunnel, keep_tunnel
from audiotap.net.workers.front import Front, fronting
from audiotap.net.workers.levels import Board
from audiotap.reports import Draining

Joining = Callable[[Listener, Shown], AbstractAsyncContextManager[None]]
MOST_FILES = 65536
"""Files that are asked to be open at once."""
KEPT_FILES = 64
"""Of them, those that no recording gets: for control, uploads, hooks, a capture, and who is about to be refused."""


class Plan(msgspec.Struct, frozen=True):
    """What is asked of a listener: with how many processes, how it talks, what leads to it from outside, if any.

    `hook` is run for each session that is finished, `uploads` is where recordings go besides.
    """

    config: Config
    mode: Output
    workers: int = 1
    tunnel: Start | None = None
    hook: Hook = Hook()
    drain: float = 0.0
    """Seconds that sessions have to end after SIGTERM; 0 ends them at once."""
    uploads: Uploads | None = None


def listen(plan: Plan, joining: Joining | None = None) -> Exit:
    """Listen until a signal asks for the end; the files are finished then.

    `joining` is somebody who takes part, with one process only.
    """
    if plan.tunnel is not None:
        check_tunnel(plan.tunnel)
    _check_out(plan.config.recording.out)
    limits = within(_raise_file_limit(), plan.config.limits, plan.workers)
    config = msgspec.structs.replace(plan.config, limits=limits)
    if plan.workers == 1:
        return run(_listen(config, plan, joining or _nobody))
    return run(_listen_together(config, plan))


def _nobody(_listener: Listener, _shown: Shown) -> AbstractAsyncContextManager[None]:
    """Nobody takes part."""
    return nullcontext()


async def _listen(config: Config, plan: Plan, joining: Joining) -> Exit:
    reloads = config.tls is not None and is_reloading()
    signals = Signals(drains=plan.drain > 0, reloads=reloads)
    with show(plan.mode) as shown:
        async with (
            _hooked(plan.hook, shown) as hooks,
            _uploading(plan) as uploader,
            listening(config, hooks.tell, shown.watchers) as listener,
            joining(listener, shown),
        ):
            signals.at_last = hooks.kill
            if reloads:
                signals.reload = listener.reload
            if uploader is not None:
                uploader.start(listener.tell)
            over = _over(listener, plan, signals, shown)
            await shown.during(first_of(_reachable(listener, plan.tunnel, shown), over))
    return _status(listener, signals, uploader)


async def _listen_together(config: Config, plan: Plan) -> Exit:
    signals = Signals(drains=plan.drain > 0)
    board = Board() if plan.mode is Output.RICH else None
    with show(plan.mode, board) as shown:
        async with (
            _hooked(plan.hook, shown) as hooks,
            _uploading(plan) as uploader,
            fronting(config, plan.workers, hooks.tell, board) as front,
        ):
            signals.at_last = partial(_kill, front, hooks)
            if uploader is not None:
                uploader.start(front.report)
            working = first_of(_reachable(front, plan.tunnel, shown), front.trouble())
            await shown.during(first_of(working, _over(front, plan, signals, shown)))
    return _status(front, signals, uploader)


def _uploading(plan: Plan) -> AbstractAsyncContextManager[Uploader | None]:
    """What brings recordings into a store, if anything does: before the listener begins, and until after its end."""
    if plan.uploads is None:
        return nullcontext()
    return uploading(plan.uploads, plan.config.recording.out)


async def _over(listener: Listener | Front, plan: Plan, signals: Signals, shown: Shown) -> None:
    """Return when a signal asked for the end; after the one that asks to drain, when that is over or took too long."""
    if signals.drain is None or await first_of(signals.asked.wait(), signals.drain.wait()):
        await signals.asked.wait()
        return
    shown.tell(Draining(plan.drain))
    with suppress(TimeoutError):
        async with asyncio.timeout(plan.drain):
            await first_of(listener.drain(), signals.asked.wait())


async def _reachable(listener: Listener | Front, tunnel: Start | None, shown: Shown) -> None:
    """Keep the tunnel, if there is to be one; never returns."""
    if tunnel is not None:
        await keep_tunnel(tunnel, Way(listener.url, listener.identity, listener.publish), shown.tell)
    await asyncio.Event().wait()


@asynccontextmanager
async def _hooked(hook: Hook, shown: Shown) -> AsyncIterator[Hooks]:
    """Run hooks while the block runs, and return when the last one has ended."""
    hooks = Hooks(hook, shown.tell)
    try:
        yield hooks
    finally:
        await shown.during(hooks.over())


def _kill(front: Front, hooks: Hooks) -> None:
    front.kill()
    hooks.kill()


def _status(listener: Listener | Front, signals: Signals, uploader: Uploader | None) -> Exit:
    if listener.lossy:
        return Exit.LOSSY
    if uploader is not None and uploader.behind:
        return Exit.FAILED
    if not listener.recorded and signals.name == "SIGINT":
        return Exit.INTERRUPTED
    return Exit.OK


def _check_out(out: Path) -> None:
    """Fail before the first bot does, not when it comes."""
    try:
        out.mkdir(parents=True, exist_ok=True)
        probe = out / ".audiotap-probe"
        probe.touch(mode=0o600)
        probe.unlink()
    except OSError as error:
        raise MachineError(f"cannot write in {out}: {error.strerror}", "choose another folder with --out") from error


def within(files: int, limits: Limits, workers: int) -> Limits:
    """Of what a process may have open, connections take half at most, and recordings what is not kept of the other."""
    half = files // 2
    return msgspec.structs.replace(
        limits,
        connections=min(limits.connections, half * workers),
        files=half - min(KEPT_FILES, half // 2),
    )


def _raise_file_limit() -> int:
    """A file and a socket per participant soon exceed the usual soft limit of 1024. How many there may be now."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != resource.RLIM_INFINITY and (hard == resource.RLIM_INFINITY or soft < hard):
        wanted = min(hard, MOST_FILES) if hard != resource.RLIM_INFINITY else MOST_FILES
        resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, wanted), hard))
        return max(soft, wanted)
    return soft if soft != resource.RLIM_INFINITY else MOST_FILES
