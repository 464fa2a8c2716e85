"""Two tracks of one time line as one stereo file, in blocks, so that hours of them need no memory."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from audiotap.audio import SAMPLE_BYTES, Chunk, Resampler
from audiotap.errors import AudioFileError
from audiotap.files import draft_of
from audiotap.reading import read_audio
from audiotap.sndfile import soundfile


def write_stereo(left: Path | None, right: Path | None, target: Path) -> None:
    """Write mono files as the two channels of a WAV at the higher of their rates; the shorter one ends in silence.

    One of them may be missing, and is silent then. The file is there whole or not at all. OSError where the disk
    refuses; AudioFileError for what cannot be read; ValueError where both are missing.
    """
    rate = max(_rate(path) for path in (left, right) if path is not None)
    draft = draft_of(target)
    try:
        fd = os.open(draft, os.O_RDWR | os.O_CREAT | os.O_TRUNC, 0o600)
        with soundfile.SoundFile(fd, "w", rate, 2, "PCM_16", format="WAV") as out:
            for block in _both(_samples(left, rate), _samples(right, rate)):
                out.buffer_write(block, "int16")
        draft.replace(target)
    except soundfile.SoundFileError as error:
        raise OSError(f"cannot write {target}: {error}") from error
    finally:
        draft.unlink(missing_ok=True)


def _rate(path: Path) -> int:
    try:
        return int(soundfile.info(path).samplerate)
    except soundfile.SoundFileError as error:
        raise AudioFileError(f"cannot read {path} as audio: {error}") from error


def _samples(path: Path | None, rate: int) -> Iterator[bytes]:
    resampler: Resampler | None = None
    chunks: Iterator[Chunk] = read_audio(path) if path is not None else iter(())
    for chunk in chunks:
        resampler = resampler or Resampler(chunk.rate, rate)
        yield resampler.push(chunk.pcm)
    if resampler is not None:
        yield resampler.flush()


def _both(left: Iterator[bytes], right: Iterator[bytes]) -> Iterator[bytes]:
    """Interleaved samples, as far as both sides are known; the end of one is silence beside the other."""
    waiting = [b"", b""]
    while True:
        pieces = [next(side, None) for side in (left, right)]
        if pieces == [None, None]:
            break
        waiting = [old + (new or b"") for old, new in zip(waiting, pieces, strict=True)]
        ready = [
            max(map(len, waiting)) if piece is None else len(side) for side, piece in zip(waiting, pieces, strict=True)
        ]
        size = min(ready)
        yield _interleaved(*(side[:size].ljust(size, b"\0") for side in waiting))
        waiting = [side[size:] for side in waiting]
    size = max(map(len, waiting))
    if size:
        yield _interleaved(*(side.ljust(size, b"\0") for side in waiting))


def _interleaved(left: bytes, right: bytes) -> bytes:
    frames = np.empty((len(left) // SAMPLE_BYTES, 2), dtype="<i2")
    frames[:, 0] = np.frombuffer(left, dtype="<i2")
    frames[:, 1] = np.frombuffer(right, dtype="<i2")
    return frames.tobytes()
