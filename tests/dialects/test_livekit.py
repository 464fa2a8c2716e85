"""LiveKit's tracks: told apart by how they were asked for, and made mono."""

from __future__ import annotations

import pytest

from audiotap.audio import Chunk
from audiotap.dialects import recognise
from audiotap.dialects.base import Side
from audiotap.dialects.livekit import LiveKit
from audiotap.errors import WireError
from audiotap.events import Asked, Heard

RAW = "audio/x-raw"


def heard(asked: Asked, wire: bytes = b"") -> Heard:
    """What a binary message of a connection says."""
    (event,) = LiveKit(Side.OURS, asked).decode(wire)
    assert isinstance(event, Heard)
    return event


@pytest.mark.parametrize(
    ("asked", "session", "track", "name"),
    [
        (Asked("/", "room=r&trackID=TR_1&participant=ana", RAW, "f00"), "r", "TR_1", "ana"),
        (Asked("/egress/r", "trackID=TR_1", RAW, "f00"), "r", "TR_1", None),
        (Asked("/egress/r/", "participant=ana%20b", RAW, "f00"), "r", "ana b", "ana b"),
        (Asked("/", "", RAW, "f00"), "f00", "f00", None),
        (Asked("/r", "trackID=mixed", RAW, "f00"), "r", "=mixed", None),
    ],
)
def test_whose_it_is(asked: Asked, session: str, track: str, name: str | None) -> None:
    """The query tells most, the path's last part a session; else the connection is one by itself."""
    told = heard(asked)
    assert (told.session, told.track, told.name) == (session, track, name)


@pytest.mark.parametrize("asked", [Asked(kind=RAW), Asked(kind="audio/x-raw; x=y"), Asked(query="trackID=TR_1")])
@pytest.mark.parametrize("first", [b"", bytes(960), '{"muted": false}'])
def test_its_request_tells_it(asked: Asked, first: str | bytes) -> None:
    """The egress names a Content-Type, and its page asks for a track's id in the query: either is enough."""
    assert isinstance(recognise(first, asked=asked), LiveKit)
    assert recognise(first) is None


def test_another_bot_at_such_an_address_is_itself() -> None:
    """Whoever speaks a language with words is known by these."""
    wire = '{"trigger": "realtime_audio.mixed", "bot_id": "b", "data": {"chunk": ""}}'
    recognised = recognise(wire, asked=Asked(query="trackID=TR_1"))
    assert recognised is not None
    assert recognised.name == "attendee"


def test_two_channels_become_one() -> None:
    """Equal ones are either of them; others meet in the middle, without an overflow at the ends of the scale."""
    left, right = [5, 7, 32767, -32768, 32767], [5, 9, 32767, -32768, -32768]
    frames = b"".join(
        sample.to_bytes(2, "little", signed=True) for pair in zip(left, right, strict=True) for sample in pair
    )
    middle = b"".join(sample.to_bytes(2, "little", signed=True) for sample in (5, 8, 32767, -32768, -1))
    assert heard(Asked(), frames).chunk == Chunk(middle, 48000)


@pytest.mark.parametrize("size", [1, 2, 3, 5])
def test_half_a_frame_is_malformed(size: int) -> None:
    """Else the channels would change places in what follows."""
    with pytest.raises(WireError, match=f"{size} bytes"):
        LiveKit(Side.OURS).decode(bytes(size))
