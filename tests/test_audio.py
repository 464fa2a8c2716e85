"""Sample arithmetic, against numbers that can be worked out by hand."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.signals import RATE, counting, pcm, spaced, speech, tone, values

from audiotap.audio import (
    FULL_SCALE,
    SILENCE_DB,
    Chunk,
    Level,
    Resampler,
    decibels,
    from_ulaw,
    mix,
    mono,
    rms,
    roughness,
    to_ulaw,
)

samples16 = st.lists(st.integers(-32768, 32767), max_size=200)


def test_a_chunk_counts_whole_samples() -> None:
    """A half sample at the end is not one, and seconds follow from samples."""
    chunk = Chunk(bytes(321), 8000)
    assert chunk.samples == 160
    assert chunk.seconds == 0.02


def test_levels_of_known_signals() -> None:
    """A full-scale square is 0 dBFS, a sine 3 dB less, half the amplitude 6 dB less, nothing is the floor."""
    square = Level.of(pcm([-32768] * 100))
    assert (square.rms, square.peak, square.clipped) == (0.0, 0.0, 100)
    sine = Level.of(tone(1, frequency=1000, amplitude=32766))
    assert (sine.rms, sine.peak) == pytest.approx((-3.01, 0.0), abs=0.01)
    half = Level.of(pcm([16384, -16384] * 50))
    assert (half.rms, half.peak, half.clipped) == pytest.approx((-6.02, -6.02, 0), abs=0.01)
    assert Level.of(bytes(200)) == Level.of(b"") == Level(SILENCE_DB, SILENCE_DB)


@given(samples16)
def test_clipped_counts_both_ends_of_the_scale(samples: list[int]) -> None:
    """A sample at either end counts, and its neighbours don't."""
    clipped = Level.of(pcm([*samples, 32766, -32767])).clipped
    assert clipped == samples.count(32767) + samples.count(-32768)


@given(samples16.filter(bool))
def test_rms_is_the_root_of_the_mean_square(samples: list[int]) -> None:
    """The definition, in integers that cannot overflow."""
    assert rms(pcm(samples)) == pytest.approx((sum(s * s for s in samples) / len(samples)) ** 0.5)


def test_decibels_have_a_floor() -> None:
    """Zero and what is too small to matter are -120 and not minus infinity."""
    assert [decibels(ratio) for ratio in (0.0, 1e-9, 0.1, 1.0)] == [SILENCE_DB, SILENCE_DB, -20.0, 0.0]


def test_roughness_tells_speech_from_bytes_read_askew() -> None:
    """Read one byte off, speech becomes noise whose steps are many times as large."""
    said = speech()
    assert roughness(said[1:]) > 20 * roughness(said)
    assert roughness(b"") == roughness(b"\x01\x02\x03") == 0.0


@given(st.lists(st.floats(-8, 8), min_size=1, max_size=50))
def test_overs_are_clipped_and_never_wrapped(frames: list[float]) -> None:
    """Every float becomes the nearest sample that there is."""
    expected = [min(32767, max(-32768, round(frame * FULL_SCALE))) for frame in frames]
    assert values(mono(np.array(frames))).tolist() == expected


def test_stereo_becomes_the_mean_of_its_sides() -> None:
    """Opposite sides cancel, and one side alone is heard at half its height."""
    frames = np.array([[0.5, -0.5], [0.5, 0.0], [0.25, 0.25]])
    assert values(mono(frames)).tolist() == [0, 8192, 8192]


def test_the_same_rate_changes_nothing() -> None:
    """Without a change of rate, bytes pass as they are and nothing is held back."""
    resampler = Resampler(RATE, RATE)
    assert resampler.push(counting(100)) == counting(100)
    assert resampler.flush() == b""


@pytest.mark.parametrize(("source", "target"), [(8000, 16000), (48000, 16000), (16000, 24000), (44100, 16000)])
def test_a_resampled_tone_is_the_tone(source: int, target: int) -> None:
    """Length and every sample are those of the same tone made at the other rate, but for the filter's edges."""
    resampler = Resampler(source, target)
    got = values(resampler.push(tone(1, source)) + resampler.flush())
    wanted = values(tone(1, target))
    assert len(got) == pytest.approx(target, abs=1)
    inner = slice(target // 10, target * 9 // 10)
    assert np.abs(got[inner] - wanted[inner]).max() < 20


def test_silence_stays_silence() -> None:
    """Resampling adds no dither to digital silence."""
    assert Resampler(8000, 24000).push(bytes(16000)).strip(b"\0") == b""


@given(st.integers(1, 4000), st.sampled_from([(8000, 16000), (48000, 16000), (16000, 24000)]))
def test_cuts_do_not_show_in_what_is_resampled(size: int, rates: tuple[int, int]) -> None:
    """However a stream is cut, the result is that of the whole."""
    sound = tone(0.25, rates[0])
    whole, cut = Resampler(*rates), Resampler(*rates)
    pieces = [cut.push(sound[piece]) for piece in spaced(len(sound), 2 * size)]
    assert b"".join(pieces) + cut.flush() == whole.push(sound) + whole.flush()


@given(st.lists(st.lists(st.integers(-32768, 32767), min_size=20, max_size=20), min_size=1, max_size=5))
def test_a_mix_is_the_sum_within_the_scale(tracks: list[list[int]]) -> None:
    """Tracks are added sample by sample; overs are clipped."""
    expected = [min(32767, max(-32768, sum(column))) for column in zip(*tracks, strict=True)]
    assert values(mix([pcm(track) for track in tracks])).tolist() == expected


def test_ulaw_is_that_of_g711() -> None:
    """The ends of the scale, both zeros and the steps between, as the recommendation has them."""
    meant = {0x00: -32124, 0x0F: -16764, 0x10: -15996, 0x7E: -8, 0x7F: 0, 0x80: 32124, 0x8F: 16764, 0xFE: 8, 0xFF: 0}
    told = np.frombuffer(from_ulaw(bytes(meant)), dtype="<i2")
    assert dict(zip(meant, told.tolist(), strict=True)) == meant


def test_ulaw_comes_back() -> None:
    """Every byte is the code of its own value, but for the negative zero, which is none."""
    codes = bytes(code for code in range(256) if code != 0x7F)
    assert to_ulaw(from_ulaw(codes)) == codes


def test_ulaw_is_the_nearest_there_is() -> None:
    """A sample is coded as near as it can be, louder ones more coarsely; what is louder than the scale is clipped."""
    samples = np.arange(-32768, 32768, dtype="<i2")
    heard = np.frombuffer(from_ulaw(to_ulaw(samples.tobytes())), dtype="<i2").astype(int)
    wanted = np.clip(samples.astype(int), -32635, 32635)
    assert np.all(np.abs(heard - wanted) <= np.maximum(4, (np.abs(wanted) + 132) // 32))
    assert np.all(np.diff(heard) >= 0)


@given(st.binary(max_size=9))
def test_half_a_sample_is_no_ulaw(odd: bytes) -> None:
    """However many bytes there are: one code per whole sample."""
    assert len(to_ulaw(odd)) == len(odd) // 2
