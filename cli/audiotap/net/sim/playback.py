"""What bots do with the speech they are sent: the models that the simulator plays by. `Playback` is Attendee's.

Source: bots/bot_controller/realtime_audio_output_manager.py of attendee-labs/attendee, and its fork's pause
(docs/dialects/attendee.md tells what was seen). It cuts into exact pieces of 100 ms; what is left over is thrown away
when more than 150 ms pass before the next message; pieces are handed to the meeting much faster than real time.
"""

from __future__ import annotations

import math
from collections import deque

import msgspec

from audiotap.audio import SAMPLE_BYTES, Chunk
from audiotap.dialects.attendee import Attendee
from audiotap.events import Pause

PIECE = 0.1
RESIDUE_LIFE = 0.15
EARLY = 0.02
"""Seconds by which a loudspeaker asks for what is next before it is out of sound."""
HAND_OVER = {"meet": 0.1, "teams": 0.1, "zoom": 0.9}
"""Seconds that handing over one second takes: browsers get it ten times faster than real time, Zoom's SDK hardly."""


class Played(msgspec.Struct, frozen=True):
    """A piece that the meeting hears from `at` on, on the clock that was handed in."""

    at: float
    chunk: Chunk
    mark: str | None = None
    """It is no sound, but the place up to which somebody wants to know that all was heard."""


class Loudspeaker:
    """A bot that plays all it is sent, one after the other, at any rate that it takes. There is no clock here."""

    def __init__(self, rates: tuple[int, ...]) -> None:
        self.lost = 0.0
        self.unplayable = 0
        self._rates = rates
        self._queue: deque[Chunk | str] = deque()
        self._ends_at = -math.inf

    def add(self, chunk: Chunk, _: float) -> None:
        """A message of speech arrived."""
        if chunk.rate in self._rates:
            self._queue.append(chunk)
        else:
            self.unplayable += 1

    def pause(self, pause: Pause, now: float) -> None:
        """There is no pause."""

    def mark(self, name: str) -> None:
        """Tell when all that came before was heard, or dropped."""
        self._queue.append(name)

    def clear(self, now: float) -> None:
        """Drop what was not heard yet, but for what was asked to be told."""
        self.lost += max(0.0, self._ends_at - now) + sum(one.seconds for one in self._queue if isinstance(one, Chunk))
        self._queue = deque(one for one in self._queue if isinstance(one, str))
        self._ends_at = now

    def poll(self, now: float) -> tuple[Played | None, float | None]:
        """The message that is played next and when it's heard, or when to ask again."""
        if not self._queue:
            return None, None
        marked = isinstance(self._queue[0], str)
        due = self._ends_at if marked else self._ends_at - EARLY
        if now < due:
            return None, due
        chunk = self._queue.popleft()
        if isinstance(chunk, str):
            return Played(now, Chunk(b"", self._rates[0]), chunk), None
        at = max(now, self._ends_at)
        self._ends_at = at + chunk.seconds
        return Played(at, chunk), None

    def finish(self) -> None:
        """The bot leaves: what waits was never heard."""
        self.lost += sum(one.seconds for one in self._queue if isinstance(one, Chunk))
        self._queue.clear()


class Playback:
    """Takes what the bot is sent, and tells what the meeting hears. There is no clock here."""

    def __init__(self, platform: str) -> None:
        self.lost = 0.0
        self.unplayable = 0
        self._pace = HAND_OVER[platform] * PIECE
        self._residue = b""
        self._rate = 0
        self._last = -math.inf
        self._queue: deque[Chunk] = deque()
        self._hand_at = -math.inf
        self._paused_until = -math.inf
        self._ends_at = -math.inf

    def add(self, chunk: Chunk, now: float) -> None:
        """A message of speech arrived.

        The residue is bytes, so an odd count turns all that follows into noise. At another rate than it takes, the
        bot's play thread dies, and nothing is heard.
        """
        if chunk.rate not in Attendee.rates:
            self.unplayable += 1
            return
        if now - self._last > RESIDUE_LIFE:
            self._lose(self._residue)
            self._residue = b""
        self._last = now
        self._rate = chunk.rate
        self._residue += chunk.pcm
        size = int(SAMPLE_BYTES * PIECE * chunk.rate)
        while len(self._residue) >= size:
            self._queue.append(Chunk(self._residue[:size], chunk.rate))
            self._residue = self._residue[size:]

    def mark(self, name: str) -> None:
        """There is none."""

    def clear(self, now: float) -> None:
        """There is no way to take anything back."""

    def pause(self, pause: Pause, now: float) -> None:
        """The fork's pause: pieces that were not handed over wait; the last word wins."""
        self._paused_until = now + pause.seconds

    def poll(self, now: float) -> tuple[Played | None, float | None]:
        """The piece that is handed over now and when it's heard, or when to ask again."""
        if not self._queue:
            return None, None
        due = max(self._hand_at, self._paused_until)
        if now < due:
            return None, due
        self._hand_at = now + self._pace
        chunk = self._queue.popleft()
        at = max(now, self._ends_at)
        self._ends_at = at + chunk.seconds
        return Played(at, chunk), None

    def finish(self) -> None:
        """The bot leaves: what is left over was never heard."""
        self._lose(self._residue)
        for chunk in self._queue:
            self._lose(chunk.pcm)

    def _lose(self, pcm: bytes) -> None:
        if pcm:
            self.lost += len(pcm) / SAMPLE_BYTES / self._rate
