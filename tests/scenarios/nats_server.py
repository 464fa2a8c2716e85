"""NATS beside the fleet: Debian's server on a free port, stopped, killed and started again at the same place."""

from __future__ import annotations

import asyncio
import shutil
import signal
import socket
from asyncio.subprocess import DEVNULL, PIPE
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from nats.aio.client import Client
from nats.aio.msg import Msg
from tests.scenarios.harness import DEADLINE, Running

from audiotap.net.fleet import bus
from audiotap.net.fleet.registry import decode

SERVER = shutil.which("nats-server", path="/usr/sbin:/usr/bin:/usr/local/bin:/opt/homebrew/bin")
needs_nats = pytest.mark.skipif(SERVER is None, reason="nats-server is not installed; .ci/run installs Debian's")


def free_port() -> int:
    """A port that nobody has right now."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])


class NatsServer:
    """One server, with its streams in a folder that outlives it."""

    def __init__(self, folder: Path, name: str = "nats", options: Sequence[str] = ()) -> None:
        self.port = free_port()
        self.name = name
        self._folder = folder
        self._options = options
        self._running: Running | None = None

    @property
    def url(self) -> str:
        return f"nats://127.0.0.1:{self.port}"

    @property
    def running(self) -> Running:
        assert self._running is not None
        return self._running

    async def start(self) -> None:
        """Return when it takes connections."""
        where = ("-a", "127.0.0.1", "-p", str(self.port), "-js", "-sd", str(self._folder / self.name))
        process = await asyncio.create_subprocess_exec(
            str(SERVER), "-n", self.name, *where, *self._options, stdin=DEVNULL, stdout=DEVNULL, stderr=PIPE
        )
        self._running = Running(process)
        await self._running.says("Server is ready")

    @asynccontextmanager
    async def overheard(self, subject: str) -> AsyncIterator[list[tuple[str, bytes]]]:
        """All that is published while the block runs."""
        said: list[tuple[str, bytes]] = []

        async def hear(message: Msg) -> None:
            said.append((message.subject, message.data))

        async with self.client() as client:
            await client.subscribe(subject, cb=hear)
            await client.flush()
            yield said

    async def knows(self, *bots: str) -> None:
        """Return when it is written down that these bots are connected."""
        async with self.client() as client:
            watcher: Any = await (await bus.sessions(client)).watchall()
            missing = set(bots)
            while missing:
                written = await watcher.updates(DEADLINE)
                if written is not None and (entry := decode(written.value)).connected:
                    missing.discard(entry.session)
            await watcher.stop()

    @asynccontextmanager
    async def client(self) -> AsyncIterator[Client]:
        """A connection of the test's own."""
        client = Client()
        await client.connect(self.url)
        try:
            yield client
        finally:
            await client.close()

    async def kill(self) -> None:
        """Let it die without a word."""
        if self._running is not None:
            if self._running.process.returncode is None:
                self._running.process.send_signal(signal.SIGKILL)
            await self._running.kill()
