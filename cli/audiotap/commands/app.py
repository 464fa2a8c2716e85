"""The command line put together: one typer application, one way out for errors."""

from __future__ import annotations

import sys
from typing import Annotated, Any

import typer

from audiotap import __version__
from audiotap.commands import (
    assemble,
    bot,
    bridge,
    check,
    control,
    converse,
    demo,
    doctor,
    listen,
    settings,
    sim,
    watch,
)
from audiotap.errors import AudiotapError
from audiotap.text import printable

app = typer.Typer(
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
app.command("url")(bot.url)
app.command("bridge")(bridge.bridge)
app.command("converse")(converse.converse)
app.command("check")(check.check)
app.command("assemble")(assemble.assemble)
app.command("doctor")(doctor.doctor)
app.command("demo")(demo.demo)
app.add_typer(bot.app, name="bot")
app.add_typer(sim.app, name="sim")


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"audiotap {__version__}")
        raise typer.Exit


@app.callback()
def root(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version and exit.")
    ] = False,
) -> None:
    """Tap and record the audio of meeting bots and voice agents."""


def schema(command: Any) -> settings.Schema:
    """The options of every command below one, as a settings file may name them: with `-` or with `_`."""
    return dict(_options(command, ""))


def _options(command: Any, prefix: str) -> list[tuple[str, dict[str, bool]]]:
    found: list[tuple[str, dict[str, bool]]] = []
    for name, sub in getattr(command, "commands", {}).items():
        full = f"{prefix}{name}"
        options = {p.name: p.multiple for p in sub.params if p.param_type_name == "option" and p.name != "help"}
        found.append((full, options | {option.replace("_", "-"): many for option, many in options.items()}))
        found += _options(sub, f"{full}.")
    return found


def main() -> None:
    """Run the command line; every expected error ends as one clear line and its exit status."""
    try:
        command = typer.main.get_command(app)
        command(prog_name="audiotap", default_map=settings.load(schema(command)))
    except AudiotapError as error:
        complain(error)
        sys.exit(error.status)


def complain(error: AudiotapError) -> None:
    """What happened, why, and what to type next, on stderr."""
    typer.secho(f"audiotap: {printable(error.message)}", err=True, fg="red")
    if error.hint:
        typer.echo(f"  {printable(error.hint)}", err=True)
