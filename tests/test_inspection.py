"""What is wrong with how a track sounds: every sample of it is counted, and the user is told once what to do."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from tests.signals import RATE, pcm, spaced, speech, tone, values

from audiotap.inspection import AWAY_SECONDS, SILENT_SECONDS, Findings, Inspection

SLOW = 1000
"""Samples per second where many seconds are to pass."""
QUIET = tone(1, SLOW, frequency=50)
SILENT = bytes(len(QUIET))
FLAT = pcm([32767] * 3) + QUIET[6:]
"""A second of it with a flat top."""
WRAPPED = pcm([30000, -30000, 30000]) + QUIET[6:]
"""A second of it with a sample that was too loud for 16 bits."""


class Inspected:
    """An inspection, and what it was told to say."""

    def __init__(self, rate: int = SLOW) -> None:
        self.notices: list[str] = []
        self._inspection = Inspection(rate, self.notices.append)

    def take(self, *pieces: bytes) -> None:
        for piece in pieces:
            self._inspection.take(piece)

    def gap(self) -> None:
        self._inspection.gap()

    def findings(self) -> Findings:
        self._inspection.finish()
        return self._inspection.findings

    def faults(self) -> list[str]:
        """What was told, without the figures."""
        return [notice.split(" for ")[0].split(":")[0] for notice in self.notices]


def louder(decibels: float) -> NDArray[np.int32]:
    """Speech as numbers that need more than 16 bits."""
    return values(speech()) * round(1000 * 10 ** (decibels / 20)) // 1000


def clipped(sound: NDArray[np.int32]) -> bytes:
    """As an honest converter makes 16 bits of it."""
    return pcm(np.clip(sound, -32768, 32767))


def wrapped(sound: NDArray[np.int32]) -> bytes:
    """As a careless one does."""
    return pcm((sound + 32768) % 65536 - 32768)


def test_good_speech_is_left_alone() -> None:
    """Nothing is found or told where nothing is wrong, up to full scale."""
    inspected = Inspected(RATE)
    inspected.take(clipped(louder(5.9)))
    assert inspected.findings() == Findings()
    assert inspected.notices == []


@pytest.mark.parametrize("decibels", [10, 20, 30])
def test_overdriven_speech_is_clipping(decibels: float) -> None:
    """It is told once, whatever steps its flat tops make, and every sample at full scale is counted."""
    sound = clipped(louder(decibels))
    inspected = Inspected(RATE)
    inspected.take(sound)
    full = values(sound)
    assert inspected.findings().clipped == np.count_nonzero((full == 32767) | (full == -32768)) > 100
    assert inspected.faults() == ["clipping"]
    assert "turn the sender's level down" in inspected.notices[0]


@pytest.mark.parametrize("decibels", [10, 20, 30])
def test_speech_that_overflows_is_wrapped_around(decibels: float) -> None:
    """It is not taken for clipping, and told once with what to do."""
    sound = wrapped(louder(decibels))
    inspected = Inspected(RATE)
    inspected.take(sound)
    assert inspected.findings().spikes == np.count_nonzero(np.abs(np.diff(values(sound))) > 49152) > 100
    assert inspected.faults() == ["wrap-around spikes"]
    assert "turn its level down" in inspected.notices[0]


@pytest.mark.parametrize("before", [500, 998, 999, 1000])
@pytest.mark.parametrize(("samples", "told"), [(2, []), (3, ["clipping"])])
def test_three_samples_in_a_row_at_full_scale_are_clipping(before: int, samples: int, told: list[str]) -> None:
    """Fewer are a loud sound, also across the border of a second; counted are all."""
    inspected = Inspected()
    inspected.take(pcm([1000] * before + [-32768] * samples + [1000] * 1000))
    assert inspected.findings().clipped == samples
    assert inspected.faults() == told


@pytest.mark.parametrize("before", [500, 998, 999, 1000])
def test_a_sample_that_wrapped_around_makes_two_steps(before: int) -> None:
    """There and back, within a second; a single step is counted, but it may be a cut."""
    one, two = Inspected(), Inspected()
    one.take(pcm([30000] * before + [-30000] * 1500))
    two.take(pcm([30000] * 500 + [-30000] + [30000] * 1500))
    assert (one.findings().spikes, one.notices) == (1, [])
    assert (two.findings().spikes, two.faults()) == (2, ["wrap-around spikes"])


@pytest.mark.parametrize("before", [500, 999, 1000])
def test_nothing_is_joined_across_a_gap(before: int) -> None:
    """Neither a step nor a flat top: what lies there is silence."""
    inspected = Inspected()
    for value in (32767, -32768, 32767, -32768):
        inspected.take(pcm([1000] * before + [value]))
        inspected.gap()
        inspected.take(pcm([value] + [1000] * before))
        inspected.gap()
    assert inspected.findings() == Findings(clipped=8)
    assert inspected.notices == []


def test_silence_is_told_once_per_stretch() -> None:
    """After half a minute of it, not before; and anew when there was sound in between."""
    inspected = Inspected()
    for _ in range(2):
        inspected.take(QUIET, *[SILENT] * (SILENT_SECONDS - 1))
        before = len(inspected.notices)
        inspected.take(*[SILENT] * 100)
        assert len(inspected.notices) == before + 1
    assert inspected.faults() == ["silent", "silent"]
    assert inspected.notices[0].startswith("silent for 30 s: ")
    assert inspected.findings().silent_samples == 2 * (SILENT_SECONDS - 1 + 100) * SLOW


def test_silence_that_did_not_come_does_not_count() -> None:
    """A track that is silent between gaps is silent for as long as it delivers silence."""
    inspected = Inspected()
    for _ in range(10 * SILENT_SECONDS - 1):
        inspected.take(bytes(200))
        inspected.gap()
    assert inspected.notices == []
    inspected.take(bytes(4000))
    assert inspected.faults() == ["silent"]
    assert inspected.findings().silent_samples == 100 * (10 * SILENT_SECONDS - 1) + 2000


@pytest.mark.parametrize(("value", "silent"), [(-2, 0), (-1, 1500), (0, 1500), (1, 1500), (2, 0)])
def test_rounding_is_digital_silence_and_noise_is_not(value: int, silent: int) -> None:
    """A sample may be one off zero, in the rest of a second as well."""
    inspected = Inspected()
    inspected.take(pcm([value] * 1500))
    assert inspected.findings().silent_samples == silent


@pytest.mark.parametrize(("bad", "fault"), [(FLAT, "clipping"), (WRAPPED, "wrap-around spikes")])
def test_a_fault_is_told_again_when_it_comes_back_after_a_while(bad: bytes, fault: str) -> None:
    """As long as it keeps coming it is told once; after five minutes without it, it is news."""
    inspected = Inspected()
    for _ in range(3):
        inspected.take(bad, *[QUIET] * (AWAY_SECONDS - 1))
    assert inspected.faults() == [fault]
    inspected.take(QUIET, bad)
    assert inspected.faults() == [fault, fault]


def test_an_end_without_samples_is_none() -> None:
    """Nothing waits before the first chunk, after whole seconds, and after the end."""
    inspected = Inspected()
    assert inspected.findings() == Findings()
    inspected.take(WRAPPED)
    assert inspected.findings() == inspected.findings() == Findings(spikes=2)


LOUD = st.sampled_from([-32768, -32767, -24577, -24576, -1, 0, 1, 2, 24576, 24577, 32766, 32767])
STRETCHES = st.lists(st.lists(st.tuples(LOUD, st.sampled_from([1, 2, 3, 700, 40_000])), max_size=6), max_size=4)
"""Sound as runs of one value, with gaps between."""


def sounds(stretches: list[list[tuple[int, int]]]) -> list[bytes]:
    return [pcm([value for value, samples in stretch for _ in range(samples)]) for stretch in stretches]


@given(STRETCHES, st.lists(st.integers(1, 5000), min_size=1, max_size=8))
def test_cuts_change_nothing(stretches: list[list[tuple[int, int]]], sizes: list[int]) -> None:
    """However sound comes cut into chunks, the same is found and the same is told."""
    whole, cut = Inspected(), Inspected()
    for sound in sounds(stretches):
        whole.take(sound)
        whole.gap()
        at = 0
        while at < len(sound):
            size = 2 * sizes[at % len(sizes)]
            cut.take(sound[at : at + size])
            at += size
        cut.gap()
    assert cut.findings() == whole.findings()
    assert cut.notices == whole.notices


@given(STRETCHES)
def test_nothing_is_missed_and_nothing_counted_twice(stretches: list[list[tuple[int, int]]]) -> None:
    """The figures are those of the definition, worked out one sample after the other."""
    inspected = Inspected()
    laid: list[int] = []
    clipped = spikes = 0
    for sound in sounds(stretches):
        for piece in spaced(len(sound), 640):
            inspected.take(sound[piece])
        inspected.gap()
        samples = values(sound).tolist()
        clipped += samples.count(32767) + samples.count(-32768)
        spikes += sum(abs(a - b) > 49152 for a, b in pairwise(samples))
        laid += [*samples, 0]
    seconds = [laid[piece] for piece in spaced(len(laid), SLOW)]
    silent = sum(len(second) for second in seconds if all(abs(sample) <= 1 for sample in second))
    findings = inspected.findings()
    assert (findings.clipped, findings.spikes) == (clipped, spikes)
    assert silent - len(stretches) <= findings.silent_samples <= silent
