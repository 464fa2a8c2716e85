"""audiotap doctor: try everything that a recording needs."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from audiotap.commands import completion, settings
from audiotap.commands.listen import size


def doctor(
    public_url: Annotated[
        str,
        typer.Option(
            help="Where bots dial, such as wss://YOUR-TUNNEL-HOST/ (default: what the listener's tunnel told)."
        ),
    ] = "",
    port: Annotated[
        int | None,
        typer.Option(
            help="The port of listen (default: the running listener's, or 8765).",
            min=1,
            max=65535,
            autocompletion=completion.ports,
            show_default=False,
        ),
    ] = None,
    out: Annotated[Path, typer.Option(help="The folder of the recordings.")] = Path("recordings"),
    min_free: Annotated[int, typer.Option(parser=size, metavar="SIZE", help="Disk space that should be free.")] = "1G",  # type: ignore[assignment]
    json: Annotated[bool, typer.Option("--json", help="The result as JSON on stdout, an entry per line.")] = False,
) -> None:
    """Try everything that a recording needs; a line that failed ends in what to type.

    Python, libsndfile, open files, folder and disk, port, clock, and with a public URL its certificate and the way of a
    frame through it to here and back. Where no listener runs, it answers in its place. The clock is compared with what
    the web servers of Attendee and Recall tell; nothing else is asked of them, and without a network it is skipped.

    Exit status: 0 nothing failed, 1 something did.

    Examples:

      audiotap doctor

      audiotap doctor --public-url wss://YOUR-TUNNEL-HOST/ --json
    """
    from audiotap.jobs import doctor
    from audiotap.jobs.bots import PROVIDERS

    apis = {name: settings.api_url(name) for name in PROVIDERS}
    servers = tuple(rest.address(apis[name]) if apis[name] else rest.home for name, rest in PROVIDERS.items())
    subject = doctor.Subject(public_url, port, out, min_free, settings.control_folder(), servers)
    raise typer.Exit(doctor.doctor(subject, json=json))
