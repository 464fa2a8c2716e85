"""MeetStream's frames and commands, as its pages have them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from audiotap.audio import Chunk
from audiotap.dialects.base import Side
from audiotap.dialects.meetstream import MeetStream
from audiotap.errors import UnspokenError, WireError
from audiotap.events import Heard, Speak, Stop

READY = (Path(__file__).parent / "fixtures" / "meetstream_hello.json").read_text()
ALICE = bytes.fromhex("01 07 00") + b"user_42" + bytes.fromhex("05 00") + b"Alice"
"""The page's own example: a frame from a speaker named "Alice" with ID "user_42"."""


def met() -> MeetStream:
    """A connection that has said its first words."""
    dialect = MeetStream(Side.OURS)
    dialect.decode(READY)
    return dialect


def test_a_frame_of_the_page() -> None:
    """Type, id and name with their lengths before them, and samples to the end."""
    heard = met().decode(ALICE + bytes([1, 0, 2, 0]))
    assert heard == [Heard("bot_abc123", "user_42", Chunk(bytes([1, 0, 2, 0]), 48000), name="Alice")]


@pytest.mark.parametrize("cut", range(len(ALICE)))
def test_a_frame_cut_short_is_malformed(cut: int) -> None:
    """Wherever it ends before its samples."""
    with pytest.raises(WireError, match=f"{cut} bytes"):
        met().decode(ALICE[:cut])


@pytest.mark.parametrize("frame", [b"\x02" + ALICE[1:], b"\x01\0\0\0\0pcm!", b"\x01\x01\0\xff\0\0", b"\x01\xff\xff"])
def test_other_frames_are_malformed(frame: bytes) -> None:
    """Another type, nobody's audio, an id that is no text, one that is longer than the frame."""
    with pytest.raises(WireError):
        met().decode(frame)


def test_the_page_s_commands() -> None:
    """Fields and their values are the page's; `interrupt` is that of the vendor's samples."""
    (wire,) = met().encode(Speak(Chunk(bytes(2), 48000)))
    assert json.loads(wire) == {
        "command": "sendaudio",
        "bot_id": "bot_abc123",
        "audiochunk": "AAA=",
        "sample_rate": 48000,
        "encoding": "pcm16",
        "channels": 1,
        "endianness": "little",
    }
    (wire,) = met().encode(Stop())
    assert json.loads(wire) == {"command": "interrupt", "bot_id": "bot_abc123", "action": "clear_audio_queue"}


def test_commands_go_where_no_audio_comes_from() -> None:
    """A bot's two connections begin alike; the one that brings audio is not the one for commands."""
    dialect = met()
    dialect.decode(ALICE)
    for event in (Speak(Chunk(bytes(2), 48000)), Stop()):
        with pytest.raises(UnspokenError, match="takes no commands"):
            dialect.encode(event)


def test_a_connection_has_one_bot() -> None:
    """Another bot's first words on it are malformed."""
    with pytest.raises(WireError, match="another bot"):
        met().decode(READY.replace("bot_abc123", "bot_2"))
