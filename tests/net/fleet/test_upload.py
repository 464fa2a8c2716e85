"""One session's way into a store, turn by turn."""

from __future__ import annotations

import os
from datetime import UTC, datetime
from pathlib import Path

import msgspec

from audiotap.manifest import NAME, UPLOADS, Manifest
from audiotap.net.fleet.journal import Journal
from audiotap.net.fleet.store import Store
from audiotap.net.fleet.upload import Session
from audiotap.session import Summary

STARTED = datetime(2026, 11, 21, tzinfo=UTC)


def test_a_clock_too_coarse_for_the_last_manifest(tmp_path: Path) -> None:
    """A session's end is seen though its manifest was written at the very time of the one before it."""
    folder = tmp_path / "session"
    folder.mkdir()
    open_yet = Summary(("attendee", "bot_1"), None, STARTED, None, "", 0.0, 1, 1, 0, 0, {}, ())
    ended = msgspec.structs.replace(open_yet, ended=STARTED, reason="over")
    (folder / UPLOADS).touch()
    write(folder / NAME, open_yet)
    store = Store((tmp_path / "store").as_uri(), make=True)
    session = Session(folder, Journal(folder / UPLOADS, store.url), store, 60.0)
    session.turn()
    assert not session.done
    write(folder / NAME, ended)
    assert session.left()
    session.turn()
    session.close()
    assert session.done
    (stored,) = (tmp_path / "store").rglob(NAME)
    assert Manifest.parse(stored.read_bytes()).summary.ended == STARTED


def write(path: Path, summary: Summary) -> None:
    """A manifest, always of the same time."""
    path.write_bytes(Manifest(summary, "wav", {}).document())
    os.utime(path, ns=(0, 0))
