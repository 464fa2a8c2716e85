"""OpenAI's Realtime API, Azure's, and Botify's proxy of Azure's: where each is dialled, and what is its own.

Sources: OpenAI's Realtime guides and reference; Microsoft's "Use the GPT Realtime API via WebSockets"; Botify's page
"Realtime API Endpoint" and its `apps/bot-service/api/realtime.py`. What is doubtful stands in docs/agents/openai.md.
"""

from __future__ import annotations

from typing import Any, ClassVar
from urllib.parse import SplitResult, parse_qs, urlsplit

import msgspec

from audiotap.dialects.agents.base import Account, Address, AgentSettings, Ending, Memory, asking, refuse
from audiotap.dialects.agents.openai import messages
from audiotap.dialects.agents.openai.client import BETA, FATAL, NO_MEMORY, USUAL, Realtime
from audiotap.dialects.agents.openai.server import Server
from audiotap.dialects.base import Side, lenient
from audiotap.errors import UsageError

USUAL_MODEL = "gpt-realtime-2.1"
"""OpenAI's model where none is named; its API wants one in the address."""
CALLED = frozenset({"model", "deployment", "call_id", "intent"})
"""Parts of an address that say what is dialled."""
BEARER = "bearer"
DATA_FIELD = "data-field"
INTERNAL = "internal_error"
_LOOK_AT_BOTIFY = "look at Botify's log, and at its AZURE_OPENAI_* settings"


class OpenAI(Realtime):
    """OpenAI's own."""

    name: ClassVar[str] = "openai"
    path: ClassVar[str] = "/v1/realtime"

    @classmethod
    def address(cls, account: Account, settings: AgentSettings) -> Address:
        _check(settings, cls.switches)
        refuse("OpenAI", organization=account.organization, region=account.region, api_version=account.version)
        if not account.url and not account.key:
            raise UsageError("OpenAI wants a key", "set OPENAI_API_KEY, or name a server of your own with --url")
        url = _url(account.url or "wss://api.openai.com", cls.path)
        url = asking(url, {"model": settings.model or ("" if account.url else USUAL_MODEL)})
        return Address(url.geturl(), {"Authorization": f"Bearer {account.key}"} if account.key else {})


class Azure(Realtime):
    """Azure's Realtime API: its GA address without a version, or with one the preview's."""

    name: ClassVar[str] = "azure"
    path: ClassVar[str] = "/openai/v1/realtime"
    preview: ClassVar[str] = "/openai/realtime"
    switches: ClassVar[frozenset[str]] = frozenset({BETA, BEARER})

    @classmethod
    def address(cls, account: Account, settings: AgentSettings) -> Address:
        _check(settings, cls.switches)
        where = account.url or (f"wss://{account.organization}.openai.azure.com" if account.organization else "")
        if not where:
            raise UsageError(
                "Azure has to be told where your resource is", "name it: --url https://NAME.openai.azure.com"
            )
        refuse("Azure", region=account.region)
        told = parse_qs(urlsplit(where).query)
        versioned = bool(account.version or "api-version" in told)
        url = _url(where, cls.preview if versioned else cls.path)
        if not (account.key or "api-key" in told):
            raise UsageError("Azure wants a key", "set AZURE_OPENAI_API_KEY; for an Entra token add --option bearer")
        if versioned and "/v1/" in url.path:
            raise UsageError(
                "Azure's /openai/v1 has no versions and refuses them", "leave the version out, or /v1 for the preview"
            )
        if not (settings.model or told.keys() & CALLED):
            raise UsageError("Azure has to be told a deployment", "name it with --model")
        preview = {"api-version": account.version, "deployment": settings.model}
        url = asking(url, preview if versioned else {"model": settings.model})
        if BEARER in settings.options:
            return Address(url.geturl(), {"Authorization": f"Bearer {account.key}"})
        return Address(url.geturl(), {"api-key": account.key} if account.key else {})


class Botify(Realtime):
    """Botify's proxy: Azure's words, in the beta's names, through a server that changes some and swallows others.

    Its `messages.py` ends the way to Azure at the first binary frame and doesn't say so: none is ever sent.
    """

    name: ClassVar[str] = "botify"
    path: ClassVar[str] = "/realtime"
    plain: ClassVar[bool] = True
    silent: ClassVar[str] = f"its own connection to Azure may have ended: {_LOOK_AT_BOTIFY}"
    tools: ClassVar[bool] = False
    switches: ClassVar[frozenset[str]] = frozenset({BETA, DATA_FIELD})

    def __init__(self, side: Side, settings: AgentSettings = USUAL, memory: Memory = NO_MEMORY) -> None:
        super().__init__(side, settings, memory)
        self.beta = True

    def _served(self) -> Server:
        return Server(beta=True, proxy=True)

    @classmethod
    def address(cls, account: Account, settings: AgentSettings) -> Address:
        """It asks for no key, so none is shown."""
        _check(settings, cls.switches)
        refuse("Botify", organization=account.organization, region=account.region, api_version=account.version)
        refuse("Botify", model=settings.model)
        if not account.url:
            raise UsageError("Botify has to be told where it runs", "name it: --url http://localhost:8080")
        return Address(_url(account.url, cls.path).geturl())

    @classmethod
    def description_url(cls, account: Account) -> str:
        """Deployments up to May 2025 have `/realtime-info` beside `/realtime`."""
        url = _url(account.url, cls.path)
        scheme = {"ws": "http", "wss": "https"}[url.scheme]
        return url._replace(scheme=scheme, path=f"{url.path.rpartition('/')[0]}/realtime-info", query="").geturl()

    @classmethod
    def described(cls, settings: AgentSettings, body: str) -> tuple[AgentSettings, str]:
        """It may ask for audio in `data`, and has a list of voices."""
        info = botify_info(body)
        voices = ", ".join(info.available_voice_options) or "not told"
        told = f"Botify speaks as {info.current_voice or 'somebody'} (voices: {voices}) by {info.speech_engine or '?'}"
        return msgspec.structs.replace(settings, options=settings.options | info.options), told

    def ending(self, code: int, reason: str) -> Ending:
        """Its silent 1006 is the end of its session with Azure, which lasts an hour at most: it begins anew."""
        if code == 1006 and self._fault is None:
            last = f"; the last error it told: {self._last.message}" if self._last is not None else ""
            return Ending(
                f"Botify dropped the connection without a word, as it does when its own one to Azure has ended{last}",
                _LOOK_AT_BOTIFY,
                again=self.ready,
            )
        return super().ending(code, reason)

    def _audio_field(self) -> str:
        return "data" if DATA_FIELD in self.settings.options else "audio"

    def _fatal(self) -> frozenset[str]:
        return FATAL | {INTERNAL}

    def _hint(self, code: str, message: str) -> str:
        if code == INTERNAL:
            return _LOOK_AT_BOTIFY
        return super()._hint(code, message)


class BotifyInfo(msgspec.Struct, frozen=True):
    """What older versions of Botify told of themselves under /realtime-info."""

    websocket_endpoint: str = Botify.path
    description: str = ""
    available_voice_options: tuple[str, ...] = ()
    current_voice: str = ""
    speech_engine: str = ""
    message_format: dict[str, Any] = {}

    @property
    def options(self) -> frozenset[str]:
        """The options that it asks for."""
        return frozenset({DATA_FIELD} if "data" in self.message_format else ())


_INFO = msgspec.json.Decoder(BotifyInfo)


def botify_info(body: str) -> BotifyInfo:
    """The JSON of /realtime-info; WireError if it is none."""
    return lenient(_INFO, body)


def _check(settings: AgentSettings, switches: frozenset[str]) -> None:
    for option in sorted(settings.options - switches):
        raise UsageError(f"there is no option {option!r} here", f"there is {', '.join(sorted(switches))}")
    if not settings.service:
        refuse("the Realtime API without a --service", service_version=settings.service_version)
    if settings.form != "pcm":
        raise UsageError(f"the Realtime API does not speak {settings.form}", "leave --answer out: it speaks PCM")
    if {settings.rate, settings.output_rate} - {0, messages.RATE}:
        raise UsageError("the Realtime API has one rate, 24000", "leave the rate out: files are resampled")
    if settings.language and not settings.transcribe:
        raise UsageError(
            "a language is told to the transcription, and none is asked for",
            "add --transcribe with a model, or say it in --instructions",
        )


def _url(told: str, path: str) -> SplitResult:
    """A whole URL of what was told: a host gets the vendor's path, a base that ends in /v1 the rest of it."""
    refused = UsageError(f"{told} is no address of an agent", "write it as wss://HOST or https://HOST")
    try:
        url = urlsplit(told if "//" in told else f"wss://{told}")
        named = url.hostname and url.port != 0
    except ValueError:
        raise refused from None
    scheme = {"http": "ws", "https": "wss"}.get(url.scheme, url.scheme)
    if scheme not in {"ws", "wss"} or not named:
        raise refused
    if url.path.rstrip("/").endswith("/v1"):
        path = url.path.rstrip("/") + "/realtime"
    elif url.path.strip("/"):
        path = url.path
    return url._replace(scheme=scheme, path=path, fragment="")
