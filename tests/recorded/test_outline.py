"""How a track looks: columns, speech, holes and clipping are the same however its samples come."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.signals import RATE, pcm, tone

from audiotap.audio import SILENCE_DB
from audiotap.recorded.outline import Outline, Outliner, Stretch


def outlined(samples: bytes, cuts: list[int] | None = None, columns: int = 10, start: int = 0) -> Outline:
    """The outline of samples that come in pieces, cut at some of them."""
    outliner = Outliner(RATE, len(samples) / 2 / RATE, columns, start)
    borders = [0, *sorted(2 * cut for cut in cuts or []), len(samples)]
    for begin, end in pairwise(borders):
        outliner.push(samples[begin:end])
    return outliner.finish()


@settings(deadline=None)
@given(
    values=st.lists(st.integers(-32768, 32767), min_size=20, max_size=500),
    cuts=st.lists(st.integers(0, 500), max_size=5),
    columns=st.integers(1, 20),
)
def test_columns_are_what_lies_in_them(values: list[int], cuts: list[int], columns: int) -> None:
    """A column's height is its highest sample and its RMS, whatever blocks the samples come in."""
    found = outlined(pcm(values), [min(cut, len(values)) for cut in cuts], columns)
    borders = [-(-n * len(values) // columns) for n in range(columns + 1)]
    spans = [np.array(values[a:b], dtype=np.float64) / 32768 for a, b in pairwise(borders)]
    assert found.peaks == pytest.approx([np.abs(span).max(initial=0) for span in spans], abs=1e-6)
    assert found.means == pytest.approx([np.sqrt(np.mean(span**2)) if span.size else 0 for span in spans], abs=1e-4)


@settings(deadline=None)
@given(cuts=st.lists(st.integers(0, 4 * RATE), max_size=4))
def test_blocks_make_no_difference(cuts: list[int]) -> None:
    """Speech, holes and clipping lie where they are, also across the border of two blocks."""
    sound = tone(1) + bytes(2 * RATE) + pcm([32767] * 5) + tone(1)[10:] + pcm([20] * RATE)
    assert outlined(sound, cuts) == outlined(sound)


def test_speech_holes_and_clipping_are_found() -> None:
    """A second of speech, one of nothing, one that begins cut off at full scale, and one of a quiet room."""
    found = outlined(tone(1) + bytes(2 * RATE) + pcm([32767] * 5) + tone(1)[10:] + pcm([20] * RATE))
    assert [(round(begin, 1), round(end, 1)) for begin, end in found.speech] == [(0.0, 1.0), (2.0, 3.0)]
    assert found.spoken == pytest.approx(2.0, abs=0.1)
    assert [(round(begin, 2), round(end, 2)) for begin, end in found.holes] == [(1.0, 2.0)]
    assert found.clips == (2.0,)
    assert found.peak == pytest.approx(0.0, abs=0.01)
    assert found.seconds == pytest.approx(4.0)


def test_a_late_joiner_has_no_hole_before_the_first_sample() -> None:
    """The silence before a track's start is none of its gaps."""
    assert outlined(bytes(2 * RATE) + tone(1)[2:], start=RATE).holes == ()
    assert len(outlined(bytes(2 * RATE) + tone(1)[2:]).holes) == 1


def test_as_many_gaps_as_the_manifest_counts() -> None:
    """The longest holes are the gaps; shorter ones are digital silence that came."""
    outline = Outline(9.0, (), (), holes=(Stretch(1, 2), Stretch(3, 6), Stretch(7, 9)))
    assert outline.gaps(0) == ()
    assert outline.gaps(2) == (Stretch(3, 6), Stretch(7, 9))
    assert outline.gaps(5) == outline.holes


def test_a_track_without_samples() -> None:
    """There is nothing to be seen, and nothing breaks."""
    found = outlined(b"")
    assert (found.seconds, found.peak, found.spoken, set(found.peaks)) == (0.0, SILENCE_DB, 0, {0.0})
