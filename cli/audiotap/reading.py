"""Reading: any audio file and any pipe as mono chunks."""

from __future__ import annotations

import stat
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from audiotap.audio import SAMPLE_BYTES, Chunk, Resampler, mono
from audiotap.errors import AudioFileError
from audiotap.sndfile import soundfile

READ_SECONDS = 0.5
TRACK_BLOCK = 262_144
"""Samples of a recorded track that are in memory at once."""


def read_audio(path: Path) -> Iterator[Chunk]:
    """Any file libsndfile reads, as mono chunks of half a second at the file's own rate.

    Raises AudioFileError when it's missing, a folder, or no audio: at once for a file, at the first chunk for what
    may block (a named pipe).
    """
    try:
        kind = path.stat().st_mode
    except OSError as error:
        raise AudioFileError(f"cannot read {path}: {error.strerror}", "check the path") from error
    if stat.S_ISDIR(kind):
        raise AudioFileError(f"{path} is a folder", "name an audio file in it")
    if not stat.S_ISREG(kind):
        return _later(str(path), str(path))
    return _chunks(str(path), str(path))


def read_stream(stream: IO[bytes], raw_rate: int | None = None) -> Iterator[Chunk]:
    """Audio from a pipe, as mono chunks as they arrive; bare S16LE when `raw_rate` is given.

    The pipe itself is handed to libsndfile, which streams the formats that need no seeking (WAV, AU, FLAC, MP3).
    Nothing is read before the first chunk is asked for; what is no audio is an AudioFileError then.
    """
    if raw_rate is not None:
        return _raw_chunks(stream, raw_rate)
    return _later(stream.fileno(), "standard input")


def _later(source: str | int, label: str) -> Iterator[Chunk]:
    yield from _chunks(source, label)


class FrontToBack(soundfile.SoundFile):  # type: ignore[misc]
    """A file that is only read on: soundfile seeks after every read, and in an MP3 every seek is a click."""

    def seekable(self) -> bool:
        return False


def _chunks(source: str | int, label: str) -> Iterator[Chunk]:
    try:
        file = FrontToBack(source, closefd=not isinstance(source, int))
    except (soundfile.LibsndfileError, OSError, TypeError) as error:
        reason = getattr(error, "error_string", str(error)).rstrip(".")
        raise AudioFileError(
            f"cannot read {label} as audio: {reason}",
            "give a WAV, FLAC, OGG, MP3 or AIFF file; for bare S16LE on standard input add --raw RATE",
        ) from error
    return _blocks(file, label)


def _blocks(file: soundfile.SoundFile, label: str) -> Iterator[Chunk]:
    with file:
        frames = max(1, int(file.samplerate * READ_SECONDS))
        while True:
            try:
                block = file.read(frames, dtype="float64", always_2d=True)
            except soundfile.LibsndfileError as error:
                raise AudioFileError(f"{label} is damaged: {error.error_string}") from error
            if not len(block):
                return
            yield Chunk(mono(block), file.samplerate)


def _raw_chunks(stream: IO[bytes], rate: int) -> Iterator[Chunk]:
    """Bare samples, past the stream's buffer: Python cannot end while a thread waits for more in there."""
    size = max(1, int(rate * READ_SECONDS)) * SAMPLE_BYTES
    half = b""
    stream = getattr(stream, "raw", stream)
    read = getattr(stream, "read1", stream.read)
    while block := read(size):
        block = half + block
        whole = len(block) // SAMPLE_BYTES * SAMPLE_BYTES
        block, half = block[:whole], block[whole:]
        if block:
            yield Chunk(block, rate)


def read_track(path: Path, rate: int) -> Iterator[Chunk]:
    """A track as it was recorded, in blocks, sample by sample as it is; `rate` is for bare ones, which tell none.

    Nothing is read before the first block is asked for. AudioFileError where it's missing, or no mono track.
    """
    if path.suffix == ".bin":
        yield from _bare(path, rate)
        return
    try:
        with soundfile.SoundFile(str(path)) as file:
            if file.channels != 1:
                raise AudioFileError(f"{path} has {file.channels} channels", "a recorded track has one")
            while pcm := bytes(file.buffer_read(TRACK_BLOCK, dtype="int16")):
                yield Chunk(pcm, file.samplerate)
    except (soundfile.LibsndfileError, OSError) as error:
        reason = getattr(error, "error_string", str(error)).rstrip(".")
        raise AudioFileError(f"cannot read {path}: {reason}", f"audiotap check {path.parent}") from error


def _bare(path: Path, rate: int) -> Iterator[Chunk]:
    try:
        with path.open("rb") as file:
            while block := file.read(TRACK_BLOCK * SAMPLE_BYTES):
                yield Chunk(block[: len(block) // SAMPLE_BYTES * SAMPLE_BYTES], rate)
    except OSError as error:
        raise AudioFileError(f"cannot read {path}: {error.strerror}") from error


def read_all(path: Path, rate: int) -> bytes:
    """A whole audio file as S16LE at `rate`. AudioFileError as for `read_audio`."""
    parts: list[bytes] = []
    resampler: Resampler | None = None
    for chunk in read_audio(path):
        resampler = resampler or Resampler(chunk.rate, rate)
        parts.append(resampler.push(chunk.pcm))
    if resampler is not None:
        parts.append(resampler.flush())
    return b"".join(parts)
