"""The quota: what a folder takes is measured as the disk does it, and writers who share it never go beyond."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from audiotap.quota import TURNS, Quota, QuotaError, taken

MIB = 2**20


def put(path: Path, size: int) -> None:
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(bytes(size))


def test_what_is_taken(tmp_path: Path) -> None:
    """Files in all folders, holes and links not, and nothing where there is no folder."""
    put(tmp_path / "one" / "file", MIB)
    with (tmp_path / "holes").open("wb") as file:
        os.truncate(file.fileno(), 100 * MIB)
    (tmp_path / "link").symlink_to(tmp_path / "one" / "file")
    (tmp_path / "up").symlink_to(tmp_path)
    assert MIB <= taken(tmp_path) < 2 * MIB
    assert taken(tmp_path / "none") == 0


def test_without_a_limit_everything_fits(tmp_path: Path) -> None:
    """Nothing is even measured."""
    Quota(tmp_path, 0).take(2**60)


def test_what_is_there_counts(tmp_path: Path) -> None:
    """Files of earlier runs leave less; what does not fit is refused with the folder's name, and so is all after it."""
    put(tmp_path / "older", MIB)
    quota = Quota(tmp_path, 2 * MIB)
    quota.take(MIB // 2)
    with pytest.raises(QuotaError) as refused:
        quota.take(2 * MIB)
    assert refused.value.filename == str(tmp_path)
    with pytest.raises(QuotaError):
        quota.take(1)


def test_room_that_was_made_is_seen_after_a_while(tmp_path: Path) -> None:
    """Not with every chunk, since measuring takes time."""
    put(tmp_path / "older", MIB)
    quota = Quota(tmp_path, MIB)
    with pytest.raises(QuotaError):
        quota.take(1)
    (tmp_path / "older").unlink()
    for _ in range(TURNS):
        with pytest.raises(QuotaError):
            quota.take(1)
        quota.turn()
    quota.take(1)


def test_writers_that_share_it_never_go_beyond(tmp_path: Path) -> None:
    """Several that write in turn, each with its own measure, use nearly all of it."""
    quotas = [Quota(tmp_path, 4 * MIB, 3) for _ in range(3)]
    refused = 0
    for at in range(200):
        try:
            quotas[at % 3].take(65_536)
        except QuotaError:
            refused += 1
        else:
            put(tmp_path / f"{at}", 65_536)
    assert refused
    assert 3.5 * MIB < taken(tmp_path) <= 4 * MIB
