"""Every command that the documentation and the help tell is one that the command line takes."""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import typer
from _pytest.mark.structures import ParameterSet
from typer._click.core import Command, Context

from audiotap.commands.app import app

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted(ROOT.joinpath("docs").rglob("*.md"))]
FENCE = re.compile(r"^( *)```(?:sh|bash|console)?\n(.*?)^\1```", re.MULTILINE | re.DOTALL)
INLINE = re.compile(r"`(audiotap [a-z][^`]*)`")
ENDS = {"|", "||", "&&", ";", "&", ">", ">>", "<", "2>"}
"""Words behind which something else begins."""
BEFORE = ENDS | {"-t", "$"}
"""Words before which a command is over, or which run one (ssh -t)."""
OF_CLI = {"test"}
"""What `python3 cli` does by itself."""
GROUPS = typer.main.get_command(app)


SYNTAX = re.compile(r"\[OPTIONS\]|\b(PROVIDER|VENDOR|NAME)\b")
"""What tells how a command is typed, and is not typed so."""


def typed(page: Path) -> Iterator[list[str]]:
    """The arguments of each `audiotap` in a page's blocks."""
    for _, block in FENCE.findall(page.read_text("utf-8")):
        for line in block.replace("\\\n", " ").splitlines():
            if re.search(r"(^|\s)(audiotap|python3 cli) ", line) and not SYNTAX.search(line):
                yield from invocations(line)


def mentioned(page: Path) -> Iterator[list[str]]:
    """The arguments of each `audiotap …` between backquotes, maybe not all that it wants."""
    for told in INLINE.findall(" ".join(FENCE.sub("", page.read_text("utf-8")).split())):
        yield from invocations(told)


def invocations(line: str) -> Iterator[list[str]]:
    """The arguments of each `audiotap` in a line."""
    words = shlex.split(line.replace("python3 cli ", "audiotap "), comments=True)
    for at, word in enumerate(words):
        begins = at == 0 or words[at - 1] in BEFORE or "=" in words[at - 1]
        if word == "audiotap" and begins and at + 1 < len(words):
            rest = words[at + 1 :]
            end = next((n for n, one in enumerate(rest) if one in ENDS), len(rest))
            if rest[0] not in OF_CLI:
                yield rest[:end]


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
