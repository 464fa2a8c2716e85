"""The documentation is true: generated pages are up to date, links resolve, and nothing a user can meet is left out."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from datetime import UTC, datetime
from pathlib import Path
from typing import get_args

import msgspec
import pytest
from tests import manual, reference

from audiotap.actors import ACTORS
from audiotap.actors.base import Actor
from audiotap.audio import Chunk
from audiotap.commands.app import app
from audiotap.dialects import REGISTER
from audiotap.errors import Exit
from audiotap.events import Heard
from audiotap.manifest import Manifest
from audiotap.net.agents import simulator
from audiotap.net.fleet.metrics.prometheus import COUNTERS, GAUGES, LATE
from audiotap.reports import Report
from audiotap.session import Session, Timing

ROOT = Path(__file__).resolve().parent.parent
DOCS = ROOT / "docs"
PAGES = sorted([*DOCS.rglob("*.md"), ROOT / "README.md"])
LINK = re.compile(r"(?<!!)\[[^\]]*\]\(([^)\s]+)\)")
FENCE = re.compile(r"^```.*?^```", re.MULTILINE | re.DOTALL)
HEADING = re.compile(r"^#+ +(.*)$", re.MULTILINE)


def test_cli_page_is_what_the_commands_say() -> None:
    """docs/cli.md is generated: `python tests/reference.py --write` brings it up to date."""
    assert reference.PAGE.read_text("utf-8") == reference.render(reference.head())


def test_manual_page_is_what_the_commands_say() -> None:
    """docs/audiotap.1 is generated: `python -m tests.manual --write` brings it up to date."""
    assert manual.PAGE.read_text("ascii") == manual.render()


@pytest.mark.parametrize("checker", [["man", "--warnings", "-l"], ["mandoc", "-W", "error"]], ids=lambda line: line[0])
def test_manual_page_is_well_formed(checker: list[str]) -> None:
    """Whoever renders manual pages here has nothing to complain of, and shows every command."""
    if shutil.which(checker[0]) is None:
        pytest.skip(f"{checker[0]} is not installed")
    environment = os.environ | {"MANWIDTH": "100", "LC_ALL": "C.UTF-8", "MANPAGER": "cat"}
    shown = subprocess.run([*checker, str(manual.PAGE)], env=environment, capture_output=True, text=True, check=True)
    assert shown.stderr == ""
    plain = re.sub(".\b", "", shown.stdout)
    assert [name for name, _ in reference.commands(app) if f"audiotap {name}" not in plain] == []
    assert "AUDIOTAP_LISTEN_PORT" in plain


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_relative_links_resolve(page: Path) -> None:
    """Every link to a file leads to one, and every link to a heading to a heading."""
    broken = [link for link in _links(page) if not _resolves(page, link)]
    assert not broken


@pytest.mark.parametrize("name", REGISTER)
def test_every_dialect_has_its_page(name: str) -> None:
    """A provider that is read is also explained, and what is doubtful about it is said."""
    text = (DOCS / "dialects" / f"{name}.md").read_text("utf-8")
    assert "## Doubtful" in text
    assert f"--provider {name}" in text
    assert f"{name}.py" in _page("architecture.md")


def test_every_pause_is_explained() -> None:
    """Each dialect's page has all the words it has for a pause."""
    for name, dialect in REGISTER.items():
        text = (DOCS / "dialects" / f"{name}.md").read_text("utf-8")
        assert [word for word in dialect.spellings if f"`{word}`" not in text] == []


def test_every_manifest_field_is_explained() -> None:
    """Whatever a manifest holds stands in the tables of docs/recording.md."""
    now = datetime(2026, 1, 1, tzinfo=UTC)
    session = Session(("attendee", "bot_1"), Timing(), now)
    session.place([Heard("bot_1", "mixed", Chunk(bytes(320), 16000), at=0.0)], now=0.0)
    manifest = Manifest(session.summary(ended=now), "wav", {}).fields()
    fields = [*manifest, *manifest["tracks"][0]]
    assert _unexplained(fields) == []


def test_every_json_event_is_explained() -> None:
    """Whatever `listen --json` prints stands in the tables of docs/recording.md."""
    for report in get_args(Report):
        config = report.__struct_config__
        fields = [field.name for field in msgspec.structs.fields(report)]
        (row,) = (line for line in _page("recording.md").splitlines() if line.startswith(f"| `{config.tag}` |"))
        assert re.findall(r"`(\w+)`", row.split("|")[3]) == fields
        assert _unexplained(fields) == []


def test_every_event_of_a_simulated_agent_is_explained() -> None:
    """Whatever `sim agent --json` prints stands in the table of docs/agents/simulator.md."""
    rows = [line.split("|") for line in _page("agents/simulator.md").splitlines()]
    told = {row[1].strip(): re.findall(r"`(\w+)`", row[2]) for row in rows if len(row) == 5}
    for report in get_args(simulator.reports.Report):
        fields = [field.name for field in msgspec.structs.fields(report)]
        assert told[f"`{report.__struct_config__.tag}`"] == fields


def test_every_exit_status_is_explained() -> None:
    """The table of docs/cli.md has all of them and no other."""
    table = _page("cli.md").partition("## Exit status")[2].partition("\n## ")[0]
    assert [int(status) for status in re.findall(r"^\| (\d+) \|", table, re.MULTILINE)] == [*Exit]


def test_every_metric_is_explained() -> None:
    """Whatever /metrics has stands in docs/scaling.md."""
    page = _page("scaling.md")
    names = [*(f"{one.name}_total" for one in COUNTERS), *(one.name for one in (*GAUGES, LATE)), "build_info"]
    assert [name for name in names if f"`audiotap_{name}`" not in page] == []


@pytest.mark.parametrize("file", ["compose.yaml", "kubernetes.yaml"])
def test_deployments_use_options_that_exist(file: str) -> None:
    """Whatever the files to begin with ask of `listen` is an option of it."""
    options = re.findall(r"^ +- (--[a-z-]+)", (DOCS / "fleet" / file).read_text("utf-8"), re.MULTILINE)
    listen = _page("cli.md").partition("## audiotap listen")[2].partition("\n## ")[0]
    assert len(options) > 5
    assert [option for option in options if not re.search(rf"`{option}\b", listen)] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_files_that_a_page_names_are_there(page: Path) -> None:
    """Who looks for the code that a page speaks of finds it."""
    named = re.findall(r"`((?:cli|tests)/[\w./-]*[\w/])`", page.read_text("utf-8"))
    assert [path for path in named if not (ROOT / path).exists()] == []


@pytest.mark.parametrize("actor", ACTORS.values(), ids=lambda actor: actor.name)
def test_every_switch_of_a_simulated_agent_is_explained(actor: type[Actor]) -> None:
    """The vendor's page has each, as an option or as what one types for it."""
    page = _page(f"agents/{'openai' if actor.name in {'azure', 'botify'} else actor.name}.md")
    assert [switch for switch in actor.options if not re.search(rf"`(--option )?{switch}`", page)] == []


def test_architecture_names_every_module() -> None:
    """The tree in docs/architecture.md is the tree."""
    tree = _page("architecture.md")
    package = ROOT / "cli" / "audiotap"
    modules = [path for path in package.rglob("*.py") if path.name != "__init__.py"]
    assert [str(path.relative_to(package)) for path in modules if not re.search(rf"\b{path.name}\b", tree)] == []
    told = set(re.findall(r"\b(\w+\.py)\b", tree.partition("## The tree")[2].partition("Who enforces")[0]))
    assert told - {path.name for path in package.rglob("*.py")} == set()


def _page(name: str) -> str:
    return (DOCS / name).read_text("utf-8")


def _unexplained(fields: list[str]) -> list[str]:
    """Fields that no table of docs/recording.md begins a row with."""
    rows = [line.split("|")[1] for line in _page("recording.md").splitlines() if line.startswith("| `")]
    known = {word for row in rows for word in re.findall(r"`([\w.]+)`", row)}
    return [field for field in fields if field not in known]


def _links(page: Path) -> list[str]:
    text = FENCE.sub("", page.read_text("utf-8"))
    return [link for link in LINK.findall(text) if not re.match(r"[a-z]+:", link)]


def _resolves(page: Path, link: str) -> bool:
    path, _, anchor = link.partition("#")
    target = page.parent / path if path else page
    if not target.exists():
        return False
    return not anchor or anchor in _anchors(target)


def _anchors(page: Path) -> set[str]:
    """Headings as forges make anchors of them: small letters, no punctuation, spaces as hyphens."""
    headings = HEADING.findall(FENCE.sub("", page.read_text("utf-8")))
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}
