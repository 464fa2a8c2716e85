"""audiotap report: a recorded session as one page."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def report(
    dir: Annotated[
        Path, typer.Argument(metavar="DIR", help="A session's folder; of a folder of recordings, the newest session.")
    ],
    out: Annotated[
        Path | None, typer.Option(help="The page's file (default: report.html in the folder).", show_default=False)
    ] = None,
    embed: Annotated[
        bool, typer.Option("--embed", help="Put the audio into the page as Opus, so that it needs no other file.")
    ] = False,
    labels: Annotated[
        bool, typer.Option("--labels", help="Write Audacity's labels, too: speech, gaps, clipping.")
    ] = False,
    rttm: Annotated[bool, typer.Option("--rttm", help="Write who spoke when as RTTM, too.")] = False,
    vtt: Annotated[bool, typer.Option("--vtt", help="Write the transcript as WebVTT captions, too.")] = False,
    json: Annotated[bool, typer.Option("--json", help="The written files as JSON on stdout.")] = False,
) -> None:
    """Show a session as one HTML page: who spoke when, all tracks playing together, transcript, figures.

    The page opens from the disk in any browser, asks no server for anything, and plays the files that lie beside it. A
    session that is still being recorded is shown as far as it is; nothing of the recording is touched.

    Examples:

      audiotap report recordings

      audiotap report --embed --out meeting.html recordings/20261121T080340Z_attendee_bot_1
    """
    from audiotap.jobs import report

    raise typer.Exit(report.report(dir, report.Wants(out, embed, labels, rttm, vtt), json=json))
