"""A node is lost, and its disk with it: its bots go on at another one, and the store has both parts of each call."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import numpy as np
import pytest
from tests.scenarios.harness import RATE, Place, Samples, attendee, chunks, ramp, read
from tests.scenarios.nats_server import NatsServer, needs_nats
from tests.scenarios.store import Bucket, bucket_at, s3
from websockets.asyncio.client import connect

pytestmark = needs_nats
SOUND = ramp(8)
BOTS = [f"bot_{n}" for n in range(6)]
SEGMENT = 1
"""Seconds."""
LEFT, BACK = 4.0, 5.0
"""Seconds of the call at which the node is killed, and at which its bots are back."""


@pytest.fixture(scope="module")
def server() -> Iterator[tuple[str, int]]:
    with s3() as address:
        yield address


@pytest.fixture
async def bucket(server: tuple[str, int]) -> AsyncIterator[Bucket]:
    async with bucket_at(*server) as bucket:
        yield bucket


async def say(url: str, bot: str, begin: float, end: float) -> None:
    """A stretch of a bot's call, over a connection of its own."""
    async with connect(url) as connection:
        for n, piece in enumerate(chunks(SOUND), 1):
            if begin < n / 10 <= end + 1e-9:
                await connection.send(attendee(piece, n / 10, bot=bot))
        await (await connection.ping())


async def test_a_node_and_its_disk_are_lost(place: Place, nats: NatsServer, bucket: Bucket) -> None:
    """Six bots, two nodes: what was a segment old is in the store, and what follows is at its place behind it."""
    options = ("--upload", bucket.url, "--segment", SEGMENT)
    one = await place.node(nats.url, "one", *options, environment=bucket.environment)
    two = await place.node(nats.url, "two", *options, environment=bucket.environment)
    await asyncio.gather(*(say(one.url, bot, 0, LEFT) for bot in BOTS))
    await bucket.has(lambda: all(uploaded(bucket, bot) >= LEFT - SEGMENT for bot in BOTS), "the segments")
    await one.stop(signal.SIGKILL)
    await asyncio.gather(*(say(two.url, bot, BACK, 8.0) for bot in BOTS))
    assert (await place.run("pause", 0, "--bot", BOTS[4], "--fleet", nats.url, "--wait", 20)).status == 0
    await two.stop()

    for bot in BOTS[::3]:
        heard = await assembled(place, bucket, bot)
        kept = round((LEFT - SEGMENT) * RATE)
        assert np.array_equal(heard[:kept], SOUND[:kept])
        lost = heard[kept : round(BACK * RATE)]
        assert not np.any(lost[lost != 0] - SOUND[kept : round(BACK * RATE)][lost != 0])
        assert np.array_equal(heard[round(BACK * RATE) :], SOUND[round(BACK * RATE) :])


def uploaded(bucket: Bucket, bot: str) -> float:
    """Seconds of a bot's call that are in the store."""
    found = [one for path, one in bucket.segments("mixed") if f"attendee_{bot}/" in str(path)]
    return max((one.position + one.samples for one in found), default=0) / RATE


async def assembled(place: Place, bucket: Bucket, bot: str) -> Samples:
    """A call out of the store, from both nodes."""
    out = place.folder / "assembled" / bot
    words = ("assemble", f"{bucket.url}/attendee_{bot}", "--out", out, "--json")
    ended = await (await place.start(*words, environment=bucket.environment)).ended()
    assert ended.status == 6, ended.err
    (session,) = ended.json
    return read(Path(session["path"]) / "mixed.wav")
