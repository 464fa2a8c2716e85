"""What is read out of a tunnel's output, and how long it is waited for."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest

from audiotap.errors import MachineError
from audiotap.net import tunnel
from audiotap.net.tunnel import TUNNELS, keep_tunnel
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


Install = Callable[[str], None]


@pytest.fixture
def ngrok(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Install:
    """Put a program on PATH that is ngrok here: it prints something, and stays."""

    def install(output: str) -> None:
        program = tmp_path / "ngrok"
        program.write_text(f"#!/bin/sh\necho '{output}'\nexec sleep 600\n")
        program.chmod(0o755)
        monkeypatch.setenv("PATH", str(tmp_path), prepend=":")

    return install


async def test_silent_tunnel_is_given_up(ngrok: Install, monkeypatch: pytest.MonkeyPatch) -> None:
    """One that tells no URL in time is an error, with what it did say, and the command that shows more."""
    monkeypatch.setattr(tunnel, "URL_SECONDS", 0.5)
    ngrok("Funnel is not enabled on your tailnet.\nTo enable, visit:\n\n         https://login.tailscale.com/f/1\n")
    with pytest.raises(MachineError, match=r"no URL within 0\.5 s: .*; https://login\.tailscale\.com/f/1$") as caught:
        await keep_tunnel("ngrok", "ws://0.0.0.0:8765", str, lambda _: None)
    assert caught.value.hint.endswith("ngrok http 127.0.0.1:8765 --log=stdout --log-format=logfmt")


async def test_tunnel_that_leads_nowhere_is_warned_of(ngrok: Install, monkeypatch: pytest.MonkeyPatch) -> None:
    """The trial failed, which may be this machine's fault: bots are told the URL all the same."""
    monkeypatch.setattr(tunnel, "PATIENCE", 0.0)
    ngrok("obj=tunnels url=https://127.0.0.1:1")
    told: list[Report] = []

    def tell(report: Report) -> None:
        told.append(report)
        if isinstance(report, Reachable):
            raise EnoughError

    with pytest.raises(EnoughError):
        await keep_tunnel("ngrok", "ws://127.0.0.1:8765", str, tell)
    warning, reachable = told
    assert isinstance(warning, Odd)
    assert warning.message.endswith("try it again: audiotap doctor --port 8765")
    assert isinstance(reachable, Reachable)
    assert reachable.round_trip is None
    assert reachable.url == "wss://127.0.0.1:1/"


class EnoughError(Exception):
    """Ends what would never end."""
