"""The Realtime API's servers: OpenAI's, Azure's in both ages, and Botify's proxy with all that it keeps to itself.

Sources: OpenAI's Realtime reference; Microsoft's "Use the GPT Realtime API via WebSockets" and its migration guide;
Botify's `apps/bot-service/api/realtime.py`; errors and closings as clients reported them (docs/agents/openai.md).
"""

from __future__ import annotations

import hmac
import re
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar
from urllib.parse import parse_qs, urlsplit

import msgspec

from audiotap.actors.base import Act, HangUp, Refused, Script
from audiotap.agent_events import (
    Cancel,
    Configure,
    Configured,
    Forget,
    Met,
    Recall,
    Told,
    Truncate,
    Truncated,
    UserEvent,
    Write,
)
from audiotap.dialects.agents.base import AgentSettings, laid_over
from audiotap.dialects.agents.openai import Azure, Botify, OpenAI, messages
from audiotap.dialects.agents.openai.client import BETA, BETA_DISABLED, EXPIRED, NOT_ACTIVE
from audiotap.dialects.agents.openai.server import CLIENT_WORDS, SEARCH
from audiotap.dialects.base import Side
from audiotap.errors import WireError
from audiotap.events import Fault, Unknown

SESSION_SECONDS = 3600.0
SHORTEST_COMMIT = 100
"""Milliseconds of audio that a commit needs."""
SETUP_FAILS = "setup-fails"
UPSTREAM_ENDS = "upstream-ends"
UPSTREAM_SECONDS = 5.0
EXPIRED_TEXT = "Your session hit the maximum duration of 60 minutes."
_BETA_TEXT = "The Realtime Beta API is no longer supported. Please use /v1/realtime for the GA API."
_EPHEMERAL = "openai-insecure-api-key."
_BETA_ONLY = frozenset(
    {
        "modalities",
        "voice",
        "input_audio_format",
        "output_audio_format",
        "input_audio_transcription",
        "input_audio_noise_reduction",
        "turn_detection",
        "temperature",
        "max_response_output_tokens",
        "speed",
    }
)
_GA_ONLY = frozenset({"type", "output_modalities", "audio", "max_output_tokens"})
_KINDS = {False: ("output_modalities", (["text"], ["audio"])), True: ("modalities", (["text"], ["audio", "text"]))}


class OpenAIActor:
    """OpenAI's own: a key, a model in the address, and no beta; with the option `beta` it is one of the older days."""

    name: ClassVar[str] = "openai"
    paths: ClassVar[str] = r"/v1/realtime"
    delta: ClassVar[float] = 0.2
    options: ClassVar[Mapping[str, str]] = {BETA: BETA}
    renews: ClassVar[bool] = True
    tools: bool = True
    fillers: bool = False

    def __init__(self, script: Script) -> None:
        self.script = script
        self.greeting = script.greeting
        self.dialect: OpenAI | Azure | Botify = self._dialect(beta=BETA in script.options)
        self.hears = True
        self.vad = True
        self.rate = self.output_rate = messages.RATE
        self._turned_away: tuple[Fault, HangUp] | None = None

    def _dialect(self, *, beta: bool) -> OpenAI | Azure | Botify:
        return OpenAI(Side.THEIRS, AgentSettings(options=frozenset({BETA} if beta else ())))

    # Who is let in

    def admits(self, path: str, headers: Mapping[str, str], subprotocols: Sequence[str]) -> Refused | None:
        """No key is refused at once; a wrong one, a beta header and no model after the door was opened."""
        asked = parse_qs(urlsplit(path).query)
        shown = _bearer(headers) or next(
            (told[len(_EPHEMERAL) :] for told in subprotocols if told.startswith(_EPHEMERAL)), ""
        )
        if self.script.key and not shown:
            return _refused(401, "missing_api_key", "You didn't provide an API key.")
        self.dialect.server.session["model"] = next(iter(asked.get("model", [])), "")
        if not self._right(shown):
            self._turn_away(3000, "invalid_api_key", "Incorrect API key provided.")
        elif "openai-beta" in headers and BETA not in self.script.options:
            self._turn_away(4000, BETA_DISABLED, _BETA_TEXT)
        elif not asked.keys() & {"model", "call_id", "intent"}:
            self._turn_away(4000, "missing_model", "You must provide a model parameter.")
        return None

    def _right(self, shown: str) -> bool:
        return not self.script.key or hmac.compare_digest(shown.encode(), self.script.key.encode())

    def _turn_away(self, code: int, why: str, text: str) -> None:
        self.hears = False
        self._turned_away = (Fault(why, text), HangUp(code, f"invalid_request_error.{why}"))

    def subprotocol(self, offered: Sequence[str]) -> str | None:
        return "realtime" if "realtime" in offered else None

    def opened(self, now: float) -> list[Act]:  # noqa: ARG002 - an actor's signature
        if self._turned_away is not None:
            return [*self._turned_away]
        return [self._met()]

    def _met(self) -> Met:
        """The sessions of one simulator have different ids."""
        number = self.script.shared[self.name] = self.script.shared.get(self.name, 0) + 1
        return Met(f"sess_{number:06}")

    def tick(self, now: float) -> list[Act]:
        if not self.script.limits or now < SESSION_SECONDS:
            return []
        return [Fault(EXPIRED, EXPIRED_TEXT), HangUp(1001, EXPIRED_TEXT)]

    # What it answers at once

    def malformed(self, error: WireError, now: float) -> list[Act]:  # noqa: ARG002 - an actor's signature
        text = str(error)
        if "`$.audio`" in text:
            why = "Expected base64-encoded audio bytes (mono PCM16 at 24kHz) but got an invalid value."
            return [Fault("invalid_value", f"Invalid 'audio'. {why}", fatal=False)]
        if "`type`" in text:
            return [Fault("invalid_event", "The 'type' field is missing.", fatal=False)]
        return [Fault("invalid_json", f"The message could not be read: {text}", fatal=False)]

    def heard(self, event: UserEvent, now: float) -> list[Act]:  # noqa: ARG002 - an actor's signature
        acts: list[Act] = []
        match event:
            case Configure(wire):
                acts = self._configure(wire)
            case Recall() | Write(start=False):
                acts = self._created()
            case Cancel() if not self.dialect.server.responding:
                acts = [Fault(NOT_ACTIVE, "Cancellation failed: no active response found", fatal=False)]
            case Forget():
                self.dialect.server.buffered = 0
                acts = [Told("input_audio_buffer.cleared", {})]
            case Truncate(item, seconds):
                acts = self._truncate(item, seconds)
            case Unknown(kind, wire):
                acts = self._rest(kind, wire)
            case _:
                pass
        return acts

    def _configure(self, asked: dict[str, Any]) -> list[Act]:
        server = self.dialect.server
        wrong = refusal(asked, beta=server.beta)
        if wrong is not None:
            return [wrong]
        session = laid_over(server.session, asked)
        voice = _voice(session, beta=server.beta)
        if server.lengths and voice != _voice(server.session, beta=server.beta):
            text = "Cannot update a conversation's voice if assistant audio is present."
            return [Fault("cannot_update_voice", text, fatal=False)]
        heard_as = session if server.beta else session["audio"]["input"]
        self.vad = heard_as.get("turn_detection") is not None
        return [Configured(wire=session)]

    def _created(self) -> list[Act]:
        """An assistant's text has one type in each age; the other one is refused."""
        server = self.dialect.server
        right, other = ("text", "output_text") if server.beta else ("output_text", "text")
        content = server.created.get("content")
        kinds = [part.get("type") for part in content if isinstance(part, dict)] if isinstance(content, list) else []
        if server.created.get("role") == "assistant" and other in kinds:
            text = f"Invalid value: '{other}'. Value must be '{right}'. See 'item.content[0].type'."
            return [Fault("invalid_value", text, fatal=False)]
        return [Told(messages.ITEM_ADDED, {})]

    def _truncate(self, item: str, seconds: float) -> list[Act]:
        lengths = self.dialect.server.lengths
        if item not in lengths:
            text = f"Error truncating item: the item with id '{item}' does not exist."
            return [Fault("item_truncate_invalid_item_id", text, fatal=False)]
        wanted, there = messages.whole_milliseconds(seconds), messages.duration(lengths[item])
        if wanted > there:
            return [
                Fault("invalid_value", f"Audio content of {there}ms is already shorter than {wanted}ms", fatal=False)
            ]
        return [Truncated(item, wanted / 1000)]

    def _rest(self, kind: str, wire: str) -> list[Act]:
        """What has no word of its own: acknowledgements, and refusals of what makes no sense now."""
        server = self.dialect.server
        act: Act
        match kind:
            case messages.CREATE_ITEM:
                act = Told(messages.ITEM_ADDED, {})
                if "type" not in server.created:
                    act = Fault("missing_required_parameter", "Missing required parameter: 'item.type'.", fatal=False)
            case messages.COMMIT:
                act = self._commit()
            case messages.RESPOND:
                why = f"{server.responding}. Wait until the response is finished before creating a new one."
                text = f"Conversation already has an active response in progress: {why}"
                act = Fault("conversation_already_has_active_response", text, fatal=False)
            case messages.DELETE_ITEM | messages.RETRIEVE_ITEM:
                act = self._about_item(kind, wire)
            case _:
                words = ", ".join(f"'{word}'" for word in sorted(CLIENT_WORDS))
                act = Fault("invalid_value", f"Invalid value: '{kind}'. Supported values are: {words}.", fatal=False)
        return [act]

    def _commit(self) -> Act:
        milliseconds = messages.duration(self.dialect.server.buffered)
        if milliseconds >= SHORTEST_COMMIT:
            return Told(messages.COMMITTED, {})
        why = f"Expected at least {SHORTEST_COMMIT}ms of audio, but buffer only has {milliseconds}.00ms of audio."
        text = f"Error committing input audio buffer: buffer too small. {why}"
        return Fault("input_audio_buffer_commit_empty", text, fatal=False)

    def _about_item(self, kind: str, wire: str) -> Act:
        """Only what it said itself is remembered, and no more than how long it was."""
        item = messages.fields(wire).get("item_id")
        word = kind.rpartition(".")[2]
        if word == "delete" and isinstance(item, str) and self.dialect.server.lengths.pop(item, None) is not None:
            return Told("conversation.item.deleted", {"item_id": item})
        text = f"Error: the item with id '{item}' does not exist."
        return Fault(f"item_{word}_invalid_item_id", text, fatal=False)


class AzureActor(OpenAIActor):
    """Azure's: GA without a version in the address, or the preview with one, in the beta's shape."""

    name: ClassVar[str] = "azure"
    paths: ClassVar[str] = r"/openai/(v1/)?realtime"
    options: ClassVar[Mapping[str, str]] = {}

    def _dialect(self, *, beta: bool) -> OpenAI | Azure | Botify:
        return Azure(Side.THEIRS, AgentSettings(options=frozenset({BETA} if beta else ())))

    def admits(self, path: str, headers: Mapping[str, str], subprotocols: Sequence[str]) -> Refused | None:  # noqa: ARG002 - an actor's signature
        """GA refuses a version as if the key were wrong; the preview wants one, and a deployment."""
        where = urlsplit(path)
        asked = parse_qs(where.query)
        shown = headers.get("api-key") or _bearer(headers) or next(iter(asked.get("api-key", [])), "")
        ga = "/v1/" in where.path
        if not self._right(shown) or (ga and "api-version" in asked):
            return _refused(401, "401", "Access denied due to invalid subscription key or wrong API endpoint.")
        if not ga and "api-version" not in asked:
            return _refused(404, "404", "Resource not found")
        model = next(iter(asked.get("model" if ga else "deployment", [])), "")
        if not model:
            return _refused(404, "DeploymentNotFound", "The API deployment for this resource does not exist.")
        self.dialect = self._dialect(beta=not ga)
        self.dialect.server.session["model"] = model
        return None


class BotifyActor(OpenAIActor):
    """Botify's proxy: it lets in anybody, tells errors in its own words, answers its agent's calls, and goes quiet.

    Options: with `setup-fails` it can't reach Azure; with `upstream-ends` Azure ends the session after 5 s, untold.
    """

    name: ClassVar[str] = "botify"
    paths: ClassVar[str] = r"/realtime"
    options: ClassVar[Mapping[str, str]] = {SETUP_FAILS: SETUP_FAILS, UPSTREAM_ENDS: UPSTREAM_ENDS}
    tools: bool = False

    def __init__(self, script: Script) -> None:
        super().__init__(script)
        self._gone = False

    def _dialect(self, *, beta: bool) -> OpenAI | Azure | Botify:  # noqa: ARG002 - it has the beta's words only
        return Botify(Side.THEIRS)

    def admits(self, path: str, headers: Mapping[str, str], subprotocols: Sequence[str]) -> Refused | None:  # noqa: ARG002 - anybody
        return None

    def subprotocol(self, offered: Sequence[str]) -> str | None:  # noqa: ARG002 - it has none
        return None

    def opened(self, now: float) -> list[Act]:  # noqa: ARG002 - an actor's signature
        """It sets up the agent itself; what it can't do, it says only before it drops the connection."""
        if SETUP_FAILS in self.script.options:
            why = "Cannot connect to Azure OpenAI Realtime API: 401, message='Invalid response status'"
            self.hears = False
            return [Fault("internal_error", why), HangUp(1006)]
        search = {"type": "function", "name": SEARCH, "description": "Search the knowledge base for information"}
        own = {
            "voice": "coral",
            "input_audio_transcription": {"model": "whisper-1"},
            "turn_detection": {"type": "server_vad", "threshold": 0.2, "silence_duration_ms": 500},
            "tools": [search],
        }
        return [self._met(), Configured(wire=laid_over(self.dialect.server.session, own))]

    def tick(self, now: float) -> list[Act]:
        """The end of the way to Azure: nothing is told, nothing is heard any more."""
        ends = UPSTREAM_ENDS in self.script.options and now >= UPSTREAM_SECONDS
        if ends or (self.script.limits and now >= SESSION_SECONDS):
            self._gone, self.hears = True, False
        return []

    def malformed(self, error: WireError, now: float) -> list[Act]:
        """What isn't a JSON object in a text frame ends the way to Azure, and nobody is told."""
        if self._gone:
            return [HangUp(1006)]
        cause = error.__cause__
        readable = not isinstance(cause, msgspec.DecodeError) or isinstance(cause, msgspec.ValidationError)
        if cause is None or not readable or re.match(r"Expected `object`, got `\w+`$", str(error)):
            self.dialect.server.deaf, self.hears = True, False
            return []
        return super().malformed(error, now)

    def heard(self, event: UserEvent, now: float) -> list[Act]:
        return [HangUp(1006)] if self._gone else super().heard(event, now)


def refusal(asked: dict[str, Any], *, beta: bool) -> Fault | None:
    """Why a session.update is refused: words of the other age, kinds that don't go together, formats not heard here."""
    unknown = sorted(asked.keys() & (_GA_ONLY if beta else _BETA_ONLY))
    kinds_of, kinds = _KINDS[beta]
    wanted = asked.get(kinds_of)
    found: tuple[str, str] | None = None
    if not beta and "type" not in asked:
        found = ("missing_required_parameter", "Missing required parameter: 'session.type'.")
    elif unknown:
        found = ("unknown_parameter", f"Unknown parameter: 'session.{unknown[0]}'.")
    elif wanted is not None and (not isinstance(wanted, list) or sorted(map(str, wanted)) not in kinds):
        may = " and ".join(map(str, kinds))
        found = (
            "invalid_value",
            f"Invalid modalities: {wanted}. Supported combinations are: {may}. 'session.{kinds_of}'",
        )
    else:
        found = _shape(asked, beta=beta) or _detection(asked, beta=beta)
    return Fault(*found, fatal=False) if found is not None else None


def _shape(asked: dict[str, Any], *, beta: bool) -> tuple[str, str] | None:
    """Formats other than the PCM that is heard here, and what should be an object and is none."""
    if beta:
        formats = {key: asked.get(key, "pcm16") for key in ("input_audio_format", "output_audio_format")}
        wrong = [key for key, value in formats.items() if value != "pcm16"]
        return ("invalid_value", f"Invalid value: 'session.{wrong[0]}' must be 'pcm16' here.") if wrong else None
    audio = asked.get("audio", {})
    for way in ("input", "output"):
        told = audio.get(way, {}) if isinstance(audio, dict) else None
        form = told.get("format", {}) if isinstance(told, dict) else None
        where = f"session.audio.{way}.format"
        if not isinstance(form, dict):
            return "invalid_type", f"Invalid type for '{where}': expected an object."
        if form.get("type", "audio/pcm") != "audio/pcm":
            return "invalid_value", f"Invalid value: '{where}.type' must be 'audio/pcm' here."
        rate = form.get("rate", messages.RATE)
        if rate != messages.RATE:
            why = f"Expected a value >= {messages.RATE}, but got {rate} instead."
            return "integer_below_min_value", f"Invalid '{where}.rate': integer below minimum value. {why}"
    return None


def _detection(asked: dict[str, Any], *, beta: bool) -> tuple[str, str] | None:
    """A VAD that leaves it to the client to ask for answers, or to stop them: there is none here."""
    told = asked if beta else (asked.get("audio") or {}).get("input") or {}
    detection = told.get("turn_detection")
    for key in ("create_response", "interrupt_response"):
        if isinstance(detection, dict) and detection.get(key) is False:
            where = "session.turn_detection" if beta else "session.audio.input.turn_detection"
            return "invalid_value", f"Invalid value: '{where}.{key}' must be true here."
    return None


def _voice(session: dict[str, Any], *, beta: bool) -> Any:
    return session.get("voice") if beta else session["audio"]["output"].get("voice")


def _bearer(headers: Mapping[str, str]) -> str:
    kind, _, shown = headers.get("authorization", "").partition(" ")
    return shown.strip() if kind.lower() == "bearer" else ""


def _refused(status: int, code: str, message: str) -> Refused:
    return Refused(status, msgspec.json.encode({"error": {"code": code, "message": message}}).decode())
