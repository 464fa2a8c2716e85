"""What was not taken is counted, and told of once in a while."""

from __future__ import annotations

import asyncio

import pytest

from audiotap.net.door import tally as module
from audiotap.net.door.admission import Refusal
from audiotap.net.door.tally import Tally, complaint, not_let_in
from audiotap.reports import Odd


async def test_a_refusal_is_told_once_a_minute(monkeypatch: pytest.MonkeyPatch) -> None:
    """The first one at once, those of the next minute as a number, and at the end what is left."""
    monkeypatch.setattr(module, "QUIET", 0)
    told: list[Odd] = []
    third = asyncio.Event()

    def tell(odd: Odd) -> None:
        told.append(odd)
        if len(told) == 3:
            third.set()

    tally = Tally(tell, complaint)
    for _ in range(3):
        tally.count("no room")
    tally.count("too long")
    assert told == [Odd("no room"), Odd("too long")]
    await third.wait()
    assert told[2:] == [Odd("no room; 2 more")]
    tally.count("no room")
    tally.close()
    assert told[3:] == [Odd("no room; 1 more")]


async def test_after_a_quiet_minute_the_next_one_is_told_at_once_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """In the words of the first one, for it did not have to wait."""
    monkeypatch.setattr(module, "QUIET", 0)
    told: list[Odd] = []
    tally = Tally(told.append, complaint)
    tally.count("no room")
    await asyncio.sleep(0.001)
    tally.count("no room")
    tally.close()
    assert told == [Odd("no room"), Odd("no room")]


async def test_who_was_not_let_in_is_told_with_the_number_of_all(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each kind by itself, and why it was not let in."""
    monkeypatch.setattr(module, "QUIET", 0.05)
    told: asyncio.Queue[Odd] = asyncio.Queue()
    tally = Tally(told.put_nowait, not_let_in)
    for refusal in (Refusal.PATH, Refusal.PATH, Refusal.ORIGIN, Refusal.PATH):
        tally.count(refusal.kind)
    assert told.qsize() == 2
    reports = [await told.get() for _ in range(3)]
    assert [report.message.partition(" refused")[0] for report in reports] == [
        "1 connection",
        "1 connection",
        "3 connections",
    ]
    assert tally.counts == {"path": 3, "origin": 1}
    tally.close()
    assert told.empty()
