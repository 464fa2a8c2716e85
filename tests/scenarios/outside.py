"""The outside of a listener: a host with TLS that passes connections on, as a tunnel's edge does, and fake tunnels.

The fakes are shell scripts on PATH that print what the real programs print; no real tunnel is ever started.
"""

from __future__ import annotations

import asyncio
import os
import ssl
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path

import trustme
from tests.scenarios.harness import DEADLINE

SECRET = "a-secret-in-the-path-of-the-tunnel-0123456789"  # noqa: S105 - opens nothing but these tests
NGROK = """
echo 't=2026-11-21T09:12:43+0000 lvl=info msg="open config file" path=/root/.config/ngrok/ngrok.yml err=nil'
echo "t=2026-11-21T09:12:44+0000 lvl=info msg=\\"starting web service\\" obj=web addr=127.0.0.1:4040 allow_hosts=[]"
echo "t=2026-11-21T09:12:44+0000 lvl=info msg=\\"started tunnel\\" obj=tunnels name=command_line addr=//$2 url=$URL"
"""
CLOUDFLARED = """
exec >&2
echo "2026-11-21T09:12:43Z INF Thank you for trying Cloudflare Tunnel. (https://www.cloudflare.com/website-terms/)"
echo "2026-11-21T09:12:44Z INF +--------------------------------------------------------------------------------+"
echo "2026-11-21T09:12:44Z INF |  Your quick Tunnel has been created! Visit it at (it may take some time to be  |"
echo "2026-11-21T09:12:44Z INF |  $URL                                                                         |"
echo "2026-11-21T09:12:44Z INF +--------------------------------------------------------------------------------+"
echo "2026-11-21T09:12:45Z INF Registered tunnel connection connIndex=0 protocol=quic"
"""
TAILSCALE = """
echo "Available on the internet:"
echo
echo "$URL/"
echo "|-- proxy $2"
echo
echo "Press Ctrl+C to exit."
"""
STAY = "exec sleep 600\n"
TELLING = {"ngrok": NGROK + STAY, "cloudflared": CLOUDFLARED + STAY, "tailscale": TAILSCALE + STAY}


class Outside:
    """A host named localhost, with a certificate of an authority that is trusted in `environment` only."""

    def __init__(self, folder: Path, days: float) -> None:
        self.bin = folder / "bin"
        self.bin.mkdir()
        self._authority = trustme.CA()
        pem = folder / "authority.pem"
        self._authority.cert_pem.write_to_path(str(pem))
        self._certificate = self._authority.issue_cert(
            "localhost", not_after=datetime.now(UTC) + timedelta(days=days, hours=1)
        )
        self.environment = {"SSL_CERT_FILE": str(pem)}
        self.port = 0
        self._behind: asyncio.Future[int | None] = asyncio.get_running_loop().create_future()

    @property
    def host(self) -> str:
        return f"localhost:{self.port}"

    @property
    def url(self) -> str:
        return f"wss://{self.host}/"

    @property
    def address(self) -> str:
        """The same with the secret, as bots are told it."""
        return f"{self.url.rstrip('/')}/{SECRET}"

    @property
    def trust(self) -> ssl.SSLContext:
        """A client's context."""
        context = ssl.create_default_context()
        self._authority.configure_trust(context)
        return context

    def lead_to(self, port: int | None) -> None:
        """Pass connections on to a port of this machine; None answers that nobody is there."""
        self._behind.set_result(port)

    def tunnel(self, name: str, script: str = "") -> Mapping[str, str]:
        """Put a fake tunnel on PATH: what it does after it wrote down its id and arguments."""
        program = self.bin / name
        program.write_text(f'#!/bin/sh\necho "$$ $*" >> "$0.started"\n{script or TELLING[name]}')
        program.chmod(0o755)
        path = f"{self.bin}{os.pathsep}{os.environ['PATH']}"
        return self.environment | {"PATH": path, "URL": f"https://localhost:{self.port}", "AUDIOTAP_SECRET": SECRET}

    def started(self, name: str) -> list[tuple[int, str]]:
        """The ids and the arguments of a fake's processes so far."""
        lines = (self.bin / f"{name}.started").read_text("utf-8").splitlines()
        return [(int(number), args) for number, _, args in (line.partition(" ") for line in lines)]

    @asynccontextmanager
    async def open(self) -> AsyncIterator[None]:
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        self._certificate.configure_cert(context)
        server = await asyncio.start_server(self._serve, "localhost", ssl=context)
        self.port = server.sockets[0].getsockname()[1]
        for other in server.sockets[1:]:
            other.close()
        try:
            yield
        finally:
            server.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError):
            port = await self._behind
            if port is None:
                writer.write(b"HTTP/1.1 502 Bad Gateway\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
            else:
                there = await asyncio.open_connection("127.0.0.1", port)
                await asyncio.gather(_pump(reader, there[1]), _pump(there[0], writer))
        writer.close()


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with suppress(OSError):
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
    writer.close()


@asynccontextmanager
async def outside(folder: Path, days: float = 90) -> AsyncIterator[Outside]:
    """An outside whose certificate is good for so many days."""
    found = Outside(folder, days)
    async with found.open():
        yield found


def alive(number: int) -> bool:
    """Whether a process is there."""
    try:
        os.kill(number, 0)
    except ProcessLookupError:
        return False
    return True


async def gone(*numbers: int) -> None:
    """Return when processes have ended that are no children of ours."""
    for number in numbers:
        with suppress(ProcessLookupError):
            await _ended(os.pidfd_open(number))


async def _ended(handle: int) -> None:
    ended = asyncio.Event()
    loop = asyncio.get_running_loop()
    loop.add_reader(handle, ended.set)
    try:
        async with asyncio.timeout(DEADLINE):
            await ended.wait()
    finally:
        loop.remove_reader(handle)
        os.close(handle)
