"""Several listeners are one fleet: bots are reached wherever they are, and go on where they connect next."""

from __future__ import annotations

import os
import signal
import sys
from functools import partial
from pathlib import Path

import pytest
from tests.scenarios.harness import (
    RATE,
    Place,
    Running,
    Samples,
    assert_same,
    attendee,
    ramp,
    recall,
    sounding,
    stretch,
    write,
)
from tests.scenarios.nats_server import NatsServer, needs_nats
from tests.scenarios.test_drain import LONG, drains
from websockets.asyncio.client import connect

pytestmark = needs_nats
SOUND = ramp(6)
say = partial(stretch, SOUND)
"""A stretch of the call."""


async def has(tail: Running, seconds: float) -> None:
    """Wait until a listener has heard so much."""
    await tail.until(lambda: len(tail.out) >= 2 * seconds * RATE or None, f"{seconds} s")


def only(begin: float, end: float) -> Samples:
    """The call up to an end, with silence before a beginning."""
    sound = SOUND[: round(end * RATE)].copy()
    sound[: round(begin * RATE)] = 0
    return sound


async def test_a_bot_is_spoken_to_from_anywhere(place: Place, nats: NatsServer) -> None:
    """Two nodes with a bot each: speech goes to the one that is meant, wherever it is, and is recorded there."""
    one, two = await place.node(nats.url, "one"), await place.node(nats.url, "two")
    hello = write(place.folder / "hello.wav", ramp(2))
    async with connect(one.url) as first, connect(two.url) as second:
        await say(first, 0, 6, "bot_one")
        await say(second, 0, 6, "bot_two")
        await nats.knows("bot_one", "bot_two")
        spoken = await place.run("speak", hello, "--bot", "bot_two", "--fleet", nats.url, "--json")
        paused = await place.run("pause", 100, "--bot", "bot_one", "--fleet", nats.url, "--json")
        stopped = await place.run("stop", "--bot", "bot_t", "--fleet", nats.url, "--json")
        status = await place.run("status", "--fleet", nats.url, "--json")
    await one.stop()
    await two.stop()
    assert spoken.json == {"sent": 2.0, "stopped": False}
    assert paused.json == {"session": "bot_one", "paused": 0.1, "told": True}
    assert stopped.json == {"session": "bot_two", "dropped": 0.0}
    assert {tuple(s["session"] for s in node["sessions"]) for node in status.json} == {("bot_one",), ("bot_two",)}
    assert_same(sounding((await two.finished("bot_two")).samples("spoken")), ramp(2))


async def test_nobody_holds_the_bot(place: Place, nats: NatsServer) -> None:
    """Status 4, and the bots that are there; the same where there is no node, and where there is no NATS."""
    no_node = await place.run("pause", 0, "--fleet", nats.url)
    one = await place.node(nats.url, "one")
    async with connect(one.url) as first, connect(one.url) as second:
        await say(first, 0, 1, "bot_one")
        await say(second, 0, 1, "bot_two")
        await nats.knows("bot_one", "bot_two")
        nobody = await place.run("speak", write(place.folder / "a.wav", ramp(1)), "--bot", "x", "--fleet", nats.url)
        several = await place.run("stop", "--fleet", nats.url)
    await one.stop()
    gone = await place.run("stop", "--bot", "bot_one", "--fleet", nats.url)
    no_nodes = await place.run("status", "--fleet", nats.url)
    await nats.kill()
    no_nats = await place.run("stop", "--fleet", nats.url)

    assert [run.status for run in (no_node, nobody, several, gone, no_nodes, no_nats)] == [4, 4, 2, 4, 4, 4]
    assert "no bot 'x' is here" in nobody.err
    assert {"bot_one", "bot_two"} <= set(nobody.err.replace(",", " ").split())
    assert "several bots are connected" in several.err
    assert "no node holds bot bot_one" in gone.err
    assert f"cannot reach the fleet at {nats.url}: Connection refused" in no_nats.err


async def test_a_session_moves(place: Place, nats: NatsServer) -> None:
    """Its node is killed: what the bot says at the next one has the same positions, to the sample."""
    one, two = await place.node(nats.url, "one"), await place.node(nats.url, "two")
    async with connect(one.url) as bot:
        await say(bot, 0, 3)
        await one.event("track.started")
        await one.stop(signal.SIGKILL)
    async with connect(two.url) as bot:
        await say(bot, 4, 6)
        paused = await place.run("pause", 0, "--bot", "bot_1", "--fleet", nats.url, "--wait", 10)
    await two.stop()
    recording = await two.finished("bot_1")
    assert paused.status == 0
    assert recording.entry("mixed")["start"] == 4 * RATE
    assert recording.manifest["continued_from"]
    assert_same(recording.samples("mixed"), only(4, 6))
    assert (await place.run("check", recording.folder)).status == 0


async def test_a_session_moves_there_and_back(place: Place, nats: NatsServer) -> None:
    """Nobody dies: the node that had it before stays away from it, and goes on with it when the bot is back."""
    one, two = await place.node(nats.url, "one"), await place.node(nats.url, "two")
    async with connect(one.url) as bot:
        await say(bot, 0, 2)
    async with connect(two.url) as bot:
        await say(bot, 2, 4)
        there = await place.run("pause", 0, "--fleet", nats.url, "--wait", 10)
        await one.event("session.started")
    async with connect(one.url) as bot:
        await say(bot, 4, 6)
        back = await place.run("pause", 0, "--fleet", nats.url, "--wait", 10)
    assert (there.status, back.status) == (0, 0)
    await one.stop()
    await two.stop()
    expected = SOUND.copy()
    expected[2 * RATE : 4 * RATE] = 0
    assert_same((await one.finished("bot_1")).samples("mixed"), expected)
    assert_same((await two.finished("bot_1")).samples("mixed"), only(2, 4))


async def test_a_node_is_stopped(place: Place, nats: NatsServer) -> None:
    """Its sessions go on elsewhere, on the same line: a listener's end is no end of a meeting."""
    one, two = await place.node(nats.url, "one"), await place.node(nats.url, "two")
    async with connect(one.url) as bot:
        await say(bot, 0, 3)
        await one.stop(signal.SIGTERM)
    async with connect(two.url) as bot:
        await say(bot, 3, 6)
    await two.stop()
    assert_same((await one.finished("bot_1")).samples("mixed"), only(0, 3))
    assert_same((await two.finished("bot_1")).samples("mixed"), only(3, 6))


async def test_a_session_ends(place: Place, nats: NatsServer) -> None:
    """Its bot stayed away too long: when it comes back after all, that is a new session, wherever."""
    one, two = await place.node(nats.url, "one", "--linger", "0.1"), await place.node(nats.url, "two")
    async with connect(one.url) as bot:
        await say(bot, 0, 3)
    await one.finished("bot_1")
    status = await place.run("pause", 0, "--bot", "bot_1", "--fleet", nats.url)
    async with connect(two.url) as bot:
        await say(bot, 3, 6)
    await two.stop()
    recording = await two.finished("bot_1")
    assert status.status == 4
    assert recording.manifest["continued_from"] is None
    assert_same(recording.samples("mixed"), SOUND[3 * RATE :])


async def test_a_node_drains(place: Place, nats: NatsServer) -> None:
    """It keeps its bot, which can be controlled, until a second signal; then the bot goes on elsewhere, on its line."""
    one, two = await place.node(nats.url, "one", *LONG), await place.node(nats.url, "two")
    async with connect(one.url) as bot:
        await say(bot, 0, 1)
        await one.event("track.started")
        await nats.knows("bot_1")
        await drains(one)
        paused = await place.run("pause", 0, "--bot", "bot_1", "--fleet", nats.url, "--json")
        await say(bot, 1, 2)
        one.process.send_signal(signal.SIGTERM)
        await bot.wait_closed()
        closed = bot.close_code
    async with connect(two.url) as bot:
        await say(bot, 3, 5)
        back = await place.run("pause", 0, "--bot", "bot_1", "--fleet", nats.url, "--wait", 10)
    ended = await one.ended()
    await two.stop()
    assert (paused.json["told"], closed, back.status) == (True, 1012, 0)
    assert ended.status == 0
    assert_same((await one.finished("bot_1")).samples("mixed"), only(0, 2))
    assert_same((await two.finished("bot_1")).samples("mixed"), only(3, 5))


async def test_the_node_dies_while_it_is_spoken_to(place: Place, nats: NatsServer) -> None:
    """The speaker is told which node went away, and ends; it does not wait for somebody who is dead."""
    one = await place.node(nats.url, "one")
    async with connect(one.url) as bot:
        await say(bot, 0, 1)
        await nats.knows("bot_1")
        long = write(place.folder / "long.wav", ramp(60))
        speaking = await place.start("speak", long, "--fleet", nats.url, "--wait", 20)
        await bot.recv()
        await one.stop(signal.SIGKILL)
        ended = await speaking.ended()
    assert ended.status == 4
    assert "went away: nobody is there any more" in ended.err


async def test_the_speaker_dies(place: Place, nats: NatsServer) -> None:
    """Its speech goes with it, and the next one's turn comes."""
    one = await place.node(nats.url, "one")
    async with connect(one.url) as bot:
        await say(bot, 0, 1)
        await nats.knows("bot_1")
        speaking = await place.start(
            "speak", write(place.folder / "long.wav", ramp(60)), "--fleet", nats.url, "--wait", 20
        )
        await bot.recv()
        await speaking.stop(signal.SIGKILL)
        spoken = await place.run("speak", write(place.folder / "short.wav", ramp(1)), "--fleet", nats.url, "--json")
    assert spoken.json == {"sent": 1.0, "stopped": False}


async def test_two_listen_and_nobody_does(place: Place, nats: NatsServer) -> None:
    """Both hear each sample once it is recorded; before the first and after the last listener nothing is published."""
    one = await place.node(nats.url, "one")
    async with nats.overheard("audiotap.live.>") as published, connect(one.url) as bot:
        await say(bot, 0, 1)
        await nats.knows("bot_1")
        before = len(published)
        tails = [await place.start("tail", "bot_1", "--fleet", nats.url) for _ in range(2)]
        for tail in tails:
            await tail.says("listening to mixed of bot_1")
        await say(bot, 1, 3)
        for tail in tails:
            await has(tail, 2)
            ended = await tail.stop()
            assert (ended.status, ended.out) == (0, SOUND[RATE : 3 * RATE].tobytes())
        while_heard = len(published)
        await place.run("status", "--fleet", nats.url)
        await say(bot, 3, 6)
        await place.run("status", "--fleet", nats.url)
        assert before == 0
        assert while_heard > 0
        assert len(published) == while_heard


async def test_a_slow_listener_loses_its_own(place: Place, nats: NatsServer) -> None:
    """One reads nothing: it is told that it misses samples, and the other one and the recording have them all."""
    sound = ramp(160)
    one = await place.node(nats.url, "one")
    reading, writing = os.pipe()
    async with connect(one.url, compression=None) as bot:
        await bot.send(attendee(sound[:RATE], 1.0))
        await one.event("track.started")
        await nats.knows("bot_1")
        slow = await place.start("tail", "--fleet", nats.url, stdout=writing)
        quick = await place.start("tail", "--fleet", nats.url)
        os.close(writing)
        await slow.says("listening")
        await quick.says("listening")
        for second in range(1, 160):
            await bot.send(attendee(sound[second * RATE : (second + 1) * RATE], second + 1.0))
            await (await bot.ping())
        await has(quick, 159)
        await slow.says("standard output is too slow; audio is dropped there")
    os.close(reading)
    await slow.ended()
    assert (await quick.stop()).out == sound[RATE:].tobytes()
    await one.stop()
    assert_same((await one.finished("bot_1")).samples("mixed"), sound)


async def test_a_listener_goes_with_its_bot(place: Place, nats: NatsServer) -> None:
    """The bot connects to another node: its listener hears silence for what was missed, the rest, and its end."""
    one = await place.node(nats.url, "one")
    two = await place.node(nats.url, "two", "--linger", "0.1")
    async with connect(one.url) as bot:
        await say(bot, 0, 1)
        await nats.knows("bot_1")
        tail = await place.start("tail", "--track", "mixed", "--fleet", nats.url)
        await tail.says("listening")
        await say(bot, 1, 3)
        await has(tail, 2)
        await one.stop(signal.SIGKILL)
    async with connect(two.url) as bot:
        await say(bot, 3, 4)
        await tail.says("(?s)listening.*listening")
        await say(bot, 4, 6)
    ended = await tail.ended()
    expected = SOUND[RATE:].copy()
    expected[2 * RATE : 3 * RATE] = 0
    assert (ended.status, ended.out) == (0, expected.tobytes())


@pytest.mark.parametrize("fleet", [True, False])
async def test_a_participant_of_a_recall_bot_is_heard(place: Place, nats: NatsServer, fleet: bool) -> None:
    """Who cannot be spoken to can be listened to, by name; without a fleet over the control socket."""
    one = await (place.node(nats.url, "one") if fleet else place.listen())
    where = ("--fleet", nats.url) if fleet else ()
    async with connect(one.url) as bot:
        await bot.send(recall(SOUND[:RATE], 0.0, {"id": 7, "name": "Ana Gómez"}))
        await one.event("track.started")
        if fleet:
            await nats.knows("rec")
        nobody = await place.run("tail", "--track", "Bo", *where)
        tail = await place.start("tail", "--track", "Ana Gómez", *where)
        await tail.says("listening to 7 of rec")
        await bot.send(recall(SOUND[RATE : 2 * RATE], 1.0, {"id": 7, "name": "Ana Gómez"}))
        await has(tail, 1)
    ended = await tail.stop()
    assert ended.out == SOUND[RATE : 2 * RATE].tobytes()
    assert nobody.status == 4
    assert "there are: 7" in nobody.err


@pytest.mark.parametrize("session", ["a.b.*.>", "bot\r\nPUB x 0\r\n", "../../etc", "ü" * 4000, " "])
async def test_ids_are_whatever_a_network_says(place: Place, nats: NatsServer, session: str) -> None:
    """Dots, wildcards, line ends and pages of text in a bot's id: it is reached, heard, and goes on elsewhere."""
    one, two = await place.node(nats.url, "one"), await place.node(nats.url, "two")
    async with connect(one.url) as bot:
        await say(bot, 0, 1, session)
        await nats.knows(session)
        paused = await place.run("pause", 0, "--bot", session, "--fleet", nats.url, "--json")
        tail = await place.start("tail", session, "--fleet", nats.url)
        await tail.says("listening")
        await say(bot, 1, 2, session)
        await has(tail, 1)
        await one.stop(signal.SIGKILL)
    async with connect(two.url) as bot:
        await say(bot, 3, 4, session)
    await two.stop()
    assert paused.json["session"] == session
    assert_same((await two.finished(session)).samples("mixed"), only(3, 4))


async def test_speech_comes_in_pieces(place: Place, nats: NatsServer) -> None:
    """A bot that holds its speech is sent no more than it was granted, in messages that every server takes."""
    one = await place.node(nats.url, "one")
    async with connect(one.url) as bot, nats.overheard(">") as said:
        await say(bot, 0, 1)
        await nats.knows("bot_1")
        await place.run("pause", 30_000, "--fleet", nats.url, "--wait", 20)
        long = write(place.folder / "long.wav", ramp(120, 48000), 48000)
        speaking = await place.start("speak", long, "--fleet", nats.url)
        while (await place.run("status", "--json")).json[0]["sessions"][0]["queue"] < 5:
            pass
        frames = [len(data) for subject, data in said if subject.startswith("_INBOX") and len(data) > 10_000]
        await speaking.stop()
    assert max(len(data) for _, data in said) < 64 * 1024
    assert sum(frames) < 3_000_000


async def test_workers_are_nodes(place: Place, nats: NatsServer) -> None:
    """Each worker of a listener answers for its own bots; clients see no difference."""
    one = await place.node(nats.url, "one", "--workers", "2")
    async with connect(one.url) as bot, connect(one.url) as other:
        await say(bot, 0, 1, "bot_one")
        await say(other, 0, 1, "bot_two")
        await nats.knows("bot_one", "bot_two")
        status = await place.run("status", "--fleet", nats.url, "--json")
        paused = [await place.run("pause", 0, "--bot", b, "--fleet", nats.url) for b in ("bot_one", "bot_two")]
        tail = await place.start("tail", "bot_two", "--fleet", nats.url)
        here = await place.start("tail", "bot_two")
        await tail.says("listening")
        await here.says("listening")
        await say(other, 1, 2, "bot_two")
        await has(tail, 1)
        await has(here, 1)
    ended = await one.stop()
    assert len(status.json) == 2
    assert [run.status for run in paused] == [0, 0]
    assert ended.status == 0


async def test_without_the_library(place: Place) -> None:
    """Who has no nats-py is told what to type, before any port is bound; everything else needs none."""
    missing = place.folder / "missing"
    missing.mkdir()
    (missing / "nats.py").write_text("raise ImportError('no nats')\n")
    path = {"PYTHONPATH": f"{missing}:{place.environment['PYTHONPATH']}"}
    told = await (await place.start("listen", "--fleet", "nats://127.0.0.1:1", environment=path)).ended()
    asked = await (await place.start("status", environment=path | {"AUDIOTAP_FLEET": "nats://x"})).ended()
    plain = await (await place.start("status", environment=path)).ended()
    assert [run.status for run in (told, asked, plain)] == [3, 3, 4]
    assert f"{sys.executable} -m pip install nats-py" in told.err


@pytest.mark.parametrize("url", ["nats://", "http://x", "nats://h:port", " , ", "x"])
async def test_what_names_no_server(place: Place, url: str) -> None:
    """Status 2, and how servers are written."""
    ended = await place.run("status", "--fleet", url)
    assert ended.status == 2
    assert "nats://HOST:4222" in ended.err


async def test_a_password_is_nobodys_business(place: Place, tmp_path: Path) -> None:
    """It is in the URL, and in nothing that is told, whether it is right or wrong."""
    server = NatsServer(tmp_path, options=("--user", "me", "--pass", "pa55word"))
    await server.start()
    try:
        right = server.url.replace("://", "://me:pa55word@")
        wrong = server.url.replace("://", "://me:pa55worse@")
        one = await place.node(right, "one")
        refused = await place.node(wrong, "two")
        await refused.event("warning")
        async with connect(one.url) as bot, connect(refused.url) as other:
            await say(bot, 0, 1)
            await say(other, 0, 1)
            paused = await place.run("pause", 0, "--fleet", right, "--wait", 10)
            wrongly = await place.run("pause", 0, "--fleet", wrong)
        ended = [await one.stop(), await refused.stop(), paused, wrongly]
    finally:
        await server.kill()
    assert (paused.status, wrongly.status) == (0, 4)
    assert "Authorization Violation" in wrongly.err
    assert all("pa55" not in run.err and b"pa55" not in run.out for run in ended)
