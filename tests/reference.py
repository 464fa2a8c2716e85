"""Renders docs/cli.md from the command tree; what stands above the mark is written by hand and kept.

`python tests/reference.py` prints the page, `python tests/reference.py --write` writes it.
"""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable, Iterator
from enum import Enum
from pathlib import Path
from types import NoneType, UnionType
from typing import Any, get_args, get_origin, get_type_hints

import msgspec
import typer
from typer.models import ArgumentInfo, OptionInfo

from audiotap.commands.app import app
from audiotap.commands.settings import variable

PAGE = Path(__file__).resolve().parent.parent / "docs" / "cli.md"
MARK = "<!-- Everything below is generated: python tests/reference.py --write -->"
WORDS: dict[object, str] = {
    str: "text",
    int: "whole number",
    float: "number",
    Path: "path",
    bool: "flag",
    "SIZE": "size, such as `500M`",
}
"""What kinds are called, and metavars whose kind does not tell."""


class Parameter(msgspec.Struct, frozen=True):
    """One argument or option as a user meets it."""

    name: str
    info: ArgumentInfo | OptionInfo
    kind: Any
    many: bool
    default: Any

    @property
    def spelling(self) -> str:
        """What is typed: FILE, --port, --json; in an annotation, typer takes the first spelling for a default."""
        if isinstance(self.info, ArgumentInfo):
            return self.name.upper()
        told = (self.info.default, *(self.info.param_decls or ()))
        spellings = [one for one in told if isinstance(one, str) and one.startswith("-")]
        return ", ".join(spellings or (f"--{self.name.replace('_', '-')}",))

    @property
    def type(self) -> str:
        """What it takes, in words."""
        if issubclass(self.kind, Enum):
            return " or ".join(f"`{choice.value}`" for choice in self.kind)
        word = WORDS.get(self.info.metavar, WORDS[self.kind]) + _limits(self.info.min, self.info.max)
        return f"{word}, repeatable" if self.many else word

    @property
    def shown_default(self) -> str:
        """Empty where there is none to tell."""
        if self.kind is bool or self.default is None or self.default == "":
            return ""
        return f"`{self.default.value if isinstance(self.default, Enum) else self.default}`"


def _limits(low: float | None, high: float | None) -> str:
    if low is None and high is None:
        return ""
    if high is None:
        return f" ≥ {low:g}"
    return f" ≤ {high:g}" if low is None else f", {low:g} to {high:g}"


def render(head: str) -> str:
    """The page: the hand-written head, then every command."""
    sections = [_section(name, callback) for name, callback in commands(app)]
    return "\n".join([head.rstrip("\n"), "", MARK, "", "## Commands", "", *sections])


def head() -> str:
    """What is written by hand."""
    return PAGE.read_text("utf-8").partition(MARK)[0]


def commands(group: typer.Typer, prefix: str = "") -> Iterator[tuple[str, Callable[..., Any]]]:
    """Every command below a group, by what is typed."""
    for command in group.registered_commands:
        if command.callback is not None:
            yield f"{prefix}{command.name}", command.callback
    for inner in group.registered_groups:
        if inner.typer_instance is not None:
            yield from commands(inner.typer_instance, f"{prefix}{inner.name} ")


def _section(name: str, callback: Callable[..., Any]) -> str:
    arguments, options = parameters(callback)
    about, examples = explained(callback)
    lines = [f"### audiotap {name}", "", "```", usage(name, callback), "```", "", "\n\n".join(about), ""]
    if examples:
        lines += ["```sh", *examples, "```", ""]
    if arguments:
        lines += ["| argument | takes | meaning |", "|---|---|---|"]
        lines += [f"| `{one.spelling}` | {one.type} | {_cell(one.info.help)} |" for one in arguments]
        lines.append("")
    if options:
        lines += ["| option | takes | default | meaning | variable |", "|---|---|---|---|---|"]
        lines += [*(_row(name, one) for one in options), ""]
    return "\n".join(lines)


def usage(name: str, callback: Callable[..., Any]) -> str:
    """What is typed."""
    arguments, options = parameters(callback)
    return " ".join(["audiotap", name, *(one.spelling for one in arguments), *(["[OPTIONS]"] if options else [])])


def _row(command: str, option: Parameter) -> str:
    """An option's line; lists have no variable, only flags and settings files hold several."""
    name = variable_of(command, option)
    name = name and f"`{name}`"
    return f"| `{option.spelling}` | {option.type} | {option.shown_default} | {_cell(option.info.help)} | {name} |"


def variable_of(command: str, option: Parameter) -> str:
    """The variable of an option, if it has one."""
    return "" if option.many else variable(command.replace(" ", "."), option.name)


def explained(callback: Callable[..., Any]) -> tuple[list[str], list[str]]:
    """A docstring as the paragraphs of its prose, and its examples."""
    text = inspect.cleandoc(callback.__doc__ or "")
    prose, _, examples = text.replace("Example:\n", "Examples:\n").partition("Examples:\n")
    paragraphs = [" ".join(paragraph.split()) for paragraph in prose.split("\n\n")]
    return list(filter(None, paragraphs)), [line.strip() for line in examples.splitlines() if line.strip()]


def parameters(callback: Callable[..., Any]) -> tuple[list[Parameter], list[Parameter]]:
    """A command's arguments and its options."""
    found = list(_parameters(callback))
    return [one for one in found if isinstance(one.info, ArgumentInfo)], [
        one for one in found if isinstance(one.info, OptionInfo)
    ]


def _parameters(callback: Callable[..., Any]) -> Iterator[Parameter]:
    hints = get_type_hints(callback, include_extras=True)
    for name, parameter in inspect.signature(callback).parameters.items():
        if hints[name] is typer.Context:
            continue
        annotation, info = get_args(hints[name])
        kind, many = _plain(annotation)
        default = None if parameter.default is inspect.Parameter.empty else parameter.default
        yield Parameter(name, info, kind, many, default)


def _plain(annotation: Any) -> tuple[Any, bool]:
    """`list[Path] | None` as (Path, True), `int | None` as (int, False)."""
    if get_origin(annotation) is UnionType:
        (annotation,) = (one for one in get_args(annotation) if one is not NoneType)
    if get_origin(annotation) is list:
        return get_args(annotation)[0], True
    return annotation, False


def _cell(text: str | None) -> str:
    return (text or "").replace("|", "\\|")


if __name__ == "__main__":
    page = render(head())
    if "--write" in sys.argv[1:]:
        PAGE.write_text(page, "utf-8")
    else:
        sys.stdout.write(page)
