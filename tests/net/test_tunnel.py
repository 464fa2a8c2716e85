"""What is read out of a tunnel's output, and how long it is waited for."""

from __future__ import annotations

import asyncio
import os
import re
import signal
from asyncio.subprocess import Process
from collections.abc import Callable
from pathlib import Path
from typing import cast

import pytest

from audiotap.errors import MachineError
from audiotap.net import tunnel
from audiotap.net.tunnel import TUNNELS, Start, Tunnel, Way, keep_tunnel, next_delay
from audiotap.reports import Odd, Reachable, Report

FOREIGN = {
    "ngrok": [
        't=2026-11-21T09:12:44+0000 lvl=warn msg="ngrok config file found at legacy location" url=https://ngrok.com/docs',
        't=2026-11-21T09:12:44+0000 lvl=info msg="update available" obj=updater url=https://update.equinox.io/apply',
        't=2026-11-21T09:12:44+0000 lvl=info msg="started tunnel" obj=tunnels name="command_line (http)" url=http://a.io',
    ],
    "cloudflared": [
        "2026-11-21T09:12:43Z INF Thank you. See https://developers.cloudflare.com/cloudflare-one/connections",
        'ERR failed to request quick Tunnel: Post "https://api.trycloudflare.com/tunnel": EOF',
    ],
    "tailscale": [
        "Funnel is not enabled on your tailnet.\nTo enable, visit:\n\n         https://login.tailscale.com/f/1"
    ],
}


@pytest.mark.parametrize("name", TUNNELS)
def test_other_urls_are_not_the_tunnels(name: str) -> None:
    """Programs also print where their pages and updates are."""
    assert [line for line in FOREIGN[name] if re.search(TUNNELS[name].url, line)] == []


Install = Callable[..., Start]


@pytest.fixture
def ngrok(tmp_path: Path) -> Install:
    """Put a program on a PATH that is ngrok there: it prints something, and stays."""

    def install(output: str, then: str = "exec sleep 600") -> Start:
        program = tmp_path / "ngrok"
        program.write_text(f"#!/bin/sh\nprintf '%s' '{output}'\n{then}\n")
        program.chmod(0o755)
        return Start("ngrok", {"PATH": f"{tmp_path}{os.pathsep}{os.environ['PATH']}"})

    return install


def way(url: str) -> Way:
    """To a listener that tells bots what it is told."""
    return Way(url, "nobody", str)


async def test_silent_tunnel_is_given_up(ngrok: Install, monkeypatch: pytest.MonkeyPatch) -> None:
    """One that tells no URL in time is an error, with what it did say, and the command that shows more."""
    monkeypatch.setattr(tunnel, "URL_SECONDS", 0.5)
    start = ngrok(
        "Funnel is not enabled on your tailnet.\nTo enable, visit:\n\n         https://login.tailscale.com/f/1\n"
    )
    with pytest.raises(MachineError, match=r"no URL within 0\.5 s: .*; https://login\.tailscale\.com/f/1$") as caught:
        await keep_tunnel(start, way("ws://0.0.0.0:8765"), lambda _: None)
    assert caught.value.hint.endswith("ngrok http 127.0.0.1:8765 --log=stdout --log-format=logfmt")


async def test_tunnel_that_leads_nowhere_is_warned_of(ngrok: Install, monkeypatch: pytest.MonkeyPatch) -> None:
    """The trial failed, which may be this machine's fault: bots are told the URL all the same."""
    monkeypatch.setattr(tunnel, "PATIENCE", 0.0)
    start = ngrok("obj=tunnels url=https://127.0.0.1:1\n")
    told: list[Report] = []

    def tell(report: Report) -> None:
        told.append(report)
        if isinstance(report, Reachable):
            raise EnoughError

    with pytest.raises(EnoughError):
        await keep_tunnel(start, way("ws://127.0.0.1:8765"), tell)
    warning, reachable = told
    assert isinstance(warning, Odd)
    assert warning.message.endswith("try it again: audiotap doctor --port 8765")
    assert isinstance(reachable, Reachable)
    assert reachable.round_trip is None
    assert reachable.url == "wss://127.0.0.1:1/"


@pytest.mark.parametrize("url", ["https://[", "https://a..b", f"https://{'x' * 70}.example"])
async def test_what_is_no_url_is_said(ngrok: Install, url: str) -> None:
    """A program that tells nonsense has told no URL, and that is not the listener's fault."""
    with pytest.raises(MachineError) as caught:
        await keep_tunnel(ngrok(f"obj=tunnels url={url}\n"), way("ws://127.0.0.1:8765"), lambda _: None)
    assert caught.value.message == f"ngrok told {url}, which is no URL"


class Slow:
    """A process that says half a line at a time."""

    returncode = None

    def __init__(self) -> None:
        self.stdout = asyncio.StreamReader()

    async def says(self, words: bytes) -> None:
        """Return when that was read."""
        self.stdout.feed_data(words)
        for _ in range(5):
            await asyncio.sleep(0)

    async def wait(self) -> int:
        return 0


async def test_line_that_has_not_ended_is_waited_for() -> None:
    """Half a URL is none: the rest of its line may be in what is read next."""
    process = Slow()
    running = Tunnel(["ngrok"], TUNNELS["ngrok"].url, cast("Process", process))
    await process.says(b"obj=tunnels url=https://half")
    await process.says(b".example\n")
    assert await running.url() == "wss://half.example/"
    process.stdout.feed_eof()
    await running.over()


def test_delays_double_up_to_a_minute() -> None:
    """A tunnel that dies at once is started less and less often; one that lived for long is new."""
    waited = [0.0]
    for _ in range(8):
        waited.append(next_delay(waited[-1], lived=0.1))
    assert waited[1:] == [1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 60.0, 60.0]
    assert next_delay(60.0, lived=61.0) == 1.0


def test_names_of_new_tunnels_have_half_a_minute() -> None:
    """As docs/tunnels.md says, of both waits."""
    assert (tunnel.URL_SECONDS, tunnel.PATIENCE) == (30.0, 30.0)


async def test_tunnel_that_ignores_its_end_is_killed(ngrok: Install, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its guard does that, whether we are there or were killed; and nothing that it started is left."""
    monkeypatch.setattr(tunnel, "STOP_SECONDS", 0.1)
    deaf = "trap '' TERM; echo obj=tunnels url=https://here.example; sleep 600 & exec sleep 600"
    start = ngrok("", deaf)
    async with tunnel._started([*TUNNELS["ngrok"].command], TUNNELS["ngrok"].url, start.environment) as running:
        await running.url()
        process = running._process
        assert process.stdin is not None
        process.stdin.close()
        assert await process.wait() in {-signal.SIGKILL, 128 + signal.SIGKILL}
        await running.over()


class EnoughError(Exception):
    """Ends what would never end."""
