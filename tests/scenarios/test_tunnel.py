"""`listen --tunnel`, with fake programs in the place of ngrok, cloudflared and tailscale."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from tests.scenarios.harness import Listener, Place, assert_same, attendee, ramp
from tests.scenarios.outside import SECRET, TELLING, Outside, alive, gone, outside
from websockets.asyncio.client import connect

from audiotap.commands.listen import Tunnel
from audiotap.net.tunnel import TUNNELS

TYPED = {
    "ngrok": "http 127.0.0.1:{} --log=stdout --log-format=logfmt",
    "cloudflared": "tunnel --no-autoupdate --url http://127.0.0.1:{}",
    "tailscale": "funnel http://127.0.0.1:{}",
}


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[Outside]:
    async with outside(tmp_path) as found:
        yield found


@pytest.fixture(autouse=True)
def _attendee_is_near(place: Place) -> None:
    """One of our own may be told URLs of this machine, as those of the tunnels here are."""
    place.environment["ATTENDEE_API_URL"] = "http://localhost:1"


async def tunnelled(place: Place, world: Outside, name: str = "ngrok", script: str = "", *more: str) -> Listener:
    """A listener with a tunnel that leads to it."""
    environment = world.tunnel(name, script)
    listener = await place.listen("--tunnel", name, *more, environment=environment)
    world.lead_to(listener.port)
    await listener.event("reachable")
    return listener


def test_options_are_the_programs() -> None:
    """Whatever `--tunnel` takes can be started."""
    assert [*Tunnel] == [*TUNNELS]


@pytest.mark.parametrize("name", TELLING)
async def test_tunnel_is_started_tried_told_and_stopped(place: Place, world: Outside, name: str) -> None:
    """Its URL is taken from what it prints, a frame goes there and back, and it ends with the listener."""
    listener = await tunnelled(place, world, name)

    told = await listener.event("reachable")
    assert (told["url"], told["tunnel"]) == (world.address, name)
    assert told["round_trip"] > 0
    assert told["subscriptions"]["attendee"]["websocket_settings"]["audio"]["url"] == world.address
    ((number, typed),) = world.started(name)
    assert typed == TYPED[name].format(listener.port)
    assert (await place.run("url")).out.decode() == f"{world.address}\n"
    assert json.loads((await place.run("url", "--for", "attendee")).out) == told["subscriptions"]["attendee"]

    assert (await listener.stop()).status == 130
    assert not alive(number)
    assert listener.warnings() == []


async def test_bot_is_recorded_through_a_tunnel(place: Place, world: Outside) -> None:
    """What a bot says at the public URL is what is recorded; the trial before left no trace."""
    listener = await tunnelled(place, world)
    async with connect(world.address, ssl=world.trust) as bot:
        await bot.send(attendee(ramp(1), 1.0))
        await listener.event("track.started")
    ended = await listener.stop()
    recording = await listener.finished("bot_1")
    assert_same(recording.samples("mixed"), ramp(1))
    assert ended.status == 0
    assert len(list(place.out.iterdir())) == 1


async def test_several_workers_have_one_tunnel(place: Place, world: Outside) -> None:
    """The front starts it, and says where bots dial; whichever worker is dialled says that it belongs to it."""
    listener = await tunnelled(place, world, "cloudflared", "", "--workers", "2")
    assert (await listener.event("reachable"))["round_trip"] > 0
    assert (await place.run("url")).out.decode() == f"{world.address}\n"
    ((number, _),) = world.started("cloudflared")
    await listener.stop()
    assert not alive(number)


async def test_plain_lines_can_be_pasted(place: Place, world: Outside) -> None:
    """Without `--json` the URL, its trial and the JSON for a bot are lines on stderr."""
    listener = await place.start("listen", "--port", 0, "--tunnel", "ngrok", environment=world.tunnel("ngrok"))
    world.lead_to(int((await listener.says(r"listening on ws://127\.0\.0\.1:(\d+)"))[1]))
    await listener.says(rf"reachable through ngrok at {world.address}: a frame took \d+ ms there and back\n")
    pasted = await listener.says(r"for a bot of attendee: (\{.*\})\n")
    assert json.loads(pasted[1])["websocket_settings"]["audio"]["url"] == world.address
    await listener.stop()


@pytest.mark.parametrize("name", TUNNELS)
async def test_missing_program_gets_the_line_that_installs_it(place: Place, tmp_path: Path, name: str) -> None:
    """Nothing is started, and the status is 3."""
    running = await place.start("listen", "--port", 0, "--tunnel", name, environment={"PATH": str(tmp_path)})
    ended = await running.ended()
    assert ended.status == 3
    assert ended.err == f"audiotap: {name} is not installed\n  {TUNNELS[name].install}\n"


@pytest.mark.parametrize(
    ("more", "why"),
    [
        (("--public-url", "wss://example.org/"), "has a URL of its own"),
        (("--tls-cert", "fullchain.pem"), "brings its own TLS"),
    ],
)
async def test_tunnel_has_its_own(place: Place, world: Outside, more: tuple[str, ...], why: str) -> None:
    """Another URL beside it, or TLS where it comes in, is refused before anything is started."""
    running = await place.start("listen", "--tunnel", "ngrok", *more, environment=world.tunnel("ngrok"))
    ended = await running.ended()
    assert ended.status == 2
    assert ended.err.startswith(f"audiotap: --tunnel {why}")


async def test_tunnel_that_fails_is_told_in_its_own_words(place: Place, world: Outside) -> None:
    """A tunnel that ends without a URL ends the listener with status 3, and with what it said; it knows no key."""
    failing = 'echo "ERROR:  failed$AUDIOTAP_SECRET$RECALL_API_KEY$URL"; echo "ERROR:  ERR_NGROK_4018"; exit 1'
    environment = {**world.tunnel("ngrok", failing), "RECALL_API_KEY": "k3y"}
    listener = await place.listen("--tunnel", "ngrok", environment=environment)
    ended = await listener.ended()
    assert ended.status == 3
    said, hint = ended.err.splitlines()
    assert said == f"audiotap: ngrok ended with status 1: ERROR:  failedhttps://{world.host}; ERROR:  ERR_NGROK_4018"
    assert hint.endswith(f"ngrok {TYPED['ngrok'].format(listener.port)}")


async def test_waiting_for_a_tunnel_can_be_ended(place: Place, world: Outside) -> None:
    """A tunnel that says nothing does not hold up Ctrl-C, and ends with us; until it tells a URL there is none."""
    silent = "echo 'Funnel is not enabled on your tailnet.'\nexec sleep 600"
    listener = await place.listen("--tunnel", "tailscale", environment=world.tunnel("tailscale", silent))
    async with connect(f"{listener.url}/{SECRET}") as bot:
        await bot.send(attendee(ramp(1), 1.0))
        await listener.event("track.started")
    for asked in (("url",), ("url", "--for", "attendee")):
        ended = await place.run(*asked)
        assert (ended.status, ended.out) == (4, b"")
        assert ended.err.startswith(f"audiotap: the tunnel of the listener on port {listener.port} is starting")
    examined = await place.run("doctor")
    assert "skipped round trip   the listener's tunnel is starting" in examined.out.decode()
    assert (await listener.stop()).status == 0
    assert not any(alive(number) for number, _ in world.started("tailscale"))


async def test_tunnel_that_dies_is_started_again(place: Place, world: Outside) -> None:
    """It is told, the next one is tried again, and the recording goes on all the while."""
    listener = await tunnelled(place, world)
    async with connect(f"{listener.url}/{SECRET}") as bot:
        await bot.send(attendee(ramp(1), 1.0))
        await listener.event("track.started")
        os.kill(world.started("ngrok")[0][0], signal.SIGKILL)
        await listener.until(lambda: len(listener.told("reachable")) == 2 or None, "another tunnel")
        await bot.send(attendee(ramp(2)[16000:], 2.0))
    await listener.stop()
    (warning,) = listener.warnings()
    assert warning.startswith("ngrok ended with status 137: ")
    assert warning.endswith("it is started again in 1 s")
    assert_same((await listener.finished("bot_1")).samples("mixed"), ramp(2))


async def test_new_url_after_a_death_is_warned_of(place: Place, world: Outside) -> None:
    """Bots have the old one, so they are lost; `audiotap url` tells the new one."""
    flaky = 'if [ "$(wc -l < "$0.started")" -gt 1 ]; then URL="https://127.0.0.2:1"; fi\n' + TELLING["ngrok"]
    listener = await tunnelled(place, world, "ngrok", flaky)
    os.kill(world.started("ngrok")[0][0], signal.SIGKILL)
    await listener.until(lambda: any("another URL" in one for one in listener.warnings()) or None, "a warning")
    assert (await place.run("url")).out.decode() == f"wss://127.0.0.2:1/{SECRET}\n"
    await listener.stop()


@pytest.mark.skipif(not hasattr(os, "pidfd_open"), reason="waits for a process that is no child")
@pytest.mark.parametrize("more", [(), ("--workers", "2")])
async def test_killed_listener_leaves_no_tunnel(place: Place, world: Outside, more: tuple[str, ...]) -> None:
    """Nobody stays reachable behind a listener's back, nor behind that of workers which finish their files."""
    listener = await tunnelled(place, world, "ngrok", "", *more)
    ((number, _),) = world.started("ngrok")
    await listener.stop(signal.SIGKILL)
    await gone(number)
