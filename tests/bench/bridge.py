"""What a bridge adds: from the meeting's chunk to the agent's, from the agent's answer to the bot's, and at a barge-in.

Run it with `PYTHONPATH=cli python tests/bench/bridge.py [--sessions 1 20 100] [--seconds 20]`, on Linux. The bridge
is `audiotap bridge openai --json`, all of it, on a processor of its own; bots and agents are here, on another one, and
have one clock. Everything runs in real time: each bot sends 100 ms of a mix every 100 ms, and its agent answers every
few seconds with two seconds of speech at once. Every other answer is interrupted while it plays.

- to the agent: from a bot's chunk, right before it is sent, to the moment in which its agent has all of it;
- to the bot: from the first piece of an answer, right before it is sent, to the bot's first block of it;
- barge-in: from the agent's word that the user speaks to the last block of the answer that the bot gets after it.

At 24 kHz nothing is resampled, so each chunk carries its number in its first samples, and every sample of it is
compared: one that differs makes the run void (status 1). With `--rate 16000` the figure holds the resampler's own
delay, too, and samples are counted, not compared.
"""

from __future__ import annotations

import argparse
import asyncio
import base64
import json
import random
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from websockets.asyncio.client import connect
from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosed

from audiotap.agent_events import AgentEvent, Configured, Met, Replying, Speech, SpeechDone, SpeechStarted, TurnDone
from audiotap.audio import Chunk
from audiotap.dialects.agents.openai import OpenAI
from audiotap.dialects.base import Side
from rig import frames
from rig.frames import SAMPLE_BYTES
from rig.processes import SERVERS, Rig, Server, VoidError, waited
from rig.runner import Goal, places, run

MILLI = 1e3
BLOCK = 0.1
"""Seconds of a bot's chunk, and of a block of speech."""
AGENT_RATE = 24000
ANSWER_SECONDS = 2.0
PIECE_SECONDS = 0.2
"""An agent's piece of speech; all of an answer is sent at once."""
EVERY_SECONDS = 4.0
"""From one answer to the next."""
INTO_SECONDS = 0.8
"""So far into every other answer somebody speaks."""
MARK = 2
"""Samples at the beginning of a chunk that hold its number."""
SETTLE_SECONDS = 1.0
PATIENCE = 30.0


class Figures(msgspec.Struct):
    """Seconds, of all sessions."""

    to_agent: list[float] = []
    to_bot: list[float] = []
    barged: list[float] = []
    pauses: int = 0
    wrong: list[str] = []


class Session:
    """One bot and its agent."""

    def __init__(self, number: int, rate: int, figures: Figures) -> None:
        self.number = number
        self.rate = rate
        self.figures = figures
        self.sent: list[float] = []
        self.heard = 0
        self.first: int | None = None
        self.answered: dict[int, float] = {}
        self.interrupted: dict[int, float] = {}
        self.last: dict[int, float] = {}
        self.pool = sound(rate)

    # The bot

    def chunk(self, number: int) -> bytes:
        """What the meeting says, with its number in front."""
        size = round(self.rate * BLOCK) * SAMPLE_BYTES
        at = (number + 7 * self.number) * size % (len(self.pool) - size)
        return marked(number, self.pool[at : at + size])

    async def talk(self, url: str, until: Callable[[], bool], ready: asyncio.Event) -> None:
        """Be a bot, from its first chunk on."""
        async with connect(url, compression=None, max_size=None, ping_interval=None) as bot:
            hearing = asyncio.create_task(self._hear_bot(bot))
            await asyncio.sleep(random.random() * BLOCK)
            began = time.monotonic()
            while not until():
                await asyncio.sleep(max(0.0, began + len(self.sent) * BLOCK - time.monotonic()))
                wire = self._wire(len(self.sent))
                self.sent.append(time.monotonic())
                await bot.send(wire)
            ready.set()
            hearing.cancel()

    def _wire(self, number: int) -> str:
        """A chunk as Attendee sends it."""
        data = {
            "chunk": base64.b64encode(self.chunk(number)).decode(),
            "sample_rate": self.rate,
            "timestamp_ms": round(1000 * (number + 1) * BLOCK) + 1_700_000_000_000,
        }
        return json.dumps({"bot_id": f"bot_{self.number}", "trigger": "realtime_audio.mixed", "data": data})

    async def _hear_bot(self, bot: Any) -> None:
        async for wire in bot:
            now = time.monotonic()
            told = json.loads(wire)
            if told["trigger"] != "realtime_audio.bot_output":
                self.figures.pauses += 1
                continue
            number = self._answer_of(base64.b64decode(told["data"]["chunk"]))
            if number is None:
                continue
            if number not in self.last:
                self.figures.to_bot.append(now - self.answered[number])
            self.last[number] = now

    def _answer_of(self, pcm: bytes) -> int | None:
        """Whose answer a block is a part of; at another rate, the newest one's."""
        if self.rate == AGENT_RATE:
            return unmarked(pcm)
        return max(self.answered, default=None)

    # The agent

    async def agent(self, connection: ServerConnection, until: Callable[[], bool]) -> None:
        """Be an agent: hear everything, and answer every few seconds."""
        dialect = OpenAI(Side.THEIRS)
        await self._say(connection, dialect, Met())
        answering = asyncio.create_task(self._answer(connection, dialect, until))
        try:
            async for wire in connection:
                now = time.monotonic()
                told = json.loads(wire)
                if told["type"] == "session.update":
                    await self._say(connection, dialect, Configured(wire=told["session"]))
                elif told["type"] == "input_audio_buffer.append":
                    self._hear(base64.b64decode(told["audio"]), now)
        finally:
            answering.cancel()

    def _hear(self, pcm: bytes, now: float) -> None:
        """Count what comes; a chunk is there when its last sample is."""
        size = round(AGENT_RATE * BLOCK)
        if self.first is None:
            self.first = unmarked(pcm) if self.rate == AGENT_RATE else 0
        if self.rate == AGENT_RATE:
            self._compare(pcm)
        before = self.heard // size
        self.heard += len(pcm) // SAMPLE_BYTES
        for number in range(self.first + before, self.first + self.heard // size):
            self.figures.to_agent.append(now - self.sent[number])

    def _compare(self, pcm: bytes) -> None:
        size = round(AGENT_RATE * BLOCK) * SAMPLE_BYTES
        at = self.heard * SAMPLE_BYTES
        expected = b"".join(
            self.chunk((self.first or 0) + number) for number in range(at // size, (at + len(pcm) - 1) // size + 1)
        )
        if expected[at % size : at % size + len(pcm)] != pcm:
            self.figures.wrong.append(f"what the agent of session {self.number} heard from {at // size} on")

    async def _answer(self, connection: ServerConnection, dialect: OpenAI, until: Callable[[], bool]) -> None:
        await asyncio.sleep(SETTLE_SECONDS + random.random() * EVERY_SECONDS)
        number = 0
        while not until():
            number += 1
            item = f"item_{self.number}_{number}"
            self.answered[number] = time.monotonic()
            whole: list[AgentEvent] = [SpeechDone(item), TurnDone(item)] if number % 2 else []
            await self._say(connection, dialect, Replying(item), *self._speech(number, item), *whole)
            if not number % 2:
                await asyncio.sleep(INTO_SECONDS)
                self.interrupted[number] = time.monotonic()
                cancelled = TurnDone(item, "cancelled", "turn_detected")
                await self._say(connection, dialect, SpeechStarted(item=f"user_{number}"), cancelled)
            await asyncio.sleep(EVERY_SECONDS - (0 if number % 2 else INTO_SECONDS))

    async def _say(self, connection: ServerConnection, dialect: OpenAI, *events: AgentEvent) -> None:
        for event in events:
            for wire in dialect.encode(event):
                await connection.send(wire)

    def _speech(self, number: int, item: str) -> list[Speech]:
        """Two seconds in pieces, each block of them with the answer's number in front."""
        size = round(AGENT_RATE * BLOCK) * SAMPLE_BYTES
        blocks = [
            marked(number, sound(AGENT_RATE)[at : at + size])
            for at in range(0, round(ANSWER_SECONDS / BLOCK) * size, size)
        ]
        each = round(PIECE_SECONDS / BLOCK)
        joined = [b"".join(blocks[at : at + each]) for at in range(0, len(blocks), each)]
        return [Speech(Chunk(pcm, AGENT_RATE), item) for pcm in joined]

    def conclude(self) -> None:
        """What barge-ins cost."""
        for number, at in self.interrupted.items():
            if number in self.last:
                self.figures.barged.append(max(0.0, self.last[number] - at))


_SOUNDS: dict[int, bytes] = {}


def sound(rate: int) -> bytes:
    """A minute of sound."""
    if rate not in _SOUNDS:
        _SOUNDS[rate] = frames.speech().tobytes()
    return _SOUNDS[rate]


def marked(number: int, pcm: bytes) -> bytes:
    """A chunk with its number in front, as samples that a marker is known by."""
    head = np.array([number % 30000, ~(number % 30000)], dtype="<i2").tobytes()
    return head + pcm[MARK * SAMPLE_BYTES :]


def unmarked(pcm: bytes) -> int:
    """The number of a chunk. VoidError where there is none."""
    number, check = np.frombuffer(pcm[: MARK * SAMPLE_BYTES], dtype="<i2")
    if ~number != check:
        raise VoidError("a chunk without a number: something was resampled, or cut")
    return int(number)


# A run


async def measure_once(rig: Rig, sessions: int, seconds: float, rate: int) -> tuple[Figures, float, float]:
    """The figures of so many sessions, the bridge's share of a processor, and its wait for one."""
    figures = Figures()
    over = asyncio.Event()
    all_of_them: dict[int, Session] = {}
    waiting = iter(range(sessions))

    async def agent(connection: ServerConnection) -> None:
        """Agents come in the order of their bots, one at a time."""
        session = all_of_them[next(waiting)]
        try:
            await session.agent(connection, over.is_set)
        except ConnectionClosed:
            return

    async with serve(agent, "127.0.0.1", 0, compression=None, max_size=None, ping_interval=None) as server:
        port = server.sockets[0].getsockname()[1]
        with tempfile.TemporaryDirectory(dir=rig.place) as place:
            folder = Path(place)
            (folder / "agents").write_text(f"ws://127.0.0.1:{port}/v1/realtime")
            with rig.server("bridge", folder) as bridge:
                bots = []
                for number in range(sessions):
                    all_of_them[number] = session = Session(number, rate, figures)
                    bots.append(
                        asyncio.create_task(session.talk(f"ws://127.0.0.1:{bridge.port}", over.is_set, asyncio.Event()))
                    )
                    await until(lambda: session.first is not None, bridge)  # noqa: B023 - awaited right here
                began, before, wanted = time.monotonic(), bridge.cpu_seconds(), waited(bridge.pid)
                figures.to_agent.clear()
                await asyncio.sleep(seconds)
                wall = time.monotonic() - began
                cpu, wanted = bridge.cpu_seconds() - before, waited(bridge.pid) - wanted
                over.set()
                await asyncio.gather(*bots)
                for session in all_of_them.values():
                    session.conclude()
                await asyncio.to_thread(bridge.stop)
    if figures.wrong:
        raise VoidError("; ".join(figures.wrong[:3]))
    return figures, cpu / wall, wanted / wall


async def until(done: Callable[[], bool], server: Server) -> None:
    """Wait for something that a run can't begin without."""
    deadline = time.monotonic() + PATIENCE
    while not done():
        if time.monotonic() > deadline:
            raise VoidError(f"an agent heard nothing: {server.complaints()}")
        await asyncio.sleep(0.01)


HEAD = f"{'sessions':>8}{'to agent: p50':>15}{'p99':>8}{'max':>8}{'to bot: p50':>13}{'p99':>8}{'max':>8}"
HEAD += f"{'barge-in: p50':>15}{'max':>8}{'pauses':>8}{'of a core':>11}"


def line(sessions: int, figures: Figures, share: float) -> str:
    """A run in milliseconds."""
    text = f"{sessions:8}"
    for values, marks in (
        (figures.to_agent, (50, 99, 100)),
        (figures.to_bot, (50, 99, 100)),
        (figures.barged, (50, 100)),
    ):
        widths = {3: (15, 8, 8), 2: (15, 8)}[len(marks)]
        for width, value in zip(widths, np.percentile(values or [np.nan], marks), strict=True):
            text += f"{value * MILLI:{width - (2 if values is figures.to_bot and width == 15 else 0)}.1f}"
    return text + f"{figures.pauses:8}{share:11.1%}"


def _bridge(_: Rig, out: Path) -> list[str | Path]:
    url = (out.parent / "agents").read_text()
    words = ["bridge", "openai", "--url", url, "--model", "bench", "--max-agents", "10000"]
    return [sys.executable, "-m", "audiotap", *words, "--port", "0", "--out", out, "--json"]


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sessions", type=int, nargs="+", default=[1, 20, 100])
    parser.add_argument("--seconds", type=float, default=20)
    parser.add_argument("--rate", type=int, choices=(8000, 16000, 24000), default=AGENT_RATE)
    return places(parser).parse_args()


def main() -> int:
    options = arguments()
    SERVERS["bridge"] = _bridge

    def measure(rig: Rig) -> None:
        print(f"\n{options.seconds:g} s in chunks of 100 ms at {options.rate} Hz; milliseconds\n{HEAD}", flush=True)
        for sessions in options.sessions:
            figures, share, wanted = asyncio.run(measure_once(rig, sessions, options.seconds, options.rate))
            print(line(sessions, figures, share), flush=True)
            print(Goal("to the agent, p99 in ms", float(np.percentile(figures.to_agent, 99)) * MILLI, most=20))
            barged = max(figures.barged) * MILLI if figures.barged else None
            print(Goal("last block after a barge-in, in ms", barged, most=350))
            if wanted > 0.01:
                print(f"WARNING: the bridge was ready and had no processor for {wanted:.1%} of the time")

    return run("bridge", options, Rig, measure)


if __name__ == "__main__":
    sys.exit(main())
