"""What a listener in the meeting hears: its tracks as one stream at one rate, in real time, without an end.

Where a session has a mix, that is what's heard, as it comes. Where it has participants only, they are added up, each by
its arrival: good enough to be understood. Who is late after a stall makes up for it in the pauses of their speech.
There is no clock here: `now` is handed in.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from audiotap.audio import SAMPLE_BYTES, Chunk, mix
from audiotap.endpointing import Endpointer, without_quiet
from audiotap.events import MIXED
from audiotap.intake import Intake

PATIENCE = 0.25
"""Seconds without audio after which silence is heard: an agent must notice that nobody speaks."""
CUSHION = 0.06
"""Seconds by which participants are heard later than they came, so that they come in time to be added up."""
BEHIND = 0.3
"""Seconds of a participant that may wait to be heard; of more, what is quiet is dropped, …"""
MOST_BEHIND = 1.0
"""… and of more than this the oldest, whatever it is."""


UNANSWERED = 15.0
"""Seconds without a word of an agent's after somebody spoke, which is worth a warning."""
SPEECH = 1.0
"""Seconds of speech that no agent fails to notice."""


class Notice:
    """Whether who hears a stream at `rate` takes notice of the speech in it: an agent that says nothing may be gone."""

    def __init__(self, rate: int) -> None:
        self._endpointer = Endpointer(rate)
        self._least = round(SPEECH * rate)
        self._began = 0
        self._since: float | None = None

    def push(self, pcm: bytes, now: float) -> None:
        """Take what is heard."""
        for boundary in self._endpointer.push(pcm):
            if boundary.speech:
                self._began = boundary.at
            elif boundary.at - self._began >= self._least and self._since is None:
                self._since = now

    def taken(self) -> None:
        """A word came, whatever it says."""
        self._since = None

    def overdue(self, now: float) -> bool:
        """Whether somebody spoke, and nobody took notice for too long; told once."""
        overdue = self._since is not None and now - self._since >= UNANSWERED
        if overdue:
            self._since = math.inf
        return overdue


class Hearing:
    """One session's tracks as one stream at `rate`, from `now` on."""

    def __init__(self, rate: int, now: float) -> None:
        self.rate = rate
        self._mixed = False
        self._came = now
        self._zero = now
        self._given = 0
        self._intakes: dict[str, Intake] = {}
        self._waiting: dict[str, bytearray] = {}

    def push(self, track: str, chunks: Sequence[Chunk], now: float) -> bytes:
        """Take chunks of a track; the S16LE of it that is heard at once."""
        if track == MIXED:
            if not self._mixed:
                self._mixed, self._waiting = True, {}
            self._came = now
            return self._give(self._take(track, chunks))
        if not self._mixed:
            waiting = self._waiting.setdefault(track, bytearray())
            surplus = len(waiting) // SAMPLE_BYTES - round(BEHIND * self.rate)
            if not waiting:
                waiting += bytes(max(0, self._passed(now) - self._given) * SAMPLE_BYTES)
            waiting += self._take(track, chunks)
            most = round(MOST_BEHIND * self.rate) * SAMPLE_BYTES
            if len(waiting) > most:
                del waiting[: len(waiting) - most]
            if surplus > 0:
                waiting[:] = without_quiet(waiting, self.rate, surplus)
        return b""

    def tick(self, now: float) -> bytes:
        """What is heard because time passes: participants added up, and silence where nothing comes."""
        due = self._passed(now) - self._given
        if self._mixed:
            if now - self._came < PATIENCE or due <= 0:
                return b""
            return self._give(self._rest(MIXED).ljust(due * SAMPLE_BYTES, b"\0"))
        due -= round(CUSHION * self.rate)
        if due <= 0:
            return b""
        parts = []
        for track, waiting in self._waiting.items():
            if len(waiting) < due * SAMPLE_BYTES:
                waiting.extend(self._rest(track))
            part = bytes(waiting[: due * SAMPLE_BYTES])
            del waiting[: len(part)]
            if part:
                parts.append(part.ljust(due * SAMPLE_BYTES, b"\0"))
        return self._give(mix(parts) if parts else bytes(due * SAMPLE_BYTES))

    def _take(self, track: str, chunks: Sequence[Chunk]) -> bytes:
        intake = self._intakes.setdefault(track, Intake(self.rate, _nobody))
        return b"".join(intake.take(chunk) for chunk in chunks)

    def _rest(self, track: str) -> bytes:
        """What a resampler still held of a track that goes on no more."""
        intake = self._intakes.pop(track, None)
        return intake.rest() if intake is not None else b""

    def _passed(self, now: float) -> int:
        """Samples of real time."""
        return round((now - self._zero) * self.rate)

    def _give(self, pcm: bytes) -> bytes:
        self._given += len(pcm) // SAMPLE_BYTES
        return pcm


def _nobody(_: str) -> None:
    """Oddities of the audio are told where it is recorded."""
