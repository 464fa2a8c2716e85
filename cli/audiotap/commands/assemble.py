"""audiotap assemble: recordings of one or several machines, out of an object store."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def assemble(
    url: Annotated[
        str, typer.Argument(metavar="URL", help="A session in a store, or what all sessions' names begin with.")
    ],
    out: Annotated[Path, typer.Option(help="Folder for the recording, which gets a folder of its own in it.")] = Path(
        "recordings"
    ),
    json: Annotated[bool, typer.Option("--json", help="The result as JSON on stdout, an entry per recording.")] = False,
) -> None:
    """Put a session together that listen --upload brought into an object store, whichever machines recorded it.

    Where the URL holds several sessions, their URLs are printed, one per line, and nothing is fetched. A session that
    began anew becomes a folder for each time.

    Exit status: 0 all is there, 2 there is no session, 3 the store refuses, 6 audio is missing.

    Examples:

      audiotap assemble s3://BUCKET/recordings

      audiotap assemble s3://BUCKET/recordings/attendee_bot_1 --out calls
    """
    from audiotap.jobs import assemble as job

    raise typer.Exit(job.assemble(url, out, json=json))
