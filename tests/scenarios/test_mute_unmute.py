"""Recall opens and closes a connection per participant as they mute and unmute; that is no end of anything."""

from __future__ import annotations

import json

import numpy as np
from tests.scenarios.harness import ANA, BO, CHEN, RATE, Place, assert_same, call, ramp, recall, write
from websockets.asyncio.client import connect

ANA_ID = {"id": 100, "name": "Ana"}
BO_ID = {"id": 101, "name": "Bo"}


async def test_tracks_align_to_the_sample_over_many_sockets(place: Place) -> None:
    """Mutes leave silence in a participant's one file, and every track stays where the mix has it."""
    listener = await place.listen("--linger", 5)
    bot = await place.bot(
        listener.url,
        *("--provider", "recall", "--each", "--file", ANA, "--file", BO, "--file", CHEN, "--speed", 10),
        *("--mute", "ana:2-4", "--mute", "bo:0-1", "--mute", "bo:3-4", "--mute", "chen:1-2.2", "--mute", "chen:5-6"),
        *("--record", place.folder / "sent"),
    )
    summary = (await bot.ended()).json
    ended = await listener.stop()

    assert ended.status == 0
    assert summary["connections"] == 1 + 2 + 2 + 3
    assert len(listener.told("session.finished")) == 1
    recording = await listener.finished("sim")
    assert recording.manifest["connections"] == summary["connections"]
    assert {path.name for path in recording.folder.glob("*.wav")} == {
        *("mixed.wav", "100_ana.wav", "101_bo.wav", "102_chen.wav"),
    }
    recording.assert_holds(summary)
    voices = sum(recording.samples(track).astype(np.int32) for track in ("100", "101", "102"))
    assert_same(recording.samples("mixed"), np.clip(voices, -32768, 32767).astype(np.int16))
    assert not recording.samples("100")[2 * RATE : 4 * RATE].any()
    assert [recording.entry(track)["gaps"] for track in ("mixed", "100", "101", "102")] == [0, 1, 1, 2]
    assert recording.entry("101")["start"] == RATE


async def test_who_joined_and_left_is_in_the_event_log(place: Place) -> None:
    """participant_events and transcripts are kept as they came, with their place on the time line."""
    listener = await place.listen()
    voice = write(place.folder / "voice.wav", ramp(2))
    bot = await place.bot(listener.url, "--provider", "recall", "--file", voice, "--name", "Zoë", "--speed", 10)
    await bot.ended()
    said = {"words": [{"text": "hello", "start_timestamp": {"relative": 1.5}}], "participant": {"id": 100, "name": "Z"}}
    await call(
        listener.url,
        json.dumps({"event": "transcript.data", "data": {"data": said, "recording": {"id": "sim", "metadata": {}}}}),
    )
    await listener.stop()

    recording = await listener.finished("sim")
    lines = recording.events
    assert [line["event"] for line in lines] == [
        *("participant_events.join", "participant_events.leave", "transcript.data"),
    ]
    assert lines[0]["data"]["participant"]["name"] == "Zoë"
    assert [line["at"] for line in lines[1:]] == [2.0, 1.5]
    assert lines[2]["data"] == said
    assert recording.entry("100")["names"] == ["Zoë", "Z"]


async def test_a_muted_participant_ends_nobody_elses_file(place: Place) -> None:
    """One socket of a recording closes while another goes on; a new one takes the track up where its time says."""
    listener = await place.listen("--linger", 0.1)
    sound = ramp(1)
    async with connect(listener.url) as bo:
        await bo.send(recall(sound, 0.0, BO_ID))
        await call(listener.url, recall(sound, 0.0, ANA_ID))
        await bo.send(recall(sound, 1.0, BO_ID))
        await call(listener.url, recall(sound, 2.0, ANA_ID))
        await bo.send(recall(sound, 2.0, BO_ID))
        assert not listener.told("session.finished")
    recording = await listener.finished("rec")
    await listener.stop()

    assert len(listener.told("session.finished")) == 1
    assert_same(recording.samples("101"), np.concatenate((sound, sound, sound)))
    assert_same(recording.samples("100"), np.concatenate((sound, np.zeros(RATE, np.int16), sound)))
    assert recording.manifest["bot"] == "recall-bot"


async def test_everybody_mutes_and_the_session_outlives_it(place: Place) -> None:
    """With no connection left a session lingers, and goes on with the next one."""
    listener = await place.listen("--linger", 30)
    sound = ramp(1)
    await call(listener.url, recall(sound, 0.0, ANA_ID))
    await call(listener.url, recall(sound, 5.0, ANA_ID))
    await listener.stop()

    recording = await listener.finished("rec")
    assert_same(recording.samples("100"), np.concatenate((sound, np.zeros(4 * RATE, np.int16), sound)))
    assert len(listener.told("session.started")) == 1
