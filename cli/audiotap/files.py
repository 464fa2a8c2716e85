"""Files: read any audio file as mono chunks, write WAV and raw that are true after every write, name them safely."""

from __future__ import annotations

import hashlib
import os
import shlex
import stat
import struct
import unicodedata
from collections.abc import Iterator
from pathlib import Path
from typing import IO

import soundfile

from audiotap.audio import SAMPLE_BYTES, Chunk, Resampler, mono
from audiotap.errors import AudioFileError

READ_SECONDS = 0.5
WAV_HEADER = 44
NAME_LENGTH = 60
_RESERVED = {"con", "prn", "aux", "nul", *(f"{port}{n}" for port in ("com", "lpt") for n in range(10))}
_HASH_LENGTH = 8


# Reading


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


class _FrontToBack(soundfile.SoundFile):  # type: ignore[misc]
    """A file that is only read on: soundfile seeks after every read, and in an MP3 every seek is a click."""

    def seekable(self) -> bool:
        return False


def _chunks(source: str | int, label: str) -> Iterator[Chunk]:
    try:
        file = _FrontToBack(source, closefd=not isinstance(source, int))
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
    size = max(1, int(rate * READ_SECONDS)) * SAMPLE_BYTES
    half = b""
    read = getattr(stream, "read1", stream.read)
    while block := read(size):
        block = half + block
        whole = len(block) // SAMPLE_BYTES * SAMPLE_BYTES
        block, half = block[:whole], block[whole:]
        if block:
            yield Chunk(block, rate)


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


# Writing


class RawWriter:
    """Bare S16LE. Silence is left as a hole, which reads as zeros and takes no space."""

    header = 0

    def __init__(self, path: Path, rate: int) -> None:
        self.path = path
        self.rate = rate
        self.samples = 0
        self._fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)

    def write(self, position: int, pcm: bytes) -> None:
        """Put S16LE at a position. OSError when the disk refuses; the file stays as true as it was."""
        _write_at(self._fd, pcm, self.header + position * SAMPLE_BYTES)
        self.samples = max(self.samples, position + len(pcm) // SAMPLE_BYTES)

    def close(self) -> None:
        os.close(self._fd)


class WavWriter(RawWriter):
    """A WAV whose header tells the truth after every write, so that a killed recorder leaves a valid file.

    Source of the header: Microsoft, "Multimedia Programming Interface and Data Specifications 1.0", WAVE, PCM format.
    """

    header = WAV_HEADER

    def __init__(self, path: Path, rate: int) -> None:
        super().__init__(path, rate)
        try:
            self._write_header()
        except OSError:
            self.close()
            path.unlink()
            raise

    def write(self, position: int, pcm: bytes) -> None:
        """Put S16LE at a position, then make the header count it."""
        super().write(position, pcm)
        self._write_header()

    def _write_header(self) -> None:
        _write_at(self._fd, wav_header(self.rate, self.samples), 0)


def wav_header(rate: int, samples: int) -> bytes:
    """The 44 bytes before `samples` mono S16LE samples; sizes are capped where 32 bits end."""
    size = min(samples * SAMPLE_BYTES, 0xFFFFFFFF - WAV_HEADER + 8)
    riff = struct.pack("<4sI4s", b"RIFF", size + WAV_HEADER - 8, b"WAVE")
    fmt = struct.pack("<4sIHHIIHH", b"fmt ", 16, 1, 1, rate, rate * SAMPLE_BYTES, SAMPLE_BYTES, 16)
    return riff + fmt + struct.pack("<4sI", b"data", size)


def _write_at(fd: int, data: bytes, offset: int) -> None:
    view = memoryview(data)
    while view:
        written = os.pwrite(fd, view, offset)
        view, offset = view[written:], offset + written


def append(fd: int, data: bytes) -> None:
    """Write all of it at the end of a file that was opened to append. OSError when the disk refuses."""
    view = memoryview(data)
    while view:
        view = view[os.write(fd, view) :]


def write_atomically(path: Path, data: bytes) -> None:
    """Replace a small file so that a reader sees the old or the new one, never half of either."""
    draft = path.with_name(f".{path.name}.tmp")
    fd = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(fd, "wb") as file:
        file.write(data)
    draft.replace(path)


# Naming


def safe_name(text: str, length: int = NAME_LENGTH) -> str:
    """A file name part out of anything a network says: letters and digits of any script, `-`, `_`, `.`.

    Whatever had to be changed gets eight hex digits of its hash, so that only an input made up to look like another
    one's safe name can share it; `Names` keeps those apart.
    """
    plain = unicodedata.normalize("NFKC", text)
    kept = "".join(c if c.isalnum() or c in "-_." else "_" for c in plain)
    kept = kept.strip("._") or "_"
    kept = kept.encode("utf-8", "ignore")[:length].decode("utf-8", "ignore").rstrip("._") or "_"
    if kept.split(".")[0].casefold() in _RESERVED:
        kept = f"_{kept}"
    if kept == text:
        return kept
    digest = hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:_HASH_LENGTH]
    return f"{kept}-{digest}"


class Names:
    """Names given out in one folder: never the same twice, also where a file system ignores case."""

    def __init__(self) -> None:
        self._taken: set[str] = set()

    def give(self, name: str) -> str:
        """The name itself, or the name with a number where it is taken."""
        given, number = name, 2
        while given.casefold() in self._taken:
            given, number = f"{name}-{number}", number + 1
        self._taken.add(given.casefold())
        return given


def player_hint(path: Path, rate: int) -> str:
    """The command that plays a bare S16LE file; ffmpeg's tools take raw samples as mono unless told otherwise."""
    return f"ffplay -f s16le -ar {rate} {shlex.quote(str(path))}"
