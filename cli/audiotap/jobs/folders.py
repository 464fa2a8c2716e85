"""Which recorded sessions a path means."""

from __future__ import annotations

from pathlib import Path

from audiotap.errors import UsageError
from audiotap.jobs.output import talk
from audiotap.recorded.folder import Recorded, recorded
from audiotap.recovery import folders
from audiotap.text import counted, printable


def sessions(path: Path) -> list[Path]:
    """The folders of sessions; UsageError where there is none."""
    try:
        found = folders(path)
    except OSError as error:
        raise UsageError(f"cannot read {path}: {error.strerror}", "name a folder of recordings") from error
    if not found:
        raise UsageError(f"{path} holds no session", "name a session's folder, or the --out of listen")
    return found


def newest(path: Path) -> Recorded:
    """The session of a folder, or the newest one of several, which is said. Errors as of `sessions` and `recorded`."""
    found = sessions(path)
    folder = found[-1]
    if folder != path:
        talk(f"{printable(folder.name)}, the newest of {counted(len(found), 'session')} in {printable(str(path))}")
    return recorded(folder)
