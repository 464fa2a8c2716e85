"""Recordings that are longer than a WAV header can count, and days of audio."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
import soundfile
from tests.scenarios.harness import RATE, Place, Samples, assert_same, attendee, call, ramp
from websockets.asyncio.client import connect

HOURS = float(os.environ.get("AUDIOTAP_SOAK_HOURS", "0.5"))
FINE = 384_000
FAR = 590
"""Seconds of silence that a stamp alone may put in."""
COARSE = 8000
SPOKEN = 64
"""Half minutes that somebody has to be heard for, before so much silence is believed of a call that is over at once."""


async def test_beyond_4_gib(place: Place) -> None:
    """A track of holes grows past what 32 bits count: the same file goes on as RF64, and every sample is there."""
    listener = await place.listen("--linger", 0.1)
    sound = ramp(0.1, FINE)
    ends = [0.1 + n * FAR for n in range(11)]
    said = (attendee(ramp(30, COARSE), 30.0 * (n + 1), "ana", sample_rate=COARSE) for n in range(SPOKEN))
    await call(listener.url, *said, *(attendee(sound, end, sample_rate=FINE) for end in ends))
    recording = await listener.finished("bot_1")
    await listener.stop()

    path, samples = recording.file("mixed"), recording.entry("mixed")["samples"]
    assert path.stat().st_size > 2**32
    with path.open("rb") as file:
        assert file.read(4) == b"RF64"
    assert counted(path) == {samples}
    assert samples == (10 * FAR + 0.1) * FINE
    for end in ends:
        assert_same(stretch(path, end - 0.1, FINE), sound)
    assert not stretch(path, 10 * FAR - 1, FINE).any()


@pytest.mark.soak
@pytest.mark.timeout(60 + 60 * HOURS)
async def test_a_day(place: Place) -> None:
    """AUDIOTAP_SOAK_HOURS of unbroken sound are there to the last sample."""
    listener = await place.listen("--linger", 0.1)
    sound = ramp(30)
    messages = round(HOURS * 120)
    async with connect(listener.url, compression=None) as bot:
        for n in range(messages):
            await bot.send(attendee(sound, 30.0 * (n + 1)))
    recording = await listener.finished("bot_1")
    ended = await listener.stop()

    path = recording.file("mixed")
    print(f"{messages / 120} h: {path.stat().st_size} bytes")
    assert counted(path) == {messages * len(sound)}
    with soundfile.SoundFile(path) as file:
        for _ in range(messages):
            assert_same(file.read(len(sound), dtype="int16"), sound)
    assert ended.status == 0


def stretch(path: Path, seconds: float, rate: int = RATE) -> Samples:
    """A tenth of a second of a file."""
    start = round(seconds * rate)
    samples, _ = soundfile.read(path, start=start, frames=rate // 10, dtype="int16")
    return np.asarray(samples)


def counted(path: Path) -> set[int]:
    """How many samples soundfile and ffprobe see (sox does, too, but looks for half a minute)."""
    counts = {soundfile.info(str(path)).frames}
    if shutil.which("ffprobe"):
        asked = ["ffprobe", "-v", "error", "-show_entries", "stream=duration_ts", "-of", "csv=p=0"]
        told = subprocess.run([*asked, path], capture_output=True, text=True, check=True)
        assert not told.stderr
        counts.add(int(told.stdout))
    return counts
