"""What shells offer after Tab: bots and ports of running listeners, and never an error in the middle of a line."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pexpect
import pytest
from tests.scenarios.harness import DEADLINE, Listener, Place, attendee, ramp, recall
from websockets.asyncio.client import ClientConnection, connect

pytestmark = pytest.mark.filterwarnings("ignore:.*multi-threaded, use of fork:DeprecationWarning")

SHELLS = [
    pytest.param(name, marks=pytest.mark.skipif(shutil.which(name) is None, reason=f"{name} is not installed"))
    for name in ("bash", "zsh", "fish")
]
TABS = 5
HOSTILE = ["$(touch pwned)", "`touch pwned`", "x'\";touch pwned", "*", "--help", "a b", "x\ntouch pwned", "a:b", "=x"]


class Shells:
    """A place where `audiotap` is a command, and its completion is set up."""

    def __init__(self, place: Place) -> None:
        self.place = place
        self.bin = place.folder / "bin"
        self.bin.mkdir()
        command = self.bin / "audiotap"
        command.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m audiotap "$@"\n')
        command.chmod(0o755)
        self.environment = place.environment | {
            "PATH": f"{self.bin}{os.pathsep}{os.environ['PATH']}",
            "HOME": str(place.folder),
            "TERM": "dumb",
        }

    async def script(self, shell: str) -> Path:
        """The script that typer makes for a shell."""
        path = self.place.folder / f"completion.{shell}"
        if path.exists():
            return path
        ended = await (await self.place.start(environment={"_AUDIOTAP_COMPLETE": f"source_{shell}"})).ended()
        path.write_bytes(ended.out)
        return path

    async def bash(self, *words: str) -> list[str]:
        """What bash's function answers for a line that ends in the last word."""
        line = f'source {await self.script("bash")}; COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); '
        line += '_audiotap_completion audiotap; [ ${#COMPREPLY[@]} = 0 ] || printf "%s\\n" "${COMPREPLY[@]}"'
        ended = await asyncio.to_thread(
            subprocess.run,
            ["bash", "--norc", "-c", line, "bash", "audiotap", *words],
            cwd=self.place.folder,
            env=self.environment,
            capture_output=True,
            check=True,
            timeout=DEADLINE,
        )
        assert ended.stderr == b""
        return ended.stdout.decode().splitlines()

    async def offer(self, wanted: list[str], *words: str) -> None:
        """The same, once listeners answer in time: on a busy machine they may need a second Tab, as a person does."""
        for _ in range(TABS):
            found = await self.bash(*words)
            if found == wanted:
                break
        assert found == wanted


@pytest.fixture
def shells(place: Place) -> Shells:
    """A place of its own, with shells in it."""
    return Shells(place)


async def holding(listener: Listener, *wires: str) -> list[ClientConnection]:
    """Bots that are there, one for each first message."""
    bots = [await connect(listener.url) for _ in wires]
    for bot, wire in zip(bots, wires, strict=True):
        await bot.send(wire)
    await listener.until(lambda: len(listener.told("session.started")) == len(wires) or None, "all sessions")
    return bots


async def test_bots_and_ports(shells: Shells) -> None:
    """Of all listeners, or of the one on --port; what begins otherwise is not offered."""
    first, second = await shells.place.listen(), await shells.place.listen()
    bots = await holding(first, attendee(ramp(0.1), 0.1, bot="bot_1"), attendee(ramp(0.1), 0.1, bot="bot_2"))
    bots += await holding(second, recall(ramp(0.1), 0.0, recording="rec-3"))
    await shells.offer(["bot_1", "bot_2", "rec-3"], "stop", "--bot", "")
    await shells.offer(["bot_1", "bot_2"], "speak", "x.wav", "--bot", "b")
    await shells.offer(["rec-3"], "pause", "--port", str(second.port), "--bot", "")
    await shells.offer(["bot_1", "bot_2", "recall-bot"], "bot", "leave", "")
    for command in (["watch"], ["stop"], ["bot", "create"]):
        await shells.offer(sorted(map(str, (first.port, second.port))), *command, "--port", "")
    for bot in bots:
        await bot.close()


async def test_hostile_ids_are_not_offered(shells: Shells) -> None:
    """Shells evaluate what they are offered, so bots whose ids are no plain words have to be typed."""
    listener = await shells.place.listen()
    bots = await holding(listener, *(attendee(ramp(0.1), 0.1, bot=name) for name in (*HOSTILE, "bot_1")))
    await shells.offer(["bot_1"], "stop", "--bot", "")
    for shell in ("zsh", "fish"):
        environment = {
            "_AUDIOTAP_COMPLETE": f"complete_{shell}",
            "_TYPER_COMPLETE_ARGS": "audiotap stop --bot ",
            "_TYPER_COMPLETE_FISH_ACTION": "get-args",
        }
        ended = await (await shells.place.start(environment=environment)).ended()
        assert "bot_1" in ended.out.decode()
        assert "attendee, 1 connection" in ended.out.decode()
        assert "touch" not in ended.out.decode()
    assert not (shells.place.folder / "pwned").exists()
    for bot in bots:
        await bot.close()


async def test_nothing_to_offer_is_silence(shells: Shells) -> None:
    """No listener, one that was killed, broken settings, half a quote: no bot is offered, and nothing is said."""
    assert await shells.bash("stop", "--bot", "") == []
    (await shells.place.listen()).process.send_signal(signal.SIGKILL)
    assert await shells.bash("stop", "--port", "") == []
    (shells.place.folder / "audiotap.toml").write_text("[listne]\n")
    assert await shells.bash("stop", "--bot", "") == []
    assert await shells.bash("--profile", "") == []
    assert await shells.bash("speak", "'half", "--bot", "") == []
    assert await shells.bash("stop", "--port", "many", "--bot", "") == []


async def test_a_listener_that_hangs_holds_nobody_up(shells: Shells) -> None:
    """The others are offered all the same."""
    hanging, listener = await shells.place.listen(), await shells.place.listen()
    (bot,) = await holding(listener, attendee(ramp(0.1), 0.1))
    hanging.process.send_signal(signal.SIGSTOP)
    await shells.offer(["bot_1"], "stop", "--bot", "")
    await bot.close()


async def test_commands_options_and_profiles(shells: Shells) -> None:
    """The rest is typer's own; where files are wanted, nothing is offered, so that the shell offers files."""
    (shells.place.folder / "audiotap.toml").write_text("[profile.office.listen]\nport = 1\n[profile.home.speak]\n")
    assert await shells.bash("sp") == ["speak"]
    assert "--exec" in await shells.bash("listen", "--ex")
    assert await shells.bash("--profile", "") == ["home", "office"]
    assert await shells.bash("speak", "") == []
    assert await shells.bash("listen", "--out", "") == []
    assert await shells.bash("listen", "--format", "f") == ["flac"]


@pytest.mark.parametrize("shell", SHELLS)
async def test_tab(shells: Shells, shell: str) -> None:
    """In a terminal, Tab writes the bot's id."""
    listener = await shells.place.listen()
    (bot,) = await holding(listener, attendee(ramp(0.1), 0.1, bot="bot_completed"))
    script = await shells.script(shell)
    if shell == "fish":
        line = f"source {script}; complete -C 'audiotap stop --bot bot_'"
        ended = await asyncio.to_thread(
            subprocess.run, ["fish", "-c", line], env=shells.environment, capture_output=True, check=True
        )
        assert ended.stdout == b"bot_completed\tattendee, 1 connection\n"
    else:
        await asyncio.to_thread(_tab, shells, shell, script)
    await bot.close()


def _tab(shells: Shells, shell: str, script: Path) -> None:
    options = {"bash": ["--norc", "--noprofile", "-i"], "zsh": ["-f", "-i"]}[shell]
    ready = {"bash": "", "zsh": "autoload -Uz compinit && compinit -u; "}[shell]
    child = pexpect.spawn(
        shell, options, cwd=str(shells.place.folder), env=shells.environment, encoding="utf-8", timeout=DEADLINE
    )
    child.sendline(f"{ready}source {script}; echo rea''dy")
    child.expect_exact("ready\r\n")
    child.send("audiotap stop --bot bot_c")
    for _ in range(TABS):
        child.send("\t")
        if child.expect_exact(["bot_completed", pexpect.TIMEOUT], timeout=DEADLINE / TABS) == 0:
            break
    else:
        pytest.fail(f"nothing was completed:\n{child.before}")
    child.close(force=True)
