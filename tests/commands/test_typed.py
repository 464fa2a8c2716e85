"""Every command that the documentation and the help tell is one that the command line takes."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import typer
from _pytest.mark.structures import ParameterSet
from tests.typed import FENCE, PAGES, invocations, typed
from typer._click.core import Command, Context

from audiotap.commands.app import app

INLINE = re.compile(r"`(audiotap [a-z][^`]*)`")
GROUPS = typer.main.get_command(app)


def mentioned(page: Path) -> Iterator[list[str]]:
    """The arguments of each `audiotap …` between backquotes, maybe not all that it wants."""
    for told in INLINE.findall(" ".join(FENCE.sub("", page.read_text("utf-8")).split())):
        yield from invocations(told)


def found(arguments: list[str]) -> tuple[Command, list[str], Context | None]:
    """The command that arguments name, and what is left of them."""
    command: Command = GROUPS
    context: Context | None = None
    while (subs := getattr(command, "commands", None)) is not None and arguments:
        if arguments[0].startswith("-"):
            break
        context = Context(command, context, arguments[0])
        assert arguments[0] in subs, f"there is no command {arguments[0]}"
        command, arguments = subs[arguments[0]], arguments[1:]
    return command, arguments, context


def each(look: Callable[[Path], Iterator[list[str]]]) -> list[ParameterSet]:
    """What is found in every page, once."""
    all_of_it = dict.fromkeys((page, tuple(some)) for page in PAGES for some in look(page))
    return [pytest.param(some, id=f"{page.name}: {' '.join(some)}") for page, some in all_of_it]


TYPED = each(typed)


@pytest.mark.parametrize("arguments", TYPED)
def test_what_the_documentation_types(arguments: tuple[str, ...]) -> None:
    """The command, its options and their values are there, and nothing is missing."""
    command, rest, context = found([*arguments])
    if getattr(command, "commands", None) is None:
        command.make_context("audiotap", rest, context)


@pytest.mark.parametrize("arguments", each(mentioned))
def test_what_the_documentation_mentions(arguments: tuple[str, ...]) -> None:
    """The command and its options are there."""
    command, rest, _ = found([*arguments])
    options = {name for one in command.params for name in (*one.opts, *one.secondary_opts)} | {"--help"}
    assert {word for word in rest if word.startswith("--")} <= options


def test_there_is_something_to_type() -> None:
    """The pages are read, and most of their commands are found."""
    assert len(TYPED) > 60
