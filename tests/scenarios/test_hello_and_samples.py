"""Bots that say a hello and then bare samples: MeetingBaaS, and the older API of Recall.ai."""

from __future__ import annotations

import asyncio
import json

import numpy as np
import pytest
from tests.scenarios.harness import ANA, BO, Place, assert_same, call, chunks, ramp, read, sounding, tone, write
from websockets.asyncio.client import connect


async def test_participants_mute_and_come_back(place: Place) -> None:
    """Each connection's offset puts its samples where they were spoken, muted or lost in between, to the sample."""
    listener = await place.listen()
    told = ("--streams", "separate", "--file", ANA, "--file", BO, "--mute", "ana:1-2.4", "--drop", "3:1")
    sent = ("--speed", 4, "--retry", 0.1, "--seconds", 6, "--record", place.folder / "sent")
    summary = (await (await place.bot(listener.url, "--provider", "recall110", *told, *sent)).ended()).json
    await listener.stop()

    recording = await listener.finished("sim")
    assert recording.manifest["provider"] == "recall110"
    assert {entry["track"] for entry in recording.manifest["tracks"]} == {"100", "101"}
    assert summary["connections"] > 2
    recording.assert_holds(summary)


@pytest.mark.parametrize(("provider", "rate"), [("recall110", 16000), ("meetingbaas", 32000)])
async def test_a_mix_is_recorded(place: Place, provider: str, rate: int) -> None:
    """At the rate that the hello tells; it is kept in the event log."""
    listener = await place.listen()
    bot = await place.bot(
        listener.url, "--provider", provider, "--rate", rate, "--file", BO, "--speed", 20, "--record", place.folder
    )
    summary = (await bot.ended()).json
    ended = await listener.stop()

    recording = await listener.finished("sim")
    recording.assert_holds(summary)
    assert recording.entry("mixed")["rate"] == rate
    logged = recording.events
    assert [one["data"]["bot_id"] for one in logged if one["event"] == "hello"] == ["sim"]
    assert ended.status == 0


async def test_meetingbaas_is_spoken_to(place: Place) -> None:
    """Speech goes to the bot as bare samples, at the rate at which it sends."""
    listener = await place.listen()
    told = ("--provider", "meetingbaas", "--rate", 48000, "--file", ANA, "--loop", "--record", place.folder / "bot")
    bot = await place.bot(listener.url, *told)
    await listener.event("track.started", track="mixed")
    voice = tone(1.0, 48000)
    spoken = await place.run("speak", write(place.folder / "voice.wav", voice, 48000))
    summary = (await bot.stop()).json
    await listener.stop()

    assert spoken.status == 0
    assert summary["received"]["speak"] == 10
    assert summary["malformed"] == summary["unplayable"] == 0
    assert_same(sounding(read(place.folder / "bot" / "played.wav")), sounding(voice))
    assert_same(sounding((await listener.finished("sim")).samples("spoken")), sounding(voice))


async def test_late_samples_leave_no_hole(place: Place) -> None:
    """Where no times are told, what stalls on its way is not taken for silence; another connection is."""
    listener = await place.listen()
    hello = json.dumps({"protocol_version": 1, "bot_id": "bot_1", "offset": 0.0, "sample_rate": 16000})
    async with connect(listener.url) as bot:
        await bot.send(hello)
        for piece in chunks(ramp(0.3)):
            await bot.send(piece.tobytes())
        await listener.event("track.started", track="mixed")
        await asyncio.sleep(1)
        for piece in chunks(ramp(0.3)):
            await bot.send(piece.tobytes())
    await asyncio.sleep(1)
    await call(listener.url, hello, ramp(0.3).tobytes())
    await listener.stop()

    recording = await listener.finished("bot_1")
    samples = recording.samples("mixed")
    assert_same(samples[:9600], np.concatenate((ramp(0.3), ramp(0.3))))
    assert_same(samples[-4800:], ramp(0.3))
    assert recording.entry("mixed")["gaps"] == 1


async def test_workers_hand_them_over_with_their_hello(place: Place) -> None:
    """Whichever worker a connection comes to: the one that records it has read its hello."""
    listener = await place.listen("--workers", 2)
    bots = {}
    for number in range(6):
        provider = ("meetingbaas", "recall110")[number % 2]
        told = ("--provider", provider, "--id", f"bot_{number}", "--rate", 16000, "--file", ANA, "--speed", 10)
        bots[f"bot_{number}"] = await place.bot(listener.url, *told, "--record", place.folder / f"sent_{number}")
    summaries = {name: (await bot.ended()).json for name, bot in bots.items()}
    await listener.stop()

    for name, summary in summaries.items():
        recording = await listener.finished(name)
        recording.assert_holds(summary)
        assert recording.manifest["malformed"] == 0


async def test_samples_before_a_hello_are_malformed(place: Place) -> None:
    """They are counted and told, and recorded nowhere; the hello after them is heard."""
    listener = await place.listen()
    hello = json.dumps({"protocol_version": 1, "bot_id": "bot_1", "sample_rate": 16000})
    await call(listener.url, ramp(0.1).tobytes(), hello, ramp(0.5).tobytes())
    ended = await listener.stop()

    recording = await listener.finished("bot_1")
    assert_same(recording.samples("mixed"), ramp(0.5))
    assert recording.manifest["malformed"] == 1
    assert ended.status == 6
