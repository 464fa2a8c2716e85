"""Wire bytes made whole: what a track's chunks hold when they arrive, and what a time line can take.

Networks deliver half samples, WAV headers in the middle and rates that change; a track takes whole samples at one rate.
"""

from __future__ import annotations

import struct
from collections.abc import Callable

import msgspec

from audiotap.audio import SAMPLE_BYTES, Chunk, Resampler, roughness

ODD_CHUNKS = 50
"""From a track's beginning, that all have an odd number of bytes: no network does that, so the sender does."""


class Flaws(msgspec.Struct):
    """What was mended on the way in, as counts of chunks."""

    odd_bytes_kept: int = 0
    odd_bytes_dropped: int = 0
    riff_headers: int = 0
    rate_changes: int = 0


class Intake:
    """One track's intake: `take` whole samples at `rate` out of whatever came; the first of each flaw is told."""

    def __init__(self, rate: int, tell: Callable[[str], None]) -> None:
        self.rate = rate
        self._tell = tell
        self.flaws = Flaws()
        self._half = b""
        self._watched = ODD_CHUNKS
        self._resampler: Resampler | None = None

    @property
    def held(self) -> float:
        """Seconds by which what `take` gives next began before the chunk it is given."""
        return self._resampler.held if self._resampler is not None else 0.0

    @property
    def even(self) -> bool:
        """Whether `take` gives what is bare and at the track's rate back as it is, and has nothing to count."""
        return not self._watched and not self._half and self._resampler is None

    def take(self, chunk: Chunk) -> bytes:
        """S16LE at the track's rate, whole samples; may be empty."""
        pcm = chunk.pcm
        if self._watched and pcm:
            self._watch(len(pcm))
        if pcm.startswith(b"RIFF"):
            pcm = self._without_header(pcm)
        if self._half or len(pcm) % SAMPLE_BYTES:
            pcm = self._whole(pcm)
        if chunk.rate != self._source:
            pcm = self._change(chunk.rate) + self._push(pcm)
        elif self._resampler is not None:
            pcm = self._push(pcm)
        return pcm

    def rest(self) -> bytes:
        """What a resampler still holds, at the track's end."""
        return self._resampler.flush() if self._resampler is not None else b""

    @property
    def _source(self) -> int:
        return self._resampler.source if self._resampler is not None else self.rate

    def _push(self, pcm: bytes) -> bytes:
        return self._resampler.push(pcm) if self._resampler is not None else pcm

    def _change(self, rate: int) -> bytes:
        """Go over to another source rate; the old filter's last samples come out first."""
        self.flaws.rate_changes += 1
        if self.flaws.rate_changes == 1:
            self._tell(f"the rate changed from {self._source} to {rate} Hz; resampled to the track's {self.rate} Hz")
        rest = self.rest()
        self._resampler = Resampler(rate, self.rate) if rate != self.rate else None
        return rest

    def _watch(self, size: int) -> None:
        """Count down the track's first chunks as long as every one of them ends inside a sample."""
        if size % SAMPLE_BYTES == 0:
            self._watched = 0
            return
        self._watched -= 1
        if not self._watched:
            self._tell(
                "every chunk has an odd number of bytes: the sender cuts samples in half, or it isn't 16 bit; "
                "have it send whole samples of 16 bit"
            )

    def _whole(self, pcm: bytes) -> bytes:
        """Join a kept half sample if the sound goes on smoothly with it, else drop it; keep a new one."""
        if self._half:
            if not self.flaws.odd_bytes_kept + self.flaws.odd_bytes_dropped:
                self._tell(
                    "chunks with an odd number of bytes: half samples are joined, or dropped where they don't fit"
                )
            if _belongs(self._half, pcm):
                self.flaws.odd_bytes_kept += 1
                pcm = self._half + pcm
            else:
                self.flaws.odd_bytes_dropped += 1
            self._half = b""
        if len(pcm) % SAMPLE_BYTES:
            pcm, self._half = pcm[:-1], pcm[-1:]
        return pcm

    def _without_header(self, pcm: bytes) -> bytes:
        start = wav_data_offset(pcm)
        if start is None:
            return pcm
        self.flaws.riff_headers += 1
        if self.flaws.riff_headers == 1:
            self._tell("a WAV header inside the audio was cut out; bots should send bare samples")
        return pcm[start:]


def _belongs(half: bytes, pcm: bytes) -> bool:
    """Whether `half` is the low byte of the sample that `pcm` goes on with: read rightly, sound is the smoother.

    Where both readings are equal (silence) it stays, so that the next chunk can tell.
    """
    whole = len(pcm) // SAMPLE_BYTES * SAMPLE_BYTES
    return roughness((half + pcm)[:whole]) <= roughness(pcm)


def is_bare(pcm: bytes) -> bool:
    """Whether bytes are whole samples and nothing else, as far as one can see."""
    return len(pcm) % SAMPLE_BYTES == 0 and not pcm.startswith(b"RIFF") and bool(pcm)


def wav_data_offset(pcm: bytes) -> int | None:
    """Where samples begin in bytes that start with a RIFF/WAVE header, or None if they don't.

    A header cut short before its `data` chunk ends where the bytes end.
    Source: Microsoft, "Multimedia Programming Interface and Data Specifications 1.0", RIFF and WAVE.
    """
    if len(pcm) < 12 or pcm[:4] != b"RIFF" or pcm[8:12] != b"WAVE":
        return None
    at = 12
    while at + 8 <= len(pcm):
        kind, size = struct.unpack_from("<4sI", pcm, at)
        at += 8
        if kind == b"data":
            return at
        at += size + size % 2
    return len(pcm)
