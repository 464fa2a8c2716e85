"""Which recorded sessions a path means, and how what is made of them may end."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from audiotap.errors import InterruptedRunError, MachineError, UsageError
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


@contextmanager
def whole_or_nothing() -> Iterator[None]:
    """While a file is written out of a session: what a disk or the user ends is told with what to type."""
    try:
        yield
    except OSError as error:
        raise MachineError(f"cannot write {error.filename or ''}: {error.strerror or error}", "choose --out") from error
    except KeyboardInterrupt as error:
        raise InterruptedRunError("interrupted; nothing was written", "run it again") from error
