"""One file of a recording: what it holds, what is wrong with it, and how that is mended.

Looking changes nothing; a problem brings its mend along, and every mend may be cut short and done again.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Literal, NamedTuple

import msgspec

from audiotap.audio import RATES, SAMPLE_BYTES
from audiotap.errors import AudioFileError
from audiotap.files import beginning, cut, put_header
from audiotap.reading import read_audio
from audiotap.sndfile import soundfile
from audiotap.writing import WAV_HEADER, wav_header

OLD_WAV_HEADER = 44
"""Bytes of header in the files of audiotap 0.1.0, which had no room for RF64."""
_LAYOUTS = (
    (WAV_HEADER, (12, 48, 72), b"JUNKfmt data"),
    (WAV_HEADER, (12, 48, 72), b"ds64fmt data"),
    (OLD_WAV_HEADER, (8, 12, 36), b"WAVEfmt data"),
)
"""Sizes of our headers, and where they have which names of chunks."""
_ALIKE = 9
"""Bytes of those twelve by which a header of ours is known, also a damaged one; other programs' have eight at most."""
_FORMAT = struct.Struct("<4sIHHIIHH4s4x")

Verdict = Literal["repairable", "repaired", "lost", "unsolved", "noted"]
"""What is to be said of a problem: it can be repaired, or was; audio is missing for good; a person has to solve it; it
is none.
"""


class Problem(NamedTuple):
    """What is wrong with a file, by its name in the session's folder; without a `mend` the manifest alone is wrong."""

    file: str
    text: str
    verdict: Verdict = "repairable"
    mend: Callable[[], None] | None = None


class Held(NamedTuple):
    """What an audio file really holds; None is what it does not tell.

    `grows` is whether today's recorder can go on with it.
    """

    samples: int | None
    rate: int | None
    problems: tuple[Problem, ...] = ()
    grows: bool = False


def held(path: Path, rate: int) -> Held:
    """Look at an audio file, which has `rate` unless it tells another. OSError when it cannot be read."""
    if not os.path.lexists(path):
        return Held(0, None)
    if path.is_symlink() or not path.is_file():
        return Held(None, None, (Problem(path.name, "it is no plain file", "unsolved"),))
    match path.suffix:
        case ".wav":
            return _held_by_wav(path, rate)
        case ".flac":
            return _held_by_flac(path)
        case _:
            return _held_by_bin(path)


def told_rate(path: Path) -> int | None:
    """The rate that a file tells, without looking at the rest of it."""
    if path.suffix == ".wav":
        head = beginning(path, WAV_HEADER)
        return _told(head, _header_size(head) or WAV_HEADER)[1]
    try:
        return int(soundfile.info(path).samplerate) if path.suffix == ".flac" else None
    except soundfile.LibsndfileError:
        return None


def same_samples(wav: Path, flac: Path) -> bool:
    """Whether both hold the same, all of it."""
    with wav.open("rb") as file:
        file.seek(_header_size(file.read(WAV_HEADER)) or 0)
        try:
            same = all(file.read(len(chunk.pcm)) == chunk.pcm for chunk in read_audio(flac))
        except AudioFileError:
            return False
        return same and len(file.read(SAMPLE_BYTES)) < SAMPLE_BYTES


def event_log_problems(path: Path) -> list[Problem]:
    """What follows the last whole line of an event log is the rest of one that was cut."""
    data = path.read_bytes()
    end = len(data)
    while end:
        begin = data.rfind(b"\n", 0, end - 1) + 1
        if data[end - 1 : end] == b"\n" and is_json(data[begin:end]):
            break
        end = begin
    if end == len(data):
        return []
    return [Problem(path.name, "its last line is broken", mend=partial(cut, path, end))]


def is_json(data: bytes) -> bool:
    """Whether it is a JSON document of any kind."""
    try:
        msgspec.json.decode(data)
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        return False
    return True


def _held_by_wav(path: Path, rate: int) -> Held:
    size, head = path.stat().st_size, beginning(path, WAV_HEADER)
    header = _header_size(head)
    if header is None:
        return Held(None, None, (Problem(path.name, "its header is of another program's making", "unsolved"),))
    samples, half = divmod(max(0, size - header), SAMPLE_BYTES)
    ours, told = _told(head, header)
    if not ours:
        return Held(None, told, (Problem(path.name, "it is not mono at 16 bits", "unsolved"),))
    problems = [Problem(path.name, "half a sample at its end", mend=partial(cut, path, size - half))] if half else []
    true = _true_header(header, told or rate, samples)
    if head[:header] != true:
        problems.append(Problem(path.name, _flaw(head, header), mend=partial(put_header, path, true)))
    return Held(samples, told, tuple(problems), header == WAV_HEADER)


def _held_by_bin(path: Path) -> Held:
    size = path.stat().st_size
    samples, half = divmod(size, SAMPLE_BYTES)
    problem = Problem(path.name, "half a sample at its end", mend=partial(cut, path, size - half))
    return Held(samples, None, (problem,) if half else (), grows=True)


def _held_by_flac(path: Path) -> Held:
    """All of it is decoded, since every block of a FLAC has its own checksum."""
    samples, rate = 0, None
    try:
        for chunk in read_audio(path):
            samples, rate = samples + chunk.samples, chunk.rate
    except AudioFileError:
        whole = f"after {samples / rate:.2f} s" if rate else "at its beginning"
        return Held(samples, rate, (Problem(path.name, f"it is damaged {whole}", "lost"),))
    return Held(samples, rate)


def _header_size(head: bytes) -> int | None:
    """How long the header of a WAV is; None if it is not of ours. One that is lost was of today's size."""
    for size, places, names in _LAYOUTS:
        there = b"".join(head[place : place + 4].ljust(4, b"\0") for place in places)
        if sum(a == b for a, b in zip(there, names, strict=True)) >= _ALIKE:
            return size
    return None if len(head) == WAV_HEADER and any(head) else WAV_HEADER


def _told(head: bytes, size: int) -> tuple[bool, int | None]:
    """Whether a header speaks of samples like ours, and their rate; it is believed if it agrees with itself."""
    if len(head) < size:
        return True, None
    name, length, kind, channels, rate, speed, frame, bits, data = _FORMAT.unpack_from(head, size - _FORMAT.size)
    agrees = (name, length, data, speed, frame * 8) == (b"fmt ", 16, b"data", rate * frame, channels * bits)
    if not agrees or rate not in RATES or (kind != 1 and bits == 16):
        return True, None
    return (kind, channels, bits) == (1, 1, 16), rate


def _true_header(size: int, rate: int, samples: int) -> bytes:
    header = wav_header(rate, samples)
    if size == WAV_HEADER:
        return header
    length = min(samples * SAMPLE_BYTES, 0xFFFFFFFF - size + 8)
    riff = struct.pack("<4sI4s", b"RIFF", length + size - 8, b"WAVE")
    return riff + header[-_FORMAT.size : -4] + struct.pack("<I", length)


def _flaw(head: bytes, size: int) -> str:
    if len(head) < size:
        return "its header is cut off"
    if not any(head):
        return "its header is lost"
    if _told(head, size)[1] is None:
        return "its header is damaged"
    return "its header does not count what it holds"
