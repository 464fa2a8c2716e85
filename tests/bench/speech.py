"""How punctually bots are spoken to: audiotap beside what people write themselves, to many bots at once.

Run it with `PYTHONPATH=cli python tests/bench/speech.py [--bots 1 100 500] [--seconds 10]`, on Linux, with gcc; the
drift wants `--seconds 600`. The speakers, one after the other, each on a processor of its own:

- `ours`: `audiotap listen --json`, all of it, told what to speak by one control client for each bot, all at once;
- `sleeps`: Python's `websockets`, and `asyncio.sleep` of a chunk's length between two chunks.

The bots are C. For each chunk they have the kernel's own stamp of the moment in which it came to their socket, which is
the moment in which it was sent, and their own of when they read it. A chunk's lateness is what it came after its place
on the grid of 100 ms that the bot's most punctual chunk is on, and for those that leave at once, in the lead, after the
first of all. Drift is the slope of lateness over the run, and by how much the last tenth is later than the first.

Every byte is compared with what was to be spoken, at the bots and, where it has no holes, in the recording; one that
differs makes the run void (status 1).
"""

from __future__ import annotations

import argparse
import asyncio
import base64
import json
import os
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import AsyncExitStack, contextmanager
from pathlib import Path

import msgspec
import numpy as np
from numpy.typing import NDArray
from websockets.asyncio.client import ClientConnection

from audiotap.audio import Chunk
from audiotap.dialects import native
from audiotap.dialects.attendee import Attendee
from audiotap.dialects.base import Side
from audiotap.events import Attach, Attached, Finish, Finished, Speak
from audiotap.net.control.remote import listeners
from audiotap.net.control.sockets import dial_control, say
from rig import frames
from rig.frames import SAMPLE_BYTES, Call, laid_out, session_of
from rig.output import difference, recorded, samples
from rig.processes import SPEAKERS, Load, Rig, Server, VoidError, waited
from rig.runner import Goal, places, run

MILLI, MICRO = 1e3, 1e6
BLOCK = 100
"""Milliseconds of a chunk, which is what Attendee plays without a residue."""
SAID_AT_ONCE = 5
"""Chunks in a message to the control socket: `speak` reads files by half seconds."""
STEP = 7
"""Chunks by which each bot's speech begins later than the one before: no two bots hear the same for a while."""
OPENING = 10
"""Chunks that the drift leaves out: some leave at once, and everybody begins."""
PATIENCE = 60.0
"""Seconds beyond the speech's own length until a speaker is taken for stuck."""
POLL_SECONDS = 0.05
DISTURBED = 0.01
"""Share of the time that something else may have the speaker's processor, until it is said."""


class Speech(msgspec.Struct, frozen=True):
    """So many chunks for so many bots, each from its own place in a minute of sound on, round and round."""

    bots: int
    chunks: int
    rate: int

    @property
    def seconds(self) -> float:
        return self.chunks * BLOCK / MILLI

    def pool(self) -> list[bytes]:
        """The chunks that there are."""
        size = self.rate * BLOCK // 1000 * SAMPLE_BYTES
        sound = frames.speech().tobytes()
        return [sound[at : at + size] for at in range(0, len(sound), size)]

    def sound(self, bot: int) -> bytes:
        """What a bot has to hear."""
        pool = self.pool()
        return b"".join(pool[(bot * STEP + number) % len(pool)] for number in range(self.chunks))

    def messages(self) -> list[bytes]:
        """How Attendee's bots are told each chunk."""
        dialect = Attendee(Side.OURS)
        return [str(dialect.encode(Speak(Chunk(pcm, self.rate)))[0]).encode() for pcm in self.pool()]

    def wires(self) -> list[str]:
        """How the control socket is told several chunks at once, from each one on."""
        pool = self.pool()
        runs = (pool[at:] + pool[: max(0, at + SAID_AT_ONCE - len(pool))] for at in range(len(pool)))
        return [native.encode(Speak(Chunk(b"".join(run[:SAID_AT_ONCE]), self.rate))) for run in runs]

    def write(self, path: Path) -> None:
        """For those that are no part of us."""
        told = {"chunks": [base64.b64encode(pcm).decode() for pcm in self.pool()], "rate": self.rate}
        path.write_text(json.dumps(told | {"seconds": BLOCK / MILLI, "each": self.chunks, "step": STEP}), "utf-8")


class Run(msgspec.Struct, frozen=True):
    """One speaker's run; times of chunks are seconds, a row for each bot."""

    sent: NDArray[np.float64]
    read: NDArray[np.float64]
    first: NDArray[np.float64] | None
    """From a client's first word to the bot's first chunk; None for who has no clients."""
    holes: int
    """In the recording: chunks came so late that the bot had nothing to play."""
    cpu: float
    wall: float
    wanted: float
    """Seconds that the speaker was ready to run while something else had its processor."""


def lateness(times: NDArray[np.float64]) -> NDArray[np.float64]:
    """Seconds by which each chunk came after its place; the bot's most punctual chunk is right."""
    grid = np.arange(times.shape[1]) * BLOCK / MILLI
    origin = (times - grid).min(axis=1, keepdims=True)
    late: NDArray[np.float64] = times - np.maximum(origin + grid, times[:, :1])
    return late


def drift(late: NDArray[np.float64]) -> tuple[float, float]:
    """Seconds per second by which lateness grows, and how much later the last tenth is than the first."""
    steady = late[:, OPENING:]
    slope = np.polyfit(np.arange(steady.shape[1]) * BLOCK / MILLI, steady.mean(axis=0), 1)[0]
    tenth = max(1, steady.shape[1] // 10)
    return float(slope), float(np.median(steady[:, -tenth:]) - np.median(steady[:, :tenth]))


# Ours, and its clients


async def attach(server: Server, stack: AsyncExitStack, speech: Speech) -> list[ClientConnection]:
    """A control client for each bot, once they are all there."""
    (listener,) = listeners(server.folder / "audiotap", server.port)
    while (status := await listener.status()) is None or len(status.sessions) < speech.bots:  # noqa: ASYNC110
        await asyncio.sleep(POLL_SECONDS)
    clients = []
    for bot in range(speech.bots):
        client = await stack.enter_async_context(await dial_control(listener.path))
        await say(client, Attach(session_of(bot)))
        attached = native.decode(await client.recv())
        if not isinstance(attached, Attached) or attached.rate != speech.rate:
            raise VoidError(f"bot {bot} was not attached to: {attached}")
        clients.append(client)
    return clients


async def tell(client: ClientConnection, bot: int, speech: Speech, wires: list[str]) -> float:
    """Have all of a bot's speech spoken; when its first word was said."""
    begun = time.monotonic()

    async def send() -> None:
        for number in range(0, speech.chunks, SAID_AT_ONCE):
            await client.send(wires[(bot * STEP + number) % len(wires)])
        await say(client, Finish())

    sending = asyncio.create_task(send())
    async for wire in client:
        if isinstance(event := native.decode(wire), Finished):
            await sending
            if event.stopped or abs(event.sent - speech.seconds) > 1e-6:
                raise VoidError(f"bot {bot}: {event}")
            return begun
    raise VoidError(f"bot {bot}: the listener went away")


async def talk(server: Server, speech: Speech) -> tuple[NDArray[np.float64], float]:
    """Speak to all bots at once: when each one's first word was said, and the listener's processor seconds before."""
    wires = speech.wires()
    async with AsyncExitStack() as stack:
        clients = await attach(server, stack, speech)
        before = server.cpu_seconds()
        async with asyncio.timeout(speech.seconds + PATIENCE):
            told = await asyncio.gather(*(tell(client, bot, speech, wires) for bot, client in enumerate(clients)))
    return np.array(told), before


# The runs


class Bench:
    """The options and the rig."""

    def __init__(self, options: argparse.Namespace, rig: Rig) -> None:
        self.options = options
        self.rig = rig

    @contextmanager
    def folder(self) -> Iterator[Path]:
        with tempfile.TemporaryDirectory(dir=self.rig.place) as folder:
            yield Path(folder)

    def run(self, name: str, speech: Speech, words: Call, files: tuple[int, int]) -> Run:
        """Have a speaker speak; `files` are the descriptors of the bots' words and of what they have to hear."""
        with self.folder() as folder:
            speech.write(folder / "speech")
            log = folder / "heard"
            with (
                self.rig.server(name, folder) as server,
                self.rig.bots(files[0], server, BLOCK, files[1], STEP, speech.chunks, log) as bots,
            ):
                begin, before, wanted = time.monotonic(), server.cpu_seconds(), waited(server.pid)
                bots.go()
                bots.until("greeted")
                told = None
                if name == "ours":
                    told, before = asyncio.run(talk(server, speech))
                bots.until("heard")
                cpu, wall = server.cpu_seconds() - before, time.monotonic() - begin
                wanted = waited(server.pid) - wanted
                finish(server, bots)
                holes = check(server, speech, words) if name == "ours" else 0
            times = np.fromfile(log).reshape(speech.bots, speech.chunks, 2)
        sent, read = times[:, :, 0], times[:, :, 1]
        return Run(sent, read, sent[:, 0] - told if told is not None else None, holes, cpu, wall, wanted)


def finish(server: Server, bots: Load) -> None:
    bots.go()
    bots.until("closed")
    server.stop()


def check(server: Server, speech: Speech, words: Call) -> int:
    """The holes in what was spoken; VoidError unless the recording holds it, and the beginning of what bots said."""
    tracks, holes = recorded(server.out), 0
    for bot in range(speech.bots):
        held = tracks.pop(session_of(bot))
        spoken, sound = samples(held["spoken"].path), speech.sound(bot)
        holes += held["spoken"].gaps
        wrong = difference(sound.rjust(len(spoken), b"\0"), spoken)
        if wrong and not held["spoken"].gaps:
            raise VoidError(f"the recording of what bot {bot} was told: {wrong}")
        if not words.sound(bot).startswith(samples(held["mixed"].path)):
            raise VoidError(f"the recording of bot {bot} does not hold what it said")
    if tracks:
        raise VoidError(f"recordings of nobody: {list(tracks)}")
    return holes


# The command


HEAD = f"{'':8}{'p50 ms':>8}{'p99':>8}{'max':>8}{'as read: p99':>14}{'max':>8}{'first, median':>15}{'max':>8}"
HEAD += f"{'drift ppm':>11}{'end ms':>8}{'CPU µs/chunk':>14}{'of a core':>11}"


def line(name: str, run: Run) -> str:
    late = lateness(run.sent)
    slope, end = drift(late)
    text = f"{name:8}" + "".join(f"{value * MILLI:8.2f}" for value in np.percentile(late, (50, 99, 100)))
    p99, most = np.percentile(lateness(run.read), (99, 100)) * MILLI
    text += f"{p99:14.2f}{most:8.2f}"
    text += f"{np.median(run.first) * MILLI:15.1f}{run.first.max() * MILLI:8.1f}" if run.first is not None else " " * 23
    text += f"{slope * MICRO:11.1f}{end * MILLI:8.2f}"
    return text + f"{run.cpu / run.sent.size * MICRO:14.1f}{run.cpu / run.wall:11.1%}"


def measure(bench: Bench, bots: int) -> None:
    """All speakers, one after the other, to so many bots."""
    options = bench.options
    speech = Speech(bots, round(options.seconds * 1000 / BLOCK), options.rate)
    said = 1 + (speech.chunks if options.hear else 0)
    words = Call("attendee-mixed", bots, said, BLOCK, options.rate)
    hearing = ", who are heard meanwhile" if options.hear else ""
    print(
        f"\n{bots} bots{hearing}, {speech.seconds:g} s in chunks of {BLOCK} ms at {speech.rate} Hz\n{HEAD}", flush=True
    )
    files = words.write(), laid_out(1, len(speech.pool()), speech.messages())
    try:
        for name in options.server:
            run = bench.run(name, speech, words, files)
            print(line(name, run), flush=True)
            if name == "ours":
                goals(run)
            if run.wanted / run.wall > DISTURBED:
                print(f"WARNING: {name} was ready and had no processor for {run.wanted / run.wall:.1%} of the time")
    finally:
        for file in files:
            os.close(file)


def goals(run: Run) -> None:
    late = lateness(run.sent)
    print(Goal("p99 of lateness in ms", float(np.percentile(late, 99)) * MILLI, most=10))
    print(Goal("lateness at most, in ms", float(late.max()) * MILLI, most=50))
    print(Goal("drift over the run, in ms", abs(drift(late)[1]) * MILLI, most=1))
    print(Goal("holes in what was spoken", run.holes, most=0))


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bots", type=int, nargs="+", default=[1, 100, 500])
    parser.add_argument("--seconds", type=float, default=10, help="of speech, by whole half seconds")
    parser.add_argument("--rate", type=int, choices=Attendee.rates, default=16000)
    parser.add_argument("--hear", action="store_true", help="have the bots send audio meanwhile")
    parser.add_argument("--server", choices=SPEAKERS, nargs="+", default=list(SPEAKERS), help="default: all")
    return places(parser).parse_args()


def main() -> int:
    options = arguments()

    def measure_all(rig: Rig) -> None:
        for bots in options.bots:
            measure(Bench(options, rig), bots)

    return run("speech", options, Rig, measure_all)


if __name__ == "__main__":
    sys.exit(main())
