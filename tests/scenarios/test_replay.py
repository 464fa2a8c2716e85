"""`listen --capture` and `audiotap replay`: any session happens once more, bit by bit."""

from __future__ import annotations

import asyncio
import errno
import gzip
import json
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from tests.scenarios.again import assert_same_folder, recorded_again, replay_all, sessions
from tests.scenarios.faults import TRACKS, Disk, assert_begins, calling
from tests.scenarios.harness import (
    ANA,
    BO,
    HELLO,
    RATE,
    Listener,
    Place,
    assert_same,
    attendee,
    call,
    chunks,
    ramp,
    recall,
    write,
)
from websockets.asyncio.client import connect
from websockets.asyncio.server import Server, ServerConnection, serve
from websockets.exceptions import ConnectionClosed
from websockets.http11 import Request, Response

from audiotap.capture import VERSION, Hello, Left, Moment, Opened, Took, lines

SOUND = ramp(1)
NOON = datetime(2026, 11, 21, 12, tzinfo=UTC)
MOST_LOST = 1.0
"""Seconds of a capture that a kill may cost."""


def mixed(sound: Any = SOUND, bot: str = "bot_1") -> list[str]:
    """A mix, as Attendee sends it."""
    return [attendee(piece, (n + 1) / 10, bot=bot) for n, piece in enumerate(chunks(sound))]


async def captured(place: Place, *wires: str | bytes, session: str = "bot_1") -> tuple[Path, Listener]:
    """A capture of one connection with these messages, and the listener that made it, which has ended."""
    capture = place.folder / "call.jsonl.gz"
    listener = await place.listen("--capture", capture, "--linger", 0.1)
    await call(listener.url, *wires)
    await listener.finished(session)
    await listener.stop()
    return capture, listener


def written(place: Place, *moments: Moment) -> Path:
    """A capture in which these moments follow a hello, as somebody may write it by hand."""
    hello = Hello(0.0, VERSION, "by hand", NOON, "wav", None, 5000, 100, 1000)
    capture = place.folder / "hand.jsonl"
    capture.write_bytes(b"".join(line for moment in (hello, *moments) for line in lines(moment)))
    return capture


def told(capture: Path) -> list[dict[str, Any]]:
    """The lines of a capture that was not cut off."""
    return [json.loads(line) for line in gzip.decompress(capture.read_bytes()).splitlines()]


class Ear:
    """A server of somebody else's: whatever anybody says to it, connection by connection, and how they left."""

    def __init__(self) -> None:
        self.url = ""
        self.heard: list[list[str | bytes]] = []
        self.goodbyes: list[bool] = []
        self.hangs_up_after = 0
        self.refuses_from = 0
        self.news = asyncio.Event()

    async def listen(self, connection: ServerConnection) -> None:
        frames: list[str | bytes] = []
        self.heard.append(frames)
        self.news.set()
        await connection.send("whatever a server may say")
        try:
            while True:
                frames.append(await connection.recv())
                if len(frames) == self.hangs_up_after:
                    await connection.close(1008, "enough")
        except ConnectionClosed as closed:
            self.goodbyes.append(closed.rcvd is not None)

    def admit(self, connection: ServerConnection, _: Request) -> Response | None:
        full = self.refuses_from and len(self.heard) >= self.refuses_from
        return connection.respond(503, "full") if full else None


@asynccontextmanager
async def ear() -> AsyncIterator[Ear]:
    """A server that listens while the block runs."""
    listening = Ear()
    server: Server
    async with serve(listening.listen, "127.0.0.1", 0, max_size=None, process_request=listening.admit) as server:
        listening.url = f"ws://127.0.0.1:{next(iter(server.sockets)).getsockname()[1]}"
        yield listening


# Recorded once more


async def test_two_bots_with_drops_mutes_and_speech(place: Place) -> None:
    """Attendee's and Recall's bots lose connections and mute, somebody speaks and pauses: all files come once more."""
    place.captures = True
    listener = await place.listen("--linger", 1)
    voices = ("--file", ANA, "--file", BO, "--mute", "ana:1-2", "--retry", 0.3, "--seconds", 8)
    bots = [
        await place.bot(listener.url, *voices, "--id", "a", "--drop", "2.5:0.4"),
        await place.bot(listener.url, *voices, "--id", "r", "--provider", "recall", "--each", "--drop", 2),
    ]
    await listener.event("track.started", session="a", track="mixed")
    speaking = await place.start("speak", HELLO, "--bot", "a")
    await listener.event("track.started", track="spoken")
    assert (await place.run("pause", 300, "--bot", "a")).status == 0
    for bot in bots:
        assert (await bot.ended()).status == 0
    await speaking.kill()
    await listener.stop()

    assert len(sessions(place.out)) == 2
    assert (await listener.finished("a")).samples("spoken").any()
    assert await replay_all(place) == 2


async def test_a_bot_at_its_worst(place: Place) -> None:
    """Holes, jitter, numbers, odd bytes, no times, changing rates, noise: what was made of it is made of it again."""
    place.captures = True
    listener = await place.listen("--linger", 0.2)
    pieces = chunks(ramp(3))
    wires: list[str | bytes] = []
    for n, piece in enumerate(pieces):
        shift = {7: 0.04, 12: -0.03, 20: 0.5}.get(n, 0.0)
        wires.append(attendee(piece, (n + 1) / 10 + shift))
        wires.append(attendee(piece.tobytes() + b"\x01" * (n % 2), (n + 1) / 10, "ana", sequence=n + (n == 9)))
        wires.append(attendee(piece, 0, "bo", timestamp_ms=None, sample_rate=RATE if n < 15 else 8000))
    wires[30:30] = ["noise", b"noise", attendee(b"", 1), '{"trigger": "smell", "bot_id": "bot_1"}']
    async with connect(listener.url, compression=None) as bot:
        for n, wire in enumerate(wires):
            await bot.send(wire)
            if n % 17 == 0:
                await (await bot.ping())
    await listener.finished("bot_1")
    await listener.stop()
    assert await replay_all(place) == 1


async def test_a_capture_says_nothing_of_the_listeners_secrets(place: Place) -> None:
    """It is for its owner alone, and holds neither the secret of the address, nor a header that lets somebody in."""
    capture = place.folder / "call.jsonl.gz"
    listener = await place.listen("--capture", capture, environment={"AUDIOTAP_SECRET": "sesame-sesame-sesame"})
    headers = {"Authorization": "Bearer hidden", "Cookie": "hidden", "User-Agent": "a bot"}
    url = f"{listener.url}/before/sesame-sesame-sesame?token=hidden"
    async with connect(url, additional_headers=headers, user_agent_header=None) as bot:
        await bot.send(mixed()[0])
        await listener.event("track.started")
    ended = await listener.stop()

    assert capture.stat().st_mode & 0o777 == 0o600
    text = gzip.decompress(capture.read_bytes()).decode()
    assert "sesame" not in text
    assert "hidden" not in text
    (opened,) = [line for line in told(capture) if line["kind"] == "open"]
    assert opened["path"] == "/before/…?…"
    assert opened["headers"]["User-Agent"] == "a bot"
    assert listener.told("capturing") == [{"event": "capturing", "path": str(capture)}]
    assert "Traceback" not in ended.err


async def test_a_killed_listeners_capture(place: Place) -> None:
    """`kill -9` costs a capture less than a second: what it holds is recorded, and it is told to be cut off."""
    capture = place.folder / "call.jsonl.gz"
    listener = await place.listen("--capture", capture)
    async with calling(listener.url) as on:
        await listener.event("track.started", track=TRACKS[-1])
        await on.lasts(2)
        sent = dict(on.sent)
        await listener.stop(signal.SIGKILL)

    again = await place.run("replay", capture, "--out", place.folder / "again", "--json")
    assert "is cut off" in again.err
    events = [json.loads(line) for line in again.out.splitlines()]
    (finished,) = [event for event in events if event["event"] == "session.finished"]
    assert finished["reason"] == "the capture ends here"
    assert len(finished["files"]) == len(TRACKS)
    for file in (event for event in events if event["event"] == "track.finished"):
        assert sent[file["track"]] - MOST_LOST * RATE <= assert_begins(Path(file["path"]), file["track"])


async def test_a_capture_never_writes_over_another(place: Place) -> None:
    """A listener that is started again, by whomever, captures into a new file beside the old one."""
    capture, _ = await captured(place, *mixed())
    before = capture.read_bytes()
    _, listener = await captured(place, *mixed())
    assert listener.told("capturing")[0]["path"] == str(place.folder / "call-2.jsonl.gz")
    assert capture.read_bytes() == before
    assert len(told(place.folder / "call-2.jsonl.gz")) == len(told(capture))


# What goes wrong around a capture


@pytest.mark.parametrize("trouble", ["full", "too small"])
async def test_a_capture_that_stops_is_no_loss_to_the_recording(place: Place, trouble: str) -> None:
    """A full disk, or the capture's own limit: it is told once, and every sample is recorded."""
    disk = Disk(place)
    capture = place.folder / "call.jsonl.gz"
    limit = ("--max-capture", "50K") if trouble == "too small" else ()
    listener = await place.listen("--capture", capture, "--linger", 0.1, *limit, environment=disk.environment)
    sound = ramp(4)
    wires = mixed(sound)
    async with connect(listener.url, compression=None) as bot:
        await bot.send(wires[0])
        await listener.event("track.started")
        if trouble == "full":
            disk.refuse(errno.ENOSPC, "call.jsonl")
        for wire in wires[1:]:
            await bot.send(wire)
        await listener.event("warning")
    recording = await listener.finished("bot_1")
    ended = await listener.stop()

    assert_same(recording.samples("mixed"), sound)
    assert len(listener.warnings()) == 1
    assert "the capture stopped, and the recording goes on: " in listener.warnings()[0]
    assert ended.status == 0
    disk.recover()
    again = await recorded_again(place, capture)
    if trouble == "too small":
        assert told(capture)[-1]["kind"] == "end"
        assert len(list(again.iterdir())) == 1


async def test_a_capture_whose_disk_hangs_holds_nobody_back(place: Place) -> None:
    """Its writes wait: the recording does not, bots are answered, and once the disk is back the capture is whole."""
    disk = Disk(place)
    capture = place.folder / "call.jsonl.gz"
    listener = await place.listen("--capture", capture, environment=disk.environment)
    async with calling(listener.url) as on:
        await listener.event("track.started", track=TRACKS[-1])
        disk.hold("call.jsonl")
        await on.lasts(1)
        await on.is_answered()
        disk.recover()
        await on.lasts(0.2)
        ended = await listener.stop()
    assert ended.status == 0
    assert listener.warnings() == []
    (again,) = sessions(await recorded_again(place, capture)).values()
    assert_same_folder((await listener.finished("bot_1")).folder, again)


async def test_a_capture_that_cannot_be_made(place: Place) -> None:
    """Exit status 3 before the first bot comes."""
    ended = await place.run("listen", "--port", 0, "--capture", place.folder / "nowhere" / "call.jsonl.gz")
    assert ended.status == 3
    assert ended.err.startswith("audiotap: cannot write ")
    assert "--capture" in ended.err.splitlines()[1]


async def test_a_capture_is_for_one_process(place: Place) -> None:
    """Sessions of several workers have no common order, so that is refused."""
    ended = await place.run("listen", "--workers", 2, "--capture", "call.jsonl.gz")
    assert ended.status == 2
    assert "--capture is for one process" in ended.err


# Played to a server


@pytest.mark.parametrize("speed", [1, 20])
async def test_a_replay_to_a_listener(place: Place, speed: float) -> None:
    """A bot that mutes and loses its connection, played to another listener: every sample is where it was."""
    capture = place.folder / "call.jsonl.gz"
    voice = write(place.folder / "voice.wav", ramp(3))
    first = await place.listen("--capture", capture, "--linger", 0.5)
    bot = await place.bot(
        first.url,
        "--file",
        voice,
        "--file",
        BO,
        "--seconds",
        3,
        "--drop",
        "1.5:0.2",
        "--retry",
        0.1,
        "--mute",
        "bo:1-2",
    )
    await bot.ended()
    before = await first.finished("sim")
    await first.stop()

    second = await place.listen("--linger", 0.5, "--out", place.folder / "second")
    ended = await place.run("replay", capture, "--url", second.url, "--speed", speed, "--json")
    after = await second.finished("sim")
    assert ended.status == 0, ended.err
    assert ended.json["connections"] == before.manifest["connections"] == 2
    assert ended.json["unsent"] == ended.json["refused"] == 0
    assert {entry["track"] for entry in after.manifest["tracks"]} == {"mixed", "100", "101"}
    for entry in before.manifest["tracks"]:
        assert_same(after.samples(entry["track"]), before.samples(entry["track"]))
        assert after.entry(entry["track"]) | {"silent_samples": 0} == entry | {"silent_samples": 0}


async def test_a_replay_to_any_server(place: Place) -> None:
    """Every frame comes once more, text or not, over as many connections, and each ends as it ended."""
    capture = place.folder / "call.jsonl.gz"
    listener = await place.listen("--capture", capture)
    said: list[list[str | bytes]] = [
        [*mixed(bot="one"), b"\x00\xff" * 500, "", b"", "é\u2028\x00"],
        [recall(piece, n / 10) for n, piece in enumerate(chunks(SOUND))],
        ["x" * 3_000_000, "end"],
    ]
    for wires, goodbye in zip(said, (True, False, True), strict=True):
        async with connect(listener.url, compression=None, max_size=None) as bot:
            for wire in wires:
                await bot.send(wire)
            await (await bot.ping())
            if not goodbye:
                bot.transport.abort()
    await listener.stop()

    async with ear() as server:
        ended = await place.run("replay", capture, "--url", server.url, "--speed", 50)
    assert ended.status == 0, ended.err
    assert server.heard == said
    assert server.goodbyes == [True, False, True]
    assert "3 connections" in ended.err
    assert f"{sum(map(len, said))} frames" in ended.err


async def test_connections_keep_their_order(place: Place) -> None:
    """What two connections said in turns is said in turns, however fast it is played."""
    capture = place.folder / "call.jsonl.gz"
    listener = await place.listen("--capture", capture)
    order: list[str] = []
    async with connect(listener.url) as one, connect(listener.url) as two:
        for n in range(20):
            speaker = (one, two)[n % 2]
            await speaker.send(f"frame {n}")
            await (await speaker.ping())
            order.append(f"frame {n}")
    await listener.stop()
    assert [line["data"] for line in told(capture) if line["kind"] == "text"] == order

    async with ear() as server:
        assert (await place.run("replay", capture, "--url", server.url, "--speed", 1e6)).status == 0
    assert server.heard == [order[::2], order[1::2]]


async def test_a_server_that_hangs_up(place: Place) -> None:
    """What could not be sent is counted, the other connections go on, and the status is 1."""
    first = [Took(0.1 * n, 1, [str(n)]) for n in range(10)]
    second: list[Moment] = [Opened(2.0, 2, NOON, "/", {}), Took(2.0, 2, ["a", "b"]), Left(2.0, 2, lost=False)]
    capture = written(place, Opened(0.0, 1, NOON, "/", {}), *first, Left(1.0, 1, lost=False), *second)
    async with ear() as server:
        server.hangs_up_after = 3
        ended = await place.run("replay", capture, "--url", server.url, "--json")
    assert ended.status == 1
    assert "connection 1: the server ended it" in ended.err
    assert ended.json["frames"] + ended.json["unsent"] == 12
    assert ended.json["unsent"] > 0
    assert server.heard[1] == ["a", "b"]


async def test_a_server_that_refuses_one(place: Place) -> None:
    """A later connection that is refused costs its own frames only."""
    capture = place.folder / "call.jsonl.gz"
    listener = await place.listen("--capture", capture)
    for wire in ("a", "b"):
        await call(listener.url, wire)
    await listener.stop()
    async with ear() as server:
        server.refuses_from = 1
        ended = await place.run("replay", capture, "--url", server.url, "--json")
    assert ended.status == 1
    assert (ended.json["connections"], ended.json["refused"], ended.json["unsent"]) == (1, 1, 1)


async def test_nobody_answers(place: Place) -> None:
    """Exit status 4, as for any server that is not there."""
    capture, _ = await captured(place, *mixed())
    ended = await place.run("replay", capture, "--url", "ws://127.0.0.1:9/secret")
    assert ended.status == 4
    assert "cannot connect to ws://127.0.0.1:9/…" in ended.err
    assert "secret" not in ended.err


async def test_an_interrupted_replay(place: Place) -> None:
    """Ctrl-C ends it with a goodbye and status 130."""
    capture = written(place, Opened(0.0, 1, NOON, "/", {}), Left(1000.0, 1, lost=False))
    async with ear() as server:
        running = await place.start("replay", capture, "--url", server.url)
        await running.says("to ws://")
        await server.news.wait()
        ended = await running.stop()
    assert ended.status == 130
    assert "interrupted before" in ended.err


# Files that are no captures


@pytest.mark.parametrize(
    ("data", "why"),
    [
        pytest.param(b"", "is no capture", id="empty"),
        pytest.param(b"\x00\x01" * 500, "is no capture", id="noise"),
        pytest.param(b"\x1f\x8b" + b"\x01" * 500, "is damaged", id="gzipped noise"),
        pytest.param(gzip.compress(b'{"event": "listening"}\n'), "is no capture", id="another file"),
    ],
)
@pytest.mark.parametrize("way", ["--url", "--out"])
async def test_what_is_no_capture(place: Place, data: bytes, why: str, way: str) -> None:
    """Exit status 2, a sentence and a hint; nobody is dialled and nothing is written."""
    (place.folder / "file").write_bytes(data)
    ended = await place.run("replay", "file", way, "ws://127.0.0.1:9" if way == "--url" else "again")
    assert ended.status == 2
    assert ended.err.startswith("audiotap: file ")
    assert why in ended.err.splitlines()[0]
    assert not (place.folder / "again").exists()


async def test_a_capture_that_is_damaged_further_on(place: Place) -> None:
    """What came before is recorded and complete, and the line is named; status 2."""
    capture, listener = await captured(place, *mixed())
    text = gzip.decompress(capture.read_bytes()).splitlines(keepends=True)
    (place.folder / "broken.jsonl").write_bytes(b"".join([*text[:-1], b'{"kind": "text"}\n', *text[-1:]]))
    ended = await place.run("replay", "broken.jsonl", "--out", "again")
    assert ended.status == 2
    assert f"broken.jsonl, line {len(text)}: " in ended.err
    (again,) = sessions(place.folder / "again").values()
    assert (again / "mixed.wav").read_bytes() == (await listener.finished("bot_1")).file("mixed").read_bytes()


@pytest.mark.parametrize("ways", [(), ("--url", "ws://127.0.0.1:9", "--out", "again")])
async def test_one_way_at_a_time(place: Place, ways: tuple[str, ...]) -> None:
    """A capture is played or recorded; neither and both are a question back."""
    ended = await place.run("replay", "file", *ways)
    assert ended.status == 2
    assert "give --url or --out" in ended.err
