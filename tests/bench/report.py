"""What `audiotap report` and `audiotap mix` cost for a long session: processor time, memory, and how large it gets.

Run it with `PYTHONPATH=cli:. python tests/bench/report.py FOLDER [--minutes 60] [--tracks 8]`. The session is made in
the folder first (115 MB an hour and track), and stays there.
"""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

import numpy as np
from tests.recorded.sessions import RATE, Part, kept

from audiotap.reading import read_all

VOICES = Path(__file__).parents[2] / "cli" / "audiotap" / "speech"
COMMANDS = {
    "report": ("report",),
    "mix --as mono": ("mix", "--as", "mono"),
    "mix --as tracks": ("mix", "--as", "tracks"),
    "mix --format opus": ("mix", "--format", "opus"),
    "report --embed": ("report", "--embed"),
}


def make(folder: Path, minutes: int, tracks: int) -> None:
    """A session in which everybody talks on, each from another place of a voice on."""
    said = b"".join(read_all(path, RATE) for path in sorted(VOICES.glob("*.flac")))
    voice = np.resize(np.frombuffer(said, "<i2"), minutes * 60 * RATE)
    names = ["mixed", *(f"participant {n}" for n in range(1, tracks))]
    kept(folder, {name: Part(np.roll(voice, n * RATE).tobytes()) for n, name in enumerate(names)})


def measure(words: tuple[str, ...], folder: Path, out: Path) -> tuple[float, float]:
    """Seconds of a processor, and MiB, that a command takes."""
    command, *options = words
    args = [sys.executable, "-m", "audiotap", command, str(folder), *options, "--out", str(out)]
    with Path(os.devnull).open("wb") as nowhere:
        process = os.posix_spawn(args[0], args, os.environ, file_actions=[(os.POSIX_SPAWN_DUP2, nowhere.fileno(), 2)])
    _, status, used = os.wait4(process, 0)
    if status:
        sys.exit(f"{command} failed")
    return used.ru_utime + used.ru_stime, used.ru_maxrss / 1024


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--minutes", type=int, default=60)
    parser.add_argument("--tracks", type=int, default=8)
    args = parser.parse_args()
    session = args.folder / f"{args.minutes}-minutes-{args.tracks}-tracks"
    if not session.exists():
        make(session, args.minutes, args.tracks)
    for name, command in COMMANDS.items():
        form = command[-1] if "--format" in command else "html" if command[0] == "report" else "wav"
        out = session.with_suffix(f".{form}")
        seconds, memory = measure(command, session, out)
        print(f"{name:20} {seconds:6.1f} s {memory:6.0f} MiB {out.stat().st_size / 1e6:9.2f} MB")


if __name__ == "__main__":
    main()
