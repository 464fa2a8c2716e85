"""audiotap listen: take bots' websockets and record what they send."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from audiotap.commands import settings
from audiotap.errors import UsageError
from audiotap.jobs.mode import Output


class Format(StrEnum):
    """The files that are written."""

    WAV = "wav"
    BIN = "bin"


def listen(
    host: Annotated[
        str, typer.Option(help="Address to listen on; 0.0.0.0 is every one of this machine.")
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="Port to listen on; 0 takes a free one.", min=0, max=65535)] = 8765,
    out: Annotated[Path, typer.Option(help="Folder for the recordings, one folder per session in it.")] = Path(
        "recordings"
    ),
    format: Annotated[Format, typer.Option("--format", help="WAV files, or bare S16LE samples.")] = Format.WAV,
    linger: Annotated[
        float | None,
        typer.Option(
            help="Seconds a session outlives its last connection (Attendee 30, Recall 300).",
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
    stdout: Annotated[bool, typer.Option("--stdout", help="Write one track's bare S16LE samples to stdout.")] = False,
    track: Annotated[str, typer.Option(help="The track for --stdout: mixed, or a participant's id or name.")] = "mixed",
    json: Annotated[bool, typer.Option("--json", help="JSON lines on stdout; the same as --output json.")] = False,
    output: Annotated[Output, typer.Option(help="The meter, plain lines or JSON lines.")] = Output.AUTO,
) -> None:
    """Take the websockets of any number of bots and record them.

    Attendee and Recall bots are told apart by what they say. Every session becomes a folder with one WAV per track and
    a manifest; Ctrl-C finishes all files.

    Examples:

      audiotap listen

      audiotap listen --port 9000 --out /data/calls --json

      audiotap listen --stdout | ffplay -f s16le -ar 16000 -
    """
    from audiotap.jobs import listen as job
    from audiotap.net.listener import Config

    mode = output.resolved(json=json)
    if stdout and mode is Output.JSON:
        raise UsageError("--stdout and --json both want stdout", "leave one of them out")
    if track != "mixed" and not stdout:
        raise UsageError("--track chooses what --stdout writes", "add --stdout")
    config = Config(
        out,
        host,
        port,
        format.value,
        linger,
        threshold,
        settings.control_folder(),
        (1, track) if stdout else None,
    )
    raise typer.Exit(job.listen(config, mode))
