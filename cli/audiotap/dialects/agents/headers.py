"""What encoded audio tells of itself in its first bytes: WAV and MP3.

Sources: Microsoft, "Multimedia Programming Interface and Data Specifications 1.0", RIFF and WAVE; ISO/IEC 11172-3 and
13818-3, the header of a frame of layer III; id3.org, "ID3 tag version 2.4.0", section 3.1.
"""

from __future__ import annotations

import struct

import msgspec

from audiotap.audio import RATES, SAMPLE_BYTES
from audiotap.errors import WireError
from audiotap.intake import wav_data_offset

MP3 = "mp3"
_PCM = 1
_ID3 = 10
"""Bytes of the head of an ID3 tag."""
_MPEG1 = 3
_RATES = {_MPEG1: (44100, 48000, 32000), 2: (22050, 24000, 16000), 0: (11025, 12000, 8000)}
_MPEG1_KILOBITS = (32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320)
_MPEG2_KILOBITS = (8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160)


class Bare(msgspec.Struct, frozen=True, gc=False):
    """The samples behind a WAV header, and what it says of them."""

    pcm: bytes
    rate: int


class Frame(msgspec.Struct, frozen=True, gc=False):
    """A frame of MP3: samples and bits per second, channels, and its bytes."""

    rate: int
    bit_rate: int
    channels: int
    size: int


def without_wav_header(data: bytes) -> Bare | None:
    """What stands behind a WAV header; None if there is none. WireError if that is no mono S16LE."""
    start = wav_data_offset(data)
    if start is None:
        return None
    form = data.find(b"fmt ", 12, start)
    if form < 0 or form + 24 > len(data):
        raise WireError("a WAV header that doesn't tell its form")
    kind, channels, rate, _, _, bits = struct.unpack_from("<HHIIHH", data, form + 8)
    if (kind, channels, bits) != (_PCM, 1, 8 * SAMPLE_BYTES) or rate not in RATES:
        raise WireError(f"a WAV of form {kind} with {channels} channels of {bits} bits at {rate} Hz")
    return Bare(data[start:], rate)


def with_wav_header(pcm: bytes, rate: int) -> bytes:
    """Mono S16LE as a WAV."""
    form = struct.pack("<4sIHHIIHH", b"fmt ", 16, _PCM, 1, rate, rate * SAMPLE_BYTES, SAMPLE_BYTES, 8 * SAMPLE_BYTES)
    body = b"WAVE" + form + struct.pack("<4sI", b"data", len(pcm)) + pcm
    return struct.pack("<4sI", b"RIFF", len(body)) + body


def is_mp3(data: bytes) -> bool:
    """Whether bytes begin as an MP3 does: with an ID3 tag, or with two frames in a row.

    One frame's header alone would often be found in samples, for they are four bytes like any others.
    """
    if id3_size(data):
        return True
    frame = mp3_frame(data)
    return frame is not None and mp3_frame(data, frame.size) is not None


def mp3_frame(data: bytes, at: int = 0) -> Frame | None:
    """What the header of a frame says that begins at a byte; None if none does."""
    if at + 4 > len(data) or data[at] != 0xFF or data[at + 1] & 0xE6 != 0xE2:
        return None
    version, bits, rates, padding = (
        data[at + 1] >> 3 & 3,
        data[at + 2] >> 4,
        data[at + 2] >> 2 & 3,
        data[at + 2] >> 1 & 1,
    )
    if version not in _RATES or bits in {0, 15} or rates == 3:
        return None
    rate = _RATES[version][rates]
    bit_rate = 1000 * (_MPEG1_KILOBITS if version == _MPEG1 else _MPEG2_KILOBITS)[bits - 1]
    size = (144 if version == _MPEG1 else 72) * bit_rate // rate + padding
    return Frame(rate, bit_rate, 1 if data[at + 3] >> 6 == 3 else 2, size)


def id3_size(data: bytes) -> int:
    """Bytes of the ID3 tag that bytes begin with; 0 if there is none."""
    if len(data) < _ID3 or data[:3] != b"ID3" or 0xFF in data[3:5] or max(data[6:10]) >= 0x80:
        return 0
    return _ID3 + sum(byte << 7 * place for place, byte in enumerate(reversed(data[6:10])))
