"""Files that are true after every write."""

from __future__ import annotations

import os
import wave
from pathlib import Path

import pytest
import soundfile
from hypothesis import given
from hypothesis import strategies as st
from tests.signals import RATE, counting, values

from audiotap.files import write_atomically
from audiotap.writing import RawWriter, WavWriter, wav_header


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
        patch.setattr(os, "write", refuse)
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
