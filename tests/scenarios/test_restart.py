"""A listener dies in the middle of a meeting and is started again: the same recording goes on."""

from __future__ import annotations

import json
import signal
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.scenarios.faults import written
from tests.scenarios.harness import RATE, Listener, Place, Samples, assert_same, attendee, chunks, ramp
from websockets.asyncio.client import connect

SOUND = ramp(6)


async def say(listener: Listener, begin: float, end: float, **data: Any) -> None:
    """A stretch of the call over a connection of its own: the mix, and Ana from second 1 on."""
    async with connect(listener.url, compression=None) as bot:
        for n, piece in enumerate(chunks(SOUND), 1):
            if begin < n / 10 <= end + 1e-9:
                await bot.send(attendee(piece, n / 10, **data))
                if n > 10:
                    await bot.send(attendee(piece, n / 10, "ana", participant_name="Ana", **data))
        await (await bot.ping())


def grown(path: Path, size: int) -> None:
    """Wait until a file of any format has that many bytes."""
    while path.stat().st_size < size:
        pass


def with_hole(begin: float, end: float, start: float = 0.0) -> Samples:
    """The call with silence before a start and in a hole."""
    sound = SOUND.copy()
    sound[: round(start * RATE)] = 0
    sound[round(begin * RATE) : round(end * RATE)] = 0
    return sound


@pytest.mark.parametrize("form", ["wav", "bin", "flac"])
async def test_a_killed_listener_is_started_again(place: Place, form: str) -> None:
    """The bot's reconnect goes on in the same folder and files: silence for the hole, aligned to the sample."""
    first = await place.listen("--format", form)
    async with connect(first.url, compression=None) as bot:
        for n, piece in enumerate(chunks(SOUND)[:30], 1):
            await bot.send(attendee(piece, n / 10))
            if n > 10:
                await bot.send(attendee(piece, n / 10, "ana", participant_name="Ana"))
        await (await bot.ping())
        mixed = Path((await first.event("track.started", track="mixed"))["path"])
        ana = Path((await first.event("track.started", track="ana"))["path"])
        header = 0 if form == "bin" else 80
        while min(path.stat().st_size for path in (mixed, ana)) < header + 2 * 3 * RATE:
            pass
        await first.stop(signal.SIGKILL)

    second = await place.listen("--format", form)
    started = await second.event("session.started")
    await say(second, 4.0, 6.0)
    ended = await second.stop()

    recording = await second.finished("bot_1")
    assert started["resumed"]
    assert recording.folder == mixed.parent == Path(started["path"])
    assert (recording.manifest["restarts"], recording.manifest["connections"]) == (1, 2)
    assert recording.manifest["ended"] is not None
    assert recording.manifest["lossy"]
    assert recording.entry("ana")["names"] == ["Ana"]
    assert recording.entry("mixed")["gap_samples"] == RATE
    assert len(list(place.out.iterdir())) == 1
    if form != "bin":
        assert_same(recording.samples("mixed"), with_hole(3.0, 4.0))
        assert_same(recording.samples("ana"), with_hole(3.0, 4.0, start=1.0))
    else:
        assert_same(np.frombuffer(recording.file("mixed").read_bytes(), "<i2"), with_hole(3.0, 4.0))
    assert ended.status == 6


async def test_a_bot_that_never_comes_back(place: Place) -> None:
    """What was left open is ended like any session whose bot stays away, and the next start leaves it alone."""
    first = await place.listen()
    async with connect(first.url) as bot:
        await bot.send(attendee(SOUND, 6.0))
        written(Path((await first.event("track.started"))["path"]), len(SOUND))
        await first.stop(signal.SIGKILL)

    second = await place.listen("--linger", 0.1)
    recording = await second.finished("bot_1")
    assert (await second.stop()).status == 6
    third = await place.listen()
    await third.stop()

    assert_same(recording.samples("mixed"), SOUND)
    assert recording.manifest["ended"] is not None
    assert third.told("session.started") == []


async def test_what_another_listener_records_is_left_alone(place: Place) -> None:
    """Two listeners share a folder: the second one takes nothing that the first one still writes."""
    first = await place.listen()
    async with connect(first.url) as bot:
        await bot.send(attendee(SOUND[: 3 * RATE], 3.0))
        await first.event("track.started")
        second = await place.listen()
        await bot.send(attendee(SOUND[3 * RATE :], 6.0))
        await (await bot.ping())
        assert (await second.stop(signal.SIGTERM)).status == 0
        assert (await first.stop()).status == 0

    assert second.told("session.started") == []
    assert_same((await first.finished("bot_1")).samples("mixed"), SOUND)


async def test_killed_again_and_again(place: Place) -> None:
    """Each restart goes on where the last one was; every hole is silence, and the manifest counts them."""
    for turn in range(4):
        listener = await place.listen()
        async with connect(listener.url) as bot:
            begin = turn * 1.5
            await bot.send(attendee(SOUND[round(begin * RATE) : round((begin + 1) * RATE)], begin + 1))
            path = Path((await listener.event("track.started"))["path"])
            written(path, round((begin + 1) * RATE))
            await listener.stop(signal.SIGKILL)

    last = await place.listen()
    await last.stop()
    recording = await last.finished("bot_1")
    expected = SOUND[: round(5.5 * RATE)].copy()
    for turn in range(3):
        expected[round((turn * 1.5 + 1) * RATE) : round((turn * 1.5 + 1.5) * RATE)] = 0
    assert_same(recording.samples("mixed"), expected)
    assert recording.manifest["restarts"] == 4
    assert json.loads((recording.folder / "manifest.json").read_text("utf-8"))["tracks"][0]["gaps"] == 3


@pytest.mark.parametrize(("before", "after"), [("wav", "bin"), ("bin", "wav"), ("flac", "bin")])
async def test_started_again_with_another_format(place: Place, before: str, after: str) -> None:
    """A recording goes on as the files that it has; only new sessions get the new format."""
    first = await place.listen("--format", before)
    async with connect(first.url) as bot:
        await bot.send(attendee(SOUND[: 3 * RATE], 3.0))
        mixed = Path((await first.event("track.started"))["path"])
        grown(mixed, 2 * 3 * RATE)
        await first.stop(signal.SIGKILL)

    second = await place.listen("--format", after)
    await say(second, 3.0, 6.0)
    await second.stop()
    recording = await second.finished("bot_1")
    assert recording.manifest["lost_samples"] == 0
    assert recording.manifest["format"] == before
    assert (await place.run("check", place.out)).out.decode().count("cannot be brought back") == 0


async def test_a_session_of_a_provider_that_nobody_knows(place: Place) -> None:
    """A newer audiotap left it open: this one says so, leaves it alone, and listens."""
    folder = place.out / "20260102T030405Z_phone_1"
    folder.mkdir(parents=True)
    document = {"version": 1, "provider": "phone", "session": "1", "started": "2026-01-02T03:04:05Z", "format": "wav"}
    (folder / "manifest.json").write_text(json.dumps(document | {"tracks": []}))
    listener = await place.listen()
    assert (await listener.stop(signal.SIGTERM)).status == 0
    assert any(folder.name in warning for warning in listener.warnings())
