"""What the tap needs of a clock."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol


class Timer(Protocol):
    """Something that will be done later."""

    def cancel(self) -> None: ...


class Clock(Protocol):
    """The time, and what is to be done in its course: an event loop, or a captured clock."""

    def time(self) -> float: ...

    def call_later(self, delay: float, callback: Callable[..., object], /, *args: Any) -> Timer: ...
