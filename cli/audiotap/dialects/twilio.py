"""Twilio's Media Streams: JSON text frames with an `event`, µ-law at 8000 Hz as base64 inside, for each leg of a call.

Sources: twilio.com/docs/voice/media-streams/websocket-messages and .../voice/twiml/stream. `timestamp` is that of a
chunk's first sample, in milliseconds since the stream began. A stream is one connection, and never comes back.
"""

from __future__ import annotations

from typing import Any, ClassVar

import msgspec

from audiotap.audio import Chunk, from_ulaw, to_ulaw
from audiotap.dialects.base import (
    MAX_OCCURRENCE,
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
from audiotap.events import UNASKED, Asked, Event, Heard, Mark, Occurred, Speak, Stop, Unknown
from audiotap.session import Timing

RATE = 8000
ENCODING = "audio/x-mulaw"
INBOUND = "inbound"
CONNECTED, START, MEDIA, MARK, CLEAR = "connected", "start", "media", "mark", "clear"
OCCURRENCES = frozenset({START, "dtmf", MARK, "stop"})


class _Media(msgspec.Struct, gc=False):
    payload: msgspec.Raw
    track: Text = INBOUND
    timestamp: Text | float | None = None


class _Message(msgspec.Struct, gc=False):
    """A whole message of audio, which nearly all are: one pass over it is enough."""

    event: Text
    streamSid: Text  # noqa: N815 - as the wire has it
    media: _Media


class _Format(msgspec.Struct, frozen=True):
    encoding: Text = ENCODING
    sampleRate: int = RATE  # noqa: N815
    channels: int = 1


class _Start(msgspec.Struct):
    callSid: Text | None = None  # noqa: N815
    mediaFormat: _Format = _Format()  # noqa: N815


class _Named(msgspec.Struct):
    name: Text


class _Envelope(msgspec.Struct):
    event: Text
    streamSid: Text | None = None  # noqa: N815
    protocol: Text | None = None
    start: _Start | None = None
    mark: _Named | None = None


_MESSAGE = msgspec.json.Decoder(_Message)
_ENVELOPE = msgspec.json.Decoder(_Envelope)
_ANY_DICT = msgspec.json.Decoder(dict[str, Any])


class Twilio:
    """One connection's worth of it. The stream is named in all that is said in either direction."""

    name: ClassVar[str] = "twilio"
    knows: ClassVar[frozenset[type]] = frozenset({Speak, Stop, Mark})
    rates: tuple[int, ...] = (RATE,)
    timing: ClassVar[Timing] = Timing(tolerance=0.1, linger=5.0, retries=5.0)
    spellings: ClassVar[tuple[str, ...]] = ()

    def __init__(self, side: Side, _: Asked = UNASKED) -> None:
        self.side = side
        self._stream = ""
        self._said = 0

    @staticmethod
    def claims(wire: Wire, _: Asked) -> bool:
        told = whole(_ENVELOPE, wire)
        return told is not None and (told.streamSid is not None or (told.event == CONNECTED and bool(told.protocol)))

    def decode(self, wire: Wire) -> list[Event]:
        message = whole(_MESSAGE, wire)
        if message is None or message.event != MEDIA:
            told = lenient(_ENVELOPE, wire)
            if told.event != MEDIA:
                return self._told(told, str(wire))
            message = lenient(_MESSAGE, wire)
        self._stream = message.streamSid
        chunk = Chunk(from_ulaw(samples(message.media.payload, "$.media.payload")), RATE)
        if self.side is Side.THEIRS:
            return [Speak(chunk)]
        return [Heard(message.streamSid, participant_track(message.media.track), chunk, _seconds(message.media))]

    def encode(self, event: Event) -> list[Wire]:
        match event:
            case Heard(session=session):
                return [self._spell(MEDIA, session, self._heard(event))]
            case Occurred(kind=kind, data=data):
                connected = {"event": CONNECTED, "protocol": "Call", "version": "1.0.0"}
                told = [connected, data] if kind == START else [data]
                return [msgspec.json.encode(one).decode() for one in told]
            case Speak(chunk) if chunk.rate == RATE:
                return [self._spell(MEDIA, self._stream, {"payload": to_ulaw(chunk.pcm)})]
            case Stop():
                return [self._spell(CLEAR, self._stream)]
            case Mark(name):
                return [self._spell(MARK, self._stream, {"name": name})]
            case Unknown():
                return [event.wire]
            case _:
                raise UnspokenError(f"Twilio has no word for {type(event).__name__}, and speech at {RATE} Hz only")

    def _told(self, told: _Envelope, wire: str) -> list[Event]:
        """Everything but audio."""
        if told.event == CONNECTED:
            return []
        if told.streamSid is None:
            raise WireError(f"{told.event} without a streamSid")
        self._stream = told.streamSid
        if self.side is Side.THEIRS and told.event == CLEAR:
            return [Stop()]
        if self.side is Side.THEIRS and told.event == MARK and told.mark is not None:
            return [Mark(told.mark.name)]
        if told.event not in OCCURRENCES:
            return [Unknown(told.event, wire, told.streamSid)]
        if len(wire) > MAX_OCCURRENCE:
            raise WireError(f"{told.event} with {len(wire)} characters")
        if told.start is not None and told.start.mediaFormat != _Format():
            form = told.start.mediaFormat
            raise WireError(f"a stream of {form.encoding}, {form.sampleRate} Hz, {form.channels} channel(s)")
        call = told.start.callSid if told.start is not None else None
        return [Occurred(told.streamSid, told.event, lenient(_ANY_DICT, wire), bot=call)]

    def _heard(self, heard: Heard) -> dict[str, Any]:
        self._said += 1
        data: dict[str, Any] = {"track": track_participant(heard.track), "chunk": str(self._said)}
        if heard.at is not None:
            data["timestamp"] = str(round(heard.at * 1000))
        return data | {"payload": to_ulaw(heard.chunk.pcm)}

    def _spell(self, event: str, stream: str, data: dict[str, Any] | None = None) -> str:
        message: dict[str, Any] = {"event": event, "streamSid": stream}
        if self._said:
            message["sequenceNumber"] = str(self._said + 1)
        if data is not None:
            message[event] = data
        return msgspec.json.encode(message).decode()


def _seconds(media: _Media) -> float | None:
    if media.timestamp is None:
        return None
    try:
        return float(media.timestamp) / 1000
    except ValueError as error:
        raise WireError("a timestamp that is no number - at `$.media.timestamp`") from error
