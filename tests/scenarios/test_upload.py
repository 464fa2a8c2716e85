"""`listen --upload`: recordings that lie in an object store while they grow, whatever goes wrong on the way."""

from __future__ import annotations

import errno
import json
import math
import os
import signal
from collections.abc import AsyncIterator, Iterator
from pathlib import Path, PurePath
from typing import Any

import numpy as np
import pytest
from tests.scenarios.faults import TRACKS, Disk, assert_begins, calling, written
from tests.scenarios.harness import RATE, Ended, Place, assert_same, attendee, call, chunks, ramp, read, recall
from tests.scenarios.store import KEY, SECRET, Bucket, bucket_at, s3
from websockets.asyncio.client import connect

OUTAGE = float(os.environ.get("AUDIOTAP_OUTAGE", "2"))
"""Seconds of a call for which the store is away; 60 was tried, too."""
STEPS = math.ceil(OUTAGE / 10)
"""In which they are waited for."""
SOUND = ramp(6)


@pytest.fixture(scope="module")
def server() -> Iterator[tuple[str, int]]:
    """moto's S3."""
    with s3() as address:
        yield address


@pytest.fixture
async def bucket(server: tuple[str, int]) -> AsyncIterator[Bucket]:
    async with bucket_at(*server) as bucket:
        yield bucket


async def assembled(place: Place, bucket: Bucket, *below: str, status: int = 0) -> list[dict[str, Any]]:
    """What `assemble --json` says of a session."""
    url = "/".join((bucket.url, *below))
    ended = await (
        await place.start(
            "assemble", url, "--out", place.folder / "assembled", "--json", environment=bucket.environment
        )
    ).ended()
    assert ended.status == status, ended
    found: list[dict[str, Any]] = ended.json
    return found


async def is_good(place: Place, folder: object) -> bool:
    """Whether `check` finds nothing in a folder."""
    ended = await place.run("check", "--dry-run", str(folder))
    return (ended.status, ended.out.split()[-1]) == (0, b"ok")


def keeps_quiet(ended: Ended) -> bool:
    """Whether no key was told."""
    return not any(key in ended.err.encode() + ended.out for key in (KEY.encode(), SECRET.encode()))


async def test_a_call_comes_back_from_the_store(place: Place, bucket: Bucket) -> None:
    """Two tracks, one of them late: `assemble` writes what was sent, with a manifest that `check` finds good."""
    listener = await place.listen("--upload", bucket.url, "--segment", 1, environment=bucket.environment)
    wires = [attendee(piece, (n + 1) / 10) for n, piece in enumerate(chunks(SOUND))]
    wires += [attendee(piece, 2 + (n + 1) / 10, "ana", participant_name="Ana") for n, piece in enumerate(chunks(SOUND))]
    await call(listener.url, *wires)
    await listener.event("track.started", track="ana")
    ended = await listener.stop(signal.SIGTERM)
    (session,) = await assembled(place, bucket, "attendee_bot_1")

    folder = Path(session["path"])
    assert_same(read(folder / "mixed.wav"), SOUND)
    assert_same(read(folder / "ana_Ana.wav"), np.concatenate((np.zeros(2 * RATE, np.int16), SOUND)))
    assert (ended.status, session["duplicates"], session["findings"], session["lossy"]) == (0, 0, [], False)
    assert [one.position for _, one in bucket.segments("mixed")] == [n * RATE for n in range(6)]
    assert all(one.ending == "flac" for _, one in bucket.segments())
    assert await is_good(place, folder)
    local = (await listener.finished("bot_1")).manifest
    there = json.loads((folder / "manifest.json").read_text("utf-8"))
    assert {**there, "format": "wav"} == local
    assert keeps_quiet(ended)


async def test_the_store_has_all_but_the_last_segment(place: Place, bucket: Bucket) -> None:
    """While the call goes on nothing older than a segment is on one machine only, of those who are silent neither."""
    listener = await place.listen("--upload", bucket.url, "--segment", 1, environment=bucket.environment)
    async with connect(listener.url, compression=None) as bot:
        await bot.send(attendee(SOUND[: RATE // 2], 0.5, "ana"))
        for n, piece in enumerate(chunks(SOUND)[:-1]):
            await bot.send(attendee(piece, (n + 1) / 10))
        await bucket.has(lambda: len(bucket.segments("mixed")) == 5, "five segments")
        await bucket.has(lambda: len(bucket.segments("ana")) == 1, "Ana's half second")
        assert any(name.endswith("/manifest.json") for name in bucket.names())
        await listener.stop(signal.SIGKILL)
    (session,) = await assembled(place, bucket, "attendee_bot_1", status=6)

    assert_same(read(Path(session["path"]) / "mixed.wav"), SOUND[: 5 * RATE])
    assert_same(read(Path(session["path"]) / "ana.wav"), SOUND[: RATE // 2])
    assert "it has no end" in session["findings"][-1]["problem"]


async def test_a_killed_listener_is_followed_by_another_one(place: Place, bucket: Bucket) -> None:
    """Killed in the middle of an upload and started again: the store gets what is on the disk, nothing of it twice."""
    options = ("--upload", bucket.url, "--segment", 1)
    first = await place.listen(*options, environment=bucket.environment)
    async with calling(first.url) as bot:
        await bucket.has(lambda: len(bucket.segments()) > len(TRACKS), "some segments")
        await bot.is_answered()
        await first.stop(signal.SIGKILL)
    before = bucket.segments()
    second = await place.listen(*options, "--linger", 0.1, environment=bucket.environment)
    recording = await second.finished("bot_1")
    await second.stop()
    (session,) = await assembled(place, bucket, "attendee_bot_1", status=6)

    assert set(before) < set(bucket.segments())
    assert (session["duplicates"], session["findings"]) == (0, [])
    for track in TRACKS:
        there = Path(session["path"]) / recording.file(track).name
        assert assert_begins(there, track) == assert_begins(recording.file(track), track) > RATE


@pytest.mark.parametrize("note", [1, 3])
async def test_killed_before_it_was_noted(place: Place, bucket: Bucket, note: int) -> None:
    """Killed when something is in the store and the journal does not say so: it is there once in the end."""
    disk = Disk(place)
    options = ("--upload", bucket.url, "--segment", 1, "--linger", 0.1)
    first = await place.listen(*options, environment=bucket.environment | disk.environment)
    async with connect(first.url, compression=None) as bot:
        await bot.send(attendee(SOUND[:RATE], 1.0))
        await bucket.has(bucket.segments, "the first segment")
        disk.kill_at(note, ".uploads")
        await bot.send(attendee(SOUND[RATE:], 6.0))
        await first.ended()
    second = await place.listen(*options, environment=bucket.environment)
    recording = await second.finished("bot_1")
    await second.stop()
    (session,) = await assembled(place, bucket, "attendee_bot_1", status=6)

    samples = recording.samples("mixed")
    assert_same(samples, SOUND[: len(samples)])
    assert_same(read(Path(session["path"]) / "mixed.wav"), samples)
    assert (session["duplicates"], session["findings"]) == (0, [])


@pytest.mark.parametrize("cut", [False, True])
async def test_a_store_that_is_away_loses_nothing(place: Place, bucket: Bucket, cut: bool) -> None:
    """It is told once that it went, once that it came back, and what was recorded meanwhile is all there in the end."""
    listener = await place.listen("--upload", bucket.url, "--segment", 1, environment=bucket.environment)
    async with calling(listener.url) as bot:
        await bucket.has(bucket.segments, "a segment")
        bucket.road.says = 503
        if cut:
            await bucket.road.cut()
        for _ in range(STEPS):
            await bot.lasts(OUTAGE / STEPS)
        await listener.until(lambda: [w for w in listener.warnings() if "tried again" in w] or None, "a warning")
        bucket.road.says = 0
        if cut:
            await bucket.road.open()
        await listener.until(lambda: [w for w in listener.warnings() if "takes" in w] or None, "its return")
    ended = await listener.stop()
    recording = await listener.finished("bot_1")
    (session,) = await assembled(place, bucket, "attendee_bot_1")

    assert ended.status == 0
    assert sum("uploading is tried again" in warning for warning in listener.warnings()) == 1
    assert sum("takes recordings again" in warning for warning in listener.warnings()) == 1
    for track in TRACKS:
        there = Path(session["path"]) / recording.file(track).name
        assert assert_begins(there, track) == assert_begins(recording.file(track), track) > OUTAGE * RATE


async def test_a_store_that_never_answers_holds_nothing_up(place: Place, bucket: Bucket) -> None:
    """Recording goes on, the end waits as long as it was told to, says what is left, and the next listener does it."""
    bucket.road.silent = True
    listener = await place.listen(
        *("--upload", bucket.url, "--segment", 1, "--upload-timeout", 0.5), environment=bucket.environment
    )
    await call(listener.url, *(attendee(piece, (n + 1) / 10) for n, piece in enumerate(chunks(SOUND))))
    await listener.event("track.started")
    ended = await listener.stop()
    bucket.road.silent = False
    second = await place.listen("--upload", bucket.url, environment=bucket.environment)
    await bucket.has(lambda: len(bucket.segments()) == 1, "the only segment")
    finished = await second.stop()
    (session,) = await assembled(place, bucket, "attendee_bot_1")

    assert ended.status == 1
    assert "1 recording not uploaded to the end" in listener.told("error")[0]["message"]
    assert "--upload again" in listener.told("error")[0]["hint"]
    assert_same((await listener.finished("bot_1")).samples("mixed"), SOUND)
    assert_same(read(Path(session["path"]) / "mixed.wav"), SOUND)
    assert finished.status in {0, 130}


@pytest.mark.parametrize(("status", "told"), [(403, "our keys may not do that"), (404, "no such bucket")])
async def test_a_store_that_refuses(place: Place, bucket: Bucket, status: int, told: str) -> None:
    """It is an error at once, with what to do and without a key; the recording is as good as any other."""
    bucket.road.says = status
    options = ("--upload", bucket.url, "--upload-timeout", 0)
    listener = await place.listen(*options, environment=bucket.environment)
    error = await listener.event("error")
    await call(listener.url, attendee(SOUND, 6.0))
    await listener.event("track.started")
    ended = await listener.stop()

    assert told in error["message"]
    assert error["hint"]
    assert_same((await listener.finished("bot_1")).samples("mixed"), SOUND)
    assert ended.status == 1
    assert keeps_quiet(ended)


async def test_hostile_ids_lie_where_they_belong(place: Place, bucket: Bucket) -> None:
    """Whatever a session and a track are called, they get a name of their own in the store, and theirs back from it."""
    bots = ["../../etc/passwd", "manifest.json", "tracks/💥 %2e%2e?#\n", "."]
    listener = await place.listen("--upload", bucket.url, environment=bucket.environment)
    for bot in bots:
        await call(listener.url, attendee(SOUND, 6.0, bot=bot), attendee(SOUND, 6.0, bot, bot=bot))
        await listener.event("track.started", track=bot)
    ended = await listener.stop()
    below = {PurePath(name).parts[0] for name in bucket.names() if "/" in name}
    sessions = [session for one in below for session in await assembled(place, bucket, one)]

    assert ended.status == 0
    assert sorted(session["session"] for session in sessions) == sorted(bots)
    for session in sessions:
        manifest = json.loads((Path(session["path"]) / "manifest.json").read_text("utf-8"))
        assert [track["track"] for track in manifest["tracks"]] == ["mixed", session["session"]]
        for track in manifest["tracks"]:
            assert_same(read(Path(session["path"]) / track["file"]), SOUND)


async def test_two_machines_had_one_bot(place: Place, bucket: Bucket) -> None:
    """Two nodes that agree on the time zero have every other second each: together they are what was sent."""
    environment = bucket.environment
    one, other = [
        await place.listen(
            "--out", place.folder / f"node {n}", "--upload", bucket.url, "--segment", 1, environment=environment
        )
        for n in range(2)
    ]
    async with connect(one.url, compression=None) as first, connect(other.url, compression=None) as second:
        for n, piece in enumerate(chunks(SOUND)):
            wire = attendee(piece, (n + 1) / 10, "ana")
            if n == 0 or n % 20 < 10:
                await first.send(wire)
            if n == 0 or n % 20 >= 10:
                await second.send(wire)
        for bot in (first, second):
            await (await bot.ping())
    assert [(await node.stop()).status for node in (one, other)] == [0, 0]
    (session,) = await assembled(place, bucket, "attendee_bot_1")

    assert_same(read(Path(session["path"]) / "ana.wav"), SOUND)
    assert len(session["recordings"]) == 2
    assert session["findings"] == []
    assert await is_good(place, session["path"])


async def test_two_machines_had_all_of_it(place: Place, bucket: Bucket) -> None:
    """What both recorded is there once; that it was the same is noticed."""
    nodes = [
        await place.listen("--out", place.folder / f"node {n}", "--upload", bucket.url, environment=bucket.environment)
        for n in range(2)
    ]
    for node in nodes:
        await call(node.url, attendee(SOUND, 6.0))
        await node.event("track.started")
        await node.stop()
    (session,) = await assembled(place, bucket, "attendee_bot_1")

    assert_same(read(Path(session["path"]) / "mixed.wav"), SOUND)
    assert (session["duplicates"], session["findings"]) == (1, [])


async def test_two_machines_disagree(place: Place, bucket: Bucket) -> None:
    """Where they recorded something else, one of them counts, and it is told with its place; the status is 6."""
    nodes = [
        await place.listen("--out", place.folder / f"node {n}", "--upload", bucket.url, environment=bucket.environment)
        for n in range(2)
    ]
    wrong = SOUND.copy()
    wrong[1000:2000] = 7
    for node, sound in zip(nodes, (SOUND, wrong), strict=True):
        await call(node.url, attendee(sound, 6.0))
        await node.event("track.started")
        await node.stop()
    (session,) = await assembled(place, bucket, "attendee_bot_1", status=6)

    (finding,) = session["findings"]
    assert finding["problem"] == "two recorders tell 1000 samples differently"
    samples = read(Path(session["path"]) / "mixed.wav")
    assert any(np.array_equal(samples, told) for told in (SOUND, wrong))


@pytest.mark.parametrize("damage", ["removed", "damaged"])
async def test_what_is_missing_in_the_store_is_told(place: Place, bucket: Bucket, damage: str) -> None:
    """A segment that is gone or damaged is silence, told with its place; `check` finds the loss, too."""
    listener = await place.listen("--upload", bucket.url, "--segment", 1, environment=bucket.environment)
    await call(listener.url, attendee(SOUND, 6.0))
    await listener.event("track.started")
    await listener.stop()
    name = bucket.segments()[3][0]
    if damage == "removed":
        bucket.remove(name)
    else:
        bucket.put(name, b"fLaC and nothing else")
    (session,) = await assembled(place, bucket, "attendee_bot_1", status=6)

    expected = SOUND.copy()
    expected[3 * RATE : 4 * RATE] = 0
    assert_same(read(Path(session["path"]) / "mixed.wav"), expected)
    assert {"problem": "it is not in the store", "recording": None, "track": "mixed", "start": 3.0, "seconds": 1.0} in (
        session["findings"]
    )
    assert (await place.run("check", session["path"])).status == 6


async def test_a_journal_that_cannot_be_written(place: Place, bucket: Bucket) -> None:
    """The disk is full, for the journal: no loss, and what the next listener sends again is there already."""
    disk = Disk(place)
    options = ("--upload", bucket.url, "--segment", 1)
    first = await place.listen(*options, environment=bucket.environment | disk.environment)
    async with connect(first.url, compression=None) as bot:
        await bot.send(attendee(SOUND[:RATE], 1.0))
        await bucket.has(lambda: len(bucket.segments()) == 1, "the first segment")
        disk.refuse(errno.ENOSPC, ".uploads")
        await bot.send(attendee(SOUND[RATE:], 6.0))
        await bucket.has(lambda: len(bucket.segments()) == 6, "all segments")
        await first.stop(signal.SIGKILL)
    before = bucket.segments()
    second = await place.listen(*options, "--linger", 0.1, environment=bucket.environment)
    await second.finished("bot_1")
    await second.stop()
    (session,) = await assembled(place, bucket, "attendee_bot_1", status=6)

    assert bucket.segments() == before
    assert bucket.road.asked["412"] >= 5
    assert_same(read(Path(session["path"]) / "mixed.wav"), SOUND)


async def test_a_disk_that_is_full_at_first(place: Place, bucket: Bucket) -> None:
    """What could not be marked for the upload in the beginning is marked later, and no loss."""
    disk = Disk(place)
    disk.refuse(errno.ENOSPC, ".uploads")
    listener = await place.listen("--upload", bucket.url, environment=bucket.environment | disk.environment)
    async with connect(listener.url, compression=None) as bot:
        await bot.send(attendee(SOUND, 6.0))
        written(Path((await listener.event("track.started"))["path"]), len(SOUND))
        disk.recover()
    assert (await listener.stop()).status == 0
    (session,) = await assembled(place, bucket, "attendee_bot_1")
    assert_same(read(Path(session["path"]) / "mixed.wav"), SOUND)


@pytest.mark.parametrize("form", ["bin", "flac"])
async def test_other_formats_are_uploaded_as_well(place: Place, bucket: Bucket, form: str) -> None:
    """Bare samples and what becomes FLAC lie in the store as anything else does, and the event log besides."""
    listener = await place.listen("--upload", bucket.url, "--format", form, environment=bucket.environment)
    joins = {"event": "participant_events.join"} | {
        "data": {
            "data": {
                "action": "join",
                "participant": {"id": 100, "name": "Ana", "is_host": True, "platform": None, "extra_data": None},
                "timestamp": {"absolute": "2026-01-01T00:00:00Z", "relative": 0.0},
                "data": None,
            },
            "realtime_endpoint": {"id": "endpoint", "metadata": {}},
            "participant_events": {"id": "artifact", "metadata": {}},
            "recording": {"id": "rec", "metadata": {}},
            "bot": {"id": "recall-bot", "metadata": {}},
        }
    }
    await call(listener.url, recall(SOUND, 0.0), json.dumps(joins))
    await listener.event("track.started")
    await listener.stop()
    (session,) = await assembled(place, bucket, "recall_rec")

    folder = Path(session["path"])
    assert_same(read(folder / "mixed.wav"), SOUND)
    assert json.loads((folder / "events.jsonl").read_text("utf-8"))["event"] == "participant_events.join"
    assert await is_good(place, folder)


@pytest.mark.filterwarnings("ignore:.*multi-threaded, use of fork:DeprecationWarning")
async def test_workers_are_looked_after_by_their_front(place: Place, bucket: Bucket) -> None:
    """Several processes record, one uploads."""
    options = ("--workers", 2, "--upload", bucket.url)
    listener = await place.listen(*options, environment=bucket.environment)
    for n in range(4):
        await call(listener.url, attendee(SOUND, 6.0, bot=f"bot_{n}"))
        await listener.event("track.started", session=f"bot_{n}")
    assert (await listener.stop()).status == 0

    listed = await place.start("assemble", bucket.url, environment=bucket.environment)
    assert (await listed.ended()).out.decode().split() == [f"{bucket.url}/attendee_bot_{n}" for n in range(4)]
    for n in range(4):
        (session,) = await assembled(place, bucket, f"attendee_bot_{n}")
        assert_same(read(Path(session["path"]) / "mixed.wav"), SOUND)


async def test_a_folder_is_a_store_as_well(place: Place) -> None:
    """`file:///` needs no server: a disk that several machines have is enough."""
    url = (place.folder / "shared").as_uri()
    listener = await place.listen("--upload", url)
    await call(listener.url, attendee(SOUND, 6.0))
    await listener.event("track.started")
    assert (await listener.stop()).status == 0
    ended = await place.run("assemble", f"{url}/attendee_bot_1", "--out", "assembled")

    assert ended.status == 0
    assert_same(read(place.folder / ended.out.decode().strip() / "mixed.wav"), SOUND)


async def test_what_was_recorded_without_an_upload_stays_here(place: Place, bucket: Bucket) -> None:
    """Only sessions of listeners that were told to are uploaded, not everything that lies in the folder."""
    first = await place.listen()
    await call(first.url, attendee(SOUND, 6.0, bot="ours alone"))
    await first.event("track.started")
    await first.stop()
    second = await place.listen("--upload", bucket.url, environment=bucket.environment)
    await call(second.url, attendee(SOUND, 6.0))
    await second.event("track.started")
    await second.stop()
    assert {PurePath(name).parts[0] for name in bucket.names()} == {"audiotap.json", "attendee_bot_1"}


async def test_keys_do_not_belong_into_urls(place: Place) -> None:
    """Status 2 and where they belong, before anything is bound, and without them."""
    ended = await place.run("listen", "--port", 0, "--upload", f"s3://{KEY}:{SECRET}@bucket/x")
    assert ended.status == 2
    assert "environment" in ended.err
    assert keeps_quiet(ended)


async def test_obstore_is_an_extra(place: Place) -> None:
    """Without it, nothing else is missing; whoever wants a store is told what to type."""
    hidden = place.folder / "hidden"
    hidden.mkdir()
    (hidden / "obstore.py").write_text("raise ImportError\n")
    place.environment["PYTHONPATH"] = f"{hidden}{os.pathsep}{place.environment['PYTHONPATH']}"
    ended = await place.run("listen", "--port", 0, "--upload", "s3://bucket/x")
    assert ended.status == 3
    assert "pip install" in ended.err
    assert (await (await place.listen()).stop(signal.SIGTERM)).status == 0


async def test_nothing_is_there(place: Place, bucket: Bucket) -> None:
    """An empty store, and one that nobody reaches, are told apart by message and status."""
    empty = await place.start("assemble", bucket.url, environment=bucket.environment)
    assert (await empty.ended()).status == 2
    await bucket.road.cut()
    away = await (await place.start("assemble", bucket.url, environment=bucket.environment)).ended()
    assert (away.status, "cannot be reached" in away.err) == (3, True)
