"""audiotap demo: see it work without a meeting or an account."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from audiotap.commands import settings
from audiotap.jobs.mode import Output


def demo(
    out: Annotated[Path, typer.Option(help="Folder for the recordings.")] = Path("recordings"),
    json: Annotated[bool, typer.Option("--json", help="JSON lines on stdout instead of the meter.")] = False,
) -> None:
    """See it work in a quarter of a minute: no account, no meeting, no network.

    A real listener records a simulated Attendee bot and a simulated Recall call whose three participants mute, unmute
    and lose a connection, while something is spoken and paused. In a third meeting a simulated voice agent is asked,
    interrupted, and answers again. Then every recorded sample is compared with what was sent.

    Example:

      audiotap demo
    """
    from audiotap.jobs import demo

    raise typer.Exit(demo.demo(out, Output.AUTO.resolved(json=json), settings.invocation()))
