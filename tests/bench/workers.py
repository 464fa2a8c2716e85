"""What more processes bring: messages per second of wall time with `listen --workers 1`, 2 and so on.

Run it with `python tests/bench/workers.py [--workers 1 2] [--rounds 3]`, on Linux, with gcc. Servers and load are on
all processors, since the load has to be somewhere: what it takes, the workers cannot have. So beside the ratio that was
measured stands the one that the processor time allows: each process as fast as a processor of its own would make it.
Every byte of the recordings is compared.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from pathlib import Path
from statistics import median

import msgspec

from ingest import MICRO, SPARE, finish
from rig.frames import STYLES, Call
from rig.output import Output
from rig.processes import Rig, cpu_of_others, cpu_seconds, tree
from rig.runner import places, run

WARM = 2
"""Frames of each connection before anything is measured: every connection is with its owner then."""


class WorkersRig(Rig):
    """Everything on all processors, and as many workers as are asked for."""

    def __init__(self, place: Path, cache: Path) -> None:
        processors = os.sched_getaffinity(0)
        super().__init__(place, cache)
        os.sched_setaffinity(0, processors)
        self.server_cpu = self.load_cpu = ",".join(map(str, processors))
        self.workers = 1

    def command(self, server: str, out: Path) -> list[str]:
        return [*super().command(server, out), "--workers", str(self.workers)]


class Run(msgspec.Struct, frozen=True):
    """One run; seconds of wall time, and of processor time of the server, of its busiest process, and of others."""

    messages: int
    wall: float
    server: float
    busiest: float
    load: float
    foreign: float

    @property
    def rate(self) -> float:
        """Messages per second of wall time."""
        return self.messages / self.wall

    @property
    def allowed(self) -> float:
        """Messages per second if the busiest process had a processor to itself."""
        return self.messages / self.busiest


def once(rig: WorkersRig, frames: int, call: Call) -> Run:
    """Have a server take a call as fast as it can."""
    with (
        tempfile.TemporaryDirectory(dir=rig.place) as folder,
        rig.server("ours", Path(folder)) as server,
        rig.load(frames, server, 0, WARM) as load,
    ):
        output = Output(server.out, call)
        rig.touch_memory(call.messages * call.chunk_bytes + SPARE)
        load.go()
        load.until("warm")
        output.settled(server, WARM)
        members = tree(server.pid)
        ours = {os.getpid(), load.pid, *members}
        others = cpu_of_others(ours)
        spent = {pid: _spent(pid) for pid in members}
        sending, begin = cpu_seconds(load.pid), time.monotonic()
        load.go()
        load.until("sent")
        _, end = output.settled(server, call.frames)
        each = [_spent(pid) - before for pid, before in spent.items()]
        sent = cpu_seconds(load.pid) - sending
        foreign = sum(now - others.get(pid, 0.0) for pid, now in cpu_of_others(ours).items())
        finish(server, load, output)
    return Run(call.connections * (call.frames - WARM), end - begin, sum(each), max(each), sent, foreign)


def _spent(pid: int) -> float:
    """Processor time of one process alone."""
    return time.clock_gettime((~pid << 3) | 2)


def compare(rig: WorkersRig, options: argparse.Namespace, milliseconds: int) -> None:
    """All numbers of workers once, all again, and so on; a line for each."""
    call = Call(options.style, options.conns, options.messages, milliseconds)
    print(f"\n{call.connections} connections x {milliseconds} ms, {call.style}, {call.frames} messages each")
    frames = call.write()
    results: dict[int, list[Run]] = {number: [] for number in options.workers}
    try:
        for _ in range(options.rounds):
            for rig.workers in options.workers:
                results[rig.workers].append(once(rig, frames, call))
    finally:
        os.close(frames)
    titles = {"workers": 8, "msgs/s": 10, "scales": 9, "CPU µs": 9, "of it load": 12, "CPU allows": 12, "cores": 7}
    print("".join(f"{title:>{width}}" for title, width in titles.items()) + f"{'foreign':>9}")
    first = next(iter(results.values()))
    for number, runs in results.items():
        scales = median(now.rate / one.rate for now, one in zip(runs, first, strict=True))
        allows = median(now.allowed / one.allowed for now, one in zip(runs, first, strict=True))
        cpu, load = (MICRO * median(part / now.messages for part, now in parts) for parts in _costs(runs))
        foreign = max(now.foreign / now.wall for now in runs)
        rate = median(now.rate for now in runs)
        cores = median((now.server + now.load) / now.wall for now in runs)
        print(f"{number:8}{rate:10.0f}{scales:8.2f}x{cpu:9.1f}{load:12.1f}{allows:11.2f}x{cores:7.2f}{foreign:9.0%}")


def _costs(runs: list[Run]) -> tuple[list[tuple[float, Run]], list[tuple[float, Run]]]:
    return [(now.server + now.load, now) for now in runs], [(now.load, now) for now in runs]


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--workers", type=int, nargs="+", default=[1, 2], help="how many; ratios are to the first")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--conns", type=int, default=256)
    parser.add_argument("--chunk", type=int, choices=(10, 20, 100, 200), nargs="+", default=[100, 20, 10])
    parser.add_argument("--style", choices=STYLES, default="recall-separate")
    parser.add_argument("--messages", type=int, default=2000, help="of each connection")
    return places(parser).parse_args()


def main() -> int:
    options = arguments()

    def measure(rig: WorkersRig) -> None:
        for milliseconds in options.chunk:
            compare(rig, options, milliseconds)

    return run("workers", options, WorkersRig, measure)


if __name__ == "__main__":
    sys.exit(main())
