"""Deepgram's manners that are no words: the address, what the Settings hold, and what an ending means.

Sources: as in `deepgram.py`; the hosts are those of "Regional Endpoints", the codes those of "Errors & Warnings".
"""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit

import msgspec

from audiotap.audio import RATES
from audiotap.dialects.agents.base import Account, AgentSettings, Ending, Memory, laid_over, refuse
from audiotap.errors import Exit, UsageError, WireError
from audiotap.events import Fault

PATH = "/v1/agent/converse"
HOSTS = {
    "": "agent.deepgram.com",
    "eu": "api.eu.deepgram.com",
    "au": "api.au.deepgram.com",
    "in": "api.in.deepgram.com",
}
BEARER = "bearer"
"""The option that says that the key is an access token."""
RAW = "linear16"
RATE = 16000
FILE_RATE = 24000
"""The rate that the page states with mp3."""
SPEAKS = (8000, 16000, 24000, 32000, 48000)
"""Rates of the voices."""
THINKS = "gpt-4o-mini"
"""The model that answers if none is asked for: a `think` without one is refused."""
LISTENS = "nova-3"
"""The model that a language is stated with if no other is asked for."""
_VENDORS = {"claude": "anthropic", "gemini": "google", "nvidia": "nvidia", "nemotron": "nvidia"}
_ROLES = {"user": "user", "agent": "assistant"}
_CLOSED = frozenset({1000, 1005})
_PASSING = frozenset({1001, 1006, 1011, 1012, 1013, 1014})
_REFUSED = 1008


class _Format(msgspec.Struct):
    encoding: str = RAW
    sample_rate: int = 24000
    container: str = "none"


class _Formats(msgspec.Struct):
    input: _Format = msgspec.field(default_factory=_Format)
    output: _Format = msgspec.field(default_factory=_Format)


class _Model(msgspec.Struct):
    type: str = "deepgram"
    model: str = ""
    version: str = ""


class _Stage(msgspec.Struct):
    provider: _Model = msgspec.field(default_factory=_Model)


class _Context(msgspec.Struct):
    messages: list[dict[str, Any]] = []


class _Agent(msgspec.Struct):
    listen: _Stage | None = None
    think: _Stage | list[_Stage] | None = None
    speak: _Stage | list[_Stage] | None = None
    context: _Context | None = None
    greeting: str = ""


class _Flags(msgspec.Struct):
    history: bool = True


class _Settings(msgspec.Struct):
    audio: _Formats
    agent: _Agent | str
    experimental: bool = False
    flags: _Flags = msgspec.field(default_factory=_Flags)


class Asked(msgspec.Struct, frozen=True):
    """What the Settings ask for, as far as the wire depends on it; the rates are those of silence about them."""

    rate: int = 24000
    output_rate: int = 24000
    encoding: str = RAW
    output_encoding: str = RAW
    container: str = "none"
    flux: bool = False
    raw_only: bool = True
    experimental: bool = False
    history: bool = True
    greeting: str = ""
    agent: str = ""


def asked(message: dict[str, Any]) -> Asked:
    """What a Settings message asks for. WireError if it has another shape."""
    try:
        settings = msgspec.convert(message, _Settings)
    except (msgspec.ValidationError, RecursionError) as error:
        raise WireError(str(error)) from error
    agent = settings.agent if isinstance(settings.agent, _Agent) else _Agent()
    return Asked(
        rate=settings.audio.input.sample_rate,
        output_rate=settings.audio.output.sample_rate,
        encoding=settings.audio.input.encoding,
        output_encoding=settings.audio.output.encoding,
        container=settings.audio.output.container,
        flux=agent.listen is not None and agent.listen.provider.model.startswith("flux"),
        raw_only=_raw_only(settings.agent),
        experimental=settings.experimental,
        history=settings.flags.history,
        greeting=agent.greeting,
        agent="" if isinstance(settings.agent, _Agent) else settings.agent,
    )


def _raw_only(agent: _Agent | str) -> bool:
    """Flux voices, which are the default, speak samples only."""
    if isinstance(agent, str):
        return False
    voices = agent.speak if isinstance(agent.speak, list) else [agent.speak or _Stage()]
    return any(voice.provider.type == "deepgram" and not voice.provider.model.startswith("aura") for voice in voices)


def settings_message(settings: AgentSettings, memory: Memory) -> dict[str, Any]:
    """The Settings that are said. Encoding, rate and container are always stated: their defaults have changed."""
    output = RAW if settings.form == "pcm" else settings.form
    output_rate = settings.output_rate or (RATE if output == RAW else FILE_RATE)
    message = {
        "type": "Settings",
        "audio": {
            "input": {"encoding": RAW, "sample_rate": settings.rate or RATE},
            "output": {"encoding": output, "sample_rate": output_rate, "container": "none"},
        },
        "agent": settings.service or _agent(settings, memory),
    }
    return laid_over(message, settings.extra)


def _agent(settings: AgentSettings, memory: Memory) -> dict[str, Any]:
    """An agent that remembers doesn't greet again."""
    model = settings.model or THINKS
    agent: dict[str, Any] = {"think": {"provider": {"type": _vendor(model), "model": model}}}
    if settings.instructions:
        agent["think"]["prompt"] = settings.instructions
    if settings.transcribe or settings.language:
        agent["listen"] = {"provider": _listener(settings.transcribe or LISTENS, settings.language)}
    if settings.voice:
        version = {"version": "v2"} if settings.voice.startswith("flux") else {}
        agent["speak"] = {"provider": {"type": "deepgram", **version, "model": settings.voice}}
    if memory.said:
        said = [{"type": "History", "role": _ROLES[line.role], "content": line.text} for line in memory.said]
        agent["context"] = {"messages": said}
    elif settings.greeting:
        agent["greeting"] = settings.greeting
    return agent


def _vendor(model: str) -> str:
    """Whose model it is, by its name; `extra` names the others, which want an endpoint anyway."""
    return next((vendor for begin, vendor in _VENDORS.items() if model.startswith(begin)), "open_ai")


def _listener(model: str, language: str) -> dict[str, Any]:
    """Flux models are of the second version of the interface, and are given hints instead of a language."""
    if model.startswith("flux"):
        hints = {"language_hints": [language]} if language and model.endswith("multi") else {}
        return {"type": "deepgram", "version": "v2", "model": model, **hints}
    return {"type": "deepgram", "model": model, **({"language": language} if language else {})}


def ours(settings: AgentSettings) -> Asked:
    """What our Settings ask for. UsageError if what was laid over them has the wrong shape."""
    try:
        return asked(settings_message(settings, Memory()))
    except WireError as error:
        raise UsageError(f"Deepgram's Settings don't take this: {error}", "correct what is laid over them") from error


def check(settings: AgentSettings) -> None:
    """UsageError if Deepgram can't do what is asked for, or two things contradict each other."""
    asks = ours(settings)
    unknown = settings.options - {BEARER}
    said = settings.model or settings.instructions or settings.voice or settings.language
    complaints = (
        (bool(unknown), f"Deepgram has no option {', '.join(sorted(unknown))}", f"there is: {BEARER}"),
        (settings.text, "Deepgram's agents answer by voice only", "leave out that text alone is wanted"),
        (
            bool(settings.service and (said or settings.greeting or settings.transcribe)),
            "a Deepgram agent with an id has its models, prompt and greeting already",
            "give the id alone, or everything but the id",
        ),
        (bool(settings.service_version), "Deepgram's agents have no versions", "each has its own id"),
        (
            not (settings.vad or asks.flux or settings.service),
            "Deepgram lets others end a turn with Flux models only",
            "transcribe with flux-general-en, or leave the ends of turns to Deepgram",
        ),
        (
            asks.encoding != RAW or asks.output_encoding not in {RAW, "mp3"} or asks.container != "none",
            f"audiotap speaks {RAW} to Deepgram, and hears {RAW} or mp3, without a container",
            "leave the encodings as they are",
        ),
        (
            asks.output_encoding != RAW and asks.raw_only,
            "only Deepgram's Aura voices speak mp3",
            "name one, such as aura-2-thalia-en",
        ),
        (asks.rate not in RATES, f"a sample rate of {asks.rate}", "16000 is usual"),
        (
            asks.output_rate not in SPEAKS,
            f"Deepgram's voices have no sample rate of {asks.output_rate}",
            f"one of {', '.join(map(str, SPEAKS))}",
        ),
    )
    for wrong, message, hint in complaints:
        if wrong:
            raise UsageError(message, hint)


def url(account: Account) -> str:
    """Where the agent is. A URL of one's own without a path gets Deepgram's."""
    refuse("Deepgram", organization=account.organization)
    if account.version not in {"", "v1"}:
        raise UsageError(f"Deepgram's Voice Agent API has no version {account.version}", "it is v1")
    if not account.url:
        if account.region not in HOSTS:
            raise UsageError(
                f"Deepgram has no region {account.region}", f"one of {', '.join(filter(None, HOSTS))}, or none"
            )
        return f"wss://{HOSTS[account.region]}{PATH}"
    if account.region:
        raise UsageError("a region and a URL at once", "the URL alone says where it is")
    try:
        parts = urlsplit(account.url)
    except ValueError as error:
        raise UsageError(f"{account.url} is no URL: {error}", f"such as wss://{HOSTS['']}{PATH}") from error
    parts = parts._replace(scheme={"http": "ws", "https": "wss"}.get(parts.scheme, parts.scheme))
    if parts.scheme not in {"ws", "wss"} or not parts.netloc:
        raise UsageError(f"{account.url} is no address of a websocket", f"such as wss://{HOSTS['']}{PATH}")
    return (parts if parts.path.strip("/") else parts._replace(path=PATH)).geturl()


def headers(account: Account, settings: AgentSettings) -> dict[str, str]:
    """Who asks. A server of one's own may want no key."""
    scheme = "Bearer" if BEARER in settings.options else "Token"
    if not account.key:
        if not account.url or scheme == "Bearer":
            raise UsageError("Deepgram wants a key", "export DEEPGRAM_API_KEY=… (console.deepgram.com has it)")
        return {}
    if not account.key.isascii() or account.key.split() != [account.key]:
        raise UsageError("the key of Deepgram has characters that no key has", "copy it once more, without blanks")
    return {"Authorization": f"{scheme} {account.key}"}


class _Advice(msgspec.Struct, frozen=True):
    hint: str
    again: bool = False


_ADVICE = {
    "INTERNAL_SERVER_ERROR": _Advice("Deepgram's own fault; tell its support the request id if it stays", again=True),
    "CLIENT_MESSAGE_TIMEOUT": _Advice("nothing reached Deepgram for seconds: look at the network", again=True),
    "UNPARSABLE_CLIENT_MESSAGE": _Advice("a field that Deepgram doesn't know: look at what is laid over the Settings"),
    "NON_SETTINGS_MESSAGE_BEFORE_SETTINGS": _Advice("something was said before the Settings"),
    "BINARY_MESSAGE_BEFORE_SETTINGS": _Advice("audio was sent before the Settings were applied"),
    "SETTINGS_ALREADY_APPLIED": _Advice("Settings can be said once in a session"),
    "INVALID_SETTINGS": _Advice("a model, voice, language or rate that Deepgram doesn't have"),
    "FAILED_TO_START_LISTENING": _Advice("may the project use the model that listens?", again=True),
    "ASR_CONNECTION_CLOSED": _Advice("usually passes", again=True),
    "ASR_DRIVER_TIMEOUT": _Advice("usually passes; otherwise look at the audio that is sent", again=True),
    "USER_AUDIO_FORMAT": _Advice("the audio isn't what the Settings say"),
    "FAILED_TO_SPEAK": _Advice("look at the voice, or lay a second one over the Settings"),
    "FAILED_TO_THINK": _Advice("look at the model, or lay a second one over the Settings"),
    "SERVER_GOING_AWAY": _Advice("maintenance", again=True),
    "NON_EXISTENT_FUNCTION_CALLED": _Advice("the agent called a function that isn't in its Settings"),
    "AGENT_ID_NOT_SUPPORTED": _Advice("this server knows no agents by id"),
    "INVALID_AGENT_ID": _Advice("the console lists the ids"),
    "MAXIMUM_SESSION_LENGTH_REACHED": _Advice("two hours; what was said is taken along", again=True),
    "MAXIMUM_SESSION_LENGTH_APPROACHING": _Advice("the session is closed after two hours"),
    "PROMPT_TOO_LONG": _Advice("25,000 characters are taken"),
    "THINK_REQUEST_FAILED": _Advice("a second model may be laid over the Settings"),
    "SPEAK_REQUEST_FAILED": _Advice("a second voice may be laid over the Settings"),
    "FORCE_END_TURN_UNSUPPORTED": _Advice("only Flux models let others end a turn"),
}
_NO_ADVICE = _Advice("")


def hint(code: str) -> str:
    """What to do about an error or a warning; the list of codes isn't closed."""
    return _ADVICE.get(code, _NO_ADVICE).hint


def ending(fault: Fault | None, code: int, reason: str, *, ready: bool) -> Ending:
    """What the end of a connection means: an Error tells, otherwise the close code does."""
    if fault is not None:
        advice = _ADVICE.get(fault.code, _NO_ADVICE)
        told = f"{fault.code}: {fault.message}" if fault.message else fault.code
        return Ending(f"Deepgram ended the session: {told}", advice.hint, again=advice.again)
    because = f": {reason}" if reason else ""
    if code in _PASSING:
        return Ending(f"the connection to Deepgram was lost (close code {code}{because})", again=True)
    if code == _REFUSED:
        return Ending(f"Deepgram refused{because}", "look at the key", status=Exit.REFUSED)
    if code not in _CLOSED:
        return Ending(f"Deepgram closed the connection with {code}{because}")
    if not ready:
        return Ending(f"Deepgram closed the connection before it applied the Settings{because}")
    return Ending(f"Deepgram closed the connection{because}", status=Exit.OK)
