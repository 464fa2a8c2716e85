"""What it costs to take bots' calls and to have them in files: audiotap beside what people would write themselves.

Run it with `python tests/bench/ingest.py [--scene fast] [--rounds 3]`, on Linux, with audiotap's dependencies, gcc and
npm installed. The servers, one after the other in every round, each on a processor of its own:

- `ours`: `audiotap listen --json`, all of it: time line, levels, WAV, manifest;
- `quickstart`: Recall's documented quick start in Node (docs.recall.ai, "Receive Real-Time Audio From Bot");
- `sample`: Recall's sample app for separate audio in Node (github.com/recallai/sample-apps); takes no other messages;
- `plain`: Python's `websockets`, `json` and `base64`;
- `limit`: C that does nothing but receive, decode and write.

All write to files, and every byte of them is compared with what was sent: one that differs makes the run void (status
1). Times are the processor's, of all of a server's threads and children, until the last sample is in its file.
Connecting and closing are not counted, nor is the warm-up, which all scenes have but `fast`: there, beginning the
sessions and their files is part of the price. Take the ratios, not the microseconds: each is the median of the rounds'
own ratios.
"""

from __future__ import annotations

import argparse
import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from statistics import median

import msgspec
import numpy as np
from numpy.typing import NDArray

from rig.frames import STYLES, Call, session_of
from rig.output import Output
from rig.processes import SERVERS, CannotRunError, Load, Rig, Server, VoidError, cpu_of_others, memory, tree
from rig.runner import Goal, places, run

MICRO = 1e6
MIB = 1024 * 1024
KB = 1000
WARM_SECONDS = 2
IDLE_SECONDS = 1.0
"""After the last connection has opened, until the server counts as idle."""
KEPT_UP = 0.25
"""Seconds after the last frame in which one that keeps up has it in its file, and we have seen so twice."""
DISTURBED = 0.1
"""Share of one processor that other processes may take, until it is said."""
SPARE = 256 * MIB
"""Memory beyond that of the files that is there already, so that nobody pays for having it made."""
POLL_SECONDS = 0.002
"""Between two looks at all files; a latency is too long by that and by the time of a look."""


class Run(msgspec.Struct, frozen=True):
    """One server's run. Memory is what was resident at the end, and at most."""

    messages: int
    cpu: float
    wall: float
    rss: int
    peak: int
    lag: float
    """Seconds by which the load was late at worst, since a socket or a processor was not free."""
    behind: float = 0.0
    """Seconds from the last frame sent to the last sample in its file."""
    foreign: float = 0.0
    """Seconds of processor time that other processes of this machine took meanwhile."""

    @property
    def cost(self) -> float:
        """Microseconds of processor time per message."""
        return self.cpu / self.messages * MICRO


class Bench:
    """The options, the rig, and the servers that can be had."""

    def __init__(self, options: argparse.Namespace, rig: Rig) -> None:
        self.options = options
        self.rig = rig
        self._missing: set[str] = set()

    def servers(self, call: Call, wanted: Sequence[str] = tuple(SERVERS)) -> list[str]:
        """Those that were asked for, that can be had, and that understand the call."""
        asked = self.options.server or wanted
        return [
            name
            for name in SERVERS
            if name in asked and name not in self._missing and (name != "sample" or call.style == "recall-separate")
        ]

    def style(self, milliseconds: int) -> str:
        """As it was asked for; else who sends such chunks: Attendee those of 10 ms."""
        return str(self.options.style or ("attendee-participant" if milliseconds == 10 else "recall-separate"))

    def rounds(self, call: Call, names: list[str], once: Callable[[str, int], Run]) -> dict[str, list[Run]]:
        """All servers once, all again, and so on. `once` gets a name and the descriptor of the call's frames."""
        frames = call.write()
        results: dict[str, list[Run]] = {name: [] for name in names}
        try:
            for _ in range(self.options.rounds):
                for name in names:
                    if name in self._missing:
                        continue
                    try:
                        results[name].append(once(name, frames))
                    except CannotRunError as error:
                        self._missing.add(name)
                        print(f"without {name}: {error}")
        finally:
            os.close(frames)
        return {name: runs for name, runs in results.items() if runs}

    @contextmanager
    def folder(self) -> Iterator[Path]:
        with tempfile.TemporaryDirectory(dir=self.rig.place) as folder:
            yield Path(folder)

    def run(self, name: str, frames: int, call: Call, *, pace: float = 0, warm: int = 0) -> Run:
        """Have a server take a call; measured is what comes after `warm` frames of each connection."""
        with (
            self.folder() as folder,
            self.rig.server(name, folder) as server,
            self.rig.load(frames, server, pace, warm) as load,
        ):
            output = Output(server.out, call)
            self.rig.touch_memory(call.messages * call.chunk_bytes + SPARE)
            load.go()
            load.until("warm")
            if warm and not pace:
                output.settled(server, warm)
            ours = {os.getpid(), load.pid, *tree(server.pid)}
            others = cpu_of_others(ours)
            before, begin = server.cpu_seconds(), time.monotonic()
            load.go()
            told, sent = load.until("sent"), time.monotonic()
            after, end = output.settled(server, call.frames)
            foreign = sum(spent - others.get(process, 0.0) for process, spent in cpu_of_others(ours).items())
            rss, peak = memory(server.pid), memory(server.pid, "VmHWM")
            finish(server, load, output)
            messages = call.connections * (call.frames - warm)
            lag = told["worst_lag"]
            return Run(messages, after - before, end - begin, rss, peak, lag, end - sent, foreign)


def finish(server: Server, load: Load, output: Output) -> None:
    """Close the connections, end the server, and look at every byte."""
    load.go()
    load.until("closed")
    server.stop()
    output.check(server.name)


def ratio(results: dict[str, list[Run]], other: str) -> float | None:
    """How many messages ours takes in the processor time in which another one takes one."""
    if "ours" not in results or other not in results:
        return None
    return median(theirs.cost / ours.cost for ours, theirs in zip(results["ours"], results[other], strict=False))


def table(results: dict[str, list[Run]], *, paced: bool = False) -> None:
    """A line for each server."""
    share = f"{'of a core':>11}{'behind':>10}{'load lags':>11}" if paced else ""
    costs = f"{'CPU µs/message':>16}{'(from':>9}{'to)':>9}{'msgs/CPU s':>12}{'ours is':>9}"
    print(f"{'':12}{costs}{share}{'RSS, peak MiB':>16}")
    for name, runs in results.items():
        each = [run.cost for run in runs]
        faster = ratio(results, name)
        line = f"{name:12}{median(each):16.1f}{min(each):9.1f}{max(each):9.1f}{MICRO / median(each):12.0f}"
        line += f"{faster:8.2f}x" if faster is not None else f"{'-':>9}"
        if paced:
            line += f"{median(run.cpu / run.wall for run in runs):11.1%}{median(run.behind for run in runs):8.2f} s"
            line += f"{max(run.lag for run in runs) * 1000:8.1f} ms"
        memory_ = f"{median(run.rss for run in runs) / MIB:.0f}, {median(run.peak for run in runs) / MIB:.0f}"
        print(f"{line}{memory_:>16}")
    disturbed = max((run.foreign / run.wall for runs in results.values() for run in runs), default=0.0)
    if disturbed > DISTURBED:
        print(f"WARNING: other processes took up to {disturbed:.0%} of a processor; do it again when it is quiet")


def headline(scene: str, call: Call, more: str = "") -> None:
    print(f"\n{scene}: {call.connections} connections x {call.milliseconds} ms, {call.style}{more}")


# The scenes


def fast(bench: Bench) -> None:
    """As fast as each server takes it: the messages per second of processor time."""
    least = {100: {"quickstart": 3.0, "sample": 4.0, "limit": 0.33}, 20: {"quickstart": 2.5}, 10: {"quickstart": 2.5}}
    for milliseconds in bench.options.chunk or [100, 20, 10]:
        call = Call(bench.style(milliseconds), bench.options.conns or 50, bench.options.messages, milliseconds)
        headline("fast", call, f", {call.frames} messages each")
        results = bench.rounds(call, bench.servers(call), partial(bench.run, call=call))
        table(results)
        for other, wanted in least.get(milliseconds, {}).items():
            print(Goal(f"messages per CPU second, of {other}'s at {milliseconds} ms", ratio(results, other), wanted))


def paced(bench: Bench) -> None:
    """In real time, each chunk when it is due: what a machine full of calls costs."""
    for milliseconds, usual in {100: 1000, 20: 500, 10: 500}.items():
        if milliseconds not in (bench.options.chunk or [100, 20, 10]):
            continue
        warm = WARM_SECONDS * 1000 // milliseconds
        frames = warm + round(bench.options.seconds * 1000 / milliseconds)
        call = Call(bench.style(milliseconds), bench.options.conns or usual, frames, milliseconds)
        headline("paced", call, f", {bench.options.seconds:g} s after {WARM_SECONDS} s")
        results = bench.rounds(
            call,
            bench.servers(call),
            partial(bench.run, call=call, pace=milliseconds, warm=warm),
        )
        table(results, paced=True)
        if milliseconds == 100:
            faster = ratio(results, "quickstart")
            print(Goal("CPU, of quickstart's", 1 / faster if faster else None, most=1 / 3))
        if milliseconds == 10:
            behind = [run.behind for run in results.get("ours", [])]
            print(Goal("seconds behind at the end, on one core", median(behind) if behind else None, most=KEPT_UP))


def growth(bench: Bench) -> None:
    """Whether a message costs the same however many connections there are."""
    costs: dict[str, list[float]] = {}
    numbers = [1, 50, 500, 2000]
    for connections in numbers:
        warm, frames = 2, min(5000, max(40, 20_000 // connections))
        call = Call(bench.style(100), connections, warm + frames, 100)
        headline("growth", call, f", {frames} messages each after {warm}")
        results = bench.rounds(
            call,
            bench.servers(call, ("ours", "quickstart")),
            partial(bench.run, call=call, warm=warm),
        )
        table(results)
        for name, runs in results.items():
            costs.setdefault(name, []).append(median(run.cost for run in runs))
    spread = {name: max(each) / min(each) for name, each in costs.items() if len(each) == len(numbers)}
    for name, most_to_least in spread.items():
        print(f"{name}: {' '.join(f'{cost:.1f}' for cost in costs[name])} µs, largest to smallest {most_to_least:.2f}")
    print(Goal("cost of a message, largest to smallest", spread.get("ours"), most=1.5))


def memory_scene(bench: Bench) -> None:
    """What a connection holds that says nothing, and what one holds whose track is being recorded."""
    call = Call(bench.style(100), bench.options.conns or 1000, 50, 100)
    headline("memory", call, ", RSS")
    print(f"{'':12}{'start MiB':>12}{'kB/idle connection':>20}{'kB/track more':>15}{'kB/track in all':>17}")
    figures: dict[str, list[list[float]]] = {}

    def once(name: str, frames: int) -> Run:
        with bench.folder() as folder, bench.rig.server(name, folder) as server:
            start = memory(server.pid)
            with bench.rig.load(frames, server, call.milliseconds, 0) as load:
                time.sleep(IDLE_SECONDS)
                idle = memory(server.pid)
                load.go()
                load.until("warm")
                load.go()
                load.until("sent")
                output = Output(server.out, call)
                output.settled(server, call.frames)
                recording, peak = memory(server.pid), memory(server.pid, "VmHWM")
                finish(server, load, output)
        per = call.connections * KB
        each = [start / MIB, (idle - start) / per, (recording - idle) / per, (recording - start) / per]
        figures.setdefault(name, []).append(each)
        return Run(call.messages, 0.0, 0.0, recording, peak, 0.0)

    bench.rounds(call, bench.servers(call, ("ours", "quickstart")), once)
    for name, rounds in figures.items():
        start, idle, more, whole = np.median(rounds, axis=0)
        print(f"{name:12}{start:12.0f}{idle:20.1f}{more:15.1f}{whole:17.1f}")
    ours = float(np.median(figures["ours"], axis=0)[3]) if "ours" in figures else None
    print(Goal("kB a track, with its connection", ours, most=150))


def latency(bench: Bench) -> None:
    """How long a chunk is on its way from the sender's socket into its file."""
    for milliseconds, usual in {100: 1000, 10: 100}.items():
        if milliseconds not in (bench.options.chunk or [100, 10]):
            continue
        warm = WARM_SECONDS * 1000 // milliseconds
        frames_each = warm + round(bench.options.seconds * 1000 / milliseconds)
        call = Call(bench.style(milliseconds), bench.options.conns or usual, frames_each, milliseconds)
        headline("latency", call)
        delays: dict[str, list[NDArray[np.float64]]] = {}
        once = partial(trace, bench, call=call, warm=warm, delays=delays)
        bench.rounds(call, bench.servers(call, ("ours",)), once)
        print(f"{'':12}{'p50 ms':>9}{'p99 ms':>9}{'max ms':>9}")
        for name, rounds in delays.items():
            p50, p99, worst = (np.percentile(rounds, percent) * 1000 for percent in (50, 99, 100))
            print(f"{name:12}{p50:9.1f}{p99:9.1f}{worst:9.1f}")
        p99_ours = float(np.percentile(delays["ours"], 99)) * 1000 if "ours" in delays else None
        print(Goal(f"p99 in ms at {milliseconds} ms", p99_ours, most=50))


def trace(
    bench: Bench, name: str, frames: int, *, call: Call, warm: int, delays: dict[str, list[NDArray[np.float64]]]
) -> Run:
    """A server's run in which every chunk is followed; how long each one took is added to `delays`."""
    with bench.folder() as folder, bench.rig.server(name, folder) as server:
        log = folder / "sent"
        with bench.rig.load(frames, server, call.milliseconds, warm, log) as load:
            output = Output(server.out, call)
            load.go()
            load.until("warm")
            output.settled(server, warm)
            load.go()
            arrived = watch(output, call)
            told = load.until("sent")
            sent = np.fromfile(log).reshape(call.connections, call.frames)
            delays.setdefault(name, []).append((arrived - sent)[:, warm:])
            finish(server, load, output)
    return Run(call.messages, 0.0, 0.0, 0, 0, told["worst_lag"])


def watch(output: Output, call: Call) -> NDArray[np.float64]:
    """Look at the files until they are complete; when each chunk of each connection was seen in its file."""
    paths = {connection_of(path): path for path in output.files()}
    files = [os.open(paths[connection], os.O_RDONLY) for connection in range(call.connections)]
    header = output.header
    looks: list[list[int]] = []
    times: list[float] = []
    try:
        while not looks or min(looks[-1]) < call.frames * call.chunk_bytes:
            looks.append([os.fstat(file).st_size - header for file in files])
            times.append(time.monotonic())
            time.sleep(POLL_SECONDS)
    finally:
        for file in files:
            os.close(file)
    held = np.array(looks)
    ends = np.arange(1, call.frames + 1) * call.chunk_bytes
    seen = [np.searchsorted(held[:, connection], ends) for connection in range(call.connections)]
    return np.array(times)[np.array(seen)]


def connection_of(path: Path) -> int:
    """Whose file it is: the session's id is in its path."""
    prefix = session_of(0)[:-12]
    found = re.search(f"{prefix}([0-9]{{12}})", str(path))
    if found is None:
        raise VoidError(f"{path} is nobody's")
    return int(found[1])


SCENES = {"fast": fast, "paced": paced, "growth": growth, "memory": memory_scene, "latency": latency}


# The command


def describe_limit() -> None:
    """How the limit decodes here."""
    try:
        macros = subprocess.run(
            ["gcc", "-march=native", "-dM", "-E", "-"],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )
        print(f"the limit decodes base64 with {'AVX-512' if '__AVX512VBMI__' in macros.stdout else 'scalar code'}")
    except OSError:
        pass


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--scene", choices=SCENES, nargs="+", help="default: all")
    parser.add_argument("--server", choices=SERVERS, nargs="+", help="default: all that a scene is about")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--conns", type=int, help="connections (not for growth); default: the scene's")
    parser.add_argument("--chunk", type=int, choices=(10, 20, 100, 200), nargs="+", help="milliseconds of a chunk")
    parser.add_argument("--style", choices=STYLES, help="default: recall-separate, for 10 ms attendee-participant")
    parser.add_argument("--messages", type=int, default=3000, help="of each connection, in fast")
    parser.add_argument("--seconds", type=float, default=10, help="that are measured, in paced and latency")
    return places(parser).parse_args()


def main() -> int:
    options = arguments()

    def measure(rig: Rig) -> None:
        describe_limit()
        for scene in options.scene or SCENES:
            SCENES[scene](Bench(options, rig))

    return run("ingest", options, Rig, measure)


if __name__ == "__main__":
    sys.exit(main())
