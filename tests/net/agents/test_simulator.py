"""The simulator of agents, with a client on a real socket: heard, answered, interrupted, and failing on demand."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from io import BytesIO
from logging import ERROR
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
import soundfile
from tests.net.agents.client import Client, connected, dialled, needed
from tests.net.agents.parrot import Parrot, ParrotDialect
from tests.signals import tone, values
from websockets.exceptions import ConnectionClosed, InvalidStatus

from audiotap.actors import ACTORS
from audiotap.actors.base import Actor, Script
from audiotap.agent_events import (
    Cancel,
    ListenFile,
    Replying,
    Speech,
    SpeechDone,
    SpeechFile,
    SpeechStarted,
    SpeechStopped,
    ToolCall,
    ToolResult,
    Transcript,
    Truncate,
    Truncated,
    TurnDone,
    UtteranceEnd,
    Write,
)
from audiotap.audio import Chunk
from audiotap.dialects.agents import AGENTS
from audiotap.dialects.agents.base import AgentDialect, AgentSettings
from audiotap.errors import UsageError
from audiotap.events import Fault, Unknown
from audiotap.mp3 import encode
from audiotap.net.agents.simulator import Simulator, reports, simulating
from audiotap.net.agents.simulator.mishaps import Mishap
from audiotap.net.agents.simulator.performance import Part
from audiotap.net.agents.simulator.reply import Voice

CANNED = tone(2.0, 16000, frequency=300)
SAID = tone(1.2, 16000)
NOISE = ("", "{", "null", "[]", '{"type": 1}', '{"type": "nobody knows \\ud800"}', b"", b"\0", b"\xff" * 999)
Kind = tuple[type[Actor], type[AgentDialect]]
PARROT: Kind = (Parrot, ParrotDialect)
KINDS: dict[str, Kind] = {"parrot": PARROT} | {name: (actor, AGENTS[name]) for name, actor in ACTORS.items()}
every_agent = pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS)
WITH_KEYS = {name: kind for name, kind in KINDS.items() if name != "botify"}
"""Botify asks nobody for one."""


@pytest.fixture(autouse=True)
def _nothing_fails(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    """Whatever a client does, no handler of a connection dies of it."""
    yield
    assert [one.getMessage() for one in caplog.get_records("call") if one.levelno >= ERROR] == []


class Told(list[reports.Report]):
    """What the simulator told."""

    def of(self, kind: type[Any]) -> list[Any]:
        return [one for one in self if isinstance(one, kind)]

    def faults(self) -> list[str]:
        return [one.fault for one in self.of(reports.Befell)]


@asynccontextmanager
async def playing(
    kind: Kind = PARROT, *faults: str, script: Script | None = None, **part: Any
) -> AsyncIterator[tuple[Simulator, Told]]:
    """A simulator that answers at once with two seconds of a tone, and what it tells."""
    told = Told()
    script = script or Script(limits=False)
    at_once: dict[str, Any] = {"voice": Voice(Chunk(CANNED, 16000)), "script": script, "think": 0.0, "faster": 0.0}
    chosen = Part(**at_once | part)
    async with simulating(kind[0], chosen, [Mishap.parse(one) for one in faults], tell=told.append) as simulator:
        yield simulator, told


def said(client: Client) -> bytes:
    """A second and a fifth of a tone, at the rate that the agent hears."""
    return tone(1.2, client.dialect.rate)


# Every agent


@every_agent
async def test_an_answer(kind: Kind) -> None:
    """The user speaks and falls silent, and the agent answers with its whole voice, once."""
    async with playing(kind) as (simulator, told), dialled(kind[1], simulator.url) as client:
        await client.talk(said(client))
        await client.hears(SpeechDone)
        assert len(client.voice) == pytest.approx(2 * 2.0 * client.dialect.output_rate, abs=64)
    assert [type(one) for one in told if not isinstance(one, reports.Complained)] == [
        reports.Listening,
        reports.Connected,
        reports.Ready,
        reports.SpeechStarted,
        reports.SpeechStopped,
        reports.Turn,
        reports.Closed,
    ]
    (turn,) = told.of(reports.Turn)
    assert (turn.turn, turn.heard, turn.said) == (1, 1.2, pytest.approx(2.0, abs=0.001))


@every_agent
async def test_the_echo_is_what_was_said(kind: Kind) -> None:
    """With --echo the answer is the user's speech, sample by sample where the rates are one, without silence around."""
    async with playing(kind, echo=True) as (simulator, _), dialled(kind[1], simulator.url) as client:
        pcm = said(client)
        await client.talk(bytes(len(pcm)) + pcm)
        await client.hears(SpeechDone)
        if client.dialect.rate == client.dialect.output_rate:
            assert client.voice == pcm
        else:
            assert len(client.voice) == pytest.approx(2 * 1.2 * client.dialect.output_rate, abs=64)


@every_agent
async def test_an_interruption(kind: Kind) -> None:
    """The user speaks again while the agent does: it hears that, says no more of its answer, and gives another one."""
    async with playing(kind, faster=1.0) as (simulator, told), dialled(kind[1], simulator.url) as client:
        await client.talk(said(client))
        await client.hears(Speech)
        sent = len(client.events)
        await client.talk(said(client))
        started = await client.hears(SpeechStarted, sent)
        before = client.events[: client.events.index(started, sent)]
        await client.hears(Speech, len(before))
    (stopped,) = told.of(reports.Interrupted)
    heard = sum(one.chunk.seconds for one in before if isinstance(one, Speech))
    assert (stopped.turn, stopped.sent, stopped.reason) == (1, pytest.approx(heard, abs=0.001), "turn_detected")
    assert 0 < stopped.sent < 2.0


@every_agent
async def test_a_tool_before_the_answer(kind: Kind) -> None:
    """Each answer waits for a tool call, in the vendor's way, and comes whole."""
    script = Script(tool=0.05, limits=False)
    async with playing(kind, script=script) as (simulator, told), dialled(kind[1], simulator.url) as client:
        await client.talk(said(client))
        await client.hears(SpeechDone)
        assert len(client.voice) == pytest.approx(2 * 2.0 * client.dialect.output_rate, abs=64)
    assert [one.turn for one in told.of(reports.Turn)] == [1]


@pytest.mark.parametrize("name", ["parrot", "openai", "azure", "botify"])
async def test_an_answer_that_is_taken_back(name: str) -> None:
    """Where there are words for it, an answer is stopped on request, and cut to what was heard of it."""
    kind = KINDS[name]
    async with playing(kind, faster=1.0) as (simulator, told), dialled(kind[1], simulator.url) as client:
        await client.talk(said(client))
        speech = await client.hears(Speech)
        await client.say(Cancel())
        over = await client.hears(TurnDone)
        assert (over.status, over.reason) == ("cancelled", "client_cancelled")
        await client.say(Truncate(speech.item, 0.05))
        assert await client.hears(Truncated) == Truncated(speech.item, 0.05)
    assert [one.reason for one in told.of(reports.Interrupted)] == ["client_cancelled"]
    assert [one.seconds for one in told.of(reports.Truncated)] == [0.05]


@every_agent
async def test_noise_on_the_wire(kind: Kind) -> None:
    """Whatever a client sends, it is answered or hung up on; the simulator lives, and serves the next one."""
    async with playing(kind) as (simulator, _):
        for noise in NOISE:
            async with dialled(kind[1], simulator.url) as client:
                with suppress(ConnectionClosed):
                    await client.connection.send(noise)
                    await client.connection.send(noise)
        async with dialled(kind[1], simulator.url) as client:
            await client.talk(said(client))
            await client.hears(SpeechDone)


@pytest.mark.parametrize("kind", [KINDS["amigo"]], ids=["amigo"])
async def test_files_both_ways(kind: Kind) -> None:
    """What comes as an MP3 is heard when it ends, and an agent that answers in MP3 does."""
    said = encode([Chunk(SAID, 16000)], 100_000)[0]
    settings = needed(kind[1], vad=False, form="mp3")
    async with playing(kind) as (simulator, told), dialled(kind[1], simulator.url, settings) as client:
        await client.say(ListenFile(said[:3000], "mp3"), ListenFile(said[3000:], "mp3"), UtteranceEnd())
        await client.hears(TurnDone)
        answer = b"".join(one.data for one in client.events if isinstance(one, SpeechFile))
        samples, rate = soundfile.read(BytesIO(answer))
        assert len(samples) / rate == pytest.approx(2.0, abs=0.1)
    assert [one.heard for one in told.of(reports.Turn)] == [pytest.approx(1.2, abs=0.1)]


@pytest.mark.parametrize("name", [name for name in KINDS if name != "deepgram"])
async def test_turns_by_hand(name: str) -> None:
    """Without a VAD every vendor's agent answers when it is told to, and an answer in text is without sound."""
    actor, dialect = KINDS[name]
    settings = needed(dialect, vad=False, text=name != "parrot")
    async with (
        playing((actor, dialect), says="so be it") as (simulator, told),
        dialled(dialect, simulator.url, settings) as client,
    ):
        await client.talk(said(client))
        assert not told.of(reports.SpeechStarted)
        await client.say(UtteranceEnd())
        await client.hears(Transcript, when=lambda one: one.final and one.text == "so be it")
        await client.hears(TurnDone)
        assert bool(client.voice) == (name == "parrot")
    assert [one.heard for one in told.of(reports.Turn)] == [1.2]


async def test_what_was_taken_back() -> None:
    """Audio that the client clears is not part of the utterance that it ends."""
    actor, dialect = KINDS["openai"]
    settings = needed(dialect, vad=False)
    async with playing((actor, dialect)) as (simulator, told), dialled(dialect, simulator.url, settings) as client:
        await client.talk(said(client), silence=0)
        await client.say(Unknown("input_audio_buffer.clear", '{"type": "input_audio_buffer.clear"}'))
        await client.talk(tone(0.5, client.dialect.rate), silence=0)
        await client.say(UtteranceEnd())
        await client.hears(TurnDone)
    assert [one.heard for one in told.of(reports.Turn)] == [0.5]


@pytest.mark.parametrize("kind", [kind for name, kind in KINDS.items() if name != "botify"])
async def test_a_key(kind: Kind) -> None:
    """Where a key is asked for, another one is refused: by a status, or by a close code, and never told."""
    async with playing(kind, script=Script(key="right")) as (simulator, told):
        async with dialled(kind[1], simulator.url, key="right"):
            pass
        assert await _refused(kind, simulator.url) in {401, 403, *range(3000, 5000)}
    assert "wrong" not in repr(told)
    assert "right" not in repr(told)


async def _refused(kind: Kind, url: str) -> int:
    """The status or the close code that a client with a wrong key gets."""
    try:
        async with connected(kind[1], url, key="wrong") as client:
            return await client.ends()
    except InvalidStatus as refused:
        return refused.response.status_code


@every_agent
async def test_an_error_on_demand(kind: Kind) -> None:
    """An error comes in the vendor's own form when it was asked for, once per run, and the conversation goes on."""
    async with playing(kind, "error:1234:something is odd@turn:1") as (simulator, told):
        async with dialled(kind[1], simulator.url) as client:
            await client.talk(said(client))
            error = await client.hears(Fault)
            assert "something is odd" in error.message
            assert not error.fatal
            await client.talk(said(client))
            await client.hears(SpeechDone)
        async with dialled(kind[1], simulator.url) as client:
            await client.talk(said(client))
            await client.hears(SpeechDone)
            assert not any(isinstance(one, Fault) for one in client.events)
    assert told.faults() == ["error:1234:something is odd@turn:1"]


@every_agent
async def test_a_hundred_at_once(kind: Kind) -> None:
    """A hundred clients are heard and answered at the same time."""
    async with playing(kind) as (simulator, told):

        async def converse(key: str) -> None:
            async with dialled(kind[1], simulator.url, key=key) as client:
                await client.talk(said(client))
                await client.hears(SpeechDone)

        async with asyncio.TaskGroup() as clients:
            for n in range(100):
                clients.create_task(converse(f"key{n}"))
        assert {one.connection for one in told.of(reports.Turn)} == set(range(1, 101))
    assert simulator.summary.turns == 100


@every_agent
async def test_it_goes_away(kind: Kind) -> None:
    """At its end it closes every connection with 1001."""
    async with AsyncExitStack() as clients:
        async with playing(kind) as (simulator, _):
            dialling = [dialled(kind[1], simulator.url, key=f"key{n}") for n in range(3)]
            there = [await clients.enter_async_context(one) for one in dialling]
        assert [await one.ends() for one in there] == [1001] * 3


# What all agents have in common, in the vocabulary itself


async def test_the_order_of_a_turn() -> None:
    """Speech begins and ends, is understood, and is answered in words and sound that end together."""
    words: dict[str, Any] = {"says": "It is one two three.", "heard": "how much"}
    async with playing(**words) as (simulator, _), dialled(ParrotDialect, simulator.url) as client:
        await client.talk(bytes(16000) + SAID)
        await client.hears(TurnDone)
    started, stopped, user, replying, *between, text, done, over = client.events[2:]
    assert started == SpeechStarted(0.5, "item_user_1")
    assert stopped == SpeechStopped(1.7, "item_user_1")
    assert user == Transcript("user", "how much", item="item_user_1")
    assert replying == Replying("resp_1")
    assert text == Transcript("agent", "It is one two three.", item="item_agent_1")
    assert (done, over) == (SpeechDone("item_agent_1"), TurnDone("resp_1"))
    pieces = [one for one in between if isinstance(one, Speech)]
    deltas = [one for one in between if isinstance(one, Transcript)]
    assert [one.number for one in pieces] == list(range(1, 21))
    assert {one.chunk.seconds for one in pieces} == {0.1}
    assert "".join(one.text for one in deltas) == words["says"]
    assert not any(one.final for one in deltas)


async def test_an_interruption_in_order() -> None:
    """The start of speech is told first, then late pieces as many as were asked for, then that the answer is over."""
    async with playing(faster=1.0, late=2) as (simulator, _), dialled(ParrotDialect, simulator.url) as client:
        await client.talk(SAID)
        await client.hears(Speech)
        await client.talk(SAID)
        over = await client.hears(TurnDone, when=lambda one: one.id == "resp_1")
    assert over == TurnDone("resp_1", "cancelled", "turn_detected")
    sounds = [one for one in client.events if isinstance(one, Speech | SpeechStarted | TurnDone)]
    begun = [type(one) for one in sounds].index(SpeechStarted, 1)
    assert sounds.index(over) == begun + 3
    assert [one.number for one in sounds[1 : begun + 3] if isinstance(one, Speech)] == [*range(1, begun + 2)]


async def test_an_answer_that_was_only_being_thought_of() -> None:
    """The user goes on before the agent has begun to speak: that answer is over without a sound."""
    async with playing(think=60.0) as (simulator, told), dialled(ParrotDialect, simulator.url) as client:
        await client.talk(SAID)
        await client.hears(Replying)
        await client.talk(SAID)
        await client.hears(Replying, when=lambda one: one.id == "resp_2")
    assert client.voice == b""
    assert [(one.turn, one.sent) for one in told.of(reports.Interrupted)] == [(1, 0.0)]


async def test_turns_that_the_client_ends() -> None:
    """Without a VAD nothing is answered until the client ends its turn, whatever silence there was."""
    by_hand = AgentSettings(vad=False)
    async with playing(echo=True) as (simulator, told), dialled(ParrotDialect, simulator.url, by_hand) as client:
        await client.talk(SAID)
        await client.talk(SAID, 0.0)
        await client.say(UtteranceEnd())
        await client.hears(TurnDone)
        assert client.voice == SAID + bytes(32000) + SAID
        await client.talk(SAID[:8000], 0.0)
        await client.say(UtteranceEnd())
        await client.hears(TurnDone, when=lambda one: one.id == "resp_2")
        assert client.voice.endswith(SAID[:8000])
    assert not told.of(reports.SpeechStarted)
    assert [one.heard for one in told.of(reports.Turn)] == [3.4, 0.25]


async def test_what_is_written_is_answered() -> None:
    """Text is answered by voice; with no start asked for it is only taken note of."""
    async with playing() as (simulator, told), dialled(ParrotDialect, simulator.url) as client:
        await client.say(Write("remember this", start=False), Write("and answer that"))
        await client.hears(TurnDone)
        assert client.voice == CANNED
    assert [(one.turn, one.heard) for one in told.of(reports.Turn)] == [(1, 0.0)]


async def test_a_tool_call() -> None:
    """The agent wants something done before it goes on, and goes on as soon as it is."""
    script = Script(tool=60.0)
    async with playing(script=script) as (simulator, _), dialled(ParrotDialect, simulator.url) as client:
        await client.talk(SAID)
        call = await client.hears(ToolCall)
        assert await client.hears(TurnDone) == TurnDone("resp_1", pending=True)
        await client.say(ToolResult(call.id, call.name, "done"))
        assert await client.hears(TurnDone, when=lambda one: not one.pending) == TurnDone("resp_1_2")
        assert client.voice == CANNED


async def test_an_interruption_during_a_tool_call() -> None:
    """What waits for a tool is given up, and as its first part was over, nothing more is said of it."""
    script = Script(tool=60.0)
    async with playing(script=script) as (simulator, told), dialled(ParrotDialect, simulator.url) as client:
        await client.talk(SAID)
        await client.hears(TurnDone, when=lambda one: one.pending)
        await client.talk(SAID)
        await client.hears(Replying, when=lambda one: one.id == "resp_2")
    assert not any(one.status == "cancelled" for one in client.events if isinstance(one, TurnDone))
    assert [one.turn for one in told.of(reports.Interrupted)] == [1]


async def test_a_tool_that_nobody_answers_for() -> None:
    """The answer comes when the tool has taken its time."""
    script = Script(tool=0.01)
    async with playing(script=script) as (simulator, _), dialled(ParrotDialect, simulator.url) as client:
        await client.talk(SAID)
        await client.hears(TurnDone, when=lambda one: not one.pending)
        assert client.voice == CANNED


async def test_a_greeting() -> None:
    """The agent speaks first; that is no turn of the user's."""
    script = Script(greeting="Good morning.")
    async with playing(script=script) as (simulator, told), dialled(ParrotDialect, simulator.url) as client:
        await client.hears(TurnDone)
        assert Transcript("agent", "Good morning.", item="item_agent_0") in client.events
        await client.talk(SAID)
        await client.hears(TurnDone, when=lambda one: one.id == "resp_1")
    assert [one.turn for one in told.of(reports.Turn)] == [0, 1]


async def test_what_was_heard_is_kept(tmp_path: Path) -> None:
    """Every connection has a WAV with all that was heard, silence too."""
    async with playing(record=tmp_path) as (simulator, told):
        for pcm in (SAID, SAID[:20000]):
            async with dialled(ParrotDialect, simulator.url) as client:
                await client.talk(pcm)
                await client.hears(TurnDone)
    for n, pcm in enumerate((SAID, SAID[:20000]), start=1):
        samples, rate = soundfile.read(tmp_path / f"connection-{n}.wav", dtype="int16")
        assert rate == 16000
        np.testing.assert_array_equal(samples, values(pcm + bytes(32000)))
    assert [one.heard for one in told.of(reports.Closed)] == [2.2, 1.625]


async def test_who_says_nothing() -> None:
    """An actor may hang up by the clock, with its own code."""
    script = Script(options=frozenset({"impatient"}))
    async with playing(script=script) as (simulator, told), connected(_Mute, simulator.url) as client:
        assert await client.ends() == 4408
    (closed,) = told.of(reports.Closed)
    assert (closed.code, closed.by_us) == (4408, True)


class _Mute(ParrotDialect):
    """A client that never sets the agent up."""

    def opening(self) -> list[Any]:
        return []


@pytest.mark.parametrize("path", ["/", "/parrot/else"])
async def test_a_path_that_the_vendor_does_not_serve(path: str) -> None:
    """Is not found."""

    class Lost(ParrotDialect):
        @classmethod
        def address(cls, account: Any, settings: Any) -> Any:
            right = super().address(account, settings)
            return msgspec.structs.replace(right, url=account.url + path)

    async with playing() as (simulator, told):
        with pytest.raises(InvalidStatus) as refused:
            async with connected(Lost, simulator.url):
                pass
    assert refused.value.response.status_code == 404
    assert [one.status for one in told.of(reports.Refused)] == [404]


# Faults


@pytest.mark.parametrize(
    ("fault", "code"),
    [
        ("close:4029:too much@turn:1", 4029),
        ("close:1011@0s", 1011),
        ("fatal:expired:that was all@turn:1", 1011),
        ("cut@turn:1", 1006),
    ],
)
async def test_ends_on_demand(fault: str, code: int) -> None:
    """A connection ends as it was asked for; the next one does not."""
    async with playing(PARROT, fault) as (simulator, told):
        async with dialled(ParrotDialect, simulator.url) as client:
            await client.say(Write("hello"))
            assert await client.ends() == code
        assert any(isinstance(one, Fault) and one.fatal for one in client.events) == fault.startswith("fatal")
        async with dialled(ParrotDialect, simulator.url) as client:
            await client.say(Write("hello"))
            await client.hears(TurnDone)
    assert told.faults() == [fault]
    assert [one.code for one in told.of(reports.Closed)] == [code, 1000]


async def test_every_connection_is_cut() -> None:
    """With every- in front it happens on each connection, once."""
    async with playing(PARROT, "every-cut@turn:2") as (simulator, told):
        for _ in range(2):
            async with dialled(ParrotDialect, simulator.url) as client:
                await client.say(Write("one"))
                await client.hears(TurnDone)
                await client.say(Write("two"))
                assert await client.ends() == 1006
    assert told.faults() == ["every-cut@turn:2"] * 2


async def test_the_same_fault_twice() -> None:
    """Asked for twice it happens twice, on two connections."""
    async with playing(PARROT, "cut@turn:1", "cut@turn:1") as (simulator, told):
        for _ in range(2):
            async with dialled(ParrotDialect, simulator.url) as client:
                await client.say(Write("hello"))
                assert await client.ends() == 1006
        async with dialled(ParrotDialect, simulator.url) as client:
            await client.say(Write("hello"))
            await client.hears(TurnDone)
    assert told.faults() == ["cut@turn:1"] * 2


async def test_silence_on_demand() -> None:
    """The connection stays, and nothing comes on it any more."""
    async with playing(PARROT, "silent@turn:1") as (simulator, told), dialled(ParrotDialect, simulator.url) as client:
        await client.talk(SAID)
        await client.hears(Speech)
        count = len(client.events)
        await client.talk(SAID)
        await client.connection.close()
        assert len(client.events) == count
    assert len(told.of(reports.SpeechStarted)) == 2


@pytest.mark.parametrize("fault", ["malformed@turn:1", "binary@turn:1"])
async def test_nonsense_on_demand(fault: str) -> None:
    """A message comes that nobody can read, and the answer goes on."""
    async with playing(PARROT, fault) as (simulator, _), dialled(ParrotDialect, simulator.url) as client:
        await client.talk(SAID)
        await client.hears(TurnDone)
        assert client.malformed == 1
        assert client.voice == CANNED


async def test_refusals_on_demand() -> None:
    """After a cut in its first answer a client is refused once, and let in then."""
    async with playing(PARROT, "cut@turn:1", "http:503@turn:1") as (simulator, told):
        async with dialled(ParrotDialect, simulator.url) as client:
            await client.say(Write("hello"))
            assert await client.ends() == 1006
        with pytest.raises(InvalidStatus) as refused:
            async with connected(ParrotDialect, simulator.url):
                pass
        assert refused.value.response.status_code == 503
        async with dialled(ParrotDialect, simulator.url):
            pass
    assert told.faults() == ["cut@turn:1", "http:503@turn:1"]


async def test_what_cannot_be_read() -> None:
    """A malformed message is the actor's to answer, and counted; the conversation goes on."""
    async with playing() as (simulator, told), dialled(ParrotDialect, simulator.url) as client:
        await client.connection.send("nonsense")
        assert (await client.hears(Fault)).code == "malformed"
        await client.talk(SAID)
        await client.hears(TurnDone)
    assert len(told.of(reports.Malformed)) == 1
    assert simulator.summary.malformed == 1


@pytest.mark.parametrize(
    "text",
    [
        "cut",
        "cut@",
        "cut@soon",
        "cut@-1s",
        "cut@nans",
        "cut@infs",
        "cut@turn:0",
        "cut@turn:x",
        "cut:1@2s",
        "crash@2s",
        "@2s",
        "error@2s",
        "close@2s",
        "close:1005@2s",
        "close:1006@2s",
        "close:999@2s",
        f"close:4000:{'x' * 124}@2s",
        "http:200@2s",
        "http:499@2s",
        "every-@2s",
        "",
    ],
)
def test_faults_that_cannot_be_meant(text: str) -> None:
    """Each is a usage error that shows how one is written."""
    with pytest.raises(UsageError) as wrong:
        Mishap.parse(text)
    assert wrong.value.hint


@pytest.mark.parametrize(
    ("text", "mishap"),
    [
        ("cut@1.5s", Mishap("cut@1.5s", "cut", seconds=1.5)),
        ("every-silent@turn:3", Mishap("every-silent@turn:3", "silent", every=True, turn=3)),
        ("error:a:b:c@d@0s", Mishap("error:a:b:c@d@0s", "error", "a", "b:c@d", seconds=0.0)),
        ("close:4000@2s", Mishap("close:4000@2s", "close", "4000", seconds=2.0)),
        ("http:429@0s", Mishap("http:429@0s", "http", "429", seconds=0.0)),
    ],
)
def test_faults_as_they_are_written(text: str, mishap: Mishap) -> None:
    """A message may hold what else parts the words; only the last @ is ours."""
    assert Mishap.parse(text) == mishap
