"""What it costs a recorder to have its files on the disk's surface once a second, by the way in which it is done.

Run it with `PYTHONPATH=cli python tests/bench/durable.py FOLDER [--seconds 10] [--tracks 1 50 500]`; the folder has to
lie on the disk that is meant. Each way is tried by the thread that writes, between two rounds of writing, and by
another one beside it. A power cut takes what was written in a second and in the time that a round of syncing takes.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from tempfile import TemporaryDirectory

import msgspec
import numpy as np

from audiotap.writing import WavWriter

RATE = 16_000
ROUND = 0.05
"""Seconds of audio that each track is written at once."""
ROUNDS_PER_SYNC = 20
THREADS = 8

Sync = Callable[[Sequence[int]], None]


def one_by_one(files: Sequence[int]) -> None:
    for file in files:
        os.fdatasync(file)


def eight_at_a_time(files: Sequence[int]) -> None:
    with ThreadPoolExecutor(THREADS) as pool:
        list(pool.map(os.fdatasync, files))


def whole_machine(_: Sequence[int]) -> None:
    os.sync()


WAYS: dict[str, Sync] = {
    "fdatasync, one by one": one_by_one,
    "fdatasync, 8 threads": eight_at_a_time,
    "os.sync()": whole_machine,
}


class Cost(msgspec.Struct):
    """A run's price: share of a core, how late each round of writing ended, how long each round of syncing took."""

    cpu: float
    pauses: list[float]
    syncs: list[float]

    def __str__(self) -> str:
        syncs = (
            f"{np.mean(self.syncs) * 1000:8.1f} {max(self.syncs) * 1000:8.1f}" if self.syncs else f"{'-':>8} {'-':>8}"
        )
        return f"{self.cpu:7.1%} {np.median(self.pauses) * 1000:8.1f} {max(self.pauses) * 1000:8.1f} {syncs}"


class Syncer:
    """Syncs once a second, in the thread that writes or beside it; then not before the last time is over."""

    def __init__(self, sync: Sync, files: Sequence[int], beside: ThreadPoolExecutor | None) -> None:
        self.took: list[float] = []
        self._sync = sync
        self._files = files
        self._beside = beside
        self._running: Future[None] | None = None

    def turn(self) -> None:
        if self._beside is None:
            self._measure()
        elif self._running is None or self._running.done():
            self._running = self._beside.submit(self._measure)

    def _measure(self) -> None:
        begin = time.perf_counter()
        self._sync(self._files)
        self.took.append(time.perf_counter() - begin)


def record(folder: Path, tracks: int, seconds: int, sync: Sync | None, *, beside: bool) -> Cost:
    """Write so many tracks in real time; every round has a deadline of its own, however late the last one was."""
    noise = np.random.default_rng(1).integers(-8000, 8000, round(RATE * ROUND)).astype("<i2").tobytes()
    samples = round(RATE * ROUND)
    os.sync()
    with TemporaryDirectory(dir=folder) as place, ThreadPoolExecutor(1) as thread:
        writers = [WavWriter(Path(place, f"{track}.wav"), RATE) for track in range(tracks)]
        syncer = Syncer(sync, [writer._fd for writer in writers], thread if beside else None) if sync else None
        pauses = []
        begin, cpu = time.perf_counter(), time.process_time()
        for turn in range(round(seconds / ROUND)):
            due = begin + turn * ROUND
            time.sleep(max(0.0, due - time.perf_counter()))
            for writer in writers:
                writer.write(turn * samples, noise)
            pauses.append(time.perf_counter() - due)
            if syncer is not None and turn % ROUNDS_PER_SYNC == ROUNDS_PER_SYNC - 1:
                syncer.turn()
        thread.shutdown()
        cpu, wall = time.process_time() - cpu, time.perf_counter() - begin
        for writer in writers:
            writer.close()
    return Cost(cpu / wall, pauses, syncer.took if syncer else [])


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=Path)
    parser.add_argument("--seconds", type=int, default=10)
    parser.add_argument("--tracks", type=int, nargs="+", default=[1, 50, 500])
    options = parser.parse_args()
    sys.stdout.write(f"{'':45}    CPU  write round, ms   sync round, ms\n")
    sys.stdout.write(f"{'tracks':>6}  {'way':23} {'thread':13} {'':6}   median      max     mean      max\n")
    for tracks in options.tracks:
        runs: list[tuple[str, Sync | None, bool]] = [("not at all", None, False)]
        runs += [(way, sync, beside) for beside in (False, True) for way, sync in WAYS.items()]
        for way, sync, beside in runs:
            cost = record(options.folder, tracks, options.seconds, sync, beside=beside)
            thread = "" if sync is None else "its own" if beside else "that writes"
            sys.stdout.write(f"{tracks:6}  {way:23} {thread:13} {cost}\n")
            sys.stdout.flush()


if __name__ == "__main__":
    main()
