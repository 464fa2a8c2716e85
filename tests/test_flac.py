"""FLAC in the place of a WAV, and a WAV that stays when that fails."""

from __future__ import annotations

import resource
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from tests.signals import RATE, counting, pcm, speech, tone

from audiotap.flac import BLOCK, to_flac
from audiotap.reading import read_all, read_audio
from audiotap.writing import WavWriter, wav_header

NOISE = pcm(np.random.default_rng(1).integers(-32768, 32768, 100_000))
"""What no encoder makes shorter."""


def recorded(path: Path, sound: bytes, rate: int = RATE) -> Path:
    """A finished WAV."""
    writer = WavWriter(path, rate)
    if sound:
        writer.write(0, sound)
    writer.close()
    return path


@contextmanager
def room_for(size: int) -> Iterator[None]:
    """A disk on which files end at a size."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@pytest.mark.parametrize("rate", [1000, 8000, 11_111, 16_000, 44_100, 48_000, 65_535, 96_000, 384_000])
@pytest.mark.parametrize(
    "sound",
    [b"", counting(1), NOISE, speech(), bytes(2 * 3 * BLOCK), counting(BLOCK), counting(BLOCK + 1)],
    ids=["nothing", "a sample", "noise", "speech", "silence", "a block", "more than a block"],
)
def test_a_flac_takes_the_place_of_its_wav(tmp_path: Path, sound: bytes, rate: int) -> None:
    """It holds every sample at the same rate, is as private, and is all there is in the folder."""
    flac = to_flac(recorded(tmp_path / "100_Ana.B.wav", sound, rate))
    assert flac == tmp_path / "100_Ana.B.flac"
    assert list(tmp_path.iterdir()) == [flac]
    assert flac.stat().st_mode & 0o777 == 0o600
    with soundfile.SoundFile(flac) as file:
        assert (file.format, file.subtype, file.channels, file.samplerate) == ("FLAC", "PCM_16", 1, rate)
    assert b"".join(chunk.pcm for chunk in read_audio(flac)) == sound


def test_silence_between_is_kept(tmp_path: Path) -> None:
    """The hole of a track is silence in the FLAC as well, and takes as little space."""
    writer = WavWriter(tmp_path / "mixed.wav", RATE)
    writer.write(600 * RATE, counting(160))
    writer.close()
    flac = to_flac(writer.path)
    assert read_all(flac, RATE) == bytes(2 * 600 * RATE) + counting(160)
    assert flac.stat().st_size < 100_000


@pytest.mark.parametrize("size", [0, 10, 50, 5000, 100_000, 199_000])
def test_a_full_disk_keeps_the_wav(tmp_path: Path, size: int) -> None:
    """Wherever it is that the FLAC finds no more room, also where libsndfile says nothing of it."""
    wav = recorded(tmp_path / "mixed.wav", NOISE)
    with room_for(size), pytest.raises(OSError, match=r"mixed\.flac"):
        to_flac(wav)
    assert list(tmp_path.iterdir()) == [wav]
    assert wav.read_bytes() == wav_header(RATE, len(NOISE) // 2) + NOISE
    assert read_all(to_flac(wav), RATE) == NOISE


def test_a_short_write_keeps_the_wav(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An encoder that takes fewer samples than it was given has failed."""
    wav = recorded(tmp_path / "mixed.wav", tone(1))
    monkeypatch.setattr(soundfile.SoundFile, "_cdata_io", lambda *_: 0)
    with pytest.raises(OSError, match="not written whole"):
        to_flac(wav)
    assert list(tmp_path.iterdir()) == [wav]


@pytest.mark.parametrize("rate", [65_537, 96_001, 383_999])
def test_a_rate_that_flac_has_not_keeps_the_wav(tmp_path: Path, rate: int) -> None:
    """Above 65535 Hz it has only tens: the error says so and nothing is lost."""
    wav = recorded(tmp_path / "mixed.wav", counting(1000), rate)
    with pytest.raises(OSError, match=rf"mixed\.flac at {rate} Hz"):
        to_flac(wav)
    assert list(tmp_path.iterdir()) == [wav]
    assert read_all(wav, rate) == counting(1000)


@pytest.mark.parametrize("damage", ["a sample", "the end", "the rate", "one too many"])
def test_a_flac_that_differs_keeps_the_wav(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, damage: str) -> None:
    """Whatever an encoder may do wrong, it is found before the WAV goes."""
    written = soundfile.SoundFile.buffer_write
    opened = soundfile.SoundFile.__init__

    def write(file: soundfile.SoundFile, block: bytes, kind: str) -> None:
        changes = {"a sample": block[:-2] + b"\x01\x02", "the end": block[:-2], "one too many": block + b"\0\0"}
        written(file, changes.get(damage, block), kind)

    def begin(
        file: soundfile.SoundFile,
        name: int | Path,
        mode: str = "r",
        rate: int | None = None,
        *rest: object,
        **more: Any,
    ) -> None:
        opened(file, name, mode, 8000 if rate and damage == "the rate" else rate, *rest, **more)

    wav = recorded(tmp_path / "mixed.wav", tone(1))
    with monkeypatch.context() as patch:
        patch.setattr(soundfile.SoundFile, "buffer_write", write)
        patch.setattr(soundfile.SoundFile, "__init__", begin)
        with pytest.raises(OSError, match="does not hold"):
            to_flac(wav)
    assert list(tmp_path.iterdir()) == [wav]


@pytest.mark.parametrize(
    "content",
    [
        b"",
        wav_header(RATE, 100),
        wav_header(RATE, 100) + counting(101),
        wav_header(RATE, 100) + counting(100) + b"\0",
        b"RIFF" + bytes(40),
        bytes(100),
        b"\xff" * 100,
    ],
    ids=["empty", "cut off", "longer than told", "half a sample too long", "no rate", "zeros", "absurd"],
)
def test_what_is_no_finished_wav_stays(tmp_path: Path, content: bytes) -> None:
    """A file that holds something else than its header says is not replaced by what could be read of it."""
    path = tmp_path / "mixed.wav"
    path.write_bytes(content)
    with pytest.raises(OSError, match=r"mixed\.wav"):
        to_flac(path)
    assert list(tmp_path.iterdir()) == [path]
    assert path.read_bytes() == content


def test_a_flac_is_never_written_over(tmp_path: Path) -> None:
    """One that bears the name already stays, and so does the WAV; the draft of a killed run is in nobody's way."""
    wav = recorded(tmp_path / "mixed.wav", counting(100))
    taken = tmp_path / "mixed.flac"
    taken.write_bytes(b"precious")
    with pytest.raises(FileExistsError):
        to_flac(wav)
    assert taken.read_bytes() == b"precious"
    taken.rename(tmp_path / ".mixed.flac.tmp")
    assert read_all(to_flac(wav), RATE) == counting(100)
    assert [path.name for path in tmp_path.iterdir()] == ["mixed.flac"]
