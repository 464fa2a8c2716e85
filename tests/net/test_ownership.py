"""Who records a session: exactly one worker, the same in every process, and all of them about as many."""

from __future__ import annotations

import subprocess
import sys
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from audiotap.net.ownership import Share, owner

KEYS = st.tuples(st.sampled_from(["attendee", "recall"]), st.text())


@given(KEYS, st.integers(1, 64))
def test_every_session_has_one_owner(key: tuple[str, str], workers: int) -> None:
    """Whatever its id is, also half a character, one share has it and no other."""
    assert [Share(number, workers).has(key) for number in range(workers)].count(True) == 1
    assert Share(owner(key, workers), workers).has(key)


@given(KEYS)
def test_a_single_worker_has_all(key: tuple[str, str]) -> None:
    """One worker is a listener by itself."""
    assert Share(0, 1).has(key)


def test_one_worker_has_what_nobody_can_read() -> None:
    """A folder whose manifest tells no key is complained of once."""
    assert [Share(number, 3).has(None) for number in range(3)] == [True, False, False]


def test_every_process_says_the_same() -> None:
    """Nothing in it depends on a process, as Python's own hash does."""
    keys = [("recall", f"recording-{n}") for n in range(100)]
    script = f"from audiotap.net.ownership import owner; print([owner(key, 7) for key in {keys}])"
    told = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout
    assert told.strip() == str([owner(key, 7) for key in keys])


@pytest.mark.parametrize("workers", [2, 3, 8])
def test_shares_are_even(workers: int) -> None:
    """A thousand bots whose ids only count up give every worker about as many."""
    shares = Counter(owner(("attendee", f"bot_{n:016}"), workers) for n in range(1000))
    assert min(shares.values()) > 0.75 * 1000 / workers
