"""The journal of an upload: what it says after any end, and what it does not have to say."""

from __future__ import annotations

from pathlib import Path

import pytest

from audiotap.net.fleet.journal import Journal

STORE = "s3://bucket/calls"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / ".uploads.jsonl"
    path.touch()
    return path


def written(path: Path) -> None:
    """A journal of two tracks."""
    journal = Journal(path, STORE)
    journal.call("attendee_bot/here")
    journal.sent("mixed", 16000)
    journal.sent("ana", 500)
    journal.sent("mixed", 32000)
    journal.close()


def read(path: Path, store: str = STORE) -> tuple[str, int, int, bool]:
    journal = Journal(path, store)
    told = journal.under, journal.through("mixed"), journal.through("ana"), journal.done
    journal.close()
    return told


def test_it_is_read_again(path: Path) -> None:
    """The next one knows the name in the store and how far each track is."""
    assert read(path) == ("", 0, 0, False)
    written(path)
    assert read(path) == ("attendee_bot/here", 32000, 500, False)


@pytest.mark.parametrize("cut", range(1, 34))
def test_a_torn_end_is_sent_again(path: Path, cut: int) -> None:
    """Wherever its last line broke off, nothing is believed that was not written, and what follows is read."""
    written(path)
    path.write_bytes(path.read_bytes()[:-cut])
    under, mixed, ana, _ = read(path)
    assert (under, ana) == ("attendee_bot/here", 500)
    assert mixed in {16000, 32000}
    journal = Journal(path, STORE)
    journal.sent("ana", 700)
    journal.close()
    assert read(path)[2] == 700


def test_junk_is_nothing(path: Path) -> None:
    """What is no line of ours tells nothing."""
    path.write_bytes(b'\x00\xff\n[]\n{"through": "x"}\n{"track": 3}\n')
    assert read(path) == ("", 0, 0, False)


def test_another_store_begins_at_nothing(path: Path) -> None:
    """What is in one store is not in another; but whoever was done is done."""
    written(path)
    assert read(path, "s3://other") == ("", 0, 0, False)
    journal = Journal(path, STORE)
    journal.finish()
    journal.close()
    assert read(path, "s3://other")[3]


def test_one_takes_care(path: Path) -> None:
    """As long as one has it nobody else gets it."""
    journal = Journal(path, STORE)
    with pytest.raises(BlockingIOError):
        Journal(path, STORE)
    assert not journal.gone
    path.unlink()
    assert journal.gone
    journal.close()
