"""MP3 of speech: it says what was said, and never becomes longer than it may."""

from __future__ import annotations

from collections.abc import Iterator
from io import BytesIO
from itertools import repeat

import numpy as np
import pytest
import soundfile
import soxr

from audiotap.audio import Chunk
from audiotap.errors import MachineError, UsageError
from audiotap.mp3 import RATE, encode, silence

PLENTY = 10**7


def sweep(seconds: float, rate: int) -> Iterator[Chunk]:
    """From 200 to 3000 Hz, in chunks that are no multiple of anything."""
    at = np.arange(round(seconds * rate)) / rate
    wave = 9000 * np.sin(2 * np.pi * (200 * at + 1400 / seconds * at**2))
    for piece in np.array_split(wave.astype("<i2"), 7):
        yield Chunk(piece.tobytes(), rate)


@pytest.mark.parametrize("rate", [8000, 16000, 24000, 44100, 96000])
def test_it_says_what_was_said(rate: int) -> None:
    """Whatever the rate was, what is decoded is as long, and correlates with what went in."""
    mp3, seconds = encode(sweep(3, rate), PLENTY)
    heard, heard_rate = soundfile.read(BytesIO(mp3))
    said = np.frombuffer(b"".join(chunk.pcm for chunk in sweep(3, rate)), "<i2") / 32768
    said = soxr.resample(said, rate, RATE) if rate != RATE else said

    assert heard_rate == RATE
    assert seconds == pytest.approx(3, abs=0.001)
    assert len(heard) == pytest.approx(3 * RATE, abs=RATE // 10)
    likeness = max(float(np.corrcoef(heard[lag : lag + 2 * RATE], said[: 2 * RATE])[0, 1]) for lag in range(RATE // 10))
    assert likeness > 0.99


def test_two_minutes_fit_into_what_recall_takes() -> None:
    """A constant bit rate: 80 kbit/s, whatever is said."""
    noise = np.random.default_rng(1).integers(-20000, 20000, RATE * 10).astype("<i2").tobytes()
    mp3, seconds = encode([Chunk(noise, RATE)] * 12, 1_835_008 // 4 * 3)
    assert seconds == 120
    assert len(mp3) * 8 / seconds == pytest.approx(80_000, rel=0.01)


def test_an_endless_pipe_is_not_read_to_its_end() -> None:
    """What cannot fit is refused when that is known."""
    with pytest.raises(UsageError, match="too long"):
        encode(repeat(Chunk(bytes(RATE), RATE)), 100_000)


def test_a_libsndfile_without_mp3(monkeypatch: pytest.MonkeyPatch) -> None:
    """Those of older systems: a clear error, and how to get a newer one."""

    def refuse(*_: object, **__: object) -> None:
        raise soundfile.LibsndfileError(1)

    monkeypatch.setattr(soundfile, "SoundFile", refuse)
    with pytest.raises(MachineError, match="writes no MP3") as refused:
        silence(0.1)
    assert "pip install" in refused.value.hint


def test_silence_is_silent() -> None:
    """What a bot plays to be able to speak later is heard by nobody."""
    heard, _ = soundfile.read(BytesIO(silence(0.1)))
    assert np.abs(heard).max() < 1e-4
    assert len(silence(0.1)) < 4000
