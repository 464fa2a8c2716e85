"""Renders docs/audiotap.1, the manual page, from the command tree and from what docs/cli.md says of the rest.

`python -m tests.manual` prints the page, `python -m tests.manual --write` writes it.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from tests import reference
from tests.reference import Parameter

from audiotap import __version__
from audiotap.commands.app import app, root

PAGE = reference.PAGE.with_name("audiotap.1")
INTRODUCTION = """
Bots of Attendee and Recall.ai dial your websocket; audiotap takes any number of them at once, records the mix and every
participant into files that share one time zero, shows live levels, and speaks back into the meeting.

Settings come from flags, from variables of the environment, from a profile, from audiotap.toml in the folder you stand
in, and from your own audiotap.toml; the nearer one wins. audiotap config show tells them all.
"""
FILES = {
    "audiotap.toml": "settings of this folder",
    "~/.config/audiotap/audiotap.toml": "your own settings (audiotap config path tells where it is)",
}


def render() -> str:
    """The whole page."""
    _, options = reference.parameters(root)
    return "\n".join(
        [
            f'.TH AUDIOTAP 1 "" "audiotap {__version__}" "User Commands"',
            ".nh",
            ".SH NAME",
            f"audiotap \\- {_text(reference.explained(root)[0][0][:-1]).lower()}",
            ".SH SYNOPSIS",
            f"{_bold('audiotap')} [{_bold('--profile')} {_italic('NAME')}] {_italic('COMMAND')} ...",
            ".SH DESCRIPTION",
            *_paragraphs(" ".join(one.split()) for one in INTRODUCTION.strip().split("\n\n")),
            ".SH OPTIONS",
            *(line for option in options for line in _option("", option)),
            ".SH COMMANDS",
            *(line for name, callback in reference.commands(app) for line in _command(name, callback)),
            ".SH EXIT STATUS",
            *(line for status, meaning in _statuses() for line in _tagged(_bold(status), meaning)),
            ".SH FILES",
            *(line for file, meaning in FILES.items() for line in _tagged(_bold(file), meaning)),
            "",
        ]
    )


def _command(name: str, callback: Callable[..., Any]) -> Iterator[str]:
    about, examples = reference.explained(callback)
    arguments, options = reference.parameters(callback)
    yield f".SS {_text(reference.usage(name, callback))}"
    yield from _paragraphs(about)
    for argument in arguments:
        yield from _tagged(_italic(argument.spelling), argument.info.help or "")
    for option in options:
        yield from _option(name, option)
    if examples:
        yield from (".PP", "Examples:", ".PP", ".RS 4", ".nf", *map(_text, examples), ".fi", ".RE")


def _option(command: str, option: Parameter) -> Iterator[str]:
    """An option, what it takes, what it means, and how else it is set."""
    takes = "" if option.kind is bool else f" {_italic(option.type.replace('`', ''))}"
    default = option.shown_default.strip("`")
    name = reference.variable_of(command, option) if command else ""
    more = [f"Default: {default}."] if default else []
    yield from _tagged(_bold(option.spelling) + takes, " ".join([option.info.help or "", *more, name]).strip())


def _statuses() -> list[tuple[str, str]]:
    """The table of docs/cli.md."""
    table = reference.head().partition("## Exit status")[2].partition("\n## ")[0]
    return re.findall(r"^\| (\d+) \| ([^|]+) \|", table, re.MULTILINE)


def _tagged(tag: str, text: str) -> Iterator[str]:
    yield from (".TP", tag, _text(text))


def _paragraphs(paragraphs: Iterable[str]) -> Iterator[str]:
    """The first one follows a heading, which begins a paragraph by itself."""
    for number, one in enumerate(paragraphs):
        yield from ((".PP",) if number else ())
        yield _text(one)


def _bold(text: str) -> str:
    return f"\\fB{_text(text)}\\fR"


def _italic(text: str) -> str:
    return f"\\fI{_text(text)}\\fR"


def _text(text: str) -> str:
    """Text that roff reads as nothing else, in ASCII."""
    told = (
        text.replace("\\", "\\e").replace("-", "\\-").replace("'", "\\(aq").replace("`", "\\(ga").replace("~", "\\(ti")
    )
    told = "".join(letter if letter.isascii() else f"\\[u{ord(letter):04X}]" for letter in told)
    return f"\\&{told}" if told.startswith(".") else told


if __name__ == "__main__":
    if "--write" in sys.argv[1:]:
        PAGE.write_text(render(), "ascii")
    else:
        sys.stdout.write(render())
