"""A disk that takes nothing for a while: the bots notice it late or never, and nothing is lost."""

from __future__ import annotations

import asyncio
import re
from pathlib import Path

import pytest
from tests.scenarios.faults import TRACKS, Disk, assert_begins, calling
from tests.scenarios.harness import RATE, Listener, Place, Samples, assert_same, attendee, ramp
from websockets.asyncio.client import ClientConnection, connect

SECONDS = 5.0
LONG = 30
"""Seconds of audio in a big message."""
OFFERED = 80
"""Big messages, of 0.96 MB of samples each."""
PATIENCE = 2.0
"""Seconds after which a message that is not taken is held back."""
WAITING = 16 * 2**20
"""Bytes of audio that may wait for the disk (`--buffer`)."""
MARGIN = 48 * 2**20
"""What else they cost: messages that were taken off the wire and not yet looked at."""


async def test_a_disk_that_stands_still_for_a_while(place: Place) -> None:
    """Bots are heard and answered all the while, so is the control socket, and every sample comes to the disk later."""
    disk = Disk(place)
    listener = await place.listen(environment=disk.environment)
    async with calling(listener.url) as call:
        mixed = Path((await listener.event("track.started", track="mixed"))["path"])
        await listener.event("track.started", track=TRACKS[-1])
        disk.hold()
        for _ in range(5):
            await call.lasts(SECONDS / 5)
            await call.is_answered()
        assert assert_begins(mixed, "mixed") < call.sent["mixed"] - (SECONDS - 1) * RATE
        assert (await place.run("status", "--json")).json[0]["sessions"][0]["session"] == "bot_1"
        disk.recover()
        await call.lasts(0.2)
        sent = dict(call.sent)
        await call.is_answered()
        ended = await listener.stop()

    recording = await listener.finished("bot_1")
    for track in TRACKS:
        assert assert_begins(recording.file(track), track) >= sent[track] > SECONDS * RATE
    assert recording.manifest["lost_samples"] == 0
    assert not recording.manifest["lossy"]
    assert ended.status == 0


async def test_more_than_may_wait_holds_the_bot_back(place: Place) -> None:
    """A disk that hangs costs no more memory than `--buffer` of audio; the bot waits, and loses nothing by it."""
    disk = Disk(place)
    listener = await place.listen("--buffer", WAITING, environment=disk.environment)
    sound = ramp(LONG)
    async with connect(listener.url, compression=None) as bot:
        await bot.send(message(sound, 0))
        await listener.event("track.started", track="mixed")
        before = memory(listener)
        disk.hold()
        sent, held = await until_held_back(bot, sound)
        grown = memory(listener) - before
        print(f"held back after {sent} messages of {sound.nbytes} bytes, with {grown / 2**20:.0f} MiB more")
        assert sent * sound.nbytes > WAITING
        assert grown < WAITING + MARGIN

        disk.recover()
        await held
        for number in range(sent + 1, OFFERED):
            await bot.send(message(sound, number))
        await (await bot.ping())
        ended = await listener.stop()

    samples = (await listener.finished("bot_1")).samples("mixed")
    assert len(samples) == OFFERED * len(sound)
    for start in range(0, len(samples), len(sound)):
        assert_same(samples[start : start + len(sound)], sound)
    assert ended.status == 0


def message(sound: Samples, number: int) -> str:
    return attendee(sound, LONG * (number + 1.0))


async def until_held_back(bot: ClientConnection, sound: Samples) -> tuple[int, asyncio.Task[None]]:
    """Send until a message is not taken; how many were, and the sending of that one."""
    for number in range(1, OFFERED):
        sending = asyncio.create_task(bot.send(message(sound, number)))
        if not (await asyncio.wait({sending}, timeout=PATIENCE))[0]:
            return number, sending
    pytest.fail(f"{OFFERED} messages were taken")


def memory(listener: Listener) -> int:
    """Bytes of memory that a listener occupies."""
    told = re.search(r"VmRSS:\s+(\d+) kB", Path(f"/proc/{listener.process.pid}/status").read_text("utf-8"))
    assert told is not None
    return int(told[1]) * 1024
