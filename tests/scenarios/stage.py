"""A stage with everything that a reader of the documentation has, on which its lines run in bash as they are typed.

Each line runs in a folder of its own that has the same things in it. Nothing of a line is changed but what its page
writes as a placeholder; where vendors, ports and keys are is told by the environment, as it is to users.
"""

from __future__ import annotations

import asyncio
import os
import re
import shutil
import signal
import sys
from asyncio.subprocess import DEVNULL, PIPE, Process
from collections.abc import Mapping
from contextlib import suppress
from itertools import count
from pathlib import Path

from tests.scenarios.harness import ROOT, Ended, Listener, Place, tone, write
from tests.scenarios.outside import SECRET
from tests.scenarios.providers import MEETING

RECORDING = "20261121T080340Z_attendee_bot_1"
"""The recording that pages name."""
KEY = "k3y-of-somebody-who-reads"
KEYS = ("OPENAI_API_KEY", "AZURE_OPENAI_API_KEY", "DEEPGRAM_API_KEY", "AMIGO_TOKEN")
PROGRAMS = {
    "audiotap": f'exec "{sys.executable}" -m audiotap "$@"',
    "ssh": 'shift 2\nexec "$@"',
    "ffplay": "trap '' INT\nexec cat > ffplay.heard",
    "espeak-ng": "exec cat hello.wav",
    "ffmpeg": "exec cat speech.raw",
    "arecord": "exec cat speech.raw",
    "rclone": 'echo "$*" > rclone.told',
    "editor": 'echo "$*" > editor.told',
}
"""What is on PATH: audiotap itself, and the least of what pages type besides."""
OWN_PROGRAMS = {
    "transcribe.py": "trap '' INT\necho \"$AUDIOTAP_PATH\" > transcribe.told\nexec cat > transcribe.heard",
    "upload.sh": 'echo "$*" > upload.told',
}
"""What users write themselves."""
TEXTS = {
    "agent.txt": "You take part in a meeting; be brief.",
    "audiotap.toml": "[profile.office.sim.bot]\nloop = true\n",
}
SECONDS = 0.6
SOUNDS = {
    **dict.fromkeys(("hello.wav", "a.wav", "b.wav", "question.wav", "speech.flac"), SECONDS),
    **dict.fromkeys(("ana.wav", "bo.wav", "speech.wav"), 6.0),
}
"""Audio files and their lengths: some last until their pages have somebody muted or dropped."""
EVERYWHERE = {
    "…": KEY,
    "bot create MEETING ": f"bot create {MEETING} ",
    "YOUR-TUNNEL-HOST": "tunnel.example",
    "--port 9000": "--port 0",
    "/data/calls": "calls",
}
"""What pages write as placeholders, and what stands for it on any stage."""
AGENTS = {
    "openai": {"ws://127.0.0.1:8766": "ws:"},
    "azure": {"https://RESOURCE.openai.azure.com": "http:"},
    "botify": {"ws://localhost:8080": "ws:"},
}
"""Where pages have agents, and the scheme with which they write that."""
QUERIES = {"openai": "/v1/realtime?intent=conversation"}
"""What an agent wants that may be told no model: its vendor's own address would have the usual one."""


class Shell(Listener):
    """A line that bash runs, and everybody in its pipe."""

    def __init__(self, process: Process, folder: Path) -> None:
        super().__init__(process)
        self.folder = folder

    async def shows(self, pattern: str) -> re.Match[str]:
        """The first match in stdout or stderr."""
        return await self.until(lambda: re.search(pattern, self.text), pattern)

    @property
    def text(self) -> str:
        return (self.out + b"\n" + self.err).decode(errors="replace")

    async def stop(self, number: signal.Signals = signal.SIGINT) -> Ended:
        """Ctrl-C, which all who share a terminal get."""
        self._signal(number)
        return await self.ended()

    async def kill(self) -> None:
        self._signal(signal.SIGKILL)
        await super().kill()

    def _signal(self, number: signal.Signals) -> None:
        if self.process.returncode is None:
            with suppress(ProcessLookupError):
                os.killpg(self.process.pid, number)


class Stage:
    """The things of a reader, and what stands on this machine for what pages name."""

    def __init__(self, place: Place) -> None:
        self.place = place
        self.things = place.folder / "things"
        self.instead = {**EVERYWHERE}
        self._programs = place.folder / "programs"
        self.environment = dict.fromkeys(KEYS, KEY) | {
            "AUDIOTAP_LISTEN_PORT": "0",
            "AUDIOTAP_BRIDGE_PORT": "0",
            "AUDIOTAP_SIM_AGENT_PORT": "0",
            "AUDIOTAP_SECRET": SECRET,
            "EDITOR": "editor",
            "SHELL": "/bin/bash",
            "PATH": f"{self._programs}{os.pathsep}{os.environ['PATH']}",
        }
        self._lines = count()
        self._furnish()

    def has(self, environment: Mapping[str, str], instead: Mapping[str, str]) -> None:
        """Something more, where the environment tells it, and where pages do."""
        self.environment |= environment
        self.instead |= instead

    async def agents(self, *vendors: str) -> None:
        """Simulated agents at which vendors' are looked for."""
        for vendor in vendors:
            agent = await self.place.agent(vendor, "--echo")
            self.environment[f"{vendor.upper()}_URL"] = agent.url + QUERIES.get(vendor, "")
            self.instead |= {at: agent.url.replace("ws:", scheme) for at, scheme in AGENTS.get(vendor, {}).items()}

    def with_programs(self, environment: Mapping[str, str], folder: Path) -> dict[str, str]:
        """An environment in which the programs of a folder are found, too."""
        return {**environment, "PATH": f"{folder}{os.pathsep}{self.environment['PATH']}"}

    async def type(self, line: str, environment: Mapping[str, str] | None = None) -> Shell:
        """Run a line as bash does, in a folder of its own."""
        folder = self.place.folder / f"line{next(self._lines)}"
        shutil.copytree(self.things, folder, symlinks=True)
        for placeholder, here in self.instead.items():
            line = line.replace(placeholder, here)
        return await self._bash(f"{line}\nexit", folder, environment or {})

    async def filled(self, path: Path) -> None:
        """Wait until there is something in a file that goes on to grow."""
        watching = await self._bash(f"tail -c +1 -F {path.name} 2>&- | head -c 1 >&2", path.parent, {})
        await watching.shows(".")
        await watching.kill()

    async def _bash(self, line: str, folder: Path, environment: Mapping[str, str]) -> Shell:
        process = await asyncio.create_subprocess_exec(
            *("bash", "-o", "pipefail", "-c", line),
            cwd=folder,
            env=self.place.environment | self.environment | {"HOME": str(folder), **environment},
            stdin=DEVNULL,
            stdout=PIPE,
            stderr=PIPE,
            start_new_session=True,
        )
        shell = Shell(process, folder)
        self.place.started.append(shell)
        return shell

    def _furnish(self) -> None:
        for folder, programs in ((self._programs, PROGRAMS), (self.things, OWN_PROGRAMS)):
            folder.mkdir()
            for name, does in programs.items():
                (folder / name).write_text(f"#!/bin/sh\n{does}\n")
                (folder / name).chmod(0o755)
        for name, text in TEXTS.items():
            (self.things / name).write_text(text)
        for name, seconds in SOUNDS.items():
            write(self.things / name, tone(seconds))
        (self.things / "speech.raw").write_bytes(tone(SECONDS).tobytes())
        (self.things / "cli").symlink_to(ROOT)
