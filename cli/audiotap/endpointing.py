"""Where speech begins and ends in a run of samples: frames of 10 ms above a level, with patience both ways.

Energy is all that is looked at, so every figure made with it can be told in one sentence and taken again by hand.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import groupby

import msgspec
import numpy as np

from audiotap.audio import FULL_SCALE, SAMPLE_BYTES, SILENCE_DB

FRAME = 0.01
THRESHOLD = -45.0
"""dBFS (RMS of a frame) from which on a frame is loud: between a quiet room and quiet speech."""
BEGIN = 0.05
"""Seconds in a row that have to be loud for speech to begin; a click is none."""
END = 0.5
"""Seconds in a row that have to be quiet for speech to end: the usual value of servers' VADs."""


class Boundary(msgspec.Struct, frozen=True):
    """Speech begins at a sample, or (`speech` False) ended before one; `found` is where that was known."""

    speech: bool
    at: int
    found: int


class Endpointer:
    """Finds speech in a stream of S16LE at one rate. Samples are counted from the first one pushed."""

    def __init__(self, rate: int, threshold: float = THRESHOLD, begin: float = BEGIN, end: float = END) -> None:
        self.rate = rate
        self.speaking = False
        self._threshold = threshold
        self._frame = max(1, round(rate * FRAME))
        self._patience = {False: round(begin / FRAME), True: round(end / FRAME)}
        self._rest = b""
        self._frames = 0
        self._turning = 0

    def push(self, pcm: bytes) -> list[Boundary]:
        """The boundaries that are known with these samples."""
        data = self._rest + pcm
        whole = len(data) // (self._frame * SAMPLE_BYTES)
        self._rest = data[whole * self._frame * SAMPLE_BYTES :]
        runs = groupby(_loud(data, whole, self._frame, self._threshold))
        return [found for loud, run in runs for found in self._look(sum(1 for _ in run), loud=loud)]

    def finish(self) -> list[Boundary]:
        """The end of speech that lasts to the end of the stream: behind its last loud frame."""
        if not self.speaking:
            return []
        self.speaking = False
        return [
            Boundary(speech=False, at=(self._frames - self._turning) * self._frame, found=self._frames * self._frame)
        ]

    def _look(self, frames: int, *, loud: bool) -> Iterator[Boundary]:
        """So many frames in a row are loud, or are not."""
        self._turning = self._turning if loud != self.speaking else -frames
        more = max(1, self._patience[self.speaking]) - self._turning
        if frames >= more:
            found = self._frames + more
            yield Boundary(loud, (found - self._turning - more) * self._frame, found * self._frame)
            self.speaking = loud
            self._turning = -frames
        self._frames += frames
        self._turning += frames


def speech_bounds(pcm: bytes, rate: int, threshold: float = THRESHOLD) -> tuple[int, int] | None:
    """The first sample of speech in S16LE, and the one after its last; None where nothing is loud."""
    endpointer = Endpointer(rate, threshold, end=0.0)
    found = endpointer.push(pcm)
    if not found:
        return None
    last = found[-1]
    return found[0].at, len(pcm) // SAMPLE_BYTES if last.speech else last.at


def without_quiet(pcm: bytes | bytearray, rate: int, most: int) -> bytes:
    """S16LE without its first quiet frames, so many of them that at most `most` samples are missing."""
    size = max(1, round(rate * FRAME))
    frames = len(pcm) // (size * SAMPLE_BYTES)
    kept = np.array(_loud(pcm, frames, size, THRESHOLD), dtype=bool)
    kept |= np.cumsum(~kept) > most // size
    whole = np.frombuffer(pcm, dtype="<i2", count=frames * size).reshape(frames, size)
    return bytes(whole[kept].tobytes()) + bytes(pcm[frames * size * SAMPLE_BYTES :])


def _loud(data: bytes | bytearray, frames: int, size: int, threshold: float) -> list[bool]:
    if not frames:
        return []
    samples = np.frombuffer(data, dtype="<i2", count=frames * size).reshape(frames, size).astype(np.float32)
    means = np.sqrt(np.mean(np.square(samples), axis=1)) / FULL_SCALE
    least = 10 ** (threshold / 20) if threshold > SILENCE_DB else 0.0
    found: list[bool] = (means >= least).tolist()
    return found
