"""audiotap check: verify recordings, and repair what a crash or a power cut left."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def check(
    dir: Annotated[
        list[Path], typer.Argument(metavar="DIR", help="A session's folder, or a folder of recordings (--out).")
    ],
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what is wrong; change nothing.")] = False,
    json: Annotated[bool, typer.Option("--json", help="The result as JSON on stdout, an entry per session.")] = False,
) -> None:
    """Verify every file of recordings against its manifest, and repair what a crash or a power cut left.

    Headers, manifests and event logs are made true again, and a session whose recorder was killed gets its end. What is
    being recorded is left alone, and so is whatever is not audiotap's. No sample is ever changed.

    Exit status: 0 all is right or was repaired, 1 something is left to solve (or to repair, with --dry-run), 2 there is
    no session, 6 audio is missing.

    Examples:

      audiotap check recordings

      audiotap check --dry-run recordings/20261121T080340Z_attendee_bot_1
    """
    from audiotap.jobs import check

    raise typer.Exit(check.check(dir, repair=not dry_run, json=json))
