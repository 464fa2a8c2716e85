"""Signatures that were used once, so that nobody who saw one uses it again.

Each is an empty file whose name is a hash, made as only one process can: workers, other listeners and the next start
share the folder.
"""

from __future__ import annotations

from contextlib import suppress
from hashlib import sha256
from pathlib import Path

from audiotap.errors import MachineError
from audiotap.files import make_own

MEMORY = 660.0
"""Seconds to remember one: it is good from 5 minutes before its time until 5 minutes after."""


class Replays:
    """What was used. Without a folder, or where the disk refuses, this process remembers by itself."""

    def __init__(self, folder: Path | None) -> None:
        self._folder = folder
        self._used: dict[str, float] = {}
        self._cleaned = 0.0
        if folder is not None:
            try:
                make_own(folder.parent)
                make_own(folder)
            except OSError as error:
                raise MachineError(
                    f"cannot keep used signatures in {error.filename}: {error.strerror}",
                    "set AUDIOTAP_STATE_DIR to a folder of yours",
                ) from error

    def is_first(self, content: str, now: float) -> bool:
        """Whether what was signed was not used before; it is from now on."""
        if now - self._cleaned > MEMORY:
            self._cleaned = now
            self._forget(now - MEMORY)
        name = sha256(content.encode()).hexdigest()
        if name in self._used:
            return False
        self._used[name] = now
        return self._folder is None or _is_new(self._folder / name)

    def _forget(self, before: float) -> None:
        self._used = {name: at for name, at in self._used.items() if at >= before}
        if self._folder is not None:
            with suppress(OSError):
                for path in self._folder.iterdir():
                    _remove(path, before)


def _remove(path: Path, before: float) -> None:
    """Remove a file that is older; another process may have done so."""
    with suppress(FileNotFoundError):
        if path.stat().st_mtime < before:
            path.unlink()


def _is_new(path: Path) -> bool:
    try:
        path.touch(0o600, exist_ok=False)
    except FileExistsError:
        return False
    except OSError:
        return True
    return True
