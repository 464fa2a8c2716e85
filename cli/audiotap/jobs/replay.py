"""The work of `audiotap replay`: play a capture to a server, or record it once more."""

from __future__ import annotations

from pathlib import Path

from audiotap.capture import Capture
from audiotap.errors import Exit, InterruptedRunError, MachineError
from audiotap.jobs.mode import Output
from audiotap.jobs.output import emit, talk
from audiotap.jobs.running import Signals, run
from audiotap.jobs.show import show
from audiotap.net.peer import check_url
from audiotap.net.replaying import Outcome, replay
from audiotap.net.rerecording import rerecord
from audiotap.net.tasks import first_of
from audiotap.reports import Odd
from audiotap.text import counted, human_size, printable, without_path

CUT_OFF = "is cut off: whoever wrote it was killed, or is still at it"


def play(path: Path, url: str, speed: float, *, json: bool) -> Exit:
    """Play a capture to a server. UsageError for a bad URL or file, NobodyError when nobody answers."""
    check_url(url)
    capture = Capture(path)
    talk(f"{printable(str(path))} of {capture.hello.wall:%Y-%m-%d %H:%M:%S} UTC, to {without_path(url)}")
    outcome = Outcome()
    try:
        finished = run(_play(capture, url, speed, outcome))
    finally:
        if outcome.connections:
            _tell(outcome, json=json)
    if not finished:
        raise InterruptedRunError("interrupted before the capture was played to its end", "run it again")
    if not capture.whole:
        talk(f"{printable(str(path))} {CUT_OFF}")
    return Exit.FAILED if outcome.unsent or outcome.refused else Exit.OK


def record(path: Path, out: Path, *, json: bool) -> Exit:
    """Record a capture's sessions once more. UsageError for a bad file, MachineError for a folder that refuses."""
    capture = Capture(path)
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise MachineError(f"cannot write in {out}: {error.strerror}", "choose another folder with --out") from error
    return run(_record(capture, out, Output.JSON if json else Output.PLAIN))


async def _play(capture: Capture, url: str, speed: float, outcome: Outcome) -> bool:
    """Whether it was played to its end."""
    signals = Signals()
    await first_of(replay(capture, url, speed, talk, outcome), signals.asked.wait())
    return not signals.asked.is_set()


async def _record(capture: Capture, out: Path, mode: Output) -> Exit:
    signals = Signals()
    with show(mode) as shown:
        complete = await first_of(rerecord(capture, out, shown.tell), signals.asked.wait())
        if complete is None:
            raise InterruptedRunError("interrupted before the capture was recorded to its end", "run it again")
        if not capture.whole:
            shown.tell(Odd(f"{capture.path} {CUT_OFF}"))
    return Exit.OK if complete else Exit.LOSSY


def _tell(outcome: Outcome, *, json: bool) -> None:
    if json:
        emit(outcome)
        return
    refused = f", {counted(outcome.refused, 'connection')} refused" if outcome.refused else ""
    unsent = f", {counted(outcome.unsent, 'frame')} not sent" if outcome.unsent else ""
    sent = f"{counted(outcome.frames, 'frame')}, {human_size(outcome.bytes)}"
    talk(f"{counted(outcome.connections, 'connection')}, {sent}, in {outcome.seconds:.1f} s{refused}{unsent}")
