"""LiveKit's track egress over websockets: one track per connection, as bare samples, and `{"muted": …}` between them.

Sources: docs.livekit.io, "Track egress"; pkg/pipeline/sink/websocket.go and builder/audio.go of livekit/egress, which
send two channels whatever the track has. Nothing on the wire tells whose it is: the address does, which its user wrote.
"""

from __future__ import annotations

from typing import ClassVar
from urllib.parse import parse_qs, urlencode

import msgspec

from audiotap.audio import SAMPLE_BYTES, Chunk, from_stereo, to_stereo
from audiotap.dialects.base import MAX_TEXT, Side, Wire, lenient, participant_track, whole
from audiotap.errors import UnspokenError, WireError
from audiotap.events import UNASKED, Asked, Event, Heard, Occurred
from audiotap.session import Timing

RATE = 48000
CONTENT_TYPE = "audio/x-raw"
MUTED = "muted"
FRAME_BYTES = 2 * SAMPLE_BYTES


class _Muted(msgspec.Struct):
    muted: bool


_MUTED = msgspec.json.Decoder(_Muted)


class LiveKit:
    """One track's connection.

    The session is the query's `room`, else the last part of the path, else the connection's own; the track is its
    `trackID`, else who is called `participant`.
    """

    name: ClassVar[str] = "livekit"
    knows: ClassVar[frozenset[type]] = frozenset()
    rates: tuple[int, ...] = ()
    timing: ClassVar[Timing] = Timing(tolerance=0.1, linger=30.0, retries=30.0)
    spellings: ClassVar[tuple[str, ...]] = ()

    def __init__(self, side: Side, asked: Asked = UNASKED) -> None:
        self.side = side
        told = parse_qs(asked.query)
        place = asked.path.rstrip("/").rpartition("/")[2]
        self._speaker = _first(told, "participant")
        self._session = (_first(told, "room") or place or asked.id or "room")[:MAX_TEXT]
        self._track = participant_track((_first(told, "trackID") or self._speaker or asked.id or "track")[:MAX_TEXT])

    @staticmethod
    def claims(wire: Wire, asked: Asked) -> bool:
        if asked.kind.partition(";")[0].strip().lower() != CONTENT_TYPE and "trackID" not in parse_qs(asked.query):
            return False
        return isinstance(wire, bytes) or whole(_MUTED, wire) is not None

    def decode(self, wire: Wire) -> list[Event]:
        if isinstance(wire, str):
            told = lenient(_MUTED, wire)
            return [Occurred(self._session, MUTED, {MUTED: told.muted}, participant=self._track, name=self._speaker)]
        if len(wire) % FRAME_BYTES:
            raise WireError(f"a binary message of {len(wire)} bytes, which is no number of samples of two channels")
        return [Heard(self._session, self._track, Chunk(from_stereo(wire), RATE), name=self._speaker)]

    def encode(self, event: Event) -> list[Wire]:
        match event:
            case Heard(chunk=chunk):
                return [to_stereo(chunk.pcm)]
            case Occurred(kind=kind, data=data) if kind == MUTED:
                return [msgspec.json.encode({MUTED: data[MUTED]}).decode()]
            case _:
                raise UnspokenError(f"LiveKit has no word for {type(event).__name__}: it only listens")


def query(room: str, track: str, participant: str) -> str:
    """What tells whose a track is, for the end of an address."""
    return urlencode({"room": room, "trackID": track, "participant": participant})


def _first(told: dict[str, list[str]], name: str) -> str | None:
    return told[name][0][:MAX_TEXT] if name in told else None
