"""Those who were not let in: counted, and told of so seldom that nobody can fill a log with them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from audiotap.net.admission import Refusal
from audiotap.reports import Odd, Report
from audiotap.text import counted

QUIET = 60.0
"""Seconds between two lines of one kind."""


class Refusals:
    """Counts by kind, as `audiotap status` shows them."""

    def __init__(self, tell: Callable[[Report], None]) -> None:
        self.counts: dict[str, int] = {}
        self._tell = tell
        self._loop = asyncio.get_running_loop()
        self._told: dict[Refusal, int] = {}
        self._quiet: dict[Refusal, asyncio.TimerHandle] = {}

    def count(self, refusal: Refusal) -> None:
        kind = refusal.name.lower()
        self.counts[kind] = self.counts.get(kind, 0) + 1
        if refusal not in self._quiet:
            self._tell_of(refusal)

    def close(self) -> None:
        """Tell what was not told yet."""
        for refusal, quiet in list(self._quiet.items()):
            quiet.cancel()
            self._go_on(refusal)
        for quiet in self._quiet.values():
            quiet.cancel()

    def _go_on(self, refusal: Refusal) -> None:
        del self._quiet[refusal]
        if self._told[refusal] < self.counts[refusal.name.lower()]:
            self._tell_of(refusal)

    def _tell_of(self, refusal: Refusal) -> None:
        number = self._told[refusal] = self.counts[refusal.name.lower()]
        self._quiet[refusal] = self._loop.call_later(QUIET, self._go_on, refusal)
        status = f" ({refusal.status})" if refusal.status else ""
        self._tell(Odd(f"{counted(number, 'connection')} refused so far{status}: {refusal.reason}"))
