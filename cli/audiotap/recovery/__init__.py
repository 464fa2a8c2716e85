"""What a crash or a power cut left of recordings: found, repaired, and taken to be gone on with."""

from __future__ import annotations

import os
from collections.abc import Callable
from datetime import datetime
from pathlib import Path, PurePath

import msgspec

from audiotap.errors import ManifestError
from audiotap.files import lock_folder
from audiotap.manifest import NAME, Manifest
from audiotap.recovery.examination import Examination
from audiotap.recovery.mending import Verdict
from audiotap.recovery.salvage import is_session
from audiotap.session import SessionKey


class Finding(msgspec.Struct, frozen=True):
    """What is wrong with a file in a session's folder, and what became of it."""

    file: str
    problem: str
    verdict: Verdict


class Examined(msgspec.Struct, frozen=True):
    """A session's folder after a look. A `live` one is being recorded, and was left alone.

    `sound` is whether everything there is is right now, `lossy` whether audio is known to be missing.
    """

    folder: str
    live: bool = False
    sound: bool = True
    lossy: bool = False
    findings: tuple[Finding, ...] = ()


class Left(msgspec.Struct, frozen=True):
    """A session that a recorder left open: `lock` is the folder's, `touched` when one of its files was changed last."""

    folder: Path
    lock: int
    manifest: Manifest
    touched: datetime


def folders(path: Path) -> list[Path]:
    """The folders of sessions that a path means: itself, or those in it. OSError when it cannot be read."""
    return [path] if is_session(path) else _inside(path)


def _inside(path: Path) -> list[Path]:
    return sorted(child for child in path.iterdir() if is_session(child))


def examine(folder: Path, *, repair: bool) -> Examined:
    """Look at a session's folder, and repair it if that is wanted. What refuses is a finding."""
    try:
        lock = lock_folder(folder)
        if lock is None:
            return Examined(_name(folder), live=True)
        try:
            return _examined(folder, repair=repair)
        finally:
            os.close(lock)
    except OSError as error:
        refused = Finding(PurePath(error.filename or folder).name, f"it cannot be read: {error.strerror}", "unsolved")
        return Examined(_name(folder), sound=False, findings=(refused,))


def _examined(folder: Path, *, repair: bool) -> Examined:
    examination = Examination(folder)
    if repair:
        examination.repair()
    findings = tuple(Finding(problem.file, problem.text, problem.verdict) for problem in examination.problems)
    verdicts = {finding.verdict for finding in findings}
    after = examination.after
    return Examined(
        _name(folder),
        sound=verdicts <= {"repaired", "noted"},
        lossy="lost" in verdicts or (after is not None and after.lossy),
        findings=findings,
    )


def _name(folder: Path) -> str:
    """A path that can be printed and sent, whatever its bytes are."""
    return os.fsencode(folder).decode("utf-8", "replace")


def left_open(
    out: Path, complain: Callable[[str], None], wanted: Callable[[SessionKey | None], bool] = lambda _: True
) -> list[Left]:
    """Take the sessions in a folder whose recorder died: their files mended, their manifests not yet written.

    Only those that are `wanted`, which is asked for None where a manifest tells no key.
    What cannot be taken is complained of and left alone; so are the older ones of a session that was left open twice.
    """
    taken: dict[SessionKey, Left] = {}
    for folder in _offered(out, complain):
        try:
            left = _left(folder, wanted)
        except (OSError, ManifestError) as error:
            why = error.strerror if isinstance(error, OSError) else error.message
            complain(f"{folder} is not gone on with: {why}; audiotap check looks after it")
            continue
        if left is None:
            continue
        older = taken.pop(left.manifest.summary.session, None)
        taken[left.manifest.summary.session] = left
        if older is not None:
            os.close(older.lock)
            complain(f"{older.folder} is not gone on with: {folder.name} is newer; audiotap check looks after it")
    return list(taken.values())


def _offered(out: Path, complain: Callable[[str], None]) -> list[Path]:
    try:
        return _inside(out)
    except FileNotFoundError:
        return []
    except OSError as error:
        complain(f"{out} is not looked through for sessions that were left open: {error.strerror}")
        return []


def _left(folder: Path, wanted: Callable[[SessionKey | None], bool]) -> Left | None:
    """None for a session that has ended, that somebody records, or that is not wanted."""
    try:
        summary = Manifest.parse((folder / NAME).read_bytes()).summary
    except (OSError, ManifestError):
        if wanted(None):
            raise
        return None
    if summary.ended is not None or not wanted(summary.session):
        return None
    lock = lock_folder(folder)
    if lock is None:
        return None
    try:
        return _mended(folder, lock)
    except BaseException:
        os.close(lock)
        raise


def _mended(folder: Path, lock: int) -> Left:
    examination = Examination(folder)
    manifest = examination.resumable
    if manifest is None:
        raise ManifestError("its files are not as this audiotap records them")
    examination.mend()
    return Left(folder, lock, manifest, examination.touched)
