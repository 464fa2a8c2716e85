"""A limit to what a folder takes of its disk, kept by several processes that write there and do not talk."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from pathlib import Path

BLOCK = 4096
"""Bytes that a file or a folder takes before anything is in it."""
TURNS = 100
"""Batches after which a folder that was full is measured again: three seconds."""


class QuotaError(OSError):
    """The folder is as large as it may be."""

    def __init__(self, folder: Path) -> None:
        super().__init__(errno.EDQUOT, "the recordings take as much of the disk as --max-disk allows", str(folder))


class Quota:
    """How much may still be written below a folder that takes at most `most` bytes (0: any number) of its disk.

    Each of so many `writers` takes an equal part of what is left when it measures, and measures again when its part is
    used up. So together they never go beyond it, whatever else is removed or put there in between. `kept` bytes are
    left for what was taken and is not written yet, and for what has to be written whatever happens.
    """

    def __init__(self, folder: Path, most: int, writers: int = 1) -> None:
        self.kept = 0
        self._folder = folder
        self._most = most
        self._writers = writers
        self._left = 0
        self._full = False
        self._turns = 0

    @property
    def limited(self) -> bool:
        """Whether there is a limit at all."""
        return bool(self._most)

    def take(self, size: int) -> None:
        """Have room for so many bytes; QuotaError where there is none."""
        if not self.limited:
            return
        if size > self._left and not self._full:
            self._left = max(0, self._most - self.kept - taken(self._folder)) // self._writers
            self._full = size > self._left
        if self._full:
            raise QuotaError(self._folder)
        self._left -= size

    def turn(self) -> None:
        """One more batch begins."""
        self._turns += 1
        if self._turns % TURNS == 0:
            self._full = False


def in_blocks(size: int) -> int:
    """Bytes that so many take of a disk."""
    return -(-size // BLOCK) * BLOCK


def taken(folder: Path) -> int:
    """Bytes that a folder and all in it take of their disk; holes in files take none."""
    return sum(_blocks(folder))


def _blocks(folder: Path) -> Iterator[int]:
    try:
        with os.scandir(folder) as entries:
            for entry in entries:
                yield _size(entry)
                if entry.is_dir(follow_symlinks=False):
                    yield from _blocks(Path(entry.path))
    except OSError:
        return


def _size(entry: os.DirEntry[str]) -> int:
    try:
        return entry.stat(follow_symlinks=False).st_blocks * 512
    except OSError:
        return 0
