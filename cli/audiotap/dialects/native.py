"""Our own language, spoken on the control socket: every event as the JSON of its struct, audio as base64."""

from __future__ import annotations

import msgspec

from audiotap.dialects.base import lenient
from audiotap.events import ControlEvent

_DECODER: msgspec.json.Decoder[ControlEvent] = msgspec.json.Decoder(ControlEvent)
_ENCODER = msgspec.json.Encoder()


def decode(wire: str | bytes) -> ControlEvent:
    """The event of a message; WireError if it is none."""
    return lenient(_DECODER, wire)


def encode(event: ControlEvent) -> str:
    """The message of an event."""
    return _ENCODER.encode(event).decode()
