"""LiveKit's track egress: a connection per track, and nothing but its address to know it by."""

from __future__ import annotations

import numpy as np
from tests.scenarios.harness import ANA, BO, Place, assert_same, ramp, read, sounding
from websockets.asyncio.client import connect

RAW = {"Content-Type": "audio/x-raw"}


def stereo(seconds: float) -> bytes:
    """Two equal channels at 48000 Hz."""
    return np.repeat(ramp(seconds, 48000), 2).astype("<i2").tobytes()


async def test_a_room_s_tracks_are_one_session(place: Place) -> None:
    """The address tells room, track and participant; samples are those that were sent, and mutes are in the log."""
    listener = await place.listen("--public-url", "wss://tap.example/", "--secret", "x" * 20)
    told = ("--provider", "livekit", "--id", "room 7", "--file", ANA, "--file", BO, "--mute", "bo:1-1.5")
    url = f"{listener.url}/{'x' * 20}"
    summary = (await (await place.bot(url, *told, "--seconds", 2, "--record", place.folder / "sent")).ended()).json
    ended = await listener.stop()

    recording = await listener.finished("room 7")
    assert {entry["track"]: entry["names"] for entry in recording.manifest["tracks"]} == {"100": ["ana"], "101": ["bo"]}
    for sent in summary["sent"]:
        assert_same(sounding(recording.samples(sent["track"])), sounding(read(place.folder / sent["file"])))
    logged = recording.events
    assert [(one["event"], one["data"]) for one in logged] == [("muted", {"muted": True}), ("muted", {"muted": False})]
    assert ended.status == 0


async def test_the_path_tells_a_session_and_never_the_secret(place: Place) -> None:
    """What stands before the secret is the session; the secret is in nothing that is kept."""
    secret = "s3cret-" + "x" * 20
    listener = await place.listen("--secret", secret)
    async with connect(f"{listener.url}/room-1/{secret}?participant=ana", additional_headers=RAW) as track:
        await track.send(stereo(0.5))
        await listener.event("track.started", session="room-1", track="ana")
    async with connect(f"{listener.url}/{secret}", additional_headers=RAW) as nameless:
        await nameless.send(stereo(0.5))
        await (await nameless.ping())
    ended = await listener.stop()

    sessions = [one["session"] for one in listener.told("session.finished")]
    assert len(sessions) == 2
    assert_same((await listener.finished("room-1")).samples("ana"), ramp(0.5, 48000))
    kept = b"".join(path.read_bytes() for path in place.out.rglob("*.json*"))
    assert secret.encode() not in kept + ended.out
    assert secret not in "".join(map(str, place.out.rglob("*")))


async def test_workers_know_whose_it_is(place: Place) -> None:
    """A track that goes to another worker takes along how it was asked for."""
    listener = await place.listen("--workers", 2)
    for room in ("a", "b", "c", "d", "e", "f"):
        for track in ("TR_1", "TR_2"):
            address = f"{listener.url}/?room={room}&trackID={track}"
            async with connect(address, additional_headers=RAW) as bot:
                await bot.send(stereo(0.25))
                await listener.event("track.started", session=room, track=track)
    await listener.stop()

    for room in ("a", "b", "c", "d", "e", "f"):
        recording = await listener.finished(room)
        for track in ("TR_1", "TR_2"):
            assert_same(recording.samples(track)[-12000:], ramp(0.25, 48000))


async def test_samples_that_nobody_announced_are_nobodys(place: Place) -> None:
    """Without LiveKit's request, bare samples are no provider's."""
    listener = await place.listen()
    async with connect(listener.url) as bot:
        await bot.send(stereo(0.1))
        warning = await listener.event("warning")
    await listener.stop()
    assert "no provider" in warning["message"]
    assert not listener.told("session.started")
