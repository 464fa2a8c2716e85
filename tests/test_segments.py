"""Segments: cut, named, packed and joined again, whatever the recorders did."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from audiotap.audio import RATES
from audiotap.flac import to_flac
from audiotap.segments import Segment, blend, due, extract, joined, lacking, pack, parse, recorded, unpack
from audiotap.writing import RawWriter, WavWriter

SAMPLES = arrays.arrays(np.dtype("<i2"), st.integers(1, 300))
PLACES = st.tuples(st.integers(0, 60), st.integers(0, 20)).map(lambda one: range(one[0], sum(one)))
RANGES = st.lists(PLACES, max_size=8)
STEPS = st.lists(st.tuples(st.integers(0, 90), st.integers(0, 90)), max_size=12)


@given(SAMPLES, st.integers(0, 10**14), st.sampled_from([1000, 8000, 16000, 44100, 65537, 384000]))
def test_a_segment_comes_back_from_its_name_and_its_object(
    samples: np.ndarray[tuple[int], np.dtype[np.int16]], position: int, rate: int
) -> None:
    """Name and object tell everything, also at rates that FLAC has not."""
    pcm = samples.tobytes()
    segment, data = pack(position, pcm, rate)
    assert parse(segment.name) == segment
    assert segment.place == range(position, position + len(samples))
    assert unpack(segment, data) == pcm
    assert rate in RATES


@given(st.binary(min_size=1, max_size=60), st.integers(0, 10_000))
def test_damage_is_no_sound(junk: bytes, at: int) -> None:
    """An object that was changed anywhere is none, or still holds what its name tells."""
    pcm = np.arange(500, dtype="<i2").tobytes()
    segment, data = pack(7, pcm, 16000)
    at %= len(data)
    assert unpack(segment, data[:at] + junk + data[at + len(junk) :]) in {None, pcm}
    assert unpack(segment, data[:at]) in {None, pcm}


@pytest.mark.parametrize(
    "name",
    [
        "manifest.json",
        "0-1-0.flac",
        "000000000000-1-00000000000000000000000000000000.mp3",
        "x000000000000-1-00000000000000000000000000000000.flac",
        "000000000000-1-0000000000000000000000000000000G.flac",
        "",
    ],
)
def test_other_names_are_no_segments(name: str) -> None:
    """What else lies in a store is nothing of ours."""
    assert parse(name) is None


def test_names_sort_as_segments_lie() -> None:
    """A store lists a track in its order."""
    segments = [Segment(position, 960_000, "0" * 32, "flac") for position in (0, 960_000, 9_600_000, 10**11)]
    assert sorted(segment.name for segment in segments) == [segment.name for segment in segments]


@given(st.integers(0, 500), STEPS, st.integers(1, 100))
def test_what_is_due_is_sent_once_and_in_time(start: int, steps: list[tuple[int, int]], size: int) -> None:
    """However a track and its session grow: segments touch, none is longer than one, nothing waits for longer."""
    sent: list[range] = []
    through, length, head = start, start, start
    for grown, more in steps:
        length += grown
        head = max(head + more, length)
        sent += due(range(through, length), head, size)
        through = sent[-1].stop if sent else start
        assert through == length or head - through < size
    sent += due(range(through, length), float("inf"), size)
    assert all(0 < len(place) <= size for place in sent)
    assert joined(sent) == ([range(start, length)] if length > start else [])
    assert sum(map(len, sent)) == length - start
    assert all(place.stop % size == 0 or place.stop == length or place.stop - start < length for place in sent)


@given(RANGES, RANGES)
def test_stretches_are_sets(one: list[range], other: list[range]) -> None:
    """Joined they are the same positions, in order and apart; what one lacks of the other is the difference."""
    assert positions(joined(one)) == positions(one)
    assert all(a.stop < b.start for a, b in zip(joined(one), joined(one)[1:], strict=False))
    assert positions(lacking(one, other)) == positions(one) - positions(other)


def positions(ranges: list[range]) -> set[int]:
    return {position for place in ranges for position in place}


@given(SAMPLES, st.lists(st.booleans(), max_size=300), st.integers(0, 3))
def test_silence_yields_to_sound(
    samples: np.ndarray[tuple[int], np.dtype[np.int16]], who: list[bool], wrong: int
) -> None:
    """Two who share a stretch have all of it together; where both tell something else, it is counted."""
    mine = np.resize(np.array(who or [True]), len(samples))
    first, second = np.where(mine, samples, 0).astype("<i2"), np.where(mine, 0, samples).astype("<i2")
    assert blend(first.tobytes(), second.tobytes()) == (samples.tobytes(), 0)
    other = samples.copy()
    heard = np.flatnonzero((samples != 0) & (samples != 1))[:wrong]
    other[heard] = 1
    assert blend(samples.tobytes(), other.tobytes()) == (samples.tobytes(), len(heard))


@pytest.mark.parametrize(("kind", "ending"), [(WavWriter, "wav"), (RawWriter, "bin"), (WavWriter, "flac")])
@pytest.mark.parametrize("place", [range(5), range(100, 300), range(299, 400), range(300, 310), range(900, 910)])
def test_stretches_of_files(tmp_path: Path, kind: type[RawWriter], ending: str, place: range) -> None:
    """What a recorder has written so far is read out of any of its files, up to where it ends; a WAV may be a FLAC."""
    samples = np.arange(300, dtype="<i2")
    file = tmp_path / f"track.{'bin' if ending == 'bin' else 'wav'}"
    writer = kind(file, 16000)
    writer.write(0, samples.tobytes())
    assert recorded(file) == 300
    writer.close()
    if ending == "flac":
        to_flac(file)
        assert recorded(file) is None
        assert recorded(file.with_suffix(".flac")) is None
    assert extract(file, place) == samples[place.start : place.stop].tobytes()


def test_files_that_are_gone(tmp_path: Path) -> None:
    """Nobody knows how long they are, and reading one is an error of the disk's."""
    for ending in ("wav", "bin", "flac"):
        assert recorded(tmp_path / f"track.{ending}") is None
        with pytest.raises(OSError, match="track"):
            extract(tmp_path / f"track.{ending}", range(3))
