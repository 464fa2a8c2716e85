"""Recorded tracks as the channels of one file, in blocks, so that hours of them need no memory.

A channel is any number of tracks added up. What would clip turns the whole file down, evenly, so nothing is distorted.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import IO, Any, Literal, NamedTuple, get_args

import numpy as np
from numpy.typing import NDArray

from audiotap.audio import FULL_SCALE, SAMPLE_BYTES, Chunk, Resampler, added, mix
from audiotap.errors import UsageError
from audiotap.files import draft_of
from audiotap.reading import read_audio
from audiotap.sndfile import soundfile

Encoding = Literal["wav", "flac", "ogg", "mp3", "opus"]
ENCODINGS: tuple[Encoding, ...] = get_args(Encoding)

_MOST_WAV = 0xFFFFFFFF - 4096
"""Bytes of samples that a WAV can count, less some for its header."""

Source = Callable[[], Iterator[Chunk]]
"""A track that can be read more than once, from its first sample on."""
Channels = Sequence[Sequence[Source]]


class Form(NamedTuple):
    """How libsndfile calls an encoding, and what it can hold; no `rates` are any."""

    container: str
    subtype: str
    most_channels: int
    rates: tuple[int, ...] = ()


FORMS: dict[Encoding, Form] = {
    "wav": Form("WAV", "PCM_16", 1024),
    "flac": Form("FLAC", "PCM_16", 8),
    "ogg": Form("OGG", "VORBIS", 255),
    "mp3": Form("MP3", "MPEG_LAYER_III", 2, (8000, 11025, 12000, 16000, 22050, 24000, 32000, 44100, 48000)),
    "opus": Form("OGG", "OPUS", 255, (8000, 12000, 16000, 24000, 48000)),
}


class Survey(NamedTuple):
    """What a file will hold: how many frames, and the highest sum of its channels (32768 is full scale)."""

    frames: int
    peak: int

    @property
    def gain(self) -> float:
        """The factor by which nothing clips; 1 where nothing would."""
        return min(1.0, (FULL_SCALE - 1) / self.peak) if self.peak else 1.0


def fitting_rate(rate: int, encoding: Encoding) -> int:
    """The rate itself, the next higher one that an encoding has, or its highest."""
    rates = FORMS[encoding].rates
    return next((one for one in rates if one >= rate), rates[-1]) if rates else rate


def survey(channels: Channels, rate: int) -> Survey:
    """Read everything once."""
    frames, peak = 0, 0
    for block in _blocks(channels, rate):
        frames += max(len(pcm) // SAMPLE_BYTES for tracks in block for pcm in tracks)
        for tracks in block:
            if tracks and tracks[0]:
                total = added(tracks)
                peak = max(peak, int(total.max()), -int(total.min()))
    return Survey(frames, peak)


def write_channels(channels: Channels, rate: int, encoding: Encoding, target: Path) -> Survey:
    """Write the channels as one file at `rate`; a channel without tracks is silent, and so is what follows an end.

    The file is there whole or not at all. OSError where the disk refuses; UsageError where the encoding cannot hold it.
    """
    found = survey(channels, rate)
    draft = draft_of(target)
    try:
        fd = os.open(draft, os.O_RDWR | os.O_CREAT | os.O_TRUNC, 0o600)
        try:
            encode(channels, rate, encoding, fd, found)
        finally:
            os.close(fd)
        draft.replace(target)
    finally:
        draft.unlink(missing_ok=True)
    return found


def encode(
    channels: Channels,
    rate: int,
    encoding: Encoding,
    file: IO[bytes] | int,
    found: Survey,
    compression: float | None = None,
) -> None:
    """Write the channels into an open file; errors as of `write_channels`.

    A disk that refuses is told by libsndfile only of a descriptor: of other files, Python prints it to stderr.
    """
    form = FORMS[encoding]
    if len(channels) > form.most_channels:
        raise UsageError(
            f"{len(channels)} channels are more than {encoding} can hold, which are {form.most_channels}",
            "take --format wav, or --as mono",
        )
    beyond = encoding == "wav" and found.frames * len(channels) * SAMPLE_BYTES > _MOST_WAV
    container = "RF64" if beyond else form.container
    try:
        with soundfile.SoundFile(
            file, "w", rate, len(channels), form.subtype, format=container, compression_level=compression, closefd=False
        ) as out:
            for block in _blocks(channels, rate):
                frames = _frames(block, found.gain)
                out.write(frames if form.subtype == "PCM_16" else frames / np.float32(FULL_SCALE))
    except (soundfile.SoundFileError, AssertionError) as error:  # a short write is an assertion of soundfile's
        reason = getattr(error, "error_string", "").rstrip(".") or "it was not written whole"
        raise OSError(f"cannot write {encoding} at {rate} Hz: {reason}") from error


def write_stereo(left: Path | None, right: Path | None, target: Path) -> None:
    """Write mono files as the two channels of a WAV at the higher of their rates; one of them may be missing.

    The file is there whole or not at all. OSError where the disk refuses; ValueError where both are missing.
    """
    rate = max(soundfile.info(path).samplerate for path in (left, right) if path is not None)
    write_channels([[file_source(path)] if path is not None else [] for path in (left, right)], rate, "wav", target)


def file_source(path: Path) -> Source:
    """An audio file as a track."""
    return lambda: read_audio(path)


def _blocks(channels: Channels, rate: int) -> Iterator[list[list[bytes]]]:
    """All tracks by channel, in blocks of one length, which the end of a track is filled up to with silence."""
    waiting = [b"" for tracks in channels for _ in tracks]
    reading = [_resampled(source, rate) for tracks in channels for source in tracks]
    while True:
        pieces = [next(side, None) for side in reading]
        over = all(piece is None for piece in pieces)
        waiting = [old + (new or b"") for old, new in zip(waiting, pieces, strict=True)]
        going_on = [len(side) for side, piece in zip(waiting, pieces, strict=True) if piece is not None]
        size = max(map(len, waiting), default=0) if over else min(going_on)
        if size:
            sides = iter([side[:size].ljust(size, b"\0") for side in waiting])
            yield [[next(sides) for _ in tracks] for tracks in channels]
            waiting = [side[size:] for side in waiting]
        if over:
            return


def _resampled(source: Source, rate: int) -> Iterator[bytes]:
    resampler: Resampler | None = None
    for chunk in source():
        resampler = resampler or Resampler(chunk.rate, rate)
        yield resampler.push(chunk.pcm)
    if resampler is not None:
        yield resampler.flush()


def _frames(block: Sequence[Sequence[bytes]], gain: float) -> NDArray[Any]:
    """A row per frame. Only floats may go into a lossy file: libsndfile 1.2 makes noise of 16-bit stereo in an MP3."""
    length = max(len(pcm) for tracks in block for pcm in tracks) // SAMPLE_BYTES
    frames = np.zeros((length, len(block)), dtype="<i2")
    for number, tracks in enumerate(block):
        if tracks:
            frames[:, number] = np.frombuffer(mix(tracks, gain), dtype="<i2")
    return frames
