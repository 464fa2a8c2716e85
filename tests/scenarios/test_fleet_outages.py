"""NATS is away, or one of its servers dies: bots are recorded as ever, control says so, and comes back."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path

import pytest
from nats.errors import Error
from tests.scenarios.faults import TRACKS, calling, signal
from tests.scenarios.harness import DEADLINE, RATE, Place, assert_same, attendee, ramp, write
from tests.scenarios.nats_server import NatsServer, free_port, needs_nats
from websockets.asyncio.client import connect

pytestmark = needs_nats
OUTAGE = float(os.environ.get("AUDIOTAP_OUTAGE", "0"))
"""Seconds of the call for which NATS is away at least."""


async def test_nats_is_away_for_a_while(place: Place, nats: NatsServer) -> None:
    """Nothing is lost of the bot that was there and of the one that comes meanwhile; then both can be controlled."""
    one = await place.node(nats.url, "one")
    async with calling(one.url) as call:
        await call.lasts(0.5)
        tail = await place.start("tail", "--fleet", nats.url, "--wait", 10)
        await tail.says("listening")
        await nats.kill()
        away = await one.event("warning")
        refused = await place.run("pause", 0, "--bot", "bot_1", "--fleet", nats.url)
        async with connect(one.url) as newcomer:
            await newcomer.send(attendee(ramp(1), 1.0, bot="newcomer"))
            await one.event("track.started", session="newcomer")
            await call.lasts(OUTAGE)
            await nats.start()
            await one.event("warning", message=f"the fleet at {nats.url} is back")
            status = await place.run("status", "--fleet", nats.url, "--json")
            paused = [
                await place.run("pause", 0, "--bot", bot, "--fleet", nats.url, "--wait", 10)
                for bot in ("bot_1", "newcomer")
            ]
            heard = len(tail.out)
            await tail.until(lambda: len(tail.out) > heard or None, "more of the call")
    ended = await one.stop()
    await tail.stop()
    assert f"the fleet at {nats.url} is away; bots are recorded as before" in away["message"]
    assert refused.status == 4
    assert "cannot reach the fleet" in refused.err
    assert {session["session"] for session in status.json[0]["sessions"]} == {"bot_1", "newcomer"}
    assert [run.status for run in paused] == [0, 0]
    assert ended.status == 0
    recording = await one.finished("bot_1")
    for track in TRACKS:
        assert_same(recording.samples(track), signal(track, 0, call.sent[track]))


async def test_nats_goes_away_in_the_middle_of_speech(place: Place, nats: NatsServer) -> None:
    """The speaker ends with status 4 and says why; the bot goes silent, and is spoken to when NATS is back."""
    one = await place.node(nats.url, "one")
    async with connect(one.url) as bot:
        await bot.send(attendee(ramp(1), 1.0))
        await one.event("track.started")
        await nats.knows("bot_1")
        speaking = await place.start(
            "speak", write(place.folder / "a.wav", ramp(60)), "--fleet", nats.url, "--wait", 20
        )
        await bot.recv()
        await nats.kill()
        ended = await speaking.ended()
        await nats.start()
        short = write(place.folder / "b.wav", ramp(1))
        again = await place.run("speak", short, "--fleet", nats.url, "--wait", 20, "--json")
    assert ended.status == 4
    assert "went away: NATS is away" in ended.err
    assert again.json == {"sent": 1.0, "stopped": False}


async def test_a_listener_starts_without_nats(place: Place, tmp_path: Path) -> None:
    """It says so, records, and becomes a node of the fleet when there is one."""
    server = NatsServer(tmp_path)
    one = await place.node(server.url, "one")
    async with connect(one.url) as bot:
        await bot.send(attendee(ramp(1), 1.0))
        await one.event("track.started")
        await server.start()
        try:
            paused = await place.run("pause", 0, "--bot", "bot_1", "--fleet", server.url, "--wait", 20)
        finally:
            ended = await one.stop()
            await server.kill()
    assert "Connection refused; bots are recorded as before" in one.warnings()[0]
    assert paused.status == 0
    assert ended.status == 0
    assert_same((await one.finished("bot_1")).samples("mixed"), ramp(1))


@pytest.fixture
async def cluster(tmp_path: Path) -> AsyncIterator[list[NatsServer]]:
    """Three servers that are one."""
    ports = [free_port() for _ in range(3)]
    routes = ",".join(f"nats://127.0.0.1:{port}" for port in ports)
    servers = [
        NatsServer(
            tmp_path,
            f"nats-{n}",
            ("--cluster_name", "fleet", "--cluster", f"nats://127.0.0.1:{port}", "--routes", routes),
        )
        for n, port in enumerate(ports)
    ]
    async with AsyncExitStack() as stack:
        for server in servers:
            stack.push_async_callback(server.kill)
        await asyncio.gather(*(server.start() for server in servers))
        yield servers


async def test_a_cluster_loses_its_leader(place: Place, cluster: list[NatsServer]) -> None:
    """The server dies that leads what is written down: a bot that comes after it is found, and those before it are."""
    url = ",".join(server.url for server in cluster)
    one = await place.node(url, "one")
    async with connect(one.url) as first, connect(one.url) as second:
        await first.send(attendee(ramp(1), 1.0, bot="before"))
        before = await place.run("pause", 0, "--bot", "before", "--fleet", url, "--wait", DEADLINE)
        await (await leader(cluster)).kill()
        await second.send(attendee(ramp(1), 1.0, bot="after"))
        after = [
            await place.run("pause", 0, "--bot", bot, "--fleet", url, "--wait", DEADLINE) for bot in ("after", "before")
        ]
        await first.send(attendee(ramp(2)[RATE:], 2.0, bot="before"))
        await (await first.ping())
    ended = await one.stop()
    assert [run.status for run in (before, *after, ended)] == [0, 0, 0, 0]
    assert_same((await one.finished("before")).samples("mixed"), ramp(2))


async def leader(cluster: list[NatsServer]) -> NatsServer:
    """The server that leads the bucket of sessions."""
    async with asyncio.timeout(DEADLINE), cluster[0].client() as client:
        while True:
            try:
                info = await client.jetstream().stream_info("KV_audiotap_sessions")
            except Error:
                continue
            assert info.config.num_replicas == 3
            if info.cluster is not None and info.cluster.leader:
                return next(server for server in cluster if server.name == info.cluster.leader)
