"""Sample arithmetic: everything inside audiotap is mono S16LE, and only edges convert."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np
import soxr

if TYPE_CHECKING:
    from numpy.typing import NDArray

SAMPLE_BYTES = 2
FULL_SCALE = 32768
SILENCE_DB = -120.0
ULAW_BIAS, ULAW_CLIP = 132, 32635
RATES = range(1000, 384_001)
"""Sample rates that are believed; anything else on a wire is malformed."""


class Chunk(msgspec.Struct, frozen=True, gc=False):
    """A run of mono samples: `pcm` is S16LE, `rate` in samples per second."""

    pcm: bytes
    rate: int

    @property
    def samples(self) -> int:
        return len(self.pcm) // SAMPLE_BYTES

    @property
    def seconds(self) -> float:
        return self.samples / self.rate


class Level(msgspec.Struct, frozen=True):
    """How loud a run of samples is, in dBFS (0 is a full-scale square wave; digital silence is -120)."""

    rms: float
    peak: float
    clipped: int = 0

    @classmethod
    def of(cls, pcm: bytes) -> Level:
        """Measure S16LE samples; `clipped` counts samples at either end of the scale."""
        samples = np.frombuffer(pcm, dtype="<i2")
        if not samples.size:
            return cls(SILENCE_DB, SILENCE_DB)
        low, high = int(samples.min()), int(samples.max())
        clipped = 0
        if high == FULL_SCALE - 1 or low == -FULL_SCALE:
            clipped = int(np.count_nonzero((samples == FULL_SCALE - 1) | (samples == -FULL_SCALE)))
        return cls(decibels(_rms(samples) / FULL_SCALE), decibels(max(high, -low) / FULL_SCALE), clipped)


def decibels(ratio: float) -> float:
    """A linear ratio as decibels, never below the floor of -120."""
    if ratio <= 0:
        return SILENCE_DB
    return max(SILENCE_DB, 20.0 * math.log10(ratio))


def rms(pcm: bytes) -> float:
    """Root mean square of S16LE samples on the 16-bit scale, 0 to 32768; half a sample at the end does not count."""
    samples = np.frombuffer(pcm[: len(pcm) // SAMPLE_BYTES * SAMPLE_BYTES], dtype="<i2")
    return _rms(samples) if samples.size else 0.0


def _rms(samples: NDArray[Any]) -> float:
    wide = samples.astype(np.float64)
    return math.sqrt(float(np.dot(wide, wide)) / wide.size)


def roughness(pcm: bytes) -> float:
    """Mean step between neighbouring samples: small for sound, about a third of full scale for bytes read askew."""
    samples = np.frombuffer(pcm[: len(pcm) // SAMPLE_BYTES * SAMPLE_BYTES], dtype="<i2").astype(np.int32)
    if samples.size < 2:
        return 0.0
    return float(np.abs(np.diff(samples)).mean())


def mono(frames: NDArray[Any]) -> bytes:
    """Float frames of shape (n,) or (n, channels), full scale at 1.0, as S16LE; overs are clipped, never wrapped."""
    mixed = frames.mean(axis=1) if frames.ndim == 2 else frames
    scaled = np.rint(np.asarray(mixed, dtype=np.float64) * FULL_SCALE)
    return bytes(np.clip(scaled, -FULL_SCALE, FULL_SCALE - 1).astype("<i2").tobytes())


def _ulaw_values() -> NDArray[np.int16]:
    """What each µ-law byte means."""
    codes = ~np.arange(256, dtype=np.uint8)
    magnitudes = ((((codes & 15).astype(np.int32) << 3) + ULAW_BIAS) << ((codes >> 4) & 7)) - ULAW_BIAS
    return np.where(codes & 128, -magnitudes, magnitudes).astype(np.int16)


def _ulaw_codes() -> NDArray[np.uint8]:
    """The µ-law byte of each 16-bit sample, by its bits without sign."""
    values = np.arange(65536, dtype=np.uint16).view(np.int16).astype(np.int32)
    magnitudes = np.minimum(np.abs(values), ULAW_CLIP) + ULAW_BIAS
    exponents = np.floor(np.log2(magnitudes)).astype(np.int32) - 7
    mantissas = (magnitudes >> (exponents + 3)) & 15
    codes: NDArray[np.uint8] = (~(np.where(values < 0, 128, 0) | exponents << 4 | mantissas) & 255).astype(np.uint8)
    return codes


_ULAW_VALUES, _ULAW_CODES = _ulaw_values(), _ulaw_codes()


def from_ulaw(data: bytes) -> bytes:
    """µ-law as S16LE. Source of both directions: ITU-T G.711."""
    return bytes(_ULAW_VALUES[np.frombuffer(data, dtype=np.uint8)].astype("<i2").tobytes())


def to_ulaw(pcm: bytes) -> bytes:
    """S16LE as µ-law; half a sample at the end is left out."""
    return bytes(_ULAW_CODES[np.frombuffer(pcm[: len(pcm) // SAMPLE_BYTES * SAMPLE_BYTES], dtype="<u2")].tobytes())


def from_stereo(frames: bytes) -> bytes:
    """The middle of two interleaved channels of S16LE; whole frames. Two equal channels are either of them."""
    wide = np.frombuffer(frames, dtype="<i2").astype(np.int32)
    return bytes(((wide[::2] + wide[1::2]) >> 1).astype("<i2").tobytes())


def to_stereo(pcm: bytes) -> bytes:
    """S16LE on two interleaved channels."""
    return bytes(np.repeat(np.frombuffer(pcm[: len(pcm) // SAMPLE_BYTES * SAMPLE_BYTES], dtype="<i2"), 2).tobytes())


class Resampler:
    """A stream from one rate to another by soxr; keeps its filter's state between chunks.

    Floats go through it, because soxr dithers integers: silence would become noise.

    Source: libsoxr's streaming interface through python-soxr (`soxr.ResampleStream`).
    """

    def __init__(self, source: int, target: int) -> None:
        self.source = source
        self.target = target
        self._stream = None
        if source != target:
            self._stream = soxr.ResampleStream(source, target, 1, dtype="float32", quality="HQ")

    @property
    def held(self) -> float:
        """Seconds of sound that wait in the filter: what comes out next began that much earlier."""
        return self._stream.delay() / self.target if self._stream is not None else 0.0

    def push(self, pcm: bytes, *, last: bool = False) -> bytes:
        """Take S16LE at `source`, return what is ready of it at `target`; `last` empties the filter."""
        if self._stream is None:
            return pcm
        frames = np.frombuffer(pcm, dtype="<i2") / np.float32(FULL_SCALE)
        return mono(self._stream.resample_chunk(frames, last=last))

    def flush(self) -> bytes:
        """What the filter still holds. The stream has ended after this."""
        return self.push(b"", last=True)


def added(tracks: Sequence[bytes]) -> NDArray[Any]:
    """S16LE runs of one length added up, in 32 bits."""
    return np.asarray(np.sum([np.frombuffer(pcm, dtype="<i2") for pcm in tracks], axis=0, dtype=np.int32))


def mix(tracks: Sequence[bytes], gain: float = 1.0) -> bytes:
    """S16LE runs of one length added up and turned down to `gain`; overs are clipped."""
    if len(tracks) == 1 and gain == 1.0:
        return tracks[0]
    total = added(tracks)
    if gain != 1.0:
        total = np.rint(total * gain)
    return bytes(np.clip(total, -FULL_SCALE, FULL_SCALE - 1).astype("<i2").tobytes())


def slip(pcm: bytes, samples: int) -> bytes:
    """S16LE with `samples` more of them, or fewer if negative, spread evenly; every other sample stays what it was.

    One is put in between the two that differ least, and taken out where its neighbours tell it best.
    """
    parts = np.array_split(np.frombuffer(pcm, dtype="<i2"), abs(samples))
    return b"".join((_with_one_more(part) if samples > 0 else _with_one_less(part)).tobytes() for part in parts)


def _with_one_more(part: NDArray[Any]) -> NDArray[Any]:
    wide = part.astype(np.int32)
    if wide.size < 2:
        return np.repeat(part, 2)
    at = int(np.abs(np.diff(wide)).argmin())
    return np.insert(part, at + 1, (wide[at] + wide[at + 1]) // 2)


def _with_one_less(part: NDArray[Any]) -> NDArray[Any]:
    wide = part.astype(np.int32)
    if wide.size < 3:
        return part[1:]
    return np.delete(part, int(np.abs(np.diff(wide, 2)).argmin()) + 1)
