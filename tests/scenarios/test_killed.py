"""`kill -9` in the middle of a call: every file opens everywhere, and at most a quarter of a second is lost."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import signal
from collections.abc import AsyncIterator
from contextlib import suppress
from itertools import count
from pathlib import Path

import numpy as np
import pytest
from tests.scenarios.faults import TRACKS, Disk, assert_begins, calling, readers
from tests.scenarios.harness import RATE, Place, attendee, call, ramp
from websockets.exceptions import ConnectionClosed

KILLS = int(os.environ.get("AUDIOTAP_KILLS", "3"))
MOST_LOST = 0.25
"""Seconds of a track."""


@pytest.mark.soak
@pytest.mark.timeout(60 + 10 * KILLS)
async def test_a_kill_at_any_instant(place: Place) -> None:
    """AUDIOTAP_KILLS recorders of eight tracks are killed; what they leave needs no repair and is all but the end."""
    instants = np.random.default_rng().uniform(0.5, 3.0, KILLS)
    lost: dict[str, float] = {}
    for number, instant in enumerate(instants):
        for reader, seconds in (await killed(place, f"bot_{number}", instant)).items():
            lost[reader] = max(seconds, lost.get(reader, 0.0))
    print(
        f"{KILLS} kills of {len(TRACKS)} tracks, the most that was lost:", *(f"{r} {s:.3f} s" for r, s in lost.items())
    )

    assert len(lost) >= 2
    assert max(lost.values()) <= MOST_LOST


async def killed(place: Place, session: str, instant: float) -> dict[str, float]:
    """Kill a recorder so many seconds into a call; the seconds of its worst track that each reader misses."""
    listener = await place.listen()
    async with calling(listener.url, session) as call:
        await asyncio.sleep(instant)
        sent = dict(call.sent)
        await listener.stop(signal.SIGKILL)

    paths = {event["track"]: Path(event["path"]) for event in listener.told("track.started")}
    assert paths.keys() == set(TRACKS)
    folder = paths["mixed"].parent
    manifest = json.loads((folder / "manifest.json").read_text("utf-8"))
    assert manifest["ended"] is None
    assert {track["track"]: folder / track["file"] for track in manifest["tracks"]} == paths
    lost: dict[str, float] = {}
    for track, path in paths.items():
        assert 0 < assert_begins(path, track) <= sent[track]
        for reader, samples in readers(path).items():
            lost[reader] = max((sent[track] - samples) / RATE, lost.get(reader, 0.0))
    return lost


async def test_a_kill_before_each_write(place: Place) -> None:
    """From the first folder to the last manifest there is no step after which a file is not valid."""
    disk = Disk(place)
    bad = [number async for number in writes(place, disk) if not is_valid(place.out)]
    assert bad == []


async def writes(place: Place, disk: Disk) -> AsyncIterator[int]:
    """Record a short call again and again, killed at its first write, its second, and so on, until it gets through."""
    for number in count(1):
        shutil.rmtree(place.out, ignore_errors=True)
        listener = await place.listen(environment=disk.environment)
        disk.kill_at(number, f"{place.out.name}/")
        with suppress(ConnectionClosed, OSError):
            await call(listener.url, attendee(ramp(1), 1.0))
        with suppress(ProcessLookupError):
            listener.process.send_signal(signal.SIGTERM)
        ended = await listener.ended()
        disk.recover()
        yield number
        if ended.status == 0:
            print(f"killed at each of {number - 1} writes")
            return


def is_valid(out: Path) -> bool:
    """Whether all that has a name for the user can be read."""
    try:
        for path in out.glob("*/manifest.json"):
            json.loads(path.read_text("utf-8"))
        for path in out.glob("*/*.wav"):
            readers(path)
    except (ValueError, pytest.fail.Exception):
        return False
    return True
