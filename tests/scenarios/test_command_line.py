"""The command line itself: help, versions, and what it does not understand."""

from __future__ import annotations

import os
import re

import pytest
from tests.scenarios.harness import HELLO, ROOT, Arg, Place

import audiotap

COMMANDS = [
    *(("listen",), ("speak",), ("pause",), ("stop",), ("status",), ("demo",), ("sim", "bot")),
]


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
async def test_help_has_examples(place: Place, command: tuple[str, ...]) -> None:
    """Every command's help says what it does, shows how it is typed, and describes every option."""
    ended = await place.run(*command, "--help")
    shown = ended.out.decode()
    assert (ended.status, ended.err) == (0, "")
    examples = shown[re.search(r"Examples?:", shown).end() :]  # type: ignore[union-attr]
    assert f"audiotap {' '.join(command)}" in examples
    assert "--help" in shown


@pytest.mark.parametrize("options", [("--help",), ("-h",), ("sim", "--help")])
async def test_help_lists_commands(place: Place, options: tuple[str, ...]) -> None:
    """The overviews name what there is."""
    ended = await place.run(*options)
    wanted = ["bot"] if options[0] == "sim" else [command[0] for command in COMMANDS]
    assert ended.status == 0
    assert all(re.search(rf"\b{name}\b", ended.out.decode()) for name in wanted)


async def test_version(place: Place) -> None:
    """One line on stdout."""
    ended = await place.run("--version")
    assert (ended.status, ended.out, ended.err) == (0, f"audiotap {audiotap.__version__}\n".encode(), "")


@pytest.mark.parametrize(
    "arguments",
    [
        ("listen", "--prot", "8765"),
        ("listen", "--port", "70000"),
        ("listen", "--port", "many"),
        ("listen", "--format", "mp3"),
        ("listen", "--threshold", "40000"),
        ("lisen",),
        ("speak",),
        ("pause", "soon"),
        ("pause", "-1"),
        ("speak", "x.wav", "--raw", "16000"),
        ("sim", "bot"),
        ("sim", "bot", "--provider", "zoom"),
        ("sim", "cat"),
    ],
    ids=" ".join,
)
async def test_usage_errors(place: Place, arguments: tuple[str, ...]) -> None:
    """Exit status 2, words on stderr only, no stack, and nothing was made."""
    ended = await place.run(*arguments)
    assert ended.status == 2
    assert ended.out == b""
    assert ended.err
    assert "Traceback" not in ended.err
    assert list(place.folder.iterdir()) == []


async def test_a_settings_file_with_a_typo(place: Place) -> None:
    """An unknown key is an error with what was probably meant; a known one is a default."""
    (place.folder / "audiotap.toml").write_text("[listen]\nlingr = 3\n")
    ended = await place.run("status")
    assert ended.status == 2
    assert "did you mean listen.linger?" in ended.err

    (place.folder / "audiotap.toml").write_text('[listen]\nhost = "192.0.2.1"\n')
    ended = await place.run("listen", "--port", 0)
    assert ended.status == 3
    assert "192.0.2.1" in ended.err


@pytest.mark.parametrize(
    "arguments",
    [
        ("listen", "--port", 0),
        ("speak", HELLO),
        ("check", "."),
        ("demo",),
        ("sim", "bot", "--url", "ws://127.0.0.1:1", "--file", HELLO),
    ],
    ids=lambda arguments: arguments[0],
)
async def test_without_libsndfile(place: Place, arguments: tuple[Arg, ...]) -> None:
    """Whoever needs it says what is missing, why, and what to type: status 3 and no traceback."""
    library = place.folder / "library"
    library.mkdir()
    (library / "soundfile.py").write_text("raise OSError(\"cannot load library 'libsndfile.so'\")")
    place.environment["PYTHONPATH"] = f"{library}{os.pathsep}{ROOT}"
    ended = await place.run(*arguments)
    assert (ended.status, ended.out) == (3, b"")
    what, command = ended.err.splitlines()
    assert what == "audiotap: soundfile does not find libsndfile: cannot load library 'libsndfile.so'"
    assert command.endswith("-m pip install --upgrade --force-reinstall soundfile")
