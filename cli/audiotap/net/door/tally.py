"""What was not taken: counted, and told of so seldom that nobody can fill a log with it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from audiotap.net.door.admission import Refusal
from audiotap.reports import Odd
from audiotap.text import counted

QUIET = 60.0
"""Seconds between two words about one kind."""


class Tally:
    """Counts by kind. The first of a kind is told at once, and what comes within a minute as one number after it.

    `words` makes a sentence of a kind, of how many there were, and of how many of them had to wait to be told.
    For the event loop's thread.
    """

    def __init__(self, tell: Callable[[Odd], None], words: Callable[[str, int, int], str]) -> None:
        self.counts: dict[str, int] = {}
        self._tell = tell
        self._words = words
        self._told: dict[str, int] = {}
        self._quiet: dict[str, asyncio.TimerHandle] = {}

    def count(self, kind: str) -> None:
        self.counts[kind] = self.counts.get(kind, 0) + 1
        if kind not in self._quiet:
            self._say(kind, 0)
            self._wait(kind)

    def close(self) -> None:
        """Tell of what was not told yet."""
        for kind, quiet in self._quiet.items():
            quiet.cancel()
            self._say_rest(kind)
        self._quiet.clear()

    def _wait(self, kind: str) -> None:
        self._quiet[kind] = asyncio.get_running_loop().call_later(QUIET, self._go_on, kind)

    def _go_on(self, kind: str) -> None:
        if self._say_rest(kind):
            self._wait(kind)
        else:
            del self._quiet[kind]

    def _say_rest(self, kind: str) -> bool:
        waited = self.counts[kind] - self._told[kind]
        if waited:
            self._say(kind, waited)
        return waited > 0

    def _say(self, kind: str, waited: int) -> None:
        self._told[kind] = self.counts[kind]
        self._tell(Odd(self._words(kind, self.counts[kind], waited)))


def complaint(what: str, _: int, waited: int) -> str:
    """The kind itself says what and why, in the same words each time."""
    return f"{what}; {waited} more" if waited else what


def not_let_in(kind: str, number: int, _: int) -> str:
    """The kind is the word of a `Refusal`."""
    refusal = Refusal.of(kind)
    status = f" ({refusal.status})" if refusal.status else ""
    return f"{counted(number, 'connection')} refused so far{status}: {refusal.reason}"
