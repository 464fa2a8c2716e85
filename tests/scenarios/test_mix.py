"""`audiotap mix`: a session's tracks in one file, sample by sample where the encoding allows it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import soundfile
from tests.recorded.sessions import Part, kept
from tests.scenarios.harness import Place, Samples, assert_same, ramp, tone

LOUD = tone(2, level=30000)


def session(place: Place, **parts: Samples) -> Path:
    return kept(place.out / "session", {track: Part(samples.tobytes()) for track, samples in parts.items()})


def channels(path: Path) -> list[Samples]:
    frames, _ = soundfile.read(str(path), dtype="int16", always_2d=True)
    return [np.asarray(frames[:, n]) for n in range(frames.shape[1])]


async def test_the_meeting_left_and_what_was_spoken_right(place: Place) -> None:
    """Both begin at the same time zero; the shorter one ends in silence; the file is beside the folder."""
    session(place, mixed=ramp(3), spoken=tone(1), **{"100": tone(3)})
    ended = await place.run("mix", place.out)
    assert ended.status == 0
    left, right = channels(place.out / "session.stereo.wav")
    assert_same(left, ramp(3))
    assert_same(right, np.concatenate((tone(1), np.zeros(32000, dtype=np.int16))))
    assert "channel 1: mixed" in ended.err
    assert "channel 2: spoken" in ended.err


async def test_without_a_mix_participants_are_added_up(place: Place) -> None:
    """A session of participants alone has their sum on the left, and silence where nothing was spoken."""
    session(place, ana=tone(1), bo=tone(2))
    assert (await place.run("mix", place.out, "--json")).json["channels"] == [["ana", "bo"], []]
    left, right = channels(place.out / "session.stereo.wav")
    assert_same(left[:16000], 2 * tone(1))
    assert not right.any()


async def test_a_conversation_with_an_agent(place: Place) -> None:
    """The user is on the left, the agent on the right."""
    session(place, agent=tone(1), user=ramp(1))
    await place.run("mix", place.out)
    left, right = channels(place.out / "session.stereo.wav")
    assert_same(left, ramp(1))
    assert_same(right, tone(1))


async def test_a_channel_per_track(place: Place) -> None:
    """The mix is the first channel, what was spoken the last one."""
    session(place, spoken=tone(1), ana=ramp(1), mixed=LOUD)
    ended = await place.run("mix", place.out, "--as", "tracks", "--format", "flac", "--json")
    assert ended.json["channels"] == [["mixed"], ["ana"], ["spoken"]]
    first, second, third = channels(place.out / "session.tracks.flac")
    assert_same(first, LOUD)
    assert_same(second[:16000], ramp(1))
    assert_same(third[:16000], tone(1))


async def test_everybody_in_one_channel_without_clipping(place: Place) -> None:
    """Three who shout at once are turned down together: the wave keeps its shape, and the loss of level is told."""
    session(place, ana=LOUD, bo=LOUD, spoken=LOUD)
    ended = await place.run("mix", place.out, "--as", "mono", "--json")
    assert ended.json["gain"] == pytest.approx(-8.8, abs=0.1)
    (sum_,) = channels(place.out / "session.mono.wav")
    assert np.abs(sum_.astype(int)).max() == 32767
    assert np.abs(sum_ / 32767 - LOUD / 30000).max() < 1e-4


@pytest.mark.parametrize("form", ["ogg", "mp3", "opus"])
async def test_lossy_encodings(place: Place, form: str) -> None:
    """The file has its encoding's name, is as long as the session, and smaller than a WAV."""
    session(place, mixed=tone(20), spoken=tone(20))
    assert (await place.run("mix", place.out, "--format", form)).status == 0
    target = place.out / f"session.stereo.{form}"
    assert soundfile.info(str(target)).duration == pytest.approx(20, abs=0.2)
    assert target.stat().st_size < 20 * 16000 * 2 * 2 / 4


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (("--as", "tracks", "--format", "mp3"), "3 tracks are more than mp3 can hold, which are 2"),
        (("--out", "session/0.wav"), "is part of the recording"),
        (("--as", "quartet"), "quartet"),
    ],
)
async def test_what_cannot_be(place: Place, args: tuple[str, ...], said: str) -> None:
    """It is refused with status 2 before anything is written."""
    folder = session(place, mixed=tone(1), ana=tone(1), spoken=tone(1))
    before = (folder / "0.wav").read_bytes()
    ended = await place.run("mix", folder, *(arg.replace("session", str(folder)) for arg in args))
    assert ended.status == 2
    assert said in " ".join(ended.err.split())
    assert (folder / "0.wav").read_bytes() == before
    assert list(place.out.iterdir()) == [folder]


async def test_no_place_to_write(place: Place) -> None:
    """A folder that is not there is the machine's no, in one line."""
    ended = await place.run("mix", session(place, mixed=tone(1)), "--out", place.folder / "none" / "mix.wav")
    assert ended.status == 3
    assert ended.err.startswith("audiotap: cannot write")
    assert "Traceback" not in ended.err
