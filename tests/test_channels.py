"""Tracks as the channels of a file: sums that do not clip, every encoding, sizes beyond a WAV."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import soundfile
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from tests.signals import RATE, counting, pcm, speech, tone, values

from audiotap import channels
from audiotap.audio import Chunk
from audiotap.channels import ENCODINGS, FORMS, Encoding, Source, fitting_rate, write_channels
from audiotap.errors import UsageError


def track(samples: bytes, rate: int = RATE, block: int = 3000) -> Source:
    """A track that comes in blocks."""
    return lambda: (Chunk(samples[at : at + 2 * block], rate) for at in range(0, len(samples), 2 * block))


def read(path: Path) -> NDArray[np.int16]:
    frames, _ = soundfile.read(str(path), dtype="int16", always_2d=True)
    return np.asarray(frames, dtype=np.int16)


@settings(deadline=None)
@given(lengths=st.lists(st.integers(0, 9000), min_size=1, max_size=4), block=st.integers(100, 5000))
def test_every_sample_in_its_channel(tmp_path_factory: pytest.TempPathFactory, lengths: list[int], block: int) -> None:
    """Tracks of any lengths, read in any blocks, lie beside each other from time zero on; the end of one is silence."""
    target = tmp_path_factory.mktemp("out") / "all.wav"
    tracks = [counting(length, 1 + number) for number, length in enumerate(lengths)]
    found = write_channels([[track(one, block=block)] for one in tracks], RATE, "wav", target)
    frames = read(target)
    assert found.frames == len(frames) == max(lengths)
    for number, one in enumerate(tracks):
        length = lengths[number]
        assert np.array_equal(frames[:length, number], values(one))
        assert not frames[length:, number].any()


def test_a_sum_that_fits_is_the_sum(tmp_path: Path) -> None:
    """Quiet tracks are added up, sample by sample, and nothing is turned down."""
    one, other = tone(1), tone(0.5, frequency=300.0)
    found = write_channels([[track(one), track(other)]], RATE, "wav", tmp_path / "sum.wav")
    expected = values(one).astype(int)
    expected[: RATE // 2] += values(other)
    assert np.array_equal(read(tmp_path / "sum.wav")[:, 0], expected)
    assert found.gain == 1.0


def test_a_sum_that_would_clip_is_turned_down(tmp_path: Path) -> None:
    """Three voices at full scale come out at full scale, each sample in proportion: nothing is flattened."""
    loud = tone(1, amplitude=32000)
    found = write_channels([[track(loud)] * 3, [track(loud)]], RATE, "wav", tmp_path / "sum.wav")
    frames = read(tmp_path / "sum.wav").astype(float)
    assert found.gain == pytest.approx(1 / 3, rel=0.03)
    assert np.abs(frames[:, 0]).max() == 32767
    assert np.abs(frames[:, 0] - 3 * found.gain * values(loud)).max() <= 0.5
    assert np.abs(frames[:, 1] - found.gain * values(loud)).max() <= 0.5


def test_tracks_of_different_rates(tmp_path: Path) -> None:
    """A slower track is resampled, and stays where it is in time."""
    found = write_channels([[track(tone(1, 8000), 8000)], [track(tone(1))]], RATE, "wav", tmp_path / "two.wav")
    frames = read(tmp_path / "two.wav").astype(float)
    assert abs(found.frames - RATE) <= 1
    assert np.abs(frames[1000:15000, 0] - frames[1000:15000, 1]).max() < 100


@pytest.mark.parametrize("encoding", ENCODINGS)
@pytest.mark.parametrize("rate", [8000, 16000, 44100])
def test_every_encoding_is_heard_again(tmp_path: Path, encoding: Encoding, rate: int) -> None:
    """What is written is read again: as long, as loud, at a rate that the encoding has, with silence on the right."""
    said = speech(rate)
    target = tmp_path / f"two.{encoding}"
    fitting = fitting_rate(rate, encoding)
    found = write_channels([[track(said, rate)], []], fitting, encoding, target)
    info = soundfile.info(str(target))
    assert (info.samplerate, info.channels) == (fitting, 2)
    assert info.subtype == FORMS[encoding].subtype
    assert info.frames == pytest.approx(found.frames, abs=0.1 * fitting)
    frames = read(target).astype(float)
    level = np.sqrt(np.mean(values(said).astype(float) ** 2))
    assert np.sqrt(np.mean(frames[:, 0] ** 2)) == pytest.approx(level, rel=0.15)
    assert np.abs(frames[:, 1]).max() < 200


def test_rates_that_an_encoding_has() -> None:
    """The rate itself, else the next higher one, else the highest."""
    assert [fitting_rate(rate, "opus") for rate in (8000, 11025, 16000, 44100, 96000)] == [
        8000,
        12000,
        16000,
        48000,
        48000,
    ]
    assert fitting_rate(11025, "mp3") == 11025
    assert fitting_rate(96000, "flac") == 96000


@pytest.mark.parametrize(("encoding", "most"), [("mp3", 2), ("flac", 8)])
def test_more_channels_than_an_encoding_has(tmp_path: Path, encoding: Encoding, most: int) -> None:
    """It is refused in words, and no file is left."""
    with pytest.raises(UsageError, match=f"{encoding} can hold, which are {most}"):
        write_channels([[track(tone(0.1))]] * (most + 1), RATE, encoding, tmp_path / "out")
    assert list(tmp_path.iterdir()) == []


def test_a_wav_beyond_what_a_wav_can_count(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It becomes RF64, which says so in its first bytes."""
    monkeypatch.setattr(channels, "_MOST_WAV", 1000)
    write_channels([[track(counting(600))]], RATE, "wav", tmp_path / "big.wav")
    assert (tmp_path / "big.wav").read_bytes()[:4] == b"RF64"
    assert np.array_equal(read(tmp_path / "big.wav")[:, 0], values(counting(600)))


def test_nothing_at_all(tmp_path: Path) -> None:
    """Tracks without a sample make a file without one."""
    assert write_channels([[track(b"")], []], RATE, "wav", tmp_path / "none.wav").frames == 0
    assert len(read(tmp_path / "none.wav")) == 0


def test_a_disk_that_refuses(tmp_path: Path) -> None:
    """The error is the system's, and no draft is left."""
    with pytest.raises(FileNotFoundError):
        write_channels([[track(pcm([1]))]], RATE, "wav", tmp_path / "none" / "out.wav")
