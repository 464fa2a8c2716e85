"""A voice agent in a meeting: it hears what is said there, and what it answers is played there; both are recorded."""

from __future__ import annotations

from contextlib import AsyncExitStack

import numpy as np
import pytest
import soxr
from tests.scenarios.harness import RATE, Arg, Ended, Place, Samples, assert_same, read, sounding, write
from tests.scenarios.meeting import KEY, bridged, joined, voice

WRITTEN = ("--transcribe", "whisper-1")
WHOLE = [
    *(("openai", 24000, WRITTEN), ("azure", 24000, WRITTEN), ("botify", 24000, ())),
    *(("deepgram", 16000, ()), ("deepgram", 8000, ("--rate", 8000, "--output-rate", 8000)), ("amigo", 16000, ())),
]


@pytest.mark.parametrize(("provider", "rate", "options"), WHOLE)
async def test_an_echo(place: Place, provider: str, rate: int, options: tuple[Arg, ...]) -> None:
    """What is said in the meeting comes back to it, sample by sample; all of it and its words are in the recording."""
    agent = await place.agent(provider, "--echo", "--think", 0, "--heard", "a question", "--says", "an answer")
    bridge = await bridged(place, provider, agent.url, *options)
    question = voice(0.6, rate)
    async with joined(bridge, rate=rate) as bot:
        await bot.ask(question)
        await bot.plays(len(question))
        await bridge.event("transcript", role="agent", text="an answer")
    ended = await bridge.stop()
    recording = await bridge.finished("bot_1")

    assert ended.status == 0
    assert_same(bot.spoken, question)
    assert_same(recording.samples("mixed"), bot.said)
    assert_same(sounding(recording.samples("spoken")), question)
    lines = recording.events
    said = [(line["data"]["role"], line["data"]["text"]) for line in lines if line["event"] == "agent.transcript"]
    assert said == [("user", "a question"), ("agent", "an answer")]
    assert bridge.told("interrupted") == agent.told("truncated") == agent.told("malformed") == []
    assert bot.pauses == []
    assert [one["code"] for one in agent.told("closed")] == [1000]
    assert_unseen(place, ended)


def assert_unseen(place: Place, ended: Ended) -> None:
    """The agent's key is neither printed nor written anywhere."""
    assert KEY not in ended.err
    assert KEY.encode() not in ended.out
    assert [path for path in place.folder.rglob("*") if path.is_file() and KEY.encode() in path.read_bytes()] == []


@pytest.mark.parametrize("rate", [8000, 16000])
async def test_an_agent_of_another_rate(place: Place, rate: int) -> None:
    """A bot that does not have the agent's rate is heard and spoken to at its own, as resamplers in one piece do it."""
    agent = await place.agent("openai", "--echo", "--think", 0)
    bridge = await bridged(place, "openai", agent.url)
    question = voice(0.5, rate)
    async with joined(bridge, rate=rate) as bot:
        await bot.ask(question)
        await bot.plays(round(0.95 * len(question)))
        await agent.event("turn")
        await bridge.event("transcript", role="agent")
    ended = await bridge.stop()

    assert "leaked" not in ended.err
    expected = soxr.resample(soxr.resample(question, rate, 24000), 24000, rate)
    spoken = (await bridge.finished("bot_1")).samples("spoken")
    assert apart(expected[500:-500], spoken) < 200


def apart(part: Samples, whole: Samples) -> int:
    """By how much a part differs from that place in the whole at which it is most alike."""
    place = int(np.argmax(np.correlate(whole.astype(float), part.astype(float))))
    return int(np.abs(whole[place : place + len(part)].astype(int) - part).max())


async def test_participants_alone(place: Place) -> None:
    """Where a bot brings no mix, the agent hears its participants added up."""
    agent = await place.agent("deepgram", "--record", place.folder / "heard")
    bridge = await bridged(place, "deepgram", agent.url)
    ana = write(place.folder / "ana.wav", hum(500))
    bo = write(place.folder / "bo.wav", hum(800))
    bot = await place.bot(bridge.url, "--streams", "separate", "--file", ana, "--file", bo, "--seconds", 2.5)
    await agent.event("speech.stopped")
    await bot.ended()
    await bridge.stop()
    await agent.event("closed")

    heard = read(place.folder / "heard" / "connection-1.wav")
    assert loudness(heard, 500) > 0.8 < loudness(heard, 800)
    assert loudness(heard, 1200) < 0.05


def hum(pitch: float) -> Samples:
    """A second and a half of one pitch."""
    return (8000 * np.sin(2 * np.pi * pitch * np.arange(round(1.6 * RATE)) / RATE)).astype(np.int16)


def loudness(samples: Samples, pitch: float) -> float:
    """How loud a hum is in samples, in half a second in which it is the loudest; 1 is as loud as it was said."""
    size = RATE // 2
    wave = np.exp(-2j * np.pi * pitch * np.arange(size) / RATE)
    parts = [samples[start : start + size] for start in range(0, len(samples) - size, size)]
    return max(float(abs(np.dot(part, wave))) * 2 / size / 8000 for part in parts)


async def test_more_bots_than_agents(place: Place) -> None:
    """Who comes when there are as many agents as there may be is told so and recorded, and has one when it can."""
    agent = await place.agent("deepgram", "--echo", "--think", 0)
    bridge = await bridged(place, "deepgram", agent.url, "--max-agents", 1, "--linger", 0.1)
    question = voice(0.4)
    async with AsyncExitStack() as meetings:
        first = await meetings.enter_async_context(joined(bridge, "first"))
        async with joined(bridge, "second", ready=False) as second:
            warning = await bridge.event("warning", session="second")
            await second.ask(question)
            await first.ask(question)
            await first.plays(len(question))
            assert len(agent.told("connected")) == 1
            await meetings.aclose()
            await bridge.event("agent.ready", session="second")
            await agent.event("closed", connection=1)
            await second.ask(question)
            await second.plays(len(question))
    await bridge.stop()

    assert "--max-agents" in warning["message"]
    assert "at most 1" in bridge.warnings()[0]
    assert_same(second.spoken, question)
    assert_same((await bridge.finished("second")).samples("mixed"), second.said)


async def test_ctrl_c_in_an_answer(place: Place) -> None:
    """Files are complete, hold what was played until then, and the agent is left as its vendor wants it."""
    agent = await place.agent("amigo", "--echo", "--think", 0)
    bridge = await bridged(place, "amigo", agent.url)
    question = voice(4)
    async with joined(bridge) as bot:
        await bot.ask(question)
        await bot.plays(RATE // 2)
        ended = await bridge.stop()
        await bot.connection.wait_closed()
    closed = await agent.event("closed")
    recording = await bridge.finished("bot_1")

    assert ended.status == 0
    assert "Traceback" not in ended.err
    assert (closed["code"], closed["by_us"]) == (1000, True)
    assert recording.manifest["ended"] is not None
    assert_same(recording.samples("mixed"), bot.said)
    assert_same(sounding(recording.samples("spoken")), question[: len(bot.spoken)])


async def test_from_outside(place: Place) -> None:
    """While the agent answers, `speak` waits for its turn; `stop` ends the answer, which the agent is told."""
    agent = await place.agent("openai", "--echo", "--think", 0)
    bridge = await bridged(place, "openai", agent.url)
    rate = 24000
    first, second, third = voice(1, rate), voice(4, rate, 600), voice(0.4, rate, 800)
    announced = write(place.folder / "announced.wav", voice(0.3, rate, 1000), rate)
    async with joined(bridge, rate=rate) as bot:
        await bot.ask(first)
        await bot.plays(rate // 10)
        assert (await place.run("speak", announced)).status == 0
        spoken = np.concatenate([first, read(announced)])
        assert_same(bot.spoken, spoken)

        await bot.ask(second)
        await bot.plays(len(spoken) + rate // 2)
        assert (await place.run("stop")).status == 0
        truncated = await agent.event("truncated")
        stopped = len(bot.spoken) - len(spoken)
        await bot.ask(third)
        await bot.plays(len(spoken) + stopped + len(third))

    assert_same(bot.spoken, np.concatenate([spoken, second[:stopped], third]))
    assert 0 < truncated["seconds"] <= stopped / rate
    assert bot.pauses == []


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--workers", 2), "leave it out"),
        (("--answer", "text"), "leave --answer out"),
        (("--no-vad",), "leave --no-vad out"),
        (("--bot-pause", -1), "--bot-pause"),
        (("--max-agents", 0), "--max-agents"),
        (("--rate", 16000), "leave the rate out"),
    ],
)
async def test_what_cannot_be_meant(place: Place, options: tuple[Arg, ...], words: str) -> None:
    """Exit status 2 and what to type, before any bot is let in."""
    ended = await place.run("bridge", "openai", "--url", "ws://127.0.0.1:1", "--model", "model", "--port", 0, *options)
    assert ended.status == 2
    assert words.lower() in ended.err.lower()
    assert "Traceback" not in ended.err
    assert list(place.folder.glob("recordings")) == []


async def test_the_example(place: Place) -> None:
    """What the help shows is right but for the key that is missing."""
    shown = (await place.run("bridge", "--help")).out.decode()
    assert "audiotap bridge openai --model" in shown
    ended = await place.run("bridge", "openai", "--model", "model", "--port", 0)
    assert ended.status == 2
    assert "OPENAI_API_KEY" in ended.err
