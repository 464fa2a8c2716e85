"""The simulated agent as a process: any client of a vendor can dial it, and a script can wait for what happens."""

from __future__ import annotations

import json
import re
import signal

import pytest
from tests.net.agents.client import Client, connected, dialled
from tests.scenarios.harness import Place, assert_same, read, sounding, tone, write
from websockets.exceptions import InvalidStatus

from audiotap.actors import ACTORS
from audiotap.agent_events import SpeechDone, Transcript, Write
from audiotap.dialects.agents import AGENTS
from audiotap.dialects.agents.base import AgentDialect

every_vendor = pytest.mark.parametrize("provider", ACTORS)
DEEPGRAM = AGENTS["deepgram"]


def dialect(provider: str) -> type[AgentDialect]:
    return AGENTS[provider]


def said(client: Client) -> bytes:
    """A second and a fifth of a tone, at the rate that the agent hears."""
    return tone(1.2, client.dialect.rate).tobytes()


@every_vendor
async def test_a_conversation(place: Place, provider: str) -> None:
    """Each step is told as an event; what was heard is kept; Ctrl-C says goodbye with 1001 and sums up."""
    agent = await place.agent(provider, "--echo", "--faster", 0, "--record", place.folder / "heard")
    async with dialled(dialect(provider), agent.url) as client:
        await client.talk(said(client), silence=0.8)
        await client.hears(SpeechDone)
        turn = await agent.event("turn", connection=1, turn=1)
        ended = await agent.stop()
        assert await client.ends() == 1001
    assert ended.status == 0
    assert ended.err == ""
    assert turn["heard"] == 1.2
    assert turn["said"] == pytest.approx(1.2, abs=0.001)
    told = [json.loads(line)["event"] for line in ended.out.splitlines()]
    assert told[0] == "listening"
    steps = ["connected", "ready", "speech.started", "speech.stopped", "turn", "closed", "summary"]
    assert [one for one in told[1:] if one != "error"] == steps
    (summary,) = agent.told("summary")
    assert (summary["connections"], summary["turns"]) == (1, 1)
    heard = read(place.folder / "heard" / "connection-1.wav")
    assert_same(sounding(heard), sounding(tone(1.2, client.dialect.rate)))


async def test_a_client_that_comes_back(place: Place) -> None:
    """Cut in its first answer and refused once, a client is served as if nothing had been when it dials again."""
    agent = await place.agent("deepgram", "--fault", "cut@turn:1", "--fault", "http:503@turn:1", "--think", 0)
    async with dialled(DEEPGRAM, agent.url) as client:
        await client.talk(said(client))
        assert await client.ends() == 1006
    with pytest.raises(InvalidStatus):
        async with connected(DEEPGRAM, agent.url):
            pass
    async with dialled(DEEPGRAM, agent.url) as client:
        await client.talk(said(client))
        await client.hears(SpeechDone)
    assert [one["code"] for one in agent.told("closed")][:1] == [1006]
    assert [one["fault"] for one in agent.told("fault")] == ["cut@turn:1", "http:503@turn:1"]
    assert [one["status"] for one in agent.told("refused")] == [503]


@pytest.mark.parametrize("options", [(), ("--json",)])
async def test_nothing_private_is_told(place: Place, options: tuple[str, ...]) -> None:
    """Neither a key nor a word of what was said is ever printed."""
    words = ("--key", "sesame", "--says", "answerwords", "--heard", "heardwords", "--greeting", "greetingwords")
    agent = await place.start("sim", "agent", "deepgram", "--port", 0, "--faster", 0, *words, *options)
    found = await agent.until(lambda: re.search(rb"ws://[\d.:]+", bytes(agent.out + agent.err)), "an address")
    url = found[0].decode()
    async with dialled(DEEPGRAM, url, key="sesame") as client:
        await client.say(Write("userwords"))
        await client.hears(Transcript, when=lambda one: one.text == "answerwords")
    with pytest.raises(InvalidStatus):
        async with connected(DEEPGRAM, url, key="mellon"):
            pass
    ended = await agent.stop()
    for private in (*words[1::2], "userwords", "mellon"):
        assert private not in ended.out.decode() + ended.err


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
async def test_nobody_came(place: Place, number: signal.Signals) -> None:
    """It was there, which is all that was asked of it."""
    agent = await place.agent("deepgram")
    ended = await agent.stop(number)
    assert ended.status == 0
    assert agent.told("summary")[0]["connections"] == 0


async def test_a_port_that_is_taken(place: Place) -> None:
    """Exit status 3, what happened and what to type."""
    agent = await place.agent("deepgram")
    ended = await place.run("sim", "agent", "deepgram", "--port", agent.port)
    assert ended.status == 3
    assert "--port" in ended.err


async def test_a_folder_that_cannot_be_made(place: Place) -> None:
    """Exit status 3, before anybody is let in."""
    (place.folder / "file").write_text("")
    ended = await place.run("sim", "agent", "deepgram", "--port", 0, "--record", place.folder / "file")
    assert ended.status == 3
    assert "--record" in ended.err


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--fault", "cut"), "--fault cut@2s"),
        (("--fault", "crash@2s"), "no fault called crash"),
        (("--fault", "close:1006@2s"), "cannot be sent"),
        (("--fault", "cut@soon"), "neither Ns nor turn:N"),
        (("--file", "nothing.wav"), "No such file"),
        (("--think", "-1"), "--think"),
        (("--option", "barer"), "it has bearer"),
        (("--option", "bearer=1"), "no --option bearer=1"),
    ],
)
async def test_what_cannot_be_meant(place: Place, options: tuple[str, ...], words: str) -> None:
    """Exit status 2, what is wrong and what to type."""
    ended = await place.run("sim", "agent", "deepgram", "--port", 0, *options)
    assert ended.status == 2
    assert words in ended.err
    assert "Traceback" not in ended.err


async def test_a_vendor_that_nobody_plays(place: Place) -> None:
    """Exit status 2, and those that there are."""
    ended = await place.run("sim", "agent", "nobody")
    assert ended.status == 2
    assert "deepgram" in ended.err


async def test_a_voice_of_ones_own(place: Place) -> None:
    """A file is the answer, sample by sample where it has the agent's rate."""
    voice = tone(0.75, DEEPGRAM.rates[0])
    file = write(place.folder / "voice.wav", voice, DEEPGRAM.rates[0])
    agent = await place.agent("deepgram", "--file", file, "--faster", 0)
    async with dialled(DEEPGRAM, agent.url) as client:
        await client.say(Write("go on"))
        await client.hears(SpeechDone)
        assert client.voice == voice.tobytes()
