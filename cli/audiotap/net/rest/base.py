"""Providers' REST interfaces: one request at a time within a time limit, and every failure in one line.

A provider's words are shown, ours are not: no key gets into an error.
"""

from __future__ import annotations

import asyncio
import re
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, ClassVar, Self, TypeVar
from urllib.parse import quote, urlsplit

import msgspec

from audiotap.errors import AudiotapError, Exit, UsageError
from audiotap.text import printable

if TYPE_CHECKING:
    import httpx2

T = TypeVar("T")
MOST_SAID = 300
"""Characters of a provider's own words that an error repeats."""
HIDDEN = "[key]"
HIDDEN_PATH = "[path]"
SECRET = 16
"""Characters from which on a path may be a secret."""
WAITABLE = frozenset({429, 503, 507})
"""Answers that mean that nothing was done, so that asking again after `Retry-After` is safe."""
TROUBLE = "it has trouble right now: try again in a while"
HINTS = {
    402: "top up the account's credit in the provider's dashboard",
    404: "is the id right, and the bot of this account and region?",
    409: "try again",
    429: "too many requests: try again in {wait}",
    500: TROUBLE,
    502: TROUBLE,
    503: TROUBLE,
    504: TROUBLE,
    507: "no bot is free right now: try again in {wait}",
}
USUAL_WAIT = "30 s"


class RestError(AudiotapError):
    """A provider did not do what it was asked.

    `code` is its HTTP status, None where it gave no answer; `retry_after` are the seconds that it asks to wait.
    """

    def __init__(
        self, message: str, hint: str, status: Exit, code: int | None = None, retry_after: float | None = None
    ) -> None:
        super().__init__(message, hint)
        self.status = status
        self.code = code
        self.retry_after = retry_after


class Access(msgspec.Struct, frozen=True):
    """How a provider is asked: where (empty: its own address), with which key, and how many seconds it may take."""

    api: str
    key: str
    timeout: float = 30.0

    def __repr__(self) -> str:
        return f"Access({self.api!r})"


class Streams(msgspec.Struct, frozen=True):
    """What a bot is to send: where to, the mix, a stream per participant, or both, and at which rate.

    `threshold` is the RMS above which a fork of Attendee pauses its own speech.
    """

    url: str
    mixed: bool = True
    separate: bool = True
    rate: int = 16000
    threshold: int | None = None


class Created(msgspec.Struct, frozen=True):
    """A bot that was created; `state` where the provider tells one."""

    id: str
    state: str | None = None


class Rest(ABC):
    """A provider's REST interface, while the block runs. `tell` hears why it takes long."""

    name: ClassVar[str]
    home: ClassVar[str]
    variable: ClassVar[str]
    """The environment variable of the key."""
    authorization: ClassVar[str]
    """The header, with `{}` for the key."""
    bots: ClassVar[str]
    """The path of the bots."""

    def __init__(self, access: Access, tell: Callable[[str], None] = lambda _: None) -> None:
        self.base = _checked_base(self.address(access.api) if access.api else self.home)
        self._key = self._checked_key(access.key)
        self._path = ""
        self._timeout = access.timeout
        self._tell = tell
        self._client: httpx2.AsyncClient | None = None

    @classmethod
    def address(cls, api: str) -> str:
        """The interface's URL, out of what a user wrote for it."""
        return api

    @classmethod
    @abstractmethod
    def subscription(cls, streams: Streams) -> dict[str, Any]:
        """The part of a bot's creation that makes it send us streams. UsageError for what its bots cannot do."""

    @classmethod
    def extras(cls) -> dict[str, Any]:
        """What else a bot is created with."""
        return {}

    async def create(self, meeting: str, name: str, streams: Streams) -> Created:
        """Send a bot into a meeting."""
        self._path = urlsplit(streams.url).path.strip("/")
        body = {"meeting_url": meeting, "bot_name": name} | self.subscription(streams) | self.extras()
        return await self.ask(Created, "POST", self.bots, body)

    @abstractmethod
    async def leave(self, bot: str) -> None:
        """Have a bot leave its meeting."""

    def path(self, bot: str, action: str) -> str:
        """The path of something that a bot can be asked for; ids may come from anywhere."""
        return f"{self.bots.rstrip('/')}/{quote(bot, safe='')}/{action}"

    async def __aenter__(self) -> Self:
        import httpx2

        self._client = httpx2.AsyncClient(
            headers={"Authorization": self.authorization.format(self._key), "Accept": "application/json"},
            timeout=None,
        )
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._client is not None:
            await self._client.aclose()

    async def ask(
        self, kind: type[T], method: str, path: str, body: object = None, query: Mapping[str, str] | None = None
    ) -> T:
        """What the provider answers. A provider that asks to wait is waited for, as long as the time limit allows.

        RestError for every other answer, and for none.
        """
        loop = asyncio.get_running_loop()
        deadline = loop.time() + self._timeout
        while True:
            response = await self._send(method, path, body, query, deadline)
            if response.is_success:
                return self._decoded(kind, response)
            wait = _retry_after(response)
            if response.status_code not in WAITABLE or wait is None or loop.time() + wait >= deadline:
                raise self._refusal(response, wait)
            self._tell(f"{self.name} asks to wait: trying again in {wait:g} s")
            await asyncio.sleep(wait)

    async def _send(
        self, method: str, path: str, body: object, query: Mapping[str, str] | None, deadline: float
    ) -> httpx2.Response:
        import httpx2

        if self._client is None:
            raise RuntimeError("not entered")
        content = None if body is None else msgspec.json.encode(body)
        headers = {} if content is None else {"Content-Type": "application/json"}
        try:
            async with asyncio.timeout_at(deadline):
                return await self._client.request(
                    method, self.base + path, content=content, params=query, headers=headers
                )
        except TimeoutError as error:
            raise RestError(
                f"{self.name} did not answer within {self._timeout:g} s ({self.base})",
                "what was asked may have been done all the same: look before you try again",
                Exit.NOBODY,
            ) from error
        except (httpx2.HTTPError, httpx2.InvalidURL) as error:
            raise RestError(
                f"cannot reach {self.name} at {self.base}: {self._clean(str(error) or type(error).__name__)}",
                "is there a network, and is the address right?",
                Exit.NOBODY,
            ) from error

    def _decoded(self, kind: type[T], response: httpx2.Response) -> T:
        if kind is type(None):
            return None
        try:
            return msgspec.json.decode(response.content, type=kind)
        except (msgspec.MsgspecError, UnicodeError, RecursionError) as error:
            raise RestError(
                f"{self.base} answered something that {self.name} does not say",
                "is that the address of its REST interface?",
                Exit.FAILED,
                response.status_code,
            ) from error

    def _refusal(self, response: httpx2.Response, wait: float | None) -> RestError:
        code = response.status_code
        said = self._clean(_words(response.content))
        hint = f"is {self.variable} right, and of this server or region?" if code == 401 else HINTS.get(code, "")
        return RestError(
            f"{self.name} answered {code}{_phrase(code)}{': ' + said if said else ''}",
            hint.format(wait=USUAL_WAIT if wait is None else f"{wait:g} s"),
            _status(code),
            code,
            wait,
        )

    def _clean(self, text: str) -> str:
        """Foreign words as one line, without the key, and without the path by which our listener knows its bots."""
        known = text.replace(self._key, HIDDEN)
        if len(self._path) >= SECRET:
            known = known.replace(self._path, HIDDEN_PATH)
        words = printable(" ".join(known.split()))
        return words if len(words) <= MOST_SAID else words[: MOST_SAID - 1] + "…"

    def _checked_key(self, key: str) -> str:
        if not key:
            raise UsageError(f"{self.variable} is not set", f"export {self.variable}=…: the key of your account")
        if not re.fullmatch(r"[!-~]+", key):
            raise UsageError(f"{self.variable} holds spaces or characters that no key has", "set it to the bare key")
        return key


def with_path(url: str) -> str:
    """A websocket URL that has a path, since one with a query and no path was refused by a provider."""
    parts = urlsplit(url)
    return parts._replace(path=parts.path or "/").geturl()


def _checked_base(url: str) -> str:
    try:
        parts = urlsplit(url)
        whole = parts.scheme in {"http", "https"} and bool(parts.hostname) and parts.port != 0
    except ValueError:
        whole = False
    if not whole or "@" in parts.netloc or parts.query or parts.fragment:
        raise UsageError("that is no address of a REST interface", "write it as https://HOST, without a key in it")
    return url.rstrip("/")


def _retry_after(response: httpx2.Response) -> float | None:
    """Seconds to wait, where they are told as such."""
    text = response.headers.get("Retry-After", "")
    return float(text) if re.fullmatch(r"\d{1,6}(\.\d{1,6})?", text) else None


def _phrase(code: int) -> str:
    try:
        return f" {HTTPStatus(code).phrase}"
    except ValueError:
        return ""


def _status(code: int) -> Exit:
    """401 to 403 and most others of their kind are the provider's no, 404 is nobody there, the rest is trouble."""
    if code == 404:
        return Exit.NOBODY
    return Exit.REFUSED if 400 <= code < 500 and code != 429 else Exit.FAILED


def _words(content: bytes) -> str:
    """What an error's body says, without its punctuation; nothing where it is no JSON."""
    try:
        return _flat(msgspec.json.decode(content))
    except (msgspec.MsgspecError, UnicodeError, RecursionError):
        return ""


def _flat(value: object) -> str:
    match value:
        case dict():
            return "; ".join(filter(None, (_named(str(key), _flat(inner)) for key, inner in value.items())))
        case list():
            return "; ".join(filter(None, map(_flat, value)))
        case None:
            return ""
        case _:
            return str(value)


def _named(key: str, words: str) -> str:
    return words if not words or key in {"error", "detail", "message", "non_field_errors"} else f"{key}: {words}"
