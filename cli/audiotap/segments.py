"""Segments: a track's samples as objects of a store, and many objects' samples as one track again.

A segment's name tells where it lies and what it holds, so nothing has to be asked before it is written: whoever writes
the same samples to the same place writes the same name.
"""

from __future__ import annotations

import hashlib
import io
import os
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np

from audiotap.audio import SAMPLE_BYTES
from audiotap.sndfile import soundfile
from audiotap.writing import WAV_HEADER, wav_header

DIGITS = 12
"""Of a position in a name, so that names sort: 30,000 years at 1 kHz, 80 days at 384 kHz."""
DIGEST = 32
"""Hex digits of the SHA-256 of a segment's samples."""
_NAME = re.compile(rf"(\d{{{DIGITS},}})-(\d+)-([0-9a-f]{{{DIGEST}}})\.(flac|wav)")
_HEADERS = {".wav": WAV_HEADER, ".bin": 0}


class Segment(NamedTuple):
    """A run of a track's samples as its object's name tells it. Sorted, segments lie as they do in the track."""

    position: int
    samples: int
    digest: str
    ending: str

    @property
    def place(self) -> range:
        return range(self.position, self.position + self.samples)

    @property
    def name(self) -> str:
        """`<position>-<samples>-<digest>.flac`."""
        return f"{self.position:0{DIGITS}}-{self.samples}-{self.digest}.{self.ending}"

    def holds(self, pcm: bytes) -> bool:
        """Whether these are its samples."""
        return len(pcm) == self.samples * SAMPLE_BYTES and _digest(pcm) == self.digest


def parse(name: str) -> Segment | None:
    """The segment that a name tells of; None if it tells of none."""
    match = _NAME.fullmatch(name)
    return Segment(int(match[1]), int(match[2]), match[3], match[4]) if match else None


def due(unsent: range, head: float, size: int) -> Iterator[range]:
    """What is to be sent now of a track's samples, in segments that end at multiples of `size`.

    It is whatever lies `size` or more behind the session's `head`. All in samples of the track.
    """
    begin = unsent.start
    while begin < unsent.stop and head - begin >= size:
        end = min((begin // size + 1) * size, unsent.stop)
        yield range(begin, end)
        begin = end


def pack(position: int, pcm: bytes, rate: int) -> tuple[Segment, bytes]:
    """S16LE as an object: a FLAC, or a WAV at a rate that FLAC has not."""
    data, ending = _encoded(pcm, rate)
    return Segment(position, len(pcm) // SAMPLE_BYTES, _digest(pcm), ending), data


def unpack(segment: Segment, data: bytes) -> bytes | None:
    """The S16LE of an object; None where it is not what its name tells."""
    try:
        samples, _ = soundfile.read(io.BytesIO(data), dtype="int16")
    except soundfile.LibsndfileError:
        return None
    pcm = bytes(np.asarray(samples, dtype="<i2").tobytes())
    return pcm if segment.holds(pcm) else None


def blend(first: bytes, second: bytes) -> tuple[bytes, int]:
    """Two recorders' S16LE of one stretch as one, and how many samples they tell differently: the first one's count.

    Silence yields to sound: a recorder whose bot had gone to another one has silence there.
    """
    if first == second:
        return first, 0
    one, other = np.frombuffer(first, dtype="<i2"), np.frombuffer(second, dtype="<i2")
    differing = np.count_nonzero((one != 0) & (other != 0) & (one != other))
    return np.where(one == 0, other, one).astype("<i2").tobytes(), int(differing)


def joined(parts: Iterable[range]) -> list[range]:
    """The same stretches in order, those as one that touch or overlap; empty ones are none."""
    whole: list[range] = []
    for part in sorted((part for part in parts if part), key=lambda part: part.start):
        if whole and part.start <= whole[-1].stop:
            whole[-1] = range(whole[-1].start, max(whole[-1].stop, part.stop))
        else:
            whole.append(part)
    return whole


def lacking(wanted: Iterable[range], there: Iterable[range]) -> list[range]:
    """What of some stretches lies in none of the others."""
    lacks = []
    covered = joined(there)
    for part in joined(wanted):
        begin = part.start
        for one in covered:
            if one.stop > begin and one.start < part.stop:
                lacks.append(range(begin, one.start))
                begin = one.stop
        lacks.append(range(begin, part.stop))
    return [part for part in lacks if part]


def recorded(file: Path) -> int | None:
    """How many samples a file that is being written has so far; None where it is gone, or a FLAC already."""
    header = _HEADERS.get(file.suffix)
    try:
        return None if header is None else max(0, file.stat().st_size - header) // SAMPLE_BYTES
    except FileNotFoundError:
        return None


def extract(file: Path, place: range) -> bytes:
    """A stretch of a recorder's file as S16LE, or as much of it as there is; a WAV may have become a FLAC.

    OSError where it cannot be read.
    """
    header = _HEADERS.get(file.suffix)
    try:
        if header is not None:
            with file.open("rb") as source:
                pcm = os.pread(source.fileno(), len(place) * SAMPLE_BYTES, header + place.start * SAMPLE_BYTES)
            return pcm[: len(pcm) // SAMPLE_BYTES * SAMPLE_BYTES]
    except FileNotFoundError:
        if file.suffix != ".wav":
            raise
    return _extract_flac(file.with_suffix(".flac"), place)


def _extract_flac(file: Path, place: range) -> bytes:
    try:
        samples, _ = soundfile.read(str(file), start=place.start, stop=place.stop, dtype="int16")
    except soundfile.LibsndfileError as error:
        raise OSError(f"{file}: {error.error_string}") from error
    return bytes(np.asarray(samples, dtype="<i2").tobytes())


def _encoded(pcm: bytes, rate: int) -> tuple[bytes, str]:
    flac = io.BytesIO()
    try:
        soundfile.write(flac, np.frombuffer(pcm, dtype="<i2"), rate, "PCM_16", format="FLAC")
    except soundfile.LibsndfileError:
        return wav_header(rate, len(pcm) // SAMPLE_BYTES) + pcm, "wav"
    return flac.getvalue(), "flac"


def _digest(pcm: bytes) -> str:
    return hashlib.sha256(pcm).hexdigest()[:DIGEST]
