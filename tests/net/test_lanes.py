"""Lanes: what a sink's failure means to the others."""

from __future__ import annotations

from collections.abc import Sequence

from audiotap.audio import Chunk
from audiotap.events import MIXED, Occurred
from audiotap.net.lanes import LOGGED, BatchLane, DirectLane
from audiotap.reports import Failed, Odd, Report
from audiotap.session import Logged, Placed
from audiotap.sinks.base import Item

PLACED = Placed(("attendee", "bot_1"), MIXED, 0, Chunk(bytes(320), 16000))


class Broken:
    """A sink that throws at every write."""

    def __init__(self, *, required: bool) -> None:
        self.required = required
        self.writes = 0

    def write(self, items: Sequence[Item]) -> None:
        self.writes += len(items)
        raise ValueError("broken")

    def close(self) -> None: ...


async def test_a_watcher_that_fails_is_detached() -> None:
    """Whoever puts does not notice; it is told once, and the sink is left alone after that."""
    told: list[Report] = []
    sink = Broken(required=False)
    lane = DirectLane(sink, "the meter", told.append)
    lane.put(PLACED)
    lane.put(PLACED)
    await lane.close()
    assert sink.writes == 1
    assert told == [Odd("the meter failed and was detached: broken")]


async def test_an_output_that_fails_is_detached() -> None:
    """The same for one that is written by a thread."""
    told: list[Report] = []
    lane = BatchLane(Broken(required=False), "standard output", told.append)
    lane.put(PLACED)
    await lane.close()
    assert lane.failed
    assert told == [Odd("standard output failed and was detached: broken")]


async def test_what_waits_for_the_event_log_holds_bots_back() -> None:
    """A lane is as full of events as of audio, and empty when they were written."""
    lane = BatchLane(Broken(required=True), "the recording", lambda _: None, limit=10 * LOGGED)
    for _ in range(11):
        assert lane.ready
        lane.put(Logged(PLACED.session, Occurred("bot_1", "transcript.data", {}), None))
    assert not lane.ready
    await lane.close()
    assert lane.ready


async def test_a_recording_that_fails_is_an_error() -> None:
    """A required sink's failure is no warning, and nobody waits for room in its lane."""
    told: list[Report] = []
    lane = BatchLane(Broken(required=True), "the recording", told.append, limit=0)
    lane.put(PLACED)
    assert not lane.ready
    await lane.close()
    assert lane.ready
    assert lane.failed
    assert [type(report) for report in told] == [Failed]
