"""What is wrong with how a track sounds: clipping, wrap-around spikes, silence, half samples.

Law: a chunk costs an append; samples are looked at once per second of audio, all of that second together. Half samples
do not get here: the intake mends, counts and tells them.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from audiotap.audio import FULL_SCALE, SAMPLE_BYTES

OVER = 3
"""Samples in a row at full scale that are clipping, as meters commonly count an over: one alone may be a peak that just
reaches the end of the scale, several are the flat top of a sound that was cut off there."""
SPIKE = 49152
"""A step between two samples, three quarters of the scale, that is too high for speech and music. A sample that is too
loud and wraps around to the other end of the scale makes two: there and back."""
SPIKES = 2
"""In a second, that are told; a single one may be a cut."""
SILENCE = 1
"""The most that a sample of digital silence differs from zero."""
SILENT_SECONDS = 30
"""Of nothing but digital silence, after which a track is told to be silent."""
AWAY_SECONDS = 300
"""Of a track without a fault, after which it is told again."""

_GAP = bytes(SAMPLE_BYTES)
_KEPT = OVER - 1
"""Samples that are looked at again with the next second: what is wrong may lie across the border."""


class Findings(msgspec.Struct):
    """Counts of samples: at either end of the scale, more than SPIKE away from the one before, and in whole seconds of
    digital silence. Gaps do not count, only what came.
    """

    clipped: int = 0
    spikes: int = 0
    silent_samples: int = 0


class Inspection:
    """One track's inspection: everything is counted, and what the user can do something about is told.

    `quiet` is a track that may be silent for long, so that silence is no news.
    """

    def __init__(self, rate: int, tell: Callable[[str], None], *, quiet: bool = False) -> None:
        self.findings = Findings()
        self._rate = rate
        self._tell = tell
        self._quiet = quiet
        self._begin = _KEPT * SAMPLE_BYTES
        self._joined = bytearray(self._begin + rate * SAMPLE_BYTES)
        self._filled = self._begin
        self._gaps = 0
        self._seconds = 0
        self._silent = 0
        self._last: dict[str, int] = {}

    def take(self, pcm: bytes) -> None:
        """Take S16LE, whole samples, that goes on where the last one ended."""
        end = self._filled + len(pcm)
        if end < len(self._joined):
            self._joined[self._filled : end] = pcm
            self._filled = end
        else:
            self._look(pcm)

    def gap(self) -> None:
        """What comes next is not joined to what was: one silent sample, which is not counted, keeps them apart."""
        self._gaps += 1
        self.take(_GAP)

    def finish(self) -> None:
        """Look at what still waits, which is less than a second."""
        if self._filled > self._begin:
            self._inspect(self._joined[: self._filled])
            self._filled = self._begin

    def _look(self, pcm: bytes) -> None:
        """Inspect every second that becomes whole, wherever it was cut into chunks; what is left waits on."""
        at = 0
        while at < len(pcm):
            size = min(len(pcm) - at, len(self._joined) - self._filled)
            self._joined[self._filled : self._filled + size] = pcm[at : at + size]
            self._filled += size
            at += size
            if self._filled == len(self._joined):
                self._inspect(self._joined)
                self._joined[: self._begin] = self._joined[-self._begin :]
                self._filled = self._begin

    def _inspect(self, pcm: bytearray) -> None:
        """Look at a second, which has the last samples of the one before it in front."""
        joined = np.frombuffer(pcm, dtype="<i2")
        new = joined[_KEPT:]
        low, high, before = int(new.min()), int(new.max()), int(joined[_KEPT - 1])
        self._seconds += 1
        self._listen(new.size - self._gaps, silent=low >= -SILENCE and high <= SILENCE)
        self._gaps = 0
        clipping = (low == -FULL_SCALE or high == FULL_SCALE - 1) and self._clipping(joined)
        if max(high, before) - min(low, before) > SPIKE:
            self._spikes(joined[_KEPT - 1 :], clipping=clipping)

    def _listen(self, samples: int, *, silent: bool) -> None:
        if not silent:
            self._silent = 0
            return
        self.findings.silent_samples += samples
        limit = SILENT_SECONDS * self._rate
        if self._silent < limit <= self._silent + samples and not self._quiet:
            self._tell(
                f"silent for {SILENT_SECONDS} s: nothing but digital silence comes; "
                "see whether the speaker is muted and the sender takes the right source"
            )
        self._silent += samples

    def _clipping(self, joined: NDArray[Any]) -> bool:
        full = (joined == FULL_SCALE - 1) | (joined == -FULL_SCALE)
        self.findings.clipped += int(np.count_nonzero(full[_KEPT:]))
        runs = full[:-_KEPT].copy()
        for following in range(1, OVER):
            runs &= full[following : following + runs.size]
        clipping = bool(runs.any())
        if clipping:
            samples = np.count_nonzero(full)
            self._found("clipping", f"{samples} samples at full scale in a second; turn the sender's level down")
        return clipping

    def _spikes(self, joined: NDArray[Any], *, clipping: bool) -> None:
        """Count steps; sound that is clipped hard has some, too, and is not told to have wrapped around."""
        spikes = int(np.count_nonzero(np.abs(np.diff(joined.astype(np.int32))) > SPIKE))
        self.findings.spikes += spikes
        if spikes >= SPIKES and not clipping:
            self._found(
                "wrap-around spikes", f"{spikes} in a second; the sender's samples overflow: turn its level down"
            )

    def _found(self, fault: str, what: str) -> None:
        """Tell a fault that was not there for a while."""
        last = self._last.get(fault)
        if last is None or self._seconds - last > AWAY_SECONDS:
            self._tell(f"{fault}: {what}")
        self._last[fault] = self._seconds
