"""How reports reach the user: plain lines, JSON lines, or lines above the meter."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import TextIO

import msgspec
import typer

from audiotap.reports import (
    AgentInterrupted,
    AgentReady,
    Capturing,
    CertificateReloaded,
    ConversationFinished,
    Draining,
    Failed,
    HookFinished,
    HookSaid,
    HookStarted,
    Listening,
    Metrics,
    Odd,
    Reachable,
    Report,
    SaidAloud,
    SessionFinished,
    SessionStarted,
    TrackFinished,
    TrackStarted,
    TurnMeasured,
)
from audiotap.text import clock, counted, printable


def tell_json(report: Report) -> None:
    """One JSON object per line on stdout, flushed, so that scripts can wait for it."""
    write(sys.stdout, msgspec.json.encode(report).decode() + "\n")


def tell_plain(report: Report) -> None:
    """One line per report on stderr."""
    for line in lines(report):
        write(sys.stderr, line + "\n")


def write(stream: TextIO, text: str) -> None:
    """Write and flush; whoever reads may be gone, which is not our end."""
    try:
        stream.write(text)
        stream.flush()
    except (OSError, UnicodeEncodeError):
        return


STYLES: dict[type, str] = {Failed: "bold red", Odd: "yellow"}


def style(report: Report) -> str:
    """The colour of a report's lines."""
    if isinstance(report, SessionFinished) and report.lossy:
        return STYLES[Odd]
    return STYLES.get(type(report), "")


def lines(report: Report) -> list[str]:  # noqa: PLR0911 - one return per kind of report
    """A report in words; everything that came over the network is made printable."""
    match report:
        case Listening():
            told = [f"listening on {report.url}, recording to {printable(report.out or 'nowhere')}"]
            return told + (["  bots are let in with the address that audiotap url prints"] if report.guarded else [])
        case Reachable():
            return list(_reachable(report))
        case SessionStarted() | SessionFinished():
            return [_session(report)]
        case TrackStarted():
            return [f"{_track(report)}: {report.rate} Hz, from {report.start:.2f} s"]
        case TrackFinished():
            gaps = f", {counted(report.gaps, 'gap')}" if report.gaps else ""
            told = [f"{_track(report)}: {report.seconds:.2f} s{gaps}: {printable(report.path or 'not written')}"]
            return told + ([f"  play it: {printable(report.play)}"] if report.play else [])
        case AgentReady() | SaidAloud() | AgentInterrupted() | TurnMeasured() | ConversationFinished():
            return _conversation(report)
        case HookStarted() | HookSaid() | HookFinished():
            return [_hook(report)]
        case CertificateReloaded() | Capturing() | Metrics() | Draining():
            return [_service(report)]
        case Odd() | Failed():
            return _trouble(report)


def _service(report: CertificateReloaded | Capturing | Metrics | Draining) -> str:
    """What is of interest for who runs it as a service."""
    match report:
        case CertificateReloaded():
            return f"the certificate is now what {printable(report.path)} holds"
        case Capturing():
            return f"all that bots send is kept in {printable(report.path)}, people's voices too"
        case Metrics():
            return f"metrics on {report.url}/metrics, health on /healthz and /readyz"
        case Draining():
            return f"draining: nobody new is taken, sessions have {report.seconds:g} s to end; a signal ends them now"


def _trouble(report: Odd | Failed) -> list[str]:
    if isinstance(report, Odd):
        where = ": ".join(printable(part) for part in (report.session, report.track) if part)
        return [f"warning: {where + ': ' if where else ''}{printable(report.message)}"]
    told = [f"error: {printable(report.message)}"]
    return told + ([f"  {printable(report.hint)}"] if report.hint else [])


def _reachable(report: Reachable) -> Iterator[str]:
    known = "not tried with success yet"
    if report.round_trip is not None:
        known = f"a frame took {1000 * report.round_trip:.0f} ms there and back"
    yield f"reachable through {report.tunnel} at {printable(report.url)}: {known}"
    for provider, subscription in report.subscriptions.items():
        yield f"  for a bot of {provider}: {printable(msgspec.json.encode(subscription).decode())}"


def _conversation(
    report: AgentReady | SaidAloud | AgentInterrupted | TurnMeasured | ConversationFinished,
) -> list[str]:
    match report:
        case AgentReady():
            return [f"{printable(report.session)}: {report.provider} is ready at {printable(report.url)}"]
        case SaidAloud():
            return [f"{_moment(report)} {printable(report.role)}: {printable(report.text)}"]
        case AgentInterrupted():
            lost = f"{report.dropped:.1f} s of it dropped"
            return [f"{_moment(report)} interrupted after {report.heard:.1f} s of the answer, {lost}"]
        case TurnMeasured():
            return [_turn(report)]
        case ConversationFinished():
            missing = f", {counted(report.missing, 'answer')} missing" if report.missing else ""
            broken = f", {counted(report.broken, 'answer')} broken off" if report.broken else ""
            told = (
                f"{report.seconds:.1f} s, {counted(report.turns, 'turn')}{missing}{broken} ({printable(report.reason)})"
            )
            return [f"conversation with {report.provider}: {told}: {printable(report.path or 'not written')}"]


def _moment(report: SaidAloud | AgentInterrupted) -> str:
    """In which session, and when on its time line."""
    return f"{printable(report.session)}: {clock(report.at)}"


def _hook(report: HookStarted | HookSaid | HookFinished) -> str:
    whose = f"{report.provider} {printable(report.session)}"
    match report:
        case HookStarted():
            return f"{whose}: running {printable(report.command)}"
        case HookSaid():
            return f"{whose}: | {printable(report.line)}"
        case HookFinished():
            return f"{whose}: {printable(report.command)} ended after {report.seconds:.1f} s"


def _turn(report: TurnMeasured) -> str:
    """A turn's figures; what was not there to be measured is called missing."""
    names = {"response": "answer heard after", "first_byte": "first byte", "server": "by its own word"}
    figures = {name: getattr(report, name) for name in names}
    told = ", ".join(f"{names[name]} {'missing' if v is None else f'{v:.2f} s'}" for name, v in figures.items())
    how = report.status + (f": {printable(report.reason)}" if report.reason else "")
    return f"turn {report.number} ({printable(report.source)}): {how}; {told}"


def _track(report: TrackStarted | TrackFinished) -> str:
    name = f" ({printable(report.name)})" if report.name else ""
    return f"{printable(report.session)}: track {printable(report.track)}{name}"


def _session(report: SessionStarted | SessionFinished) -> str:
    whose = f"{report.provider} {printable(report.session)}"
    if isinstance(report, SessionStarted):
        return f"{whose}: session started: {printable(report.path or '')}"
    loss = ", with losses (the manifest tells which)" if report.lossy else ""
    return (
        f"{whose}: session finished ({printable(report.reason)}): "
        f"{report.seconds:.2f} s, {counted(len(report.files), 'file')}{loss}: {printable(report.path or 'not written')}"
    )


def emit(value: object) -> None:
    """One JSON value on stdout: the result of a command."""
    typer.echo(msgspec.json.encode(value).decode())


def talk(text: str, *, color: str | None = None) -> None:
    """Say something to the user on stderr."""
    typer.secho(text, err=True, fg=color)
