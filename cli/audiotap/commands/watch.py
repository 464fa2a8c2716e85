"""audiotap watch: look at a running listener from another terminal."""

from __future__ import annotations

from typing import Annotated

import typer

from audiotap.commands import completion, settings
from audiotap.errors import UsageError
from audiotap.jobs.mode import Output


def watch(
    port: Annotated[
        int | None,
        typer.Option(
            help="The listener's port; needed where there are several.",
            show_default=False,
            autocompletion=completion.ports,
        ),
    ] = None,
    levels: Annotated[
        bool, typer.Option("--levels", help="With --json: the meter too, twelve times a second.")
    ] = False,
    json: Annotated[bool, typer.Option("--json", help="JSON lines on stdout; the same as --output json.")] = False,
    output: Annotated[Output, typer.Option(help="The meter, plain lines or JSON lines.")] = Output.AUTO,
) -> None:
    """Show a running listener's meter, sessions, warnings and transcripts in another terminal.

    Any number of watchers at once. Ctrl-C detaches; nothing that a watcher does, or doesn't read, touches a recording.

    Examples:

      audiotap watch

      ssh recorder -t audiotap watch --port 8765

      audiotap watch --json --levels
    """
    from audiotap.jobs import watch as job
    from audiotap.net.control.remote import Target

    mode = output.resolved(json=json)
    if levels and mode is not Output.JSON:
        raise UsageError("--levels are JSON lines", "add --json")
    raise typer.Exit(job.watch(Target(settings.control_folder(), port), mode, levels=levels))
