"""`audiotap check` after real recorders: what a kill left is repaired, and nothing else is touched."""

from __future__ import annotations

import json
import shutil
import signal
from collections.abc import AsyncIterator
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from tests.scenarios.faults import TRACKS, Disk, assert_begins, calling, readers
from tests.scenarios.harness import Place, attendee, call, ramp


async def recorded(place: Place, session: str = "bot_1") -> Path:
    """The folder of a finished recording."""
    listener = await place.listen("--linger", 0.1)
    await call(listener.url, attendee(ramp(1), 1.0, bot=session))
    recording = await listener.finished(session)
    assert (await listener.stop()).status == 0
    return recording.folder


async def killed(place: Place, *others: str) -> Path:
    """The folder of a recording of eight tracks, beside those of others, whose recorder was killed."""
    listener = await place.listen()
    for other in others:
        await call(listener.url, attendee(ramp(1), 1.0, bot=other))
        await listener.event("track.started", session=other)
    async with calling(listener.url) as bot:
        await bot.lasts(0.5)
        for track in TRACKS:
            await listener.event("track.started", session="bot_1", track=track)
        await listener.stop(signal.SIGKILL)
    return Path((await listener.event("session.started", session="bot_1"))["path"])


def manifest(folder: Path) -> dict[str, Any]:
    document: dict[str, Any] = json.loads((folder / "manifest.json").read_text("utf-8"))
    return document


def state(folder: Path) -> dict[str, tuple[bytes, int]]:
    """All there is in a folder, and when it was changed."""
    return {path.name: (path.read_bytes(), path.stat().st_mtime_ns) for path in folder.iterdir()}


def assert_whole(folder: Path) -> None:
    """Every program reads every file to the sample that the manifest counts."""
    for track in manifest(folder)["tracks"]:
        path = folder / track["file"]
        assert set(readers(path).values()) == {track["samples"]}
        assert assert_begins(path, track["track"]) == track["samples"] > 0


async def test_what_a_kill_left_is_repaired(place: Place) -> None:
    """The session gets its end and its manifest the lengths of all files; the next check finds nothing."""
    folder = await killed(place)
    assert manifest(folder)["ended"] is None

    ended = await place.run("check", place.out)
    assert ended.status == 0
    assert ended.out.decode().splitlines()[0] == f"{folder}: repaired"
    assert "  manifest.json: it has no end: the recorder was killed: repaired" in ended.out.decode().splitlines()
    assert ended.err == "1 session: repaired 1\n"
    assert manifest(folder)["ended"] is not None
    assert manifest(folder)["reason"] == "the recorder was killed"
    assert {track["track"] for track in manifest(folder)["tracks"]} == set(TRACKS)
    assert_whole(folder)

    again = await place.run("check", place.out)
    assert (again.status, again.out.decode(), again.err) == (0, f"{folder}: ok\n", "1 session: ok 1\n")


async def test_what_a_power_cut_left_is_repaired(place: Place) -> None:
    """Besides the kill, the disk lost a header and the manifest, and ended a file in the middle of a sample."""
    folder = await killed(place)
    with (folder / "mixed.wav").open("r+b") as file:
        file.write(bytes(80))
    with (folder / f"{_file(folder, 'person 1')}").open("ab") as file:
        file.write(b"\0")
    (folder / "manifest.json").write_bytes(b"")

    assert (await place.run("check", folder)).status == 0
    assert manifest(folder)["reason"] == "rebuilt by check"
    assert len(manifest(folder)["tracks"]) == len(TRACKS)
    for track in manifest(folder)["tracks"]:
        assert set(readers(folder / track["file"]).values()) == {track["samples"]}
    assert_begins(folder / "mixed.wav", "mixed")
    assert (await place.run("check", folder)).out.decode() == f"{folder}: ok\n"


def _file(folder: Path, track: str) -> str:
    (name,) = (entry["file"] for entry in manifest(folder)["tracks"] if entry["track"] == track)
    return str(name)


async def test_a_recording_in_progress_is_left_alone(place: Place) -> None:
    """It says so, whatever it looks like, and the recording goes on to its end."""
    listener = await place.listen()
    async with calling(listener.url) as bot:
        await bot.lasts(0.2)
        folder = Path((await listener.event("session.started"))["path"])
        ended = await place.run("check", place.out)
        assert (ended.status, ended.out.decode()) == (0, f"{folder}: being recorded, left alone\n")
        assert manifest(folder)["ended"] is None
    assert (await listener.stop()).status == 0
    assert (await place.run("check", place.out)).out.decode() == f"{folder}: ok\n"


async def test_a_dry_run_only_says(place: Place) -> None:
    """Status 1, and nothing is changed."""
    folder = await killed(place)
    before = state(folder)
    ended = await place.run("check", "--dry-run", place.out)
    assert ended.status == 1
    assert ended.out.decode().splitlines()[0] == f"{folder}: can be repaired"
    assert state(folder) == before


async def test_as_json(place: Place) -> None:
    """One list on stdout, an entry per session, with every finding; nothing else is said."""
    good, bad = await recorded(place, "good"), await killed(place)
    (bad / "stray.txt").touch()
    ended = await place.run("check", "--json", place.out)
    assert (ended.status, ended.err) == (0, "")
    told = {Path(entry["folder"]): entry for entry in ended.json}
    assert told[good] == {"folder": str(good), "live": False, "sound": True, "lossy": False, "findings": []}
    assert told[bad]["sound"]
    assert {"file": "stray.txt", "problem": "the manifest does not know it", "verdict": "noted"} in told[bad][
        "findings"
    ]
    assert {
        "file": "manifest.json",
        "problem": "it has no end: the recorder was killed",
        "verdict": "repaired",
    } in told[bad]["findings"]


@pytest.mark.parametrize("how", ["short", "gone"])
async def test_audio_that_is_missing(place: Place, how: str) -> None:
    """Status 6, now and every time, whatever else is repaired."""
    folder = await recorded(place)
    if how == "short":
        (folder / "mixed.wav").write_bytes((folder / "mixed.wav").read_bytes()[:-3200])
    else:
        (folder / "mixed.wav").unlink()
    for _ in range(2):
        ended = await place.run("check", folder)
        assert ended.status == 6
        assert ended.out.decode().splitlines()[0] == f"{folder}: audio is missing"
        assert "s of 1.00 s are missing: cannot be brought back" in ended.out.decode()


async def test_what_a_person_has_to_solve(place: Place) -> None:
    """Status 1, and it is left as it is."""
    folder = await recorded(place)
    (folder / "manifest.json").write_text('{"version": 99}')
    ended = await place.run("check", folder)
    assert ended.status == 1
    assert ended.out.decode().splitlines()[0] == f"{folder}: something is left to solve"
    assert (folder / "manifest.json").read_text() == '{"version": 99}'


async def test_no_session_at_all(place: Place) -> None:
    """Status 2, and what to type; also where only one of several folders holds none, before anything is repaired."""
    folder = await killed(place)
    before = state(folder)
    empty = place.folder / "empty"
    empty.mkdir()
    for paths in ([empty], [place.out, empty], [place.folder / "none"], [folder / "mixed.wav"], []):
        ended = await place.run("check", *paths)
        assert ended.status == 2
        assert not ended.out
        assert "Traceback" not in ended.err
    assert state(folder) == before
    told = (await place.run("check", empty)).err.splitlines()
    assert told == [f"audiotap: {empty} holds no session", "  name a session's folder, or the --out of listen"]


async def test_a_check_that_is_killed_before_each_of_its_writes(place: Place) -> None:
    """There is no step after which the next check does not get all of it right."""
    folder = await killed(place)
    with (folder / "mixed.wav").open("r+b") as file:
        file.write(bytes(80))
    (folder / ".manifest.json.tmp").write_bytes(b"{")
    kept = place.folder / "kept"
    shutil.copytree(folder, kept)
    outcomes = []
    async for number in _killed_checks(place, folder, kept):
        ended = await place.run("check", folder)
        assert ended.status == 0, f"after a kill at write {number}: {ended.out.decode()}"
        assert (await place.run("check", folder)).out.decode() == f"{folder}: ok\n"
        outcomes.append({path.name: path.read_bytes() for path in folder.iterdir()})
    assert_whole(folder)
    assert [outcome for outcome in outcomes if outcome != outcomes[-1]] == []


async def _killed_checks(place: Place, folder: Path, kept: Path) -> AsyncIterator[int]:
    """Check the same again and again, killed at the first write, the second, and so on, until it gets through."""
    disk = Disk(place)
    for number in count(1):
        shutil.rmtree(folder)
        shutil.copytree(kept, folder)
        disk.kill_at(number, f"{folder.name}/")
        ended = await (await place.start("check", folder, environment=disk.environment)).ended()
        disk.recover()
        yield number
        if ended.status == 0:
            assert number > 3
            return


async def test_an_interruption(place: Place) -> None:
    """Ctrl-C ends it with status 130; what was repaired by then is, and the rest is left for the next one."""
    await killed(place, "bot_2")
    first, second = sorted(place.out.iterdir())
    disk = Disk(place)
    disk.hold(f"{second.name}/")
    check = await place.start("check", place.out, environment=disk.environment)
    await check.until(lambda: f"{first}: repaired".encode() in check.out or None, "the first session")
    ended = await check.stop(signal.SIGINT)
    assert ended.status == 130
    assert "interrupted after 1 of 2 sessions" in ended.err
    assert manifest(first)["ended"] is not None
    assert manifest(second)["ended"] is None
    disk.recover()
    assert (await place.run("check", place.out)).err == "2 sessions: ok 1, repaired 1\n"
