"""Providers' REST interfaces: requests within a time limit, answers of a bounded size, and every failure in one line.

A provider's words are shown, ours are not: no key gets into an error.
"""

from __future__ import annotations

import asyncio
import re
import sys
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Self, TypeVar
from urllib.parse import urlsplit

import msgspec

from audiotap.errors import Exit, UsageError
from audiotap.net.reach import Reach, reach
from audiotap.net.rest.refusal import Answer, Patience, RestError, Secrets, asked_wait, refusal
from audiotap.text import human_size

if TYPE_CHECKING:
    import httpx2

T = TypeVar("T")
MOST_ANSWERED = 1024 * 1024
"""Bytes of an answer; nothing that is asked for here has a tenth of that."""
BOT_ID = r"[A-Za-z0-9_-]{1,80}"
"""What a bot's id can be: others would lead elsewhere as a part of a path, and ids may come from anywhere."""
MOST_SECONDS = 3600.0
"""That a provider may take."""
DOUBT = "what was asked may have been done all the same (a bot may be on its way): look before you try again"
STRANGE = f"is that the address of its REST interface? If it is, {DOUBT}"


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

    id: Annotated[str, msgspec.Meta(pattern=rf"\A{BOT_ID}\Z")]
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
        self._secrets = Secrets(self._key)
        self._timeout = _checked_timeout(access.timeout)
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
        self._secrets.add(streams.url)
        body = {"meeting_url": meeting, "bot_name": name} | self.subscription(streams) | self.extras()
        return await self.insist(Created, "POST", self.bots, body)

    @abstractmethod
    async def leave(self, bot: str) -> None:
        """Have a bot leave its meeting."""

    def path(self, bot: str, action: str) -> str:
        """The path of something that a bot can be asked for."""
        if not re.fullmatch(BOT_ID, bot):
            raise UsageError(
                f"{bot!r} is no bot's id", f"take the one that {self.name} gave: audiotap bot create prints it"
            )
        return f"{self.bots.rstrip('/')}/{bot}/{action}"

    async def __aenter__(self) -> Self:
        if self.base.lower().startswith("http://") and reach(self.base) > Reach.HERE:
            self._tell(f"{self.variable} goes to {self.base} unencrypted, for others on the way to read: use https://")
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._client is not None:
            await self._client.aclose()

    async def ask(self, kind: type[T], path: str, query: Mapping[str, str]) -> T:
        """What the provider tells, asked once. RestError for every other answer, and for none."""
        deadline = asyncio.get_running_loop().time() + self._timeout
        return self._taken(kind, await self._send("GET", path, None, query, deadline))

    async def insist(self, kind: type[T], method: str, path: str, body: object = None) -> T:
        """Have something done. A provider that asks to wait is waited for, as long as the time limit allows.

        RestError when it is not done, or nobody knows.
        """
        loop = asyncio.get_running_loop()
        deadline = loop.time() + self._timeout
        patience = Patience(deadline)
        answer = await self._send(method, path, body, {}, deadline)
        while (wait := patience.wait(answer, loop.time())) is not None:
            self._tell(f"{self.name} asks to wait: trying again in {wait:g} s")
            await asyncio.sleep(wait)
            answer = await self._send(method, path, body, {}, deadline)
        return self._taken(kind, answer)

    async def _send(self, method: str, path: str, body: object, query: Mapping[str, str], deadline: float) -> Answer:
        import httpx2

        if self._client is None:
            self._client = self._built()
        content = None if body is None else msgspec.json.encode(body)
        headers = {} if content is None else {"Content-Type": "application/json"}
        unsent = httpx2.ConnectError, httpx2.ProxyError, httpx2.UnsupportedProtocol, httpx2.InvalidURL
        try:
            async with (
                asyncio.timeout_at(deadline),
                self._client.stream(method, self.base + path, content=content, params=query, headers=headers) as answer,
            ):
                return Answer(
                    answer.status_code,
                    await self._read(answer),
                    asked_wait(answer.headers.get("Retry-After", ""), datetime.now(UTC)),
                    answer.headers.get("Location", ""),
                )
        except TimeoutError as error:
            raise RestError(
                f"{self.name} did not answer within {self._timeout:g} s ({self.base})", DOUBT, Exit.NOBODY
            ) from error
        except (httpx2.HTTPError, httpx2.InvalidURL) as error:
            raise RestError(
                f"cannot reach {self.name} at {self.base}: {self._secrets.without(str(error) or type(error).__name__)}",
                "is there a network, and is the address right?" if isinstance(error, unsent) else DOUBT,
                Exit.NOBODY,
            ) from error

    async def _read(self, response: httpx2.Response) -> bytes:
        """An answer's bytes; nobody can make us hold more than a few of them."""
        body = bytearray()
        async for piece in response.aiter_bytes():
            body += piece
            if len(body) > MOST_ANSWERED:
                raise RestError(
                    f"{self.base} answered more than {human_size(MOST_ANSWERED)}, which {self.name} does not",
                    STRANGE,
                    Exit.FAILED,
                    response.status_code,
                )
        return bytes(body)

    def _built(self) -> httpx2.AsyncClient:
        """A client, as the environment's proxies and certificates want it; RestError for what they cannot be."""
        import httpx2

        headers = {
            "Authorization": self.authorization.format(self._key),
            "Accept": "application/json",
            "Accept-Encoding": "identity",
        }
        try:
            return httpx2.AsyncClient(headers=headers, timeout=None)
        except ImportError as error:
            raise self._unbuilt(
                "a SOCKS proxy needs socksio", f"{sys.executable} -m pip install socksio; or: unset ALL_PROXY all_proxy"
            ) from error
        except OSError as error:
            raise self._unbuilt(
                f"no certificates to check it by ({error.strerror or type(error).__name__})",
                "have SSL_CERT_FILE name a file of PEM certificates, or: unset SSL_CERT_FILE SSL_CERT_DIR",
            ) from error
        except (ValueError, httpx2.InvalidURL) as error:
            raise self._unbuilt(
                "the environment names a proxy that is none",
                "write ALL_PROXY, HTTP_PROXY and HTTPS_PROXY as http://HOST:PORT, or unset them",
            ) from error

    def _unbuilt(self, why: str, hint: str) -> RestError:
        return RestError(f"cannot reach {self.name} at {self.base}: {why}", hint, Exit.ENVIRONMENT)

    def _taken(self, kind: type[T], answer: Answer) -> T:
        if not answer.is_yes:
            raise refusal(answer, self.name, self.variable, self._secrets)
        if kind is type(None):
            return None
        try:
            return msgspec.json.decode(answer.body, type=kind)
        except (msgspec.MsgspecError, UnicodeError, RecursionError) as error:
            raise RestError(
                f"{self.base} answered something that {self.name} does not say", STRANGE, Exit.FAILED, answer.code
            ) from error

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
    if not whole or not url.isprintable() or "@" in parts.netloc or parts.query or parts.fragment:
        raise UsageError("that is no address of a REST interface", "write it as https://HOST, without a key in it")
    return url.rstrip("/")


def _checked_timeout(seconds: float) -> float:
    if not 0 < seconds <= MOST_SECONDS:
        raise UsageError(f"a provider cannot take {seconds:g} s", f"choose --timeout, up to {MOST_SECONDS:g} s")
    return seconds
