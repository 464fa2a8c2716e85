"""What names and files tell of a session whose manifest is lost, or was written before they were made."""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path, PurePath
from typing import NamedTuple

from audiotap.files import changes
from audiotap.inspection import Findings
from audiotap.intake import Flaws
from audiotap.manifest import BESIDE, EVENT_LOG, NAME, Format, Manifest
from audiotap.recovery.mending import held, told_rate
from audiotap.session import Summary
from audiotap.track import TrackCounts, TrackSummary

FORMATS: tuple[Format, ...] = ("wav", "flac", "bin")
"""The better one first, where a track has several files."""
LIKELY_RATE = 16000
"""Of bare samples whose manifest is lost: what providers send unless they are told otherwise."""
_FOLDER = re.compile(r"(\d{8}T\d{6}Z)_([a-z]+)_(.+)")
_STEM = re.compile(r"(.+?-[0-9a-f]{8}|[^_]+)_(.+)")
"""A participant's id as a safe name, which ends in its hash where it was changed, and then the display name."""


class Stray(NamedTuple):
    """A file that no manifest knows, as the track that it must be; `guessed` is whether nothing tells its rate."""

    file: str
    track: TrackSummary
    guessed: bool


def is_session(folder: Path) -> bool:
    """Whether it is a session's folder: it holds a manifest, or is called like one and holds something of one.

    Where that cannot be read, the name alone tells.
    """
    try:
        if (folder / NAME).exists():
            return True
        return _is_named(folder) and folder.is_dir() and any(map(_is_ours, changes(folder)))
    except OSError:
        return _is_named(folder)


def rebuilt(folder: Path, files: Iterable[str]) -> Manifest | None:
    """A manifest without tracks, out of a folder's name; None if that tells nothing."""
    match = _FOLDER.fullmatch(folder.resolve().name)
    if match is None:
        return None
    try:
        started = datetime.strptime(match[1], "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
    except ValueError:
        return None
    summary = Summary(
        session=(match[2], match[3]),
        bot=None,
        started=started,
        ended=None,
        reason="",
        origin=None,
        restarts=0,
        connections=0,
        open=0,
        malformed=0,
        unknown={},
        tracks=(),
    )
    forms = [form for form in FORMATS if any(file.endswith(f".{form}") for file in files)]
    return Manifest(summary, forms[0] if forms else FORMATS[0], {})


def strays(folder: Path, files: Iterable[str], manifest: Manifest) -> list[Stray]:
    """The audio files that a manifest does not know, one for each track."""
    known = {PurePath(file).stem for file in manifest.files.values()}
    tracks = {track.track for track in manifest.summary.tracks}
    new: dict[str, str] = {}
    for form in FORMATS:
        for file in files:
            path = PurePath(file)
            if path.suffix == f".{form}" and path.stem not in known and file not in BESIDE:
                new.setdefault(path.stem, file)
    rates = {file: told_rate(folder / file) for file in new.values()}
    likely = next(filter(None, [*(track.rate for track in manifest.summary.tracks), *rates.values()]), LIKELY_RATE)
    found = []
    for _, file in sorted(new.items()):
        track = _track(folder / file, rates[file] or likely, tracks)
        tracks.add(track.track)
        found.append(Stray(file, track, rates[file] is None))
    return found


def _track(path: Path, rate: int, taken: set[str]) -> TrackSummary:
    match = _STEM.fullmatch(path.stem)
    track, names = (match[1], (match[2],)) if match and match[1] not in taken else (path.stem, ())
    samples = held(path, rate).samples or 0
    return TrackSummary(track, names, rate, 0, samples, 0.0, TrackCounts(), Flaws(), Findings())


def _is_named(folder: Path) -> bool:
    return _FOLDER.fullmatch(folder.resolve().name) is not None


def _is_ours(file: str) -> bool:
    return file == EVENT_LOG or file.endswith(FORMATS)
