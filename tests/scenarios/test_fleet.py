"""Several listeners are one fleet: bots are reached wherever they are, and go on where they connect next."""

from __future__ import annotations

import json
import signal
from collections.abc import AsyncIterator
from pathlib import Path

import numpy as np
import pytest
from tests.scenarios.harness import RATE, Listener, Place, assert_same, attendee, chunks, ramp, write
from tests.scenarios.nats_server import NatsServer, nats, needs_nats
from websockets.asyncio.client import connect

pytestmark = needs_nats
SOUND = ramp(6)


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[NatsServer]:
    """A NATS server of this test's own."""
    async with nats(tmp_path) as running:
        yield running


async def node(place: Place, server: NatsServer, name: str, *options: str) -> Listener:
    """A listener of the fleet with recordings of its own."""
    return await place.listen("--out", place.folder / name, "--fleet", server.url, *options)


async def test_a_bot_is_spoken_to_from_anywhere(place: Place, server: NatsServer) -> None:
    """Two nodes, a bot at each: speech goes to the one that is meant, whichever node has it, and is recorded there."""
    one, two = await node(place, server, "one"), await node(place, server, "two")
    hello = write(place.folder / "hello.wav", ramp(2))
    async with connect(one.url) as first, connect(two.url) as second:
        await first.send(attendee(SOUND, 6.0, bot="bot_one"))
        await second.send(attendee(SOUND, 6.0, bot="bot_two"))
        await one.event("track.started")
        await two.event("track.started")
        spoken = await place.run("speak", hello, "--bot", "bot_two", "--fleet", server.url, "--json")
        paused = await place.run("pause", 100, "--bot", "bot_one", "--fleet", server.url, "--json")
        nobody = await place.run("stop", "--bot", "bot_three", "--fleet", server.url)
        status = await place.run("status", "--fleet", server.url, "--json")
    print(spoken, paused, nobody, status)
    assert (spoken.status, spoken.json) == (0, {"sent": 2.0, "stopped": False})
    assert paused.json["session"] == "bot_one"
    assert nobody.status == 4
    assert "bot_one, bot_two" in nobody.err or "bot_two, bot_one" in nobody.err
    assert {s["session"] for listener in status.json for s in listener["sessions"]} == {"bot_one", "bot_two"}
    await one.stop()
    await two.stop()
    recording = await two.finished("bot_two")
    assert "spoken" in {entry["track"] for entry in recording.manifest["tracks"]}


async def test_a_bot_goes_on_at_another_node(place: Place, server: NatsServer) -> None:
    """A node is killed: what its bot says at the other one has the same positions, to the sample."""
    one, two = await node(place, server, "one"), await node(place, server, "two")
    async with connect(one.url, compression=None) as bot:
        for n, piece in enumerate(chunks(SOUND)[:30], 1):
            await bot.send(attendee(piece, n / 10))
        await one.event("track.started")
        await one.stop(signal.SIGKILL)
    async with connect(two.url, compression=None) as bot:
        for n, piece in enumerate(chunks(SOUND), 1):
            if n > 40:
                await bot.send(attendee(piece, n / 10))
        await two.event("track.started")
    await two.stop()
    recording = await two.finished("bot_1")
    expected = SOUND.copy()
    expected[: 4 * RATE] = 0
    print(json.dumps(recording.manifest, indent=1))
    assert recording.entry("mixed")["start"] == 4 * RATE
    assert_same(recording.samples("mixed"), expected)
    assert np.any(expected)
