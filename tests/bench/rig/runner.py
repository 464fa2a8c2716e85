"""What every benchmark does around its runs: alone on the machine, told where it is, ended in order; goals in words."""

from __future__ import annotations

import argparse
import fcntl
import os
import platform
import re
import resource
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import TypeVar

import msgspec

from rig.processes import CannotRunError, Rig, VoidError

R = TypeVar("R", bound=Rig)


class Goal(msgspec.Struct, frozen=True):
    """What a figure has to be; `figure` is None where it was not measured."""

    text: str
    figure: float | None
    least: float | None = None
    most: float | None = None

    def __str__(self) -> str:
        wanted = f">= {self.least:g}" if self.least is not None else f"<= {self.most:g}"
        if self.figure is None:
            return f"goal: {self.text} {wanted}: not measured"
        met = self.figure >= self.least if self.least is not None else self.figure <= (self.most or 0)
        return f"goal: {self.text} {wanted}: {self.figure:.3g} {'MET' if met else 'NOT MET'}"


def places(parser: argparse.ArgumentParser) -> argparse.ArgumentParser:
    """The options that every benchmark has."""
    cache = Path(tempfile.gettempdir(), f"audiotap-bench-{os.getuid()}")
    parser.add_argument("--place", type=Path, default=Path(tempfile.gettempdir()), help="where the servers write")
    parser.add_argument("--cache", type=Path, default=cache, help="where Node packages are kept")
    return parser


def run(name: str, options: argparse.Namespace, kind: Callable[[Path, Path], R], measure: Callable[[R], None]) -> int:
    """Measure on a rig; the exit status. A void run has 1, as has one that cannot be had here."""
    signal.signal(signal.SIGTERM, _interrupt)
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    try:
        with _alone(options.cache), tempfile.TemporaryDirectory(prefix=f"{name}-", dir=options.place) as place:
            rig = kind(Path(place), options.cache)
            _describe(rig)
            measure(rig)
    except VoidError as error:
        print(f"\nVOID, these figures mean nothing: {error}")
        return 1
    except CannotRunError as error:
        print(f"this cannot be measured here: {error}")
        return 1
    except KeyboardInterrupt:
        print("\ninterrupted")
        return 130
    return 0


@contextmanager
def _alone(cache: Path) -> Iterator[None]:
    """Two of these at the same time would measure each other: the second one waits."""
    cache.mkdir(parents=True, exist_ok=True)
    with (cache / "lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            print("waiting for another run of a benchmark")
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _describe(rig: Rig) -> None:
    """Where and with what this is measured."""
    models = re.findall(r"model name\s*: (.*)", Path("/proc/cpuinfo").read_text("utf-8"))
    print(f"{next(iter(models), platform.machine())}, Linux {platform.release()}")
    print(f"Python {platform.python_version()}, node {_told_by('node', '--version')}, {_told_by('gcc', '--version')}")
    print(f"server on CPU {rig.server_cpu}, load on CPU {rig.load_cpu}; files below {rig.place}")
    if rig.alone:
        print("WARNING: there is one processor only, which the load takes from the servers")


def _told_by(*command: str) -> str:
    """The first line of what a tool says, such as its version."""
    if not shutil.which(command[0]):
        return "none"
    return subprocess.run(command, capture_output=True, text=True, check=False).stdout.partition("\n")[0]


def _interrupt(*_: int | FrameType | None) -> None:
    raise KeyboardInterrupt
