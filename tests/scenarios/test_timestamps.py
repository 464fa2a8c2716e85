"""Clocks that go wrong, over a real socket: nothing is garbled, no silence is made up, and each thing is counted."""

from __future__ import annotations

import random
from collections.abc import Callable

import numpy as np
import pytest
from tests.scenarios.harness import RATE, Place, Recording, Samples, assert_same, attendee, call, chunks, ramp, sounding
from websockets.asyncio.client import connect

HOUR = 3600.0
YEAR_9999 = 253_370_764_800.0 - 1_700_000_000.0
Ends = Callable[[float], float | None]
"""From the time at which a chunk ends to the one that its stamp tells; None leaves it out."""


async def record(place: Place, sound: Samples, ends: Ends, seconds: float = 0.1) -> tuple[Recording, int]:
    """What one connection becomes whose stamps are as told, and the listener's exit status."""
    listener = await place.listen("--linger", 0.1)
    wires = []
    for n, piece in enumerate(chunks(sound, seconds)):
        end = ends((n + 1) * seconds)
        wires.append(attendee(piece, 0.0, timestamp_ms=None) if end is None else attendee(piece, end))
    await call(listener.url, *wires)
    recording = await listener.finished("bot_1")
    return recording, (await listener.stop()).status


@pytest.mark.parametrize(
    ("ends", "jumps"),
    [
        pytest.param(lambda end: end + (HOUR if end > 5 else 0), 1, id="an hour ahead"),
        pytest.param(lambda end: end - (HOUR if end > 5 else 0), 1, id="an hour back"),
        pytest.param(lambda end: YEAR_9999 if 5 < end < 5.15 else end, 2, id="one in the year 9999"),
        pytest.param(lambda end: end + (YEAR_9999 if end > 5 else 0), 1, id="the year 9999 from then on"),
        pytest.param(lambda end: end - 2e9 if end > 5 else end, 1, id="before 1970"),
        pytest.param(lambda end: 1e300 if 5 < end < 6 else end, 0, id="numbers that are no times"),
    ],
)
async def test_a_clock_that_jumps(place: Place, ends: Ends, jumps: int) -> None:
    """The audio goes on evenly, whatever the clock says; the jump is in the manifest, and nothing is lost."""
    sound = ramp(10)
    recording, status = await record(place, sound, ends)

    assert_same(recording.samples("mixed"), sound)
    assert recording.entry("mixed")["jumps"] == jumps
    assert recording.entry("mixed")["gap_samples"] == 0
    assert status == 0


async def test_no_stamps_at_all(place: Place) -> None:
    """Chunks lie in the order in which they came, and are counted as untimed."""
    sound = ramp(5)
    recording, status = await record(place, sound, lambda _: None)

    assert_same(recording.samples("mixed"), sound)
    assert recording.entry("mixed")["untimed"] == 50
    assert status == 0


@pytest.mark.parametrize("seconds", [0.01, 0.1])
async def test_jitter(place: Place, seconds: float) -> None:
    """Stamps that are up to 50 ms off either way leave the mix as it was said."""
    dice = random.Random(7)
    sound = ramp(20)
    recording, status = await record(place, sound, lambda end: end + dice.uniform(-0.05, 0.05), seconds)

    assert_same(recording.samples("mixed"), sound)
    assert (recording.entry("mixed")["gaps"], recording.entry("mixed")["late"]) == (0, 0)
    assert status == 0


async def test_a_stall_and_its_burst(place: Place) -> None:
    """A bot that hung for two seconds sends what it heard meanwhile at once, with one stamp: there is no hole."""
    sound = ramp(10)
    recording, status = await record(place, sound, lambda end: 7.0 if 5 < end <= 7 else end, 0.01)

    assert_same(recording.samples("mixed"), sound)
    assert recording.entry("mixed")["gaps"] == 0
    assert status == 0


@pytest.mark.parametrize("ppm", [200, -200])
async def test_three_hours_on_a_drifting_clock(place: Place, ppm: int) -> None:
    """The file ends when the clock says, within 100 ms; single samples slipped, and every other one is as it came."""
    seconds, step, rate = 3 * HOUR, 1.0, 8000
    sound = ramp(step, rate)
    listener = await place.listen("--linger", 0.1)
    async with connect(listener.url, compression=None, max_size=None) as bot:
        for n in range(1, round(seconds / step) + 1):
            for track in ("ana", ""):
                await bot.send(attendee(sound, n * step * (1 + ppm / 1e6), track, sample_rate=rate))
    recording = await listener.finished("bot_1")
    ended = await listener.stop()

    for track in ("mixed", "ana"):
        entry, samples = recording.entry(track), recording.samples(track)
        off = len(samples) / rate - seconds * (1 + ppm / 1e6)
        slipped = entry["slipped_in"] - entry["slipped_out"]
        print(f"{track}: {ppm} ppm for 3 h: ends {1000 * off:.1f} ms off, {slipped} samples slipped")
        assert abs(off) < 0.1
        assert len(samples) == entry["samples"] == seconds * rate + slipped
        assert np.count_nonzero(np.diff(samples) != 1) <= 2 * abs(slipped) + 2 * seconds / step
        assert (entry["gaps"], entry["late"]) == (0, 0)
    assert ended.status == 0


async def test_the_bursts_of_teams(place: Place) -> None:
    """A participant whose ten chunks share one stamp that is 2 s late is whole, in order, and 2 s beside the mix."""
    sound = ramp(10)
    wires = []
    for n, piece in enumerate(chunks(sound)):
        wires.append(attendee(piece, (n + 1) / 10))
        wires += [attendee(part, (n + 1) / 10 + 2.0, "8:orgid:ana") for part in chunks(piece, 0.01)]
    listener = await place.listen("--linger", 0.1)
    await call(listener.url, *wires)
    recording = await listener.finished("bot_1")
    await listener.stop()

    heard = recording.samples("8:orgid:ana")
    assert_same(recording.samples("mixed"), sound)
    assert_same(sounding(heard), sound)
    assert int(np.flatnonzero(heard)[0]) == pytest.approx(2.0 * RATE, abs=0.1 * RATE)
    assert recording.entry("8:orgid:ana")["gaps"] == 0


async def test_numbers_put_in_order(place: Place) -> None:
    """With `sequence`, doubled messages count once, swapped ones are put right, and what is missing is known."""
    sound = ramp(3)
    pieces = list(enumerate(chunks(sound), 1))
    order = [*pieces[:5], pieces[6], pieces[5], *pieces[5:10], *pieces[12:20], pieces[21], pieces[20], *pieces[22:]]
    listener = await place.listen("--linger", 0.1)
    await call(listener.url, *(attendee(piece, n / 10 + 0.03 * (n % 2), sequence=n) for n, piece in order))
    recording = await listener.finished("bot_1")
    ended = await listener.stop()

    expected = sound.copy()
    expected[RATE : RATE + RATE // 5] = 0
    entry = recording.entry("mixed")
    assert_same(recording.samples("mixed"), expected)
    assert (entry["duplicates"], entry["reordered"], entry["missing"], entry["gaps"]) == (2, 2, 2, 1)
    assert ended.status == 6
