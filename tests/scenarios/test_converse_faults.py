"""Agents that fail in the middle, servers that are none, and disks that are full: what is left is whole, and told."""

from __future__ import annotations

import json
import shutil
import signal
from collections.abc import Awaitable, Callable
from contextlib import suppress
from datetime import datetime

import numpy as np
import pytest
from tests.scenarios import talk
from tests.scenarios.harness import Place, assert_same, ramp, read, tone, write
from tests.scenarios.talk import KEY, PROMPT, SPEECH, Talk, Wiretap, private, question, rate, talked, trimmed, user
from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosed

Hostile = Callable[[ServerConnection], Awaitable[None]]


@pytest.mark.parametrize(
    ("vendor", "fault"),
    [("openai", "close:1001:60 minutes"), ("azure", "cut"), ("deepgram", "cut"), ("deepgram", "close:1011")],
)
async def test_a_connection_that_is_lost_in_an_answer(place: Place, vendor: str, fault: str) -> None:
    """The agent is dialled again, is told what was said before, and answers the next turn; one answer is broken off."""
    agent = await talk.agent(place, vendor, "--heard", "heard words", "--fault", f"{fault}@turn:1")
    tap = Wiretap(agent)
    async with tap.listening() as url:
        files = [question(place, vendor, f"{n}.wav") for n in range(2)]
        told = await talked(place, vendor, url, *files)
    assert told.ended.status == 1
    assert [turn["status"] for turn in told.turns] == ["incomplete", "completed"]
    assert (told.finished["missing"], told.finished["broken"]) == (0, 1)
    assert told.manifest["connections"] == 2
    assert any("dialling again" in warning for warning in told.told.warnings())
    assert "heard words" in str(tap.said)
    first, second = talk.runs(told.samples("user"))
    assert_same(first, second)


async def test_a_connection_that_is_lost_in_a_question(place: Place) -> None:
    """The user's side is recorded to its end although nobody heard it; the answer is missing."""
    agent = await talk.agent(place, "deepgram", "--fault", "cut@0.1s", "--fault", "every-silent@0s")
    told = await talked(place, "deepgram", agent.url, question(place, "deepgram"), "--timeout", 1)
    assert told.ended.status == 1
    assert_same(trimmed(told.samples("user")), trimmed(tone(SPEECH)))
    assert told.turns[0]["first_byte"] is None


async def test_a_server_that_is_busy(place: Place) -> None:
    """A refusal that may pass is tried again before anything was said."""
    agent = await talk.agent(place, "openai", "--fault", "http:503@0s")
    told = await talked(place, "openai", agent.url, question(place, "openai"))
    assert told.ended.status == 0
    assert any("503" in warning for warning in told.told.warnings())


@pytest.mark.parametrize("vendor", ["openai", "botify", "deepgram"])
async def test_an_error_in_words(place: Place, vendor: str) -> None:
    """An error that is not the end is a warning, and the conversation goes on."""
    agent = await talk.agent(place, vendor, "--fault", "error:odd_code:something odd@0s")
    told = await talked(place, vendor, agent.url, question(place, vendor))
    if vendor == "deepgram":
        assert told.ended.status == 0 or "something odd" in told.ended.err
        return
    assert told.ended.status == 0
    assert any("something odd" in warning for warning in told.told.warnings())


@pytest.mark.parametrize(
    ("vendor", "code", "status"),
    [("openai", "insufficient_quota", 5), ("azure", "invalid_api_key", 5), ("openai", "beta_api_shape_disabled", 1)],
)
async def test_an_error_that_is_the_end(place: Place, vendor: str, code: str, status: int) -> None:
    """The files are complete, the error is told in the vendor's words, and a key that it repeats is not."""
    agent = await talk.agent(place, vendor, "--key", KEY, "--fault", f"fatal:{code}:no more for {KEY} today@turn:1")
    told = await talked(place, vendor, agent.url, question(place, vendor), "--timeout", 3)
    assert told.ended.status == status
    assert "no more for … today" in told.ended.err
    assert told.finished["reason"]
    for path in private(place):
        assert KEY.encode() not in path.read_bytes()
    assert KEY.encode() not in told.ended.out + told.ended.err.encode()
    assert_same(trimmed(told.samples("user")), trimmed(tone(SPEECH, rate(vendor))))


@pytest.mark.parametrize("fault", ["cut", "silent"])
async def test_botify_dies_without_a_word(place: Place, fault: str) -> None:
    """Botify says nothing when its own agent is gone: that is told in words, and the answer is missing."""
    agent = await talk.agent(place, "botify", "--fault", f"{fault}@0s")
    sound = np.concatenate([np.zeros(rate("botify") * (fault == "silent"), np.int16), tone(SPEECH, rate("botify"))])
    late = write(place.folder / "late.wav", sound, rate("botify"))
    told = await talked(place, "botify", agent.url, late, "--timeout", 0.6)
    assert told.ended.status == 1
    assert told.turns[0]["first_byte"] is None if told.turns else fault == "cut"
    words = {"cut": "without a word", "silent": "is connected and says no word: its own connection to Azure"}
    assert any(words[fault] in warning for warning in told.told.warnings())


@pytest.mark.parametrize("fault", ["malformed", "binary"])
async def test_messages_that_cannot_be_read(place: Place, fault: str) -> None:
    """They are counted, the conversation goes on, and the status tells that something may be missing."""
    agent = await talk.agent(place, "openai", "--fault", f"{fault}@0s")
    told = await talked(place, "openai", agent.url, question(place, "openai"))
    assert told.turns[0]["status"] == "completed"
    assert told.manifest["malformed"] == 1
    assert told.manifest["lossy"]
    assert told.ended.status == 6


async def hostile(place: Place, say: Hostile, *, stop: bool = False) -> Talk:
    """A conversation with a server that says `say` as soon as Deepgram would listen."""

    async def serving(connection: ServerConnection) -> None:
        with suppress(ConnectionClosed):
            await connection.send(json.dumps({"type": "Welcome", "request_id": "r"}))
            await connection.recv()
            await connection.send(json.dumps({"type": "SettingsApplied"}))
            await say(connection)
            async for _ in connection:
                continue

    async with serve(serving, "127.0.0.1", 0) as server:
        url = f"ws://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        talking = await user(place, "deepgram", url, question(place, "deepgram"), "--timeout", 1)
        if stop:
            for track in ("user", "agent"):
                await talking.event("track.started", track=track)
        return Talk(talking, await (talking.stop() if stop else talking.ended()))


async def test_a_flood_of_audio(place: Place) -> None:
    """An agent that never stops can be left: what was heard of it until then is recorded, and the files are whole."""
    second = ramp(1).tobytes()

    async def flood(connection: ServerConnection) -> None:
        while True:
            await connection.send(second)

    told = await hostile(place, flood, stop=True)
    assert told.ended.status == 0
    began, ended = (datetime.fromisoformat(told.manifest[name]) for name in ("started", "ended"))
    assert 0 < len(told.samples("agent")) / rate("deepgram") <= (ended - began).total_seconds() + 0.01


async def test_a_message_that_is_too_long(place: Place) -> None:
    """17 MB in one message are refused: the connection is over, the files are complete."""
    told = await hostile(place, lambda connection: connection.send(bytes(17 * 2**20)))
    assert told.ended.status == 1
    assert told.finished["missing"] == 1
    assert (await place.run("check", place.out)).status == 0


async def test_garbage(place: Place) -> None:
    """Whatever a server says, the conversation ends as one that was not answered."""
    wires = ["", "null", "[]", '"x"', "{}", "[" * 10000, '{"type": 5}', '{"type": "\\ud800"}', "\x00", "{" * 1000]

    async def garbage(connection: ServerConnection) -> None:
        for wire in wires:
            await connection.send(wire)

    told = await hostile(place, garbage)
    assert told.finished["missing"] == 1
    assert told.manifest["malformed"] >= 5
    assert_same(trimmed(told.samples("user")), trimmed(tone(SPEECH)))


async def test_a_full_disk(place: Place) -> None:
    """It is told once, what fitted is valid, and the status is 6."""
    if shutil.which("prlimit") is None:
        pytest.skip("prlimit is not installed")
    agent = await talk.agent(place, "openai")
    talking = await user(place, "openai", agent.url, question(place, "openai"), within=("prlimit", f"--fsize={2**16}"))
    told = Talk(talking, await talking.ended())
    assert told.ended.status == 6
    assert talking.told("error")
    kept = told.samples("user")
    assert 0 < len(kept) <= 2**15
    assert_same(trimmed(kept), trimmed(tone(SPEECH, rate("openai"))))
    assert not list(told.folder.glob(".*"))


async def test_a_kill(place: Place) -> None:
    """What was said until then is valid; `check` gives it an end, and a listener beside it is not disturbed."""
    agent = await talk.agent(place, "deepgram")
    long = write(place.folder / "long.wav", tone(30))
    talking = await user(place, "deepgram", agent.url, question(place, "deepgram"), long)
    folder = (await talking.event("session.started"))["path"]
    await talking.event("turn")
    await talking.stop(signal.SIGKILL)
    listener = await place.listen()
    await listener.stop()
    checked = await place.run("check", place.out)
    assert checked.status == 0
    assert json.loads((place.folder / folder / "manifest.json").read_text())["reason"] == "the recorder was killed"
    assert np.any(read(place.folder / folder / "user.wav"))


@pytest.mark.parametrize("vendor", ["openai", "deepgram", "amigo"])
async def test_an_agent_that_ends_the_conversation_with_its_answer(place: Place, vendor: str) -> None:
    """Its answer is heard to the end though it left long before; what was never asked is missing, and told why."""
    voice = write(place.folder / "voice.wav", ramp(1, rate(vendor)), rate(vendor))
    agent = await place.agent(vendor, "--file", voice, *PROMPT, "--fault", "conclude@turn:1")
    files = [question(place, vendor, f"{n}.wav") for n in range(2)]
    told = await talked(place, vendor, agent.url, *files, "--text", "And then?")
    assert_same(trimmed(told.samples("agent")), ramp(1, rate(vendor)))
    assert [turn["source"] for turn in told.turns] == ["0.wav", "1.wav", "text: And then?"]
    assert [turn["status"] for turn in told.turns] == ["completed", "missing", "missing"]
    assert all(turn["reason"] for turn in told.turns[1:])
    assert [turn["response"] is not None for turn in told.told.told("turn")] == [True, False, False]
    assert told.finished["missing"] == 2
    assert told.ended.status == 1
