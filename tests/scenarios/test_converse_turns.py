"""What a turn may be: a pipe, a microphone, a text; and what may answer it: a voice, words, a tool."""

from __future__ import annotations

import json
from asyncio.subprocess import PIPE

import numpy as np
import pytest
from tests.scenarios import talk
from tests.scenarios.harness import Place, assert_same, ramp, tone, write
from tests.scenarios.talk import PROMPT, SPEECH, Talk, question, rate, talked, trimmed, user

DEEPGRAM = rate("deepgram")


async def piped(place: Place, data: bytes, *args: str | float) -> Talk:
    """A conversation whose user speaks through a pipe."""
    agent = await talk.agent(place, "deepgram")
    talking = await user(place, "deepgram", agent.url, "-", *args, stdin=PIPE)
    await talking.feed(data)
    return Talk(talking, await talking.ended())


@pytest.mark.parametrize("form", ["wav", "raw"])
async def test_standard_input(place: Place, form: str) -> None:
    """A WAV or bare samples in a pipe are said as a file is, to the sample."""
    sound = tone(SPEECH, DEEPGRAM)
    wav = write(place.folder / "pipe.wav", sound, DEEPGRAM).read_bytes()
    told = await piped(place, *((wav,) if form == "wav" else (sound.tobytes(), "--raw", DEEPGRAM)))
    assert told.ended.status == 0
    assert_same(trimmed(told.samples("user")), trimmed(sound))
    assert_same(trimmed(told.samples("agent")), trimmed(sound))
    assert [turn["source"] for turn in told.turns] == ["stdin"]


async def test_an_empty_pipe(place: Place) -> None:
    """Who pipes nothing is told so."""
    agent = await talk.agent(place, "deepgram")
    talking = await user(place, "deepgram", agent.url, "-", stdin=PIPE)
    await talking.feed(b"")
    ended = await talking.ended()
    assert ended.status == 2
    assert "standard input" in ended.err
    assert "Traceback" not in ended.err


async def test_a_microphone_with_several_turns(place: Place) -> None:
    """Speech after a silence in one live stream is another turn, with figures of its own."""
    sound = np.concatenate([tone(SPEECH, DEEPGRAM), np.zeros(round(1.5 * DEEPGRAM), np.int16), tone(0.4, DEEPGRAM)])
    told = await piped(place, sound.tobytes(), "--raw", DEEPGRAM)
    first, second = told.turns
    assert told.ended.status == 0
    assert (first["number"], second["number"]) == (1, 2)
    assert first["first_sound"] < second["said_from"] < second["said_until"] < second["first_sound"]
    assert second["said_from"] - first["said_until"] == pytest.approx(1.5, abs=0.05)
    assert_same(trimmed(told.samples("user")), trimmed(sound))
    assert [text for _, text in told.said] == ["(0.6 s of speech)"] * 2 + ["(0.4 s of speech)"] * 2


@pytest.mark.parametrize("vendor", ["openai", "deepgram", "amigo"])
async def test_a_text(place: Place, vendor: str) -> None:
    """What is written is answered by voice, measured from when it was written."""
    voice = write(place.folder / "voice.wav", ramp(0.5, rate(vendor)), rate(vendor))
    agent = await place.agent(vendor, "--file", voice, "--says", "Four.", *PROMPT)
    told = await talked(place, vendor, agent.url, "--text", "Two and two?")
    (turn,) = told.turns
    assert told.ended.status == 0
    assert told.said == [("user", "Two and two?"), ("agent", "Four.")]
    assert turn["source"] == "text: Two and two?"
    assert turn["said_until"] <= turn["first_byte"] <= turn["first_sound"]
    assert_same(trimmed(told.samples("agent")), ramp(0.5, rate(vendor)))


@pytest.mark.parametrize("vendor", ["openai", "botify", "amigo"])
async def test_a_turn_whose_end_is_told(place: Place, vendor: str) -> None:
    """Without VAD the agent is told where a turn ends."""
    agent = await talk.agent(place, vendor)
    told = await talked(place, vendor, agent.url, question(place, vendor), "--no-vad")
    assert told.ended.status == 0
    assert_same(trimmed(told.samples("agent")), trimmed(tone(SPEECH, rate(vendor))))
    assert 0 < told.turns[0]["figures"]["first_byte"] <= told.turns[0]["figures"]["response"]


async def test_a_question_that_is_too_quiet_to_be_measured(place: Place) -> None:
    """It is answered like any other, and that there are no figures is told, with the reason."""
    sound = (tone(SPEECH, rate("openai")) / 400).astype(np.int16)
    quiet = write(place.folder / "quiet.wav", sound, rate("openai"))
    voice = write(place.folder / "voice.wav", tone(SPEECH, rate("openai")), rate("openai"))
    agent = await place.agent("openai", *PROMPT, "--file", voice)
    told = await talked(place, "openai", agent.url, quiet, "--no-vad")
    (turn,) = told.turns
    assert told.ended.status == 0
    assert turn["status"] == "completed"
    assert turn["figures"]["response"] is turn["figures"]["first_byte"] is None
    assert any("nothing in quiet.wav is louder than -45 dBFS" in warning for warning in told.told.warnings())


@pytest.mark.parametrize("vendor", ["openai", "botify", "amigo"])
async def test_answers_in_text(place: Place, vendor: str) -> None:
    """An answer in text is an answer: measured from its first words, and there is no voice."""
    agent = await place.agent(vendor, "--says", "Four, I think.", *PROMPT)
    told = await talked(place, vendor, agent.url, question(place, vendor), "--answer", "text")
    (turn,) = told.turns
    assert told.ended.status == 0
    assert ("agent", "Four, I think.") in told.said
    assert turn["status"] == "completed"
    assert turn["said_until"] < turn["first_byte"]
    assert turn["first_sound"] is None
    assert not (told.folder / "agent.wav").exists()
    assert not told.sides()[1].any()


async def test_settings_of_ones_own(place: Place) -> None:
    """A file is laid over what the vendor is told: here the agent speaks at another rate."""
    own = place.folder / "own.json"
    own.write_text(json.dumps({"audio": {"output": {"sample_rate": 8000}}}))
    agent = await talk.agent(place, "deepgram")
    told = await talked(place, "deepgram", agent.url, question(place, "deepgram"), "--settings", own)
    assert told.ended.status == 0
    (track,) = [track for track in told.manifest["tracks"] if track["track"] == "agent"]
    assert track["rate"] == 8000


async def test_a_tool_that_nobody_has(place: Place) -> None:
    """The agent is told that it isn't there, the user is warned, and the answer comes."""
    agent = await talk.agent(place, "openai", "--tool", 20)
    told = await talked(place, "openai", agent.url, question(place, "openai"))
    assert told.ended.status == 0
    assert told.turns[0]["status"] == "completed"
    assert any("look_up" in warning for warning in told.told.warnings())


async def test_something_to_hear_until_the_answer(place: Place) -> None:
    """A word before the tool is called is not the answer: that one is waited for, however long it takes."""
    voice = write(place.folder / "voice.wav", ramp(0.5, DEEPGRAM), DEEPGRAM)
    agent = await place.agent("deepgram", "--file", voice, *PROMPT, "--tool", 20, "--option", "fillers", "--think", 1)
    told = await talked(place, "deepgram", agent.url, question(place, "deepgram"))
    assert told.ended.status == 0
    assert told.turns[0]["status"] == "completed"
    assert len(told.samples("agent")[told.samples("agent") != 0]) == 0.5 * DEEPGRAM


async def test_words_that_would_move_the_cursor(place: Place) -> None:
    """A transcript from a network is made harmless where it is printed and where it is kept as text."""
    evil = "\x1b[2J\x1b]0;owned\x07 red \u202e gnp"
    agent = await talk.agent(place, "deepgram", "--says", evil, "--heard", evil)
    talking = await place.start(
        *("converse", "deepgram", question(place, "deepgram"), "--url", agent.url),
        *("--out", place.out, "--output", "plain"),
        environment=talk.KEYS,
    )
    ended = await talking.ended()
    assert ended.status == 0
    (folder,) = place.out.iterdir()
    for told in (ended.out.decode(), ended.err, (folder / "transcript.txt").read_text("utf-8")):
        assert "red" in told or told is ended.err
        assert not set(told) & {"\x1b", "\x07", "\u202e"}
    assert json.loads((folder / "transcript.json").read_text("utf-8"))[1]["text"] == evil
