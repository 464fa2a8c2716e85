"""What only Amigo has: conversations that outlive connections, its order of leaving, its close codes, its MP3."""

from __future__ import annotations

import base64
import json
from io import BytesIO

import numpy as np
import pytest
import soundfile
from tests.scenarios import talk
from tests.scenarios.harness import Place, tone, write
from tests.scenarios.talk import (
    KEY,
    PROMPT,
    SPEECH,
    Wiretap,
    at_rate,
    likeness,
    question,
    rate,
    talked,
    trimmed,
    user,
)

from audiotap import mp3

PICTURE = b"ID3\x04\0\0" + bytes((0, 42, 0, 0)) + bytes(42 * 128 * 128)
"""A tag as large as one with a picture: it makes the file longer than a message may be."""
AUDIO = "client.new-audio-message"


async def test_the_whole_wire(place: Place) -> None:
    """What is said, in this order: blocks of 60 ms, the config with the first, and the VAD mode is left first."""
    agent = await talk.agent(place, "amigo", "--key", KEY)
    tap = Wiretap(agent)
    async with tap.listening() as url:
        told = await talked(place, "amigo", url, question(place, "amigo"))
    assert told.ended.status == 0
    start, *middle, last = tap.kinds()
    assert start == "client.start-conversation"
    assert middle == ["client.switch-vad-mode", AUDIO, "client.switch-vad-mode"]
    assert last == "client.close-connection"
    audio = tap.messages(AUDIO)
    assert {len(base64.b64decode(one["audio"])) for one in audio} == {1920}
    assert [bool(one.get("audio_config")) for one in audio] == [True] + [False] * (len(audio) - 1)
    (headers,) = tap.headers
    assert [name for name, value in headers.items() if KEY in value] == ["sec-websocket-protocol"]
    assert KEY not in tap.paths[0] + str(tap.said)


async def test_a_conversation_that_is_gone_on_with(place: Place) -> None:
    """It has the same id, until it is finished for good: then nobody goes on with it."""
    agent = await talk.agent(place, "amigo")
    file = question(place, "amigo")
    first = await talked(place, "amigo", agent.url, file)
    id_ = first.finished["session"]
    second = await talked(place, "amigo", agent.url, file, "--resume", id_, "--finish")
    third = await (await user(place, "amigo", agent.url, file, "--resume", id_)).ended()
    assert [first.ended.status, second.ended.status, third.status] == [0, 0, 1]
    assert second.finished["session"] == id_
    assert first.folder != second.folder
    assert "finished" in third.err


@pytest.mark.parametrize(
    ("code", "status"), [(3000, 5), (3003, 5), (4000, 1), (4004, 4), (4009, 1), (4015, 1)], ids=str
)
async def test_closes_that_are_final(place: Place, code: int, status: int) -> None:
    """The connection is not dialled again; what was recorded is complete."""
    agent = await talk.agent(place, "amigo", "--fault", f"close:{code}:because@0s")
    told = await talked(place, "amigo", agent.url, question(place, "amigo"))
    assert told.ended.status == status
    assert "because" in told.ended.err
    assert len(agent.told("connected")) == 1
    assert told.manifest["ended"] is not None


@pytest.mark.parametrize("fault", ["close:3008", "close:4029", "close:1011", "close:1012", "cut"])
async def test_closes_that_pass(place: Place, fault: str) -> None:
    """The same conversation is gone on with over another connection; one answer was broken off."""
    agent = await talk.agent(place, "amigo", "--fault", f"{fault}@turn:1")
    tap = Wiretap(agent)
    async with tap.listening() as url:
        files = [question(place, "amigo", f"{n}.wav") for n in range(2)]
        told = await talked(place, "amigo", url, *files)
    assert told.ended.status == 1
    assert [turn["status"] for turn in told.turns] == ["incomplete", "completed"]
    (resumed,) = tap.messages("client.continue-conversation")
    assert told.finished["session"] in json.dumps(resumed)
    assert len(agent.told("connected")) == 2


async def test_mp3_both_ways(place: Place) -> None:
    """An MP3 longer than a message is sent as it is, and the answer is kept as it came: both sides are recorded."""
    noise = np.random.default_rng(1).normal(0, 3000, 44100 * 2).astype(np.int16)
    sound = BytesIO()
    soundfile.write(sound, noise, 44100, format="MP3")
    question_ = place.folder / "question.mp3"
    question_.write_bytes(PICTURE + sound.getvalue())
    agent = await place.agent("amigo", "--file", talk.question(place, "amigo"), *PROMPT)
    tap = Wiretap(agent)
    async with tap.listening() as url:
        told = await talked(place, "amigo", url, question_, "--no-vad", "--answer", "mp3")
    sent = tap.messages(AUDIO)
    assert told.ended.status == 0
    assert sent[-1]["audio"] is None
    assert b"".join(base64.b64decode(one["audio"]) for one in sent[:-1]) == question_.read_bytes()
    assert max(len(wire) for wire in tap.said) < 1_000_000
    assert soundfile.info(told.folder / "agent.mp3").frames > 0
    assert str(told.folder / "agent.mp3") in {str(place.folder / path) for path in told.finished["files"]}
    assert told.turns[0]["status"] == "completed"
    assert 0 < told.turns[0]["figures"]["first_byte"] <= told.turns[0]["figures"]["response"]
    assert len(trimmed(told.samples("user"))) / rate("amigo") == pytest.approx(2, abs=0.1)
    voice = at_rate(tone(SPEECH, rate("amigo")), rate("amigo"), mp3.RATE)
    assert likeness(trimmed(told.samples("agent")), voice) > 0.9


async def test_words_from_outside(place: Place) -> None:
    """An event is only noted, an urgent one is answered, and a text is a turn after them."""
    agent = await place.agent("amigo", "--file", question(place, "amigo"), "--says", "Noted.", *PROMPT)
    tap = Wiretap(agent)
    async with tap.listening() as url:
        more = ("--event", "it rains", "--urgent-event", "it pours", "--text", "Shall I go?")
        told = await talked(place, "amigo", url, *more)
    assert told.ended.status == 0
    assert [turn["source"] for turn in told.turns] == ["text: it pours", "text: Shall I go?"]
    assert ("user", "Shall I go?") in told.said
    outside = [one["start_interaction"] for one in map(json.loads, map(str, tap.said)) if "start_interaction" in one]
    assert outside == [False, True]
    assert len(agent.told("turn")) == 2


async def test_what_the_agent_does(place: Place) -> None:
    """Its actions are kept in the event log where they were asked for."""
    agent = await talk.agent(place, "amigo", "--tool", 0.1)
    told = await talked(place, "amigo", agent.url, question(place, "amigo"), "--option", "action=.*")
    assert told.ended.status == 0
    assert any("action" in json.dumps(event) for event in told.events)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--answer", "mp3"), "--no-vad"),
        (("--model", "m"), "--model"),
        (("--rate", 96000), "4000"),
    ],
)
async def test_what_cannot_be_meant(place: Place, options: tuple[str | int, ...], words: str) -> None:
    """Exit status 2, what is wrong and what to type."""
    ended = await (await user(place, "amigo", "ws://127.0.0.1:9", question(place, "amigo"), *options)).ended()
    assert ended.status == 2
    assert words in ended.err


async def test_a_voice_at_another_rate(place: Place) -> None:
    """Nobody tells the rate: where audio and words don't fit, a warning says what to try, and that is right."""
    voice = write(place.folder / "voice.wav", tone(1.5, 24000), 24000)
    agent = await place.agent("amigo", *PROMPT, "--option", "output-rate=24000", "--file", voice, "--says", "one two")
    wrong = await talked(place, "amigo", agent.url, "--text", "hi")
    (doubt,) = [one["message"] for one in wrong.told.told("warning")]
    assert "--output-rate 24000" in doubt
    right = await talked(place, "amigo", agent.url, "--text", "hi", "--output-rate", 24000)
    assert right.told.told("warning") == []
