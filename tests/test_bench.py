"""The ingest benchmark itself: it runs to its end, and a single wrong byte makes its figures void."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from itertools import pairwise
from pathlib import Path

import pytest

from rig.frames import STYLES, Call, session_of
from rig.output import Output
from rig.processes import VoidError

INGEST = Path(__file__).parent / "bench" / "ingest.py"
CALL = Call("recall-mixed", 2, 3, 20)


@pytest.mark.skipif(not shutil.which("gcc") or not shutil.which("taskset"), reason="the load generator is built by gcc")
@pytest.mark.parametrize("style", STYLES)
def test_every_style_is_taken_by_everyone(style: str, tmp_path: Path) -> None:
    """Ours, plain Python and the limit have all that was sent, byte by byte."""
    words = ["--scene", "fast", "--chunk", "20", "--conns", "3", "--messages", "50", "--rounds", "1"]
    words += [
        "--server",
        "ours",
        "plain",
        "limit",
        "--style",
        style,
        "--cache",
        str(tmp_path),
        "--place",
        str(tmp_path),
    ]
    ended = subprocess.run([sys.executable, INGEST, *words], capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    measured = [line.split()[0] for line in ended.stdout.splitlines() if re.match(r"\w+ +[0-9.]+ ", line)]
    assert measured == ["ours", "plain", "limit"]
    assert not list(tmp_path.glob("ingest-*"))


@pytest.mark.skipif(not shutil.which("gcc") or not shutil.which("taskset"), reason="the load generator is built by gcc")
def test_workers_are_compared(tmp_path: Path) -> None:
    """One worker and two have all that was sent, byte by byte, and each has its line."""
    words = ["--chunk", "20", "--conns", "6", "--messages", "50", "--rounds", "1"]
    words += ["--cache", str(tmp_path), "--place", str(tmp_path)]
    script = INGEST.with_name("workers.py")
    ended = subprocess.run([sys.executable, script, *words], capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert re.findall(r"^ +(\d+) +[0-9]+ +[0-9.]+x", ended.stdout, re.MULTILINE) == ["1", "2"]


def test_files_as_they_were_sent_pass(tmp_path: Path) -> None:
    """All tracks hold all samples."""
    for connection in range(CALL.connections):
        (tmp_path / f"{session_of(connection)}-mixed.raw").write_bytes(CALL.sound(connection))
    Output(tmp_path, CALL).check("a peer")


@pytest.mark.parametrize("fault", ["a bit", "a byte less", "a byte more", "swapped", "no file", "a file of nobody"])
def test_a_wrong_byte_makes_a_run_void(fault: str, tmp_path: Path) -> None:
    """Whatever is wrong in the files, the figures are not believed."""
    sounds = [CALL.sound(connection) for connection in range(CALL.connections)]
    wrong = {
        "a bit": [bytes([sounds[0][0] ^ 1]) + sounds[0][1:], sounds[1]],
        "a byte less": [sounds[0][:-1], sounds[1]],
        "a byte more": [sounds[0] + b"\0", sounds[1]],
        "swapped": [sounds[1], sounds[0]],
        "no file": [sounds[0]],
        "a file of nobody": [*sounds, sounds[0]],
    }
    for connection, sound in enumerate(wrong[fault]):
        (tmp_path / f"{session_of(connection)}-mixed.raw").write_bytes(sound)
    with pytest.raises(VoidError):
        Output(tmp_path, CALL).check("a peer")


def test_frames_are_where_the_load_looks_for_them() -> None:
    """The counts, the offsets, and a masked text frame at each of them."""
    file = CALL.write()
    with os.fdopen(file, "rb") as frames:
        frames.seek(0)
        data = frames.read()
    counts = [int.from_bytes(data[at : at + 4], "little") for at in (0, 4)]
    offsets = [int.from_bytes(data[at : at + 8], "little") for at in range(8, 8 + 8 * (CALL.messages + 1), 8)]
    assert counts == [CALL.connections, CALL.frames]
    assert offsets[0] == 8 + 8 * (CALL.messages + 1)
    assert offsets[-1] == len(data)
    for begin, end in pairwise(offsets):
        assert data[begin] == 0x81
        assert data[begin + 1] == 0x80 | 126
        assert begin + 8 + int.from_bytes(data[begin + 2 : begin + 4], "big") == end
