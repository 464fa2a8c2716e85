"""An outline as SVG paths, as short as they can be told: whole numbers, and one step for columns that are alike."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import groupby

from audiotap.recorded.outline import Stretch

HALF = 40
"""Units from the middle of a track's picture to its edge."""
HEIGHT = 2 * HALF
EXPONENT = 0.5
"""Of loudness to height: quiet speech is to be seen beside loud speech."""


def contour(values: Sequence[float]) -> str:
    """The upper half of a waveform, closed along the middle; columns are one unit wide."""
    steps = []
    for height, alike in groupby(HALF - round(HALF * value**EXPONENT) for value in values):
        steps.append(f"V{height}h{sum(1 for _ in alike)}")
    return f"M0 {HALF}{''.join(steps)}V{HALF}z"


def bands(stretches: Iterable[Stretch], scale: float, least: float = 0.5) -> str:
    """Bars over the whole height; stretches that touch on the scale are one, and none is narrower than `least`."""
    bars: list[list[float]] = []
    for stretch in stretches:
        begin, end = round(stretch.begin * scale, 1), round(max(stretch.end * scale, stretch.begin * scale + least), 1)
        if bars and begin <= bars[-1][1]:
            bars[-1][1] = max(end, bars[-1][1])
        else:
            bars.append([begin, end])
    return "".join(f"M{begin:g} 0v{HEIGHT}h{end - begin:.4g}V0" for begin, end in bars)


def rules(stretches: Iterable[Stretch], scale: float) -> str:
    """Lines along the middle."""
    return "".join(f"M{begin * scale:.5g} {HALF}H{end * scale:.5g}" for begin, end in stretches)


def ticks(times: Iterable[float], scale: float, height: int = 14) -> str:
    """Short lines from the upper edge down, one for each place on the scale."""
    places = dict.fromkeys(f"{at * scale:.5g}" for at in times)
    return "".join(f"M{place} 0v{height}" for place in places)
