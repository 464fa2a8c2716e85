"""Those who watch a listener from elsewhere: reports as they are told, and levels at the pace of a screen.

Law: a watcher costs nobody anything but itself. Whoever does not read misses levels, then reports, and is told so.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress

import msgspec
from websockets.exceptions import ConnectionClosed

from audiotap.errors import WireError
from audiotap.net.control.sockets import Talk
from audiotap.net.lanes import DirectLane
from audiotap.net.tap import Tap
from audiotap.net.tasks import wait_for
from audiotap.reports import Failed, Odd, Report, SaidAloud
from audiotap.session import Logged
from audiotap.sinks.base import Item
from audiotap.sinks.meter import FRAMES_PER_SECOND, Levels, Meter, MeterSession

REMEMBERED = 20
"""Warnings and errors that a new watcher is told of."""
LAST_SECONDS = 1.0
"""How long the end waits for watchers to read what was told last."""
MOST_UNREAD = 1000
"""Reports that wait for a watcher who doesn't read."""
TRANSCRIPT = "transcript.data"
"""What Recall calls a transcript's words (docs.recall.ai, "Real-Time Transcription")."""


Shown = Report | Levels
_ENCODER = msgspec.json.Encoder()
_DECODER: msgspec.json.Decoder[Shown] = msgspec.json.Decoder(Shown)


def decoded(wire: str | bytes) -> Shown:
    """What a watcher is shown. WireError for what is none of it: another version's word."""
    try:
        return _DECODER.decode(wire)
    except (msgspec.MsgspecError, UnicodeError) as error:
        raise WireError(str(error)) from error


class Unread:
    """What waits for one watcher."""

    def __init__(self, told: Iterable[Report]) -> None:
        self.some = asyncio.Event()
        self._reports: deque[Report] = deque(told)
        self._left_out = 0

    def put(self, report: Report) -> None:
        """One more; the oldest goes where there are too many."""
        if len(self._reports) >= MOST_UNREAD:
            self._reports.popleft()
            self._left_out += 1
        self._reports.append(report)

    def take(self) -> list[Report]:
        """All of it."""
        taken = list(self._reports)
        self._reports.clear()
        if self._left_out:
            taken.insert(0, Odd(f"{self._left_out} lines were left out here, since nobody read them"))
            self._left_out = 0
        return taken


class Audience:
    """A listener's watchers. `telling` stands between the listener and whoever shows its reports."""

    def __init__(self) -> None:
        self._recent: deque[Report] = deque(maxlen=REMEMBERED)
        self._watchers: set[Unread] = set()
        self._watching: set[asyncio.Future[None]] = set()
        self._over = asyncio.Event()

    def telling(self, tell: Callable[[Report], None]) -> Callable[[Report], None]:
        """`tell`, for the watchers too."""

        def both(report: Report) -> None:
            self._put(report)
            tell(report)

        return both

    def _put(self, report: Report) -> None:
        if isinstance(report, Odd | Failed):
            self._recent.append(report)
        for unread in self._watchers:
            unread.put(report)

    async def watch(self, tap: Tap, connection: Talk) -> None:
        """Show everything to one watcher, until it goes away."""
        unread, meter = Unread(self._recent), Meter()
        lane = DirectLane(_Looker(meter, unread), "a watcher", lambda _: None)
        self._watchers.add(unread)
        tap.admit(lane)
        watching = asyncio.ensure_future(show(connection, unread.take, meter.measure, self._over))
        self._watching.add(watching)
        try:
            await watching
        finally:
            tap.dismiss(lane)
            self._watchers.discard(unread)
            self._watching.discard(watching)

    async def close(self) -> None:
        """Return when everybody was shown the end, or does not read it."""
        self._over.set()
        if self._watching:
            await asyncio.wait(self._watching, timeout=LAST_SECONDS)


async def show(
    connection: Talk,
    reports: Callable[[], Sequence[Report]],
    measure: Callable[[float], list[MeterSession]],
    over: asyncio.Event,
) -> None:
    """Send a watcher what there is, again and again, until it goes away, or all is over."""
    loop = asyncio.get_running_loop()
    with suppress(ConnectionClosed):
        last = False
        while not last:
            last = await wait_for(over, 1 / FRAMES_PER_SECOND)
            for shown in (*reports(), Levels(tuple(measure(loop.time())))):
                await connection.send(_ENCODER.encode(shown).decode())


class _Looker:
    """A sink: the meter, and words that providers tell."""

    required = False

    def __init__(self, meter: Meter, unread: Unread) -> None:
        self._meter = meter
        self._unread = unread

    def write(self, items: Sequence[Item]) -> None:
        self._meter.write(items)
        for item in items:
            if isinstance(item, Logged) and item.occurred.kind == TRANSCRIPT and (said := _said(item)):
                self._unread.put(said)

    def close(self) -> None:
        self._meter.close()


def _said(logged: Logged) -> SaidAloud | None:
    """Recall's words as one line; None where there are none."""
    try:
        words = msgspec.convert(logged.occurred.data, _Transcript).words
    except msgspec.ValidationError:
        return None
    text = " ".join(word.text for word in words)
    who = logged.occurred.name or logged.occurred.participant or "somebody"
    return SaidAloud(logged.session[1], who, text, round(logged.seconds or 0.0, 3)) if text else None


class _Word(msgspec.Struct):
    text: str


class _Transcript(msgspec.Struct):
    words: list[_Word]
