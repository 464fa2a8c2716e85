"""`sim bot` against a server that is not ours: people test their own receivers with it."""

from __future__ import annotations

import asyncio
import base64
import itertools
import json
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.scenarios.harness import DEADLINE, RATE, Place, Samples, assert_same, b64, ramp, read, sounding, write
from websockets.asyncio.server import Server, ServerConnection, serve
from websockets.exceptions import ConnectionClosed

MIB = 1024 * 1024


@dataclass
class Receiver:
    """Somebody's own server: it keeps what it hears."""

    url: str = ""
    server: Server | None = None
    connections: list[ServerConnection] = field(default_factory=list)
    heard: list[dict[str, Any]] = field(default_factory=list)
    news: asyncio.Event = field(default_factory=asyncio.Event)

    async def until(self, happened: Callable[[], bool]) -> None:
        """Wait for something to have been heard."""
        async with asyncio.timeout(DEADLINE):
            while not happened():
                self.news.clear()
                await self.news.wait()

    def of(self, kind: str) -> list[dict[str, Any]]:
        return [message for message in self.heard if kind in {message.get("trigger"), message.get("event")}]

    async def serve(self, connection: ServerConnection) -> None:
        self.connections.append(connection)
        self.news.set()
        try:
            async for wire in connection:
                assert isinstance(wire, str)
                self.heard.append(json.loads(wire))
                self.news.set()
        except ConnectionClosed:
            pass
        self.news.set()


@asynccontextmanager
async def receiving() -> AsyncIterator[Receiver]:
    receiver = Receiver()
    async with serve(receiver.serve, "127.0.0.1", 0) as server:
        receiver.server = server
        receiver.url = f"ws://127.0.0.1:{next(iter(server.sockets)).getsockname()[1]}/path?token=x"
        yield receiver


def pcm(chunk: str) -> Samples:
    return np.frombuffer(base64.b64decode(chunk, validate=True), dtype="<i2")


async def test_attendees_messages(place: Place) -> None:
    """Trigger, bot_id and data as the vendor's code writes them, 10 ms each, times that go on evenly."""
    voice = write(place.folder / "ana.wav", ramp(1))
    async with receiving() as receiver:
        bot = await place.bot(receiver.url, "--id", "bot_x", "--file", voice, "--speed", 4)
        summary = (await bot.ended()).json

    assert receiver.connections[0].request is not None
    assert receiver.connections[0].request.path == "/path?token=x"
    mixed = receiver.of("realtime_audio.mixed")
    people = receiver.of("realtime_audio.per_participant")
    assert len(mixed) + len(people) == len(receiver.heard)
    for message in receiver.heard:
        assert list(message) == ["trigger", "bot_id", "data"]
        assert message["bot_id"] == "bot_x"
        assert message["data"]["sample_rate"] == RATE
        assert len(pcm(message["data"]["chunk"])) == RATE // 100
    assert set(mixed[0]["data"]) == {"chunk", "timestamp_ms", "sample_rate"}
    assert set(people[0]["data"]) == {"participant_uuid", "chunk", "timestamp_ms", "sample_rate"}
    assert {message["data"]["participant_uuid"] for message in people} == {"100"}
    times = [message["data"]["timestamp_ms"] for message in mixed]
    assert {b - a for a, b in itertools.pairwise(times)} == {10}
    for track, messages in (("mixed", mixed), ("100", people)):
        (sent,) = [entry for entry in summary["sent"] if entry["track"] == track]
        assert sent["messages"] == len(messages)
        assert_same(np.concatenate([pcm(message["data"]["chunk"]) for message in messages]), ramp(1)[sent["first"] :])


async def test_the_forks_extras(place: Place) -> None:
    """Names and sequence numbers where they are asked for, other rates and chunk sizes too."""
    voice = write(place.folder / "ana.wav", ramp(1, 8000), 8000)
    async with receiving() as receiver:
        options = ("--names", "--sequence", "--rate", 8000, "--chunk", 20, "--name", "Ana Ó", "--platform", "zoom")
        bot = await place.bot(receiver.url, "--file", voice, "--speed", 4, *options)
        await bot.ended()

    for kind in ("realtime_audio.mixed", "realtime_audio.per_participant"):
        data = [message["data"] for message in receiver.of(kind)]
        numbers = [item["sequence"] for item in data]
        assert numbers == list(range(numbers[0], numbers[0] + len(numbers)))
        assert {item["sample_rate"] for item in data} == {8000}
        assert {len(pcm(item["chunk"])) for item in data} == {160}
    assert {message["data"]["participant_name"] for message in receiver.of("realtime_audio.per_participant")} == {
        "Ana Ó"
    }


async def test_recalls_messages(place: Place) -> None:
    """Event, recording, bot, artifact and participant as the vendor's page has them; the first sample is at 0."""
    voice = write(place.folder / "ana.wav", ramp(1))
    async with receiving() as receiver:
        bot = await place.bot(receiver.url, "--provider", "recall", "--id", "rec", "--file", voice, "--speed", 4)
        assert (await bot.ended()).status == 0

    assert [message["event"] for message in (receiver.heard[0], receiver.heard[-1])] == [
        *("participant_events.join", "participant_events.leave"),
    ]
    for kind, artifact in (("audio_mixed_raw.data", "audio_mixed"), ("audio_separate_raw.data", "audio_separate")):
        messages = receiver.of(kind)
        for n, message in enumerate(messages):
            assert set(message) == {"event", "data"}
            assert set(message["data"]) == {"data", "realtime_endpoint", artifact, "recording", "bot"}
            assert message["data"]["recording"] == {"id": "rec", "metadata": {}}
            assert set(message["data"]["data"]["timestamp"]) == {"relative", "absolute"}
            assert message["data"]["data"]["timestamp"]["relative"] == pytest.approx(n * 0.2)
        assert_same(np.concatenate([pcm(message["data"]["data"]["buffer"]) for message in messages]), ramp(1))
    person = receiver.of("audio_separate_raw.data")[0]["data"]["data"]["participant"]
    assert set(person) == {"id", "name", "is_host", "platform", "extra_data"}
    assert (person["id"], person["name"]) == (100, "ana")


async def test_a_message_above_1_mib_closes_the_connection(place: Place) -> None:
    """As with the vendor's client: 1 MiB is taken, one byte more ends in 1009, and the bot dials again."""
    voice = write(place.folder / "ana.wav", ramp(60))
    async with receiving() as receiver:
        bot = await place.bot(receiver.url, "--file", voice)
        await receiver.until(lambda: bool(receiver.heard))
        first = receiver.connections[0]
        await first.send("x" * MIB)
        await (await first.ping())
        assert first.close_code is None
        await first.send("x" * (MIB + 1))
        await first.wait_closed()
        assert first.close_code == 1009
        await receiver.until(lambda: len(receiver.connections) == 2)
        heard = len(receiver.heard)
        await receiver.until(lambda: len(receiver.heard) > heard)
        summary = (await bot.stop()).json

    assert summary["connections"] == 2
    assert summary["malformed"] == 1
    assert not summary["gave_up"]


async def test_what_it_is_told_is_counted_and_played(place: Place) -> None:
    """bot_output is cut into 100 ms pieces; a left-over is lost, a rate that Attendee cannot play is not heard."""
    voice = write(place.folder / "ana.wav", ramp(60))
    sound = ramp(0.55)
    async with receiving() as receiver:
        bot = await place.bot(receiver.url, "--file", voice, "--record", place.folder / "kept")
        await receiver.until(lambda: bool(receiver.heard))
        line = receiver.connections[0]
        for chunk, rate in ((sound, RATE), (sound, 48000)):
            data = {"chunk": b64(chunk), "sample_rate": rate}
            await line.send(json.dumps({"trigger": "realtime_audio.bot_output", "data": data}))
        await line.send(json.dumps({"trigger": "pause_current_lecture", "data": {"duration": 10}}))
        for odd in ("not JSON", b"\x00", json.dumps({"trigger": "realtime_audio.dance", "data": {}})):
            await line.send(odd)
        await (await line.ping())
        before = len(receiver.heard)
        await receiver.until(lambda: len(receiver.heard) > before + 100)
        summary = (await bot.stop()).json

    assert summary["received"] == {"speak": 2, "pause": 1, "unknown": 1}
    assert summary["malformed"] == 2
    assert summary["unplayable"] == 1
    assert summary["played_seconds"] == 0.5
    assert summary["residue_lost"] == 0.05
    assert [seconds for _, seconds in summary["pauses"]] == [0.01]
    assert_same(sounding(read(Path(summary["played_file"]))), sound[: RATE // 2])


async def test_a_server_that_closes_is_dialled_again(place: Place) -> None:
    """The call goes on over the next connection; the summary counts them."""
    voice = write(place.folder / "ana.wav", ramp(60))
    async with receiving() as receiver:
        bot = await place.bot(receiver.url, "--file", voice, "--retry", 0.1)
        for _ in range(3):
            receiver.heard.clear()
            await receiver.until(lambda: bool(receiver.heard))
            await receiver.connections[-1].close()
        await receiver.until(lambda: len(receiver.connections) == 4)
        summary = (await bot.stop()).json
    assert summary["connections"] == 4
    assert summary["failed_tries"] == 0


async def test_nobody_answers(place: Place) -> None:
    """Exit status 4 when no server was ever there, and each try is told."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        url = f"ws://127.0.0.1:{taken.getsockname()[1]}"
        voice = write(place.folder / "ana.wav", ramp(1))
        for options in ((), ("--provider", "recall"), ("--loop",)):
            ended = await (await place.bot(url, "--file", voice, "--retry", 0.01, *options)).ended()
            assert ended.status == 4
            assert ended.err.count("cannot connect") >= 1
            assert "is the server running there?" in ended.err.splitlines()[-1]


async def test_giving_up(place: Place) -> None:
    """Exit status 1 after the vendor's thirty tries; the summary says so."""
    voice = write(place.folder / "ana.wav", ramp(60))
    async with receiving() as receiver:
        bot = await place.bot(receiver.url, "--file", voice, "--loop", "--retry", 0.01)
        await receiver.until(lambda: bool(receiver.heard))
    ended = await bot.ended()
    assert ended.status == 1
    assert ended.json["gave_up"]
    assert ended.json["failed_tries"] == 30


async def test_the_summary(place: Place) -> None:
    """JSON with --json and nothing else on stdout; words on stderr without it."""
    voice = write(place.folder / "ana.wav", ramp(2))
    async with receiving() as receiver:
        data = await (await place.bot(receiver.url, "--file", voice, "--speed", 10, "--id", "b")).ended()
        words = await place.run("sim", "bot", "--url", receiver.url, "--file", voice, "--speed", 10)

    summary = data.json
    assert (summary["provider"], summary["session"], summary["url"]) == ("attendee", "b", receiver.url)
    assert summary["seconds"] == 2.0
    assert summary["received"] == {}
    for sent in summary["sent"]:
        assert sent["messages"] + sent["dropped"] == 200
        assert sent["samples"] == 2 * RATE
    assert words.out == b""
    assert "2.00 s of call over 1 connection" in words.err


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--url", "http://127.0.0.1:1"), "no websocket URL"),
        (("--rate", "44100"), "44100"),
        (("--mute", "bo:1-2"), "nobody is called bo"),
        (("--mute", "ana"), "NAME:FROM-TO"),
        (("--drop", "soon"), "AT:AWAY"),
        (("--file", "nothing.wav"), "No such file"),
    ],
)
async def test_what_cannot_be_meant(place: Place, options: tuple[str, ...], words: str) -> None:
    """Exit status 2 and what is wrong, before anybody is dialled."""
    voice = write(place.folder / "ana.wav", ramp(1))
    ended = await place.run("sim", "bot", "--file", voice, *options)
    assert ended.status == 2
    assert words in ended.err
    assert "Traceback" not in ended.err
