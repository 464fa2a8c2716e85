"""What the documentation types: the lines of its blocks, and the arguments of each `audiotap` in them."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", *sorted(ROOT.joinpath("docs").rglob("*.md"))]
FENCE = re.compile(r"^( *)```(?:sh|bash|console)?\n(.*?)^\1```", re.MULTILINE | re.DOTALL)
ENDS = {"|", "||", "&&", ";", "&", ">", ">>", "<", "2>"}
"""Words behind which something else begins."""
BEFORE = ENDS | {"-t", "$"}
"""Words before which a command is over, or which run one (ssh -t)."""
OF_CLI = {"test"}
"""What `python3 cli` does by itself."""
SYNTAX = re.compile(r"\[OPTIONS\]|\b(PROVIDER|VENDOR|NAME)\b")
"""What tells how a command is typed, and is not typed so."""
COMMENT = re.compile(r" +# .*$")


def typed(page: Path) -> Iterator[list[str]]:
    """The arguments of each `audiotap` in a page's blocks."""
    for line in told(page):
        yield from invocations(line)


def lines(page: Path) -> Iterator[str]:
    """The lines of a page's blocks in which there is an `audiotap`, each with what its block exported before."""
    exported = ""
    for line in told(page):
        if line.startswith("export "):
            exported += f"{line}; "
        elif not line:
            exported = ""
        elif [*invocations(line)] or "$(audiotap " in line:
            yield exported + line.removeprefix("$ ")


def told(page: Path) -> Iterator[str]:
    """The lines of a page's blocks, without comments, and an empty one after each block."""
    for _, block in FENCE.findall(page.read_text("utf-8")):
        for line in block.replace("\\\n", " ").splitlines():
            if re.search(r"(^|[\s(])(audiotap|python3 cli|export) ", line) and not SYNTAX.search(line):
                yield COMMENT.sub("", line).strip()
        yield ""


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
