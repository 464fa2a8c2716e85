"""Recall.ai's API v1.10, `real_time_media.websocket_audio_destination_url`: a JSON hello, then bare samples.

Source: docs.recall.ai/v1.10/docs/real-time-audio-protocol. The hello's `offset` is the time of this connection's first
sample, in seconds since the recording began, and nothing else bears a time: it is counted on by samples. Participants
have connections of their own, whose messages begin with the participant's number. There is no way to speak.
"""

from __future__ import annotations

from typing import ClassVar

from audiotap.audio import SAMPLE_BYTES, Chunk
from audiotap.dialects.bare import Bare, Hello, hello
from audiotap.dialects.base import Side, Wire, track_participant
from audiotap.errors import UnspokenError, WireError
from audiotap.events import MIXED, UNASKED, Asked, Event, Heard
from audiotap.session import Timing

RATE = 16000
PREFIX = 4
"""Bytes of a participant's number."""


class Recall110(Bare):
    """One connection's worth of it."""

    name: ClassVar[str] = "recall110"
    knows: ClassVar[frozenset[type]] = frozenset()
    rates: tuple[int, ...] = ()
    timing: ClassVar[Timing] = Timing(tolerance=0.05, linger=300.0, retries=300.0)
    spellings: ClassVar[tuple[str, ...]] = ()

    def __init__(self, side: Side, _: Asked = UNASKED) -> None:
        super().__init__(side)
        self._bytes = 0
        self._participant: int | None = None
        self._shared = False

    @staticmethod
    def claims(wire: Wire, _: Asked) -> bool:
        told = hello(wire)
        return told is not None and told.separate_streams is not None

    def decode(self, wire: Wire) -> list[Event]:
        if isinstance(wire, str):
            return [self.read(wire)]
        told = self.met(wire)
        if not told.separate_streams:
            return [self._heard(told, MIXED, wire)]
        if len(wire) < PREFIX:
            raise WireError(f"a binary message of {len(wire)} bytes, too short for a participant's number")
        participant = int.from_bytes(wire[:PREFIX], "little")
        self._shared |= self._participant not in {None, participant}
        self._participant = participant
        return [self._heard(told, str(participant), wire[PREFIX:])]

    def encode(self, event: Event) -> list[Wire]:
        if not isinstance(event, Heard):
            return [self.write(event)]
        if event.track == MIXED:
            return [event.chunk.pcm]
        try:
            number = int(track_participant(event.track)).to_bytes(PREFIX, "little")
        except (ValueError, OverflowError) as error:
            raise UnspokenError(f"Recall has no participant {event.track!r}: theirs are numbers of 32 bits") from error
        return [number + event.chunk.pcm]

    def learn(self, told: Hello) -> None:
        """The samples are counted from here."""
        super().learn(told)
        self._bytes = 0

    def _heard(self, told: Hello, track: str, pcm: bytes) -> Heard:
        """Samples of one track; where several share the connection, silence of one cannot be told, so times cannot."""
        at = None if self._shared else told.offset + self._bytes / (SAMPLE_BYTES * RATE)
        self._bytes += len(pcm)
        return Heard(told.bot_id, track, Chunk(pcm, RATE), at)
