"""How a track looks: its loudness in columns over the session's time line, and what is to be marked in it."""

from __future__ import annotations

from typing import Any, NamedTuple

import msgspec
import numpy as np
from numpy.typing import NDArray

from audiotap.audio import FULL_SCALE, decibels
from audiotap.endpointing import FRAME, Endpointer
from audiotap.inspection import OVER

LEAST_SILENCE = 0.1
"""Seconds of nothing but zeros that are looked at as a hole."""
CLOSE = 0.5
"""Seconds within which clipping is told once."""


class Stretch(NamedTuple):
    """From one time to another, in seconds of the time line."""

    begin: float
    end: float

    @property
    def seconds(self) -> float:
        return self.end - self.begin


class Outline(msgspec.Struct, frozen=True):
    """A track over the whole time line: the highest sample and the RMS of each column, 0 to 1.

    `holes` are stretches of digital silence between its first sample and its last, `clips` where it clips.
    """

    seconds: float
    peaks: tuple[float, ...]
    means: tuple[float, ...]
    speech: tuple[Stretch, ...] = ()
    holes: tuple[Stretch, ...] = ()
    clips: tuple[float, ...] = ()

    @property
    def spoken(self) -> float:
        """Seconds of speech."""
        return sum(stretch.seconds for stretch in self.speech)

    @property
    def peak(self) -> float:
        """The highest sample, in dBFS."""
        return decibels(max(self.peaks, default=0.0))

    def gaps(self, number: int) -> tuple[Stretch, ...]:
        """The longest holes, as many as there are gaps: what came as digital silence looks like one."""
        longest = sorted(self.holes, key=lambda hole: hole.begin - hole.end)[:number]
        return tuple(sorted(longest))


class Outliner:
    """Draws one track's outline out of its samples; a session lasts `seconds`, and the track begins at a sample."""

    def __init__(self, rate: int, seconds: float, columns: int, start: int = 0) -> None:
        self._rate = rate
        total = max(round(seconds * rate), columns)
        self._borders: NDArray[Any] = -(-np.arange(columns, dtype=np.int64) * total // columns)
        self._counts = np.diff(self._borders, append=total)
        self._peaks = np.zeros(columns)
        self._squares = np.zeros(columns)
        self._endpointer = Endpointer(rate)
        self._turns: list[int] = []
        self._holes: list[Stretch] = []
        self._clips: list[float] = []
        self._frame = max(1, round(rate * FRAME))
        self._at = 0
        self._last_sound = start - 1
        self._tail: NDArray[Any] = np.zeros(0, dtype="<i2")

    def push(self, pcm: bytes) -> None:
        """Take S16LE that goes on where the last one ended."""
        samples = np.frombuffer(pcm, dtype="<i2")
        if not samples.size:
            return
        self._turns += [boundary.at for boundary in self._endpointer.push(pcm)]
        self._measure(samples)
        self._look_for_holes(samples)
        self._look_for_clips(samples)
        self._at += samples.size

    def finish(self) -> Outline:
        """The outline of what was pushed."""
        turns = [*self._turns, *([self._at] if self._endpointer.speaking else [])]
        speech = (Stretch(turns[n] / self._rate, turns[n + 1] / self._rate) for n in range(0, len(turns), 2))
        means = np.sqrt(self._squares / np.maximum(self._counts, 1)) / FULL_SCALE
        return Outline(
            self._at / self._rate,
            tuple((self._peaks / FULL_SCALE).tolist()),
            tuple(means.tolist()),
            tuple(speech),
            tuple(self._holes),
            tuple(self._clips),
        )

    def _measure(self, samples: NDArray[Any]) -> None:
        first, end = np.searchsorted(self._borders, (self._at, self._at + samples.size - 1), side="right") - (1, 0)
        begins = np.maximum(self._borders[first:end] - self._at, 0)
        columns = slice(first, end)
        highest = np.maximum.reduceat(samples, begins).astype(np.int32)
        lowest = np.minimum.reduceat(samples, begins).astype(np.int32)
        self._peaks[columns] = np.maximum(self._peaks[columns], np.maximum(highest, -lowest))
        self._squares[columns] += np.add.reduceat(np.square(samples, dtype=np.float64), begins)

    def _look_for_holes(self, samples: NDArray[Any]) -> None:
        """Sample by sample only where a frame is silent, for a hole is longer than some."""
        silent = np.bitwise_or.reduceat(samples, np.arange(0, samples.size, self._frame)) == 0
        if silent.all():
            return
        sounding = np.flatnonzero(samples if silent.any() else samples[: self._frame]) + self._at
        before = np.concatenate(([self._last_sound], sounding[:-1]))
        long = sounding - before - 1 > LEAST_SILENCE * self._rate
        holes = zip((before[long] + 1) / self._rate, sounding[long] / self._rate, strict=True)
        self._holes += [Stretch(float(begin), float(end)) for begin, end in holes]
        self._last_sound = self._at + samples.size - 1 - int((samples[::-1] != 0).argmax())

    def _look_for_clips(self, samples: NDArray[Any]) -> None:
        joined = np.concatenate((self._tail, samples))
        self._tail = joined[-(OVER - 1) :]
        if joined.max() < FULL_SCALE - 1 and joined.min() > -FULL_SCALE:
            return
        full = (joined == FULL_SCALE - 1) | (joined == -FULL_SCALE)
        runs = np.lib.stride_tricks.sliding_window_view(full, OVER).all(axis=1) if full.size >= OVER else full[:0]
        begin = self._at - (joined.size - samples.size)
        for at in (np.flatnonzero(runs) + begin) / self._rate:
            if not self._clips or at - self._clips[-1] > CLOSE:
                self._clips.append(float(at))
