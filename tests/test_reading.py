"""Whatever can be read as audio."""

from __future__ import annotations

import io
import os
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

import numpy as np
import pytest
import soundfile
from hypothesis import given
from hypothesis import strategies as st
from tests.signals import RATE, counting, spaced, tone, values

from audiotap.audio import Chunk
from audiotap.errors import AudioFileError, Exit
from audiotap.reading import read_all, read_audio, read_stream
from audiotap.writing import wav_header


def joined(chunks: Iterator[Chunk]) -> tuple[int, bytes]:
    """The one rate of some chunks, and all their samples."""
    parts = list(chunks)
    (rate,) = {chunk.rate for chunk in parts}
    return rate, b"".join(chunk.pcm for chunk in parts)


@pytest.mark.parametrize("rate", [8000, 16000, 22050, 44100, 48000])
@pytest.mark.parametrize("form", ["WAV", "FLAC", "AIFF"])
def test_lossless_files_are_read_to_the_sample(tmp_path: Path, form: str, rate: int) -> None:
    """Every sample is the one that was written, at the file's own rate."""
    path = tmp_path / "sound"
    soundfile.write(path, np.frombuffer(tone(1.3, rate), dtype="<i2"), rate, format=form, subtype="PCM_16")
    assert joined(read_audio(path)) == (rate, tone(1.3, rate))


@pytest.mark.parametrize(("form", "subtype"), [("OGG", "VORBIS"), ("OGG", "OPUS"), ("MP3", "MPEG_LAYER_III")])
def test_lossy_files_sound_the_same(tmp_path: Path, form: str, subtype: str) -> None:
    """A compressed tone is nearly the tone, at the right length."""
    path = tmp_path / "sound"
    soundfile.write(path, np.frombuffer(tone(1, 48000), dtype="<i2"), 48000, format=form, subtype=subtype)
    rate, sound = joined(read_audio(path))
    assert rate == 48000
    assert len(sound) // 2 == pytest.approx(48000, rel=0.05)
    inner = values(sound)[9600:43200]
    power = np.abs(np.fft.rfft(inner * np.hanning(len(inner)))) ** 2
    assert power.argmax() == len(inner) * 440 / 48000
    assert power[300:317].sum() > 0.999 * power.sum()
    assert np.abs(inner).max() == pytest.approx(8000, rel=0.1)


def test_stereo_is_mixed_down(tmp_path: Path) -> None:
    """Two sides become their mean, also at 32 bits."""
    path = tmp_path / "stereo.wav"
    left = np.frombuffer(tone(0.5), dtype="<i2") / 32768
    soundfile.write(path, np.stack([left, np.zeros_like(left)], axis=1), RATE, subtype="FLOAT")
    _, sound = joined(read_audio(path))
    assert np.abs(values(sound) - values(tone(0.5, amplitude=4000))).max() <= 1


def test_a_whole_file_is_resampled(tmp_path: Path) -> None:
    """`read_all` gives the rate that was asked for, with nothing left in a filter."""
    path = tmp_path / "sound.wav"
    soundfile.write(path, np.frombuffer(tone(1.7, 48000), dtype="<i2"), 48000)
    assert len(read_all(path, RATE)) // 2 == pytest.approx(1.7 * RATE, abs=1)


def test_a_file_without_samples_gives_none(tmp_path: Path) -> None:
    """A header alone is a valid file of nothing."""
    path = tmp_path / "empty.wav"
    path.write_bytes(wav_header(RATE, 0))
    assert list(read_audio(path)) == []
    assert read_all(path, RATE) == b""


def test_what_is_no_audio_file_is_told_with_a_hint(tmp_path: Path) -> None:
    """Missing, a folder, text, nothing at all: each is an error of usage before the first chunk is asked for."""
    text, nothing = tmp_path / "notes.txt", tmp_path / "nothing.wav"
    text.write_text("not audio")
    nothing.touch()
    for path in (tmp_path / "missing.wav", tmp_path, text, nothing):
        with pytest.raises(AudioFileError) as caught:
            read_audio(path)
        assert str(path) in caught.value.message
        assert caught.value.hint
        assert caught.value.status == Exit.USAGE


# Pipes


@pytest.fixture
def pipe() -> Iterator[tuple[BinaryIO, BinaryIO]]:
    """Both ends of a real pipe: the reader's, as standard input is opened, and the writer's, unbuffered."""
    reader, writer = os.pipe()
    with os.fdopen(reader, "rb") as source, os.fdopen(writer, "wb", buffering=0) as sink:
        yield source, sink


def test_a_wav_is_read_from_a_pipe(pipe: tuple[BinaryIO, BinaryIO]) -> None:
    """No seeking is needed."""
    source, sink = pipe
    sink.write(wav_header(RATE, 24000) + counting(24000))
    sink.close()
    assert joined(read_stream(source)) == (RATE, counting(24000))


def test_a_wav_of_unknown_length_is_read_from_a_pipe(pipe: tuple[BinaryIO, BinaryIO]) -> None:
    """Who writes to a pipe cannot know the size yet, and puts the largest one into the header."""
    source, sink = pipe
    header = wav_header(RATE, 0)
    sink.write(header[:4] + b"\xff" * 4 + header[8:-4] + b"\xff" * 4 + counting(24000))
    sink.close()
    assert joined(read_stream(source)) == (RATE, counting(24000))


def test_bare_samples_come_as_they_arrive(pipe: tuple[BinaryIO, BinaryIO]) -> None:
    """Nothing waits for a full buffer while the other side is still talking."""
    source, sink = pipe
    chunks = read_stream(source, 8000)
    for n in range(3):
        sink.write(counting(100, start=1 + 100 * n))
        assert next(chunks) == Chunk(counting(100, start=1 + 100 * n), 8000)
    sink.close()
    assert list(chunks) == []


@given(st.integers(1, 999), st.booleans())
def test_bare_samples_survive_odd_reads(size: int, stray: bool) -> None:
    """Pieces that end inside a sample are joined; half a sample at the very end is none."""
    sound = counting(2000)
    pieces = [sound[piece] for piece in spaced(len(sound), size)] + [b"\x7f"] * stray

    class Pieces(io.BytesIO):
        def read1(self, size: int | None = -1, /) -> bytes:
            assert size == 16000
            return pieces.pop(0) if pieces else b""

    assert joined(read_stream(Pieces(), 16000)) == (16000, sound)


def test_text_on_a_pipe_is_told_with_a_hint(pipe: tuple[BinaryIO, BinaryIO]) -> None:
    """Bare samples without --raw cannot be guessed, so the error says how to give them."""
    source, sink = pipe
    sink.write(b"not audio")
    sink.close()
    with pytest.raises(AudioFileError, match="standard input") as caught:
        next(read_stream(source))
    assert "--raw" in caught.value.hint
