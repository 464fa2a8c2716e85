"""What goes wrong around a listener, a call that goes on meanwhile, and what other programs make of the files."""

from __future__ import annotations

import asyncio
import os
import shutil
import subprocess
import wave
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from itertools import count
from pathlib import Path

import numpy as np
import pytest
from tests.scenarios.harness import DEADLINE, RATE, ROOT, Place, Samples, assert_same, attendee, read
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

FAULTY = Path(__file__).with_name("faulty")
MESSAGE = RATE // 50
TRACKS = ("mixed", *(f"person {n}" for n in range(1, 8)))


class Disk:
    """The disk as one process meets it, which has to be started with this `environment`.

    `part` limits what happens to paths that contain it.
    """

    def __init__(self, place: Place) -> None:
        self._switches = place.folder / "faults"
        self._switches.mkdir()
        self.environment = {"PYTHONPATH": f"{FAULTY}{os.pathsep}{ROOT}", "FAULTS": str(self._switches)}

    def hold(self, part: str = "") -> None:
        """Let every write wait."""
        self._switch("held", f"all {part}")

    def refuse(self, number: int, part: str = "") -> None:
        """Let every write fail with an error of `errno`."""
        self._switch("refused", f"{number} {part}")

    def kill_at(self, number: int, part: str = "") -> None:
        """Kill the process in place of its write of that number from here on."""
        self._switch("deadly", f"{number} {part}")

    def watch(self) -> Path:
        """Keep what is on the surface; the folder that has a power cut's remains of each session's folder."""
        self._switch("watched", "all ")
        return self._switches / "surface"

    def recover(self) -> None:
        """Be a disk like any other again."""
        for switch in self._switches.iterdir():
            switch.unlink()

    def _switch(self, name: str, text: str) -> None:
        draft = self._switches / f"{name}.draft"
        draft.write_text(text, "utf-8")
        draft.rename(self._switches / name)


class Call:
    """An Attendee bot that sends a mix and seven participants as time passes; `sent` are samples handed over so far."""

    def __init__(self, bot: ClientConnection, session: str) -> None:
        self.sent = dict.fromkeys(TRACKS, 0)
        self._bot = bot
        self._session = session
        self._news = asyncio.Condition()
        self._over = False

    async def speak(self) -> None:
        """Send until the connection closes."""
        loop = asyncio.get_running_loop()
        began = loop.time()
        with suppress(ConnectionClosed):
            for number in count(1):
                await asyncio.sleep(began + number * MESSAGE / RATE - loop.time())
                for track in TRACKS:
                    await self._send(track, number * MESSAGE)
                async with self._news:
                    self._news.notify_all()
        async with self._news:
            self._over = True
            self._news.notify_all()

    async def lasts(self, seconds: float) -> None:
        """Wait until that much of every track was sent from here on."""
        wanted = min(self.sent.values()) + seconds * RATE
        async with asyncio.timeout(DEADLINE), self._news:
            while min(self.sent.values()) < wanted:
                assert not self._over, "the connection was closed"
                await self._news.wait()

    async def is_answered(self) -> None:
        """Wait until the listener has answered a ping."""
        async with asyncio.timeout(DEADLINE):
            await (await self._bot.ping())

    async def _send(self, track: str, end: int) -> None:
        sound = signal(track, end - MESSAGE, end)
        self.sent[track] = end
        await self._bot.send(attendee(sound, end / RATE, "" if track == "mixed" else track, bot=self._session))


@asynccontextmanager
async def calling(url: str, session: str = "bot_1") -> AsyncIterator[Call]:
    """A call that goes on while the block runs."""
    async with connect(url, compression=None) as bot:
        call = Call(bot, session)
        speaking = asyncio.create_task(call.speak())
        try:
            yield call
        finally:
            speaking.cancel()
            await asyncio.gather(speaking, return_exceptions=True)


def signal(track: str, start: int, end: int) -> Samples:
    """What a call's track is made of: no zeros, no sample like its neighbours, no two tracks alike."""
    return np.asarray((np.arange(start, end) + 3000 * TRACKS.index(track)) % 29989 + 1, dtype=np.int16)


def assert_begins(path: Path, track: str) -> int:
    """A file holds a call's track from its first sample on and nothing else; how many samples."""
    samples = read(path)
    assert_same(samples, signal(track, 0, len(samples)))
    return len(samples)


def readers(path: Path) -> dict[str, int]:
    """How many samples of a WAV each program reads; one that fails or warns, or reads others than the rest, is told.

    Of sox and ffmpeg those that are installed.
    """
    heard = {name: _heard(name, read, path) for name, read in READERS.items() if read is not None}
    longest = max(heard.values(), key=len)
    assert [name for name, pcm in heard.items() if not longest.startswith(pcm)] == [], f"{path} is read in two ways"
    return {name: len(pcm) // 2 for name, pcm in heard.items()}


def written(path: Path, samples: int) -> None:
    """Wait until a WAV has that many samples; programs are asked when it is large enough to."""
    while not path.exists() or path.stat().st_size < 2 * samples:
        pass
    while max(readers(path).values()) < samples:
        pass


def _heard(name: str, reader: Callable[[Path], bytes], path: Path) -> bytes:
    try:
        return reader(path)
    except (RuntimeError, EOFError, wave.Error) as error:
        pytest.fail(f"{name} cannot read {path}: {error}")


def _wave(path: Path) -> bytes:
    with wave.open(str(path), "rb") as file:
        assert (file.getframerate(), file.getnchannels(), file.getsampwidth()) == (RATE, 1, 2)
        return file.readframes(file.getnframes())


def _program(*command: str) -> Callable[[Path], bytes] | None:
    """What a program decodes, where {} is the file; None if it is not installed."""
    if shutil.which(command[0]) is None:
        return None

    def decoded(path: Path) -> bytes:
        told = subprocess.run([part.format(path) for part in command], capture_output=True, check=False)
        if told.returncode or told.stderr:
            raise RuntimeError(told.stderr.decode())
        return told.stdout

    return decoded


READERS: dict[str, Callable[[Path], bytes] | None] = {
    "soundfile": lambda path: read(path).tobytes(),
    "wave": _wave,
    "ffmpeg": _program("ffmpeg", "-v", "error", "-i", "{}", "-f", "s16le", "-"),
    "sox": _program("sox", "-D", "{}", "-t", "raw", "-"),
}
