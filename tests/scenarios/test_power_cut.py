"""The power goes: with --durable, all but the last two seconds are on the disk's surface, in files that open."""

from __future__ import annotations

import shutil
from pathlib import Path
from signal import Signals

from tests.scenarios.faults import TRACKS, Disk, assert_begins, calling, readers
from tests.scenarios.harness import RATE, Place

MOST_LOST = 2.0
"""Seconds of a track."""


async def test_what_is_on_the_surface(place: Place) -> None:
    """At several instants of a call, what was synced is a valid file that lacks at most two seconds of the call."""
    disk = Disk(place)
    surface = disk.watch()
    listener = await place.listen("--durable", environment=disk.environment)
    worst = 0.0
    async with calling(listener.url) as call:
        await call.lasts(MOST_LOST)
        for _ in range(6):
            await call.lasts(0.37)
            sent = dict(call.sent)
            for track in TRACKS:
                kept = Path(shutil.copy(remains(surface, track), place.folder / "kept.wav"))
                samples = assert_begins(kept, track)
                assert set(readers(kept).values()) == {samples}
                worst = max(worst, (sent[track] - samples) / RATE)
        ended = await listener.stop()
    print(f"a power cut costs {worst:.2f} s at most")

    assert worst <= MOST_LOST
    assert ended.status == 0
    recording = await listener.finished("bot_1")
    for track in TRACKS:
        assert remains(surface, track).read_bytes() == recording.file(track).read_bytes()
    assert (surface / recording.folder.name / ".manifest.json.tmp").read_bytes() == (
        recording.folder / "manifest.json"
    ).read_bytes()


async def test_nothing_is_synced_unless_it_is_wanted(place: Place) -> None:
    """The usual recording leaves it to the system when it writes to the surface."""
    disk = Disk(place)
    surface = disk.watch()
    listener = await place.listen(environment=disk.environment)
    async with calling(listener.url) as call:
        await call.lasts(1.5)
        await listener.stop(Signals.SIGTERM)
    assert not surface.exists()


def remains(surface: Path, track: str) -> Path:
    """A track's file as a power cut would leave it."""
    (path,) = surface.glob(f"*/{track.replace(' ', '_')}*.wav")
    return path
