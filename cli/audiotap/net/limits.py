"""How much a listener takes from whoever dials it, and how it tells of what it did not take."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import msgspec

from audiotap.net.peer import MAX_MESSAGE
from audiotap.reports import Odd

MINUTE = 60.0
"""Seconds between two words about one kind of refusal."""


class Limits(msgspec.Struct, frozen=True):
    """What a listener takes at most; docs/limits.md tells why it is so much. Sizes in bytes, times in seconds.

    `pending` is for messages of which a part is there, of all connections together. `handshake` may pass until a
    connection is a websocket, `ping` in silence until it is pinged, and again until it is taken for dead, and `idle`
    without a message (0: for ever). `per_connection` counts sessions, `tracks` those of one session.
    """

    message: int = MAX_MESSAGE
    pending: int = 256 * 1024 * 1024
    connections: int = 10_000
    per_address: int = 8_000
    handshake: float = 10.0
    ping: float = 20.0
    idle: float = 0.0
    sessions: int = 5_000
    per_connection: int = 100
    tracks: int = 1_000

    def shared(self, workers: int) -> Limits:
        """The share of one of so many processes, rounded up."""
        return msgspec.structs.replace(
            self,
            pending=-(-self.pending // workers),
            connections=-(-self.connections // workers),
            per_address=-(-self.per_address // workers),
            sessions=-(-self.sessions // workers),
        )


class Complaints:
    """What was not taken, counted by kind and told of at most once a minute each. For the event loop's thread."""

    def __init__(self, tell: Callable[[Odd], None]) -> None:
        self._tell = tell
        self._untold: dict[str, int] = {}
        self._timers: dict[str, asyncio.TimerHandle] = {}

    def count(self, what: str) -> None:
        """Something was refused; `what` says what and why, in the same words each time."""
        if what in self._untold:
            self._untold[what] += 1
        else:
            self._tell(Odd(what))
            self._wait(what)

    def close(self) -> None:
        """Tell of what was not told yet."""
        for what, timer in self._timers.items():
            timer.cancel()
            self._tell_rest(what)
        self._timers.clear()
        self._untold.clear()

    def _wait(self, what: str) -> None:
        self._untold[what] = 0
        self._timers[what] = asyncio.get_running_loop().call_later(MINUTE, self._minute_is_over, what)

    def _minute_is_over(self, what: str) -> None:
        if self._tell_rest(what):
            self._wait(what)
        else:
            del self._untold[what], self._timers[what]

    def _tell_rest(self, what: str) -> bool:
        if self._untold[what]:
            self._tell(Odd(f"{what}; {self._untold[what]} more"))
        return self._untold[what] > 0
