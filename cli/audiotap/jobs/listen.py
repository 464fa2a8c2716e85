"""The work of `audiotap listen`."""

from __future__ import annotations

import resource
import sys
from pathlib import Path

from audiotap.errors import Exit, MachineError
from audiotap.jobs.mode import Output
from audiotap.jobs.running import Signals, run
from audiotap.jobs.show import show
from audiotap.net.levels import Board
from audiotap.net.listener import Config, Listener, listening
from audiotap.net.tasks import first_of
from audiotap.net.workers import Front, fronting


def listen(config: Config, mode: Output, workers: int) -> Exit:
    """Listen, with so many processes, until a signal asks for the end; the files are finished then."""
    _check_out(config.recording.out)
    _raise_file_limit()
    return run(_listen(config, mode) if workers == 1 else _listen_together(config, mode, workers))


async def _listen(config: Config, mode: Output) -> Exit:
    signals = Signals()
    with show(mode) as shown:
        async with listening(config, shown.tell, shown.watchers) as listener:
            if config.tls is not None and not _has_terminal():
                signals.reload = listener.reload
            await shown.during(signals.asked.wait())
    return _status(listener, signals)


async def _listen_together(config: Config, mode: Output, workers: int) -> Exit:
    signals = Signals()
    board = Board() if mode is Output.RICH else None
    with show(mode, board) as shown:
        async with fronting(config, workers, shown.tell, board) as front:
            signals.at_last = front.kill
            await shown.during(first_of(front.trouble(), signals.asked.wait()))
    return _status(front, signals)


def _status(listener: Listener | Front, signals: Signals) -> Exit:
    if listener.lossy:
        return Exit.LOSSY
    if not listener.recorded and signals.name == "SIGINT":
        return Exit.INTERRUPTED
    return Exit.OK


def _has_terminal() -> bool:
    """Whether a hang-up is that of somebody's terminal, and not a service manager's word for reloading."""
    return any(stream is not None and stream.isatty() for stream in (sys.stdin, sys.stderr))


def _check_out(out: Path) -> None:
    """Fail before the first bot does, not when it comes."""
    try:
        out.mkdir(parents=True, exist_ok=True)
        probe = out / ".audiotap-probe"
        probe.touch(mode=0o600)
        probe.unlink()
    except OSError as error:
        raise MachineError(f"cannot write in {out}: {error.strerror}", "choose another folder with --out") from error


def _raise_file_limit() -> None:
    """A file and a socket per participant soon exceed the usual soft limit of 1024."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != resource.RLIM_INFINITY and (hard == resource.RLIM_INFINITY or soft < hard):
        wanted = min(hard, 65536) if hard != resource.RLIM_INFINITY else 65536
        resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, wanted), hard))
