"""A node is lost, and its disk with it: its bots go on at another one, and the store has both parts of each call."""

from __future__ import annotations

import signal
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from tests.scenarios.harness import RATE, Place, Samples, assert_same, ramp, read, stretch
from tests.scenarios.nats_server import NatsServer, needs_nats
from tests.scenarios.store import Bucket, bucket_at, s3
from websockets.asyncio.client import connect

pytestmark = needs_nats
LEFT, BACK, END = 4.0, 5.0, 7.0
"""Seconds of the call at which the node is killed, its bots are back, and they leave."""
SOUND = ramp(END)
say = partial(stretch, SOUND)
"""A stretch of a call."""
BOTS = [f"bot_{n:02}" for n in range(20)]
SEGMENT = 1
"""Seconds."""


@pytest.fixture(scope="module")
def server() -> Iterator[tuple[str, int]]:
    with s3() as address:
        yield address


@pytest.fixture
async def bucket(server: tuple[str, int]) -> AsyncIterator[Bucket]:
    async with bucket_at(*server) as bucket:
        yield bucket


async def test_a_node_and_its_disk_are_lost(place: Place, nats: NatsServer, bucket: Bucket) -> None:
    """Twenty bots are back at the other one and can be controlled; all but a segment is in the store, at its place."""
    options = ("--upload", bucket.url, "--segment", SEGMENT)
    one = await place.node(nats.url, "one", *options, environment=bucket.environment)
    two = await place.node(nats.url, "two", *options, environment=bucket.environment)
    async with AsyncExitStack() as calls:
        for bot in BOTS:
            await say(await calls.enter_async_context(connect(one.url)), 0, LEFT, bot)
        await bucket.has(lambda: all(uploaded(bucket, bot) >= LEFT - SEGMENT for bot in BOTS), "the segments")
        await one.stop(signal.SIGKILL)
    async with AsyncExitStack() as calls:
        for bot in BOTS:
            await say(await calls.enter_async_context(connect(two.url)), BACK, END, bot)
        paused = [await place.run("pause", 0, "--bot", b, "--fleet", nats.url, "--wait", 10) for b in BOTS[::7]]
        status = await place.run("status", "--fleet", nats.url, "--json")
    await two.stop()
    assert [run.status for run in paused] == [0, 0, 0]
    assert [sorted(s["session"] for s in node["sessions"]) for node in status.json] == [BOTS]

    kept, back = round((LEFT - SEGMENT) * RATE), round(BACK * RATE)
    after = SOUND.copy()
    after[:back] = 0
    for bot in BOTS:
        assert_same((await two.finished(bot)).samples("mixed"), after)
    for bot in BOTS[::7]:
        heard = await assembled(place, bucket, bot)
        assert_same(heard[:kept], SOUND[:kept])
        lost = heard[kept:back]
        assert not np.any(lost[lost != 0] - SOUND[kept:back][lost != 0])
        assert_same(heard[back:], SOUND[back:])


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
