"""Files on a disk, whatever is in them: replaced as a whole, synced, locked, cut."""

from __future__ import annotations

import errno
import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path


def append(fd: int, data: bytes) -> None:
    """Write all of it where the file stands. OSError when the disk refuses."""
    view = memoryview(data)
    while view:
        view = view[os.write(fd, view) :]


def write_atomically(path: Path, data: bytes, *, durable: bool = False) -> None:
    """Replace a small file so that a reader sees the old or the new one, never half of either.

    `durable` returns only when it is on the disk's surface. OSError when the disk refuses; the old one is there then.
    """
    draft = draft_of(path)
    fd = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    try:
        try:
            append(fd, data)
            if durable:
                os.fsync(fd)
        finally:
            os.close(fd)
        draft.replace(path)
    except OSError:
        draft.unlink(missing_ok=True)
        raise
    if durable:
        sync_folder(path.parent)


def sync_folder(path: Path) -> None:
    """Return when the names in a folder are on the disk's surface."""
    fd = os.open(path, os.O_RDONLY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def is_ours(found: os.stat_result) -> bool:
    """Whether a file or folder is this user's; a system whose files don't say whose they are is believed."""
    return not hasattr(os, "getuid") or found.st_uid == os.getuid()


def is_private(found: os.stat_result) -> bool:
    """Whether it is this user's, and closed to others."""
    return not hasattr(os, "getuid") or (is_ours(found) and not found.st_mode & 0o077)


def make_own(folder: Path) -> None:
    """Make a folder for this user alone, if need be. OSError for one in which everybody could replace what is kept."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    if hasattr(os, "getuid") and folder.stat().st_mode & 0o002:
        raise PermissionError(errno.EACCES, "everybody can write there", str(folder))


def is_gone(fd: int) -> bool:
    """Whether an open file or folder was removed, so that nobody will ever find what is written there."""
    return os.fstat(fd).st_nlink == 0


def lock_folder(path: Path) -> int | None:
    """A file descriptor that says, as long as it is open, that this process works in a folder; None if another does."""
    fd = os.open(path, os.O_RDONLY)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(fd)
        return None
    return fd


def draft_of(path: Path) -> Path:
    """Under which name a file is made that must not be seen before it is whole."""
    return path.with_name(f".{path.name}.tmp")


def changes(folder: Path) -> dict[str, datetime]:
    """The plain files in a folder, and when each was changed last; unprintable names are left out, none is of ours."""
    with os.scandir(folder) as entries:
        files = [entry for entry in entries if entry.is_file(follow_symlinks=False) and entry.name.isprintable()]
        return {entry.name: datetime.fromtimestamp(entry.stat().st_mtime, UTC) for entry in files}


def beginning(path: Path, size: int) -> bytes:
    """The first bytes of a file, as many as there are."""
    with path.open("rb") as file:
        return file.read(size)


def put_header(path: Path, header: bytes) -> None:
    """Write over a file's beginning. It seems to be as old as before, since nothing was recorded."""
    with _as_old_as_before(path), path.open("r+b") as file:
        file.write(header)
        file.flush()
        os.fsync(file.fileno())


def cut(path: Path, size: int) -> None:
    """Take away a file's end. It seems to be as old as before."""
    with _as_old_as_before(path):
        os.truncate(path, size)


@contextmanager
def _as_old_as_before(path: Path) -> Iterator[None]:
    before = path.stat()
    yield
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
