"""Disks that are full, read-only or emptied: it is told, what was written stays valid, and no other call suffers."""

from __future__ import annotations

import errno
import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from signal import Signals

import numpy as np
import pytest
from tests.scenarios.faults import TRACKS, Disk, calling, readers, signal
from tests.scenarios.harness import RATE, Listener, Place, assert_same, attendee, ramp, read
from websockets.asyncio.client import ClientConnection, connect

MIB = 2**20
SOUND = ramp(1)
SILENCE = np.zeros_like(SOUND)
ON_TMPFS = f'mount -t tmpfs -o size={MIB} tmpfs "$0" && exec "$@"'
TMPFS = [("unshare", *how, "sh", "-c", ON_TMPFS) for how in (("-Urm",), ("-m",))]
"""Commands that run another one with a file system of 1 MiB on a folder, as seen by that one only."""


def on_tmpfs(folder: Path) -> tuple[str | Path, ...]:
    """The command that works here."""
    folder.mkdir()
    for command in TMPFS:
        if shutil.which("unshare") and not subprocess.run([*command, folder, "true"], check=False).returncode:
            return (*command, folder)
    pytest.skip("file systems may not be mounted here")


@contextmanager
def kept(listener: Listener, place: Place) -> Iterator[Path]:
    """The folder of recordings as the listener sees it, also when that has ended."""
    folder = os.open(f"/proc/{listener.process.pid}/root{place.out}", os.O_RDONLY)
    try:
        yield Path(f"/proc/self/fd/{folder}")
    finally:
        os.close(folder)


def limited() -> tuple[str, ...]:
    """The command that lets no file grow beyond 1 MiB."""
    if shutil.which("prlimit") is None:
        pytest.skip("prlimit is not installed")
    return ("prlimit", f"--fsize={MIB}")


async def test_a_full_disk(place: Place) -> None:
    """A disk of 1 MiB takes half a minute: the end of it is told at once, and every file that is there is valid."""
    listener = await place.listen(within=on_tmpfs(place.out))
    with kept(listener, place) as disk:
        async with connect(listener.url) as bot:
            await say(bot, 0, "bot_1", "bot_1/ana")
            await listener.event("track.started", track="ana")
            for second in range(1, 40):
                await say(bot, second, "bot_1", "bot_1/ana")
            failed = await listener.event("error", session="bot_1")
            ended = await listener.stop()
        (folder,) = shutil.copytree(disk, place.folder / "kept").iterdir()

    assert "No space left" in failed["message"]
    assert failed["hint"]
    assert len(listener.told("error")) == 1
    assert ended.status == 6
    assert "Traceback" not in ended.err
    assert json.loads((folder / "manifest.json").read_text("utf-8"))["session"] == "bot_1"
    for path in (folder / "mixed.wav", folder / "ana.wav"):
        (samples,) = set(readers(path).values())
        assert samples >= RATE
        assert_same(read(path), np.tile(SOUND, 40)[:samples])


async def test_a_full_disk_keeps_no_drafts(place: Place) -> None:
    """What could not be written to its end is no file."""
    listener = await place.listen(within=on_tmpfs(place.out))
    with kept(listener, place) as disk:
        async with connect(listener.url) as bot:
            await say(bot, 0, "bot_1")
            await listener.event("track.started")
            await bot.send(attendee(ramp(40), 41.0))
            await listener.event("error")
            await listener.stop()
        (folder,) = disk.iterdir()
        assert {path.name for path in folder.iterdir()} == {"mixed.wav", "manifest.json"}


async def test_a_file_that_may_not_grow(place: Place) -> None:
    """One track meets a limit: its loss is counted to the sample, and other tracks and the manifest are complete."""
    listener = await place.listen(within=limited())
    async with connect(listener.url) as bot:
        await say(bot, 0, "bot_1")
        await listener.event("track.started", track="mixed")
        for second in range(1, 40):
            await say(bot, second, "bot_1")
            if second < 30:
                await say(bot, second, "bot_1/ana")
        await listener.event("error", session="bot_1")
        ended = await listener.stop()

    assert ended.status == 6
    recording = await listener.finished("bot_1")
    (samples,) = set(readers(recording.file("mixed")).values())
    assert_same(recording.samples("mixed"), np.tile(SOUND, 40)[:samples])
    assert recording.manifest["lost_samples"] == 40 * RATE - samples
    assert recording.manifest["lossy"]
    assert recording.manifest["ended"] is not None
    assert set(readers(recording.file("ana")).values()) == {30 * RATE}


async def test_what_fits_is_kept(place: Place) -> None:
    """A big write that meets a limit halfway leaves its first half in the file."""
    listener = await place.listen(within=limited())
    async with connect(listener.url) as bot:
        await say(bot, 0, "bot_1")
        await listener.event("track.started", track="mixed")
        await bot.send(attendee(ramp(40), 41.0))
        await listener.event("error")
        await listener.stop()

    recording = await listener.finished("bot_1")
    samples = len(recording.samples("mixed"))
    assert recording.manifest["lost_samples"] == 41 * RATE - samples
    assert samples * 2 > MIB - 1000


async def test_a_session_on_another_disk_goes_on(place: Place) -> None:
    """Two calls, one on a full disk: only that one is told of and has a hole, and it goes on when there is room."""
    disk = Disk(place)
    listener = await place.listen(environment=disk.environment)
    async with connect(listener.url) as bots:
        await say(bots, 0, "well", "sick")
        await are_written(listener, bots)
        disk.refuse(errno.ENOSPC, "_sick/")
        await say(bots, 1, "well", "sick")
        await listener.event("error", session="sick")
        disk.recover()
        await say(bots, 2, "well", "sick")
        ended = await listener.stop()

    assert ended.status == 6
    assert [event["session"] for event in listener.told("error")] == ["sick"]
    well, sick = [await listener.finished(session) for session in ("well", "sick")]
    assert_same(well.samples("mixed"), np.concatenate((SOUND, SOUND, SOUND)))
    assert (well.manifest["lossy"], well.manifest["lost_samples"]) == (False, 0)
    assert_same(sick.samples("mixed"), np.concatenate((SOUND, SILENCE, SOUND)))
    assert (sick.manifest["lossy"], sick.manifest["lost_samples"]) == (True, RATE)


async def test_a_folder_that_is_read_only_for_a_while(place: Place) -> None:
    """What comes later lies where it belongs, also in a track and a session that began while nothing could be made."""
    disk = Disk(place)
    listener = await place.listen(environment=disk.environment)
    async with connect(listener.url) as bots:
        await say(bots, 0, "old")
        await are_written(listener, bots)
        disk.refuse(errno.EROFS)
        await say(bots, 0, "old/ana")
        await say(bots, 1, "old", "new", "last")
        for session in ("old", "new", "last"):
            failed = await listener.event("error", session=session)
            assert "Read-only" in failed["message"]
            assert failed["hint"]
        disk.recover()
        await say(bots, 2, "old", "old/ana", "new")
        ended = await listener.stop()

    assert ended.status == 6
    assert len(listener.told("error", session="old")) == 1
    old, new = [await listener.finished(session) for session in ("old", "new")]
    assert_same(old.samples("mixed"), np.concatenate((SOUND, SILENCE, SOUND)))
    assert_same(old.samples("ana"), np.concatenate((SILENCE, SILENCE, SOUND)))
    assert_same(new.samples("mixed"), np.concatenate((SILENCE, SOUND)))
    for recording in (old, new):
        assert recording.manifest["lossy"]
        assert recording.manifest["lost_samples"] >= RATE
        assert recording.manifest["ended"] is not None


async def test_a_folder_that_is_removed_is_made_again(place: Place) -> None:
    """It is told soon, the old folder's name has the rest of the call in its place, and the status says lossy."""
    listener = await place.listen()
    async with calling(listener.url) as call:
        folder = Path((await listener.event("session.started"))["path"])
        await listener.event("track.started", track=TRACKS[-1])
        shutil.rmtree(folder)
        removed = dict(call.sent)
        await call.lasts(3)
        told = listener.told("error", session="bot_1")
        ended = await listener.stop()

    assert len(told) == 1
    assert ended.status == 6
    recording = await listener.finished("bot_1")
    assert recording.folder == folder
    assert recording.manifest["ended"] is not None
    for track in TRACKS:
        samples = recording.samples(track)
        begin = int(np.flatnonzero(samples)[0])
        assert begin <= removed[track] + RATE
        assert_same(samples[begin:], signal(track, begin, len(samples)))
        assert len(samples) >= removed[track] + 3 * RATE


async def test_little_room_is_told_before_the_first_call(place: Place) -> None:
    """A warning at the start, while somebody is still looking."""
    listener = await place.listen("--min-free", "100T")
    warning = await listener.event("warning")
    assert "free" in warning["message"]
    assert (await listener.stop(Signals.SIGTERM)).status == 0


async def say(bots: ClientConnection, second: int, *who: str) -> None:
    """A second of the mix of some sessions, or of a participant after the slash."""
    for one in who:
        session, _, track = one.partition("/")
        await bots.send(attendee(SOUND, second + 1.0, track, bot=session))


async def are_written(listener: Listener, bots: ClientConnection) -> None:
    """Wait until all that was said is in its files: what comes later begins later."""
    await say(bots, 0, "later")
    await listener.event("track.started", session="later")
