"""What docs/service.md has to copy is understood: the unit by systemd, and the container's commands by audiotap."""

from __future__ import annotations

import json
import re
import shlex
import shutil
import subprocess
from pathlib import Path

import pytest
from tests import reference
from tests.scenarios.harness import ROOT, Place

from audiotap.commands.app import app
from audiotap.commands.listen import listen

PAGE = (ROOT.parent / "docs" / "service.md").read_text("utf-8")
INSTRUCTIONS = re.compile(
    r"(FROM \S+|RUN .+|USER \w+|WORKDIR /\S+|VOLUME /\S+|ENV \w+=\S+|EXPOSE \d+|HEALTHCHECK (--[a-z-]+=\d+s )+CMD .+"
    r'|(ENTRYPOINT|CMD) \["\w+"(, "\w+")*\])'
)
SPELLINGS = {word for one in reference.parameters(listen)[1] for word in one.spelling.split(", ")}
VARIABLES = {
    reference.variable_of(name, option)
    for name, command in reference.commands(app)
    for option in reference.parameters(command)[1]
}


def block(language: str) -> str:
    """The page's example in a language."""
    return PAGE.partition(f"```{language}\n")[2].partition("```")[0]


def set_in(text: str) -> dict[str, str]:
    """Variables that the unit or the Dockerfile sets."""
    return dict(re.findall(r"^(?:Environment=|ENV )(\w+)=(.*)$", text, re.MULTILINE))


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd-analyze is not installed")
def test_systemd_understands_the_unit(tmp_path: Path) -> None:
    """Every key and every value; only the program is another one, since it has to be there."""
    unit = tmp_path / "audiotap.service"
    unit.write_text(block("ini").replace("/opt/audiotap/bin/audiotap", "/bin/true"))
    ended = subprocess.run(["systemd-analyze", "verify", unit], capture_output=True, text=True, check=False)
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "", "")


def test_options_and_variables_are_known() -> None:
    """What the unit and the Dockerfile give to audiotap, it has, or docs/settings.md names it."""
    settings = (ROOT.parent / "docs" / "settings.md").read_text("utf-8")
    (start,) = re.findall(r"^ExecStart=(.*)$", block("ini"), re.MULTILINE)
    assert {word for word in shlex.split(start) if word.startswith("--")} <= SPELLINGS
    names = {*set_in(block("ini")), *set_in(block("dockerfile"))}
    assert [name for name in names if name not in VARIABLES and f"`{name}`" not in settings] == []


def test_instructions_are_docker_s() -> None:
    """Each line of the Dockerfile is an instruction in the form that its reference gives."""
    assert [line for line in block("dockerfile").splitlines() if not INSTRUCTIONS.fullmatch(line)] == []


async def test_the_containers_commands(place: Place) -> None:
    """Entry point, command and health check do what they are for, with the image's variables and folders of ours."""
    told = {name: value.replace("/data", str(place.folder)) for name, value in set_in(block("dockerfile")).items()}
    del told["AUDIOTAP_RUNTIME_DIR"]
    program, command = (json.loads(line) for line in re.findall(r"^(?:ENTRYPOINT|CMD) (.*)$", PAGE, re.MULTILINE))
    (health,) = re.findall(r"CMD (audiotap .*) \|\| exit 1$", PAGE, re.MULTILINE)
    assert program == ["audiotap"]
    started = await place.start(*command, environment=told | {"AUDIOTAP_LISTEN_PORT": "0"})
    await started.says(r"listening on ws://0\.0\.0\.0:\d+, recording to \S+/recordings\n")
    assert (await place.run(*health.split()[1:])).status == 0
    assert (place.folder / "state" / "secret").exists()
    await started.stop()
    assert (await place.run(*health.split()[1:])).status == 4
