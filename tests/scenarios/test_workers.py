"""`listen --workers`: several processes on one port, which a bot, a script and a person take for one."""

from __future__ import annotations

import asyncio
import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from tests.scenarios.faults import written
from tests.scenarios.harness import (
    HELLO,
    RATE,
    Listener,
    Place,
    assert_same,
    attendee,
    call,
    chunks,
    ramp,
    read,
    recall,
    sounding,
    write,
)
from tests.scenarios.outside import alive, gone
from tests.scenarios.test_terminal import BAR, LEVELS, has, terminal
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

from audiotap.net.ownership import owner

pytestmark = pytest.mark.filterwarnings("ignore:.*multi-threaded, use of fork:DeprecationWarning")

SOUND = ramp(3)
SOCKETS = 6
"""Connections of one bot: were they not brought together, two workers would have some of them for sure."""
TRACKS = [f"p{n}" for n in range(SOCKETS - 1)]


def id_of(worker: int, name: str = "bot", provider: str = "attendee", workers: int = 2) -> str:
    """An id that is a worker's."""
    ids = (f"{name}_{n}" for n in range(1000))
    return next(one for one in ids if owner((provider, one), workers) == worker)


def workers_of(listener: Listener) -> list[int]:
    """The processes below a listener, in the order in which they were started."""
    pid = listener.process.pid
    tasks = Path(f"/proc/{pid}/task").iterdir()
    return sorted(int(child) for task in tasks for child in (task / "children").read_text().split())


@asynccontextmanager
async def dialled(url: str, number: int) -> AsyncIterator[list[ClientConnection]]:
    """So many connections, which the system shares out among the workers as it likes."""
    bots = [await connect(url, compression=None, max_size=None) for _ in range(number)]
    try:
        yield bots
    finally:
        for bot in bots:
            await bot.close()


def sockets(place: Place) -> list[Path]:
    """All control sockets, and the folders of workers'."""
    return list(Path(place.environment["AUDIOTAP_RUNTIME_DIR"]).rglob("*-*"))


async def test_every_session_is_one_recording(place: Place) -> None:
    """Eight bots with the mix and each participant on a socket of their own: a folder each, and every sample in it."""
    listener = await place.listen("--workers", 2)
    tracks = ["", *TRACKS]

    async def bot(number: int) -> None:
        async with dialled(listener.url, SOCKETS) as sockets:
            for n, piece in enumerate(chunks(SOUND), 1):
                for socket, track in zip(sockets, tracks, strict=True):
                    await socket.send(attendee(piece, n / 10, track, bot=f"bot_{number}"))

    await asyncio.gather(*(bot(number) for number in range(8)))
    ended = await listener.stop()

    assert ended.status == 0
    assert len(list(place.out.iterdir())) == 8
    for number in range(8):
        recording = await listener.finished(f"bot_{number}")
        assert recording.manifest["connections"] == SOCKETS
        assert {entry["track"] for entry in recording.manifest["tracks"]} == {track or "mixed" for track in tracks}
        for track in tracks:
            assert_same(recording.samples(track or "mixed"), SOUND)


async def test_a_goodbye_right_after_the_last_word(place: Place) -> None:
    """Bots that dial, say all and close at once are recorded whole, and linger as one that said goodbye does."""
    listener = await place.listen("--workers", 3)
    ids = [f"bot_{n}" for n in range(12)]
    await asyncio.gather(*(call(listener.url, attendee(SOUND, 3.0, bot=one)) for one in ids))
    await listener.until(lambda: len(listener.told("track.started")) == len(ids) or None, "all tracks")
    await listener.stop()
    for one in ids:
        assert_same((await listener.finished(one)).samples("mixed"), SOUND)


@pytest.mark.parametrize("piece", [5000, 10**9])
async def test_messages_cut_anywhere_survive_the_way(place: Place, piece: int) -> None:
    """Right behind its first word a bot says a minute at once, in fragments or whole: half of it goes to the owner."""
    long = ramp(60)
    listener = await place.listen("--workers", 2)
    for one in (id_of(0), id_of(1)):
        async with dialled(listener.url, SOCKETS) as bots:
            for number, bot in enumerate(bots):
                text = attendee(long[RATE:], 60.0, f"p{number}", bot=one)
                await bot.send(attendee(long[:RATE], 1.0, f"p{number}", bot=one))
                await bot.send([text[start : start + piece] for start in range(0, len(text), piece)])
    await listener.stop()
    for one in (id_of(0), id_of(1)):
        recording = await listener.finished(one)
        for number in range(SOCKETS):
            assert_same(recording.samples(f"p{number}"), long)


async def test_what_is_odd_before_a_session_goes_with_it(place: Place) -> None:
    """Strange messages that came before the bot told its id are counted in its manifest, whoever read them."""
    listener = await place.listen("--workers", 2, "--linger", 0.1)
    ids = [f"bot_{n}" for n in range(8)]
    for one in ids:
        await call(listener.url, "hello", attendee(SOUND, 3.0, bot=one))
    for one in ids:
        assert (await listener.finished(one)).manifest["malformed"] == 1
    assert (await listener.stop()).status == 6


async def test_a_connection_follows_its_messages(place: Place) -> None:
    """One that names sessions of both workers in turn goes to and fro, and each of them is one whole recording."""
    listener = await place.listen("--workers", 2)
    ones = [id_of(0), id_of(1)]
    async with connect(listener.url, compression=None) as bot:
        for n, piece in enumerate(chunks(SOUND), 1):
            for one in ones:
                await bot.send(attendee(piece, n / 10, bot=one))
        await (await bot.ping())
    assert (await listener.stop()).status == 0
    assert len(list(place.out.iterdir())) == 2
    for one in ones:
        assert_same((await listener.finished(one)).samples("mixed"), SOUND)


async def test_control_sees_one_listener(place: Place) -> None:
    """status, speak, pause and stop find every bot, whichever worker has it, through the one control socket."""
    listener = await place.listen("--workers", 2)
    word = write(place.folder / "word.wav", ramp(1.5))
    bots = [
        await place.bot(
            listener.url, "--id", id_of(worker), "--loop", "--file", HELLO, "--record", place.folder / f"bot{worker}"
        )
        for worker in (0, 1)
    ]
    for worker in (0, 1):
        await listener.event("session.started", session=id_of(worker))
    (status,) = (await place.run("status", "--json")).json
    assert status["url"] == listener.url
    assert {session["session"] for session in status["sessions"]} == {id_of(0), id_of(1)}

    async def controlled(bot: str) -> None:
        spoken = await place.run("speak", word, "--bot", bot, "--json")
        assert spoken.status == 0, spoken.err
        assert spoken.json["sent"] > 1
        paused = await place.run("pause", 100, "--bot", bot, "--json")
        assert paused.json == {"session": bot, "paused": 0.1, "told": True}
        stopped = await place.run("stop", "--bot", bot, "--json")
        assert stopped.json == {"session": bot, "dropped": 0.0}

    await asyncio.gather(*(controlled(id_of(worker)) for worker in (0, 1)))
    for bot in bots:
        bot.process.send_signal(signal.SIGINT)
        await bot.ended()
    await listener.stop()
    for worker in (0, 1):
        recording = await listener.finished(id_of(worker))
        assert len(recording.samples("spoken")) > RATE


async def test_choosing_a_bot_among_workers(place: Place) -> None:
    """Nobody, several, an unknown one and a speechless one: the same words and statuses as ever."""
    listener = await place.listen("--workers", 2)
    word = write(place.folder / "word.wav", ramp(0.3))
    nobody = await place.run("stop")
    assert (nobody.status, nobody.err.splitlines()[0]) == (4, "audiotap: no bot is connected")
    waited = asyncio.create_task(place.run("speak", word, "--wait", 30))
    async with dialled(listener.url, 3) as (one, other, mute):
        await one.send(attendee(SOUND, 3.0, bot=id_of(0)))
        assert (await waited).status == 0
        await other.send(attendee(SOUND, 3.0, bot=id_of(1)))
        await mute.send(recall(SOUND, 0.0, recording="mute"))
        await listener.until(lambda: len(listener.told("track.started")) >= 4 or None, "all tracks")
        several, unknown, speechless = [
            await place.run("stop", *options) for options in ((), ("--bot", "nobody"), ("--bot", "mute"))
        ]
    await listener.stop()
    assert several.status == 2
    assert id_of(0) in several.err
    assert id_of(1) in several.err
    assert (unknown.status, unknown.err.splitlines()[0]) == (4, "audiotap: no bot 'nobody' is here")
    assert speechless.status == 4
    assert "cannot be spoken to" in speechless.err


async def test_an_interrupted_speech_is_dropped(place: Place) -> None:
    """Who speaks and goes away takes the speech along, also through the front."""
    listener = await place.listen("--workers", 2)
    async with connect(listener.url, compression=None) as bot:
        await bot.send(attendee(SOUND, 3.0, bot=id_of(1)))
        await listener.event("track.started")
        long = place.folder / "long.wav"
        write(long, np.tile(ramp(10), 30))
        speaking = await place.start("speak", long)
        await listener.event("track.started", track="spoken")
        assert (await speaking.stop()).status == 130
        async with asyncio.timeout(20):
            while (await place.run("status", "--json")).json[0]["sessions"][0]["queue"]:
                pass
    await listener.stop()


async def test_a_worker_is_killed(place: Place) -> None:
    """It is started again; its bots dial again, and the recordings go on in their folders; the other's go on."""
    listener = await place.listen("--workers", 2)
    ones = [id_of(0), id_of(1)]

    mixed = {}
    with suppress(ConnectionClosed):
        async with dialled(listener.url, 2) as bots:
            for bot, one in zip(bots, ones, strict=True):
                await bot.send(attendee(SOUND[:RATE], 1.0, bot=one))
                mixed[one] = Path((await listener.event("track.started", session=one))["path"])
                written(mixed[one], RATE)
            victim = workers_of(listener)[0]
            os.kill(victim, signal.SIGKILL)
            back = [say_one(listener.url, ones[0], 2, 3, track) for track in ("", *TRACKS)]
            await asyncio.gather(*back)
            await bots[1].send(attendee(SOUND[RATE:], 3.0, bot=ones[1]))
            await listener.event("session.started", session=ones[0], resumed=True)
            written(mixed[ones[0]], len(SOUND))
            written(mixed[ones[1]], len(SOUND))
    ended = await listener.stop()

    holed, whole = [await listener.finished(one) for one in ones]
    expected = SOUND.copy()
    expected[RATE : 2 * RATE] = 0
    assert_same(holed.samples("mixed"), expected)
    assert_same(whole.samples("mixed"), SOUND)
    for track in TRACKS:
        assert_same(sounding(holed.samples(track)), SOUND[2 * RATE :])
    assert holed.folder == mixed[ones[0]].parent
    assert (holed.manifest["restarts"], whole.manifest["restarts"]) == (1, 0)
    assert len(list(place.out.iterdir())) == 2
    assert any("worker 1 of 2 died (SIGKILL); it is started again" in warning for warning in listener.warnings())
    assert ended.status == 6


async def say_one(url: str, bot: str, begin: int, end: int, track: str = "") -> None:
    """A stretch of seconds of a bot's call, over a connection of its own."""
    await call(url, attendee(SOUND[begin * RATE : end * RATE], float(end), track, bot=bot))


async def test_a_worker_that_dies_again_and_again(place: Place) -> None:
    """The third time at once is the end: an error that says so, and status 1, with the other's files finished."""
    listener = await place.listen("--workers", 2)
    async with connect(listener.url, compression=None) as bot:
        await bot.send(attendee(SOUND, 3.0, bot=id_of(1)))
        await listener.event("track.started")
        steady = workers_of(listener)[1]
        for turn in range(1, 4):
            (victim,) = others(listener, steady)
            os.kill(victim, signal.SIGKILL)
            if turn < 3:
                await listener.until(partial(has_warned, listener, turn), f"death {turn}")
        ended = await listener.ended()
    assert ended.status == 1
    assert "audiotap: worker 1 of 2 died (SIGKILL), 3 times in a row" in ended.err
    assert_same((await listener.finished(id_of(1))).samples("mixed"), SOUND)


def others(listener: Listener, steady: int) -> list[int]:
    """The workers but one, as soon as there are any."""
    while not (found := [pid for pid in workers_of(listener) if pid != steady]):
        pass
    return found


def has_warned(listener: Listener, times: int) -> bool | None:
    return len(listener.warnings()) >= times or None


async def test_the_front_is_killed(place: Place) -> None:
    """The workers notice, finish their files and go; no process and no socket of theirs stays behind."""
    listener = await place.listen("--workers", 2)
    ones = [id_of(0), id_of(1)]
    async with dialled(listener.url, 2) as bots:
        for bot, one in zip(bots, ones, strict=True):
            await bot.send(attendee(SOUND, 3.0, bot=one))
        paths = [Path((await listener.event("track.started", session=one))["path"]) for one in ones]
        members = workers_of(listener)
        await listener.stop(signal.SIGKILL)
        await gone(*members)

    for path in paths:
        assert_same(read(path), SOUND)
        assert json.loads(path.with_name("manifest.json").read_text("utf-8"))["ended"] is not None
    assert (await place.run("status")).status == 4
    assert sockets(place) == []


async def test_everything_is_killed_and_started_again(place: Place) -> None:
    """Each worker goes on with its own sessions, and with those that another one had when there were fewer or more."""
    first = await place.listen("--workers", 2)
    ids = [f"bot_{n}" for n in range(6)]
    async with dialled(first.url, len(ids)) as bots:
        for bot, one in zip(bots, ids, strict=True):
            await bot.send(attendee(SOUND[: 2 * RATE], 2.0, bot=one))
            written(Path((await first.event("track.started", session=one))["path"]), 2 * RATE)
        members = workers_of(first)
        for pid in (first.process.pid, *members):
            os.kill(pid, signal.SIGKILL)
        await gone(*members)
        await first.ended()

    second = await place.listen("--workers", 3)
    for one in ids:
        await call(second.url, attendee(SOUND[2 * RATE :], 3.0, bot=one))
    ended = await second.stop()
    for one in ids:
        recording = await second.finished(one)
        assert_same(recording.samples("mixed"), SOUND)
        assert recording.manifest["restarts"] == 1
    assert len(list(place.out.iterdir())) == len(ids)
    assert ended.status == 6


async def test_a_folder_that_nobody_can_read_is_told_of_once(place: Place) -> None:
    """Of several workers one complains of a broken manifest, after the listener said that it listens."""
    folder = place.out / "20260102T030405Z_attendee_bot"
    folder.mkdir(parents=True)
    (folder / "manifest.json").write_text("{}")
    (folder / "mixed.wav").write_bytes(b"")
    listener = await place.listen("--workers", 3)
    await listener.stop()
    assert len([warning for warning in listener.warnings() if folder.name in warning]) == 1
    assert json.loads(bytes(listener.out).splitlines()[0])["event"] == "listening"


async def test_ctrl_c_from_a_terminal(place: Place) -> None:
    """The signal goes to the whole foreground group, as a terminal sends it; every sample gets into the files."""
    listener = await place.listen("--workers", 2, within=("setsid",))
    async with dialled(listener.url, SOCKETS) as bots:
        for number, bot in enumerate(bots):
            await bot.send(attendee(SOUND, 3.0, f"p{number}", bot="bot_1"))
            await (await bot.ping())
        os.killpg(listener.process.pid, signal.SIGINT)
        ended = await listener.ended()
    assert ended.status == 0
    recording = await listener.finished("bot_1")
    for number in range(SOCKETS):
        assert_same(recording.samples(f"p{number}"), SOUND)


@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 0)])
async def test_nothing_was_recorded(place: Place, number: signal.Signals, status: int) -> None:
    """As with one process: Ctrl-C before anything was recorded is an interruption, the end of a service is none."""
    listener = await place.listen("--workers", 2)
    members = workers_of(listener)
    ended = await listener.stop(number)
    assert ended.status == status
    assert ended.err == ""
    assert len(listener.told("listening")) == 1
    assert list(place.out.iterdir()) == []
    await gone(*members)
    assert sockets(place) == []


async def test_a_second_signal_ends_all_at_once(place: Place) -> None:
    """Whoever cannot wait for the files gets rid of every process."""
    listener = await place.listen("--workers", 2)
    members = workers_of(listener)
    for pid in members:
        os.kill(pid, signal.SIGSTOP)
    try:
        listener.process.send_signal(signal.SIGINT)
        listener.process.send_signal(signal.SIGTERM)
        ended = await listener.ended()
        await gone(*members)
    finally:
        for pid in filter(alive, members):
            os.kill(pid, signal.SIGKILL)
    assert ended.status in {-signal.SIGINT, -signal.SIGTERM}


async def test_a_worker_dies_at_the_end(place: Place) -> None:
    """One that is killed while it should finish its files: the other finishes its own, a warning says so, status 6."""
    listener = await place.listen("--workers", 2)
    async with dialled(listener.url, 2) as bots:
        for worker, bot in enumerate(bots):
            await bot.send(attendee(SOUND, 3.0, bot=id_of(worker)))
            await listener.event("track.started", session=id_of(worker))
        victim = workers_of(listener)[0]
        os.kill(victim, signal.SIGSTOP)
        listener.process.send_signal(signal.SIGINT)
        await bots[1].wait_closed()
        os.kill(victim, signal.SIGKILL)
        ended = await listener.ended()
    assert ended.status == 6
    assert_same((await listener.finished(id_of(1))).samples("mixed"), SOUND)
    assert any("died (SIGKILL) before it had finished" in warning for warning in listener.warnings())


async def test_what_was_sent_before_the_signal(place: Place) -> None:
    """Workers that read a bot's first words only when they shall end still hand them to whom they are for."""
    listener = await place.listen("--workers", 2)
    members = workers_of(listener)
    word = ramp(0.5)
    async with dialled(listener.url, 2 * SOCKETS) as bots:
        for pid in members:
            os.kill(pid, signal.SIGSTOP)
        for number, bot in enumerate(bots):
            await bot.send(attendee(word, 0.5, f"p{number}", bot="bot_1"))
        listener.process.send_signal(signal.SIGINT)
        for pid in members:
            os.kill(pid, signal.SIGCONT)
        assert (await listener.ended()).status == 0
    recording = await listener.finished("bot_1")
    for number in range(2 * SOCKETS):
        assert_same(recording.samples(f"p{number}"), word)


async def test_losses_of_any_worker_count(place: Place) -> None:
    """One worker recorded with losses and the other without: status 6."""
    listener = await place.listen("--workers", 2)
    for one in (id_of(0), id_of(1)):
        await call(listener.url, attendee(SOUND, 3.0, bot=one))
    await call(
        listener.url, attendee(SOUND, 3.0, "ana", bot=id_of(1)), attendee(SOUND, 6.0, "ana", bot=id_of(1), chunk="!")
    )
    ended = await listener.stop()
    assert ended.status == 6
    assert [(await listener.finished(id_of(n))).finished["lossy"] for n in (0, 1)] == [False, True]


async def test_a_port_that_another_listener_has(place: Place) -> None:
    """Listeners never share a port by accident, with or without workers: status 3."""
    shared = await place.listen("--workers", 2)
    for options in (("--workers", 2), ()):
        ended = await place.run("listen", "--port", shared.port, *options)
        assert ended.status == 3
        assert ended.err.startswith(f"audiotap: cannot listen on 127.0.0.1:{shared.port}")
    alone = await place.listen()
    assert (await place.run("listen", "--port", alone.port, "--workers", 2)).status == 3


@pytest.mark.parametrize(
    ("options", "word"),
    [(("--stdout",), "--stdout"), (("--workers", 0), "--workers"), (("--workers", 65), "--workers")],
)
async def test_refusals(place: Place, options: tuple[str | int, ...], word: str) -> None:
    """What cannot be shared, and numbers of processes that nobody wants, are usage errors."""
    ended = await place.run("listen", "--workers", 2, *options)
    assert ended.status == 2
    assert word in ended.err


async def test_a_control_folder_that_is_open_to_others(place: Place) -> None:
    """A worker that cannot have its control socket says why, and the front ends with that: status 3."""
    folder = Path(place.environment["AUDIOTAP_RUNTIME_DIR"]) / "audiotap"
    folder.mkdir()
    folder.chmod(0o755)
    ended = await place.run("listen", "--port", 0, "--workers", 2)
    assert ended.status == 3
    assert "is open to others" in ended.err


async def test_names_of_all_addresses(place: Place) -> None:
    """Where a host has several addresses, every worker listens on all of them."""
    listener = await place.listen("--workers", 2, "--host", "localhost")
    for n in range(6):
        await call(listener.url, attendee(SOUND, 3.0, bot=f"bot_{n}"))
    assert (await listener.stop()).status == 0
    for n in range(6):
        assert_same((await listener.finished(f"bot_{n}")).samples("mixed"), SOUND)


def test_one_meter_for_all_workers(place: Place) -> None:
    """The terminal shows every bot's tracks with their levels, whichever worker has them, and Ctrl-C ends it."""
    with terminal(place, "listen", "--port", "0", "--workers", "2") as shown:
        text = shown.shows(has(r"listening on ws://\S+"))
        url = re.findall(r"ws://[^\s,]+", text)[0]
        ids = [id_of(0), id_of(1)]
        command = [sys.executable, "-m", "audiotap", "sim", "bot", "--loop", "--file", HELLO, "--url", url, "--id"]
        bots = [subprocess.Popen([*command, one], env=place.environment, stderr=subprocess.DEVNULL) for one in ids]
        tracks = [rf"attendee {one} [^$]*mixed .*{BAR}.* {LEVELS}" for one in ids]
        shown.shows(has(*tracks, "2 sessions", "4 tracks"))
        for bot in bots:
            bot.terminate()
            bot.wait()
        shown.child.sendintr()
        assert shown.ended() == 0
