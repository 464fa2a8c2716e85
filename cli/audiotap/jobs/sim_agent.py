"""The work of `audiotap sim agent`: read the voice, let clients in, tell what they do."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable, Sequence
from importlib.resources import files as package_files
from pathlib import Path

import msgspec

from audiotap.actors.base import Actor
from audiotap.audio import Chunk
from audiotap.errors import AudioFileError, Exit, MachineError, UsageError
from audiotap.jobs.output import talk, write
from audiotap.jobs.running import Signals, run
from audiotap.net.agents.simulator import reports, simulating
from audiotap.net.agents.simulator.mishaps import Mishap
from audiotap.net.agents.simulator.performance import Part, Tell
from audiotap.net.agents.simulator.reply import Voice
from audiotap.reading import read_audio
from audiotap.text import counted, printable

WORDS = "Hello, I am the bot. I am recording this meeting for you."
"""What the voice that is shipped says."""


def agent(actor: type[Actor], part: Part, faults: Sequence[str], *, host: str, port: int, json: bool) -> Exit:
    """Let clients in until a signal; then connections are closed with 1001, and all is summed up."""
    mishaps = [Mishap.parse(text) for text in faults]
    _check(actor, part.script.options)
    if part.record is not None:
        _make(part.record)
    run(_run(actor, part, mishaps, host, port, _tell_json if json else _tell_plain))
    return Exit.OK


def _check(actor: type[Actor], options: Iterable[str]) -> None:
    """UsageError for a switch that the vendor's server doesn't have."""
    for option in sorted(options):
        if not any(re.fullmatch(form, option) for form in actor.options.values()):
            has = f"it has {', '.join(actor.options)}" if actor.options else "it has none: leave --option out"
            raise UsageError(f"a simulated {actor.name} has no --option {option}", has)


def voice(file: Path | None, says: str) -> tuple[Voice, str]:
    """What the agent says, and its words; the voice that is shipped if no file is named."""
    if file is not None:
        return _read(file), says
    return _read(Path(str(package_files("audiotap"))) / "speech" / "hello.flac"), says or WORDS


def _read(file: Path) -> Voice:
    chunks = list(read_audio(file))
    if not chunks:
        raise AudioFileError(f"{file} holds no sound", "name another one with --file")
    return Voice(Chunk(b"".join(chunk.pcm for chunk in chunks), chunks[0].rate))


async def _run(actor: type[Actor], part: Part, mishaps: Sequence[Mishap], host: str, port: int, tell: Tell) -> None:
    signals = Signals()
    async with simulating(actor, part, mishaps, tell=tell, host=host, port=port) as simulator:
        await signals.asked.wait()
    tell(simulator.summary)


def _make(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise MachineError(f"cannot make {folder}: {error.strerror}", "name another folder with --record") from error


def _tell_json(report: reports.Report) -> None:
    write(sys.stdout, msgspec.json.encode(report).decode() + "\n")


def _tell_plain(report: reports.Report) -> None:
    talk(printable(_line(report)))


def _line(report: reports.Report) -> str:
    connection = getattr(report, "connection", 0)
    return f"connection {connection}: {_words(report)}" if connection else _words(report)


def _words(report: reports.Report) -> str:  # noqa: C901, PLR0911, PLR0912 - one return per kind of report
    match report:
        case reports.Listening():
            return f"{report.provider} agent, listening on {report.url}"
        case reports.Refused():
            return f"refused with HTTP {report.status}"
        case reports.Connected():
            return "connected"
        case reports.Ready():
            return f"ready after {report.seconds:.2f} s"
        case reports.SpeechStarted():
            return f"the user speaks, from {report.at:.2f} s"
        case reports.SpeechStopped():
            return f"the user has spoken, until {report.at:.2f} s"
        case reports.Turn(turn=0):
            return f"greeted: {report.said:.2f} s"
        case reports.Turn():
            return f"answer {report.turn}: {report.said:.2f} s, to {report.heard:.2f} s of speech"
        case reports.Interrupted():
            return f"answer {report.turn} stopped after {report.sent:.2f} s ({report.reason})"
        case reports.Truncated():
            return f"only {report.seconds:.2f} s of an answer were heard"
        case reports.Malformed():
            return "a message that cannot be read"
        case reports.Complained():
            return f"told of {'a fatal' if report.fatal else 'an'} error: {report.code}"
        case reports.Befell():
            return f"as asked for: {report.fault}"
        case reports.Closed():
            who = "closed by us" if report.by_us else "over"
            return f"{who} ({report.code}): heard {report.heard:.2f} s, said {report.said:.2f} s"
        case reports.Summary():
            return (
                f"{counted(report.connections, 'connection')}, {counted(report.turns, 'answer')}, "
                f"{report.interrupted} stopped, {report.refused} refused, {report.malformed} malformed: "
                f"heard {report.heard:.2f} s, said {report.said:.2f} s"
            )
