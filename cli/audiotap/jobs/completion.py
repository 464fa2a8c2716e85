"""The work behind a shell's completion: ask running listeners, quickly."""

from __future__ import annotations

from pathlib import Path

from audiotap.events import Status
from audiotap.jobs.running import run
from audiotap.net.control.remote import answers

SECONDS = 0.5
"""How long somebody waits in the middle of a line."""


def answering(folder: Path, port: int | None) -> list[tuple[int, Status]]:
    """The ports of the listeners that answer at once, and how they stand."""
    return [(one.port, status) for one, status in run(answers(folder, port, SECONDS)).running]
