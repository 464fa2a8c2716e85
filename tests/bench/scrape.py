"""What a scrape costs a listener: `python tests/bench/scrape.py [--sessions 500] [--tracks 16]`."""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from datetime import UTC, datetime
from statistics import median
from types import SimpleNamespace
from typing import Any

from audiotap.audio import Chunk
from audiotap.dialects.attendee import Attendee
from audiotap.events import MIXED, Heard
from audiotap.net.fleet.metrics.counting import Counting
from audiotap.net.fleet.metrics.figures import Figures
from audiotap.net.fleet.metrics.prometheus import exposition
from audiotap.net.live import Live
from audiotap.session import Placed, Session

ROUNDS = 50
ITEMS = 100_000


def live(number: int, tracks: int) -> Live:
    """A session whose tracks have begun."""
    session = Session(("attendee", f"bot_{number}"), Attendee.timing, datetime.now(UTC))
    for name in [MIXED, *(f"p{n}" for n in range(tracks - 1))]:
        session.place([Heard(session.key[1], name, Chunk(bytes(320), 16000), at=0.01)], 0.0)
    return Live(session, Attendee, 0.0)


def milliseconds(work: Callable[[], object]) -> float:
    """The median of some rounds."""
    took = []
    for _ in range(ROUNDS):
        began = time.perf_counter()
        work()
        took.append(1000 * (time.perf_counter() - began))
    return median(took)


def main() -> None:
    """Print how long the event loop is held up by one scrape, and what the lane costs per item."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sessions", type=int, default=500)
    parser.add_argument("--tracks", type=int, default=16)
    options = parser.parse_args()
    sessions = [live(n, options.tracks) for n in range(options.sessions)]
    tap: Any = SimpleNamespace(sessions={one.session.key: one for one in sessions}, refused={}, closing=False)
    recording: Any = SimpleNamespace(failed=False, ready=True, waiting=0)
    port: Any = SimpleNamespace(connections=len(sessions))
    counting = Counting(tap, port, SimpleNamespace(failed=False), recording)  # type: ignore[arg-type]
    figures: Figures = counting.figures()
    placed = Placed(("attendee", "bot"), MIXED, 0, Chunk(bytes(320), 16000))

    def put() -> None:
        for _ in range(ITEMS):
            counting.put(placed)

    per_item = milliseconds(put) * 1000 / ITEMS
    print(f"{options.sessions} sessions of {options.tracks} tracks:")
    print(
        f"  counting {milliseconds(counting.figures):.1f} ms, text {milliseconds(lambda: exposition(figures)):.1f} ms"
    )
    print(f"  {len(exposition(figures))} bytes, {per_item:.3f} µs for each item of audio")


if __name__ == "__main__":
    main()
