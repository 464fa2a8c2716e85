"""Signals that tests know again after whatever was done to them."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

import audiotap
from audiotap.reading import read_all

RATE = 16_000
SPEECH = Path(audiotap.__file__).parent / "speech"


def tone(seconds: float, rate: int = RATE, frequency: float = 440.0, amplitude: float = 8000) -> bytes:
    """A sine as S16LE."""
    turns = np.arange(round(seconds * rate)) / rate * frequency
    return pcm(amplitude * np.sin(2 * np.pi * turns))


def counting(samples: int, start: int = 1) -> bytes:
    """Samples that tell their own number, so that a lost, doubled or moved one shows."""
    return pcm((np.arange(start, start + samples) + 2**15) % 2**16 - 2**15)


@cache
def speech(rate: int = RATE) -> bytes:
    """Real speech with its pauses, a second of digital silence in the middle."""
    said = read_all(SPEECH / "hello.flac", rate)
    return said + bytes(2 * rate) + said


def pcm(values: NDArray[np.floating] | NDArray[np.integer] | list[int]) -> bytes:
    """Numbers on the 16-bit scale as S16LE."""
    return bytes(np.rint(values).astype("<i2").tobytes())


def values(data: bytes) -> NDArray[np.int32]:
    """S16LE as numbers that do not overflow."""
    return np.frombuffer(data, dtype="<i2").astype(np.int32)


def spaced(total: int, size: int) -> list[slice]:
    """The slices that cut `total` into pieces of `size`."""
    return [slice(at, at + size) for at in range(0, total, size)]
