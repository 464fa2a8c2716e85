"""audiotap config: what is set, and where it comes from."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from enum import Enum
from pathlib import Path
from typing import Annotated, Any, NamedTuple

import typer

from audiotap.commands import settings
from audiotap.commands.options import Program
from audiotap.commands.settings import Origin, Setting
from audiotap.errors import UsageError
from audiotap.text import printable, without_path

app = Program(help="See what is set, and where it comes from.", no_args_is_help=True)


class Entry(NamedTuple):
    """An option as it is set."""

    command: str
    option: str
    value: Any
    origin: Origin
    where: str | None

    @property
    def source(self) -> str:
        """Where it comes from, in words."""
        return f"{self.origin} in {self.where}" if self.origin is Origin.PROFILE else self.where or self.origin


@app.callback()
def root() -> None:
    """See what is set, and where it comes from."""


@app.command("show")
def show(
    ctx: typer.Context,
    command: Annotated[
        list[str] | None, typer.Argument(help="The command that is meant, such as sim bot (default: all).")
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="The result as JSON on stdout.")] = False,
) -> None:
    """Show every option of every command with its value, and which file, profile or variable it comes from.

    A flag wins over all that is shown. Of secrets and keys it is only told whether they are set, of URLs only the host.

    Examples:

      audiotap config show listen

      audiotap --profile office config show sim bot

      audiotap config show --json
    """
    from audiotap.jobs.output import emit

    tree = ctx.find_root()
    found = settings.found(settings.schema(tree.command), tree.params["profile"])
    entries = list(_entries(settings.options(tree.command), found, ".".join(command or ())))
    if not entries:
        raise UsageError(f"there is no command {' '.join(command or ())} with options", "see: audiotap --help")
    if json:
        emit({"options": [entry._asdict() for entry in entries], "keys": settings.keys()})
        return
    for name in dict.fromkeys(entry.command for entry in entries):
        _print_table(
            name,
            [(one.option, _word(one.value), one.source) for one in entries if one.command == name],
        )
    if not command:
        _print_table("keys", [(name, "set" if there else "unset", "") for name, there in settings.keys().items()])


@app.command("path")
def path() -> None:
    """Print where your own settings file is, or would be.

    Example:

      $EDITOR "$(audiotap config path)"
    """
    typer.echo(settings.user_file())


def _entries(options: Mapping[str, Iterable[Any]], found: settings.Found, wanted: str) -> Iterator[Entry]:
    """The options of the commands that are wanted; `sim` is all below it."""
    for command, some in options.items():
        if not f"{command}.".startswith(f"{wanted}." if wanted else ""):
            continue
        for one in some:
            default = Setting(one.default, Origin.DEFAULT, "")
            setting = found.get(command, {}).get(one.name, default)
            value = _shown(one.name, setting.value)
            name = one.name.replace("_", "-")
            yield Entry(command.replace(".", " "), name, value, setting.origin, setting.where or None)


def _shown(option: str, value: Any) -> Any:
    """A value as it may be shown: as it was written, without secrets."""
    if option in settings.HIDDEN:
        return "set" if value else "unset"
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, Path):
        return str(value)
    return without_path(value) if isinstance(value, str) and "://" in value else value


def _word(value: Any) -> str:
    match value:
        case None | "" | []:
            return "-"
        case bool():
            return str(value).lower()
        case list():
            return ", ".join(map(str, value))
        case _:
            return str(value)


def _print_table(title: str, rows: list[tuple[str, str, str]]) -> None:
    typer.echo(title)
    rows = [(printable(name), printable(value), printable(source)) for name, value, source in rows]
    widths = [max(len(row[column]) for row in rows) for column in (0, 1)]
    for name, value, source in rows:
        typer.echo(f"  {name:{widths[0]}}  {value:{widths[1]}}  {source}".rstrip())
