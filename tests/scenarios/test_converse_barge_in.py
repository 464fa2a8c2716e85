"""Who speaks first, and who speaks into whose words: greetings and interruptions."""

from __future__ import annotations

import pytest
from tests.scenarios import talk
from tests.scenarios.harness import Arg, Place, assert_same, ramp, write
from tests.scenarios.talk import PROMPT, Talk, question, rate, talked, user

from audiotap.actors import ACTORS

A_FEW_BLOCKS = 0.06
"""Seconds by which a busy machine may be late with what it hears."""
every_vendor = pytest.mark.parametrize("vendor", ACTORS)


@pytest.mark.parametrize("vendor", ["openai", "deepgram", "amigo"])
async def test_a_greeting(place: Place, vendor: str) -> None:
    """Whoever waits for it hears it whole before speaking."""
    voice = write(place.folder / "voice.wav", ramp(0.5, rate(vendor)), rate(vendor))
    agent = await place.agent(vendor, "--file", voice, "--greeting", "Welcome.", *PROMPT)
    told = await talked(place, vendor, agent.url, question(place, vendor), "--wait-greeting", 10)
    greeting, turn = told.turns
    assert told.ended.status == 0
    assert greeting["source"] == "greeting"
    assert greeting["status"] == "completed"
    assert greeting["first_sound"] + 0.5 <= turn["said_from"] + A_FEW_BLOCKS
    assert told.said[0] == ("agent", "Welcome.")
    assert len(told.samples("agent")[told.samples("agent") != 0]) == 2 * 0.5 * rate(vendor)


async def test_a_greeting_that_does_not_come(place: Place) -> None:
    """It is missing, the rest goes on, and the status says so."""
    agent = await talk.agent(place, "deepgram")
    told = await talked(place, "deepgram", agent.url, question(place, "deepgram"), "--wait-greeting", 0.3)
    assert [turn["status"] for turn in told.turns] == ["missing", "completed"]
    assert told.finished["missing"] == 1
    assert told.ended.status == 1


@every_vendor
async def test_an_interruption(place: Place, vendor: str) -> None:
    """The user speaks into an answer: of that one agent.wav holds what was heard, and the vendor is told how much."""
    voice = write(place.folder / "voice.wav", ramp(2, rate(vendor)), rate(vendor))
    agent = await place.agent(vendor, "--file", voice, "--think", 0, "--silence", 0.2, "--faster", 8)
    files = [question(place, vendor, f"{n}.wav") for n in range(2)]
    talking = await user(place, vendor, agent.url, *files, "--interrupt", 0.3)
    told = Talk(talking, await talking.ended())
    (interrupted,) = talking.told("interrupted")
    first, second = told.turns
    heard = talk.runs(told.samples("agent"))[0]
    assert told.ended.status == 0
    assert (first["status"], first["interrupted"]) == ("cancelled", True)
    assert (second["status"], second["interrupted"]) == ("completed", False)
    assert second["said_from"] >= first["first_sound"] + 0.3 - 0.01
    assert 0.3 <= interrupted["heard"] < 2
    assert len(heard) / rate(vendor) <= interrupted["heard"] + 0.001
    assert_same(heard, ramp(2, rate(vendor))[: len(heard)])
    if vendor in {"openai", "azure", "botify"}:
        (truncated,) = agent.told("truncated")
        assert truncated["seconds"] == pytest.approx(interrupted["heard"], abs=0.002)


@pytest.mark.parametrize("vendor", ["openai", "amigo"])
@pytest.mark.parametrize("turns", ["audio", "text"])
async def test_an_interruption_that_the_agent_does_not_hear(place: Place, vendor: str, turns: str) -> None:
    """Without its VAD, and in text, it is told to stop where there is a word for that; what comes next is turn two's.

    The answers come as slowly as they are heard, so that the first one is still on its way.
    """
    voice = write(place.folder / "voice.wav", ramp(1.5, rate(vendor)), rate(vendor))
    agent = await place.agent(vendor, "--file", voice, "--think", 0.3, "--faster", 1)
    files = [question(place, vendor, f"{n}.wav") for n in range(2)]
    said: tuple[Arg, ...] = (*files, "--no-vad") if turns == "audio" else ("--text", "One?", "--text", "Two?")
    told = await talked(place, vendor, agent.url, *said, "--interrupt", 0.3)
    (interrupted,) = told.told.told("interrupted")
    first, second = told.turns
    assert told.ended.status == 0
    assert (first["status"], first["interrupted"]) == ("cancelled", True)
    assert (second["status"], second["interrupted"]) == ("completed", False)
    assert second["first_byte"] >= second["said_until"]
    before, after = talk.runs(told.samples("agent"))
    assert 0.3 <= interrupted["heard"] < 1.5
    assert len(before) / rate(vendor) <= interrupted["heard"] + 0.001
    assert_same(before, ramp(1.5, rate(vendor))[: len(before)])
    assert_same(after, ramp(1.5, rate(vendor)))
    if vendor == "openai":
        (truncated,) = agent.told("truncated")
        assert truncated["seconds"] == pytest.approx(interrupted["heard"], abs=0.002)
        assert [one["reason"] for one in agent.told("interrupted")] == ["client_cancelled"]
