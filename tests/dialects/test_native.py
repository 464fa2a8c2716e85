"""Our own language on the control socket: every event survives it, and nothing else does."""

from __future__ import annotations

import json
import typing

import pytest
from hypothesis import given
from hypothesis import strategies as st

from audiotap.audio import Chunk
from audiotap.dialects import native
from audiotap.errors import WireError
from audiotap.events import (
    Ask,
    Attach,
    Attached,
    ControlEvent,
    Done,
    Fault,
    Finish,
    Finished,
    Pause,
    Progress,
    SessionStatus,
    Sound,
    Speak,
    Status,
    Stop,
    Tail,
    Tailing,
    TrackStatus,
    Watch,
)

texts = st.text(max_size=20)
numbers = st.floats(allow_nan=False, allow_infinity=False)
integers = st.integers(-(2**40), 2**40)
tracks = st.builds(TrackStatus, texts, st.none() | texts, numbers, integers)
sessions = st.builds(
    SessionStatus,
    texts,
    texts,
    st.none() | texts,
    integers,
    numbers,
    numbers,
    st.booleans(),
    st.lists(tracks, max_size=2).map(tuple),
)
EVENTS: dict[type, st.SearchStrategy[ControlEvent]] = {
    Attach: st.builds(Attach, texts, st.booleans(), st.booleans()),
    Attached: st.builds(Attached, texts, texts, integers),
    Speak: st.builds(Speak, st.builds(Chunk, st.binary(max_size=50), integers)),
    Finish: st.just(Finish()),
    Progress: st.builds(Progress, numbers, texts),
    Finished: st.builds(Finished, numbers, st.booleans()),
    Pause: st.builds(Pause, numbers, texts),
    Stop: st.just(Stop()),
    Done: st.builds(Done, numbers, st.booleans()),
    Ask: st.just(Ask()),
    Watch: st.just(Watch()),
    Tail: st.builds(Tail, texts),
    Tailing: st.builds(Tailing, texts),
    Sound: st.builds(Sound, integers, st.builds(Chunk, st.binary(max_size=50), integers)),
    Status: st.builds(Status, texts, st.lists(sessions, max_size=2).map(tuple)),
    Fault: st.builds(Fault, texts, texts, texts, st.booleans()),
}


def test_every_event_is_spoken() -> None:
    """An event that joins the vocabulary joins this test."""
    assert set(EVENTS) == set(typing.get_args(ControlEvent))


@pytest.mark.parametrize("kind", EVENTS, ids=lambda kind: kind.__name__)
@given(data=st.data())
def test_every_event_comes_back(kind: type, data: st.DataObject) -> None:
    """Encoded and decoded it is the same, to the last bit of a float and the last byte of audio."""
    event = data.draw(EVENTS[kind])
    wire = native.encode(event)
    assert native.decode(wire) == event
    assert "\n" not in wire


@given(st.text() | st.binary())
def test_garbage_is_malformed(wire: str | bytes) -> None:
    """No text and no bytes mean anything by accident."""
    with pytest.raises(WireError):
        native.decode(wire)


@pytest.mark.parametrize(
    "message",
    [
        {},
        {"type": "launch"},
        {"type": "speak"},
        {"type": "speak", "chunk": {"pcm": "no base64!", "rate": 16000}},
        {"type": "pause", "seconds": "2"},
        {"type": "heard", "session": "s", "track": "mixed", "chunk": {"pcm": "", "rate": 16000}},
        ["type", "stop"],
    ],
    ids=str,
)
def test_what_is_no_control_event_is_malformed(message: object) -> None:
    """Unknown kinds, missing fields, wrong types, and events that belong to bots only."""
    with pytest.raises(WireError):
        native.decode(json.dumps(message))


def test_deep_nesting_is_malformed() -> None:
    """A hostile client of the same user cannot end the listener either."""
    with pytest.raises(WireError):
        native.decode('{"type":' * 200_000)
