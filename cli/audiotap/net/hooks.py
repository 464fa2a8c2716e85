"""Hooks: the user's own command for each session that is finished (`--exec`).

Law: a hook holds nobody up. It runs beside the recorder and behind it (`nice`), a few at a time, with what a network
told in its environment and nowhere else.
"""

from __future__ import annotations

import asyncio
import os
import shlex
import shutil
import signal
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from subprocess import DEVNULL, PIPE, STDOUT, Popen

import msgspec

from audiotap.errors import UsageError
from audiotap.net.tasks import from_thread
from audiotap.reports import HookFinished, HookSaid, HookStarted, Odd, Report, SessionFinished

Tell = Callable[[Report], None]
Process = Popen[bytes]
NICENESS = 10
LONGEST = 1000
"""Characters of what a network told, and of a line of a hook's output."""
MOST_FILES = 100_000
"""Bytes of a list of files: systems take 128 KiB for one variable."""
AT_ONCE = 16 * 1024
CUT = "…"
"""Stands where a secret was."""


class Hook(msgspec.Struct, frozen=True):
    """What is run: a program with its arguments (none for nothing), in an environment, so many at a time.

    `secrets` are not told on when it says them.
    """

    command: tuple[str, ...] = ()
    most: int = 1
    environment: dict[str, str] = {}
    secrets: tuple[str, ...] = ()

    def __repr__(self) -> str:
        return f"Hook({self.command})"


def parsed(text: str) -> tuple[str, ...]:
    """A command as words, without a shell. UsageError where it is none, or its program is not here."""
    hint = "--exec wants a program and its arguments, such as: --exec './upload.sh --fast'"
    try:
        command = tuple(shlex.split(text))
    except ValueError as error:
        raise UsageError(f"--exec {text!r}: {error}", hint) from error
    if not command:
        raise UsageError("--exec without a command", hint)
    if shutil.which(command[0]) is None:
        raise UsageError(f"--exec: there is no program {command[0]}", hint)
    return command


class Hooks:
    """The hooks of one listener: those that run, and those that wait."""

    def __init__(self, hook: Hook, tell: Tell) -> None:
        self._hook = hook
        self._tell = tell
        self._room = asyncio.Semaphore(hook.most)
        self._tasks: set[asyncio.Task[None]] = set()
        self._running: set[Process] = set()

    def tell(self, report: Report) -> None:
        """Pass a report on; a session that is finished and has a folder gets its hook."""
        self._tell(report)
        if self._hook.command and isinstance(report, SessionFinished) and report.path is not None:
            task = asyncio.create_task(self._run(report), name="hook")
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def over(self) -> None:
        """Return when all have ended, those that wait too."""
        while self._tasks:
            await asyncio.wait(self._tasks)

    def kill(self) -> None:
        """End all that run, and what they started."""
        for process in self._running:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGTERM)

    async def _run(self, finished: SessionFinished) -> None:
        command, loop = shlex.join(self._hook.command), asyncio.get_running_loop()
        async with self._room:
            began = loop.time()
            self._tell(HookStarted(finished.provider, finished.session, command))
            try:
                process = self._start(finished)
            except OSError as error:
                self._tell(Odd(f"cannot run {command}: {error.strerror or error}", finished.session))
                return
            async for line in from_thread(_lines(process)):
                said = _without(self._hook.secrets, line)[:LONGEST]
                self._tell(HookSaid(finished.provider, finished.session, said))
            self._running.discard(process)
        if process.returncode:
            self._tell(Odd(f"{command} {_end(process.returncode)}", finished.session))
        else:
            seconds = round(loop.time() - began, 3)
            self._tell(HookFinished(finished.provider, finished.session, command, seconds))

    def _start(self, finished: SessionFinished) -> Process:
        """Start it in a session of its own: what the terminal sends is for us. It can be ended at once."""
        process = Popen(  # noqa: S603 - the user's own command
            self._hook.command,
            bufsize=0,
            env=self._hook.environment | told(finished),
            stdin=DEVNULL,
            stdout=PIPE,
            stderr=STDOUT,
            start_new_session=True,
        )
        self._running.add(process)
        with suppress(OSError):
            os.setpriority(os.PRIO_PROCESS, process.pid, NICENESS)
        return process


def told(finished: SessionFinished) -> dict[str, str]:
    """A session as variables."""
    files = "\n".join(_absolute(file) for file in finished.files)
    return {
        "AUDIOTAP_PROVIDER": finished.provider,
        "AUDIOTAP_SESSION": _foreign(finished.session),
        "AUDIOTAP_BOT": _foreign(finished.bot or ""),
        "AUDIOTAP_PATH": _absolute(finished.path),
        "AUDIOTAP_MANIFEST": _absolute(finished.manifest),
        "AUDIOTAP_FILES": files if len(os.fsencode(files)) <= MOST_FILES else "",
        "AUDIOTAP_SECONDS": f"{finished.seconds:.3f}",
        "AUDIOTAP_LOSSY": "1" if finished.lossy else "0",
        "AUDIOTAP_REASON": _foreign(finished.reason),
    }


def _absolute(path: str | None) -> str:
    return str(Path(path).absolute()) if path is not None else ""


def _foreign(text: str) -> str:
    """What a network told, as far as a variable can hold it."""
    return text[:LONGEST].replace("\0", "\ufffd").encode("utf-8", "replace").decode()


def _lines(process: Process) -> Iterator[str]:
    """What it says until its end, line by line, of a long one the beginning."""
    rest = b""
    with process:
        while process.stdout is not None and (data := process.stdout.read(AT_ONCE)):
            *whole, rest = (rest[:AT_ONCE] + data).split(b"\n")
            yield from map(_text, whole)
        if rest:
            yield _text(rest)


def _text(line: bytes) -> str:
    return line.decode(errors="replace").rstrip("\r")


def _without(secrets: Iterable[str], line: str) -> str:
    """A line with a mark where a secret was; the longest first, for one may be in another."""
    for secret in sorted(secrets, key=len, reverse=True):
        line = line.replace(secret, CUT)
    return line


def _end(status: int) -> str:
    if status < 0:
        return f"was ended by {signal.Signals(-status).name}"
    return f"ended with status {status}"
