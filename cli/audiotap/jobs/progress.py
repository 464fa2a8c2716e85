"""The progress of speech: a bar on a terminal, a line at each change of state elsewhere."""

from __future__ import annotations

import os
from typing import Self

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, Progress, TextColumn

from audiotap.events import Attached
from audiotap.events import Progress as Told
from audiotap.jobs.output import talk
from audiotap.text import printable

STATES = {
    "waiting": "waiting for its turn",
    "playing": "speaking",
    "paused": "paused",
    "held": "waiting until the meeting is quieter (--threshold)",
    "away": "waiting for the bot to come back",
}


class SpeakProgress:
    """Shows how much of an utterance was sent; `total` in seconds where it's known."""

    def __init__(self, to: Attached, total: float | None, *, quiet: bool) -> None:
        self.sent = 0.0
        self._to = printable(to.session)
        self._total = total
        self._state = "playing"
        self._quiet = quiet
        self._bar: Progress | None = None
        if not quiet and os.isatty(2):
            self._bar = Progress(
                TextColumn("{task.description}"),
                BarColumn(),
                TextColumn("{task.fields[sent]}"),
                console=Console(stderr=True),
                auto_refresh=False,
                redirect_stdout=False,
                redirect_stderr=False,
                transient=True,
            )
            self._task = self._bar.add_task(f"{escape(self._to)}", total=total, sent="")

    def __enter__(self) -> Self:
        if self._bar is not None:
            self._bar.start()
        elif not self._quiet:
            talk(f"speaking to {self._to}")
        return self

    def __exit__(self, *_: object) -> None:
        if self._bar is not None:
            self._bar.stop()

    def show(self, told: Told) -> None:
        """Show what the listener told."""
        self.sent = told.sent
        if self._bar is not None:
            of = f" / {self._total:.1f}" if self._total is not None else ""
            self._bar.update(
                self._task,
                completed=told.sent,
                sent=f"{told.sent:.1f}{of} s",
                description=f"{escape(self._to)}: {STATES.get(told.state, 'speaking')}",
            )
            self._bar.refresh()
        elif not self._quiet and told.state != self._state:
            talk(f"{self._to}: {STATES.get(told.state, 'speaking')}")
        self._state = told.state
