"""The page as text: how much it weighs, and what it asks of the outside."""

from __future__ import annotations

import re
from pathlib import Path
from random import Random

import pytest
from tests.recorded.sessions import Part, kept, uttered

from audiotap.recorded.folder import recorded
from audiotap.recorded.outline import Outline, Stretch
from audiotap.recorded.webpage import columns, page
from audiotap.track import TrackCounts

HOUR = 3600.0
WORDS = "we should look at the numbers of last week before anybody promises a date to the people who asked for it"


def busy(dice: Random, fineness: int, turns: int) -> Outline:
    """An hour in which nothing is like what was before it."""
    times = sorted(dice.uniform(0, HOUR) for _ in range(4 * turns))
    pairs = [Stretch(a, b) for a, b in zip(times[::2], times[1::2], strict=True)]
    loud = tuple(dice.random() for _ in range(fineness))
    clips = tuple(dice.uniform(0, HOUR) for _ in range(50))
    return Outline(HOUR, loud, tuple(value / 3 for value in loud), tuple(pairs[::2]), tuple(pairs[1::2]), clips)


@pytest.mark.parametrize("tracks", [2, 8])
def test_an_hour_weighs_less_than_300_kb(tmp_path: Path, tracks: int) -> None:
    """Also where all talk all the time, with 1,600 turns, as many gaps, and 9,000 words of transcript."""
    dice = Random(7)
    turns = 1600 // tracks
    parts = {str(n): Part(b"", f"Participant {n}", counts=TrackCounts(gaps=turns)) for n in range(tracks)}
    told = [uttered(HOUR * n / 450, WORDS, n % tracks, f"Participant {n % tracks}") for n in range(450)]
    session = recorded(kept(tmp_path / "s", parts, told))
    outlines = {track: busy(dice, columns(tracks), turns) for track in parts}
    text = page(session, outlines, {track: f"./{track}.wav" for track in parts})
    assert len(text.encode()) < 300_000


def test_nothing_is_asked_of_the_outside(tmp_path: Path) -> None:
    """No address leads anywhere but into the page or to the tracks, and the policy says so."""
    session = recorded(kept(tmp_path / "s", {"mixed": Part(b"")}))
    text = page(session, {"mixed": Outline(0.0, (), ())}, {"mixed": "./0.wav"})
    assert set(re.findall(r'(?:src|href|action)="([^"]*)"', text)) == {"#w0", "./0.wav"}
    assert set(re.findall(r"https?://[^\s\"')]+", text)) == {"http://www.w3.org/2000/svg"}
    (policy,) = re.findall(r'Content-Security-Policy" content="([^"]*)"', text)
    assert policy.startswith("default-src 'none'; ")
    assert "unsafe" not in policy
