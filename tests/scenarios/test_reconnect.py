"""A bot loses its connection and comes back: one session, one file, and the hole is silence of the right length."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from tests.scenarios.harness import (
    RATE,
    Place,
    Samples,
    assert_same,
    attendee,
    call,
    chunks,
    ramp,
    recall,
    write,
)
from websockets.asyncio.client import connect


@pytest.mark.parametrize(("provider", "chunk"), [("attendee", 160), ("recall", 3200)])
async def test_a_dropped_connection_is_a_hole_of_its_own_length(place: Place, provider: str, chunk: int) -> None:
    """What was said meanwhile is silence and counted as one gap; the manifest and the exit status say lossy."""
    listener = await place.listen()
    voice = write(place.folder / "voice.wav", ramp(20))
    bot = await place.bot(
        listener.url,
        *("--provider", provider, "--file", voice, "--streams", "mixed", "--speed", 5),
        *("--drop", "4:0.5", "--retry", 0.1, "--record", place.folder / "sent"),
    )
    summary = (await bot.ended()).json
    ended = await listener.stop()

    assert ended.status == 6
    assert len(listener.told("session.started")) == len(listener.told("session.finished")) == 1
    recording = await listener.finished("sim")
    assert recording.finished["lossy"]
    assert recording.manifest["lossy"]
    assert recording.manifest["connections"] == summary["connections"] == 2
    assert [path.name for path in recording.folder.glob("*.wav")] == ["mixed.wav"]
    recording.assert_holds(summary)
    assert_hole(recording.samples("mixed"), recording.entry("mixed"), summary["sent"][0], chunk)


def assert_hole(samples: np.ndarray[Any, Any], entry: dict[str, Any], sent: dict[str, Any], chunk: int) -> None:
    """The ramp has no zeros, so every zero is the hole; what was not sent before the first message is no part of it."""
    silent = np.flatnonzero(samples == 0)
    missing = sent["dropped"] * chunk - sent["first"]
    assert len(silent) == missing == entry["gap_samples"] > RATE
    assert silent[-1] - silent[0] + 1 == missing
    assert entry["gaps"] == 1


@pytest.mark.parametrize("away", [0.1, 3, 12, 300])
@pytest.mark.parametrize("provider", ["attendee", "recall"])
async def test_a_hole_is_as_long_as_the_bot_was_away(place: Place, provider: str, away: float) -> None:
    """A lost socket, whatever the time until the bot is back: one file, with silence of the right length in it."""
    listener = await place.listen()
    sound = ramp(2)
    pieces = chunks(sound)

    def wire(piece: Samples, begin: float) -> str:
        return attendee(piece, begin + 0.1) if provider == "attendee" else recall(piece, begin, recording="bot_1")

    for part, begin in ((pieces[:10], 0.0), (pieces[10:], 1 + away)):
        async with connect(listener.url) as bot:
            for n, piece in enumerate(part):
                await bot.send(wire(piece, begin + n / 10))
            await (await bot.ping())
            bot.transport.abort()
    ended = await listener.stop()

    recording = await listener.finished("bot_1")
    entry = recording.entry("mixed")
    samples = recording.samples("mixed")
    hole = round(away * RATE)
    print(f"{provider}: away for {away} s, a hole of {entry['gap_samples'] / RATE} s")
    assert_same(samples[:RATE], sound[:RATE])
    assert_same(samples[-RATE:], sound[RATE:])
    assert len(samples) == 2 * RATE + hole
    assert (entry["gaps"], entry["gap_samples"]) == (1, hole)
    assert len(list(recording.folder.glob("*.wav"))) == 1
    assert ended.status == 6


async def test_what_comes_late_is_kept(place: Place) -> None:
    """Messages queued in the bot during an outage arrive with old times and are neither lost nor swapped."""
    listener = await place.listen("--linger", 5)
    sound = ramp(3)
    wires = [attendee(piece, (n + 1) / 10) for n, piece in enumerate(chunks(sound))]
    await call(listener.url, *wires[:10])
    await call(listener.url, *wires[10:])
    await listener.stop()

    recording = await listener.finished("bot_1")
    assert_same(recording.samples("mixed"), sound)
    assert recording.manifest["connections"] == 2
    assert recording.entry("mixed")["gaps"] == 0


async def test_mixed_and_participants_on_sockets_of_their_own(place: Place) -> None:
    """Two URLs mean two sockets of one session: all tracks share its time zero."""
    listener = await place.listen("--linger", 5)
    sound = ramp(2)
    pieces = list(enumerate(chunks(sound)))
    await call(listener.url + "/mixed", *(attendee(piece, (n + 1) / 10) for n, piece in pieces))
    await call(listener.url + "/people", *(attendee(piece, (n + 1) / 10, "ana") for n, piece in pieces[5:]))
    await listener.stop()

    recording = await listener.finished("bot_1")
    assert_same(recording.samples("mixed"), sound)
    assert_same(recording.samples("ana"), np.concatenate((np.zeros(RATE // 2, np.int16), sound[RATE // 2 :])))


async def test_a_session_is_its_id_not_its_connection(place: Place) -> None:
    """One socket that carries two recordings makes two sessions; the artifact's key and the bot's id don't matter."""
    listener = await place.listen()
    sound = ramp(1)
    wires = [recall(sound, 0.0, recording=name) for name in ("one", "two")]
    await call(listener.url, wires[0], wires[1].replace('"audio_mixed_raw":', '"audio_mixed":'))
    await call(listener.url, recall(sound, 1.0, recording="one"))
    await listener.stop()

    assert_same((await listener.finished("one")).samples("mixed"), np.concatenate((sound, sound)))
    assert_same((await listener.finished("two")).samples("mixed"), sound)
