"""The processes of a run: servers on one processor, the load on another, and what the servers cost."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
OUR_CODE = HERE.parents[2] / "cli"
START_SECONDS = 30.0
STOP_SECONDS = 120.0


class CannotRunError(Exception):
    """A server or a tool is not to be had here; says which and why."""


class VoidError(Exception):
    """A run whose figures mean nothing; says why."""


# What a process costs


def tree(pid: int) -> list[int]:
    """A process and everything it started that still runs."""
    try:
        tasks = list(Path(f"/proc/{pid}/task").iterdir())
        children = [int(child) for task in tasks for child in (task / "children").read_text().split()]
    except OSError:
        return []
    return [pid, *(below for child in children for below in tree(child))]


def cpu_seconds(pid: int) -> float:
    """User and system time of a process and its children, all threads, also of those that are over.

    These are utime + stime of /proc/PID/stat, read in nanoseconds from the process's own clock instead of in ticks of
    10 ms; clock_getcpuclockid(3) makes the clock's number in the same way.
    """
    return sum(map(_cpu_seconds, tree(pid)))


def _cpu_seconds(process: int) -> float:
    return time.clock_gettime((~process << 3) | 2)


def waited(pid: int) -> float:
    """Seconds that a process's main thread was ready to run without a processor; 0 where the kernel does not tell."""
    try:
        return int(Path(f"/proc/{pid}/task/{pid}/schedstat").read_text().split()[1]) / 1e9
    except OSError:
        return 0.0


def cpu_of_others(ours: set[int]) -> dict[int, float]:
    """The processor time of every other process of this machine, the kernel's threads among them."""
    others = {}
    for process in Path("/proc").glob("[1-9]*"):
        if int(process.name) not in ours:
            with suppress(OSError):
                others[int(process.name)] = _cpu_seconds(int(process.name))
    return others


def memory(pid: int, field: str = "VmRSS") -> int:
    """Bytes that a process and its children hold (`VmRSS`), or that they held at most (`VmHWM`)."""
    held = 0
    for process in tree(pid):
        lines = Path(f"/proc/{process}/status").read_text().splitlines()
        held += sum(int(line.split()[1]) * 1024 for line in lines if line.startswith(f"{field}:"))
    return held


# The machine, and what is built on it


class Rig:
    """What runs have in common: two processors, a place for files of all kinds, and Node packages that are kept."""

    def __init__(self, place: Path, cache: Path) -> None:
        self.place = place
        self.cache = cache
        processors = sorted(os.sched_getaffinity(0))
        self.server_cpu: int | str = processors[0]
        self.load_cpu: int | str = processors[-1]
        os.sched_setaffinity(0, {processors[-1]})
        for tool in ("taskset", "gcc"):
            if not shutil.which(tool):
                raise CannotRunError(f"there is no {tool}")

    @property
    def alone(self) -> bool:
        """Whether server and load have to share one processor."""
        return self.server_cpu == self.load_cpu

    def compiled(self, name: str) -> Path:
        """A program from a C file here, for this very processor."""
        program = self.place / name
        if program.exists():
            return program
        command = ["gcc", "-O3", "-march=native", "-o", str(program), str(HERE / f"{name}.c")]
        made = subprocess.run(command, capture_output=True, text=True, check=False)
        if made.returncode:
            raise CannotRunError(made.stderr)
        return program

    def packages(self) -> Path:
        """The folder of the Node packages, installed once."""
        if not shutil.which("npm"):
            raise CannotRunError("there is no npm")
        shutil.copy(HERE / "package.json", self.cache)
        if not (self.cache / "node_modules" / "zod").exists():
            made = subprocess.run(
                ["npm", "install", "--silent"], cwd=self.cache, capture_output=True, text=True, check=False
            )
            if made.returncode:
                raise CannotRunError(f"npm install failed: {made.stderr or made.stdout}")
        return self.cache / "node_modules"

    def touch_memory(self, size: int) -> None:
        """Have so many bytes of memory used and free again.

        Below a virtual machine, memory that was never used is made page by page, at a price that exceeds all else.
        """
        block = bytes(1024 * 1024)
        with tempfile.TemporaryFile(dir=self.place) as file:
            for _ in range(0, size, len(block)):
                file.write(block)

    def environment(self, folder: Path) -> dict[str, str]:
        """The user's, without their settings of audiotap."""
        own = {name: value for name, value in os.environ.items() if not name.startswith("AUDIOTAP_")}
        return own | {
            "PYTHONPATH": str(OUR_CODE),
            "NODE_PATH": str(self.cache / "node_modules"),
            "AUDIOTAP_RUNTIME_DIR": str(folder),
            "AUDIOTAP_CONFIG": str(folder / "none.toml"),
        }

    def command(self, server: str, out: Path) -> list[str]:
        """How a server is started that writes into `out`, built first if it has to be."""
        words = (SERVERS | SPEAKERS)[server](self, out)
        return list(map(str, words))

    @contextmanager
    def server(self, name: str, folder: Path) -> Iterator[Server]:
        """A server that listens, and writes below `folder`; its end is the block's."""
        out = folder / "out"
        out.mkdir()
        command = pinned(self.server_cpu, self.command(name, out))
        with (folder / "told").open("wb") as told, (folder / "complaints").open("wb") as complaints:
            process = subprocess.Popen(
                command,
                cwd=folder,
                env=self.environment(folder),
                stdin=subprocess.DEVNULL,
                stdout=told,
                stderr=complaints,
                start_new_session=True,
            )
        server = Server(name, process, folder)
        try:
            server.wait_until_it_listens()
            yield server
        finally:
            server.kill()

    @contextmanager
    def load(self, frames: int, server: Server, pace: float, warm: int, log: Path | None = None) -> Iterator[Load]:
        """A load generator whose connections are open; `frames` is the descriptor of a call's frames."""
        words = [_path(frames), server.port, pace, warm, *([log] if log else [])]
        with self._client("load", words, [frames], server) as load:
            yield load

    @contextmanager
    def bots(
        self, words: int, server: Server, pace: float, speech: int, step: int, chunks: int, log: Path
    ) -> Iterator[Load]:
        """Bots whose connections are open, and which are to be spoken to; `words` and `speech` are descriptors."""
        told = [_path(words), server.port, pace, _path(speech), step, chunks, log]
        with self._client("bots", told, [words, speech], server) as bots:
            yield bots

    @contextmanager
    def _client(self, name: str, words: list[object], files: list[int], server: Server) -> Iterator[Load]:
        process = subprocess.Popen(
            pinned(self.load_cpu, [str(self.compiled(name)), *map(str, words)]),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            pass_fds=files,
            start_new_session=True,
        )
        try:
            load = Load(process, server)
            load.until("ready")
            yield load
        finally:
            process.kill()
            process.communicate()


def _path(descriptor: int) -> str:
    return f"/proc/self/fd/{descriptor}"


def pinned(cpu: int | str, command: list[str]) -> list[str]:
    return ["taskset", "--cpu-list", str(cpu), *command]


def _ours(_: Rig, out: Path) -> list[str | Path]:
    return [sys.executable, "-m", "audiotap", "listen", "--port", "0", "--out", out, "--json"]


def _node(script: str) -> Callable[[Rig, Path], list[str | Path]]:
    def command(rig: Rig, out: Path) -> list[str | Path]:
        if not shutil.which("node"):
            raise CannotRunError("there is no node")
        rig.packages()
        return ["node", HERE / script, out]

    return command


def _plain(_: Rig, out: Path) -> list[str | Path]:
    return [sys.executable, HERE / "plain.py", out]


def _limit(rig: Rig, out: Path) -> list[str | Path]:
    return [rig.compiled("limit"), out]


def _sleeps(_: Rig, out: Path) -> list[str | Path]:
    return [sys.executable, HERE / "sleeps.py", out.parent / "speech"]


SERVERS: dict[str, Callable[[Rig, Path], list[str | Path]]] = {
    "ours": _ours,
    "quickstart": _node("quickstart.js"),
    "sample": _node("sample_app.js"),
    "plain": _plain,
    "limit": _limit,
}
"""By name, how each is started. `ours` is the whole recorder, as users start it for a script."""
SPEAKERS: dict[str, Callable[[Rig, Path], list[str | Path]]] = {"ours": _ours, "sleeps": _sleeps}
"""Those that speak to bots."""


# A server, and the load


class Server:
    """A server that runs."""

    def __init__(self, name: str, process: subprocess.Popen[bytes], folder: Path) -> None:
        self.name = name
        self.out = folder / "out"
        self.port = 0
        self.listening: dict[str, Any] = {}
        self._process = process
        self.folder = folder

    @property
    def pid(self) -> int:
        return self._process.pid

    def cpu_seconds(self) -> float:
        return cpu_seconds(self.pid)

    def complaints(self) -> str:
        return (self.folder / "complaints").read_text(errors="replace")[-2000:]

    def wait_until_it_listens(self) -> None:
        """Every server says so in its first line, as JSON with its port."""
        deadline = time.monotonic() + START_SECONDS
        while True:
            first, ended, _ = (self.folder / "told").read_bytes().partition(b"\n")
            if ended:
                self.listening = json.loads(first)
                self.port = int(self.listening["port"])
                return
            if self._process.poll() is not None or time.monotonic() > deadline:
                raise CannotRunError(f"{self.name} did not start: {self.complaints() or 'it says nothing'}")
            time.sleep(0.01)

    def stop(self) -> None:
        """Ask it to finish its files, and wait until it did. VoidError if it was dead, or says that something is lost.

        Node and the limit have nothing to finish: they just end by the signal.
        """
        if self._process.poll() is not None:
            raise VoidError(f"{self.name} died: {self.complaints()}")
        self._process.send_signal(signal.SIGINT)
        try:
            status = self._process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired as error:
            raise VoidError(f"{self.name} does not end") from error
        if self.name == "ours" and status:
            raise VoidError(f"ours ended with status {status}: {self.complaints()}")

    def kill(self) -> None:
        """Leave nothing behind."""
        with suppress(ProcessLookupError):
            os.killpg(self.pid, signal.SIGKILL)
        self._process.wait()


class Load:
    """The load generator, led step by step."""

    def __init__(self, process: subprocess.Popen[str], server: Server) -> None:
        self._process = process
        self._server = server

    @property
    def pid(self) -> int:
        return self._process.pid

    def go(self) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write("\n")
        self._process.stdin.flush()

    def until(self, step: str) -> dict[str, float]:
        """Wait until it says a step; what it tells with it."""
        assert self._process.stdout is not None
        word, _, rest = self._process.stdout.readline().strip().partition(" ")
        if word != step:
            raise VoidError(f"the load did not come to '{step}' with {self._server.name}: {self._server.complaints()}")
        told: dict[str, float] = json.loads(rest or "{}")
        return told
