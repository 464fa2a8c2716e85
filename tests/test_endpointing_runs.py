"""Where speech begins and ends: the same whatever pieces the samples come in, and as a frame-by-frame look finds it."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st
from tests.signals import RATE, pcm

from audiotap.endpointing import BEGIN, END, FRAME, Boundary, Endpointer

SIZE = round(RATE * FRAME)
LOUD, QUIET = pcm([8000] * SIZE), pcm([10] * SIZE)


def looked_at(frames: list[bool]) -> list[Boundary]:
    """The definition: so many frames in a row that are the other way turn it."""
    found: list[Boundary] = []
    speaking, turning = False, 0
    for number, loud in enumerate(frames, 1):
        turning = turning + 1 if loud != speaking else 0
        if turning >= round((END if speaking else BEGIN) / FRAME):
            found.append(Boundary(loud, (number - turning) * SIZE, number * SIZE))
            speaking, turning = loud, 0
    return found


@settings(deadline=None)
@given(
    runs=st.lists(st.tuples(st.booleans(), st.integers(1, 70)), max_size=12),
    cuts=st.lists(st.integers(0, 12 * 70 * SIZE), max_size=6),
)
def test_boundaries_are_where_a_frame_by_frame_look_finds_them(runs: list[tuple[bool, int]], cuts: list[int]) -> None:
    """Runs of loud and quiet frames, cut anywhere, give the boundaries that their definition gives."""
    frames = [loud for loud, length in runs for _ in range(length)]
    sound = b"".join(LOUD if loud else QUIET for loud in frames)
    endpointer = Endpointer(RATE)
    at, found = 0, []
    for cut in [*sorted(2 * cut for cut in cuts), len(sound)]:
        found += endpointer.push(sound[at:cut])
        at = max(at, cut)
    assert found == looked_at(frames)
    assert endpointer.speaking == (found[-1].speech if found else False)
