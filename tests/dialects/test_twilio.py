"""Twilio's words, as its pages have them."""

from __future__ import annotations

import json
from base64 import b64encode
from pathlib import Path
from typing import Any

import pytest

from audiotap.audio import Chunk, from_ulaw
from audiotap.dialects.base import Side
from audiotap.dialects.twilio import Twilio
from audiotap.errors import UnspokenError, WireError
from audiotap.events import Heard, Mark, Occurred, Speak, Stop

FIXTURES = Path(__file__).parent / "fixtures"
STREAM = "MZ18ad3ab5a668481ce02b83e7395059f0"


def page(name: str) -> str:
    return (FIXTURES / f"twilio_{name}.json").read_text()


def media(**more: Any) -> str:
    """A message of audio; None leaves a field out."""
    data = {"track": "inbound", "timestamp": "5", "payload": b64encode(b"\x00\xff").decode()} | more
    told = {key: value for key, value in data.items() if value is not None}
    return json.dumps({"event": "media", "streamSid": "MZ1", "media": told})


def test_the_page_s_media() -> None:
    """µ-law at 8000 Hz, of one leg, at a time in milliseconds as text."""
    chunk = Chunk(from_ulaw(bytes([0x9E, 0x8F, 0x89, 0x86, 0x86, 0x89])), 8000)
    (heard,) = Twilio(Side.OURS).decode(page("media_valid"))
    assert isinstance(heard, Heard)
    assert (heard.session, heard.track, heard.at) == ("MZXXXXXXXXXXXXXXXXXXXXXXXXXXXXXX", "outbound", 0.005)
    assert heard.chunk == chunk


def test_the_page_s_start() -> None:
    """It names stream and call, and is kept as it came; what comes before it names nobody."""
    dialect = Twilio(Side.OURS)
    assert dialect.decode(page("connected")) == []
    assert dialect.decode(page("start")) == [Occurred(STREAM, "start", json.loads(page("start")), bot="CA123")]
    for name in ("mark", "dtmf"):
        (occurred,) = dialect.decode(page(name))
        assert isinstance(occurred, Occurred)
        assert occurred.data == json.loads(page(name))


def test_the_page_s_words_towards_a_call() -> None:
    """All of them name the stream that the call began with."""
    dialect = Twilio(Side.OURS)
    dialect.decode(page("start"))
    said = [dialect.encode(event) for event in (Speak(Chunk(bytes(4), 8000)), Stop(), Mark("1"))]
    assert [json.loads(wire) for (wire,) in said] == [
        {"event": "media", "streamSid": STREAM, "media": {"payload": b64encode(b"\xff\xff").decode()}},
        {"event": "clear", "streamSid": STREAM},
        {"event": "mark", "streamSid": STREAM, "mark": {"name": "1"}},
    ]
    with pytest.raises(UnspokenError, match="8000 Hz only"):
        dialect.encode(Speak(Chunk(bytes(4), 16000)))


@pytest.mark.parametrize(("timestamp", "at"), [("5", 0.005), (5, 0.005), ("20.5", 0.0205), (None, None)])
def test_times(timestamp: object, at: float | None) -> None:
    """Numbers as text or as such; without one, the arrival counts."""
    (heard,) = Twilio(Side.OURS).decode(media(timestamp=timestamp))
    assert isinstance(heard, Heard)
    assert heard.at == at


@pytest.mark.parametrize(
    "wire",
    [
        media(timestamp="soon"),
        media(timestamp=[]),
        media(payload=None),
        media(payload="!"),
        '{"event": "media", "media": {"payload": ""}}',
        '{"event": "dtmf"}',
        '{"event": "start", "streamSid": "MZ1", "start": {"mediaFormat": {"encoding": "audio/x-l16"}}}',
        '{"event": "dtmf", "streamSid": "MZ1", "more": "' + "x" * 65536 + '"}',
    ],
)
def test_malformed(wire: str) -> None:
    """A WireError, whatever is wrong."""
    with pytest.raises(WireError):
        Twilio(Side.OURS).decode(wire)
