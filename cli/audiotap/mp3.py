"""MP3 of speech, for providers that take it as a file, or answer with one."""

from __future__ import annotations

from collections.abc import Iterable
from io import BytesIO
from typing import TYPE_CHECKING

import numpy as np

from audiotap.audio import Chunk, mono
from audiotap.errors import UsageError
from audiotap.intake import Intake
from audiotap.text import human_size

if TYPE_CHECKING:
    from audiotap.sndfile import soundfile

RATE = 24000
COMPRESSION = 0.5
"""Of libsndfile's 0 to 1; at this rate a constant 80 kbit/s, which speech does not suffer from."""


def encode(chunks: Iterable[Chunk], most: int) -> tuple[bytes, float]:
    """An MP3 of at most `most` bytes, and its seconds. UsageError when it gets longer; no more is read then."""
    from audiotap.sndfile import soundfile

    file = BytesIO()
    intake = Intake(RATE, lambda _: None)
    samples = 0
    with soundfile.SoundFile(
        file, "w", RATE, 1, "MPEG_LAYER_III", format="MP3", compression_level=COMPRESSION, bitrate_mode="CONSTANT"
    ) as mp3:
        for chunk in chunks:
            samples += _write(mp3, intake.take(chunk))
            _check(file, most, samples)
        samples += _write(mp3, intake.rest())
    _check(file, most, samples)
    return file.getvalue(), samples / RATE


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


def _write(mp3: soundfile.SoundFile, pcm: bytes) -> int:
    samples = np.frombuffer(pcm, "<i2")
    mp3.write(samples)
    return len(samples)


def _check(file: BytesIO, most: int, samples: int) -> None:
    if file.getbuffer().nbytes > most:
        raise UsageError(
            f"the speech is too long: {samples / RATE:.0f} s are more than an MP3 of {human_size(most)}",
            "cut it, and speak its parts one after the other",
        )
