"""Agents and bots that come late, are lost, come back, or do not."""

from __future__ import annotations

import numpy as np
import pytest
from tests.scenarios.harness import RATE, Place, assert_same, sounding
from tests.scenarios.meeting import KEY, bridged, joined, voice

HOME = {"openai": 24000, "azure": 24000, "deepgram": 16000, "amigo": 16000}


@pytest.mark.parametrize("provider", ["openai", "deepgram", "amigo"])
async def test_an_agent_is_lost_in_its_answer(place: Place, provider: str) -> None:
    """What came of the answer is played; a new connection is told of, and answers the next question whole."""
    rate = HOME[provider]
    agent = await place.agent(provider, "--echo", "--think", 0, "--fault", "cut@turn:1")
    bridge = await bridged(place, provider, agent.url)
    first, second = voice(1, rate), voice(0.4, rate, 700)
    async with joined(bridge, rate=rate) as bot:
        await bot.ask(first)
        await bridge.event("agent.ready", connections=2)
        came = len(bot.spoken)
        await bot.ask(second)
        await bot.plays(came + len(second))
    ended = await bridge.stop()

    assert_same(bot.spoken[-len(second) :], second)
    assert_same(bot.spoken[: -len(second)], first[: len(bot.spoken) - len(second)])
    assert len(bot.spoken) > len(second)
    assert ended.status == 0
    assert len(agent.told("connected")) == 2
    assert any("dialling again" in warning for warning in bridge.warnings())
    assert bridge.told("error") == []
    recording = await bridge.finished("bot_1")
    assert_same(recording.samples("mixed"), bot.said)
    log = recording.events
    kinds = [line["event"] for line in log if line["event"] in {"agent.ready", "agent.lost"}]
    assert kinds == ["agent.ready", "agent.lost", "agent.ready"]
    if provider == "amigo":
        assert len({line["data"]["id"] for line in log if line["event"] == "agent.ready"}) == 1


async def test_a_proxy_whose_session_is_over(place: Place) -> None:
    """Botify drops the line when Azure has ended the session: a new one is begun, and answers."""
    agent = await place.agent("botify", "--echo", "--think", 0, "--option", "upstream-ends")
    bridge = await bridged(place, "botify", agent.url)
    first, second = voice(0.4, 24000), voice(0.4, 24000, 700)
    async with joined(bridge, rate=24000) as bot:
        await bot.ask(first)
        await bot.plays(len(first))
        await bridge.event("agent.ready", connections=2)
        await bot.ask(second)
        await bot.plays(len(first) + len(second))
    await bridge.stop()

    assert_same(bot.spoken, np.concatenate([first, second]))
    assert any("its own one to Azure has ended" in warning for warning in bridge.warnings())
    assert bridge.told("error") == []


async def test_an_answer_of_before(place: Place) -> None:
    """An answer is played on without its connection, and can be spoken into; the new one is told nothing of it."""
    agent = await place.agent("openai", "--echo", "--think", 0, "--delta", 3000, "--fault", "cut@turn:1")
    bridge = await bridged(place, "openai", agent.url)
    first, second = voice(4, 24000), voice(0.4, 24000, 700)
    async with joined(bridge, rate=24000) as bot:
        await bot.ask(first)
        await bridge.event("agent.ready", connections=2)
        await bot.ask(second)
        await bot.until(lambda: np.array_equal(bot.spoken[-len(second) :], second) or None, "the second answer")
    await bridge.stop()

    cut = len(bot.spoken) - len(second)
    assert 0 < cut < len(first)
    assert_same(bot.spoken[:cut], first[:cut])
    assert len(bridge.told("interrupted")) == 1
    assert agent.told("truncated") == agent.told("error") == []


async def test_an_agent_that_comes_late(place: Place) -> None:
    """While nobody answers at the agent's address the bot is recorded, and when somebody does, it is answered."""
    port = (await place.agent("deepgram")).port
    await place.started[-1].stop()
    bridge = await bridged(place, "deepgram", f"ws://127.0.0.1:{port}")
    question = voice(0.4)
    async with joined(bridge, ready=False) as bot:
        await bridge.until(lambda: next((one for one in bridge.warnings() if "again" in one), None), "another try")
        await place.agent("deepgram", "--echo", "--think", 0, "--port", port)
        await bridge.event("agent.ready", connections=1)
        await bot.ask(question)
        await bot.plays(len(question))
    await bridge.stop()

    assert_same(bot.spoken, question)
    assert bridge.told("error") == []
    assert_same((await bridge.finished("bot_1")).samples("mixed"), bot.said)


async def test_an_agent_that_falls_silent(place: Place) -> None:
    """Of one that is connected and takes no notice of who speaks a warning tells, once."""
    agent = await place.agent("botify", "--echo", "--think", 0, "--fault", "silent@turn:1")
    bridge = await bridged(place, "botify", agent.url)
    async with joined(bridge, rate=24000) as bot:
        await bot.ask(voice(0.4, 24000))
        await agent.event("fault")
        await bot.ask(voice(1.2, 24000))
        await bot.ask(voice(1.2, 24000))
        told = await bridge.until(lambda: next((one for one in bridge.warnings() if "no word" in one), None), "it")
    await bridge.stop()

    assert "though it is connected" in told
    assert len([one for one in bridge.warnings() if "no word" in one]) == 1
    assert bridge.told("error") == []


async def test_a_bot_is_lost_in_an_answer(place: Place) -> None:
    """The answer waits for the bot, and goes on; it's still the same agent."""
    agent = await place.agent("deepgram", "--echo", "--think", 0)
    bridge = await bridged(place, "deepgram", agent.url)
    question, another = voice(2), voice(0.4, pitch=700)
    async with joined(bridge) as bot:
        await bot.ask(question)
        await bot.plays(RATE // 2)
        await bot.leave()
    async with joined(bridge, said=bot.said) as back:
        await back.until(lambda: np.array_equal(back.spoken[-100:], question[-100:]) or None, "the answer's end")
        rest = back.spoken
        await back.ask(another)
        await back.plays(len(rest) + len(another))
    await bridge.stop()
    recording = await bridge.finished("bot_1")

    assert_same(bot.spoken, question[: len(bot.spoken)])
    assert_same(rest, question[len(question) - len(rest) :])
    assert_same(back.spoken[len(rest) :], another)
    assert_same(sounding(recording.samples("spoken")), np.concatenate([question, another]))
    assert len(agent.told("connected")) == 1
    assert recording.manifest["connections"] == 2


async def test_a_bot_that_stays_away(place: Place) -> None:
    """With its session its agent leaves, while another session's stays; who comes back is a new session."""
    agent = await place.agent("openai", "--echo", "--think", 0)
    bridge = await bridged(place, "openai", agent.url, "--linger", 0.2)
    question = voice(0.4, 24000)
    async with joined(bridge, "stays", rate=24000) as stays:
        async with joined(bridge, "leaves", rate=24000):
            pass
        await bridge.finished("leaves")
        closed = await agent.event("closed")
        async with joined(bridge, "comes", rate=24000) as comes:
            await comes.ask(question)
            await comes.plays(len(question))
        await stays.ask(question)
        await stays.plays(len(question))

    assert (closed["connection"], closed["code"], closed["by_us"]) == (2, 1000, False)
    assert len(agent.told("connected")) == 3


@pytest.mark.parametrize(
    ("provider", "options", "words"),
    [
        ("openai", ("--fault", "fatal:insufficient_quota:You have no money@turn:1"), "the agent is gone"),
        ("deepgram", ("--fault", "fatal:FAILED_TO_THINK:No thoughts@turn:1"), "the agent is gone"),
        ("azure", ("--key", "another"), "no agent takes part"),
        ("amigo", ("--key", "another"), "no agent takes part"),
        ("deepgram", ("--fault", "http:401@0s"), "no agent takes part"),
    ],
)
async def test_an_agent_that_does_not_come_back(
    place: Place, provider: str, options: tuple[str, ...], words: str
) -> None:
    """Nobody dials again where that does not help: one error, and the recording goes on."""
    rate = HOME[provider]
    agent = await place.agent(provider, "--echo", "--think", 0, *options)
    bridge = await bridged(place, provider, agent.url)
    async with joined(bridge, rate=rate, ready=False) as bot:
        await bot.ask(voice(0.4, rate))
        error = await bridge.event("error")
        await bot.ask(voice(0.4, rate))
    ended = await bridge.stop()

    assert ended.status == 0
    assert error["message"].startswith(words)
    assert error["session"] == "bot_1"
    assert len(bridge.told("error")) == 1
    assert len(agent.told("connected")) <= 1
    assert KEY not in ended.err + ended.out.decode()
    assert "Traceback" not in ended.err
    assert_same((await bridge.finished("bot_1")).samples("mixed"), bot.said)
