"""`listen --metrics`: what a load balancer, a service manager and Prometheus are told."""

from __future__ import annotations

import asyncio
import errno
import json
import os
import shutil
import signal
from contextlib import AsyncExitStack, suppress
from pathlib import Path

import pytest
from tests.scenarios.faults import Disk, written
from tests.scenarios.harness import RATE, Place, attendee, call, chunks, ramp, recall
from tests.scenarios.test_workers import id_of, workers_of
from tests.scenarios.web import Web
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import InvalidStatus

SOUND = ramp(3)
WITHOUT_PROMETHEUS = Path(__file__).with_name("without_prometheus")
METRICS = ("--metrics", "127.0.0.1:0")
UNKNOWN = json.dumps({"trigger": "evil", "bot_id": 'evil"} 2\n'})


async def say(bot: ClientConnection, begin: float = 0.0, end: float = 3.0, *, track: str = "", name: str) -> None:
    """A stretch of the call, and wait until it has its place."""
    for n, piece in enumerate(chunks(SOUND), 1):
        if begin < n / 10 <= end + 1e-9:
            await bot.send(attendee(piece, n / 10, track, bot=name))
    await (await bot.ping())


async def test_what_sessions_count_is_told_while_they_run_and_after(place: Place) -> None:
    """Sessions, tracks, chunks, seconds, bytes and gaps of a call; its end takes nothing away from what has grown."""
    listener = await place.listen(*METRICS, "--linger", 0.1)
    web = await Web.of(listener)
    async with connect(listener.url) as bot:
        await say(bot, 0, 1, name="bot_1")
        await say(bot, 2, 3, name="bot_1")
        await say(bot, 0.5, 1.5, track="ana", name="bot_1")
        during = await web.until(lambda told: told["chunks_total", "mixed"] == 20)
    await listener.finished("bot_1")
    after = await web.metrics()

    assert during["sessions", "connected"] == 1
    assert during["tracks", "mixed"] == during["tracks", "participant"] == 1
    assert during["connections", ""] == 1
    assert during["recording_lossy", ""] == 0
    assert after["sessions", "connected"] == after["tracks", "mixed"] == after["queue_bytes", ""] == 0
    assert after["sessions_ended_total", "lossy"] == 1
    for told in (during, after):
        assert told["sessions_started_total", ""] == told["connections_opened_total", ""] == 1
        assert told["chunks_total", "participant"] == 10
        assert told["audio_seconds_total", "mixed"] == pytest.approx(2)
        assert told["audio_bytes_total", "mixed"] == 2 * 2 * RATE
        assert told["gaps_total", "mixed"] == 1
        assert told["gap_seconds_total", "mixed"] == pytest.approx(1)
        assert told["late_seconds_count", ""] >= told["late_seconds_bucket", "0.005"]
        assert told["disk_free_bytes", ""] > 0
        assert told["ready", ""] == 1


async def test_nothing_of_the_network_is_a_label(place: Place) -> None:
    """However bots, participants and paths are called, and whatever they say, the series stay the same few."""
    listener = await place.listen(*METRICS, "--secret", "s3cret-s3cret-s3cret")
    web = await Web.of(listener)
    before = set(await web.metrics())
    url = f"{listener.url}/s3cret-s3cret-s3cret"
    await call(url, attendee(SOUND, 3.0, 'evil"} 1\n', bot='evil"} 2\n'), UNKNOWN, "{")
    await call(url, recall(SOUND, 0.0, {"id": 7, "name": "evil 3"}, recording="evil 4\n"))
    with pytest.raises(InvalidStatus, match="404"):
        await call(f"{listener.url}/evil")
    after = await web.until(lambda told: told["sessions_started_total", ""] == 2)

    assert after["chunks_total", "participant"] == 2
    assert after["messages_odd_total", "unknown"] == after["messages_odd_total", "malformed"] == 1
    assert set(after) - before == {("connections_refused_total", "path")}
    assert "evil" not in (await web.get("/metrics")).text


async def test_ready_or_why_not(place: Place) -> None:
    """A disk with too little space, or without a folder for recordings, is told of, and that it is mended, too."""
    full = await Web.of(await place.listen(*METRICS, "--min-free", "900000G"))
    web = await Web.of(await place.listen(*METRICS, "--min-free", 0))

    status, (why,) = await full.ready()
    assert (status, "--min-free" in why) == (503, True)
    assert (await full.get("/healthz")).status_code == 200
    assert (await full.metrics())["ready", ""] == 0
    assert await web.ready() == (200, ["ready"])
    shutil.rmtree(place.out)
    assert await web.ready() == (503, ["the disk refuses: No such file or directory"])
    place.out.mkdir()
    assert await web.ready() == (200, ["ready"])


async def test_as_much_as_max_disk_allows(place: Place) -> None:
    """A listener that may write nothing more wants no bots, until recordings are removed."""
    listener = await place.listen(*METRICS, "--max-disk", "64K", "--linger", 0.1)
    web = await Web.of(listener)
    assert await web.ready() == (200, ["ready"])
    (place.out / "old").write_bytes(os.urandom(70_000))
    assert await web.ready() == (503, ["the recordings take as much as --max-disk allows"])
    (place.out / "old").unlink()
    assert await web.ready() == (200, ["ready"])


async def test_a_disk_that_hangs_or_refuses(place: Place) -> None:
    """Not ready while it does not answer, or while bots are held back for it; what it refused for good stays told."""
    disk = Disk(place)
    listener = await place.listen(*METRICS, "--buffer", "64K", environment=disk.environment)
    web = await Web.of(listener)
    async with connect(listener.url) as bot:
        await say(bot, 0, 0.5, name="bot_1")
        await listener.event("track.started")
        disk.hold("mixed")
        await bot.send(attendee(ramp(10), 10.5, bot="bot_1"))
        await web.until(lambda told: told["queue_bytes", ""] > 65536)
        assert await web.ready() == (503, ["the disk is too slow: bots are held back"])
        disk.recover()
        await web.until(lambda told: told["queue_bytes", ""] == 0)
        assert await web.ready() == (200, ["ready"])
        assert (await web.metrics())["recording_lossy", ""] == 0
        disk.refuse(errno.ENOSPC, "mixed")
        await bot.send(attendee(SOUND, 13.5, bot="bot_1"))
        await listener.event("error")
        assert (await web.metrics())["recording_lossy", ""] == 1
        disk.recover()


async def test_bad_requests_cost_nobody_else(place: Place) -> None:
    """Whoever asks for something else, too much, nothing or only half is answered shortly or left."""
    web = await Web.of(await place.listen(*METRICS))
    port = int(web.url.rpartition(":")[2])
    async with AsyncExitStack() as stack:
        for _ in range(10):
            _, writer = await asyncio.open_connection("127.0.0.1", port)
            stack.callback(writer.close)
            writer.write(b"GET /healthz HT")
        assert (await web.get("/healthz")).text == "ok\n"
        assert (await web.get("/healthz?probe=1")).status_code == 200
        assert (await web.get("/healthz", "HEAD")).text == ""
        assert (await web.get("/")).status_code == 404
        assert (await web.get("/metrics", "POST")).status_code == 405
        for nonsense in (b"\r\n\r\n", b"GET\r\n\r\n", b"\x16\x03\x01\r\n\r\n", b"GET /" + b"x" * 100_000, b""):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(nonsense)
            writer.write_eof()
            with suppress(ConnectionResetError):
                assert not (await reader.read()).startswith(b"HTTP/1.1 2")
            writer.close()
        assert (await web.get("/readyz")).text == "ready\n"


async def test_workers_are_told_of_as_one(place: Place) -> None:
    """Sums over all workers; one that is killed takes nothing away that has grown, and its successor adds to it."""
    listener = await place.listen(*METRICS, "--workers", 2)
    web = await Web.of(listener)
    names = [id_of(worker) for worker in (0, 1)]
    async with AsyncExitStack() as stack:
        bots = [await stack.enter_async_context(connect(listener.url)) for _ in names]
        for bot, name in zip(bots, names, strict=True):
            await say(bot, 0, 2, name=name)
        before = await web.until(lambda told: told["chunks_total", "mixed"] == 40)
        for name in names:
            written(Path((await listener.event("track.started", session=name))["path"]), 2 * RATE)
        assert before["sessions", "connected"] == 2
        assert before["workers", ""] == 2
        os.kill(workers_of(listener)[0], signal.SIGKILL)
        during = await web.until(lambda told: told["sessions", "waiting"] == 1)
    async with connect(listener.url) as bot:
        await say(bot, 2, 3, name=id_of(0))
        after = await web.until(lambda told: told["chunks_total", "mixed"] > 40)

    assert (await web.get("/readyz")).status_code == 200
    for told in (during, after):
        assert all(told[key] >= value for key, value in before.items() if key[0].endswith("_total"))
    assert after["chunks_total", "mixed"] == 50


async def test_a_listener_that_goes_on_with_a_recording_counts_its_own(place: Place) -> None:
    """What was counted by a listener that died is in the manifest, and not counted twice here."""
    first = await place.listen(*METRICS)
    async with connect(first.url) as bot:
        await say(bot, 0, 2, name="bot_1")
        written(Path((await first.event("track.started"))["path"]), 2 * RATE)
        await first.stop(signal.SIGKILL)
    second = await place.listen(*METRICS)
    web = await Web.of(second)
    assert (await web.until(lambda told: told["sessions", "waiting"] == 1))["audio_seconds_total", "mixed"] == 0
    async with connect(second.url) as bot:
        await say(bot, 2, 3, name="bot_1")
        await web.until(lambda told: told["chunks_total", "mixed"] == 10)
    await second.stop()
    assert (await second.finished("bot_1")).entry("mixed")["chunks"] >= 10


async def test_without_prometheus_client(place: Place) -> None:
    """The core needs none; --metrics says in one line what to type."""
    environment = {"PYTHONPATH": f"{WITHOUT_PROMETHEUS}:{place.environment['PYTHONPATH']}"}
    listener = await place.listen(environment=environment)
    await call(listener.url, attendee(SOUND, 3.0))
    ended = await (await place.start("listen", *METRICS, environment=environment)).ended()

    assert ended.status == 3
    assert ended.err.splitlines()[0] == "audiotap: --metrics needs prometheus-client"
    assert "pip install" in ended.err


@pytest.mark.parametrize(("address", "status"), [("taken", 3), ("host:port", 2), ("host:99999", 2)])
async def test_no_address(place: Place, address: str, status: int) -> None:
    """A port that is taken, or none at all: what to type, and nobody is recorded meanwhile."""
    web = await Web.of(await place.listen(*METRICS))
    ended = await place.run("listen", "--port", 0, "--metrics", web.url[7:] if address == "taken" else address)
    assert ended.status == status
    assert "--metrics" in ended.err
