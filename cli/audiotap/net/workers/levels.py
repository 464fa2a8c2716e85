"""The meter over several processes: workers send what they measured, never samples, and one page shows all of it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

from audiotap.session import SessionKey
from audiotap.sinks.meter import FRAMES_PER_SECOND, Meter, MeterSession


async def keep_measuring(meter: Meter, tell: Callable[[list[MeterSession]], None]) -> None:
    """Tell what a meter shows, at the pace of a screen. Never returns."""
    while True:
        await asyncio.sleep(1 / FRAMES_PER_SECOND)
        tell(meter.measure(asyncio.get_running_loop().time()))


class Board:
    """What the workers' meters showed last, read as if one meter had measured it."""

    def __init__(self) -> None:
        self._shown: dict[int, Sequence[MeterSession]] = {}
        self._known: dict[SessionKey, None] = {}

    def put(self, worker: int, sessions: Sequence[MeterSession]) -> None:
        """Take what one worker's meter shows, newest session first; nothing, when it died."""
        self._shown[worker] = sessions

    def measure(self, _now: float) -> list[MeterSession]:
        """All sessions, newest first."""
        sessions = {one.session: one for shown in self._shown.values() for one in reversed(shown)}
        known = [key for key in self._known if key in sessions]
        self._known = dict.fromkeys([*known, *sessions])
        return [sessions[key] for key in reversed(self._known)]
