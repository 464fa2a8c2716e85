"""Amigo's `server.*` messages as a simulated agent says them.

Source: docs.amigo.ai, "Real-time Voice (WebSocket)", Messages You Receive. What that page leaves open is decided as
docs/agents/amigo.md says.
"""

from __future__ import annotations

import math
import re
from typing import Any

from audiotap import mp3
from audiotap.agent_events import (
    Concluded,
    Configured,
    Met,
    Replying,
    Speech,
    SpeechDone,
    SpeechFile,
    SpeechStarted,
    SpeechStopped,
    Told,
    ToolCall,
    Transcript,
    TurnDone,
    VadMode,
)
from audiotap.audio import Chunk
from audiotap.dialects.agents.amigo.client import spell
from audiotap.dialects.agents.amigo.server import COMPLETED
from audiotap.dialects.agents.base import AgentSettings
from audiotap.dialects.agents.headers import MP3, with_wav_header
from audiotap.errors import UnspokenError
from audiotap.events import Fault, Unknown

FILLERS = "fillers"
"""The option by which every answer begins with a filler."""
FILLER = "Let me look that up. "
_FILLER_RATE = 16000
_FILLER_SECONDS = 0.4
_FILLER_HERTZ = 300
_FILLER_LOUD = 3000
_CHARACTERS = 15
"""Characters that are spoken in a second, about."""
_MP3_PIECE = 16_384
_MP3_MOST = 100_000_000
_SERVER_ERROR = 500


class ServerWriter:
    """What a simulated agent says. `actions` picks which of its actions are told; None for none of them."""

    def __init__(self, settings: AgentSettings, actions: re.Pattern[str] | None) -> None:
        self.resumed = False
        self._text = settings.text
        self._mp3 = settings.form == MP3
        self._fillers = FILLERS in settings.options
        self._actions = actions
        self._answers = 0
        self._began = 0.0
        self._stopped: float | None = None
        self._clear()

    def _clear(self, turn: str = "") -> None:
        self._turn = turn
        self._item = f"{self._answers:024x}"
        self._number = 0
        self._waiting = ""
        self._said = ""
        self._full = ""
        self._seconds = 0.0
        self._chunks: list[Chunk] = []
        self._ended = False

    def write(self, event: object) -> list[str]:
        """The messages that say an event. The end of the user's speech waits for its transcript, if that comes next."""
        if isinstance(event, SpeechStopped):
            self._stopped = event.at or 0.0
            return []
        if isinstance(event, Transcript) and event.role == "user":
            return self._speech_ended(event.text) if event.final else []
        said = self._write(event)
        return self._speech_ended("") + said if said else []

    def _write(self, event: object) -> list[str]:  # noqa: C901, PLR0911 - one line for each word
        match event:
            case Met():
                return []
            case Configured(conversation):
                return [self._configured(conversation)]
            case VadMode(on):
                return [spell("server.vad-mode-switched", current_vad_mode_on=on)]
            case SpeechStarted(at):
                self._began = at or 0.0
                return [spell("server.vad-speech-started", start=self._began)]
            case Replying(id_):
                return self._reply(id_)
            case Speech() | SpeechFile() | Transcript() | SpeechDone() | TurnDone():
                return self._answer(event)
            case ToolCall(_, name):
                return self._action(f"tool.{name}")
            case Told(kind, data):
                return [spell(f"server.{kind}", **data)]
            case Concluded():
                return [spell("server.conversation-completed")]
            case Fault():
                return [_error(event.code, event.message)]
            case Unknown():
                return [event.wire]
            case _:
                raise UnspokenError(f"Amigo has no word for {type(event).__name__}")

    def _answer(self, event: Speech | SpeechFile | Transcript | SpeechDone | TurnDone) -> list[str]:
        match event:
            case Speech(chunk, item, number):
                return self._speak(chunk, item, number)
            case SpeechFile(data, _, item):
                return [] if self._text else [self._piece(data, item=item)]
            case Transcript(_, text, final):
                return self._word(text, final=final)
            case SpeechDone(item):
                return self._stop(item)
            case TurnDone():
                return self._done(event)

    def _configured(self, conversation: str) -> str:
        if self.resumed:
            return spell("server.conversation-retrieved")
        return spell("server.conversation-created", conversation_id=conversation)

    def _speech_ended(self, transcript: str) -> list[str]:
        if self._stopped is None:
            return []
        end, self._stopped = self._stopped, None
        return [spell("server.vad-speech-ended", transcript=transcript, start=self._began, end=end)]

    def _reply(self, turn: str) -> list[str]:
        """Fillers are messages as any others, with an id of their own."""
        self._answers += 1
        self._clear(turn or f"{self._answers:024x}")
        if not self._fillers or self._mp3:
            return []
        said: str | bytes = FILLER
        alignment = None
        if not self._text:
            said, alignment = _filler(), _aligned(FILLER, 0.0, _FILLER_SECONDS)
        return [
            spell(
                "server.new-message",
                interaction_id=self._turn,
                message=said,
                message_metadata=[],
                transcript_alignment=alignment,
                stop=True,
                sequence_number=1,
                message_id=f"f{self._answers:023x}",
            )
        ]

    def _speak(self, chunk: Chunk, item: str, number: int | None) -> list[str]:
        if self._text:
            return []
        if self._mp3:
            self._item = item or self._item
            self._chunks.append(chunk)
            return []
        began, self._seconds = self._seconds, self._seconds + chunk.seconds
        most = min(math.ceil(chunk.seconds * _CHARACTERS), max(0, len(self._waiting) - 1))
        words, self._waiting = self._waiting[:most], self._waiting[most:]
        return [self._piece(chunk.pcm, _aligned(words, began, self._seconds), item=item, number=number)]

    def _word(self, text: str, *, final: bool) -> list[str]:
        """Text is said at once; of what is spoken it is told when it is, and all of it in the end."""
        if final:
            self._full = text
            return []
        self._said += text
        if self._text:
            return [self._piece(text)]
        self._waiting += text
        return []

    def _stop(self, item: str) -> list[str]:
        """The last piece; the last characters lie at the end of the audio, however it was said before."""
        if self._ended:
            return []
        self._ended = True
        rest = "" if self._said else self._full
        if self._text:
            return [self._piece(rest, item=item, stop=True)]
        pieces = self._encoded() if self._mp3 else []
        end = self._seconds + sum(chunk.seconds for chunk in self._chunks)
        return [*pieces, self._piece(b"", _aligned(self._waiting + rest, end, end), item=item, stop=True)]

    def _encoded(self) -> list[str]:
        """An MP3 is made when all of it is known."""
        data = mp3.encode(self._chunks, _MP3_MOST)[0] if self._chunks else b""
        return [self._piece(data[at : at + _MP3_PIECE]) for at in range(0, len(data), _MP3_PIECE)]

    def _done(self, done: TurnDone) -> list[str]:
        """Who was interrupted says nothing more; an error takes the answer back."""
        if done.status == "cancelled":
            self._clear()
            return []
        if done.status == "failed":
            self._clear()
            return [_error("", done.reason)]
        last = self._stop("") if not self._ended else []
        complete = spell(
            "server.interaction-complete",
            message_id=self._item,
            interaction_id=done.id or self._turn,
            full_message=self._full or self._said,
            conversation_completed=done.reason == COMPLETED,
        )
        self._clear()
        return [*last, complete]

    def _action(self, kind: str) -> list[str]:
        if self._actions is None or not self._actions.search(kind):
            return []
        return [spell("server.current-agent-action", action={"type": kind})]

    def _piece(
        self,
        said: str | bytes,
        alignment: list[tuple[int, str]] | None = None,
        *,
        item: str = "",
        number: int | None = None,
        stop: bool = False,
    ) -> str:
        self._item = item or self._item
        self._number = self._number + 1 if number is None else number
        return spell(
            "server.new-message",
            interaction_id=self._turn,
            message=said,
            message_metadata=[],
            transcript_alignment=alignment,
            stop=stop,
            sequence_number=self._number,
            message_id=self._item,
        )


def _aligned(text: str, begin: float, end: float) -> list[tuple[int, str]] | None:
    """The milliseconds at which each character is spoken, evenly; null where there is none."""
    step = 1000 * (end - begin) / max(1, len(text))
    return [(round(1000 * begin + step * place), character) for place, character in enumerate(text)] or None


def _filler() -> bytes:
    """A WAV of a quiet hum: the vendor's fillers are WAVs at 16 kHz."""
    turn = 2 * math.pi * _FILLER_HERTZ / _FILLER_RATE
    waves = (_FILLER_LOUD * math.sin(turn * place) for place in range(round(_FILLER_SECONDS * _FILLER_RATE)))
    return with_wav_header(b"".join(round(wave).to_bytes(2, "little", signed=True) for wave in waves), _FILLER_RATE)


def _error(code: str, message: str) -> str:
    fields: dict[str, Any] = {
        "http_error_code": int(code) if code.isascii() and code.isdigit() and len(code) < 10 else _SERVER_ERROR,
        "error_description": message,
    }
    return spell("server.error", **fields)
