"""Recall.ai's realtime endpoints (API v1.11): JSON text frames with an `event`, audio as base64 inside.

Sources: docs.recall.ai, "Receive Real-Time Audio From Bot" and "How to get Separate Audio per Participant (Realtime)".
`timestamp.relative` is the time of a buffer's FIRST byte, in seconds since the recording began. There is no way to
speak.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any, ClassVar

import msgspec

from audiotap.audio import Chunk
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
from audiotap.events import MIXED, UNASKED, Asked, Event, Heard, Occurred, Unknown
from audiotap.session import Timing

RATE = 16000
HEARD_MIXED = "audio_mixed_raw.data"
HEARD_SEPARATE = "audio_separate_raw.data"
_AUDIO_KINDS = {HEARD_MIXED, HEARD_SEPARATE}
OCCURRENCES = ("participant_events.", "transcript.")


class _Id(msgspec.Struct, gc=False):
    id: Text


class _Time(msgspec.Struct, gc=False):
    relative: float | None = None


class _Participant(msgspec.Struct, gc=False):
    id: int | Text
    name: Text | None = None


class _Audio(msgspec.Struct, gc=False):
    buffer: msgspec.Raw
    timestamp: _Time | None = None
    participant: _Participant | None = None


class _Payload(msgspec.Struct):
    recording: _Id
    data: msgspec.Raw
    bot: _Id | None = None


class _Envelope(msgspec.Struct):
    event: Text
    data: msgspec.Raw


class _Word(msgspec.Struct):
    start_timestamp: _Time | None = None


class _Occurrence(msgspec.Struct):
    """Where an occurrence tells its time and its participant; everything else is kept as it came."""

    timestamp: _Time | None = None
    participant: _Participant | None = None
    words: list[_Word] = []


class _AudioPayload(msgspec.Struct, gc=False):
    recording: _Id
    data: _Audio
    bot: _Id | None = None


class _Message(msgspec.Struct, gc=False):
    """A whole message of audio, which nearly all are: one pass over it is enough."""

    event: Text
    data: _AudioPayload


_MESSAGE = msgspec.json.Decoder(_Message)
_ENVELOPE = msgspec.json.Decoder(_Envelope)
_AUDIO = msgspec.json.Decoder(_AudioPayload)
_PAYLOAD = msgspec.json.Decoder(_Payload)
_OCCURRENCE = msgspec.json.Decoder(_Occurrence)
_ANY_DICT = msgspec.json.Decoder(dict[str, Any])


class Recall:
    """One connection's worth of Recall's language. `began` is the POSIX time of relative 0, told in what we encode."""

    name: ClassVar[str] = "recall"
    knows: ClassVar[frozenset[type]] = frozenset()
    rates: tuple[int, ...] = ()
    timing: ClassVar[Timing] = Timing(tolerance=0.05, linger=300.0, retries=300.0)
    spellings: ClassVar[tuple[str, ...]] = ()

    def __init__(self, side: Side, _: Asked = UNASKED) -> None:
        self.side = side
        self.began = 0.0

    @staticmethod
    def claims(wire: Wire, _: Asked) -> bool:
        try:
            lenient(_ENVELOPE, wire)
        except WireError:
            return False
        return True

    def decode(self, wire: Wire) -> list[Event]:
        """The one event of a message. The artifact's key (`audio_mixed`, `audio_mixed_raw`, …) is not depended on."""
        message = whole(_MESSAGE, wire)
        if message is not None and message.event in _AUDIO_KINDS:
            return [_heard(message.data, mixed=message.event == HEARD_MIXED)]
        envelope = lenient(_ENVELOPE, wire)
        body = bytes(envelope.data).decode()
        if envelope.event == HEARD_MIXED:
            return [_heard(lenient(_AUDIO, body), mixed=True)]
        if envelope.event == HEARD_SEPARATE:
            return [_heard(lenient(_AUDIO, body), mixed=False)]
        if envelope.event.startswith(OCCURRENCES):
            return [_occurred(envelope.event, lenient(_PAYLOAD, body))]
        return [Unknown(envelope.event, str(wire), _recording(body))]

    def encode(self, event: Event) -> list[Wire]:
        match event:
            case Heard():
                return [self._spell_heard(event)]
            case Occurred():
                return [_spell(event.kind, event.session, event.bot, event.data)]
            case Unknown():
                return [event.wire]
            case _:
                raise UnspokenError(
                    f"Recall has no word for {type(event).__name__}: it speaks through its REST API only"
                )

    def _spell_heard(self, heard: Heard) -> str:
        data: dict[str, Any] = {"buffer": heard.chunk.pcm}
        if heard.at is not None:
            data["timestamp"] = timestamp(self.began, heard.at)
        if heard.track == MIXED:
            return _spell(HEARD_MIXED, heard.session, heard.bot, data, "audio_mixed")
        data["participant"] = participant(heard.track, heard.name)
        return _spell(HEARD_SEPARATE, heard.session, heard.bot, data, "audio_separate")


def timestamp(began: float, at: float) -> dict[str, Any]:
    """Recall's form of a time that is `at` seconds after the recording began."""
    absolute = datetime.fromtimestamp(began, UTC) + timedelta(seconds=at)
    return {
        "relative": at,
        "absolute": absolute.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
    }


def participant(track: str, name: str | None) -> dict[str, Any]:
    """Recall's form of a participant; its ids are numbers."""
    told = track_participant(track)
    number: int | str = int(told) if told.isascii() and told.isdigit() and str(int(told)) == told else told
    return {"id": number, "name": name, "is_host": False, "platform": "desktop", "extra_data": {}}


def _heard(payload: _AudioPayload, *, mixed: bool) -> Heard:
    audio = payload.data
    if mixed:
        track, name = MIXED, None
    elif audio.participant is None:
        raise WireError("separate audio without a participant")
    else:
        track, name = participant_track(audio.participant.id), audio.participant.name
    at = audio.timestamp.relative if audio.timestamp is not None else None
    bot = payload.bot.id if payload.bot is not None else None
    return Heard(payload.recording.id, track, Chunk(samples(audio.buffer, "$.data.data.buffer"), RATE), at, name, bot)


def _occurred(kind: str, payload: _Payload) -> Occurred:
    body = bytes(payload.data).decode()
    if len(body) > MAX_OCCURRENCE:
        raise WireError(f"{kind} with {len(body)} characters")
    told = lenient(_OCCURRENCE, body)
    time = told.timestamp or (told.words[0].start_timestamp if told.words else None)
    return Occurred(
        payload.recording.id,
        kind,
        lenient(_ANY_DICT, body),
        time.relative if time is not None else None,
        payload.bot.id if payload.bot is not None else None,
        participant_track(told.participant.id) if told.participant is not None else None,
        told.participant.name if told.participant is not None else None,
    )


def _recording(body: str) -> str | None:
    try:
        return lenient(_PAYLOAD, body).recording.id
    except WireError:
        return None


def _spell(event: str, recording: str, bot: str | None, data: dict[str, Any], artifact: str = "") -> str:
    payload: dict[str, Any] = {
        "data": data,
        "realtime_endpoint": {"id": f"endpoint-{recording}", "metadata": {}},
        "recording": {"id": recording, "metadata": {}},
    }
    if artifact:
        payload[artifact] = {"id": f"{artifact}-{recording}", "metadata": {}}
    if bot is not None:
        payload["bot"] = {"id": bot, "metadata": {}}
    return msgspec.json.encode({"event": event, "data": payload}).decode()
