"""Being told to stop, and machines that say no."""

from __future__ import annotations

import json
import signal
from pathlib import Path

import pytest
from tests.scenarios.harness import RATE, Place, assert_same, attendee, ramp, read
from websockets.asyncio.client import connect


async def test_a_kill_leaves_valid_files(place: Place) -> None:
    """Also without any chance to finish, what was written so far is a valid WAV and a manifest without an end."""
    listener = await place.listen()
    async with connect(listener.url) as bot:
        await bot.send(attendee(ramp(5), 5.0))
        mixed = Path((await listener.event("track.started", track="mixed"))["path"])
        await bot.send(attendee(ramp(5), 5.0, "ana"))
        await listener.event("track.started", track="ana")
        await listener.stop(signal.SIGKILL)

    assert_same(read(mixed), ramp(5))
    manifest = json.loads(mixed.with_name("manifest.json").read_text("utf-8"))
    assert manifest["ended"] is None
    assert manifest["tracks"][0]["file"] == "mixed.wav"
    assert not listener.told("session.finished")


@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 0)])
async def test_nothing_was_recorded(place: Place, number: signal.Signals, status: int) -> None:
    """Ctrl-C before anything was recorded is an interruption; a service that is stopped is none."""
    listener = await place.listen()
    ended = await listener.stop(number)
    assert ended.status == status
    assert list(place.out.iterdir()) == []


async def test_a_port_that_is_taken(place: Place) -> None:
    """Exit status 3, what happened and what to type."""
    listener = await place.listen()
    ended = await place.run("listen", "--port", listener.port)
    assert ended.status == 3
    assert ended.err.startswith(f"audiotap: cannot listen on 127.0.0.1:{listener.port}")
    assert "--port" in ended.err.splitlines()[1]
    assert (await place.run("status", "--json")).json[0]["url"] == listener.url


async def test_an_address_that_is_not_ours(place: Place) -> None:
    """Exit status 3 and a hint."""
    ended = await place.run("listen", "--host", "192.0.2.1", "--port", 0)
    assert ended.status == 3
    assert "--host" in ended.err


async def test_a_folder_that_cannot_be_written(place: Place) -> None:
    """Exit status 3 before the first bot comes."""
    (place.folder / "file").write_text("in the way")
    ended = await place.run("listen", "--port", 0, "--out", place.folder / "file" / "recordings")
    assert ended.status == 3
    assert ended.err.startswith("audiotap: cannot write in ")
    assert "--out" in ended.err.splitlines()[1]


async def test_control_sockets_go_with_their_listener(place: Place) -> None:
    """A stopped listener leaves no socket; one that was killed leaves one that disturbs nobody."""
    killed, stopped, living = [await place.listen() for _ in range(3)]
    assert len(sockets(place)) == 3
    assert all(path.stat().st_mode & 0o077 == 0 for path in sockets(place))
    await killed.stop(signal.SIGKILL)
    await stopped.stop()
    status = await place.run("status", "--json")

    assert [one["url"] for one in status.json] == [living.url]
    assert len(sockets(place)) == 1


def sockets(place: Place) -> list[Path]:
    return list(Path(place.environment["AUDIOTAP_RUNTIME_DIR"]).rglob("*.sock"))


async def test_a_recording_survives_a_signal_under_load(place: Place) -> None:
    """All that was received before the signal is in the file, however much of it was still on its way to the disk."""
    listener = await place.listen()
    async with connect(listener.url, compression=None, max_size=None) as bot:
        for n in range(20):
            await bot.send(attendee(ramp(30), 30.0 * (n + 1)))
        await (await bot.ping())
        await listener.stop()

    recording = await listener.finished("bot_1")
    samples = recording.samples("mixed")
    assert len(samples) % (30 * RATE) == 0
    assert len(samples) > 0
    for start in range(0, len(samples), 30 * RATE):
        assert_same(samples[start : start + 30 * RATE], ramp(30))
