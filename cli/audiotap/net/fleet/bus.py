"""NATS as a fleet uses it: a connection that comes back by itself, and two buckets.

Nothing that is told from here has the user, the password or the token of a URL in it.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from typing import Any
from urllib.parse import urlsplit

from audiotap.errors import MachineError, NobodyError, UsageError
from audiotap.net.fleet.registry import NODE_SECONDS, NODES, SESSION_SECONDS, SESSIONS
from audiotap.text import without_path

try:
    from nats.aio.client import Client
    from nats.errors import Error, StaleConnectionError
    from nats.js.api import KeyValueConfig
    from nats.js.errors import APIError, BucketNotFoundError
    from nats.js.kv import KeyValue
except ImportError as error:
    raise MachineError("--fleet needs nats-py", f"type: {sys.executable} -m pip install nats-py") from error

SCHEMES = ("nats", "tls", "ws", "wss")
PATIENCE_SECONDS = 5.0
"""How long a command waits for NATS."""
AGAIN_SECONDS = 0.5
"""Between two tries to connect."""
PING_SECONDS = 5
"""How often NATS is asked whether it is still there; after the third time without an answer it is not."""
COPIES = 3
"""Servers of a cluster that keep a bucket, so that any one of them may die."""
NO_CLUSTER = 10074
"""NATS' word for a server that is no cluster, and so keeps one copy."""
ANSWER_SECONDS = 2.0
"""After which JetStream is asked again: a question to a leader that died is never answered."""
LIST_SECONDS = 5.0
ERRORS = (Error, OSError, TimeoutError, RuntimeError)
"""What NATS throws while it is away; a RuntimeError is uvloop's word for a socket that was closed."""

Happening = Callable[[], Awaitable[None]]


def servers(url: str) -> list[str]:
    """The servers that `--fleet` names; UsageError for what is none."""
    found = [one.strip() for one in url.split(",") if one.strip()]
    if not found or any(not _is_server(one) for one in found):
        raise UsageError("--fleet wants NATS servers", "write nats://HOST:4222, several with a comma between")
    return found


def _is_server(url: str) -> bool:
    try:
        parts = urlsplit(url)
        return parts.scheme in SCHEMES and bool(parts.hostname) and parts.port != 0
    except ValueError:
        return False


def shown(url: str) -> str:
    """Servers without what is secret about them."""
    return ", ".join(without_path(one) for one in servers(url))


class Troubles:
    """The last thing that NATS complained of; without any, the last thing that went wrong on the way to it.

    A server that refuses us hangs up at once, and now and then its word is lost with the connection.
    """

    def __init__(self) -> None:
        self._said = self._met = ""

    @property
    def last(self) -> str:
        return self._said or self._met

    async def note(self, error: Exception) -> None:
        if isinstance(error, OSError | StaleConnectionError):
            self._met = reason(error)
        else:
            self._said = reason(error)


def reason(error: BaseException) -> str:
    """An error of NATS in words."""
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return str(error).removeprefix("nats: ") or type(error).__name__


async def _nothing() -> None:
    """Nothing is done about it."""


@asynccontextmanager
async def connected(
    url: str,
    name: str = "audiotap",
    patience: float = PATIENCE_SECONDS,
    lost: Happening = _nothing,
    back: Happening = _nothing,
) -> AsyncIterator[Client]:
    """A connection to the first server that answers; it is made again whenever it was lost.

    `lost` and `back` are told of that. NobodyError where nobody answers for so long.
    """
    client, troubles = Client(), Troubles()
    try:
        try:
            async with asyncio.timeout(patience):
                await client.connect(
                    servers(url),
                    name=name,
                    error_cb=troubles.note,
                    disconnected_cb=lost,
                    reconnected_cb=back,
                    connect_timeout=2,
                    reconnect_time_wait=AGAIN_SECONDS,  # type: ignore[arg-type]  # it is slept for, whatever it is
                    max_reconnect_attempts=-1,
                    ping_interval=PING_SECONDS,
                )
        except ERRORS as error:
            raise NobodyError(
                f"cannot reach the fleet at {shown(url)}: {troubles.last or reason(error)}", "is NATS running there?"
            ) from error
        yield client
    finally:
        with suppress(*ERRORS):
            await client.close()


async def nodes(client: Client) -> KeyValue:
    """The bucket of those who live, made where there is none."""
    return await _bucket(client, NODES, NODE_SECONDS)


async def sessions(client: Client) -> KeyValue:
    """The bucket of what they hold, made where there is none."""
    return await _bucket(client, SESSIONS, SESSION_SECONDS)


async def written(client: Client, name: str) -> list[bytes]:
    """All that is in a bucket, for who asks; nothing where no node ever was."""
    try:
        return list((await values(await client.jetstream(timeout=ANSWER_SECONDS).key_value(name))).values())
    except BucketNotFoundError:
        return []


async def _bucket(client: Client, name: str, seconds: float) -> KeyValue:
    """A bucket; one that is there stays as it is."""
    stream = client.jetstream(timeout=ANSWER_SECONDS)
    try:
        return await stream.key_value(name)
    except BucketNotFoundError:
        config = KeyValueConfig(bucket=name, ttl=seconds, replicas=COPIES)
    try:
        return await stream.create_key_value(config)
    except APIError as error:
        if error.err_code != NO_CLUSTER:
            raise
        return await stream.create_key_value(config, replicas=1)


async def values(bucket: KeyValue) -> dict[str, bytes]:
    """All that a bucket holds."""
    watcher: Any = await bucket.watchall(ignore_deletes=True)
    found: dict[str, bytes] = {}
    try:
        while (entry := await watcher.updates(LIST_SECONDS)) is not None:
            found[entry.key] = entry.value or b""
    finally:
        await watcher.stop()
    return found
