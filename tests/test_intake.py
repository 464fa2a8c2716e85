"""What arrives broken: half samples, headers and changing rates, compared with the true signal."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.signals import RATE, counting, spaced, speech, tone

from audiotap.audio import Chunk, roughness
from audiotap.intake import ODD_CHUNKS, Intake, wav_data_offset
from audiotap.writing import wav_header


class Taken:
    """An intake, what it was told to say, and all it let through."""

    def __init__(self, rate: int = RATE) -> None:
        self.notices: list[str] = []
        self.intake = Intake(rate, self.notices.append)
        self.pcm = b""

    def take(self, pcm: bytes, rate: int = RATE) -> bytes:
        taken = self.intake.take(Chunk(pcm, rate))
        self.pcm += taken
        return taken


@given(st.lists(st.integers(0, 400), max_size=20))
def test_whole_samples_pass_untouched(sizes: list[int]) -> None:
    """Nothing is mended, said or held back where nothing is wrong, whatever the sizes of chunks."""
    taken = Taken()
    sound = speech()
    for size in sizes:
        assert taken.take(sound[: 2 * size]) == sound[: 2 * size]
    assert taken.notices == []


@given(st.lists(st.integers(200, 3000), min_size=1, max_size=8))
def test_speech_cut_inside_samples_comes_out_whole(sizes: list[int]) -> None:
    """A stream cut at any byte is joined again, sample by sample, through silence as well."""
    taken = Taken()
    sound = speech()
    at = 0
    while at < len(sound):
        size = sizes[at % len(sizes)]
        taken.take(sound[at : at + size])
        at += size
    assert taken.pcm == sound
    assert len(taken.notices) == len(set(taken.notices)) <= 2


def test_a_silence_of_whole_chunks_does_not_forget_the_half_sample() -> None:
    """Even chunks in the middle of a stream that is askew: the speech after the silence is no noise."""
    taken = Taken()
    sound = tone(0.1) + bytes(640) + tone(0.1)
    for piece in (slice(0, 3201), slice(3201, 3521), slice(3521, None)):
        taken.take(sound[piece])
    assert taken.pcm == sound


@given(st.integers(0, 255), st.integers(100, 800))
def test_a_stray_byte_behind_a_chunk_is_dropped(stray: int, size: int) -> None:
    """A byte too many once is not the beginning of what follows: the sound goes on, never as noise."""
    taken = Taken()
    sound = tone(1)
    head = 2 * size
    taken.take(sound[:head] + bytes([stray]))
    for piece in spaced(len(sound) - head, 640):
        taken.take(sound[head:][piece])
    assert taken.pcm == sound
    assert taken.intake.flaws.odd_bytes_dropped == 1
    assert len(taken.notices) == 1


def test_a_stray_byte_behind_every_chunk_is_dropped() -> None:
    """A bot that always sends one byte too many is heard as it sounds; told is what is done, then whose fault it is."""
    taken = Taken()
    sound = speech()
    for piece in spaced(len(sound), 640):
        taken.take(sound[piece] + b"\x7f")
    assert roughness(taken.pcm) < 1.1 * roughness(sound)
    assert len(taken.pcm) == pytest.approx(len(sound), abs=640)
    assert [notice.partition(":")[0] for notice in taken.notices] == [
        "chunks with an odd number of bytes",
        "every chunk has an odd number of bytes",
    ]


@given(st.integers(0, ODD_CHUNKS + 20))
def test_a_sender_that_always_cuts_samples_in_half_is_named(odd: int) -> None:
    """It takes the first fifty chunks, all of them, empty ones left out; after one whole chunk it is never said."""
    taken = Taken()
    for _ in range(odd):
        taken.take(b"")
        taken.take(bytes(641))
    taken.take(bytes(640))
    for _ in range(2 * ODD_CHUNKS):
        taken.take(bytes(641))
    told = [notice for notice in taken.notices if notice.startswith("every chunk has an odd number of bytes")]
    assert len(told) == (odd >= ODD_CHUNKS)


@given(st.lists(st.tuples(st.binary(max_size=50), st.sampled_from([1000, 8000, 16000, 48000, 384_000])), max_size=10))
def test_anything_becomes_whole_samples(chunks: list[tuple[bytes, int]]) -> None:
    """No bytes and no rates break an intake, and nothing but whole samples comes out."""
    taken = Taken()
    for pcm, rate in chunks:
        assert len(taken.take(pcm, rate)) % 2 == 0


def test_empty_chunks_are_nothing() -> None:
    """They neither make samples nor lose a half one."""
    taken = Taken()
    sound = tone(0.1)
    for piece in (b"", sound[:1601], b"", b"", sound[1601:], b""):
        taken.take(piece)
    assert taken.pcm == sound


def test_a_header_is_cut_out_of_every_chunk_and_told_once() -> None:
    """A bot that sends WAV files instead of samples is heard without the clicks."""
    taken = Taken()
    sound = speech()[:64000]
    for piece in spaced(len(sound), 6400):
        taken.take(wav_header(RATE, 3200) + sound[piece])
    assert taken.pcm == sound
    assert taken.intake.flaws.riff_headers == 10
    assert len(taken.notices) == 1


def test_samples_begin_behind_every_chunk_of_a_header() -> None:
    """Lists before the data are skipped with their padding; a header cut short holds no samples."""
    header = wav_header(RATE, 100)
    listed = header[:-8] + b"LIST\x03\0\0\0abc\0" + header[-8:]
    assert wav_data_offset(header + b"samples") == len(header)
    assert wav_data_offset(listed + b"samples") == len(header) + 12
    assert wav_data_offset(header[:30]) == 30


@pytest.mark.parametrize("pcm", [b"", b"RIFF", b"RIFF\0\0\0\0WAVX" + bytes(100), b"riff" + bytes(100), bytes(100)])
def test_what_only_looks_like_a_header_is_sound(pcm: bytes) -> None:
    """Bytes that happen to begin with RIFF are samples."""
    taken = Taken()
    assert wav_data_offset(pcm) is None
    assert taken.take(pcm) == pcm
    assert taken.notices == []


def test_a_changed_rate_is_resampled() -> None:
    """A tone whose rate changes on the way is the same tone of the right length, and told about once."""
    taken = Taken()
    for rate in (16000, 8000, 24000, 16000, 48000, 16000):
        for piece in spaced(2 * rate, rate // 5):
            taken.take(tone(1, rate)[piece], rate)
    assert len(taken.pcm) // 2 == pytest.approx(6 * RATE, abs=6)
    assert roughness(taken.pcm) == pytest.approx(roughness(tone(6)), rel=0.01)
    assert taken.intake.flaws.rate_changes == 5
    assert len(taken.notices) == 1


@given(st.lists(st.tuples(st.sampled_from([8000, 16000, 24000, 48000]), st.integers(1, 50)), max_size=12))
def test_seconds_stay_seconds_whatever_the_rates(chunks: list[tuple[int, int]]) -> None:
    """Every change of rate may round by a sample, and none is lost or stays behind in a filter."""
    taken = Taken()
    for rate, milliseconds in chunks:
        taken.take(counting(rate // 1000 * milliseconds), rate)
    taken.take(b"", RATE)
    wanted = sum(milliseconds for _, milliseconds in chunks) * RATE // 1000
    assert len(taken.pcm) // 2 == pytest.approx(wanted, abs=len(chunks))
