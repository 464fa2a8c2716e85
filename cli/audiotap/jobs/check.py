"""The work of `audiotap check`: look after recordings that a crash or a power cut left."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

import typer

from audiotap.errors import Exit, InterruptedRunError
from audiotap.jobs import folders
from audiotap.jobs.output import emit, talk
from audiotap.recovery import Examined, examine
from audiotap.recovery.mending import Verdict
from audiotap.text import counted, printable

OUTCOMES: dict[Verdict, str] = {
    "repaired": "repaired",
    "repairable": "can be repaired",
    "lost": "cannot be brought back",
    "unsolved": "left as it is",
    "noted": "left as it is",
}


def check(paths: Sequence[Path], *, repair: bool, json: bool) -> Exit:
    """Examine every session that the paths mean, and repair it if that is wanted; UsageError where there is none."""
    sessions = list(dict.fromkeys(folder for path in paths for folder in folders.sessions(path)))
    examined: list[Examined] = []
    try:
        for folder in sessions:
            examined.append(examine(folder, repair=repair))
            if not json:
                typer.echo("\n".join(_lines(examined[-1])))
    except KeyboardInterrupt as error:
        raise InterruptedRunError(
            f"interrupted after {len(examined)} of {counted(len(sessions), 'session')}", "run it again for the rest"
        ) from error
    if json:
        emit(examined)
    else:
        talk(_summary(examined))
    return _status(examined)


def _lines(examined: Examined) -> Iterator[str]:
    yield f"{printable(examined.folder)}: {_state(examined)}"
    for finding in examined.findings:
        yield f"  {printable(finding.file)}: {printable(finding.problem)}: {OUTCOMES[finding.verdict]}"


def _state(examined: Examined) -> str:
    verdicts = {finding.verdict for finding in examined.findings}
    if examined.live:
        return "being recorded, left alone"
    if examined.lossy:
        return "audio is missing"
    if "unsolved" in verdicts:
        return "something is left to solve"
    if "repairable" in verdicts:
        return "can be repaired"
    return "repaired" if "repaired" in verdicts else "ok"


def _summary(examined: Sequence[Examined]) -> str:
    states = Counter(map(_state, examined))
    return f"{counted(len(examined), 'session')}: {', '.join(f'{state} {n}' for state, n in states.items())}"


def _status(examined: Sequence[Examined]) -> Exit:
    if any(one.lossy for one in examined):
        return Exit.LOSSY
    return Exit.OK if all(one.sound for one in examined) else Exit.FAILED
