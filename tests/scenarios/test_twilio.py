"""Calls of Twilio's: µ-law, two legs, speech with its marks, and what was sent taken back."""

from __future__ import annotations

import json

import numpy as np
import pytest
from tests.scenarios.harness import ANA, BO, HELLO, Place, assert_same, read, sounding, tone, write
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus

from audiotap.audio import from_ulaw, to_ulaw
from audiotap.net.door.admission import twilio_signature


async def test_a_call_is_recorded(place: Place) -> None:
    """Each leg at 8000 Hz, to the sample; a leg that is silent for a while leaves a gap; the log has the call."""
    listener = await place.listen()
    told = ("--provider", "twilio", "--id", "MZ1", "--file", ANA, "--file", BO, "--mute", "bo:1-2")
    bot = await place.bot(listener.url, *told, "--speed", 10, "--record", place.folder / "sent")
    summary = (await bot.ended()).json
    ended = await listener.stop()

    recording = await listener.finished("MZ1")
    recording.assert_holds(summary)
    assert {entry["track"]: entry["rate"] for entry in recording.manifest["tracks"]} == {
        "inbound": 8000,
        "outbound": 8000,
    }
    assert recording.manifest["bot"] == "CA-MZ1"
    assert [one["event"] for one in recording.events] == ["start", "stop"]
    assert ended.status == 0


async def test_speech_and_its_mark(place: Place) -> None:
    """What is spoken is heard on the phone, and the mark after it comes back when it was."""
    listener = await place.listen()
    told = ("--provider", "twilio", "--file", ANA, "--loop", "--record", place.folder / "bot")
    bot = await place.bot(listener.url, *told)
    await listener.event("track.started", track="inbound")
    voice = tone(1.0, 8000)
    spoken = await place.run("speak", write(place.folder / "voice.wav", voice, 8000))
    summary = (await bot.stop()).json
    await listener.stop()

    assert spoken.status == 0
    assert summary["received"] == {"speak": 10, "mark": 1}
    heard = read(place.folder / "bot" / "played.wav")
    companded = np.frombuffer(from_ulaw(to_ulaw(voice.astype("<i2").tobytes())), dtype=np.int16)
    assert_same(sounding(heard), sounding(companded))
    recording = await listener.finished("sim")
    assert [one["data"]["mark"]["name"] for one in recording.events if one["event"] == "mark"] == ["1"]


async def test_stop_takes_back_what_was_sent(place: Place) -> None:
    """The call is told to drop what it has not played yet, which is at most what we send ahead."""
    listener = await place.listen()
    bot = await place.bot(listener.url, "--provider", "twilio", "--file", ANA, "--loop")
    await listener.event("track.started", track="inbound")
    speaking = await place.start("speak", HELLO)
    while not (await place.run("status", "--json")).json[0]["sessions"][0]["queue"]:
        pass
    await place.run("stop")
    await speaking.ended()
    summary = (await bot.stop()).json
    await listener.stop()

    assert summary["received"]["stop"] == 1
    assert summary["residue_lost"] <= 0.5


async def test_workers_hand_calls_over(place: Place) -> None:
    """Whichever worker a call comes to first: it is recorded whole, and its call's id is known."""
    listener = await place.listen("--workers", 2)
    bots = {
        name: await place.bot(
            listener.url,
            "--provider",
            "twilio",
            "--id",
            name,
            "--file",
            ANA,
            "--speed",
            10,
            "--record",
            place.folder / name,
        )
        for name in ("MZ1", "MZ2", "MZ3", "MZ4")
    }
    summaries = {name: (await bot.ended()).json for name, bot in bots.items()}
    await listener.stop()

    for name, summary in summaries.items():
        recording = await listener.finished(name)
        recording.assert_holds(summary)
        assert recording.manifest["bot"] == f"CA-{name}"


async def test_another_encoding_is_told(place: Place) -> None:
    """A stream that is not µ-law at 8000 Hz is malformed, and says what it is."""
    listener = await place.listen()
    start = {"mediaFormat": {"encoding": "audio/x-l16", "sampleRate": 16000, "channels": 1}}
    async with connect(listener.url) as bot:
        await bot.send(json.dumps({"event": "connected", "protocol": "Call", "version": "1.0.0"}))
        await bot.send(json.dumps({"event": "start", "streamSid": "MZ1", "start": start}))
        warning = await listener.event("warning")
    await listener.stop()
    assert "audio/x-l16, 16000 Hz" in warning["message"]


async def test_who_is_signed_is_let_in(place: Place) -> None:
    """With a token of the account's, a call needs no secret in its address, and a wrong signature is refused."""
    listener = await place.listen("--public-url", "wss://tap.example/", environment={"AUDIOTAP_TWILIO_TOKEN": "t0ken"})
    right = twilio_signature(b"t0ken", "wss://tap.example/call").decode()
    async with connect(f"{listener.url}/call", additional_headers={"X-Twilio-Signature": right}) as bot:
        await bot.send(json.dumps({"event": "start", "streamSid": "MZ1", "start": {"callSid": "CA1"}}))
        await listener.event("session.started", session="MZ1")
    with pytest.raises(InvalidStatus) as refused:
        await connect(f"{listener.url}/another", additional_headers={"X-Twilio-Signature": right})
    status = await place.run("status", "--json")
    ended = await listener.stop()

    assert refused.value.response.status_code == 401
    assert status.json[0]["refused"] == {"signature": 1}
    assert "t0ken" not in ended.err + ended.out.decode() + status.out.decode()


async def test_the_twiml_that_makes_it_dial(place: Place) -> None:
    """It has the address that is let in, and nothing but it."""
    await place.listen("--public-url", "wss://tap.example/", "--secret", "x" * 20)
    twiml = await place.run("url", "--for", "twilio")

    assert f'<Connect>\n    <Stream url="wss://tap.example/{"x" * 20}" />' in twiml.out.decode()
