"""Signatures that were used: how long they are remembered."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from audiotap.net.door.replays import Replays


@pytest.mark.parametrize("kept", [True, False], ids=["in a folder", "in memory"])
def test_a_signature_is_remembered_for_as_long_as_it_is_good(tmp_path: Path, *, kept: bool) -> None:
    """From 5 minutes before its time until 5 minutes after, however often is cleaned up meanwhile."""
    replays, now = Replays(tmp_path / "used" if kept else None), time.time()
    assert replays.is_first("one", now)
    for minute in range(1, 11):
        assert replays.is_first(f"another {minute}", now + 60 * minute)
        assert not replays.is_first("one", now + 60 * minute)
    if kept:
        assert not Replays(tmp_path / "used").is_first("one", now + 600)
