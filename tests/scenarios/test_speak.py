"""Speaking into a meeting: what is heard there, queues, pauses, stops and interruptions, measured at the bot."""

from __future__ import annotations

import asyncio
import base64
import json
from asyncio.subprocess import PIPE
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soxr
from tests.scenarios.harness import (
    DEADLINE,
    HELLO,
    RATE,
    Ended,
    Listener,
    Place,
    Running,
    Samples,
    assert_same,
    attendee,
    chunks,
    ramp,
    read,
    sounding,
    tone,
    write,
)
from websockets.asyncio.client import ClientConnection, connect

LEAD = 0.3
MARGIN = 0.2
"""Seconds that a busy machine may be late."""
SILENCE = np.zeros(60 * RATE, np.int16)


async def meeting(place: Place, *options: str, voice: Samples = SILENCE) -> tuple[Listener, Running]:
    """A listener, and an Attendee bot that it hears already."""
    listener = await place.listen(*options)
    bot = await join(place, listener, "bot_1", voice=voice)
    return listener, bot


async def join(
    place: Place, listener: Listener, name: str, *options: str, voice: Samples = SILENCE, provider: str = "attendee"
) -> Running:
    """Another bot; what it plays is kept in a folder of its name."""
    file = write(place.folder / f"{name}.wav", voice)
    bot = await place.bot(
        listener.url,
        *("--id", name, "--provider", provider, "--streams", "mixed", "--loop", *options),
        "--file",
        file,
        "--record",
        place.folder / name,
    )
    await listener.event("track.started", session=name, track="mixed")
    return bot


async def heard(bot: Running) -> tuple[dict[str, Any], Samples]:
    """End the bot: what it tells, and what its meeting heard of us."""
    summary: dict[str, Any] = (await bot.stop()).json
    return summary, sounding(read(Path(summary["played_file"])))


async def spoken(listener: Listener, session: str = "bot_1") -> Samples:
    """End the listener: what it recorded as spoken."""
    await listener.stop()
    return sounding((await listener.finished(session)).samples("spoken"))


async def begins(listener: Listener) -> None:
    """The first block has been sent."""
    await listener.event("track.started", track="spoken")


# What is heard


@pytest.mark.parametrize("platform", ["meet", "zoom"])
async def test_the_meeting_hears_what_was_spoken(place: Place, platform: str) -> None:
    """Every sample of the file, once and in order, is what the meeting hears and what spoken.wav holds."""
    listener = await place.listen()
    bot = await join(place, listener, "bot_1", "--platform", platform)
    ended = await place.run("speak", HELLO)
    summary, played = await heard(bot)

    assert ended.status == 0
    assert ended.out == b""
    assert "sent 3.7 s" in ended.err
    assert "\x1b" not in ended.err
    assert_same(played, sounding(read(HELLO)))
    assert_same(await spoken(listener), sounding(read(HELLO)))
    assert summary["residue_lost"] == summary["unplayable"] == summary["malformed"] == 0
    assert summary["played_seconds"] == pytest.approx(3.8)


async def test_a_stereo_file_of_44100_hz(place: Place) -> None:
    """Channels are mixed and the rate becomes one that the bot takes, as a resampler of one piece would do it."""
    _, bot = await meeting(place)
    sides = np.stack([12000 + tone(1.5, 44100), 12000 - tone(1.5, 44100) // 2], axis=1)
    ended = await place.run("speak", write(place.folder / "stereo.wav", sides, 44100), "--json")
    _, played = await heard(bot)

    assert ended.json == {"sent": 1.5, "stopped": False}
    expected = soxr.resample(sides.mean(axis=1), 44100, RATE)
    assert len(played) == len(expected) == 1.5 * RATE
    assert np.abs(played[200:-200] - expected[200:-200]).max() <= 4


@pytest.mark.parametrize("raw", [False, True])
async def test_standard_input(place: Place, raw: bool) -> None:
    """A pipe speaks as a file does: a WAV, or bare samples with --raw."""
    listener, bot = await meeting(place)
    sound = ramp(1.23)
    options = ("--raw", RATE) if raw else ()
    data = sound.tobytes() if raw else write(place.folder / "pipe.wav", sound).read_bytes()
    speaker = await place.start("speak", "-", *options, stdin=PIPE)
    await speaker.feed(data)
    ended = await speaker.ended()
    _, played = await heard(bot)

    assert ended.status == 0
    assert_same(played, sound)
    assert_same(await spoken(listener), sound)


async def test_two_speaks_queue_up(place: Place) -> None:
    """The second begins when the first is over."""
    listener, bot = await meeting(place)
    first, second = ramp(2), ramp(3)[: RATE - 1 : -1]
    one = await place.start("speak", write(place.folder / "one.wav", first))
    await begins(listener)
    two = await place.start("speak", write(place.folder / "two.wav", second))
    await two.says("waiting for its turn")

    assert [(await speaker.ended()).status for speaker in (one, two)] == [0, 0]
    _, played = await heard(bot)
    assert_same(played, np.concatenate((first, second)))


# Pause and stop


@pytest.mark.parametrize("platform", ["meet", "zoom"])
async def test_a_pause_is_silence_in_the_meeting_and_loses_nothing(place: Place, platform: str) -> None:
    """The bot is told and our queue holds: the meeting hears nothing for the pause (less the lead), then the rest."""
    listener = await place.listen()
    bot = await join(place, listener, "bot_1", "--platform", platform)
    sound = ramp(4)
    speaker = await place.start("speak", write(place.folder / "speech.wav", sound))
    await begins(listener)
    paused = await place.run("pause", 2000, "--json")
    await speaker.says("paused")
    ended = await speaker.ended()
    summary, played = await heard(bot)

    assert (paused.status, paused.json) == (0, {"session": "bot_1", "paused": 2.0, "told": True})
    assert ended.status == 0
    assert [seconds for _, seconds in summary["pauses"]] == [2.0]
    assert longest_hole(summary) >= 2.0 - LEAD - MARGIN
    assert_same(played, sound)
    assert_same(await spoken(listener), sound)


def longest_hole(summary: dict[str, Any]) -> float:
    """Seconds in which the meeting heard nothing of us in the middle of our speech."""
    stretches = summary["played"]
    return max((float(b[0]) - float(a[1]) for a, b in pairwise(stretches)), default=0.0)


@pytest.mark.parametrize(
    ("spelling", "data"),
    [
        ("", {"trigger": "pause_current_lecture", "data": {"duration": 700}}),
        (
            "realtime_audio.pause_current_lecture",
            {"trigger": "realtime_audio.pause_current_lecture", "data": {"duration": 700}},
        ),
        (
            "realtime_audio.interrupt_current_lecture",
            {"trigger": "realtime_audio.interrupt_current_lecture", "data": {"duration": 0.7}},
        ),
    ],
)
async def test_the_spellings_of_a_pause(place: Place, spelling: str, data: dict[str, Any]) -> None:
    """Each fork is told in its own word and unit."""
    listener = await place.listen()
    async with connect(listener.url) as bot:
        await bot.send(attendee(ramp(0.1), 0.1))
        await listener.event("track.started")
        ended = await place.run("pause", 700, *(("--spelling", spelling) if spelling else ()))
        assert json.loads(await receive(bot)) == data
    assert ended.status == 0


async def test_an_unknown_spelling(place: Place) -> None:
    """Exit status 2, and the words that there are."""
    await meeting(place)
    ended = await place.run("pause", 700, "--spelling", "shut_up")
    assert ended.status == 2
    assert "realtime_audio.interrupt_current_lecture" in ended.err


async def test_stop_drops_what_is_queued_and_what_waits(place: Place) -> None:
    """Both speakers end with status 1 and say so; what comes after is heard at once and whole."""
    listener, bot = await meeting(place)
    speech = write(place.folder / "speech.wav", ramp(40))
    one = await place.start("speak", speech)
    await begins(listener)
    two = await place.start("speak", speech)
    await two.says("waiting for its turn")
    stopped = await place.run("stop")
    for speaker in (one, two):
        ended = await speaker.ended()
        assert ended.status == 1
        assert "stopped" in ended.err
    after = write(place.folder / "after.wav", ramp(2)[RATE:])
    assert (await place.run("speak", after)).status == 0
    _, played = await heard(bot)

    assert stopped.status == 0
    assert "dropped" in stopped.err
    assert_same(played[-RATE:], read(after))
    assert_same(played[:-RATE], ramp(40)[: len(played) - RATE])
    assert len(played) < 8 * RATE


async def test_ctrl_c_drops_the_rest(place: Place) -> None:
    """Exit status 130; what was sent was heard, nothing is queued any more, and no more than the lead follows."""
    listener, bot = await meeting(place)
    speaker = await place.start("speak", write(place.folder / "speech.wav", ramp(40)))
    await begins(listener)
    ended = await speaker.stop()
    status = await place.run("status", "--json")
    first = len(read(next(place.out.glob("*/spoken.wav"))))
    after = write(place.folder / "after.wav", ramp(2)[RATE:])
    assert (await place.run("speak", after)).status == 0
    _, played = await heard(bot)

    assert ended.status == 130
    assert "interrupted" in ended.err
    assert status.json[0]["sessions"][0]["queue"] == 0
    assert_same(played[-RATE:], read(after))
    assert_same(played[:-RATE], ramp(40)[: len(played) - RATE])
    assert len(played) - RATE <= first + LEAD * RATE
    assert len(played) < 6 * RATE
    assert_same(await spoken(listener), played)


# Whom one speaks to


@pytest.mark.parametrize("begin", [0, 20000], ids=["before its header", "in the middle"])
async def test_ctrl_c_while_standard_input_says_nothing(place: Place, begin: int) -> None:
    """A pipe that stays open and silent does not keep the command from ending."""
    listener, _ = await meeting(place)
    speaker = await place.start("speak", "-", stdin=PIPE)
    assert speaker.process.stdin is not None
    if begin:
        speaker.process.stdin.write(write(place.folder / "speech.wav", ramp(2)).read_bytes()[:begin])
        await begins(listener)
    else:
        await speaker.says("speaking to")
    ended = await speaker.stop()
    assert ended.status == 130


async def test_standard_input_that_is_no_audio(place: Place) -> None:
    """It is told as for a file."""
    await meeting(place)
    speaker = await place.start("speak", "-", stdin=PIPE)
    await speaker.feed(b"hello, world\n" * 1000)
    ended = await speaker.ended()
    assert ended.status == 2
    assert "cannot read standard input as audio" in ended.err


async def test_nobody_to_speak_to(place: Place) -> None:
    """No listener, no bot, a Recall bot: exit status 4 and what to do about it."""
    ended = await place.run("speak", HELLO)
    assert_tells(ended, 4, "no listener is running", "audiotap listen")
    ended = await place.run("pause", 100, "--port", 9)
    assert_tells(ended, 4, "no listener is running on port 9", "audiotap listen")

    listener = await place.listen()
    assert_tells(await place.run("speak", HELLO), 4, "no bot is connected", "--wait")
    assert_tells(await place.run("stop"), 4, "no bot is connected", "--wait")

    await join(place, listener, "call", provider="recall")
    assert_tells(await place.run("speak", HELLO), 4, "Recall bots cannot be spoken to", "REST")
    assert_tells(await place.run("speak", HELLO, "--bot", "cal"), 4, "Recall bots cannot be spoken to", "REST")
    assert_tells(await place.run("speak", HELLO, "--bot", "other"), 4, "other", "call")


async def test_several_bots(place: Place) -> None:
    """Exit status 2 and a question; a bot's id or its beginning answers it."""
    listener = await place.listen()
    alpha, beta = [await join(place, listener, name) for name in ("alpha-1", "beta-1")]
    sound = ramp(0.5)
    speech = write(place.folder / "speech.wav", sound)
    assert_tells(await place.run("speak", speech), 2, "alpha-1", "beta-1", "--bot")
    assert_tells(await place.run("pause", 100), 2, "alpha-1", "beta-1", "--bot")
    assert_tells(await place.run("speak", speech, "--bot", "gamma"), 4, "gamma", "alpha-1")

    assert (await place.run("speak", speech, "--bot", "be")).status == 0
    summary, played = await heard(beta)
    assert summary["received"] == {"speak": 5}
    assert_same(played, sound)
    assert (await alpha.stop()).json["received"] == {}


async def test_several_listeners(place: Place) -> None:
    """Exit status 2 and their ports; the port or a bot's id answers it, and one with a bot is preferred."""
    listeners = [await place.listen(), await place.listen()]
    bots = [await join(place, listener, f"bot-{n}") for n, listener in enumerate(listeners)]
    speech = write(place.folder / "speech.wav", ramp(0.3))
    assert_tells(await place.run("speak", speech), 2, *(f"--port {listener.port}" for listener in listeners), "bot-1")

    assert (await place.run("speak", speech, "--port", listeners[1].port)).status == 0
    assert (await place.run("speak", speech, "--bot", "bot-1")).status == 0
    both = await place.run("status", "--json")
    assert {one["url"] for one in both.json} == {listener.url for listener in listeners}
    one = await place.run("status", "--json", "--port", listeners[0].port)
    assert [status["url"] for status in one.json] == [listeners[0].url]
    assert (await bots[1].stop()).json["received"] == {"speak": 6}
    assert (await bots[0].stop()).json["received"] == {}


async def test_wait_for_a_bot(place: Place) -> None:
    """--wait begins before there is a listener, and ends when the bot is there."""
    sound = ramp(0.5)
    speaker = await place.start("speak", write(place.folder / "speech.wav", sound), "--wait", DEADLINE)
    listener = await place.listen()
    bot = await join(place, listener, "bot_1")
    assert (await speaker.ended()).status == 0
    _, played = await heard(bot)
    assert_same(played, sound)


async def test_wait_in_vain(place: Place) -> None:
    """Patience ends in status 4."""
    assert_tells(await place.run("speak", HELLO, "--wait", 0.3), 4, "no listener is running")


async def test_status_lists(place: Place) -> None:
    """Listeners, sessions, tracks and what is queued, as text and as JSON."""
    listener, _ = await meeting(place)
    speaker = await place.start("speak", write(place.folder / "speech.wav", ramp(40)))
    await begins(listener)
    text, data = await place.run("status"), await place.run("status", "--json")
    await speaker.stop()

    assert (text.status, text.err) == (0, "")
    lines = text.out.decode().splitlines()
    assert lines[0] == f"{listener.url}: 1 session"
    assert lines[1].startswith("  attendee bot_1: ")
    assert "1 connection" in lines[1]
    assert "queued" in lines[1]
    assert [line.split(":")[0].strip() for line in lines[2:]] == ["mixed", "spoken"]
    session = data.json[0]["sessions"][0]
    assert (session["session"], session["connections"], session["speaks"]) == ("bot_1", 1, True)
    assert session["queue"] > 0


async def test_status_without_a_listener(place: Place) -> None:
    """Exit status 4, and an empty list for scripts."""
    ended = await place.run("status", "--json")
    assert_tells(ended, 4, "no listener is running", "audiotap listen")
    assert ended.json == []


def assert_tells(ended: Ended, status: int, *words: str) -> None:
    """An error is a line of what happened and a line of what to do, and no stack."""
    assert ended.status == status, ended.err
    for word in words:
        assert word in ended.err
    assert 1 <= len(ended.err.splitlines()) <= 3
    assert ended.err.startswith("audiotap: ")


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda path: path, "No such file"),
        (lambda path: path.mkdir() or path, "folder"),
        (lambda path: path.write_text("no audio") and path, "as audio"),
    ],
)
async def test_files_that_are_no_audio(place: Place, make: Any, words: str) -> None:
    """Exit status 2 before anybody is spoken to."""
    _, bot = await meeting(place)
    assert_tells(await place.run("speak", make(place.folder / "speech.wav.d")), 2, words)
    assert (await bot.stop()).json["received"] == {}


# Bots that come and go


async def test_speech_goes_on_when_the_bot_comes_back(place: Place) -> None:
    """While the bot has no connection speech waits, and then it goes on to its last sample."""
    listener = await place.listen("--linger", DEADLINE)
    sound = ramp(3)
    async with connect(listener.url) as bot:
        await bot.send(attendee(ramp(0.1), 0.1))
        await listener.event("track.started")
        speaker = await place.start("speak", write(place.folder / "speech.wav", sound))
        before = [block(await receive(bot)) for _ in range(5)]
    await speaker.says("waiting for the bot to come back")
    async with connect(listener.url) as bot:
        await bot.send(attendee(ramp(0.1), 0.2))
        after = [block(await receive(bot))]
        while not np.array_equal(after[-1], sound[-len(after[-1]) :]):
            after.append(block(await receive(bot)))
        ended = await speaker.ended()

    assert ended.status == 0
    assert len(listener.told("session.started")) == 1
    assert_same(np.concatenate(before), sound[: RATE // 2])
    rest = np.concatenate(after)
    assert_same(rest, sound[-len(rest) :])
    assert len(rest) >= len(sound) - RATE // 2 - 2 * LEAD * RATE


async def test_pause_and_stop_while_the_bot_is_away(place: Place) -> None:
    """Our queue obeys at once, also while nobody is there to be told."""
    listener = await place.listen("--linger", DEADLINE)
    async with connect(listener.url) as bot:
        await bot.send(attendee(ramp(0.1), 0.1))
        await listener.event("track.started")
        speaker = await place.start("speak", write(place.folder / "speech.wav", ramp(3)))
        await receive(bot)
    await speaker.says("waiting for the bot to come back")
    paused = await place.run("pause", 1000, "--json")
    assert paused.json == {"session": "bot_1", "paused": 1.0, "told": False}
    stopped = await place.run("stop", "--json")
    assert stopped.json["dropped"] > 2
    assert (await speaker.ended()).status == 1


async def receive(bot: ClientConnection) -> str:
    """The next thing that a hand-made bot is told."""
    async with asyncio.timeout(DEADLINE):
        return str(await bot.recv())


def block(wire: str) -> Samples:
    """The samples of a bot_output, which is exactly 100 ms."""
    message = json.loads(wire)
    assert message["trigger"] == "realtime_audio.bot_output"
    assert message["data"]["sample_rate"] == RATE
    pcm = base64.b64decode(message["data"]["chunk"], validate=True)
    assert len(pcm) == 2 * RATE // 10
    return np.frombuffer(pcm, dtype="<i2")


async def test_the_bot_leaves_for_good(place: Place) -> None:
    """When its session ends, the speaker is told and ends with status 4."""
    listener, bot = await meeting(place, "--linger", "0.1")
    speaker = await place.start("speak", write(place.folder / "speech.wav", ramp(40)))
    await begins(listener)
    await bot.stop()
    ended = await speaker.ended()
    assert ended.status == 4
    assert "left the meeting" in ended.err


async def test_the_listener_stops_while_somebody_speaks(place: Place) -> None:
    """The speaker ends with status 4, and what was spoken is in a complete file."""
    listener, _ = await meeting(place)
    speaker = await place.start("speak", write(place.folder / "speech.wav", ramp(40)))
    await begins(listener)
    samples = await spoken(listener)
    assert_same(samples, ramp(40)[: len(samples)])
    assert len(samples)
    assert (await speaker.ended()).status == 4


async def test_threshold_holds_speech_while_the_meeting_is_loud(place: Place) -> None:
    """Nothing of us is heard while somebody is loud; all of it is, before and after."""
    quiet, loud = 3.0, 1.5
    voice = np.concatenate((SILENCE[: round(quiet * RATE)], tone(loud), SILENCE))
    _, bot = await meeting(place, "--threshold", "1000", voice=voice)
    sound = ramp(4)
    ended = await place.run("speak", write(place.folder / "speech.wav", sound))
    summary, played = await heard(bot)

    assert ended.status == 0
    assert_same(played, sound)
    for begin, end in summary["played"]:
        assert end < quiet + LEAD + MARGIN or begin > quiet + loud + 0.8 - LEAD - MARGIN


async def test_a_bot_of_another_rate(place: Place) -> None:
    """The bot is spoken to at the rate it was heard at, in blocks of 100 ms of it."""
    listener = await place.listen()
    async with connect(listener.url) as bot:
        await bot.send(attendee(ramp(0.1, 24000), 0.1, sample_rate=24000))
        await listener.event("track.started")
        speaker = await place.start("speak", write(place.folder / "speech.wav", ramp(0.2, 24000), 24000))
        messages = [json.loads(await receive(bot)) for _ in chunks(ramp(0.2))]
        assert (await speaker.ended()).status == 0
    pcm = b"".join(base64.b64decode(message["data"]["chunk"]) for message in messages)
    assert {message["data"]["sample_rate"] for message in messages} == {24000}
    assert_same(np.frombuffer(pcm, dtype="<i2"), ramp(0.2, 24000))
