"""FLAC in the place of a finished WAV: encoded, decoded again and compared before the WAV goes."""

from __future__ import annotations

import errno
import hashlib
import os
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from audiotap.audio import RATES, SAMPLE_BYTES
from audiotap.files import append, draft_of, sync_folder
from audiotap.reading import FrontToBack
from audiotap.sndfile import soundfile
from audiotap.writing import RATE_AT, WAV_HEADER, wav_header

BLOCK = 65_536
"""Samples that are in memory while a FLAC is made, however long the track is."""


def to_flac(wav: Path) -> Path:
    """Put a FLAC in the place of a finished WAV, and return its path.

    It is decoded again and compared with the WAV, sample by sample, before the WAV goes. Raises OSError when the disk
    refuses, FLAC has no such rate, or anything differs: the WAV stays as it is then, and no draft beside it.
    """
    flac = wav.with_suffix(".flac")
    draft = draft_of(flac)
    if flac.exists():
        raise FileExistsError(errno.EEXIST, "there is one already", str(flac))
    try:
        with wav.open("rb") as source:
            rate, samples = _finished(source)
            _encode(source, draft, rate)
            _compare(source, draft, rate, samples)
        draft.rename(flac)
        sync_folder(flac.parent)
        wav.unlink()
    except (soundfile.SoundFileError, AssertionError) as error:  # a short write is an assertion of soundfile's
        reason = getattr(error, "error_string", "").rstrip(".") or "it was not written whole"
        raise OSError(
            f"cannot make {flac} at {rate} Hz: {reason} (a full disk, or a rate that FLAC has not)"
        ) from error
    finally:
        draft.unlink(missing_ok=True)
    return flac


def _finished(wav: IO[bytes]) -> tuple[int, int]:
    """Rate and samples of a WAV that `WavWriter` finished, which ends where its header says.

    The samples are counted in the file, since libsndfile would read only as many as a header can count.
    """
    samples, half = divmod(os.fstat(wav.fileno()).st_size - WAV_HEADER, SAMPLE_BYTES)
    header = wav.read(WAV_HEADER)
    rate = int.from_bytes(header[RATE_AT : RATE_AT + 4], "little")
    if half or samples < 0 or rate not in RATES or header != wav_header(rate, samples):
        raise OSError(f"{wav.name} is no finished recording: its header is not true")
    return rate, samples


def _samples(wav: IO[bytes]) -> Iterator[bytes]:
    """All the samples of a WAV, in blocks."""
    wav.seek(WAV_HEADER)
    while block := wav.read(BLOCK * SAMPLE_BYTES):
        yield block


def _encode(wav: IO[bytes], draft: Path, rate: int) -> None:
    fd = os.open(draft, os.O_RDWR | os.O_CREAT | os.O_TRUNC, 0o600)
    try:
        with FrontToBack(fd, "w", rate, 1, "PCM_16", format="FLAC", closefd=False) as flac:
            for block in _samples(wav):
                flac.buffer_write(block, "int16")
        if not os.fstat(fd).st_size:
            append(fd, _flac_of_nothing(rate))
        os.fsync(fd)
    finally:
        os.close(fd)


def _compare(wav: IO[bytes], draft: Path, rate: int, samples: int) -> None:
    """OSError unless a FLAC holds what a WAV does. Not every write that failed is an error of libsndfile's."""
    with FrontToBack(draft) as flac:
        same = flac.samplerate == rate and (flac.frames == samples or not samples)
        same = same and all(flac.read(BLOCK, dtype="int16").tobytes() == block for block in _samples(wav))
        if not same or len(flac.read(1)):
            raise OSError(f"{draft} does not hold what was written to it (a full disk?)")


def _flac_of_nothing(rate: int) -> bytes:
    """A whole FLAC without samples, for which libsndfile writes no byte.

    Source: RFC 9639, sections 8.1 and 8.2, the marker and the streaminfo block.
    """
    blocks = struct.pack(">HH", 4096, 4096) + bytes(6)
    form = (rate << 44 | (16 - 1) << 36).to_bytes(8, "big")
    return b"fLaC" + b"\x80\0\0\x22" + blocks + form + hashlib.md5(b"", usedforsecurity=False).digest()
