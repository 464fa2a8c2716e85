"""What encoded audio tells of itself, with libsndfile as the judge."""

from __future__ import annotations

from io import BytesIO

import pytest
import soundfile
from hypothesis import given
from hypothesis import strategies as st
from tests.signals import counting, tone

from audiotap.audio import Chunk
from audiotap.dialects.agents.headers import Bare, id3_size, is_mp3, mp3_frame, with_wav_header, without_wav_header
from audiotap.errors import WireError


def encoded(rate: int, channels: int = 1) -> bytes:
    """A second of a tone as MP3."""
    file = BytesIO()
    samples = memoryview(tone(1.0, rate)).cast("h")
    with soundfile.SoundFile(file, "w", rate, channels, "MPEG_LAYER_III", format="MP3", bitrate_mode="CONSTANT") as mp3:
        mp3.write([[sample / 2**15] * channels for sample in samples])
    return file.getvalue()


def test_our_wav_is_one() -> None:
    """Another library reads the same samples at the same rate."""
    samples, rate = soundfile.read(BytesIO(with_wav_header(counting(100), 24000)), dtype="int16")
    assert (samples.tobytes(), rate) == (counting(100), 24000)


@given(st.binary(max_size=64), st.integers(1000, 384_000))
def test_a_wav_comes_off_again(pcm: bytes, rate: int) -> None:
    """What is behind it is what was put there."""
    assert without_wav_header(with_wav_header(pcm, rate)) == Bare(pcm, rate)


@pytest.mark.parametrize("data", [b"", b"RIFF", b"RIFF\0\0\0\0JUNKfmt ", counting(100)])
def test_what_is_no_wav_has_no_header(data: bytes) -> None:
    """Not even where it begins like one."""
    assert without_wav_header(data) is None


def test_a_wav_that_tells_no_form_is_malformed() -> None:
    """The page of another vendor has such a sample: a header and nothing else."""
    for data in (b"RIFF\x24\0\0\0WAVE", b"RIFF\x24\0\0\0WAVEfmt \x10\0\0\0\1\0"):
        with pytest.raises(WireError, match="form"):
            without_wav_header(data)


@pytest.mark.parametrize(("rate", "channels"), [(8000, 1), (16000, 1), (24000, 1), (44100, 1), (44100, 2), (48000, 2)])
def test_an_mp3_is_known_by_its_frames(rate: int, channels: int) -> None:
    """Its first frame tells its figures, and each frame where the next one begins, to the file's end."""
    data = encoded(rate, channels)
    assert is_mp3(data)
    at = id3_size(data)
    frames = 0
    while (frame := mp3_frame(data, at)) is not None:
        assert (frame.rate, frame.channels) == (rate, channels)
        at += frame.size
        frames += 1
    assert at == len(data)
    assert frames > 10


def test_a_tag_has_a_size() -> None:
    """Seven bits to the byte; an eighth one is none of a tag."""
    assert id3_size(b"ID3\4\0\0\0\0\2\1") == 10 + 2 * 128 + 1
    assert id3_size(b"ID3\4\0\0\0\0\x82\1") == 0
    assert id3_size(b"ID3") == 0


@given(st.binary(max_size=64))
def test_any_bytes_are_survived(data: bytes) -> None:
    """Whatever they are, and however few."""
    for header in (b"", b"RIFF\0\0\0\0WAVE", b"RIFF\0\0\0\0WAVEfmt ", b"\xff\xfb", b"ID3"):
        is_mp3(header + data)
        try:
            without_wav_header(header + data)
        except WireError:
            continue


def test_samples_are_hardly_ever_taken_for_an_mp3() -> None:
    """Two frames in a row are needed, which noise and counting don't have."""
    chunk = Chunk(counting(65536), 16000)
    assert not any(is_mp3(chunk.pcm[at : at + 2048]) for at in range(0, len(chunk.pcm), 2))
