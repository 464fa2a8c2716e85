"""The work of `audiotap doctor`: try everything that a recording needs, before it needs it."""

from __future__ import annotations

import platform
import resource
import shutil
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import nullcontext
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Literal
from urllib.parse import urlsplit

import msgspec
import typer

from audiotap.errors import AudiotapError, Exit, InterruptedRunError, MachineError, NobodyError, UsageError
from audiotap.jobs.output import emit
from audiotap.jobs.running import Signals, run
from audiotap.net.control.remote import statuses
from audiotap.net.disk import write_speed
from audiotap.net.peer import check_url
from audiotap.net.probe import certificate_days, clock_ahead, round_trip, stand_in
from audiotap.net.reach import Reach, check_reach
from audiotap.net.tasks import Worker, first_of
from audiotap.text import counted, human_size, printable

SLOWEST = 4 * 1024 * 1024
"""Bytes a second below which a disk holds bots back: a hundred tracks of 16 kHz."""
FEWEST_FILES = 1024
"""Open files that a call of some hundred participants may need: one each, and a socket."""
SKEW_SECONDS = 5.0
"""That our clock may be off; what a web server tells is good to a second or two."""
LEAST_DAYS = 1.0
DEFAULT_PORT = 8765
TUNNEL = "audiotap listen --tunnel cloudflared"
FORMATS = ("FLAC", "MP3", "OPUS")

Verdict = Literal["ok", "failed", "skipped"]
MARKS: dict[Verdict, tuple[str, str]] = {
    "ok": ("✓", typer.colors.GREEN),
    "failed": ("✗", typer.colors.RED),
    "skipped": ("-", typer.colors.YELLOW),
}


class Subject(msgspec.Struct, frozen=True):
    """What is examined. `servers` are the providers' web servers, whose clocks are believed.

    `port` is None for that of the one listener that runs. `starting` is whether a tunnel has yet to tell the URL.
    """

    public_url: str
    port: int | None
    out: Path
    min_free: int
    control: Path
    servers: tuple[str, ...]
    starting: bool = False

    @property
    def listened(self) -> int:
        """The port on which a listener is, or will be."""
        return DEFAULT_PORT if self.port is None else self.port


class Finding(msgspec.Struct, frozen=True):
    """One line; `hint` is what to type, where something failed."""

    check: str
    verdict: Verdict
    message: str
    hint: str = ""


class SkippedError(AudiotapError):
    """There is nothing to find out; what would change that."""


Check = Callable[[Subject], Awaitable[str]]
"""Says what is well. SkippedError where nothing can be said, and any other AudiotapError for what is not well."""


def doctor(subject: Subject, *, json: bool) -> Exit:
    """Examine everything, one line each; FAILED if anything fails."""
    if subject.public_url:
        check_url(subject.public_url)
    findings = run(_unless_interrupted(subject, (lambda _: None) if json else _show))
    if json:
        emit(findings)
    return Exit.FAILED if any(finding.verdict == "failed" for finding in findings) else Exit.OK


async def _unless_interrupted(subject: Subject, show: Callable[[Finding], None]) -> list[Finding]:
    signals = Signals()
    findings = await first_of(_examined(subject, show), signals.asked.wait())
    if findings is None:
        raise InterruptedRunError("interrupted before everything was tried")
    return findings


async def _examined(subject: Subject, show: Callable[[Finding], None]) -> list[Finding]:
    findings = []
    async for finding in _examine(await _addressed(subject)):
        show(finding)
        findings.append(finding)
    return findings


async def _addressed(subject: Subject) -> Subject:
    """With the port of the listener that runs, and its address where that is the public URL given, or none was."""
    running = await statuses(subject.control, subject.port)
    ports = {one.port for one, _ in running}
    if len(ports) > 1:
        choices = " or ".join(f"--port {port}" for port in sorted(ports))
        raise UsageError("several listeners are running", f"choose one: {choices}")
    starting = any(not status.address for _, status in running)
    known = next((status.address for _, status in running if status.address.startswith("wss:")), "")
    ours = known.startswith(f"{subject.public_url.rstrip('/')}/") if subject.public_url else True
    url = known if known and ours else subject.public_url
    return msgspec.structs.replace(subject, public_url=url, port=min(ports, default=subject.port), starting=starting)


async def _examine(subject: Subject) -> AsyncIterator[Finding]:
    for name, check in CHECKS.items():
        try:
            yield Finding(name, "ok", await check(subject))
        except SkippedError as error:
            yield Finding(name, "skipped", error.message, error.hint)
        except AudiotapError as error:
            yield Finding(name, "failed", error.message, error.hint)
        except Exception as error:  # noqa: BLE001 - one check's failure must not hide what the others find
            yield Finding(name, "failed", f"{type(error).__name__}: {error}", "please report this")


def _show(finding: Finding) -> None:
    mark, color = MARKS[finding.verdict]
    hint = f" → {finding.hint}" if finding.hint else ""
    line = f"{mark} {finding.verdict:<8}{finding.check:<13}{finding.message}{hint}"
    typer.secho(printable(line, sys.stdout.encoding), fg=color if finding.verdict != "ok" else None)


# The checks


async def _python(_: Subject) -> str:
    return f"{platform.python_implementation()} {platform.python_version()} on {platform.system()}"


async def _libsndfile(_: Subject) -> str:
    sndfile = import_module("audiotap.sndfile")
    soundfile = sndfile.soundfile
    version = soundfile.__libsndfile_version__
    known = {*soundfile.available_formats(), *soundfile.available_subtypes()}
    if missing := [one for one in FORMATS if one not in known]:
        raise MachineError(f"libsndfile {version} is without {', '.join(missing)}", sndfile.INSTALL)
    return f"{version} with {', '.join(FORMATS)}"


async def _files(_: Subject) -> str:
    """The soft limit does not matter, since `listen` raises it."""
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    if hard == resource.RLIM_INFINITY:
        return "as many as wanted"
    if hard < FEWEST_FILES:
        raise MachineError(
            f"only {hard} may be open at once, {FEWEST_FILES} should",
            "sudo prlimit --pid $$ --nofile=65536 (a service: LimitNOFILE=65536)",
        )
    return f"{hard} may be open at once"


async def _folder(subject: Subject) -> str:
    """It may not exist yet, and is not made."""
    folder = absolute = subject.out.absolute()
    worker = Worker("audiotap: disk speed")
    try:
        folder = next(one for one in (absolute, *absolute.parents) if one.exists())
        free = shutil.disk_usage(folder).free
        speed = await worker.do(partial(write_speed, folder))
    except (OSError, ValueError) as error:
        why = (error.strerror if isinstance(error, OSError) else None) or error
        raise MachineError(f"cannot write in {folder}: {why}", "choose another folder: --out FOLDER") from error
    finally:
        worker.stop()
    told = f"{folder}: {human_size(free)} free, takes {human_size(speed)} a second"
    if free < subject.min_free:
        raise MachineError(
            f"{told}; {human_size(subject.min_free)} should be free", "choose another disk: --out FOLDER"
        )
    if speed < SLOWEST:
        raise MachineError(f"{told}; {human_size(SLOWEST)} should be", "choose a faster disk: --out FOLDER")
    return told


async def _port(subject: Subject) -> str:
    port = subject.listened
    if running := await statuses(subject.control, port):
        sessions = sum(len(status.sessions) for _, status in running)
        return f"{port} has your listener, with {counted(sessions, 'session')}"
    try:
        async with stand_in(port):
            return f"{port} is free"
    except MachineError as error:
        other = f"or take another: --port {port + 1}"
        raise MachineError(error.message, f"see whose it is: lsof -i :{port}; {other}") from error


async def _clock(subject: Subject) -> str:
    try:
        ahead, server = await clock_ahead(subject.servers)
    except NobodyError as error:
        raise SkippedError(error.message) from error
    if abs(ahead) > SKEW_SECONDS:
        raise MachineError(
            f"{abs(ahead):.0f} s {'ahead of' if ahead > 0 else 'behind'} {server}",
            "sudo timedatectl set-ntp true (macOS: sudo sntp -sS time.apple.com)",
        )
    return f"as {server} has it, within {SKEW_SECONDS:g} s"


async def _certificate(subject: Subject) -> str:
    url = _public(subject)
    parts = urlsplit(url)
    if parts.scheme != "wss":
        raise UsageError(f"{parts.scheme}:// is without TLS, and Attendee takes wss:// only", TUNNEL)
    days = await certificate_days(url)
    if days < LEAST_DAYS:
        raise MachineError(f"that of {parts.hostname} ends in {24 * days:.0f} h", f"renew it there, or: {TUNNEL}")
    return f"{parts.hostname} is trusted, for {days:.0f} more days"


async def _round_trip(subject: Subject) -> str:
    """While no listener runs, we answer in its place."""
    url = _public(subject)
    running = await statuses(subject.control, subject.listened)
    async with nullcontext(running[0][1].identity) if running else stand_in(subject.listened) as identity:
        seconds = await round_trip(url, identity)
    return f"a frame took {1000 * seconds:.0f} ms to {urlsplit(url).hostname} and back"


def _public(subject: Subject) -> str:
    if subject.starting and not subject.public_url:
        raise SkippedError("the listener's tunnel is starting", "try again in a moment")
    if not subject.public_url:
        raise SkippedError("no public URL is known", "audiotap doctor --public-url wss://YOUR-TUNNEL-HOST/")
    check_reach(subject.public_url, "bots", Reach.HERE)
    return subject.public_url


CHECKS: dict[str, Check] = {
    "python": _python,
    "libsndfile": _libsndfile,
    "open files": _files,
    "folder": _folder,
    "port": _port,
    "clock": _clock,
    "certificate": _certificate,
    "round trip": _round_trip,
}
