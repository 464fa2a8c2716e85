"""Attendee's realtime audio: JSON text frames with a `trigger`, audio as base64 inside.

Sources: docs/realtime_audio.md and bots/websocket_payloads.py of attendee-labs/attendee; the pauses are those of the
forks (docs/dialects/attendee.md tells which). `timestamp_ms` is the bot host's wall clock when a message was built,
which is the END of its chunk, and it jitters.
"""

from __future__ import annotations

from typing import Any, ClassVar

import msgspec

from audiotap.audio import RATES, Chunk
from audiotap.dialects.base import Side, Text, Wire, lenient, participant_track, samples, track_participant, whole
from audiotap.errors import UnspokenError, WireError
from audiotap.events import MIXED, UNASKED, Asked, Event, Heard, Pause, Speak, Unknown
from audiotap.session import Timing

DEFAULT_RATE = 16000
HEARD_MIXED = "realtime_audio.mixed"
HEARD_PARTICIPANT = "realtime_audio.per_participant"
_HEARD = {HEARD_MIXED, HEARD_PARTICIPANT}
UNKNOWN = "unknown"
"""The session of messages that name no bot."""
BOT_OUTPUT = "realtime_audio.bot_output"
PAUSE = "pause_current_lecture"
PAUSE_PREFIXED = "realtime_audio.pause_current_lecture"
INTERRUPT = "realtime_audio.interrupt_current_lecture"
INTERRUPT_SECONDS = 0.8
"""What an interrupt without a duration means to the fork that has it."""


class _Envelope(msgspec.Struct):
    trigger: Text | None = None
    event_type: Text | None = None
    bot_id: Text | None = None
    data: msgspec.Raw = msgspec.Raw(b"{}")
    event_data: msgspec.Raw = msgspec.Raw(b"")


class _Audio(msgspec.Struct, gc=False):
    chunk: msgspec.Raw
    sample_rate: int | None = None
    timestamp_ms: float | None = None
    participant_uuid: Text | int | None = None
    participant_name: Text | None = None
    sequence: int | None = None


class _Message(msgspec.Struct, gc=False):
    """A whole message of audio, which nearly all are: one pass over it is enough."""

    trigger: Text
    data: _Audio
    bot_id: Text | None = None


class _Hold(msgspec.Struct):
    duration: float | str | None = None
    duration_ms: float | str | None = None


_MESSAGE = msgspec.json.Decoder(_Message)
_ENVELOPE = msgspec.json.Decoder(_Envelope)
_AUDIO = msgspec.json.Decoder(_Audio)
_HOLD = msgspec.json.Decoder(_Hold)


class Attendee:
    """One connection's worth of Attendee's language."""

    name: ClassVar[str] = "attendee"
    knows: ClassVar[frozenset[type]] = frozenset({Speak, Pause})
    rates: tuple[int, ...] = (8000, 16000, 24000)
    timing: ClassVar[Timing] = Timing(tolerance=0.1, linger=30.0, retries=330.0)
    spellings: ClassVar[tuple[str, ...]] = (PAUSE, PAUSE_PREFIXED, INTERRUPT)

    def __init__(self, side: Side, _: Asked = UNASKED) -> None:
        self.side = side

    @staticmethod
    def claims(wire: Wire, _: Asked) -> bool:
        try:
            envelope = lenient(_ENVELOPE, wire)
        except WireError:
            return False
        return (envelope.trigger or envelope.event_type) is not None

    def decode(self, wire: Wire) -> list[Event]:
        """The one event of a message. The first days' `event_type`/`event_data` read like `trigger`/`data`."""
        message = whole(_MESSAGE, wire)
        if message is not None and message.trigger in _HEARD:
            return [_heard(message.trigger, message.bot_id or UNKNOWN, message.data)]
        envelope = lenient(_ENVELOPE, wire)
        trigger = envelope.trigger or envelope.event_type
        body = bytes(envelope.event_data) or bytes(envelope.data)
        if trigger is None:
            raise WireError("no trigger")
        if trigger in _HEARD:
            return [_heard(trigger, envelope.bot_id or UNKNOWN, lenient(_AUDIO, body.decode()))]
        if trigger == BOT_OUTPUT:
            audio = lenient(_AUDIO, body.decode())
            return [Speak(Chunk(samples(audio.chunk, "$.data.chunk"), _rate(audio.sample_rate)))]
        if trigger in self.spellings:
            return [_pause(trigger, lenient(_HOLD, body.decode()))]
        return [Unknown(trigger, str(wire), envelope.bot_id)]

    def encode(self, event: Event) -> list[Wire]:
        match event:
            case Heard():
                return [_spell_heard(event)]
            case Speak(chunk):
                return [_spell(BOT_OUTPUT, {"chunk": chunk.pcm, "sample_rate": chunk.rate})]
            case Pause():
                return [_spell_pause(event)]
            case Unknown():
                return [event.wire]
            case _:
                raise UnspokenError(f"Attendee has no word for {type(event).__name__}")


def _rate(rate: int | None) -> int:
    if rate is None:
        return DEFAULT_RATE
    if rate not in RATES:
        raise WireError(f"a sample rate of {rate}")
    return rate


def _heard(trigger: str, bot: str, audio: _Audio) -> Heard:
    chunk = Chunk(samples(audio.chunk, "$.data.chunk"), _rate(audio.sample_rate))
    at = None if audio.timestamp_ms is None else audio.timestamp_ms / 1000 - chunk.seconds
    if trigger == HEARD_MIXED:
        return Heard(bot, MIXED, chunk, at, sequence=audio.sequence)
    if audio.participant_uuid is None:
        raise WireError("per-participant audio without a participant_uuid")
    track = participant_track(audio.participant_uuid)
    return Heard(bot, track, chunk, at, audio.participant_name, sequence=audio.sequence)


def _pause(trigger: str, hold: _Hold) -> Pause:
    """Durations are milliseconds, except the interrupt's `duration`, which is seconds."""
    try:
        if hold.duration_ms is not None:
            seconds = float(hold.duration_ms) / 1000
        elif hold.duration is not None:
            seconds = float(hold.duration) / (1 if trigger == INTERRUPT else 1000)
        elif trigger == INTERRUPT:
            seconds = INTERRUPT_SECONDS
        else:
            raise WireError("a pause without a duration")
    except ValueError as error:
        raise WireError(f"a pause of {hold.duration_ms or hold.duration!r}") from error
    if not 0 <= seconds < float("inf"):
        raise WireError(f"a pause of {seconds} s")
    return Pause(seconds, "" if trigger == PAUSE else trigger)


def _spell_heard(heard: Heard) -> str:
    data: dict[str, Any] = {}
    trigger = HEARD_MIXED
    if heard.track != MIXED:
        trigger = HEARD_PARTICIPANT
        data["participant_uuid"] = track_participant(heard.track)
        if heard.name is not None:
            data["participant_name"] = heard.name
    data["chunk"] = heard.chunk.pcm
    if heard.at is not None:
        data["timestamp_ms"] = round((heard.at + heard.chunk.seconds) * 1000)
    data["sample_rate"] = heard.chunk.rate
    if heard.sequence is not None:
        data["sequence"] = heard.sequence
    return _spell(trigger, data, heard.session)


def _spell_pause(pause: Pause) -> str:
    if pause.spelling == INTERRUPT:
        return _spell(INTERRUPT, {"duration": pause.seconds})
    return _spell(pause.spelling or PAUSE, {"duration": round(pause.seconds * 1000)})


def _spell(trigger: str, data: dict[str, Any], bot: str | None = None) -> str:
    message: dict[str, Any] = {"trigger": trigger}
    if bot is not None:
        message["bot_id"] = bot
    message["data"] = data
    return msgspec.json.encode(message).decode()
