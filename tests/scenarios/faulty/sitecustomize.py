"""A disk that is slow, says no, or is the last thing a program sees: Python imports this before that program.

The folder FAULTS holds the switches, files whose text is a part of the paths they are meant for (nothing: all of them).
While there is `held`, writing waits. While there is `refused`, it fails with the error whose number stands in front.
While there is `deadly`, the write whose number stands in front is not done: the program is killed.
While there is `watched`, a file that is synced is copied to the folder `surface`: it is what a power cut leaves.
"""

from __future__ import annotations

import builtins
import io
import itertools
import os
import signal
import stat
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

SWITCHES = Path(os.environ["FAULTS"])
ON_DESCRIPTORS = ("write", "writev", "pwrite", "pwritev", "ftruncate", "posix_fallocate", "fsync", "fdatasync")
ON_PATHS = ("mkdir", "replace", "rename", "link")
POLL_SECONDS = 0.005
WRITES = itertools.count(1)


def meet(path: str) -> None:
    """Do what the switches say to a write of a path."""
    while _text("held", path) is not None:
        time.sleep(POLL_SECONDS)
    deadly = _text("deadly", path)
    if deadly is not None and next(WRITES) == int(deadly.split()[0]):
        os.kill(os.getpid(), signal.SIGKILL)
    refused = _text("refused", path)
    if refused is not None:
        number = int(refused.split()[0])
        raise OSError(number, os.strerror(number))


def _text(switch: str, path: str) -> str | None:
    """What a switch says, if it is there and meant for the path."""
    try:
        text = (SWITCHES / switch).read_text("utf-8")
    except FileNotFoundError:
        return None
    part = text.partition(" ")[2]
    return text if part in path else None


def _behind(descriptor: int) -> str:
    return str(Path(f"/proc/self/fd/{descriptor}").readlink())


def on_descriptor(real: Callable[..., Any]) -> Callable[..., Any]:
    def met(descriptor: int, *args: Any, **more: Any) -> Any:
        if stat.S_ISREG(os.fstat(descriptor).st_mode):
            meet(_behind(descriptor))
        return real(descriptor, *args, **more)

    return met


def on_sync(real: Callable[[int], None]) -> Callable[[int], None]:
    def met(descriptor: int) -> None:
        real(descriptor)
        if stat.S_ISREG(os.fstat(descriptor).st_mode) and _text("watched", _behind(descriptor)) is not None:
            path = Path(_behind(descriptor))
            kept = SWITCHES / "surface" / path.parent.name / path.name
            kept.parent.mkdir(parents=True, exist_ok=True)
            draft = kept.with_name(f"{kept.name}.draft")
            draft.write_bytes(path.read_bytes())
            draft.rename(kept)

    return met


def on_path(real: Callable[..., Any]) -> Callable[..., Any]:
    def met(path: Any, *args: Any, **more: Any) -> Any:
        meet(str(Path.cwd() / os.fsdecode(path)))
        return real(path, *args, **more)

    return met


def on_open(real: Callable[..., int]) -> Callable[..., int]:
    def met(path: Any, flags: int, *args: Any, dir_fd: int | None = None, **more: Any) -> int:
        if flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT):
            folder = Path.cwd() if dir_fd is None else Path(_behind(dir_fd))
            meet(str(folder / os.fsdecode(path)))
        return real(path, flags, *args, dir_fd=dir_fd, **more)

    return met


def on_file(real: Callable[..., Any]) -> Callable[..., Any]:
    def met(file: Any, mode: str = "r", *args: Any, **more: Any) -> Any:
        if not isinstance(file, int) and set(mode) & set("wax+"):
            meet(str(Path.cwd() / os.fsdecode(file)))
        return real(file, mode, *args, **more)

    return met


for name in ON_DESCRIPTORS:
    setattr(os, name, on_descriptor(getattr(os, name)))
for name in ("fsync", "fdatasync"):
    setattr(os, name, on_sync(getattr(os, name)))
for name in ON_PATHS:
    setattr(os, name, on_path(getattr(os, name)))
os.open = on_open(os.open)
builtins.open = io.open = on_file(io.open)
