"""Looking on from another terminal: the meter, warnings and words, and nothing that a watcher does is noticed."""

from __future__ import annotations

import asyncio
import json
import signal
from typing import Any

import pytest
from tests.scenarios.harness import ANA, BO, Listener, Place, assert_same, attendee, chunks, ramp, recall
from websockets.asyncio.client import connect

TRANSCRIPT = {
    "words": [{"text": "good", "start_timestamp": {"relative": 0.1}}, {"text": "morning"}],
    "participant": {"id": 7, "name": "Ana \x1b[31m", "is_host": False, "platform": "x", "extra_data": {}},
}


async def watching(place: Place, *options: str) -> Listener:
    """A watcher whose JSON lines are read."""
    return await place.watch("--json", *options)


@pytest.mark.parametrize("workers", [1, 2])
async def test_several_watch(place: Place, workers: int) -> None:
    """Two watchers see levels of the same call; one leaves, the other sees the end; the recording has every sample."""
    listener = await place.listen("--workers", workers)
    first, second = await watching(place, "--levels"), await watching(place, "--levels")
    await asyncio.gather(first.event("levels"), second.event("levels"))
    bot = await place.bot(
        listener.url, "--file", ANA, "--file", BO, "--seconds", 4, "--names", "--record", place.folder / "sent"
    )
    await first.until(lambda: shown(first, "mixed") or None, "the mix")
    await second.until(lambda: shown(second, "mixed") or None, "the mix")
    assert (await first.stop()).status == 0
    summary = (await bot.ended()).json
    await second.until(lambda: second.told("levels")[-1]["sessions"] or None, "a session")
    assert (await listener.stop()).status == 0
    assert (await second.ended()).status == 0
    assert [event["session"] for event in second.told("session.finished")] == ["sim"]
    recording = await listener.finished("sim")
    recording.assert_holds(summary)


def shown(watcher: Listener, track: str) -> list[dict[str, Any]]:
    """What the meter showed of a track that isn't silent."""
    rows = [row for event in watcher.told("levels") for one in event["sessions"] for row in one["tracks"]]
    return [row for row in rows if row["track"] == track and row["rms"] > -60]


async def test_warnings_from_before(place: Place) -> None:
    """Who comes late is told of what went wrong; new warnings come as they are told to everybody."""
    listener = await place.listen()
    async with connect(listener.url) as bot:
        await bot.send(attendee(ramp(0.1), 0.1))
        await bot.send(attendee(b"odd", 0.2))
        await listener.event("warning")
        late = await watching(place)
        await late.event("warning", message=listener.warnings()[0])
        await bot.send("nothing that anybody reads")
        await listener.until(lambda: len(listener.warnings()) > 1 or None, "another warning")
        await late.event("warning", message=listener.warnings()[-1])


async def test_words(place: Place) -> None:
    """What Recall transcribes is shown, and made harmless."""
    listener = await place.listen()
    async with connect(listener.url) as stranger:
        await stranger.send("nothing that anybody reads")
        await listener.event("warning")
    lines = await place.start("watch", "--output", "plain")
    await lines.says("warning")
    data = await watching(place, "--levels")
    await data.event("levels")
    async with connect(listener.url) as bot:
        await bot.send(recall(ramp(0.2), 0.0))
        message = json.loads(recall(ramp(0.2), 0.2))
        message["event"] = "transcript.data"
        message["data"]["data"] = TRANSCRIPT
        await bot.send(json.dumps(message))
        told = await data.event("transcript")
        assert (told["role"], told["text"]) == ("Ana \x1b[31m", "good morning")
        await lines.says(r"00:00 Ana .*: good morning")
    assert b"\x1b" not in (await lines.stop()).err.encode()


async def test_a_watcher_that_does_not_read(place: Place) -> None:
    """It is stopped in the middle, for longer than its socket holds; the recording lacks nothing, and it catches up."""
    listener = await place.listen()
    stopped = await watching(place, "--levels")
    await stopped.event("levels")
    stopped.process.send_signal(signal.SIGSTOP)
    heard = ramp(3)
    async with connect(listener.url) as bot:
        for number, chunk in enumerate(chunks(heard), 1):
            await bot.send(attendee(chunk, number / 10))
        for number in range(3000):
            await bot.send(json.dumps({"trigger": f"odd_{number}", "bot_id": "bot_1", "data": {}}))
    await listener.stop()
    assert_same((await listener.finished("bot_1")).samples("mixed"), heard)
    stopped.process.send_signal(signal.SIGCONT)
    assert (await stopped.ended()).status == 0


async def test_nobody_to_watch(place: Place) -> None:
    """Without a listener it says what to type; with two, which port."""
    ended = await place.run("watch")
    assert ended.status == 4
    assert "audiotap listen" in ended.err
    await place.listen()
    await place.listen()
    ended = await place.run("watch", "--json")
    assert ended.status == 2
    assert "--port" in ended.err
    ended = await place.run("watch", "--levels")
    assert ended.status == 2
