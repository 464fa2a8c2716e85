"""What conversations are told with: a user of a simulated agent, and the folder that comes of it."""

from __future__ import annotations

import asyncio
import json
from asyncio.subprocess import DEVNULL
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import numpy as np
import soundfile
from tests.scenarios.harness import RATE, Arg, Ended, Listener, Place, Samples, read, tone, write
from websockets.asyncio.client import ClientConnection, connect
from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosed
from websockets.typing import Subprotocol

from audiotap.audio import Chunk, Resampler
from audiotap.dialects.agents import AGENTS

KEY = "sesame-0123456789"
KEYS = dict.fromkeys(("OPENAI_API_KEY", "AZURE_OPENAI_API_KEY", "DEEPGRAM_API_KEY", "AMIGO_TOKEN"), KEY)
ACCOUNTS: dict[str, tuple[Arg, ...]] = {
    "openai": ("--model", "m", "--transcribe", "t"),
    "azure": ("--model", "m", "--transcribe", "t"),
    "botify": (),
    "deepgram": (),
    "amigo": ("--organization", "org", "--service", "svc"),
}
"""What each vendor has to be told, and what makes it write down what the user says."""
SPEECH = 0.6
"""Seconds of what is said here."""
ABNORMAL = 1006
PROMPT = ("--think", 0, "--silence", 0.2, "--faster", 0)
"""How an agent answers without delay."""


def rate(vendor: str) -> int:
    """The rate at which a vendor's agent hears and speaks."""
    return AGENTS[vendor].rates[0]


def question(place: Place, vendor: str, name: str = "question.wav") -> Path:
    """A file to be said, at the agent's own rate."""
    return write(place.folder / name, tone(SPEECH, rate(vendor)), rate(vendor))


async def agent(place: Place, vendor: str, *options: Arg) -> Listener:
    """A simulated agent that says what it hears, at once."""
    return await place.agent(vendor, "--echo", *PROMPT, *options)


async def user(
    place: Place, vendor: str, url: str, *args: Arg, stdin: int = DEVNULL, key: str = KEY, within: Sequence[Arg] = ()
) -> Listener:
    """A user that talks to an agent; its events may be awaited."""
    keys = dict.fromkeys(KEYS, key)
    where = ("--url", url, "--out", place.out)
    return await place.telling(
        "converse", vendor, *args, *where, *ACCOUNTS[vendor], stdin=stdin, environment=keys, within=within
    )


async def talked(place: Place, vendor: str, url: str, *args: Arg, key: str = KEY) -> Talk:
    """A whole conversation, and what became of it."""
    talking = await user(place, vendor, url, *args, key=key)
    return Talk(talking, await talking.ended())


class Talk:
    """A conversation that is over: its end, and its files."""

    def __init__(self, told: Listener, ended: Ended) -> None:
        self.told = told
        self.ended = ended
        assert "Traceback" not in ended.err
        (self.finished,) = told.told("conversation.finished")
        self.folder = Path(self.finished["path"])

    @property
    def turns(self) -> list[dict[str, Any]]:
        return self._json("turns.json")

    @property
    def said(self) -> list[tuple[str, str]]:
        """Who said what, in order."""
        return [(row["role"], row["text"]) for row in self._json("transcript.json")]

    @property
    def events(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in (self.folder / "events.jsonl").read_text("utf-8").splitlines()]

    @property
    def manifest(self) -> dict[str, Any]:
        manifest: dict[str, Any] = json.loads((self.folder / "manifest.json").read_text("utf-8"))
        return manifest

    def samples(self, track: str) -> Samples:
        return read(self.folder / f"{track}.wav")

    def sides(self) -> tuple[Samples, Samples]:
        """The two channels of the conversation."""
        both, _ = soundfile.read(str(self.folder / "conversation.wav"), dtype="int16", always_2d=True)
        return both[:, 0], both[:, 1]

    def _json(self, name: str) -> list[dict[str, Any]]:
        rows: list[dict[str, Any]] = json.loads((self.folder / name).read_text("utf-8"))
        return rows


def trimmed(samples: Samples) -> Samples:
    """Without the silence around."""
    return np.asarray(np.trim_zeros(samples), dtype=np.int16)


def runs(samples: Samples) -> list[Samples]:
    """What lies between silences of a tenth of a second and more."""
    loud = np.flatnonzero(samples)
    cuts = np.flatnonzero(np.diff(loud) > RATE // 10) + 1
    return [samples[part[0] : part[-1] + 1] for part in np.split(loud, cuts)]


def at_rate(samples: Samples, source: int, target: int) -> Samples:
    """The same sound at another rate."""
    pcm = Resampler(source, target).push(Chunk(samples.tobytes(), source).pcm, last=True)
    return np.frombuffer(pcm, dtype="<i2").astype(np.int16)


def likeness(one: Samples, other: Samples) -> float:
    """How alike two sounds are at their best fit in time: 1 for the same, 0 for strangers."""
    first, second = one.astype(np.float64), other.astype(np.float64)
    size = len(first) + len(second)
    fits = np.fft.irfft(np.fft.rfft(first, size) * np.conj(np.fft.rfft(second, size)), size)
    return float(fits.max() / np.sqrt(np.square(first).sum() * np.square(second).sum()))


def private(place: Place) -> list[Path]:
    """Every file below the working folder, for a look at what must not be in it."""
    return [path for path in place.folder.rglob("*") if path.is_file()]


class Wiretap:
    """Stands between a user and an agent, and keeps what goes over the wire: what was asked for, and what was said."""

    def __init__(self, agent: Listener) -> None:
        self.paths: list[str] = []
        self.headers: list[dict[str, str]] = []
        self.said: list[str | bytes] = []
        self._agent = agent

    @asynccontextmanager
    async def listening(self) -> AsyncIterator[str]:
        """The URL to dial."""
        async with serve(self._relay, "127.0.0.1", 0, max_size=None, select_subprotocol=_first) as server:
            yield f"ws://127.0.0.1:{server.sockets[0].getsockname()[1]}"

    def kinds(self) -> list[str]:
        """The types of the user's messages, those that follow themselves once."""
        types = [json.loads(wire)["type"] if isinstance(wire, str) else "binary" for wire in self.said]
        return [kind for kind, before in zip(types, [None, *types], strict=False) if kind != before]

    def messages(self, kind: str) -> list[dict[str, Any]]:
        """The user's messages of a type."""
        read_ = [json.loads(wire) for wire in self.said if isinstance(wire, str)]
        return [message for message in read_ if message["type"] == kind]

    async def _relay(self, near: ServerConnection) -> None:
        request = near.request
        assert request is not None
        self.paths.append(request.path)
        self.headers.append({name.lower(): value for name, value in request.headers.raw_items()})
        kept = {name: value for name, value in self.headers[-1].items() if name in {"authorization", "api-key"}}
        offered = [Subprotocol(near.subprotocol)] if near.subprotocol else None
        async with connect(
            self._agent.url + request.path, additional_headers=kept, subprotocols=offered, max_size=None
        ) as far:
            back = asyncio.create_task(_pass_on(far, near))
            async for wire in near:
                self.said.append(wire)
                with suppress(ConnectionClosed):
                    await far.send(wire)
            await far.close()
            await back


async def _pass_on(far: ClientConnection, near: ServerConnection) -> None:
    with suppress(ConnectionClosed):
        async for wire in far:
            await near.send(wire)
    if far.close_code in {None, ABNORMAL}:
        near.transport.abort()
    else:
        await near.close(far.close_code or 0, far.close_reason or "")


def _first(_: ServerConnection, offered: Sequence[Subprotocol]) -> Subprotocol | None:
    return offered[0] if offered else None
