"""What a simulated agent hears on one connection: where speech is in it, and the samples of an utterance."""

from __future__ import annotations

from pathlib import Path

from audiotap import mp3
from audiotap.audio import RATES, SAMPLE_BYTES, Chunk
from audiotap.endpointing import Boundary, Endpointer, speech_bounds
from audiotap.naming import safe_name
from audiotap.writing import WavWriter

PRE_ROLL = 0.5
"""Seconds that are kept while nobody speaks: speech is known to have begun a little late."""
LONGEST = 120.0
"""Seconds that are kept of an utterance: its last ones."""

MOST_BYTES = 16 * 1024 * 1024
"""Bytes that are kept of an utterance that comes encoded: its first ones."""
LOWEST = RATES[0]


class Ear:
    """Hears chunks of any rate, one after the other. Samples are counted from the first one of a rate.

    `silence` of so many seconds ends speech. With `record`, everything goes into a WAV of that name; one with a number
    added when the rate changes, and beside it what came encoded.
    """

    def __init__(self, silence: float, record: Path | None = None) -> None:
        self.seconds = 0.0
        self._silence = silence
        self._encoded = bytearray()
        self._record = record
        self._file: WavWriter | None = None
        self._files = 0
        self._rate = 0
        self._kept = bytearray()
        self._half = b""
        self._start = 0
        self._begun = 0
        self._origin = 0
        self._endpointer = Endpointer(LOWEST)

    @property
    def speaking(self) -> bool:
        return self._endpointer.speaking

    def hear(self, chunk: Chunk) -> list[Boundary]:
        """Where speech begins and ends, as far as that is known with this chunk."""
        if chunk.rate != self._rate:
            self._change(chunk.rate)
        pcm = self._whole(chunk.pcm)
        self.seconds += len(pcm) / SAMPLE_BYTES / chunk.rate
        if self._file is not None:
            self._file.write(self._file.samples, pcm)
        self._kept += pcm
        found = [self._from_origin(one) for one in self._endpointer.push(pcm)]
        self._begun = next((one.at for one in reversed(found) if one.speech), self._begun)
        self._forget(LONGEST)
        return found

    def hear_file(self, data: bytes, form: str) -> None:
        """A part of an encoded file: it is understood when the utterance is over."""
        if len(self._encoded) + len(data) <= MOST_BYTES:
            self._encoded += data
        if self._record is not None:
            with self._record.with_suffix(f".{safe_name(form)}").open("ab") as file:
                file.write(data)

    def at(self, sample: int) -> float:
        """A sample's place in seconds."""
        return sample / self._rate if self._rate else 0.0

    def spoken(self, end: int) -> Chunk:
        """The speech that ended before sample `end`. What was heard before it is forgotten."""
        first = max(0, self._begun - self._start) * SAMPLE_BYTES
        pcm = bytes(self._kept[first : (end - self._start) * SAMPLE_BYTES])
        self.idle()
        return Chunk(pcm, self._rate)

    def everything(self) -> Chunk:
        """The speech in all that was heard since the last utterance, bare or encoded; empty if there is none."""
        heard = mp3.decode(bytes(self._encoded)) if self._encoded else Chunk(bytes(self._kept), self._rate or LOWEST)
        bounds = speech_bounds(heard.pcm, heard.rate) or (0, 0)
        self.forget()
        return Chunk(heard.pcm[bounds[0] * SAMPLE_BYTES : bounds[1] * SAMPLE_BYTES], heard.rate)

    def forget(self) -> None:
        """What was heard since the last utterance is not meant."""
        self._encoded.clear()
        self._origin = self._start + len(self._kept) // SAMPLE_BYTES
        self._endpointer = Endpointer(self._rate or LOWEST, end=self._silence)
        self._forget(0.0)

    def idle(self) -> None:
        """Nothing is being said: only the last moment is kept."""
        if not self.speaking:
            self._forget(PRE_ROLL)

    def close(self) -> None:
        """The file is complete after this."""
        if self._file is not None:
            self._file.close()
            self._file = None

    def _whole(self, pcm: bytes) -> bytes:
        """Whole samples; half of one waits for the other half."""
        pcm = self._half + pcm
        whole = len(pcm) // SAMPLE_BYTES * SAMPLE_BYTES
        self._half = pcm[whole:]
        return pcm[:whole]

    def _change(self, rate: int) -> None:
        self._rate = rate
        self._half = b""
        self._kept.clear()
        self._start = self._begun = self._origin = 0
        self._endpointer = Endpointer(rate, end=self._silence)
        self.close()
        if self._record is not None:
            self._files += 1
            path = self._record if self._files == 1 else self._record.with_stem(f"{self._record.stem}-{self._files}")
            path.unlink(missing_ok=True)
            self._file = WavWriter(path, rate)

    def _from_origin(self, boundary: Boundary) -> Boundary:
        return Boundary(boundary.speech, boundary.at + self._origin, boundary.found + self._origin)

    def _forget(self, keep: float) -> None:
        surplus = len(self._kept) // SAMPLE_BYTES - round(keep * self._rate)
        if surplus > 0:
            del self._kept[: surplus * SAMPLE_BYTES]
            self._start += surplus
