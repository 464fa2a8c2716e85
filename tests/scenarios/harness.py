"""What the scenarios are told with: processes of audiotap, bots' messages, and the files that come of them.

Nothing here sleeps: every wait is for something that a process says or does, and has a deadline.
"""

from __future__ import annotations

import asyncio
import base64
import json
import os
import re
import signal
import sys
from asyncio.subprocess import DEVNULL, PIPE, Process
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import pytest
import soundfile
from numpy.typing import NDArray
from websockets.asyncio.client import ClientConnection, connect

import audiotap

DEADLINE = 40.0
"""Seconds after which a wait has hung."""
ROOT = Path(audiotap.__file__).parents[1]
ANA, BO, CHEN, HELLO = (ROOT / "audiotap" / "speech" / f"{name}.flac" for name in ("ana", "bo", "chen", "hello"))
RATE = 16000
EPOCH_MS = 1_700_000_000_000
"""When the hand-written calls of Attendee begin."""

OURS = (
    *("AUDIOTAP_", "ATTENDEE_", "RECALL_", "RECALLAI_"),
    *("OPENAI_", "AZURE_OPENAI_", "BOTIFY_", "DEEPGRAM_", "AMIGO_"),
)
"""What variables of the user's own, keys among them, begin with."""
STARTED_OFTEN = {"PYTHONDONTWRITEBYTECODE": "", "OPENBLAS_NUM_THREADS": "1"}
"""What makes a start cheap: sources are compiled once, and numpy starts no threads."""

T = TypeVar("T")
Samples = NDArray[np.int16]
Arg = str | Path | int | float


# Processes


@dataclass(frozen=True)
class Ended:
    """A process that is over."""

    status: int
    out: bytes
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


class Running:
    """A process whose output is read as it comes."""

    def __init__(self, process: Process) -> None:
        self.process = process
        self.out = bytearray()
        self.err = bytearray()
        self._news = asyncio.Condition()
        streams = ((process.stdout, self.out), (process.stderr, self.err))
        self._pumps = [asyncio.create_task(self._pump(stream, into)) for stream, into in streams if stream is not None]
        self._drained = 0

    async def until(self, look: Callable[[], T | None], what: str, deadline: float = DEADLINE) -> T:
        """What `look` finds in the output, as soon as it does."""
        try:
            async with asyncio.timeout(deadline), self._news:
                while (found := look()) is None:
                    if self._over:
                        pytest.fail(f"it ended without {what}:\n{self.err.decode()}")
                    await self._news.wait()
                return found
        except TimeoutError:
            pytest.fail(f"waited in vain for {what}:\n{self.err.decode()}")

    async def says(self, pattern: str) -> re.Match[str]:
        """The first match in stderr."""
        return await self.until(lambda: re.search(pattern, self.err.decode(errors="replace")), pattern)

    async def ended(self, deadline: float = DEADLINE) -> Ended:
        """Wait for its own end."""
        await self.until(lambda: self._over or None, "an end", deadline)
        return Ended(await self.process.wait(), bytes(self.out), self.err.decode(errors="replace"))

    async def stop(self, number: signal.Signals = signal.SIGINT) -> Ended:
        """Send a signal and wait for the end."""
        self.process.send_signal(number)
        return await self.ended()

    async def feed(self, data: bytes) -> None:
        """Write standard input, to its end."""
        assert self.process.stdin is not None
        self.process.stdin.write(data)
        await self.process.stdin.drain()
        self.process.stdin.close()
        await self.process.stdin.wait_closed()

    async def kill(self) -> None:
        """Leave nothing behind, whatever became of the test."""
        if self.process.returncode is None:
            self.process.kill()
        await asyncio.gather(*self._pumps)

    @property
    def _over(self) -> bool:
        return self._drained == len(self._pumps)

    async def _pump(self, stream: asyncio.StreamReader, into: bytearray) -> None:
        while data := await stream.read(65536):
            async with self._news:
                into += data
                self._news.notify_all()
        await self.process.wait()
        async with self._news:
            self._drained += 1
            self._news.notify_all()


class Listener(Running):
    """`audiotap listen --json`, or a simulated agent, and what it tells."""

    url = ""
    port = 0
    control = Path()
    """Where its control socket is."""

    def told(self, kind: str, **where: object) -> list[dict[str, Any]]:
        """The events of a kind that it told so far."""
        whole, _, _ = bytes(self.out).rpartition(b"\n")
        events = [json.loads(line) for line in whole.splitlines()]
        return [event for event in events if event["event"] == kind and where.items() <= event.items()]

    async def event(self, kind: str, **where: object) -> dict[str, Any]:
        """The first event of a kind, already told or still to come."""
        return await self.until(lambda: next(iter(self.told(kind, **where)), None), f"{kind} {where}")

    async def finished(self, session: str) -> Recording:
        """A session's recording, once it is complete."""
        return Recording(await self.event("session.finished", session=session))

    def warnings(self) -> list[str]:
        return [event["message"] for event in self.told("warning")]


class Place:
    """A working folder and a runtime folder of its own: what is started here meets nobody from outside."""

    def __init__(self, folder: Path, runtime: Path) -> None:
        self.folder = folder
        self.out = folder / "recordings"
        self.started: list[Running] = []
        self.captures = False
        self.environment = {name: value for name, value in os.environ.items() if not name.startswith(OURS)} | {
            "PYTHONPATH": str(ROOT),
            **STARTED_OFTEN,
            "AUDIOTAP_RUNTIME_DIR": str(runtime),
            "AUDIOTAP_CONFIG": str(folder / "none.toml"),
            "AUDIOTAP_STATE_DIR": str(folder / "state"),
            "COLUMNS": "120",
        }

    async def start(
        self,
        *args: Arg,
        stdin: int = DEVNULL,
        stdout: int = PIPE,
        stderr: int = PIPE,
        environment: Mapping[str, str] | None = None,
        within: Sequence[Arg] = (),
    ) -> Running:
        """Start audiotap with arguments, in more environment, and behind a command that runs commands (`prlimit`)."""
        running = Running(await self._process(args, (stdin, stdout, stderr), environment, within))
        self.started.append(running)
        return running

    async def run(self, *args: Arg) -> Ended:
        """Run audiotap to its end."""
        return await (await self.start(*args)).ended()

    async def listen(
        self, *options: Arg, environment: Mapping[str, str] | None = None, within: Sequence[Arg] = ()
    ) -> Listener:
        """A listener that is ready; environment and command as for `start`."""
        capture = ("--capture", self.folder / "all.jsonl.gz") if self.captures and "--workers" not in options else ()
        args = ("listen", "--port", 0, "--out", self.out, "--json", *capture, *options)
        return await self._listening(args, environment, within)

    async def node(
        self, fleet: str, name: str, *options: Arg, environment: Mapping[str, str] | None = None
    ) -> Listener:
        """A listener of a fleet, with recordings of its own."""
        return await self.listen("--out", self.folder / name, "--fleet", fleet, *options, environment=environment)

    async def agent(self, provider: str, *options: Arg) -> Listener:
        """A simulated agent that may be dialled."""
        return await self._listening(("sim", "agent", provider, "--port", 0, "--json", *options))

    async def watch(self, *options: Arg) -> Listener:
        """A watcher, and what it tells under `--json`."""
        watcher = Listener(await self._process(("watch", *options), (DEVNULL, PIPE, PIPE), None, ()))
        self.started.append(watcher)
        return watcher

    async def bridge(
        self, provider: str, agent: str, *options: Arg, environment: Mapping[str, str] | None = None
    ) -> Listener:
        """A listener whose bots' sessions get the agent at a URL."""
        args = ("bridge", provider, "--url", agent, "--port", 0, "--out", self.out, "--json", *options)
        return await self._listening(args, environment)

    async def telling(
        self,
        *args: Arg,
        stdin: int = DEVNULL,
        environment: Mapping[str, str] | None = None,
        within: Sequence[Arg] = (),
    ) -> Listener:
        """Start what tells JSON events; environment and command as for `start`."""
        telling = Listener(await self._process((*args, "--json"), (stdin, PIPE, PIPE), environment, within))
        self.started.append(telling)
        return telling

    async def bot(self, url: str, *options: Arg) -> Running:
        """A simulated bot; its end is its summary."""
        return await self.start("sim", "bot", "--json", "--url", url, *options)

    async def _listening(
        self, args: Sequence[Arg], environment: Mapping[str, str] | None = None, within: Sequence[Arg] = ()
    ) -> Listener:
        listener = Listener(await self._process(args, (DEVNULL, PIPE, PIPE), environment, within))
        self.started.append(listener)
        ready = await listener.event("listening")
        listener.url, listener.port = ready["url"], ready["port"]
        listener.control = Path(self.environment["AUDIOTAP_RUNTIME_DIR"]) / "audiotap"
        return listener

    async def _process(
        self,
        args: Sequence[Arg],
        streams: tuple[int, int, int],
        environment: Mapping[str, str] | None,
        within: Sequence[Arg],
    ) -> Process:
        return await asyncio.create_subprocess_exec(
            *map(str, (*within, sys.executable, "-m", "audiotap", *args)),
            cwd=self.folder,
            env=self.environment | dict(environment or {}),
            stdin=streams[0],
            stdout=streams[1],
            stderr=streams[2],
        )


# Recordings


class Recording:
    """A session's folder, as its `session.finished` told it."""

    def __init__(self, finished: dict[str, Any]) -> None:
        self.finished = finished
        self.folder = Path(finished["path"])
        self.manifest: dict[str, Any] = json.loads((self.folder / "manifest.json").read_text("utf-8"))

    def entry(self, track: str) -> dict[str, Any]:
        """What the manifest says of a track."""
        found: dict[str, Any] = next(entry for entry in self.manifest["tracks"] if entry["track"] == track)
        return found

    def file(self, track: str) -> Path:
        return self.folder / str(self.entry(track)["file"])

    def samples(self, track: str) -> Samples:
        return read(self.file(track))

    @property
    def events(self) -> list[dict[str, Any]]:
        """The event log, line by line."""
        return [json.loads(line) for line in (self.folder / "events.jsonl").read_text("utf-8").splitlines()]

    def assert_holds(self, summary: dict[str, Any]) -> None:
        """Every sample that a simulated bot sent is here, at the place it was sent for, and nothing else."""
        sent = [track for track in summary["sent"] if track["first"] is not None]
        assert {track["track"] for track in sent} == {e["track"] for e in self.manifest["tracks"]} - {"spoken"}
        origin = min(track["first"] for track in sent)
        for track in sent:
            assert_same(self.samples(track["track"]), read(Path(track["file"]))[origin:])


def read(path: Path) -> Samples:
    samples, _ = soundfile.read(str(path), dtype="int16")
    return np.asarray(samples, dtype=np.int16)


def write(path: Path, samples: NDArray[Any], rate: int = RATE) -> Path:
    """A WAV file of int16 samples, one column per channel."""
    soundfile.write(str(path), samples.astype(np.int16), rate, subtype="PCM_16")
    return path


def assert_same(got: Samples, expected: Samples) -> None:
    """Sample by sample, with a message that is readable for a million of them."""
    common = min(len(got), len(expected))
    differing = np.flatnonzero(got[:common] != expected[:common])
    assert not len(differing), f"{len(differing)} samples differ, the first at {differing[0]}"
    assert len(got) == len(expected)


def ramp(seconds: float, rate: int = RATE) -> Samples:
    """Samples that are never zero, and of which none looks like its neighbours: a loss or a swap shows."""
    return np.asarray(np.arange(round(seconds * rate)) % 29989 + 1, dtype=np.int16)


def tone(seconds: float, rate: int = RATE, level: int = 8000) -> Samples:
    """Something smooth, as sound is."""
    wave = level * np.sin(2 * np.pi * 440 * np.arange(round(seconds * rate)) / rate)
    return np.asarray(np.rint(wave), dtype=np.int16)


def sounding(samples: Samples) -> Samples:
    """Without the silence around and between."""
    return np.asarray(samples[samples != 0])


# What bots say, written by hand


def b64(pcm: bytes | Samples) -> str:
    return base64.b64encode(pcm if isinstance(pcm, bytes) else pcm.astype("<i2").tobytes()).decode()


def attendee(pcm: bytes | Samples, end: float, track: str = "", *, bot: str = "bot_1", **more: Any) -> str:
    """An Attendee message whose audio ends at `end` seconds of the call; `more` goes into its data, None leaves out."""
    data: dict[str, Any] = {
        "participant_uuid": track or None,
        "chunk": b64(pcm),
        "timestamp_ms": EPOCH_MS + round(end * 1000),
        "sample_rate": RATE,
    } | more
    return json.dumps(
        {
            "trigger": "realtime_audio.per_participant" if track else "realtime_audio.mixed",
            "bot_id": bot,
            "data": {key: value for key, value in data.items() if value is not None},
        }
    )


def recall(
    pcm: bytes | Samples, begin: float, participant: dict[str, Any] | None = None, recording: str = "rec"
) -> str:
    """A Recall message whose audio begins `begin` seconds after the recording did; mixed without a participant."""
    kind = "audio_separate" if participant else "audio_mixed"
    data: dict[str, object] = {
        "buffer": b64(pcm),
        "timestamp": {"relative": begin, "absolute": "2026-01-01T00:00:00Z"},
    }
    if participant:
        data["participant"] = {"is_host": False, "platform": "desktop", "extra_data": {}, **participant}
    payload = {
        "data": data,
        "realtime_endpoint": {"id": "endpoint", "metadata": {}},
        f"{kind}_raw": {"id": "artifact", "metadata": {}},
        "recording": {"id": recording, "metadata": {}},
        "bot": {"id": "recall-bot", "metadata": {}},
    }
    return json.dumps({"event": f"{kind}_raw.data", "data": payload})


def chunks(samples: Samples, seconds: float = 0.1) -> list[Samples]:
    """Cut evenly."""
    size = round(seconds * RATE)
    return [samples[start : start + size] for start in range(0, len(samples), size)]


async def stretch(sound: Samples, bot: ClientConnection, begin: float, end: float, session: str = "bot_1") -> None:
    """A stretch of an Attendee bot's call, in seconds, which the listener has taken when this returns."""
    for n, piece in enumerate(chunks(sound), 1):
        if begin < n / 10 <= end + 1e-9:
            await bot.send(attendee(piece, n / 10, bot=session))
    await (await bot.ping())


async def call(url: str, *wires: str | bytes) -> None:
    """A bot's whole connection: dial, say everything, close."""
    async with connect(url, compression=None, max_size=None) as bot:
        for wire in wires:
            await bot.send(wire)
