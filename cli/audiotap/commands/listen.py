"""audiotap listen: take bots' websockets and record what they send."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from audiotap.commands import settings
from audiotap.commands.options import check_fleet, taking
from audiotap.errors import UsageError
from audiotap.jobs.hangup import leave_hang_ups
from audiotap.jobs.mode import Output
from audiotap.text import parse_size

if TYPE_CHECKING:
    from audiotap.jobs.listen import Plan
    from audiotap.net.rest.base import Access

LIMITS = "Limits"
"""The part of the help for what is taken at most."""
FLEET = "Fleet"
"""The part of the help for several machines."""
LEAST_MESSAGE = 64 * 1024
"""Bytes that a message may have at least: one of 0.2 s at 48 kHz has 26,000."""
NAMES_SECONDS = 10.0
"""That Attendee may take to tell names."""


class Format(StrEnum):
    """The files that are written."""

    WAV = "wav"
    BIN = "bin"
    FLAC = "flac"


class Tunnel(StrEnum):
    """The programs that lead to us from outside."""

    NGROK = "ngrok"
    CLOUDFLARED = "cloudflared"
    TAILSCALE = "tailscale"


def size(text: str | int) -> int:
    """Bytes; a settings file may also have them as a number."""
    try:
        return parse_size(str(text))
    except ValueError as error:
        raise typer.BadParameter(f"{text!r} is no size: write e.g. 500M, 2G or 0") from error


def prepared(
    host: Annotated[
        str, typer.Option(help="Address to listen on; 0.0.0.0 is every one of this machine.")
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="Port to listen on; 0 takes a free one.", min=0, max=65535)] = 8765,
    out: Annotated[Path, typer.Option(help="Folder for the recordings, one folder per session in it.")] = Path(
        "recordings"
    ),
    format: Annotated[
        Format, typer.Option("--format", help="WAV files, bare S16LE samples, or WAV that becomes FLAC at the end.")
    ] = Format.WAV,
    durable: Annotated[
        bool, typer.Option("--durable", help="Sync files to the disk once a second: a power cut costs 2 s at most.")
    ] = False,
    min_free: Annotated[
        int, typer.Option(parser=size, metavar="SIZE", help="Warn when the disk has less space than this; 0 never.")
    ] = "1G",  # type: ignore[assignment]
    buffer: Annotated[
        int,
        typer.Option(parser=size, metavar="SIZE", help="Audio that waits for a slow disk before bots are held back."),
    ] = "64M",  # type: ignore[assignment]
    max_disk: Annotated[
        int,
        typer.Option(
            parser=size,
            metavar="SIZE",
            help="Write nothing more when --out takes this much of the disk; 0 never.",
            rich_help_panel=LIMITS,
        ),
    ] = "0",  # type: ignore[assignment]
    linger: Annotated[
        float | None,
        typer.Option(
            help="Seconds a session outlives its last connection (Attendee 30, or 330 when it was lost; Recall 300).",
            min=0,
            show_default=False,
        ),
    ] = None,
    threshold: Annotated[
        float | None,
        typer.Option(
            help="Hold our speech for 0.8 s whenever the meeting's RMS is above this (0 to 32767).",
            min=0,
            max=32767,
        ),
    ] = None,
    public_url: Annotated[
        str | None,
        typer.Option(
            help="Where bots reach this port from elsewhere, such as wss://YOUR-TUNNEL-HOST/; for audiotap url.",
            show_default=False,
        ),
    ] = None,
    secret: Annotated[
        str | None,
        typer.Option(
            help="The last part of the address, without which nobody is let in; better in AUDIOTAP_SECRET, since all "
            "see flags (default: one that is made and kept, where others can reach the port).",
            show_default=False,
        ),
    ] = None,
    no_secret: Annotated[
        bool, typer.Option("--no-secret", help="Let everybody in, or everybody whom Recall's secrets let in.")
    ] = False,
    recall_secret_file: Annotated[
        Path | None,
        typer.Option(
            help="File with Recall's secrets (whsec_…), one per line, to check signatures; or AUDIOTAP_RECALL_SECRET.",
            show_default=False,
        ),
    ] = None,
    allow_origin: Annotated[
        list[str] | None,
        typer.Option(
            help="A web page's origin that may connect, such as https://HOST; repeatable.", show_default=False
        ),
    ] = None,
    tls_cert: Annotated[
        Path | None, typer.Option(help="Certificate chain in PEM: the port speaks TLS.", show_default=False)
    ] = None,
    tls_key: Annotated[
        Path | None, typer.Option(help="Its key in PEM (default: in the same file).", show_default=False)
    ] = None,
    workers: Annotated[
        int,
        typer.Option(
            help="Processes that share the port and the sessions; one per core for thousands of bots.", min=1, max=64
        ),
    ] = 1,
    tunnel: Annotated[
        Tunnel | None,
        typer.Option(
            help="Start your own tunnel, try the way through it, and print the JSON that makes bots dial it.",
            show_default=False,
        ),
    ] = None,
    names: Annotated[
        bool,
        typer.Option(
            "--names/--no-names", help="Ask Attendee for participants' names, where ATTENDEE_API_KEY has a key for it."
        ),
    ] = True,
    exec: Annotated[
        str,
        typer.Option(
            help="A program, with arguments, to run for each finished session; AUDIOTAP_PATH and others tell which.",
            metavar="COMMAND",
        ),
    ] = "",
    max_exec: Annotated[
        int, typer.Option(help="Runs of --exec at the same time; others wait.", min=1, rich_help_panel=LIMITS)
    ] = 2,
    capture: Annotated[
        Path | None,
        typer.Option(
            help="Keep all that bots send in this file (FILE.jsonl.gz), for audiotap replay: people's voices, as they "
            "came.",
            show_default=False,
        ),
    ] = None,
    max_capture: Annotated[
        int,
        typer.Option(
            parser=size,
            metavar="SIZE",
            help="Stop the capture at this size; not the recording.",
            rich_help_panel=LIMITS,
        ),
    ] = "4G",  # type: ignore[assignment]
    max_message: Annotated[
        int,
        typer.Option(
            parser=size, metavar="SIZE", help="One message; a longer one ends its connection.", rich_help_panel=LIMITS
        ),
    ] = "16M",  # type: ignore[assignment]
    max_pending: Annotated[
        int,
        typer.Option(
            parser=size,
            metavar="SIZE",
            help="All messages of which only a part is there; who has the most of too many has to go.",
            rich_help_panel=LIMITS,
        ),
    ] = "256M",  # type: ignore[assignment]
    max_connections: Annotated[
        int,
        typer.Option(
            help="Connections in all; never more than half the files the system lets us open.",
            min=1,
            rich_help_panel=LIMITS,
        ),
    ] = 10_000,
    max_per_address: Annotated[
        int,
        typer.Option(
            help="Connections of one address (IPv6: of a /64); behind a tunnel or a proxy everybody has the same one.",
            min=1,
            rich_help_panel=LIMITS,
        ),
    ] = 8_000,
    max_sessions: Annotated[
        int,
        typer.Option(help="Sessions at the same time; no further ones are recorded.", min=1, rich_help_panel=LIMITS),
    ] = 5_000,
    max_per_connection: Annotated[
        int, typer.Option(help="Sessions that one connection brings; a bot has one.", min=1, rich_help_panel=LIMITS)
    ] = 100,
    max_tracks: Annotated[
        int, typer.Option(help="Tracks of one session; no further ones are recorded.", min=1, rich_help_panel=LIMITS)
    ] = 1_000,
    max_small: Annotated[
        int,
        typer.Option(
            help="Frames of less than 64 bytes that one connection may send per second; audio has more.",
            min=1,
            rich_help_panel=LIMITS,
        ),
    ] = 200,
    handshake_timeout: Annotated[
        float,
        typer.Option(help="Seconds until a connection must be a websocket.", min=0.1, rich_help_panel=LIMITS),
    ] = 10.0,
    ping_interval: Annotated[
        float,
        typer.Option(
            help="Seconds of silence after which a bot is pinged, and after as many more taken for dead.",
            min=0.1,
            rich_help_panel=LIMITS,
        ),
    ] = 20.0,
    idle_timeout: Annotated[
        float,
        typer.Option(
            help="Seconds without a message after which a living connection is closed; 0 never.",
            min=0,
            rich_help_panel=LIMITS,
        ),
    ] = 0.0,
    fleet: Annotated[
        str,
        typer.Option(
            help="NATS servers (nats://HOST:4222, several with a comma between) by which several listeners are one "
            "fleet: control from anywhere, sessions that move; or AUDIOTAP_FLEET.",
            show_default=False,
            rich_help_panel=FLEET,
        ),
    ] = "",
    metrics: Annotated[
        str,
        typer.Option(
            metavar="HOST:PORT",
            help="Serve /healthz, /readyz and Prometheus' /metrics there, to whoever asks; a port alone: 127.0.0.1.",
            show_default=False,
            rich_help_panel=FLEET,
        ),
    ] = "",
    drain_timeout: Annotated[
        float,
        typer.Option(
            help="Seconds that sessions have to end after SIGTERM, while nobody new is taken; then their bots are sent "
            "elsewhere. 0 ends all at once.",
            min=0,
            rich_help_panel=FLEET,
        ),
    ] = 0.0,
    upload: Annotated[
        str,
        typer.Option(
            help="Bring recordings into an object store as they grow: s3://BUCKET/PREFIX, gs://…, az://… or file:///…; "
            "its keys come from the environment.",
            rich_help_panel=FLEET,
        ),
    ] = "",
    segment: Annotated[
        float,
        typer.Option(
            help="Seconds of a track that are uploaded at a time; a machine that is lost costs as much at most.",
            min=1,
            max=600,
            rich_help_panel=FLEET,
        ),
    ] = 60.0,
    upload_timeout: Annotated[
        float,
        typer.Option(
            help="Seconds that the end waits for a store; what is not there then is uploaded by the next listener.",
            min=0,
            rich_help_panel=FLEET,
        ),
    ] = 60.0,
    stdout: Annotated[bool, typer.Option("--stdout", help="Write one track's bare S16LE samples to stdout.")] = False,
    track: Annotated[str, typer.Option(help="The track for --stdout: mixed, or a participant's id or name.")] = "mixed",
    json: Annotated[bool, typer.Option("--json", help="JSON lines on stdout; the same as --output json.")] = False,
    output: Annotated[Output, typer.Option(help="The meter, plain lines or JSON lines.")] = Output.AUTO,
) -> Plan:
    """What the options of `listen` mean."""
    if tls_cert is not None:
        leave_hang_ups()
    from audiotap.jobs.listen import Plan
    from audiotap.net.door.admission import Rules, origin
    from audiotap.net.door.limits import Limits
    from audiotap.net.fleet.store import check_store_url
    from audiotap.net.fleet.upload import Uploads
    from audiotap.net.hooks import Hook, parsed
    from audiotap.net.listener import Config
    from audiotap.net.peer import is_loopback
    from audiotap.net.tunnel import Start
    from audiotap.sinks.recording import Policy

    mode = output.resolved(json=json)
    mistakes = {
        ("--stdout and --json both want stdout", "leave one of them out"): stdout and mode is Output.JSON,
        ("--track chooses what --stdout writes", "add --stdout"): track != "mixed" and not stdout,
        ("--stdout is for one process", "leave --workers out, or --stdout"): stdout and workers > 1,
        ("--capture is for one process", "leave --workers out, or --capture"): capture is not None and workers > 1,
        ("--tls-key without --tls-cert", "give both"): tls_key is not None and tls_cert is None,
        (
            "--workers cannot hand TLS over",
            "put a proxy with TLS in front, or leave --workers out",
        ): tls_cert is not None and workers > 1,
        ("--max-message is less than bots send at once", "allow 64K or more"): max_message < LEAST_MESSAGE,
        ("--tls-cert or --tls-key is empty", "name a PEM file, or leave it out: is its variable set?"): Path()
        in (tls_cert, tls_key),
        ("--tunnel has a URL of its own", "leave --public-url out, or --tunnel"): bool(public_url and tunnel),
        (
            "--tunnel brings its own TLS, and comes to the port without",
            "leave --tls-cert out, or --tunnel",
        ): tls_cert is not None and tunnel is not None,
    }
    for what, made in mistakes.items():
        if made:
            raise UsageError(*what)
    if public_url is not None:
        _check_public(public_url)
    if fleet:
        check_fleet(fleet)
    exposed = public_url is not None or tunnel is not None or not is_loopback(host)
    recall = _recall_secrets(recall_secret_file)
    twilio = tuple(settings.twilio_tokens().replace(",", " ").split())
    rules = Rules(
        _secret(secret, unwanted=no_secret, needed=exposed or bool(recall or twilio)),
        recall,
        tuple(map(origin, allow_origin or ())),
        settings.state_folder() / "replays" if recall else None,
        twilio,
        public_url or "",
    )
    config = Config(
        Policy(out, format.value, durable, max_disk, upload=bool(upload)),
        host,
        port,
        linger,
        threshold,
        settings.control_folder(),
        (1, track) if stdout else None,
        min_free,
        buffer,
        _attendee() if names else None,
        Limits(
            max_message,
            max_pending,
            max_connections,
            max_per_address,
            handshake_timeout,
            ping_interval,
            idle_timeout,
            max_sessions,
            max_per_connection,
            max_tracks,
            max_small,
        ),
        rules,
        public_url or "",
        exposed,
        tunnel=tunnel is not None,
        tls=(tls_cert, tls_key) if tls_cert is not None else None,
        capture=(capture, max_capture) if capture is not None else None,
        fleet=fleet,
        metrics=_metrics(metrics) if metrics else None,
    )
    uploads = Uploads(check_store_url(upload), segment, upload_timeout) if upload else None
    secrets = {rules.secret, *recall, *twilio, *settings.secrets()} - {""}
    hook = Hook(parsed(exec), max_exec, settings.inherited(), tuple(secrets)) if exec else Hook()
    start = Start(tunnel.value, settings.without_secrets()) if tunnel is not None else None
    return Plan(config, mode, workers, start, hook, drain_timeout, uploads)


@taking(plan=prepared)
def listen(plan: Plan) -> None:
    """Take the websockets of any number of bots and record them.

    Bots are told apart by what they say, whose ever they are. Every session becomes a folder with one WAV per track and
    a manifest; Ctrl-C finishes all files.

    On 127.0.0.1 everybody is let in who can reach it; with another --host or a --public-url, only who knows the address
    that audiotap url prints.

    Examples:

      audiotap listen

      audiotap listen --public-url wss://YOUR-TUNNEL-HOST/

      audiotap listen --host 0.0.0.0 --public-url wss://YOUR-NAME:8765/ --tls-cert fullchain.pem --tls-key privkey.pem

      audiotap listen --port 9000 --out /data/calls --json

      audiotap listen --tunnel cloudflared

      audiotap listen --exec "./upload.sh --fast"

      audiotap listen --upload s3://BUCKET/recordings

      audiotap listen --stdout | ffplay -f s16le -ar 16000 -
    """
    from audiotap.jobs import listen as job

    raise typer.Exit(job.listen(plan))


def _secret(given: str | None, *, unwanted: bool, needed: bool) -> str:
    """The last part of the address; empty where there is to be none."""
    from audiotap.jobs.secret import checked, kept

    if unwanted:
        if given is not None:
            raise UsageError("--secret and --no-secret exclude each other", "leave one of them out")
        return ""
    chosen = settings.secret() if given is None else given
    if chosen is not None:
        return checked(chosen)
    return kept(settings.state_folder()) if needed else ""


def _recall_secrets(file: Path | None) -> tuple[str, ...]:
    """Those of the environment, and those in a file."""
    try:
        text = file.read_text("utf-8") if file is not None else ""
    except (OSError, UnicodeError) as error:
        raise UsageError(
            f"cannot read {file}: {error}", "--recall-secret-file wants a file with a secret per line"
        ) from error
    found = tuple(f"{settings.recall_secrets()} {text}".replace(",", " ").split())
    if file is not None and not text.strip():
        raise UsageError(f"{file} holds no secret", "copy it from Recall's dashboard: whsec_…")
    return found


def _check_public(url: str) -> None:
    """UsageError for what is no websocket URL, or has more than a path behind it."""
    from audiotap.net.peer import check_url

    if not url.strip():
        raise UsageError("--public-url is empty", "write it as wss://HOST/, or leave it out: is its variable set?")
    check_url(url)
    if any(mark in url for mark in "?#@"):
        raise UsageError("--public-url is a host and a path only", "write it as wss://HOST/, without the secret")


def _metrics(text: str) -> tuple[str, int]:
    """Where is told how everything stands. UsageError for no address, MachineError without prometheus-client."""
    from audiotap.net.fleet.metrics import prometheus  # noqa: F401 - to fail before anything begins

    host, _, port = text.rpartition(":")
    if not (port.isascii() and port.isdigit() and int(port) <= 65535):
        raise UsageError(f"--metrics {text} is no address", "write HOST:PORT, e.g. 127.0.0.1:9464, or a port")
    return host.strip("[]") or "127.0.0.1", int(port)


def _attendee() -> Access | None:
    """Who can be asked for names: the Attendee that the environment has a key of."""
    from audiotap.net.rest.attendee import AttendeeRest
    from audiotap.net.rest.base import Access

    key = settings.api_key("attendee")
    if not key:
        return None
    access = Access(settings.api_url("attendee"), key, NAMES_SECONDS)
    AttendeeRest(access)
    return access
