"""What is worth a warning while it can still be helped: silence, clipping, overflow, half samples, no audio at all."""

from __future__ import annotations

import numpy as np
import pytest
from tests.scenarios.harness import Listener, Place, Recording, Samples, attendee, call, chunks, tone
from websockets.asyncio.client import connect

from audiotap.net import tap


def overdriven(seconds: float) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    """A tone that is twice as loud as 16 bits can say."""
    return 65_000 * np.sin(2 * np.pi * 440 * np.arange(round(seconds * 16000)) / 16000)


CLIPPED = np.clip(overdriven(3), -32768, 32767).astype(np.int16)
WRAPPED = overdriven(3).astype(np.int64).astype(np.int16)
QUIET = np.zeros(40 * 16000, np.int16)


async def hear(place: Place, sound: Samples) -> tuple[Listener, Recording]:
    listener = await place.listen("--linger", 0.1)
    await call(listener.url, *(attendee(piece, (n + 1) / 10) for n, piece in enumerate(chunks(sound))))
    recording = await listener.finished("bot_1")
    assert (await listener.stop()).status == 0
    return listener, recording


@pytest.mark.parametrize(
    ("sound", "field", "words"),
    [
        pytest.param(CLIPPED, "clipped", "clipping: ", id="clipping"),
        pytest.param(WRAPPED, "spikes", "wrap-around spikes: ", id="overflow"),
        pytest.param(QUIET, "silent_samples", "silent for 30 s: ", id="silence"),
    ],
)
async def test_a_sound_that_is_wrong(place: Place, sound: Samples, field: str, words: str) -> None:
    """It is told once while the call goes on, with what to do about it, and counted in the manifest."""
    listener, recording = await hear(place, sound)
    assert recording.entry("mixed")[field] > 1000
    told = [warning for warning in listener.warnings() if warning.startswith(words)]
    assert len(told) == 1
    assert ";" in told[0] or ":" in told[0]


async def test_a_good_sound_is_not_talked_about(place: Place) -> None:
    """Loud as may be, and with pauses: no warning, nothing counted."""
    listener, recording = await hear(place, np.concatenate((tone(5, level=32_000), QUIET[: 5 * 16000], tone(5))))
    assert listener.warnings() == []
    entry = recording.entry("mixed")
    assert (entry["clipped"], entry["spikes"]) == (0, 0)


async def test_a_silent_participant_is_no_news(place: Place) -> None:
    """Who does not speak for a while is not warned of."""
    listener = await place.listen("--linger", 0.1)
    wires = [attendee(QUIET[:16000], n + 1.0, "ana") for n in range(40)]
    await call(listener.url, *wires)
    await listener.finished("bot_1")
    await listener.stop()
    assert listener.warnings() == []


async def test_a_bot_that_sends_nothing_any_more(place: Place) -> None:
    """The connection stands and no audio comes: that is told while there is time to look."""
    listener = await place.listen()
    async with connect(listener.url) as bot:
        await bot.send(attendee(tone(0.1), 0.1))
        await listener.event("track.started")
        warning = await listener.event("warning")
    assert f"no audio for {tap.QUIET_SECONDS:g} s" in warning["message"]
    assert warning["session"] == "bot_1"
    await listener.stop()
