"""Connections that say nothing, connections after the call, and the end of a session while the listener lives on."""

from __future__ import annotations

from pathlib import Path

from tests.scenarios.harness import Place, assert_same, attendee, call, ramp
from websockets.asyncio.client import connect


async def test_a_silent_connection_leaves_nothing(place: Place) -> None:
    """Attendee's stray second connection after a call says nothing: no session, no folder, no file."""
    listener = await place.listen("--linger", 0.1)
    await call(listener.url)
    async with connect(listener.url):
        status = await place.run("status", "--json")
        assert status.json[0]["sessions"] == []
    ended = await listener.stop()

    assert ended.status == 130
    assert list(place.out.iterdir()) == []
    assert {event["event"] for event in listener.told("listening")} == {"listening"}
    assert not listener.told("session.started")


async def test_linger_ends_the_session_and_the_listener_lives_on(place: Place) -> None:
    """`session.finished` has the paths of complete files; the next call of the same bot gets a folder of its own."""
    listener = await place.listen("--linger", 0.3)
    await call(listener.url, attendee(ramp(1), 1.0))
    first = await listener.finished("bot_1")

    assert_same(first.samples("mixed"), ramp(1))
    assert first.finished["manifest"] == str(first.folder / "manifest.json")
    assert first.finished["files"] == [str(first.folder / "mixed.wav")]
    assert first.manifest["ended"] is not None
    assert "no connection for 0.3 s" in first.manifest["reason"]
    kept = contents(first.folder)

    await call(listener.url)
    await call(listener.url, attendee(ramp(2), 60.0))
    await listener.until(lambda: len(listener.told("session.finished")) == 2 or None, "a second session")
    await listener.stop()

    assert contents(first.folder) == kept
    assert len(list(place.out.iterdir())) == 2
    second = next(path for path in place.out.iterdir() if path != first.folder)
    assert {path.name for path in second.iterdir()} == {"mixed.wav", "manifest.json"}


async def test_a_connection_within_the_linger_belongs_to_the_call(place: Place) -> None:
    """A silent connection neither ends nor prolongs; one that speaks in time goes on with the same files."""
    listener = await place.listen("--linger", 20)
    await call(listener.url, attendee(ramp(1), 1.0))
    await call(listener.url)
    await call(listener.url, attendee(ramp(1), 2.0))
    await listener.stop()

    assert len(listener.told("session.finished")) == 1
    recording = await listener.finished("bot_1")
    assert len(recording.samples("mixed")) == 2 * 16000
    assert recording.manifest["connections"] == 2


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}
