"""MP3 of speech, for providers that take it as a file, or answer with one."""

from __future__ import annotations

from collections.abc import Iterable
from io import BytesIO
from typing import TYPE_CHECKING, Self

import numpy as np

from audiotap.audio import Chunk, mono
from audiotap.errors import MachineError, UsageError
from audiotap.intake import Intake
from audiotap.text import human_size

if TYPE_CHECKING:
    from audiotap.sndfile import soundfile

RATE = 24000
COMPRESSION = 0.5
"""Of libsndfile's 0 to 1; at this rate a constant 80 kbit/s, which speech does not suffer from."""


class Mp3:
    """An MP3 of at most `most` bytes, made as speech comes, in a block.

    MachineError where libsndfile knows no MP3.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._file = BytesIO()
        self._intake = Intake(RATE, lambda _: None)
        self._mp3 = _opened(self._file)
        self._samples = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._mp3.close()

    def push(self, chunk: Chunk) -> None:
        """Go on. UsageError when it gets too long."""
        self._write(self._intake.take(chunk))

    def finish(self) -> tuple[bytes, float]:
        """All of it, and its seconds. UsageError as above."""
        self._write(self._intake.rest())
        self._mp3.close()
        self._check()
        return self._file.getvalue(), self._samples / RATE

    def _write(self, pcm: bytes) -> None:
        samples = np.frombuffer(pcm, "<i2")
        self._mp3.write(samples)
        self._samples += len(samples)
        self._check()

    def _check(self) -> None:
        if self._file.getbuffer().nbytes > self._most:
            seconds = self._samples / RATE
            raise UsageError(
                f"the speech is too long: {seconds:.0f} s are more than an MP3 of {human_size(self._most)}",
                "cut it, and speak its parts one after the other",
            )


def encode(chunks: Iterable[Chunk], most: int) -> tuple[bytes, float]:
    """An MP3 of at most `most` bytes, and its seconds. UsageError when it gets longer; no more is read then."""
    with Mp3(most) as mp3:
        for chunk in chunks:
            mp3.push(chunk)
        return mp3.finish()


def decode(data: bytes) -> Chunk:
    """The sound of an MP3, or of any other file; empty if it is none."""
    from audiotap.sndfile import soundfile

    try:
        frames, rate = soundfile.read(BytesIO(data), always_2d=True)
    except soundfile.LibsndfileError:
        return Chunk(b"", RATE)
    return Chunk(mono(frames), rate)


def silence(seconds: float) -> bytes:
    """An MP3 in which nothing is heard."""
    chunk = Chunk(bytes(2 * round(seconds * RATE)), RATE)
    return encode([chunk], most=round(1e6 * seconds))[0]


def _opened(file: BytesIO) -> soundfile.SoundFile:
    from audiotap.sndfile import INSTALL, soundfile

    try:
        return soundfile.SoundFile(
            file, "w", RATE, 1, "MPEG_LAYER_III", format="MP3", compression_level=COMPRESSION, bitrate_mode="CONSTANT"
        )
    except soundfile.LibsndfileError as error:
        version = soundfile.__libsndfile_version__
        raise MachineError(f"libsndfile {version} writes no MP3, which takes 1.1 or newer", INSTALL) from error
