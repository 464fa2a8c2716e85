"""Messages that carry a number, put in order: each one once, and what never came is known.

There is no clock here: `now` is the listener's monotonic clock, handed in.
"""

from __future__ import annotations

from typing import Generic, NamedTuple, Protocol, TypeVar

T = TypeVar("T")
PATIENCE = 0.1
"""Seconds for which a message waits for those before it."""
MAX_WAITING = 100
"""Messages that wait at most."""
WINDOW = 1000
"""How far back a number still means a duplicate, and not a counter that began anew."""


class InOrder(NamedTuple, Generic[T]):
    """A message whose turn it is, and how many before it never came."""

    message: T
    missing: int


class OrderCounts(Protocol):
    """Where it is counted what the numbers told."""

    duplicates: int
    reordered: int
    missing: int


class Order(Generic[T]):
    """One track's numbering. Each message comes out once: in order, or after `PATIENCE` without those before it."""

    def __init__(self, counts: OrderCounts) -> None:
        self._counts = counts
        self._last: int | None = None
        self._waiting: dict[int, tuple[T, float]] = {}

    @property
    def waits(self) -> bool:
        return bool(self._waiting)

    def take(self, number: int | None, message: T, now: float) -> list[InOrder[T]]:
        """Take a message; what comes out in order now."""
        if number is None:
            return [InOrder(message, 0)]
        last = self._last
        if last is None or number <= last - WINDOW:
            before = self.release(now, everything=True)
            self._last = number
            return [*before, InOrder(message, 0)]
        if number == last + 1:
            self._counts.reordered += bool(self._waiting)
            self._last = number
            return [InOrder(message, 0), *self.release(now)]
        if number <= last or number in self._waiting:
            self._counts.duplicates += 1
            return []
        self._counts.reordered += bool(self._waiting) and number < max(self._waiting)
        self._waiting[number] = (message, now)
        return self.release(now)

    def release(self, now: float, *, everything: bool = False) -> list[InOrder[T]]:
        """What follows what came out last, and what has waited too long for that."""
        out: list[InOrder[T]] = []
        while self._waiting and self._last is not None:
            number = min(self._waiting)
            missing = number - self._last - 1
            if missing and not (everything or self._impatient(now)):
                break
            message, _ = self._waiting.pop(number)
            self._counts.missing += missing
            self._last = number
            out.append(InOrder(message, missing))
        return out

    def _impatient(self, now: float) -> bool:
        first = min(arrived for _, arrived in self._waiting.values())
        return now >= first + PATIENCE or len(self._waiting) > MAX_WAITING
