"""Files that are true after every write, names that are safe, and whatever can be read as audio."""

from __future__ import annotations

import io
import os
import wave
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

import numpy as np
import pytest
import soundfile
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.signals import RATE, counting, spaced, tone, values

from audiotap.audio import Chunk
from audiotap.errors import AudioFileError, Exit
from audiotap.files import (
    Names,
    RawWriter,
    WavWriter,
    player_hint,
    read_all,
    read_audio,
    read_stream,
    safe_name,
    wav_header,
    write_atomically,
)

# Writing


def as_read_by_others(path: Path) -> tuple[list[int], list[int]]:
    """The samples of a WAV, by libsndfile and by Python's own reader."""
    frames, rate = soundfile.read(path, dtype="int16")
    with wave.open(str(path)) as file:
        assert (file.getnchannels(), file.getsampwidth(), file.getframerate()) == (1, 2, rate)
        return frames.tolist(), values(file.readframes(file.getnframes())).tolist()


def test_a_wav_is_valid_after_every_write(tmp_path: Path) -> None:
    """Two readers see all samples so far, while the file is still being written."""
    path = tmp_path / "mixed.wav"
    writer = WavWriter(path, RATE)
    assert as_read_by_others(path) == ([], [])
    for n in range(5):
        writer.write(160 * n, counting(160, start=1 + 160 * n))
        wanted = list(range(1, 161 + 160 * n))
        assert as_read_by_others(path) == (wanted, wanted)
    writer.close()
    assert path.read_bytes() == wav_header(RATE, 800) + counting(800)


def test_a_hole_is_silence_that_takes_no_space(tmp_path: Path) -> None:
    """A minute in between reads as zeros, and the file system keeps next to nothing for it."""
    path = tmp_path / "mixed.wav"
    writer = WavWriter(path, RATE)
    writer.write(60 * RATE, counting(160))
    writer.close()
    samples, _ = as_read_by_others(path)
    assert samples == [0] * 60 * RATE + list(range(1, 161))
    assert path.stat().st_blocks * 512 < 100_000


@given(pieces=st.lists(st.tuples(st.integers(0, 300), st.integers(0, 100)), max_size=8))
def test_samples_lie_at_their_positions(
    pieces: list[tuple[int, int]], tmp_path_factory: pytest.TempPathFactory
) -> None:
    """WAV and raw hold the same, whatever the holes between writes."""
    folder = tmp_path_factory.mktemp("positions")
    writers = [WavWriter(folder / "a.wav", RATE), RawWriter(folder / "a.bin", RATE)]
    expected = b""
    for hole, samples in pieces:
        position = len(expected) // 2 + (hole if samples else 0)
        for writer in writers:
            writer.write(position, counting(samples))
        expected = expected.ljust(2 * position, b"\0") + counting(samples)
    for writer in writers:
        writer.close()
    assert (folder / "a.bin").read_bytes() == expected
    assert (folder / "a.wav").read_bytes() == wav_header(RATE, len(expected) // 2) + expected


def test_a_file_is_never_written_over(tmp_path: Path) -> None:
    """Whatever bears the name already stays as it is."""
    path = tmp_path / "mixed.wav"
    path.write_bytes(b"precious")
    with pytest.raises(FileExistsError):
        WavWriter(path, RATE)
    assert path.read_bytes() == b"precious"


def test_a_wav_that_could_not_be_begun_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """When the disk refuses the header there is no empty file, so the next try finds the name free."""
    path = tmp_path / "mixed.wav"
    with monkeypatch.context() as patch:
        patch.setattr(os, "pwrite", refuse)
        with pytest.raises(OSError, match="full"):
            WavWriter(path, RATE)
    assert not path.exists()


def refuse(*_: object) -> int:
    """A disk without room."""
    raise OSError(28, "the disk is full")


def test_a_header_never_overflows() -> None:
    """Sizes end where 32 bits end: a recording of days still has a header."""
    assert wav_header(RATE, 2**33)[4:8] == b"\xff\xff\xff\xff"


def test_recordings_are_private(tmp_path: Path) -> None:
    """What people said in a meeting is for the user's own eyes."""
    WavWriter(tmp_path / "a.wav", RATE).close()
    write_atomically(tmp_path / "manifest.json", b"{}")
    assert {path.stat().st_mode & 0o777 for path in tmp_path.iterdir()} == {0o600}


def test_an_atomic_write_replaces_and_leaves_nothing_else(tmp_path: Path) -> None:
    """The new text stands under the name, and no draft beside it."""
    path = tmp_path / "manifest.json"
    write_atomically(path, b"old and longer")
    write_atomically(path, b"new")
    assert path.read_bytes() == b"new"
    assert list(tmp_path.iterdir()) == [path]


def test_the_player_hint_names_rate_and_file() -> None:
    """Bare samples can only be played by somebody who is told what they are."""
    assert player_hint(Path("a b.bin"), 8000) == "ffplay -f s16le -ar 8000 'a b.bin'"


# Naming

HOSTILE = [
    "",
    ".",
    "..",
    "../../etc/passwd",
    "/etc/passwd",
    "..\\windows",
    "a\0b",
    "a\nb",
    "x" * 300,
    "日本語" * 100,
    "CON",
    "nul.txt",
    "com1",
    "\u202eecod.exe",
    "\u200f",
    "\x1b[31mred\x1b[0m",
    "*?<>|:\"'`$(rm -rf)",
    "8:orgid:00000000-0000-0000-0000-000000000000",
    "spaces/devices/123",
    "👩‍👩‍👧",
    "e\u0301",
    "é",
    "ﬁ",
    "fi",
    " ",
    "\ud800",
    "x" * 59 + "..",
    "x" * 59 + "./",
]


def is_safe(name: str) -> bool:
    """One path component that every file system and every terminal takes."""
    return (
        0 < len(name.encode()) <= 80
        and not name.startswith(".")
        and not name.endswith(".")
        and name.partition(".")[0].casefold() not in {"con", "nul", "com1", "aux", "prn"}
        and all(c.isalnum() or c in "-_." for c in name)
    )


def test_hostile_ids_become_safe_names() -> None:
    """Nothing climbs out of its folder, hides, reorders, or is too long; and all stay distinct."""
    names = [safe_name(text) for text in HOSTILE]
    assert [text for text, name in zip(HOSTILE, names, strict=True) if not is_safe(name)] == []
    assert len({name.casefold() for name in names}) == len(HOSTILE)


@pytest.mark.parametrize("text", ["bot_12345abcdef", "Ana", "7", "3f2a-9c.1", "José", "山田"])
def test_decent_ids_stay_as_they_are(text: str) -> None:
    """A name that is safe already can be found again by whoever knows the id."""
    assert safe_name(text) == text


@settings(max_examples=300)
@given(st.text(), st.text())
def test_names_are_safe_and_distinct(one: str, other: str) -> None:
    """Whatever a network says is a name of its own."""
    assert is_safe(safe_name(one))
    assert (safe_name(one) == safe_name(other)) == (one == other)


@given(st.lists(st.sampled_from(["mixed", "Mixed", "MIXED", "a", "A", "mixed-2", "straße", "STRASSE"])))
def test_names_in_a_folder_differ_in_more_than_case(wanted: list[str]) -> None:
    """A file system that ignores case keeps every track's file."""
    names = Names()
    given = [names.give(name) for name in wanted]
    assert len({name.casefold() for name in given}) == len(wanted)


def test_a_name_that_somebody_imitates_is_given_once() -> None:
    """Who calls himself like another one's safe name gets a number."""
    names = Names()
    hidden = safe_name("../a")
    assert names.give(hidden) != names.give(safe_name(hidden))


# Reading


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
    sink.write(header[:4] + b"\xff" * 4 + header[8:40] + b"\xff" * 4 + counting(24000))
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
