"""A meeting with a voice agent in it: a simulated agent, `audiotap bridge`, and bots that a test has in its hands."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import TypeVar

import numpy as np
import pytest
from tests.scenarios.harness import DEADLINE, RATE, Arg, Listener, Place, Samples, attendee, recall, sounding
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

from audiotap.dialects.attendee import Attendee
from audiotap.dialects.base import Side
from audiotap.events import Event, Pause, Speak

KEY = "agent-k3y-that-nobody-may-see"
KEYS = {
    "openai": {"OPENAI_API_KEY": KEY},
    "azure": {"AZURE_OPENAI_API_KEY": KEY},
    "botify": {},
    "deepgram": {"DEEPGRAM_API_KEY": KEY},
    "amigo": {"AMIGO_TOKEN": KEY},
}
NEEDS: dict[str, tuple[Arg, ...]] = {
    "openai": ("--model", "model"),
    "azure": ("--model", "deployment"),
    "amigo": ("--organization", "org", "--service", "service"),
}
"""What has to be said of a vendor's agent besides where it is."""
QUIET = 0.8
"""Seconds of silence after which an agent takes a turn to be over."""

NOTHING: Samples = np.zeros(0, np.int16)

T = TypeVar("T")


async def bridged(place: Place, provider: str, agent: str, *options: Arg) -> Listener:
    """A bridge to an agent of a vendor at a URL."""
    return await place.bridge(provider, agent, *NEEDS.get(provider, ()), *options, environment=KEYS[provider])


class Bot:
    """An Attendee bot: what is said in its meeting is sent as fast as it goes, what it is told is kept in order.

    `said` are all samples of its mix.
    """

    def __init__(self, connection: ClientConnection, name: str, rate: int, said: Samples) -> None:
        self.connection = connection
        self.name = name
        self.rate = rate
        self.said = said
        self.told: list[Event] = []
        self._language = Attendee(Side.THEIRS)
        self._news = asyncio.Condition()

    async def say(self, *parts: Samples) -> None:
        """Say something in the meeting."""
        samples = np.concatenate(parts)
        size = self.rate // 10
        for start in range(0, len(samples), size):
            piece = samples[start : start + size]
            wire = self._wire(piece)
            self.said = np.concatenate([self.said, piece])
            await self.connection.send(wire)

    async def ask(self, speech: Samples) -> None:
        """Say something, and be quiet for so long that it is answered."""
        await self.say(speech, silence(QUIET, self.rate))

    async def until(self, look: Callable[[], T | None], what: str) -> T:
        """What `look` finds in what the bot was told, as soon as it does."""
        try:
            async with asyncio.timeout(DEADLINE), self._news:
                while (found := look()) is None:
                    await self._news.wait()
                return found
        except TimeoutError:
            pytest.fail(f"{self.name} waited in vain for {what}: {len(self.spoken)} samples, {self.pauses}")

    async def plays(self, samples: int) -> None:
        """It was told to play so many of them."""
        await self.until(lambda: len(self.spoken) >= samples or None, f"{samples} samples")

    async def leave(self) -> None:
        """Lose the connection, without a goodbye."""
        self.connection.transport.abort()
        await self.connection.wait_closed()

    @property
    def spoken(self) -> Samples:
        """What it was told to play, without silence."""
        return played(self.told)

    @property
    def pauses(self) -> list[float]:
        return [event.seconds for event in self.told if isinstance(event, Pause)]

    def _wire(self, piece: Samples) -> str:
        """What is said next, as the provider says it."""
        end = (len(self.said) + len(piece)) / self.rate
        return attendee(piece, end, bot=self.name, sample_rate=self.rate)

    async def read(self) -> None:
        """Hear, until the connection ends."""
        try:
            async for wire in self.connection:
                async with self._news:
                    self.told += self._language.decode(wire)
                    self._news.notify_all()
        except ConnectionClosed:
            return


class RecallBot(Bot):
    """A Recall bot, which is told nothing on its connection."""

    def _wire(self, piece: Samples) -> str:
        return recall(piece, len(self.said) / self.rate, recording=self.name)


@asynccontextmanager
async def joined(
    bridge: Listener,
    name: str = "bot_1",
    rate: int = RATE,
    *,
    ready: bool = True,
    said: Samples = NOTHING,
    kind: type[Bot] = Bot,
) -> AsyncIterator[Bot]:
    """A bot in its meeting, whose agent is `ready` if it's waited for; `said` is what was said there before."""
    async with connect(bridge.url, compression=None, max_size=None) as connection:
        bot = kind(connection, name, rate, said)
        reading = asyncio.create_task(bot.read())
        try:
            await bot.say(silence(0.1, rate))
            if ready:
                await bridge.event("agent.ready", session=name)
            yield bot
        finally:
            await connection.close()
            await reading


def played(told: list[Event]) -> Samples:
    """What a bot that was told this plays, without silence."""
    pcm = b"".join(event.chunk.pcm for event in told if isinstance(event, Speak))
    return sounding(np.frombuffer(pcm, "<i2"))


def silence(seconds: float, rate: int = RATE) -> Samples:
    return np.zeros(round(seconds * rate), np.int16)


def voice(seconds: float, rate: int = RATE, pitch: float = 440.0) -> Samples:
    """A tone that rises, so that no part of it is like another, and without zeros, which would be silence."""
    at = (np.arange(round(seconds * rate)) + 0.5) / rate
    wave = np.rint(8000 * np.sin(2 * np.pi * pitch * (at + 0.02 * at**2)))
    return np.where(wave == 0, 1, wave).astype(np.int16)
