"""Where speech begins and ends: frames of 10 ms, loud or not, with patience both ways."""

from __future__ import annotations

from itertools import groupby, pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.signals import RATE, pcm, speech, tone

from audiotap.endpointing import BEGIN, END, FRAME, Boundary, Endpointer, speech_bounds, without_quiet

FRAME_SAMPLES = round(RATE * FRAME)
BEGIN_FRAMES, END_FRAMES = round(BEGIN / FRAME), round(END / FRAME)

runs = st.lists(st.tuples(st.booleans(), st.integers(1, 90)), max_size=8)
"""Loud or quiet, for so many frames."""


def sound(frames: list[tuple[bool, int]]) -> bytes:
    return b"".join((b"\x00\x10" if loud else b"\x01\x00") * FRAME_SAMPLES * count for loud, count in frames)


def silence(seconds: float) -> bytes:
    return bytes(2 * round(seconds * RATE))


def test_speech_begins_and_ends_where_it_was_heard() -> None:
    """Both ends are told at the sample where they were, and later: when they had lasted long enough to be believed."""
    heard = Endpointer(RATE).push(silence(1) + tone(2) + silence(1))
    assert heard == [
        Boundary(speech=True, at=RATE, found=round((1 + BEGIN) * RATE)),
        Boundary(speech=False, at=3 * RATE, found=round((3 + END) * RATE)),
    ]


@pytest.mark.parametrize("seconds", [0.01, BEGIN - FRAME])
def test_a_click_is_no_speech(seconds: float) -> None:
    """What is loud for less than 50 ms begins nothing."""
    assert Endpointer(RATE).push(silence(1) + tone(seconds) + silence(1)) == []


def test_a_pause_within_speech_is_no_end() -> None:
    """Less than half a second of quiet belongs to what is said."""
    heard = Endpointer(RATE).push(tone(1) + silence(END - FRAME) + tone(1) + silence(1))
    assert [(one.speech, one.at / RATE) for one in heard] == [(True, 0.0), (False, 2 + END - FRAME)]


@pytest.mark.parametrize(("amplitude", "speech"), [(140, False), (330, True)])
def test_loud_is_an_rms_of_minus_45_dbfs(amplitude: float, speech: bool) -> None:
    """A sine of that level or more is speech, a fainter one is a quiet room."""
    assert bool(Endpointer(RATE).push(tone(1, amplitude=amplitude))) == speech


@pytest.mark.parametrize("rate", [1000, 8000, 11025, 16000, 22050, 24000, 44100, 48000])
def test_any_rate(rate: int) -> None:
    """The same sound is found at the same time, to a frame."""
    heard = Endpointer(rate).push(bytes(2 * rate) + tone(1, rate, 100) + bytes(2 * rate))
    assert [one.at / rate for one in heard] == pytest.approx([1, 2], abs=2 * FRAME)


def test_speech_that_lasts_to_the_end_ends_behind_its_last_loud_frame() -> None:
    """What is quiet behind it doesn't count, even if it was too short to be believed; nothing ends twice."""
    endpointer = Endpointer(RATE)
    endpointer.push(tone(1) + silence(0.2))
    assert endpointer.finish() == [Boundary(speech=False, at=RATE, found=round(1.2 * RATE))]
    assert not endpointer.speaking
    assert endpointer.finish() == []


def test_real_speech_has_two_utterances() -> None:
    """A recording said twice, with a second of silence between: two beginnings, two ends."""
    endpointer = Endpointer(RATE, end=0.9)
    heard = endpointer.push(speech()) + endpointer.finish()
    assert [one.speech for one in heard] == [True, False, True, False]
    assert heard[2].at - heard[1].at >= RATE


@given(runs, st.lists(st.integers(0, 4000), max_size=30))
def test_it_does_not_matter_how_a_stream_is_cut(frames: list[tuple[bool, int]], sizes: list[int]) -> None:
    """Pieces of any size, half samples included, find what the whole stream finds."""
    whole, pieces = Endpointer(RATE), Endpointer(RATE)
    heard, rest = [], sound(frames)
    for size in sizes:
        heard += pieces.push(rest[:size])
        rest = rest[size:]
    heard += pieces.push(rest)
    assert heard == whole.push(sound(frames))
    assert pieces.speaking == whole.speaking


@given(st.binary(max_size=8000), st.lists(st.integers(0, 999), max_size=9), st.sampled_from([1000, 8000, 11025]))
def test_bytes_of_any_kind(noise: bytes, sizes: list[int], rate: int) -> None:
    """Whatever samples come: beginnings and ends take turns, in order, and each is known no earlier than it was."""
    endpointer = Endpointer(rate, begin=0.02, end=0.02)
    heard = []
    for size in [*sizes, len(noise)]:
        heard += endpointer.push(noise[:size])
        noise = noise[size:]
    heard += endpointer.finish()
    assert [one.speech for one in heard] == [n % 2 == 0 for n in range(len(heard))]
    assert all(before.at < after.at for before, after in pairwise(heard))
    assert all(0 <= one.at <= one.found for one in heard)


@given(runs)
def test_boundaries_are_what_runs_of_frames_say(frames: list[tuple[bool, int]]) -> None:
    """Counted by hand: a state changes where a run of the other kind has lasted long enough."""
    told, speaking, at = [], False, 0
    for loud, run in groupby(loud for loud, count in frames for _ in range(count)):
        count = len(list(run))
        if loud != speaking and count >= (BEGIN_FRAMES if loud else END_FRAMES):
            told.append((loud, at * FRAME_SAMPLES))
            speaking = loud
        at += count
    assert [(one.speech, one.at) for one in Endpointer(RATE).push(sound(frames))] == told


def test_bounds_of_speech() -> None:
    """Its first sample and the one after its last; silence around it is no part of it."""
    assert speech_bounds(silence(0.5) + tone(1) + silence(0.3), RATE) == (RATE // 2, 3 * RATE // 2)


def test_bounds_of_speech_to_the_last_sample() -> None:
    """Where it doesn't end before its file does, it ends with it, whole frame or not."""
    assert speech_bounds(tone(1) + tone(0.005), RATE) == (0, RATE + RATE // 200)


@pytest.mark.parametrize("quiet", [b"", silence(1), pcm(np.full(RATE, 20)), b"\x00"])
def test_no_speech_has_no_bounds(quiet: bytes) -> None:
    """Nothing, silence and a quiet room have none."""
    assert speech_bounds(quiet, RATE) is None


@pytest.mark.parametrize(("most", "left"), [(0, 30), (159, 30), (160, 29), (800, 25), (5000, 20)])
def test_quiet_frames_are_left_out_from_the_first_on(most: int, left: int) -> None:
    """As many as may be missing, and no loud one; what is no whole frame stays."""
    loud, quiet = tone(0.01), bytes(320)
    kept = without_quiet((loud + loud + quiet) * 10 + b"\1\0", 16_000, most)
    assert len(kept) == left * 320 + 2
    assert kept.replace(quiet, b"") == loud * 20 + b"\1\0"
    assert kept.startswith((loud + loud + quiet) if left == 30 else loud * 4)
