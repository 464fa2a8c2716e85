"""A tunnel: the user's own ngrok, cloudflared or tailscale, which runs as long as the listener that it leads to."""

from __future__ import annotations

import asyncio
import os
import re
import shlex
import shutil
import signal
from asyncio.subprocess import PIPE, STDOUT, Process
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from typing import Any, NoReturn
from urllib.parse import urlsplit

import msgspec

from audiotap.errors import AudiotapError, MachineError, UsageError
from audiotap.net.peer import check_url
from audiotap.net.probe import reached
from audiotap.net.rest.attendee import AttendeeRest
from audiotap.net.rest.base import Rest, Streams
from audiotap.net.rest.recall import RecallRest
from audiotap.net.rest.refusal import MOST_SAID
from audiotap.net.tasks import first_of, wait_for
from audiotap.reports import Odd, Reachable, Report

URL_SECONDS = 30.0
"""That a tunnel may take to tell its URL."""
PATIENCE = 30.0
"""Seconds until a new URL has to lead to us; names of quick tunnels take a while to be known."""
STOP_SECONDS = 5.0
FIRST_DELAY = 1.0
LONGEST_DELAY = 60.0
"""Seconds between two starts of a tunnel that dies again and again; a life that long makes it a new one."""
KEPT = 16 * 1024
"""Characters of a tunnel's output that are looked at."""
SAID = 3
"""Lines of it that are repeated when it fails."""

GUARD = """
seconds=$1
shift
exec 3<&0
"$@" 3<&- &
tunnel=$!
{ read -r _ <&3; kill "$tunnel"; sleep "$seconds"; kill -KILL 0; } >/dev/null 2>&1 &
wait "$tunnel"
status=$?
kill $! 2>/dev/null
exit $status
"""
"""Runs a command that ends when our end of the shell's standard input is closed, so also when we are killed.

All that it started ends so many seconds later, if it does not listen.
"""


class Binary(msgspec.Struct, frozen=True):
    """A tunnel's program: what is typed, with `{}` for the listener's address; where its output has the URL."""

    command: tuple[str, ...]
    url: str
    install: str


TUNNELS = {
    "ngrok": Binary(
        ("ngrok", "http", "{}", "--log=stdout", "--log-format=logfmt"),
        r"\bobj=tunnels .*\burl=(https://\S+)",
        "brew install ngrok, or see https://ngrok.com/download; then: ngrok config add-authtoken TOKEN",
    ),
    "cloudflared": Binary(
        ("cloudflared", "tunnel", "--no-autoupdate", "--url", "http://{}"),
        r"\| +(https://\S+) +\|",
        "brew install cloudflared, or see https://github.com/cloudflare/cloudflared/releases",
    ),
    "tailscale": Binary(
        ("tailscale", "funnel", "http://{}"),
        r"Available on the internet:\s+(https://\S+)",
        "curl -fsSL https://tailscale.com/install.sh | sh; then: sudo tailscale up",
    ),
}
PROVIDERS: tuple[type[Rest], ...] = (AttendeeRest, RecallRest)


class Start(msgspec.Struct, frozen=True):
    """Which tunnel is to be started, and the environment that it is handed."""

    name: str
    environment: dict[str, str]


class Way(msgspec.Struct, frozen=True):
    """What a tunnel leads to: a listener's own URL, and its identity.

    `publish` is told every new public URL, and says what bots are to dial.
    """

    url: str
    identity: str
    publish: Callable[[str], str]


class Tunnel:
    """A tunnel that is running. `command` is what it was started with."""

    def __init__(self, command: list[str], pattern: str, process: Process) -> None:
        self.command = command
        self._pattern = re.compile(pattern)
        self._process = process
        self._output = ""
        self._url = ""
        self._told = asyncio.Event()
        self._reading = asyncio.create_task(self._read(), name="tunnel")

    async def url(self) -> str:
        """The websocket URL under which it makes us known. MachineError when it tells none."""
        await wait_for(self._told, URL_SECONDS)
        if url := _websocket(self._url):
            return url
        if self._url:
            what = f"told {self._url}, which is no URL"
        elif self._process.returncode is None:
            what = f"told no URL within {URL_SECONDS:g} s{self._said()}"
        else:
            what = await self.end()
        raise MachineError(f"{self.command[0]} {what}", f"see what it says: {shlex.join(self.command)}")

    async def over(self) -> None:
        """Return when it has ended."""
        await asyncio.shield(self._reading)

    async def end(self) -> str:
        """How it ended, and what it said last."""
        return f"ended with status {await self._process.wait()}{self._said()}"

    async def stop(self) -> None:
        """End it, and all that it started; at once if it does not listen."""
        if self._process.stdin is not None:
            self._process.stdin.close()
        with suppress(TimeoutError):
            async with asyncio.timeout(STOP_SECONDS):
                await self._process.wait()
        with suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._reading.cancel()
        await asyncio.gather(self._process.wait(), self._reading, return_exceptions=True)

    def _said(self) -> str:
        lines = [line.strip() for line in self._output.splitlines() if line.strip()]
        return f": {'; '.join(lines[-SAID:])[-MOST_SAID:]}" if lines else ""

    async def _read(self) -> None:
        """Take what it says, or it would wait for that."""
        if self._process.stdout is None:
            return
        while data := await self._process.stdout.read(KEPT):
            self._output = (self._output + data.decode(errors="replace"))[-KEPT:]
            whole, _, _ = self._output.rpartition("\n")
            if not self._url and (found := self._pattern.search(whole)):
                self._url = found[1]
                self._told.set()
        await self._process.wait()
        self._told.set()


def check_tunnel(start: Start) -> None:
    """MachineError with the line that installs it when a tunnel's program is not here."""
    binary = TUNNELS[start.name]
    if shutil.which(binary.command[0], path=start.environment.get("PATH")) is None:
        raise MachineError(f"{start.name} is not installed", binary.install)


def next_delay(before: float, lived: float) -> float:
    """Seconds until a tunnel is started again that has lived so long, after it waited so long for its start."""
    return FIRST_DELAY if lived > LONGEST_DELAY else min(2 * before or FIRST_DELAY, LONGEST_DELAY)


async def keep_tunnel(start: Start, way: Way, tell: Callable[[Report], None]) -> NoReturn:
    """Run a tunnel to a listener, and again when it dies; tell where bots dial, once a frame came through.

    MachineError when there never is a public URL.
    """
    loop = asyncio.get_running_loop()
    name, binary = start.name, TUNNELS[start.name]
    command = [part.format(_address(way.url)) for part in binary.command]
    public = ""
    delay = 0.0
    while True:
        began = loop.time()
        async with _started(command, binary.url, start.environment) as tunnel:
            try:
                url = await tunnel.url()
            except MachineError as error:
                if not public:
                    raise
                trouble = error.message
            else:
                if public not in {"", url}:
                    tell(Odd(f"{name} has another URL than before: bots that were told the old one do not find us"))
                public = url
                await first_of(_present(name, way.publish(url), way, tell), tunnel.over())
                await tunnel.over()
                trouble = f"{name} {await tunnel.end()}"
        delay = next_delay(delay, loop.time() - began)
        tell(Odd(f"{trouble}; it is started again in {delay:g} s"))
        await asyncio.sleep(delay)


@asynccontextmanager
async def _started(command: list[str], pattern: str, environment: dict[str, str]) -> AsyncIterator[Tunnel]:
    """Run a tunnel while the block runs, in a session of its own: what the terminal sends is for us."""
    process = await asyncio.create_subprocess_exec(
        *("sh", "-c", GUARD, "sh", str(STOP_SECONDS), *command),
        stdin=PIPE,
        stdout=PIPE,
        stderr=STDOUT,
        env=environment,
        start_new_session=True,
    )
    tunnel = Tunnel(command, pattern, process)
    try:
        yield tunnel
    finally:
        await tunnel.stop()


async def _present(name: str, url: str, way: Way, tell: Callable[[Report], None]) -> None:
    """Try the way through the tunnel, and tell of it."""
    seconds = await reached(url, way.identity, PATIENCE)
    if isinstance(seconds, AudiotapError):
        doctor = f"audiotap doctor --port {urlsplit(way.url).port}"
        tell(Odd(f"no frame came back through {name} yet: {seconds.message}; try it again: {doctor}"))
    tell(Reachable(url, name, None if isinstance(seconds, AudiotapError) else round(seconds, 4), _subscriptions(url)))


def _subscriptions(url: str) -> dict[str, dict[str, Any]]:
    """What makes bots dial a URL, by provider, as far as their bots can."""
    found = {}
    for provider in PROVIDERS:
        with suppress(UsageError):
            found[provider.name.lower()] = provider.subscription(Streams(url))
    return found


def _address(listener: str) -> str:
    """Where a program on this machine finds a listener."""
    parts = urlsplit(listener)
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(parts.hostname or "", parts.hostname or "")
    return f"[{host}]:{parts.port}" if ":" in host else f"{host}:{parts.port}"


def _websocket(url: str) -> str:
    """The websocket URL at a web server's root; nothing for what is no web server's."""
    with suppress(ValueError, UsageError):
        found = f"wss://{urlsplit(url).netloc}/"
        check_url(found)
        return found
    return ""
