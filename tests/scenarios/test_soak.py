"""A long call of three participants, faster than real time, and every sample of it compared."""

from __future__ import annotations

import os

import pytest
from tests.scenarios.harness import ANA, BO, CHEN, RATE, Place

SECONDS = float(os.environ.get("AUDIOTAP_SOAK_SECONDS", "120"))
SPEED = 60


@pytest.mark.soak
@pytest.mark.timeout(60 + SECONDS / 10)
async def test_every_sample_of_a_long_call(place: Place) -> None:
    """AUDIOTAP_SOAK_SECONDS of speech from three Recall participants, with mutes, are recorded as they were sent."""
    listener = await place.listen()
    bot = await place.bot(
        listener.url,
        *("--provider", "recall", "--file", ANA, "--file", BO, "--file", CHEN, "--loop"),
        *("--seconds", SECONDS, "--speed", SPEED, "--mute", "ana:20-50", "--mute", "chen:10-90"),
        *("--record", place.folder / "sent"),
    )
    summary = (await bot.ended(SECONDS)).json
    ended = await listener.stop()

    assert ended.status == 0
    recording = await listener.finished("sim")
    assert len(recording.samples("mixed")) == SECONDS * RATE
    assert recording.manifest["lost_samples"] == 0
    recording.assert_holds(summary)
