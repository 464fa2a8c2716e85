"""MeetingBaaS's audio streaming: a JSON hello, then bare samples both ways, and who speaks as JSON between them.

Source: src/streaming.ts of Meeting-BaaS/meet-teams-bot (June 2025, and its pull requests 98, 320 and 327 of 2025 and
2026). Samples bear no time: `offset` is always 0, and `start_time` tells when the capture began, not the connection.
"""

from __future__ import annotations

from typing import Any, ClassVar

import msgspec

from audiotap.audio import Chunk
from audiotap.dialects.bare import Bare, Hello, hello
from audiotap.dialects.base import MAX_OCCURRENCE, Side, Wire, lenient
from audiotap.errors import UnspokenError, WireError
from audiotap.events import MIXED, Asked, Event, Heard, Occurred, Speak
from audiotap.session import Timing

DEFAULT_RATE = 24000
"""What a bot sends and takes whose hello tells no rate."""
SPEAKERS = "speakers"
_ROSTER = msgspec.json.Decoder(list[dict[str, Any]])


class MeetingBaas(Bare):
    """One connection's worth of it."""

    name: ClassVar[str] = "meetingbaas"
    knows: ClassVar[frozenset[type]] = frozenset({Speak})
    rates: tuple[int, ...] = (16000, 24000, 32000, 48000)
    timing: ClassVar[Timing] = Timing(tolerance=0.1, linger=30.0, retries=330.0, steady=True)
    spellings: ClassVar[tuple[str, ...]] = ()

    @staticmethod
    def claims(wire: Wire, _: Asked) -> bool:
        told = hello(wire)
        return told is not None and told.separate_streams is None

    def decode(self, wire: Wire) -> list[Event]:
        if isinstance(wire, bytes):
            told = self.met(wire)
            chunk = Chunk(wire, _rate(told))
            return [Heard(told.bot_id, MIXED, chunk) if self.side is Side.OURS else Speak(chunk)]
        if wire.lstrip().startswith("["):
            return [self._roster(wire)]
        return [self.read(wire)]

    def encode(self, event: Event) -> list[Wire]:
        match event:
            case Heard(chunk=chunk):
                return [chunk.pcm]
            case Speak(chunk):
                if chunk.rate not in self.rates:
                    raise UnspokenError(f"this bot takes {self.rates[0]} Hz, and not {chunk.rate}")
                return [chunk.pcm]
            case Occurred(kind=kind, data=data) if kind == SPEAKERS:
                return [msgspec.json.encode(data[SPEAKERS]).decode()]
            case _:
                return [self.write(event)]

    def learn(self, told: Hello) -> None:
        """What is sent both ways has the rate that the hello tells."""
        super().learn(told)
        self.rates = (_rate(told),)

    def _roster(self, wire: str) -> Occurred:
        """Who is there and who speaks: a list, which names nobody's session."""
        speakers = lenient(_ROSTER, wire)
        if self.hello is None:
            raise WireError("speakers before a hello")
        if len(wire) > MAX_OCCURRENCE:
            raise WireError(f"speakers of {len(wire)} characters")
        return Occurred(self.hello.bot_id, SPEAKERS, {SPEAKERS: speakers})


def _rate(told: Hello) -> int:
    return told.sample_rate or DEFAULT_RATE
