"""The work of `audiotap speak`, `pause`, `stop` and `status`: control a running listener."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import AbstractAsyncContextManager
from pathlib import Path

import msgspec
import typer

from audiotap.audio import Chunk
from audiotap.errors import AudiotapError, InterruptedRunError, NobodyError, UsageError
from audiotap.events import Finished, Pause, SessionStatus, Status
from audiotap.jobs.output import emit, talk
from audiotap.jobs.progress import SpeakProgress
from audiotap.jobs.running import Signals, run
from audiotap.net.control import remote
from audiotap.net.control.remote import Attachment, Target
from audiotap.net.tasks import first_of
from audiotap.reading import read_audio, read_stream
from audiotap.sndfile import soundfile
from audiotap.text import counted, printable

ENDLESS = 1e7
"""Seconds beyond which a file's own word for its length is not believed."""


def speak(file: str, raw: int | None, target: Target, *, json: bool) -> None:
    """Speak a file, or standard input where it is `-`; AudiotapError when it was stopped or interrupted."""
    chunks = source(file, raw)
    total = _duration(Path(file))
    finished = run(_speak(chunks, total, target, json=json))
    if json:
        emit({"sent": round(finished.sent, 3), "stopped": finished.stopped})
    if finished.stopped:
        of = f" of {total:.1f}" if total is not None else ""
        raise AudiotapError(f"stopped: {finished.sent:.1f}{of} s were sent")
    if not json:
        talk(f"sent {finished.sent:.1f} s")


def pause(pause: Pause, target: Target, *, json: bool) -> None:
    """Pause, and say whether the bot was told."""
    session, told = run(_pause(pause, target))
    if json:
        emit({"session": session, "paused": pause.seconds, "told": told})
    else:
        known = "the bot was told" if told else "the bot has no word for it"
        talk(f"paused {printable(session)} for {pause.seconds:g} s: our queue holds, {known}")


def stop(target: Target, *, json: bool) -> None:
    """Stop, and say how much was dropped."""
    session, dropped = run(_stop(target))
    if json:
        emit({"session": session, "dropped": round(dropped, 3)})
    else:
        talk(f"stopped {printable(session)}: {dropped:.1f} s in our queue dropped")


def status(target: Target, *, json: bool) -> None:
    """List listeners and sessions on stdout; NobodyError when there is no listener."""
    running = run(_statuses(target))
    if json:
        emit([_told(one) for one in running])
    if not running:
        raise NobodyError("no listener is running", "start one: audiotap listen")
    if json:
        return
    for one in running:
        refused = sum(one.refused.values())
        typer.echo(f"{one.url}: {counted(len(one.sessions), 'session')}{f', {refused} refused' if refused else ''}")
        for session in one.sessions:
            for line in _session_lines(session):
                typer.echo(line)


async def _statuses(target: Target) -> list[Status]:
    """All listeners of this user, or all nodes of a fleet."""
    if target.fleet:
        from audiotap.net.fleet.remote import statuses

        return await statuses(target.fleet)
    return [status for _, status in await remote.statuses(target.folder, target.port)]


def attached(target: Target) -> AbstractAsyncContextManager[Attachment]:
    """A connection to the bot that is meant, here or anywhere in a fleet."""
    if target.fleet:
        from audiotap.net.fleet.remote import attached

        return attached(target)
    return remote.attached(target)


def _told(status: Status) -> dict[str, object]:
    """All but the address, which has the secret."""
    return {name: value for name, value in msgspec.structs.asdict(status).items() if name != "address"}


def source(file: str, raw: int | None) -> Iterator[Chunk]:
    """The chunks of a file, or of standard input where it is `-`."""
    if file == "-":
        if sys.stdin.isatty():
            raise UsageError("standard input is a terminal", "pipe audio into it, or name a file")
        return read_stream(sys.stdin.buffer, raw)
    if raw is not None:
        raise UsageError("--raw is for standard input", f"audiotap speak - --raw {raw} < {file}")
    return read_audio(Path(file))


def _duration(file: Path) -> float | None:
    """Seconds of a file, where it can tell; a pipe cannot."""
    if not file.is_file():
        return None
    seconds = float(soundfile.info(file).duration)
    return seconds if seconds < ENDLESS else None


async def _speak(chunks: Iterator[Chunk], total: float | None, target: Target, *, json: bool) -> Finished:
    signals = Signals()
    async with attached(target) as attachment:
        with SpeakProgress(attachment.to, total, quiet=json) as progress:
            finished = await first_of(attachment.speak(chunks, progress.show), signals.asked.wait())
    if finished is None:
        raise InterruptedRunError(f"interrupted: {progress.sent:.1f} s were sent, the rest was dropped")
    return finished


async def _pause(pause: Pause, target: Target) -> tuple[str, bool]:
    async with attached(target) as attachment:
        done = await attachment.pause(pause)
    return attachment.to.session, done.told


async def _stop(target: Target) -> tuple[str, float]:
    async with attached(target) as attachment:
        done = await attachment.stop()
    return attachment.to.session, done.seconds


def _session_lines(session: SessionStatus) -> Iterator[str]:
    bot = f" (bot {printable(session.bot)})" if session.bot else ""
    queue = f", {session.queue:.1f} s queued" if session.queue else ""
    connections = counted(session.connections, "connection")
    yield f"  {session.provider} {printable(session.session)}{bot}: {session.seconds:.1f} s, {connections}{queue}"
    for track in session.tracks:
        name = f" {printable(track.name)}" if track.name else ""
        yield f"    {printable(track.track)}{name}: {track.seconds:.1f} s at {track.rate} Hz"
