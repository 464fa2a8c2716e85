"""MeetStream's bots: binary frames that name their speaker, and JSON commands on another connection of the same bot.

Sources: docs.meetstream.ai, "Live Audio Capture & Frame Decoding" and "External Meeting Control & Command Patterns",
and README files of meetstream-ai/labs for `interrupt`. Both connections begin alike; nothing bears a time.
"""

from __future__ import annotations

import struct
from typing import Any, ClassVar

import msgspec

from audiotap.audio import RATES, Chunk
from audiotap.dialects.base import (
    MAX_OCCURRENCE,
    MAX_TEXT,
    Side,
    Text,
    Wire,
    lenient,
    participant_track,
    samples,
    track_participant,
    whole,
)
from audiotap.errors import UnspokenError, WireError
from audiotap.events import UNASKED, Asked, Event, Heard, Occurred, Speak, Stop, Unknown
from audiotap.session import Timing

RATE = 48000
READY = "ready"
SEND_AUDIO = "sendaudio"
INTERRUPT = "interrupt"
AUDIO_FRAME = 1
_LENGTH = struct.Struct("<H")


class _Message(msgspec.Struct):
    type: Text | None = None
    command: Text | None = None
    bot_id: Text | None = None
    audiochunk: msgspec.Raw = msgspec.Raw(b'""')
    sample_rate: int = RATE


_MESSAGE = msgspec.json.Decoder(_Message)
_ANY_DICT = msgspec.json.Decoder(dict[str, Any])


class MeetStream:
    """One connection's worth of it: one that brings audio takes no commands, and the other way round."""

    name: ClassVar[str] = "meetstream"
    knows: ClassVar[frozenset[type]] = frozenset({Speak, Stop})
    rates: tuple[int, ...] = (RATE,)
    timing: ClassVar[Timing] = Timing(tolerance=0.1, linger=30.0, retries=330.0)
    spellings: ClassVar[tuple[str, ...]] = ()

    def __init__(self, side: Side, _: Asked = UNASKED) -> None:
        self.side = side
        self._bot: str | None = None
        self._brings_audio = False

    @staticmethod
    def claims(wire: Wire, _: Asked) -> bool:
        told = whole(_MESSAGE, wire)
        return told is not None and told.type == READY and told.bot_id is not None

    def decode(self, wire: Wire) -> list[Event]:
        if isinstance(wire, bytes):
            return [self._heard(wire)]
        told = lenient(_MESSAGE, wire)
        if self.side is Side.THEIRS and told.command == SEND_AUDIO:
            if told.sample_rate not in RATES:
                raise WireError(f"a sample rate of {told.sample_rate}")
            return [Speak(Chunk(samples(told.audiochunk, "$.audiochunk"), told.sample_rate))]
        if self.side is Side.THEIRS and told.command == INTERRUPT:
            return [Stop()]
        if told.type != READY or told.bot_id is None:
            kind = told.type or told.command
            if kind is None:
                raise WireError("neither a type nor a command")
            return [Unknown(kind, wire, told.bot_id or self._bot)]
        if len(wire) > MAX_OCCURRENCE:
            raise WireError(f"{READY} with {len(wire)} characters")
        if self._bot not in {None, told.bot_id}:
            raise WireError("another bot on the same connection")
        self._bot = told.bot_id
        return [Occurred(told.bot_id, READY, lenient(_ANY_DICT, wire))]

    def encode(self, event: Event) -> list[Wire]:
        match event:
            case Heard():
                return [_frame(event)]
            case Occurred(session=session, data=data):
                self._bot = session
                return [_spell(data)]
            case Speak() | Stop() if self._brings_audio:
                raise UnspokenError("this connection brings audio, and takes no commands")
            case Speak(chunk) if chunk.rate == RATE:
                told = {"audiochunk": chunk.pcm, "sample_rate": RATE, "encoding": "pcm16"}
                return [self._command(SEND_AUDIO, told | {"channels": 1, "endianness": "little"})]
            case Stop():
                return [self._command(INTERRUPT, {"action": "clear_audio_queue"})]
            case Unknown():
                return [event.wire]
            case _:
                raise UnspokenError(f"MeetStream has no word for {type(event).__name__}, and speech at {RATE} Hz only")

    def _heard(self, wire: bytes) -> Heard:
        """A frame: its type, who speaks, by id and name, and samples."""
        if self._bot is None:
            raise WireError(f"a binary message of {len(wire)} bytes before any word")
        if not wire or wire[0] != AUDIO_FRAME:
            raise WireError(f"a binary message of {len(wire)} bytes that is no audio frame")
        speaker, at = _text(wire, 1)
        name, at = _text(wire, at)
        if not speaker and not name:
            raise WireError("audio of nobody")
        self._brings_audio = True
        return Heard(self._bot, participant_track(speaker or name), Chunk(wire[at:], RATE), name=name or None)

    def _command(self, command: str, more: dict[str, Any]) -> str:
        return _spell({"command": command, "bot_id": self._bot or ""} | more)


def _text(wire: bytes, at: int) -> tuple[str, int]:
    """A text with its length before it, and where what follows begins."""
    try:
        (length,) = _LENGTH.unpack_from(wire, at)
        begin = at + _LENGTH.size
        text = wire[begin : begin + length].decode()
    except (struct.error, UnicodeDecodeError) as error:
        raise WireError(f"an audio frame of {len(wire)} bytes: {error}") from error
    if begin + length > len(wire) or len(text) > MAX_TEXT:
        raise WireError(f"an audio frame of {len(wire)} bytes, with a text of {length}")
    return text, begin + length


def _frame(heard: Heard) -> bytes:
    texts = [text.encode() for text in (track_participant(heard.track), heard.name or "")]
    if any(len(text) > 65535 for text in texts):
        raise UnspokenError("MeetStream has no room for so long a name")
    return b"".join((bytes([AUDIO_FRAME]), *(_LENGTH.pack(len(text)) + text for text in texts), heard.chunk.pcm))


def _spell(data: dict[str, Any]) -> str:
    return msgspec.json.encode(data).decode()
