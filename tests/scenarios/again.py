"""Recordings made once more out of their captures, and compared byte by byte."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tests.scenarios.harness import Place

from audiotap.net.capturing import STOPPED
from audiotap.net.rerecording import CUT_OFF

WHEN = ("started", "ended")
"""What a manifest tells by the clock on the wall, to the millisecond."""


async def recorded_again(place: Place, capture: Path) -> Path:
    """The folder in which a capture's sessions were recorded once more."""
    out = place.folder / f"again-{capture.name}"
    ended = await place.run("replay", capture, "--out", out)
    assert ended.status in {0, 6}, ended.err
    return out


async def replay_all(place: Place) -> int:
    """Record every capture of a place once more, and compare what was finished and unharmed; how many sessions."""
    before = sessions(place.out)
    again: dict[tuple[str, str, int], Path] = {}
    for capture in sorted(place.folder.glob("all*.jsonl.gz")):
        if not (await place.run("replay", capture, "--out", place.folder / "again")).status % 6:
            again = sessions(place.folder / "again")
    common = [key for key in before.keys() & again.keys() if _manifest(again[key])["reason"] not in {STOPPED, CUT_OFF}]
    for key in common:
        print("compared", key)
        assert_same_folder(before[key], again[key])
    return len(common)


def assert_same_folder(before: Path, after: Path) -> None:
    """Two sessions' folders hold the same files, byte by byte; their manifests may differ in the time of day."""
    assert _names(before) == _names(after)
    for name in _names(before) - {"manifest.json"}:
        assert (before / name).read_bytes() == (after / name).read_bytes(), f"{before / name} differs"
    assert _timeless(before) == _timeless(after)


def sessions(out: Path) -> dict[tuple[str, str, int], Path]:
    """The finished and unharmed sessions below a folder: by provider, id, and how many of that id were before it."""
    found: dict[tuple[str, str, int], Path] = {}
    for folder in sorted(_unharmed(out), key=lambda folder: str(_manifest(folder)["started"])):
        manifest = _manifest(folder)
        provider, session = manifest["provider"], manifest["session"]
        found[provider, session, sum(key[:2] == (provider, session) for key in found)] = folder
    return found


def _unharmed(out: Path) -> Iterator[Path]:
    for path in out.rglob("manifest.json"):
        manifest = _manifest(path.parent)
        if manifest.get("ended") and not (manifest["restarts"] or manifest["lost_samples"]):
            yield path.parent


def _manifest(folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((folder / "manifest.json").read_text("utf-8"))
    return found


def _timeless(folder: Path) -> dict[str, Any]:
    return {field: value for field, value in _manifest(folder).items() if field not in WHEN}


def _names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}
