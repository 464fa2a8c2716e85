"""A user's conversation with each vendor's agent: what is recorded, measured and told of it."""

from __future__ import annotations

import asyncio
import re
import signal
import socket

import numpy as np
import pytest
from tests.scenarios import talk
from tests.scenarios.harness import RATE, Place, assert_same, tone, write
from tests.scenarios.talk import KEY, SPEECH, Talk, at_rate, likeness, private, question, rate, talked, trimmed, user

from audiotap.actors import ACTORS
from audiotap.audio import Level

every_vendor = pytest.mark.parametrize("vendor", ACTORS)
WORDS = "(0.6 s of speech)"
FILES = {"user.wav", "agent.wav", "conversation.wav", "transcript.json", "transcript.txt", "turns.json"}


@every_vendor
async def test_a_conversation(place: Place, vendor: str) -> None:
    """A file is said, the answer is heard: both tracks to the sample, both in one file, transcript and figures."""
    agent = await talk.agent(place, vendor, *(() if vendor == "botify" else ("--key", KEY)))
    told = await talked(place, vendor, agent.url, question(place, vendor))
    sound = trimmed(tone(SPEECH, rate(vendor)))

    assert told.ended.status == 0
    assert told.ended.err == ""
    for track, side in zip(("user", "agent"), told.sides(), strict=True):
        samples = told.samples(track)
        assert_same(trimmed(samples), sound)
        assert_same(side[: len(samples)], samples)
        assert not side[len(samples) :].any()
    assert told.said == [("user", WORDS), ("agent", WORDS)]
    text = (told.folder / "transcript.txt").read_text("utf-8")
    assert re.sub(r"^\d+:\d\d ", "", text, flags=re.MULTILINE) == f"user: {WORDS}\nagent: {WORDS}\n"
    assert_measured(told)
    assert (told.finished["turns"], told.finished["missing"]) == (1, 0)
    await assert_kept(place, told)


def assert_measured(told: Talk) -> None:
    """The figures of the only turn are in the order in which things happen."""
    (turn,) = told.turns
    assert (turn["status"], turn["interrupted"]) == ("completed", False)
    assert 0 <= turn["said_from"] < turn["said_until"] < turn["first_byte"] <= turn["first_sound"]
    assert turn["first_byte"] <= turn["ended"]
    assert turn["said_until"] - turn["said_from"] == pytest.approx(SPEECH, abs=0.03)
    figures = turn["figures"]
    assert 0 < figures["first_byte"] <= figures["response"]
    (measured,) = told.told.told("turn")
    assert {name: measured[name] for name in figures} == figures


async def assert_kept(place: Place, told: Talk) -> None:
    """The files that were told of are there, for their owner only, without the key; `check` finds nothing to mend."""
    assert {path.name for path in told.folder.iterdir()} == FILES | {"manifest.json", "events.jsonl"}
    assert {told.folder / name for name in FILES} == {place.folder / path for path in told.finished["files"]}
    assert told.folder.stat().st_mode & 0o777 == 0o700
    for path in private(place):
        assert KEY.encode() not in path.read_bytes()
        assert path.stat().st_mode & 0o777 == 0o600 or path.parent != told.folder
    assert KEY.encode() not in told.ended.out
    checked = await place.run("check", "--json", place.out)
    assert checked.status == 0
    assert checked.json[0]["findings"] == []


async def test_a_file_of_another_rate(place: Place) -> None:
    """What is said, and what comes back, is the same sound at the agent's rate: as loud, as long, as high."""
    agent = await talk.agent(place, "openai")
    told = await talked(place, "openai", agent.url, write(place.folder / "low.wav", tone(SPEECH)))
    expected = at_rate(tone(SPEECH), RATE, rate("openai"))
    for track in ("user", "agent"):
        got = trimmed(told.samples(track))
        assert likeness(got, expected) > 0.999
        assert abs(len(got) - len(expected)) < rate("openai") / 50
        assert Level.of(got.tobytes()).rms == pytest.approx(Level.of(expected.tobytes()).rms, abs=0.2)


async def test_several_files(place: Place) -> None:
    """Each is a turn, said when the answer to the one before was heard."""
    agent = await talk.agent(place, "deepgram")
    files = [question(place, "deepgram", f"{n}.wav") for n in range(2)]
    told = await talked(place, "deepgram", agent.url, *files)
    first, second = told.turns
    assert told.ended.status == 0
    assert [first["source"], second["source"]] == ["0.wav", "1.wav"]
    assert first["first_sound"] + SPEECH <= second["said_from"] + 0.02
    assert told.said == [("user", WORDS), ("agent", WORDS)] * 2
    assert len(trimmed(told.samples("agent"))) > 2 * SPEECH * rate("deepgram")


async def test_an_answer_that_does_not_come(place: Place) -> None:
    """It is missing, never 0: status 1, null where nothing was seen, and the user's side is whole."""
    agent = await talk.agent(place, "deepgram", "--fault", "silent@0s")
    told = await talked(place, "deepgram", agent.url, question(place, "deepgram"), "--timeout", 0.6)
    (turn,) = told.turns
    assert told.ended.status == 1
    assert turn["status"] == "missing"
    assert set(turn["figures"].values()) == {None}
    assert turn["first_byte"] is turn["first_sound"] is turn["ended"] is None
    assert told.finished["missing"] == 1
    assert_same(trimmed(told.samples("user")), trimmed(tone(SPEECH)))
    assert_same(trimmed(told.sides()[0]), trimmed(tone(SPEECH)))
    assert not told.sides()[1].any()


@pytest.mark.parametrize("vendor", ["openai", "amigo"])
async def test_nobody_is_there(place: Place, vendor: str) -> None:
    """Exit status 4, where that was, and what to type."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    ended = await (await user(place, vendor, f"ws://127.0.0.1:{port}", question(place, vendor))).ended()
    assert ended.status == 4
    assert f"ws://127.0.0.1:{port}/…" in ended.err
    assert "--url" in ended.err
    assert not any(place.out.iterdir())


@pytest.mark.parametrize("vendor", [name for name in ACTORS if name != "botify"])
async def test_a_key_that_is_refused(place: Place, vendor: str) -> None:
    """Exit status 5, a hint, nothing written, and the key is told to nobody."""
    agent = await talk.agent(place, vendor, "--key", "another-0123456789")
    talking = await user(place, vendor, agent.url, question(place, vendor))
    ended = await talking.ended()
    assert ended.status == 5
    assert "key" in ended.err or "token" in ended.err
    for told in (ended.err.encode(), ended.out, bytes(agent.out), bytes(agent.err)):
        assert KEY.encode() not in told
    assert not any(place.out.iterdir())


async def test_an_interruption_before_anything(place: Place) -> None:
    """Exit status 130 while the agent is still silent, and no folder."""
    dialled = asyncio.Event()

    async def wait(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        dialled.set()
        await reader.read()
        writer.close()

    async with await asyncio.start_server(wait, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        talking = await user(place, "deepgram", f"ws://127.0.0.1:{port}", question(place, "deepgram"))
        await dialled.wait()
        ended = await talking.stop()
    assert ended.status == 130
    assert "Traceback" not in ended.err
    assert not any(place.out.iterdir())


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
async def test_an_interruption_in_the_middle(place: Place, number: signal.Signals) -> None:
    """Ctrl-C while the agent speaks: all files are there and complete, and the status is 0."""
    agent = await talk.agent(place, "openai", "--silence", 0.3)
    long = write(place.folder / "long.wav", tone(30, rate("openai")), rate("openai"))
    talking = await user(place, "openai", agent.url, long)
    await agent.event("speech.started")
    told = Talk(talking, await talking.stop(number))
    assert told.ended.status == 0
    assert told.finished["reason"] == "it was interrupted"
    assert {path.name for path in told.folder.iterdir()} >= FILES - {"agent.wav"}
    sound = trimmed(told.samples("user"))
    assert_same(sound, tone(30, rate("openai"))[1 : 1 + len(sound)])
    assert_same(trimmed(told.sides()[0]), sound)
    assert np.any(sound)
    assert (await place.run("check", place.out)).status == 0
