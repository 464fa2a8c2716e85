"""The benchmarks themselves: they run to their ends, and a single wrong byte makes their figures void."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from rig.frames import STYLES, Call, session_of
from rig.output import Output
from rig.processes import VoidError
from speech import BLOCK, drift, lateness

BENCH = Path(__file__).parent / "bench"
TOOLS = pytest.mark.skipif(not shutil.which("gcc") or not shutil.which("taskset"), reason="the loads are built by gcc")
CALL = Call("recall-mixed", 2, 3, 20)


@TOOLS
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
    ended = subprocess.run([sys.executable, BENCH / "ingest.py", *words], capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    measured = [line.split()[0] for line in ended.stdout.splitlines() if re.match(r"\w+ +[0-9.]+ ", line)]
    assert measured == ["ours", "plain", "limit"]
    assert not list(tmp_path.glob("ingest-*"))


@TOOLS
def test_workers_are_compared(tmp_path: Path) -> None:
    """One worker and two have all that was sent, byte by byte, and each has its line."""
    words = ["--chunk", "20", "--conns", "6", "--messages", "50", "--rounds", "1"]
    words += ["--cache", str(tmp_path), "--place", str(tmp_path)]
    script = BENCH / "workers.py"
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


@TOOLS
def test_three_bots_hear_what_they_are_told(tmp_path: Path) -> None:
    """Ours, while it hears the bots, and the one that sleeps: every byte came, and both have their figures."""
    words = [*("--bots", "3", "--seconds", "2", "--rate", "8000", "--hear"), "--cache", str(tmp_path)]
    ended = subprocess.run(
        [sys.executable, BENCH / "speech.py", *words],
        capture_output=True,
        text=True,
        check=False,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert re.findall(r"^(\w+) +[0-9.]+ ", ended.stdout, re.MULTILINE) == ["ours", "sleeps"]


def test_lateness_is_what_a_bot_waits_beyond_its_own_grid() -> None:
    """The lead is no lateness; one chunk that is late is; who sleeps between chunks drifts."""
    grid = np.arange(100) * BLOCK / 1000
    punctual = 7.0 + np.maximum(0.0, grid - 0.3)
    assert lateness(np.array([punctual])) == pytest.approx(0.0)
    one_late = punctual + np.where(np.arange(100) == 50, 0.02, 0.0)
    assert lateness(np.array([one_late])).max() == pytest.approx(0.02)
    slow = lateness(np.array([grid * 1.01]))
    assert drift(slow)[0] == pytest.approx(0.01)
    assert drift(slow)[1] == pytest.approx(0.081)
