"""Files as such, whatever is in them."""

from __future__ import annotations

from pathlib import Path

from audiotap.files import write_atomically


def test_an_atomic_write_replaces_and_leaves_nothing_else(tmp_path: Path) -> None:
    """The new text stands under the name, and no draft beside it."""
    path = tmp_path / "manifest.json"
    write_atomically(path, b"old and longer")
    write_atomically(path, b"new")
    assert path.read_bytes() == b"new"
    assert list(tmp_path.iterdir()) == [path]
