"""What a public URL is worth, and how right our clock is: asked once, from outside where there is an outside."""

from __future__ import annotations

import asyncio
import ssl
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from secrets import token_hex
from urllib.parse import urlsplit

from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus, WebSocketException
from websockets.http11 import Request

from audiotap.errors import AudiotapError, MachineError, NobodyError
from audiotap.net.door.door import WHO, Door
from audiotap.net.door.limits import Limits
from audiotap.net.peer import NO_SERVER, bind
from audiotap.net.port import Peer, Port, Receiver

ANSWER_SECONDS = 10.0
"""That anybody out there may take."""
DAY = 86400.0
BEHIND = frozenset({502, 503, 504, 530})
"""Answers of a proxy that finds nobody behind it; 530 is Cloudflare's."""
ADDRESS = "is the address right? audiotap url says where bots dial"
ENVIRONMENT = (
    "are ALL_PROXY, HTTPS_PROXY and SSL_CERT_FILE right? without: env -u ALL_PROXY -u SSL_CERT_FILE audiotap doctor"
)
AGAIN_SECONDS = 1.0
"""Until a new address is tried again."""


class _Bot(connect):
    """Dials as bots do, which follow no redirects; and asks which listener it is."""

    def __init__(self, url: str) -> None:
        super().__init__(url, compression=None, ping_interval=None, close_timeout=1, additional_headers={WHO: "?"})

    def process_redirect(self, exc: Exception) -> Exception | str:
        return exc


async def round_trip(url: str, identity: str) -> float:
    """Seconds of a frame to the listener of that identity behind a websocket URL and back.

    NobodyError when none comes back, or another server answers.
    """
    host = urlsplit(url).hostname
    try:
        async with asyncio.timeout(ANSWER_SECONDS), _Bot(url) as connection:
            if connection.response is None or connection.response.headers.get(WHO) != identity:
                raise NobodyError(
                    f"{host} leads to another server than this listener",
                    f"is it this listener's port that it passes bots on to? {ADDRESS}",
                )
            return await (await connection.ping())
    except TimeoutError as error:
        raise NobodyError(f"{host} gave no answer within {ANSWER_SECONDS:g} s", ADDRESS) from error
    except InvalidStatus as error:
        raise _refused(host, error.response.status_code) from error
    except ssl.SSLError as error:
        raise _without_tls(host, error) from error
    except (*NO_SERVER, WebSocketException, ImportError, ValueError) as error:
        raise NobodyError(f"cannot connect to {host}: {error}", ADDRESS) from error


def _refused(host: str | None, status: int) -> NobodyError:
    phrase = HTTPStatus(status).phrase if status in {*HTTPStatus} else ""
    hint = ADDRESS
    if status in BEHIND:
        hint = "start what is to be behind it: audiotap listen"
    elif 300 <= status < 400:
        hint = "bots follow no redirects: take the address that it leads to"
    return NobodyError(f"{host} takes no websocket there, but answers {status} {phrase}".rstrip(), hint)


def _without_tls(host: str | None, error: ssl.SSLError) -> AudiotapError:
    """Why there is no TLS: nobody speaks it there, or nobody trusts the certificate."""
    if not isinstance(error, ssl.SSLCertVerificationError):
        return NobodyError(f"{host} speaks no TLS there: {error.reason or error}", "is it another port, or ws://?")
    return MachineError(
        f"no client trusts the certificate of {host}: {error.verify_message}",
        "let a tunnel or Caddy have the certificate: audiotap listen --tunnel cloudflared",
    )


async def certificate_days(url: str) -> float:
    """Days for which the certificate of a wss:// URL is good yet, once its chain was verified as any client does."""
    parts = urlsplit(url)
    try:
        async with asyncio.timeout(ANSWER_SECONDS):
            _, writer = await asyncio.open_connection(
                parts.hostname, parts.port or 443, ssl=ssl.create_default_context()
            )
    except ssl.SSLError as error:
        raise _without_tls(parts.hostname, error) from error
    except (OSError, TimeoutError, ValueError) as error:
        why = str(error) or "no answer"
        raise NobodyError(f"cannot connect to {parts.hostname}: {why}", ADDRESS) from error
    try:
        ends = ssl.cert_time_to_seconds(writer.get_extra_info("peercert")["notAfter"])
    finally:
        writer.transport.abort()
    return (ends - time.time()) / DAY


async def clock_ahead(servers: Sequence[str]) -> tuple[float, str]:
    """Seconds that our clock is ahead of the first web server that answers, to about a second, and the server's host.

    NobodyError when none answers.
    """
    import httpx2

    try:
        asking = httpx2.AsyncClient(timeout=ANSWER_SECONDS)
    except (ImportError, OSError, ValueError) as error:
        raise MachineError(f"cannot ask any web server: {error}", ENVIRONMENT) from error
    async with asking as client:
        for server in servers:
            with suppress(httpx2.HTTPError, httpx2.InvalidURL, KeyError, ValueError):
                before = time.time()
                answer = await client.head(server)
                now = (before + time.time()) / 2
                theirs = parsedate_to_datetime(answer.headers["Date"]).timestamp() + 0.5
                return now - theirs, urlsplit(server).hostname or server
    raise NobodyError(f"no answer from {' or '.join(urlsplit(server).hostname or server for server in servers)}")


class _Mute:
    """A host and a receiver that takes everything, and makes nothing of it."""

    def connect(self, _: Peer, _request: Request) -> Receiver:
        return self

    def ready(self) -> bool:
        return True

    def calm(self) -> bool:
        return True

    def refuse(self, what: str) -> None:
        """Nobody asks."""

    def take(self, wires: Sequence[str | bytes]) -> None:
        """Whatever it is."""

    def leave(self, *, lost: bool) -> None:
        """As it came."""


@asynccontextmanager
async def stand_in(port: int) -> AsyncIterator[str]:
    """Be on a port what a listener is there to a frame, while the block runs; by which identity.

    MachineError when the port is taken.
    """
    sockets, _, _ = await bind("127.0.0.1", port)
    identity = token_hex(16)
    server = Port(sockets, _Mute(), Limits(), Door(identity=identity))
    server.start()
    try:
        yield identity
    finally:
        await server.close()


async def reached(url: str, identity: str, patience: float) -> float | AudiotapError:
    """As `round_trip`, tried again while a new address becomes known; the error after so many seconds of patience."""
    loop = asyncio.get_running_loop()
    deadline = loop.time() + patience
    while True:
        try:
            return await round_trip(url, identity)
        except AudiotapError as error:
            if loop.time() >= deadline:
                return error
        await asyncio.sleep(AGAIN_SECONDS)
