"""Two connections that claim one bot: the newer one is recorded, and no noise is made of both."""

from __future__ import annotations

import numpy as np
from tests.scenarios.harness import Place, Samples, assert_same, attendee, chunks, ramp
from websockets.asyncio.client import ClientConnection, connect

SOUND = ramp(3)
OTHER = np.asarray(-SOUND, dtype=np.int16)


async def say(bot: ClientConnection, sound: Samples, begin: int, end: int, track: str = "") -> None:
    """A part of the call in tenths of seconds, and wait until it was taken."""
    for n, piece in list(enumerate(chunks(sound), 1))[begin:end]:
        await bot.send(attendee(piece, n / 10, track))
    await (await bot.ping())


async def test_the_newer_connection_wins(place: Place) -> None:
    """Both send the mix at the same time: from the newer one's first chunk on, only that is kept; it is told once."""
    listener = await place.listen()
    async with connect(listener.url) as older, connect(listener.url) as newer:
        await say(older, SOUND, 0, 10)
        for tenth in range(10, 20):
            await say(newer, OTHER, tenth, tenth + 1)
            await say(older, SOUND, tenth, tenth + 1)
    ended = await listener.stop()

    recording = await listener.finished("bot_1")
    assert_same(recording.samples("mixed"), np.concatenate((SOUND[:16000], OTHER[16000:32000])))
    assert recording.entry("mixed")["superseded"] == 10
    assert recording.manifest["connections"] == 2
    assert len([warning for warning in listener.warnings() if "two connections" in warning]) == 1
    assert ended.status == 0


async def test_the_older_one_goes_on_when_the_newer_one_left(place: Place) -> None:
    """A connection that only tried costs the call nothing but that moment."""
    listener = await place.listen()
    async with connect(listener.url) as older:
        await say(older, SOUND, 0, 10)
        async with connect(listener.url) as newer:
            await say(newer, OTHER, 10, 20)
        while (await place.run("status", "--json")).json[0]["sessions"][0]["connections"] > 1:
            pass
        await say(older, SOUND, 20, 30)
    await listener.stop()

    recording = await listener.finished("bot_1")
    assert_same(recording.samples("mixed"), np.concatenate((SOUND[:16000], OTHER[16000:32000], SOUND[32000:])))


async def test_other_tracks_are_not_touched(place: Place) -> None:
    """A second connection that brings a participant leaves the mix to the first one."""
    listener = await place.listen()
    async with connect(listener.url) as mix, connect(listener.url) as people:
        for tenth in range(30):
            await say(people, OTHER, tenth, tenth + 1, "ana")
            await say(mix, SOUND, tenth, tenth + 1)
    await listener.stop()

    recording = await listener.finished("bot_1")
    assert_same(recording.samples("mixed"), SOUND)
    assert_same(recording.samples("ana"), OTHER)
    assert [entry["superseded"] for entry in recording.manifest["tracks"]] == [0, 0]
