"""The journal in a session's folder: how far each of its tracks is in the store.

It saves work and is no truth of its own: whatever it does not say is sent again, under the same names.
"""

from __future__ import annotations

import fcntl
import os
from pathlib import Path

import msgspec

from audiotap.files import append, is_gone


class _Line(msgspec.Struct, omit_defaults=True):
    """`to` a store the session goes `under` a name; or a `track` is there up to `through`; or all is `done`."""

    to: str | None = None
    under: str | None = None
    track: str | None = None
    through: int = 0
    done: bool = False


class Journal:
    """An open journal, of which nobody else takes care meanwhile; BlockingIOError if somebody does.

    A store that is another one than before begins at nothing, but what was done is done. OSError where it cannot be
    opened.
    """

    def __init__(self, path: Path, to: str) -> None:
        self.under = ""
        self.done = False
        self._through: dict[str, int] = {}
        self._fd = os.open(path, os.O_RDWR | os.O_APPEND)
        try:
            fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            self._read(path, to)
        except BaseException:
            os.close(self._fd)
            raise
        self._to = to

    @property
    def gone(self) -> bool:
        """Whether somebody removed it."""
        return is_gone(self._fd)

    def through(self, track: str) -> int:
        """The position up to which a track is in the store."""
        return self._through.get(track, 0)

    def call(self, under: str) -> None:
        """Note the session's name in the store."""
        self.under = under
        self._note(_Line(to=self._to, under=under))

    def sent(self, track: str, through: int) -> None:
        """Note that a track is in the store up to a position."""
        self._through[track] = through
        self._note(_Line(track=track, through=through))

    def finish(self) -> None:
        """Note that all of it is there."""
        self.done = True
        self._note(_Line(done=True))

    def close(self) -> None:
        os.close(self._fd)

    def _note(self, line: _Line) -> None:
        """A disk that is full keeps nobody from uploading; each line begins anew, since the one before may be torn."""
        try:
            append(self._fd, b"\n" + msgspec.json.encode(line) + b"\n")
        except OSError:
            return

    def _read(self, path: Path, to: str) -> None:
        here = False
        for text in path.read_bytes().splitlines():
            try:
                line = msgspec.json.decode(text, type=_Line)
            except (msgspec.MsgspecError, UnicodeError):
                continue
            self.done |= line.done
            if line.to is not None:
                here = line.to == to
                self.under, self._through = (line.under or "" if here else ""), {}
            elif here and line.track is not None:
                self._through[line.track] = line.through
