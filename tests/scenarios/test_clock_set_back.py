"""A clock is set by an hour while a call is recorded, the machine's or the bot's: the audio does not notice."""

from __future__ import annotations

from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
import pytest
from tests.scenarios.faults import TRACKS, assert_begins, calling
from tests.scenarios.harness import Listener, Place, Recording, assert_same, attendee, call, chunks, ramp
from websockets.asyncio.client import connect

HOUR = timedelta(hours=1)
SECOND = timedelta(seconds=1)
SOUND = ramp(1)
LONG = ramp(30)
"""Longer than any machine takes from one chunk to the next: what comes without a time is placed by its arrival."""
LIBRARY = next(Path("/usr/lib").glob("*/faketime/libfaketime.so.1"), None)

with_faketime = pytest.mark.skipif(LIBRARY is None, reason="libfaketime is not installed")
both_ways = pytest.mark.parametrize("step", [-HOUR, HOUR], ids=["back", "forward"])


class Clock:
    """The wall clock of a process that is started with this `environment`."""

    def __init__(self, place: Place) -> None:
        self._offset = place.folder / "clock"
        self.environment = {
            "LD_PRELOAD": str(LIBRARY),
            "FAKETIME_TIMESTAMP_FILE": str(self._offset),
            "FAKETIME_NO_CACHE": "1",
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
        }
        self.set(timedelta())

    def set(self, offset: timedelta) -> None:
        """Set it so far from the true time."""
        draft = self._offset.with_suffix(".draft")
        draft.write_text(f"{offset.total_seconds():+.0f}\n", "utf-8")
        draft.rename(self._offset)


@with_faketime
@both_ways
async def test_the_machines_clock(place: Place, step: timedelta) -> None:
    """Chunks with times and chunks without are where they would have been, and nothing counts as lost."""
    listener = await set_while_recording(place, step)

    recording = await listener.finished("bot_1")
    for track in TRACKS:
        assert assert_begins(recording.file(track), track) > 0
    untimed = await listener.finished("untimed")
    assert_same(untimed.samples("mixed"), np.concatenate((LONG, LONG)))
    assert untimed.entry("mixed")["untimed"] == 2
    for one in (recording, untimed):
        assert not one.manifest["lossy"]
        assert sum(entry["gaps"] + entry["late"] + entry["jumps"] for entry in one.manifest["tracks"]) == 0
    assert abs(time(await listener.finished("later"), "started") - time(recording, "started") - step) < 30 * SECOND


@with_faketime
async def test_a_recording_ends_after_it_began(place: Place) -> None:
    """The manifest's end is as long after its start as the call was."""
    recording = await (await set_while_recording(place, -HOUR)).finished("bot_1")
    assert timedelta() <= time(recording, "ended") - time(recording, "started") < 30 * SECOND


@both_ways
async def test_the_bots_clock(place: Place, step: timedelta) -> None:
    """Its times jump in the middle of a call: the tracks go on without a hole, aligned as before."""
    listener = await place.listen("--linger", 0.1)
    wires = []
    for number, piece in enumerate(chunks(SOUND), 1):
        end = number / 10 + (step.total_seconds() if number > 5 else 0)
        wires += [attendee(piece, end), attendee(piece, end, "ana")]
    await call(listener.url, *wires)
    recording = await listener.finished("bot_1")

    for track in ("mixed", "ana"):
        assert_same(recording.samples(track), SOUND)
        assert recording.entry(track)["jumps"] == 1
    assert any("clock jumped" in warning for warning in listener.warnings())
    assert (await listener.stop()).status == 0


async def set_while_recording(place: Place, step: timedelta) -> Listener:
    """A listener that has recorded two calls over the step and one after it, and has ended with status 0."""
    clock = Clock(place)
    listener = await place.listen(environment=clock.environment)
    async with calling(listener.url) as going_on, connect(listener.url) as bot:
        await bot.send(attendee(LONG, 0, bot="untimed", timestamp_ms=None))
        await going_on.lasts(0.5)
        await going_on.is_answered()
        clock.set(step)
        await bot.send(attendee(LONG, 0, bot="untimed", timestamp_ms=None))
        await bot.send(attendee(SOUND, 1.0, bot="later"))
        await listener.event("session.started", session="later")
        await going_on.lasts(0.5)
        assert (await listener.stop()).status == 0
    return listener


def time(recording: Recording, which: str) -> datetime:
    return datetime.fromisoformat(recording.manifest[which])
