"""The command line put together: one typer application, one way out for errors."""

from __future__ import annotations

import atexit
import gc
import sys
from io import StringIO
from traceback import clear_frames
from typing import Annotated

import typer

from audiotap import __version__
from audiotap.commands import (
    assemble,
    bot,
    bridge,
    check,
    completion,
    config,
    control,
    converse,
    demo,
    doctor,
    listen,
    mix,
    replay,
    report,
    settings,
    sim,
    tail,
    watch,
)
from audiotap.commands.options import Program
from audiotap.errors import AudiotapError
from audiotap.text import printable

app = Program(
    name="audiotap",
    help="Tap and record the audio of meeting bots and voice agents.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog="Try it without a meeting or an account: audiotap demo",
)
app.command("listen")(listen.listen)
app.command("speak")(control.speak)
app.command("pause")(control.pause)
app.command("stop")(control.stop)
app.command("status")(control.status)
app.command("watch")(watch.watch)
app.command("tail")(tail.tail)
app.command("url")(bot.url)
app.command("bridge")(bridge.bridge)
app.command("converse")(converse.converse)
app.command("replay")(replay.replay)
app.command("report")(report.report)
app.command("mix")(mix.mix)
app.command("check")(check.check)
app.command("assemble")(assemble.assemble)
app.command("doctor")(doctor.doctor)
app.command("demo")(demo.demo)
app.add_typer(config.app, name="config")
app.add_typer(bot.app, name="bot")
app.add_typer(sim.app, name="sim")


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"audiotap {__version__}")
        raise typer.Exit


@app.callback()
def root(
    ctx: typer.Context,
    profile: Annotated[
        str,
        typer.Option(
            help="Take the settings of a profile, [profile.NAME.COMMAND] in a settings file (or AUDIOTAP_PROFILE).",
            metavar="NAME",
            autocompletion=completion.profiles,
        ),
    ] = "",
    version: Annotated[  # noqa: ARG001 - its callback does it all
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version and exit.")
    ] = False,
) -> None:
    """Tap and record the audio of meeting bots and voice agents."""
    ctx.default_map = settings.load(settings.schema(ctx.command), profile)


def main() -> None:
    """Run the command line; every expected error ends as one clear line and its exit status.

    Whoever is in the middle of a line, which a shell completes, is told of none. What failed holds nothing at the end,
    or libraries complain of what is left.
    """
    atexit.register(_leave)
    if settings.completing():
        sys.stderr = StringIO()
    try:
        app(prog_name="audiotap")
    except AudiotapError as error:
        complain(error)
        clear_frames(error.__traceback__)
        sys.exit(error.status)


def _leave() -> None:
    """Nobody looks for cycles in what goes with the process anyway: that was a tenth of a short command's time.

    Resamplers want to be looked for: those that nobody has freed at the end complain of it on stderr.
    """
    if "soxr" not in sys.modules:
        gc.freeze()


def complain(error: AudiotapError) -> None:
    """What happened, why, and what to type next, on stderr."""
    typer.secho(f"audiotap: {printable(error.message)}", err=True, fg="red")
    if error.hint:
        typer.echo(f"  {printable(error.hint)}", err=True)
