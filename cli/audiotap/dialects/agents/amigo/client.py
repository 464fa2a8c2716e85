"""Amigo's `client.*` messages, both ways: what a client of `converse_realtime` says.

Source: docs.amigo.ai, "Real-time Voice (WebSocket)", Messages You Send; the fields of `audio_config` are also in
specs/openapi-baseline.json of amigo-ai/amigo-typescript-sdk, under other names.
"""

from __future__ import annotations

from typing import Any, Literal

import msgspec

from audiotap.agent_events import (
    Conclude,
    Configure,
    KeepAlive,
    Leave,
    Listen,
    ListenFile,
    Resume,
    UserEvent,
    UtteranceEnd,
    VadMode,
    Write,
)
from audiotap.audio import SAMPLE_BYTES, Chunk
from audiotap.dialects.agents.base import AgentSettings, laid_over
from audiotap.dialects.agents.headers import MP3, id3_size, mp3_frame
from audiotap.dialects.base import Text, lenient, samples
from audiotap.errors import UnspokenError, WireError
from audiotap.events import Unknown

LARGEST = 1_000_000
"""Bytes of a message."""
PIECE = 700_000
"""Bytes of audio that are below that in base64, with all that is around them."""
RELEASE = "release"
PCM = "pcm"
TYPE_FIELD = "type-field"
FRAME_RATES = range(4000, 44_101)
_PAGE_MP3 = {"bit_rate": 128_000, "sample_rate": 44_100, "n_channels": 2}
_NULL = b"null"


class MediaError(WireError):
    """Audio of a form that isn't taken."""


class _Envelope(msgspec.Struct):
    type: Text


class _Start(msgspec.Struct):
    service_id: Text
    service_version_set_name: Text = RELEASE


class _Continue(msgspec.Struct):
    conversation_id: Text


class _Words(msgspec.Struct):
    text: str
    message_type: Literal["user-message", "external-event"]
    start_interaction: bool = False


class _Config(msgspec.Struct):
    """`format` and `sample_rate` are the page's words, `type` is the OpenAPI document's; both have `frame_rate`."""

    format: Text | None = None
    type: Text | None = None
    sample_rate: int | None = None
    frame_rate: int | None = None
    sample_width: int = SAMPLE_BYTES
    n_channels: int = 1


class _Sound(msgspec.Struct):
    audio: msgspec.Raw
    audio_config: _Config | None = None


class _Switch(msgspec.Struct):
    vad_mode_on: bool


_ENVELOPE = msgspec.json.Decoder(_Envelope)
_ANY = msgspec.json.Decoder(dict[str, Any])
_START = msgspec.json.Decoder(_Start)
_CONTINUE = msgspec.json.Decoder(_Continue)
_WORDS = msgspec.json.Decoder(_Words)
_SOUND = msgspec.json.Decoder(_Sound)
_SWITCH = msgspec.json.Decoder(_Switch)


class ClientWriter:
    """What we say. `vad` is whether the VAD mode is on, or was asked for."""

    def __init__(self, settings: AgentSettings) -> None:
        self.vad = False
        self._settings = settings
        self._told: dict[str, Any] | None = None

    def write(self, event: object) -> list[str]:  # noqa: C901, PLR0911 - one line for each word
        match event:
            case Configure():
                return [self._start()]
            case Resume(conversation):
                return [spell("client.continue-conversation", conversation_id=conversation)]
            case Listen(chunk):
                return self._sound(chunk.pcm, self._config(PCM, pcm_config(chunk.rate)))
            case ListenFile(data, form):
                return self._file(data, form)
            case UtteranceEnd():
                return self._end()
            case Write():
                return [_words(event)]
            case VadMode(on):
                self._told = None
                self.vad = self.vad or on
                return [spell("client.switch-vad-mode", vad_mode_on=on)]
            case KeepAlive():
                return [spell("client.extend-timeout")]
            case Conclude():
                return [spell("client.finish-conversation")]
            case Leave():
                return [spell("client.close-connection")]
            case Unknown():
                return [event.wire]
            case _:
                raise UnspokenError(f"Amigo has no word for {type(event).__name__}")

    def _start(self) -> str:
        settings = self._settings
        version = settings.service_version or RELEASE
        message = {"service_id": settings.service, "service_version_set_name": version}
        return spell("client.start-conversation", **laid_over(message, settings.extra))

    def _config(self, form: str, config: dict[str, Any]) -> dict[str, Any]:
        named = {"type": form} if TYPE_FIELD in self._settings.options else {}
        return {"format": form, **named, **config}

    def _file(self, data: bytes, form: str) -> list[str]:
        if form != MP3 or self.vad:
            raise UnspokenError("in VAD mode Amigo takes PCM only" if form == MP3 else f"Amigo takes no {form}")
        told = self._told if self._told is not None and self._told["format"] == MP3 else None
        return self._sound(data, told or self._config(MP3, mp3_config(data)))

    def _sound(self, data: bytes, config: dict[str, Any]) -> list[str]:
        """The first message of an utterance, and of the VAD mode, tells its form; so does one with another form."""
        messages = []
        for at in range(0, len(data), PIECE):
            new = {} if config == self._told else {"audio_config": config}
            self._told = config
            messages.append(spell("client.new-audio-message", audio=data[at : at + PIECE], **new))
        return messages

    def _end(self) -> list[str]:
        """Null ends an utterance; never in VAD mode, where the server finds its end, and never without audio."""
        if self.vad or self._told is None:
            return []
        self._told = None
        return [spell("client.new-audio-message", audio=None)]


class ClientReader:
    """What a simulated server hears."""

    def __init__(self) -> None:
        self._told: tuple[str, int] | None = None

    def read(self, wire: str | bytes) -> list[UserEvent]:  # noqa: PLR0911 - one line for each word
        if len(wire) > LARGEST:
            raise WireError(f"a message of {len(wire)} bytes; {LARGEST} are the most")
        kind = lenient(_ENVELOPE, wire).type
        match kind:
            case "client.start-conversation":
                lenient(_START, wire)
                message: dict[str, Any] = lenient(_ANY, wire)
                return [Configure({"service_version_set_name": RELEASE, **message})]
            case "client.continue-conversation":
                return [Resume(lenient(_CONTINUE, wire).conversation_id)]
            case "client.new-text-message":
                return [_written(lenient(_WORDS, wire))]
            case "client.new-audio-message":
                return [self._heard(lenient(_SOUND, wire))]
            case "client.switch-vad-mode":
                self._told = None
                return [VadMode(lenient(_SWITCH, wire).vad_mode_on)]
            case "client.extend-timeout":
                return [KeepAlive()]
            case "client.finish-conversation":
                return [Conclude()]
            case "client.close-connection":
                return [Leave()]
            case _:
                return [Unknown(kind, str(wire))]

    def _heard(self, sound: _Sound) -> UserEvent:
        if bytes(sound.audio) == _NULL:
            self._told = None
            return UtteranceEnd()
        data = samples(sound.audio, "$.audio")
        if sound.audio_config is not None:
            self._told = _form(sound.audio_config)
        if self._told is None:
            raise WireError("no audio_config in the first message of audio")
        form, rate = self._told
        return ListenFile(data, MP3) if form == MP3 else Listen(Chunk(data, rate))


def pcm_config(rate: int) -> dict[str, Any]:
    """The page's five fields for PCM, but for the name of the form."""
    return {"sample_rate": rate, "sample_width": SAMPLE_BYTES, "n_channels": 1, "frame_rate": rate}


def mp3_config(data: bytes) -> dict[str, Any]:
    """The page's fields for MP3, as the file's first frame has them; the page's own values where none is found."""
    frame = mp3_frame(data, id3_size(data))
    if frame is None:
        return _PAGE_MP3
    return {"bit_rate": frame.bit_rate, "sample_rate": frame.rate, "n_channels": frame.channels}


def spell(kind: str, /, **fields: Any) -> str:
    """A message of a kind. UnspokenError if it is larger than Amigo takes."""
    message = msgspec.json.encode({"type": kind, **fields})
    if kind.startswith("client.") and len(message) > LARGEST:
        raise UnspokenError(f"a message of {len(message)} bytes; Amigo takes {LARGEST}")
    return message.decode()


def _words(write: Write) -> str:
    if not write.event:
        return spell("client.new-text-message", text=write.text, message_type="user-message")
    return spell(
        "client.new-text-message", text=write.text, message_type="external-event", start_interaction=write.start
    )


def _written(words: _Words) -> Write:
    event = words.message_type == "external-event"
    return Write(words.text, event, words.start_interaction if event else True)


def _form(config: _Config) -> tuple[str, int]:
    form = config.format or config.type
    if form == MP3:
        return MP3, 0
    rates = {rate for rate in (config.frame_rate, config.sample_rate) if rate is not None}
    if form != PCM or config.n_channels != 1 or config.sample_width != SAMPLE_BYTES:
        raise MediaError(f"audio of the form {form!r}, {config.n_channels} channels, {config.sample_width} bytes each")
    if len(rates) != 1 or not rates <= set(FRAME_RATES):
        raise MediaError(f"audio at {sorted(rates)} Hz")
    return PCM, rates.pop()
