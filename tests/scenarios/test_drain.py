"""`listen --drain-timeout`: a node leaves, and no bot loses a word that it did not have to."""

from __future__ import annotations

import os
import signal
from contextlib import AsyncExitStack
from functools import partial
from pathlib import Path

import pytest
from tests.scenarios.harness import (
    HELLO,
    Listener,
    Place,
    Recording,
    assert_same,
    attendee,
    call,
    ramp,
    read,
    stretch,
)
from tests.scenarios.test_metrics import METRICS
from tests.scenarios.test_workers import id_of, workers_of
from tests.scenarios.web import Web
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed, WebSocketException

SOUND = ramp(4)
say = partial(stretch, SOUND)
"""A stretch of the call."""
LONG = ("--drain-timeout", 3600)
WORKERS = pytest.mark.parametrize("workers", [1, 2])
DRAINED = "its connection ended while the listener drained"


async def drains(listener: Listener) -> None:
    """Ask a listener to drain, and wait until it does."""
    listener.process.send_signal(signal.SIGTERM)
    await listener.event("draining")
    while True:
        try:
            async with connect(listener.url):
                pass
        except OSError:
            return
        except WebSocketException:
            continue


@WORKERS
async def test_bots_that_end_are_complete(place: Place, workers: int) -> None:
    """Nobody new is let in, not ready any more; who is there says all, and after the last one's end so is ours."""
    listener = await place.listen(*METRICS, *LONG, "--workers", workers)
    web = await Web.of(listener)
    names = [id_of(0), id_of(1), id_of(0, "other")]
    async with AsyncExitStack() as stack:
        bots = {name: await stack.enter_async_context(connect(listener.url, compression=None)) for name in names}
        for name, bot in bots.items():
            await say(bot, 0, 2, name)
        await drains(listener)
        assert await web.ready() == (503, ["draining"])
        assert (await web.get("/healthz")).status_code == 200
        for name, bot in bots.items():
            await say(bot, 2, 4, name)
        await bots[names[0]].close()
        finished = await listener.finished(names[0])
        assert finished.manifest["reason"] == DRAINED
        assert await web.ready() == (503, ["draining"])
    ended = await listener.ended()

    assert ended.status == 0
    for name in names:
        assert_same((await listener.finished(name)).samples("mixed"), SOUND)


@WORKERS
async def test_time_is_up(place: Place, workers: int) -> None:
    """A bot that goes on is told that the service restarts (1012), and what it said is complete and closed."""
    listener = await place.listen("--drain-timeout", 0.5, "--workers", workers)
    async with connect(listener.url, compression=None) as bot:
        await say(bot, 0, 4, "bot_1")
        listener.process.send_signal(signal.SIGTERM)
        with pytest.raises(ConnectionClosed) as closed:
            await bot.recv()
        ended = await listener.ended()

    assert closed.value.rcvd is not None
    assert closed.value.rcvd.code == 1012
    recording = await listener.finished("bot_1")
    assert_same(recording.samples("mixed"), SOUND)
    assert recording.manifest["reason"] == "the listener was stopped"
    assert ended.status == 0


@pytest.mark.parametrize("provider", ["attendee", "recall"])
async def test_a_bot_that_is_cut_goes_on_at_the_next_listener(place: Place, provider: str) -> None:
    """The next listener has the port while the first one drains; bots dial again, and between both all is there."""
    first = await place.listen("--drain-timeout", 1)
    bot = await place.bot(
        *(first.url, "--provider", provider, "--file", HELLO, "--loop"),
        *("--seconds", 8, "--retry", 0.1, "--record", place.folder / "sent"),
    )
    await first.event("track.started")
    await drains(first)
    second = await place.listen("--port", first.port)
    await first.ended()
    summary = (await bot.ended()).json
    await second.stop()

    parts = [Recording(one.told("session.finished")[0]) for one in (first, second)]
    assert summary["connections"] == 2
    assert parts[0].manifest["session"] == parts[1].manifest["session"]
    origin = min(track["first"] for track in summary["sent"])
    sent = next(read(Path(track["file"]))[origin:] for track in summary["sent"] if track["track"] == "mixed")
    before, after = (part.samples("mixed") for part in parts)
    assert_same(before, sent[: len(before)])
    assert_same(after, sent[-len(after) :])
    assert 0 < len(before) <= len(sent) - len(after)


async def test_a_session_whose_bot_is_away_is_not_waited_for(place: Place) -> None:
    """It cannot come back here; a bot that comes and goes after that isn't waited for, either."""
    listener = await place.listen(*LONG, "--linger", 3600)
    await call(listener.url, attendee(SOUND, 4.0))
    await listener.event("track.started")
    ended = await listener.stop(signal.SIGTERM)

    recording = await listener.finished("bot_1")
    assert_same(recording.samples("mixed"), SOUND)
    assert recording.manifest["reason"] == DRAINED
    assert ended.status == 0


async def test_nobody_is_there(place: Place) -> None:
    """A listener without sessions drains at once, and that is no interruption."""
    listener = await place.listen(*LONG)
    assert (await listener.stop(signal.SIGTERM)).status == 0
    assert listener.told("draining") == [{"event": "draining", "seconds": 3600.0}]


@WORKERS
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_a_second_signal_ends_the_waiting(place: Place, number: signal.Signals, workers: int) -> None:
    """Sessions end now, as they do when time is up: 1012, and files complete."""
    listener = await place.listen(*LONG, "--workers", workers)
    async with connect(listener.url, compression=None) as bot:
        await say(bot, 0, 4, "bot_1")
        await drains(listener)
        ended = await listener.stop(number)
        with pytest.raises(ConnectionClosed, match="1012"):
            await bot.recv()

    assert_same((await listener.finished("bot_1")).samples("mixed"), SOUND)
    assert ended.status == 0


@pytest.mark.parametrize(("options", "number"), [(LONG, signal.SIGINT), ((), signal.SIGTERM)])
async def test_at_once(place: Place, options: tuple[str | int, ...], number: signal.Signals) -> None:
    """Ctrl-C never drains, and without the option nothing does: bots are told that we go away (1001)."""
    listener = await place.listen(*options)
    async with connect(listener.url, compression=None) as bot:
        await say(bot, 0, 4, "bot_1")
        ended = await listener.stop(number)
        with pytest.raises(ConnectionClosed, match="1001"):
            await bot.recv()

    assert_same((await listener.finished("bot_1")).samples("mixed"), SOUND)
    assert ended.status == 0
    assert not listener.told("draining")


async def test_a_worker_dies_while_all_drain(place: Place) -> None:
    """It is started again, takes nobody, and finishes what it was recording; the others' bots notice nothing."""
    listener = await place.listen(*LONG, "--workers", 2)
    names = [id_of(0), id_of(1)]
    async with AsyncExitStack() as stack:
        bots = [await stack.enter_async_context(connect(listener.url, compression=None)) for _ in names]
        for bot, name in zip(bots, names, strict=True):
            await say(bot, 0, 2, name)
        await listener.until(lambda: len(listener.told("track.started")) == 2 or None, "both tracks")
        await drains(listener)
        workers = workers_of(listener)
        os.kill(workers[0], signal.SIGKILL)
        await say(bots[1], 2, 4, names[1])
    ended = await listener.ended()

    assert ended.status == 6
    assert (await listener.finished(names[0])).manifest["ended"]
    assert_same((await listener.finished(names[1])).samples("mixed"), SOUND)


async def test_it_is_said_in_words(place: Place) -> None:
    """Without --json, a line says what is waited for and how to end it."""
    listener = await place.start("listen", "--port", 0, "--out", place.out, "--output", "plain", *METRICS, *LONG)
    await listener.says(r"metrics on http://127.0.0.1:\d+/metrics")
    url = (await listener.says(r"listening on (ws://\S+),"))[1]
    async with connect(url) as bot:
        await say(bot, 0, 1, "bot_1")
        listener.process.send_signal(signal.SIGTERM)
        await listener.says("draining: nobody new is taken, sessions have 3600 s to end")
    assert (await listener.ended()).status == 0
