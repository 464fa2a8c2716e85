"""Starts audiotap from a fresh clone, with nothing installed but Python.

Law: standard library only, in syntax which the old Pythons it turns away can still read.
"""

import hashlib
import os
import shutil
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import NoReturn, TextIO

if sys.platform != "win32":
    import fcntl

NEEDED = (3, 11)
CANNOT_START = 3
INTERRUPTED = 130

ROOT = Path(__file__).resolve().parent.parent
PROJECT = ROOT / "pyproject.toml"
VENV = ROOT / ".venv"
BIN = VENV / ("Scripts" if os.name == "nt" else "bin")
PYTHON = BIN / ("python.exe" if os.name == "nt" else "python")
STAMP = VENV / "audiotap.stamp"

CHECKS = ("ruff check .", "ruff format --check .", "mypy", "lint-imports", "pytest -n 3")


def main(*args: str) -> int:
    if sys.version_info[:2] < NEEDED:
        refuse_python()
    try:
        prepare()
        return check(*args[1:]) if args[:1] == ("test",) else hand_over(*args)
    except KeyboardInterrupt:
        return INTERRUPTED


def hand_over(*args: str) -> int:
    """-P: a rich.py in the folder one stands in must not be taken for the library."""
    command = [str(PYTHON), "-P", "-m", "audiotap", *args]
    os.environ["AUDIOTAP_INVOKED_AS"] = "python3 " + os.path.relpath(str(ROOT / "cli"))
    if os.name != "nt":
        os.execv(command[0], command)
    return subprocess.call(command)


def check(*pytest_args: str) -> int:
    """The linters, then the tests; the first that fails gives the exit code."""
    os.chdir(str(ROOT))
    os.environ["PATH"] = os.pathsep.join([str(BIN), os.environ.get("PATH", os.defpath)])
    os.environ["PYTHONPATH"] = str(ROOT / "cli")
    for line in CHECKS:
        command = line.split()
        if command[0] == "pytest":
            command += pytest_args
        say("$ " + " ".join(command))
        code = subprocess.call(command)
        if code:
            return code
    return 0


def place() -> str:
    """A venv serves one interpreter at one path: its scripts hold both."""
    return " ".join((sys.version + " " + str(ROOT)).split())


def stamp() -> str:
    return place() + "\n" + hashlib.sha256(PROJECT.read_bytes()).hexdigest() + "\n"


def read_stamp() -> str:
    """Empty without a finished venv, and where its interpreter has been uninstalled."""
    return STAMP.read_text(encoding="utf-8") if STAMP.exists() and os.access(str(PYTHON), os.X_OK) else ""


def is_ready() -> bool:
    return read_stamp() == stamp()


def prepare() -> None:
    try:
        if is_ready():
            return
        with lock():
            if not is_ready():
                set_up()
    except OSError as error:
        give_up(f"cannot set up {VENV}: {error}")


def set_up() -> None:
    say("Setting up .venv (once; about a minute) …")
    wanted = stamp()
    if read_stamp().split("\n")[0] == place():
        STAMP.unlink()  # a stop half way leaves .venv unfinished, to be made anew
    else:
        make_venv()
    install()
    STAMP.write_text(wanted, encoding="utf-8")


def lock() -> TextIO:
    """Held until closed. pyproject.toml is itself the lock: no other file is left behind."""
    file = PROJECT.open("r+", encoding="utf-8")
    if sys.platform != "win32":
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say("Another start is setting up .venv; waiting for it …")
            fcntl.flock(file, fcntl.LOCK_EX)
    return file


def make_venv() -> None:
    base = os.path.realpath(sys.executable)  # while it is there: it may be .venv's own
    remove_venv()
    if find_spec("ensurepip"):
        tool = [base, "-m", "venv"]
    elif shutil.which("uv"):
        tool = ["uv", "venv", "--seed", "--python", base]
    else:
        version = "{}.{}".format(*sys.version_info)
        give_up(
            "cannot make .venv, as this Python came without ensurepip. "
            f"On Debian or Ubuntu type: apt install python3-venv (or python{version}-venv)"
        )
    made = run(*tool, str(VENV))
    if made.returncode:
        remove_venv()
        give_up(f"cannot make .venv:\n{tail(made.stdout)}")


def remove_venv() -> None:
    if VENV.exists():
        shutil.rmtree(str(VENV))


def install() -> None:
    done = run(str(PYTHON), "-m", "pip", "install", "--quiet", "--editable", ".[test]")
    if done.returncode:
        give_up(
            f"cannot fill .venv, pip says:\n{tail(done.stdout)}\n"
            "Offline? Connect. Behind a proxy? Type: export HTTPS_PROXY=http://host:port. "
            "Then start again."
        )


def run(*command: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        command,
        cwd=str(ROOT),
        env={**os.environ, "PIP_DISABLE_PIP_VERSION_CHECK": "1", "PIP_USER": "0"},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        encoding="utf-8",
        errors="replace",
        check=False,
    )


def tail(output: str) -> str:
    return "\n".join(output.rstrip().splitlines()[-12:])


def refuse_python() -> NoReturn:
    needed = ".".join(map(str, NEEDED))
    found = ".".join(map(str, sys.version_info[:3]))
    give_up(
        f"needs Python {needed} or newer, this is {found}. "
        f"Install one (apt install python{needed}, brew install python, or from python.org) "
        f"and start with it: python{needed} cli …"
    )


def give_up(why: str) -> NoReturn:
    say(f"audiotap: {why}")
    raise SystemExit(CANNOT_START)


def say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
