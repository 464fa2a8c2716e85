"""Somebody speaks into an agent's answer: it ends at once, at the bot, in the recording and in the agent's memory."""

from __future__ import annotations

import asyncio

import numpy as np
import pytest
from tests.scenarios.harness import RATE, Arg, Place, assert_same, sounding, write
from tests.scenarios.meeting import bridged, joined, silence, voice
from websockets.asyncio.server import ServerConnection, serve

from audiotap.agent_events import (
    AgentEvent,
    Configure,
    Configured,
    Replying,
    Speech,
    SpeechDone,
    TurnDone,
    VadMode,
)
from audiotap.audio import Chunk
from audiotap.dialects.agents.amigo import Amigo
from audiotap.dialects.base import Side
from audiotap.pacing import BLOCK, LEAD

CASES = [
    *(("openai", 24000, 0.5, 4), ("openai", 24000, 0.5, 0), ("azure", 24000, 0.0, 4), ("botify", 24000, 1.25, 4)),
    *(("deepgram", 16000, 0.5, 4), ("amigo", 16000, 0.5, 4)),
]
"""Vendors, rates, seconds of the bot's pause, and how much faster than it is heard an answer comes; 0 is at once."""
WITHOUT_MEMORY = {"deepgram", "amigo"}
"""Vendors that have no word for what was heard."""


@pytest.mark.parametrize(("provider", "rate", "pause", "faster"), CASES)
async def test_an_interruption(place: Place, provider: str, rate: int, pause: float, faster: float) -> None:
    """After it the bot gets nothing more of the answer, not even what comes late; the next answer is played whole."""
    agent = await place.agent(provider, "--echo", "--think", 0, "--late", 5, "--faster", faster)
    asked: tuple[Arg, ...] = () if pause == 0.5 else ("--bot-pause", pause)
    bridge = await bridged(place, provider, agent.url, *asked)
    first, second = voice(4, rate), voice(0.4, rate, 700)
    async with joined(bridge, rate=rate) as bot:
        await bot.ask(first)
        await bot.plays(rate // 2)
        await bot.ask(second)
        interrupted = await bridge.event("interrupted")
        await bot.until(lambda: np.array_equal(bot.spoken[-len(second) :], second) or None, "the second answer")
        await agent.event("turn", turn=2)
    await bridge.stop()
    recording = await bridge.finished("bot_1")

    cut = len(bot.spoken) - len(second)
    assert rate // 2 <= cut < len(first)
    assert_same(bot.spoken[:cut], first[:cut])
    assert_same(sounding(recording.samples("spoken")), bot.spoken)
    assert bot.pauses == ([pause] if pause else [])
    assert 0 < interrupted["heard"] <= cut / rate <= interrupted["heard"] + LEAD + BLOCK + 0.001
    assert len(bridge.told("interrupted")) == 1
    told = [one["seconds"] for one in agent.told("truncated")]
    assert told == ([] if provider in WITHOUT_MEMORY else [pytest.approx(interrupted["heard"], abs=0.001)])
    log = recording.events
    assert [line["data"]["heard"] for line in log if line["event"] == "agent.interrupted"] == [
        pytest.approx(interrupted["heard"], abs=0.001)
    ]


async def test_a_bot_that_can_drop_what_it_has(place: Place) -> None:
    """It is told to, whatever pause was asked for, and the phone is silent at once."""
    agent = await place.agent("openai", "--echo", "--think", 0)
    bridge = await bridged(place, "openai", agent.url, "--bot-pause", 0)
    said = np.concatenate([voice(2, 8000), silence(1.5, 8000), voice(0.5, 8000, 700), silence(2.5, 8000)])
    file = write(place.folder / "said.wav", said, 8000)
    bot = await place.bot(bridge.url, "--provider", "twilio", "--file", file)
    await bridge.event("interrupted")
    summary = (await bot.ended()).json
    await bridge.stop()
    assert summary["received"]["stop"] == 1
    assert summary["residue_lost"] <= LEAD + BLOCK


async def test_an_answer_that_takes_another_one_s_place(place: Place) -> None:
    """An agent that thinks better of it interrupts itself: what it said before is silent at once."""
    first, second = voice(4), voice(0.4, pitch=700)
    began = asyncio.Event()

    async def amigo(connection: ServerConnection) -> None:
        language = Amigo(Side.THEIRS)

        async def say(*events: AgentEvent) -> None:
            for wire in (wire for event in events for wire in language.encode(event)):
                await connection.send(wire)

        async for wire in connection:
            for event in language.decode(wire):
                if isinstance(event, Configure):
                    await say(Configured(conversation="c" * 24))
                elif isinstance(event, VadMode) and event.on:
                    await say(VadMode(on=True), Replying("one"), Speech(Chunk(first.tobytes(), RATE)))
            if began.is_set():
                began.clear()
                await say(Replying("two"), Speech(Chunk(second.tobytes(), RATE)), SpeechDone(), TurnDone("two"))

    async with serve(amigo, "127.0.0.1", 0, select_subprotocol=lambda _, offered: offered[0]) as server:
        url = f"ws://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        bridge = await bridged(place, "amigo", url)
        async with joined(bridge) as bot:
            await bot.plays(RATE // 2)
            began.set()
            await bot.say(silence(0.2))
            await bridge.event("interrupted")
            await bot.until(lambda: np.array_equal(bot.spoken[-len(second) :], second) or None, "the second answer")
        await bridge.stop()
    cut = len(bot.spoken) - len(second)
    assert RATE // 2 <= cut < len(first)
    assert_same(bot.spoken[:cut], first[:cut])
