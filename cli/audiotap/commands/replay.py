"""audiotap replay: have a captured session happen once more."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from audiotap.errors import UsageError


def replay(
    file: Annotated[Path, typer.Argument(help="What listen --capture wrote.")],
    url: Annotated[
        str, typer.Option(help="Play it to a server: ws://… or wss://…, any that takes bots.", show_default=False)
    ] = "",
    out: Annotated[
        Path | None,
        typer.Option(help="Record it in this folder, without a server or a network.", show_default=False),
    ] = None,
    speed: Annotated[float, typer.Option(help="With --url: how much faster than it was.", min=0.01, max=1e6)] = 1.0,
    json: Annotated[
        bool, typer.Option("--json", help="JSON on stdout: with --url a summary, with --out the events of listen.")
    ] = False,
) -> None:
    """Have a captured session happen once more, bit by bit.

    With --url every captured connection is opened again, and says the same frames at the same pace, in the same order;
    what the server answers is read and left alone. With --out the sessions are recorded as they were, byte by byte,
    without a server and as fast as the disk allows.

    Exit status: 0 done, 1 the server refused or ended a connection before its time, 2 no capture, or a damaged one, 4
    nobody answered, 6 recorded, with the losses that there were.

    Examples:

      audiotap listen --capture call.jsonl.gz

      audiotap replay call.jsonl.gz --url ws://127.0.0.1:8765

      audiotap replay call.jsonl.gz --url wss://my-server/path --speed 20

      audiotap replay call.jsonl.gz --out again
    """
    from audiotap.jobs import replay as job

    if bool(url) == (out is not None):
        raise UsageError("a capture is played to a server or recorded", "give --url or --out, one of them")
    raise typer.Exit(job.record(file, out, json=json) if out is not None else job.play(file, url, speed, json=json))
