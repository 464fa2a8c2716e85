"""The work of `audiotap speak`: a file or a pipe into the meeting of a bot."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

from audiotap.audio import Chunk
from audiotap.errors import AudiotapError, InterruptedRunError, UsageError
from audiotap.events import Finished
from audiotap.jobs.control import attached
from audiotap.jobs.output import emit, talk
from audiotap.jobs.progress import SpeakProgress
from audiotap.jobs.running import Signals, run
from audiotap.net.control.remote import Target
from audiotap.net.tasks import first_of
from audiotap.reading import read_audio, read_stream
from audiotap.sndfile import soundfile

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


async def _speak(chunks: Iterator[Chunk], total: float | None, target: Target, *, json: bool) -> Finished:
    signals = Signals()
    async with attached(target) as attachment:
        with SpeakProgress(attachment.to, total, quiet=json) as progress:
            finished = await first_of(attachment.speak(chunks, progress.show), signals.asked.wait())
    if finished is None:
        raise InterruptedRunError(f"interrupted: {progress.sent:.1f} s were sent, the rest was dropped")
    return finished


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
