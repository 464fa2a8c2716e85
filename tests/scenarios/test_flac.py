"""--format flac: at the end every WAV is a FLAC with the same samples, and until then everything is as safe as ever."""

from __future__ import annotations

import signal
from pathlib import Path

import numpy as np
from tests.scenarios.faults import TRACKS, assert_begins, calling, readers
from tests.scenarios.harness import RATE, Place, assert_same, attendee, call, ramp


async def test_a_session_becomes_flac(place: Place) -> None:
    """The files, the manifest and what is told at the end name FLACs that hold every sample; no WAV is left."""
    listener = await place.listen("--format", "flac", "--linger", 0.1)
    sound = ramp(3)
    await call(listener.url, attendee(sound, 3.0), attendee(sound, 6.0), attendee(sound, 4.0, "ana"))
    recording = await listener.finished("bot_1")
    ended = await listener.stop()

    assert {path.name for path in recording.folder.iterdir()} == {"mixed.flac", "ana.flac", "manifest.json"}
    assert recording.manifest["format"] == "flac"
    assert [Path(path).name for path in recording.finished["files"]] == ["mixed.flac", "ana.flac"]
    assert_same(recording.samples("mixed"), np.concatenate((sound, sound)))
    assert len(recording.samples("ana")) == 4 * RATE
    assert ended.status == 0


async def test_a_kill_leaves_wavs(place: Place) -> None:
    """Nothing is FLAC before the session is over, so that a kill costs no more than ever."""
    listener = await place.listen("--format", "flac")
    async with calling(listener.url) as going_on:
        await going_on.lasts(1.0)
        await listener.stop(signal.SIGKILL)
    for event in listener.told("track.started"):
        samples = assert_begins(Path(event["path"]), event["track"])
        assert set(readers(Path(event["path"])).values()) == {samples}
    assert len(listener.told("track.started")) == len(TRACKS)


async def test_a_rate_that_flac_has_not(place: Place) -> None:
    """What cannot become FLAC stays WAV, with a warning and nothing lost."""
    listener = await place.listen("--format", "flac", "--linger", 0.1)
    sound = ramp(1)
    await call(listener.url, attendee(sound, 1.0, sample_rate=65_537), attendee(sound, 1.0, "ana"))
    recording = await listener.finished("bot_1")
    ended = await listener.stop()

    assert {path.name for path in recording.folder.iterdir()} == {"mixed.wav", "ana.flac", "manifest.json"}
    assert_same(recording.samples("mixed"), sound)
    assert any("65537" in warning for warning in listener.warnings())
    assert ended.status == 0
