"""Who is who in a call: people who are silent, come late, are renamed, or share a name."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pytest
from tests.scenarios.harness import RATE, Place, Samples, assert_same, attendee, call, ramp
from websockets.asyncio.client import ClientConnection, connect

CHUNK = RATE // 50
SECONDS = 4


@dataclass(frozen=True)
class Person:
    """Somebody who speaks at times, in seconds of the call, and is told by names from certain times on."""

    id: str
    speaks: tuple[tuple[float, float], ...]
    names: tuple[tuple[float, str | None], ...]

    @cached_property
    def sound(self) -> Samples:
        """All of the call: zeros but where they speak."""
        sound = ramp(SECONDS) // 8 + int(self.id)
        silent = np.ones(len(sound), dtype=bool)
        for begin, end in self.speaks:
            silent[round(begin * RATE) : round(end * RATE)] = False
        sound[silent] = 0
        return sound

    def name(self, at: float) -> str | None:
        return [name for since, name in self.names if since <= at][-1]


ANA = Person("1000", ((0.2, 1), (2, 3.5)), ((0, "Ana"), (2.5, "Ana (phone)")))
BO = Person("2000", tuple((n / 10, n / 10 + 0.08) for n in range(10, 40)), ((0, None), (2, "Bo"), (3, None)))
OTHER_ANA = Person("3000", ((2.5, 3), (3.2, 3.9)), ((0, "Ana"),))
PEOPLE = (ANA, BO, OTHER_ANA)
MIXED = ANA.sound + BO.sound + OTHER_ANA.sound


async def test_a_call_that_leaves_out_silence(place: Place) -> None:
    """As from Meet: everybody is one file that lies under the mix to the sample, however they are called meanwhile."""
    listener = await place.listen()
    async with connect(listener.url) as bot:
        await say(bot, 0, 1.5)
        await listener.event("track.started", track=ANA.id)
        await listener.event("track.started", track=BO.id)
        await say(bot, 1.5, SECONDS)
    ended = await listener.stop()

    assert ended.status == 0
    recording = await listener.finished("bot_1")
    assert_same(recording.samples("mixed"), MIXED)
    for person in PEOPLE:
        assert_same(recording.samples(person.id), np.trim_zeros(person.sound, "b"))
    assert not recording.manifest["lossy"]
    assert [
        (entry["track"], entry["file"], entry["names"], entry["start"] / RATE, entry["gaps"])
        for entry in recording.manifest["tracks"]
    ] == [
        ("mixed", "mixed.wav", [], 0, 0),
        ("1000", "1000_Ana.wav", ["Ana", "Ana (phone)"], 0.2, 1),
        ("2000", "2000.wav", ["Bo"], 1.0, 29),
        ("3000", "3000_Ana.wav", ["Ana"], 2.5, 1),
    ]
    assert [event["name"] for event in listener.told("track.finished")] == [None, "Ana (phone)", "Bo", "Ana"]


@pytest.mark.parametrize(
    "names",
    [
        pytest.param(["Ana", "Ana (phone)", "Ana"], id="back again"),
        pytest.param([f"Ana {number}" for number in range(30)], id="often"),
    ],
)
async def test_the_newest_name_is_the_last(place: Place, names: list[str]) -> None:
    """However often a participant is renamed, the manifest ends with what they are called now."""
    listener = await place.listen()
    await call(
        listener.url,
        *(attendee(ramp(0.1), (n + 1) / 10, "7", participant_name=name) for n, name in enumerate(names)),
    )
    await listener.stop()

    recording = await listener.finished("bot_1")
    assert recording.entry("7")["names"][-3:] == names[-3:]
    assert len(recording.entry("7")["names"]) <= 20


async def say(bot: ClientConnection, begin: float, end: float) -> None:
    """A part of the call, chunk by chunk: the mix, and whoever is not silent."""
    for at in range(round(begin * RATE), round(end * RATE), CHUNK):
        piece, seconds = slice(at, at + CHUNK), (at + CHUNK) / RATE
        await bot.send(attendee(MIXED[piece], seconds))
        for person in PEOPLE:
            if person.sound[piece].any():
                name = person.name(at / RATE)
                await bot.send(attendee(person.sound[piece], seconds, person.id, participant_name=name))
