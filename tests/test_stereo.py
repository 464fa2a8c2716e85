"""Two tracks as one stereo file, compared with numpy's own interleaving."""

from __future__ import annotations

import resource
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
import soundfile
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from tests.signals import counting, pcm, tone, values

from audiotap.errors import AudioFileError
from audiotap.reading import read_all
from audiotap.stereo import _both, write_stereo


def wav(path: Path, data: bytes, rate: int = 16000) -> Path:
    soundfile.write(path, np.frombuffer(data, dtype="<i2"), rate, subtype="PCM_16")
    return path


def both(path: Path) -> tuple[NDArray[np.int32], NDArray[np.int32], int]:
    """The two channels and the rate of a file."""
    frames, rate = soundfile.read(path, dtype="int16", always_2d=True)
    assert soundfile.info(path).subtype == "PCM_16"
    return frames[:, 0].astype(np.int32), frames[:, 1].astype(np.int32), rate


def pieces(data: bytes, sizes: list[int]) -> Iterator[bytes]:
    """Cut whole samples into pieces of these sizes, and a last one."""
    for size in sizes:
        yield data[: 2 * size]
        data = data[2 * size :]
    yield data


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


@given(
    st.integers(0, 300),
    st.integers(0, 300),
    st.lists(st.integers(0, 90), max_size=6),
    st.lists(st.integers(0, 90), max_size=6),
)
def test_any_lengths_in_any_pieces(left: int, right: int, lefts: list[int], rights: list[int]) -> None:
    """Sample by sample beside each other, and silence beside the end of the longer one."""
    sides = counting(left), counting(right, start=1000)
    blocks = list(_both(pieces(sides[0], lefts), pieces(sides[1], rights)))
    frames = values(b"".join(blocks)).reshape(-1, 2)
    assert frames[:left, 0].tolist() == values(sides[0]).tolist()
    assert frames[:right, 1].tolist() == values(sides[1]).tolist()
    assert len(frames) == max(left, right)
    assert not frames[left:, 0].any()
    assert not frames[right:, 1].any()


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=30, deadline=None)
@given(st.integers(0, 40_000), st.integers(0, 40_000), *[st.sampled_from([8000, 11025, 16000, 24000])] * 2)
def test_files_of_any_length_and_rate(tmp_path: Path, left: int, right: int, rate: int, other: int) -> None:
    """The slower one is resampled to the faster one's rate, and neither is changed otherwise."""
    target = tmp_path / "both.wav"
    first = wav(tmp_path / "left.wav", counting(left), rate)
    second = wav(tmp_path / "right.wav", pcm(2000 * np.sin(np.arange(right) / 9)), other)
    write_stereo(first, second, target)
    fastest = max(rate, other)
    expected = [values(read_all(path, fastest)) for path in (first, second)]
    assert both(target)[2] == fastest
    for channel, side in zip(both(target)[:2], expected, strict=True):
        assert len(channel) == max(map(len, expected))
        assert np.array_equal(channel[: len(side)], side)
        assert not np.any(channel[len(side) :])


@pytest.mark.parametrize("side", [0, 1])
def test_one_side_only(tmp_path: Path, side: int) -> None:
    """The other one is silent, on its own channel."""
    path = wav(tmp_path / "one.wav", counting(5000), 8000)
    write_stereo(path if side == 0 else None, path if side == 1 else None, tmp_path / "both.wav")
    left, right, rate = both(tmp_path / "both.wav")
    spoken, silent = (left, right) if side == 0 else (right, left)
    assert np.array_equal(spoken, values(counting(5000)))
    assert not silent.any()
    assert rate == 8000


def test_no_side_at_all(tmp_path: Path) -> None:
    """Nothing is written."""
    with pytest.raises(ValueError, match="empty"):
        write_stereo(None, None, tmp_path / "both.wav")
    assert names(tmp_path) == []


def test_a_side_that_is_no_audio(tmp_path: Path) -> None:
    """It is said which one, and nothing is written."""
    good, bad = wav(tmp_path / "good.wav", tone(1)), tmp_path / "bad.wav"
    bad.write_text("no audio")
    for sides in ((good, bad), (bad, good), (tmp_path / "gone.wav", good)):
        with pytest.raises(AudioFileError, match=r"bad\.wav|gone\.wav"):
            write_stereo(*sides, tmp_path / "both.wav")
    assert names(tmp_path) == ["bad.wav", "good.wav"]


def test_what_was_there_is_replaced(tmp_path: Path) -> None:
    """As a whole, and readable by its owner only, as every recording."""
    target = tmp_path / "both.wav"
    target.write_text("something else")
    write_stereo(wav(tmp_path / "left.wav", tone(1)), None, target)
    assert np.array_equal(both(target)[0], values(tone(1)))
    assert target.stat().st_mode & 0o777 == 0o600
    assert names(tmp_path) == ["both.wav", "left.wav"]


@contextmanager
def files_of_at_most(size: int) -> Iterator[None]:
    """A disk on which a file gets no longer than this."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.mark.parametrize("size", [0, 10, 44, 1000, 32_043, 64_000, 128_043])
@pytest.mark.parametrize("before", [None, b"the one before"])
def test_a_full_disk(tmp_path: Path, size: int, before: bytes | None) -> None:
    """Wherever it gets full, the file is not there, or still the one that was, and no half of it is left."""
    target = tmp_path / "both.wav"
    side = wav(tmp_path / "side.wav", tone(2))
    if before is not None:
        target.write_bytes(before)
    with files_of_at_most(size), pytest.raises(OSError, match=r"both\.wav"):
        write_stereo(side, side, target)
    assert names(tmp_path) == (["side.wav"] if before is None else ["both.wav", "side.wav"])
    assert before is None or target.read_bytes() == before


def test_a_folder_that_is_gone(tmp_path: Path) -> None:
    """OSError, as where the disk refuses."""
    with pytest.raises(OSError, match=r"both\.wav"):
        write_stereo(wav(tmp_path / "left.wav", tone(1)), None, tmp_path / "gone" / "both.wav")
