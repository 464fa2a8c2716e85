"""Attendee's words, as its page and its forks have them."""

from __future__ import annotations

import json
from base64 import b64encode
from pathlib import Path
from typing import Any

import pytest
from tests.signals import counting

from audiotap.audio import Chunk
from audiotap.dialects.attendee import INTERRUPT, PAUSE, PAUSE_PREFIXED, Attendee
from audiotap.dialects.base import MAX_TEXT, Side
from audiotap.errors import WireError
from audiotap.events import MIXED, UNASKED, Event, Heard, Pause, Speak, Unknown
from audiotap.intake import Intake

FIXTURES = Path(__file__).parent / "fixtures"
OURS, THEIRS = Attendee(Side.OURS), Attendee(Side.THEIRS)


def message(trigger: str, **data: Any) -> str:
    return json.dumps({"trigger": trigger, "bot_id": "bot_1", "data": data})


def mixed(**data: Any) -> str:
    """Ten milliseconds at 16 kHz, with some fields otherwise."""
    chunk = b64encode(counting(160)).decode()
    return message("realtime_audio.mixed", **{"chunk": chunk, "timestamp_ms": 5000, "sample_rate": 16000, **data})


def only(wire: str) -> Event:
    """The one event of a message."""
    (event,) = OURS.decode(wire)
    return event


# The page


def test_the_pages_sample_is_no_base64() -> None:
    """Its chunk ends in dots: malformed, whichever way it goes."""
    for name in ("attendee_mixed.json", "attendee_bot_output.json"):
        with pytest.raises(WireError, match="chunk"):
            OURS.decode(FIXTURES.joinpath(name).read_text())


def test_the_pages_sample_made_valid_is_a_wav_header() -> None:
    """Who pastes it sends a header and no sound; the intake cuts it out and says so."""
    heard = only(FIXTURES.joinpath("attendee_mixed_valid.json").read_text())
    assert isinstance(heard, Heard)
    assert (heard.session, heard.track, heard.chunk.rate) == ("bot_12345abcdef", MIXED, 16000)
    assert heard.chunk.pcm.startswith(b"RIFF")
    assert heard.at == pytest.approx(1703123456.789 - heard.chunk.seconds)
    notices: list[str] = []
    assert Intake(16000, notices.append).take(heard.chunk) == b""
    assert len(notices) == 1


def test_the_pages_pause_is_two_seconds() -> None:
    """2000 ms, in the dialect's usual word; we spell it as the page does."""
    wire = FIXTURES.joinpath("attendee_pause.json").read_text()
    assert THEIRS.decode(wire) == [Pause(2.0)]
    assert [json.loads(spelt) for spelt in OURS.encode(Pause(2.0))] == [json.loads(wire)]


def test_speech_is_spelt_as_on_the_page() -> None:
    """The same keys and nothing else, so that a strict reader takes it."""
    page = json.loads(FIXTURES.joinpath("attendee_bot_output.json").read_text())
    (wire,) = OURS.encode(Speak(Chunk(counting(3), 24000)))
    assert json.loads(wire) == page | {"data": {"chunk": b64encode(counting(3)).decode(), "sample_rate": 24000}}


def test_the_simulated_bot_spells_audio_as_on_the_page() -> None:
    """Keys and types are the page's, so that anybody's receiver takes a simulated bot."""
    page = json.loads(FIXTURES.joinpath("attendee_mixed.json").read_text())
    (wire,) = THEIRS.encode(Heard("bot_1", MIXED, Chunk(counting(160), 16000), 4.99))
    told = json.loads(wire)
    assert told.keys() == page.keys()
    assert told["data"].keys() == page["data"].keys()
    assert told["data"]["timestamp_ms"] == 5000
    assert isinstance(told["data"]["timestamp_ms"], int)


# What it says of audio


def test_a_time_stamp_is_the_end_of_its_chunk() -> None:
    """The event's time is that of the first sample."""
    assert only(mixed()) == Heard("bot_1", MIXED, Chunk(counting(160), 16000), 4.99)


def test_a_missing_sample_rate_is_16000() -> None:
    """As in the first days, or where it is null."""
    early = json.loads(mixed())
    del early["data"]["sample_rate"]
    assert only(json.dumps(early)) == only(mixed(sample_rate=None)) == only(mixed())


def test_a_missing_time_stamp_is_none() -> None:
    """The chunk is kept and placed by its arrival."""
    assert only(mixed(timestamp_ms=None)) == Heard("bot_1", MIXED, Chunk(counting(160), 16000))


def test_the_first_days_keys_are_read() -> None:
    """`event_type` and `event_data` mean `trigger` and `data`."""
    now = json.loads(mixed())
    then = {"event_type": now["trigger"], "bot_id": "bot_1", "event_data": now["data"]}
    assert only(json.dumps(then)) == only(mixed())
    assert Attendee.claims(json.dumps(then), UNASKED)


def test_a_missing_bot_id_is_a_session_all_the_same() -> None:
    """Nothing is lost for want of an id."""
    nameless = json.loads(mixed())
    del nameless["bot_id"]
    heard = only(json.dumps(nameless))
    assert isinstance(heard, Heard)
    assert heard.session == "unknown"


@pytest.mark.parametrize(("uuid", "track"), [("8:orgid:7", "8:orgid:7"), (16778240, "16778240"), ("mixed", "=mixed")])
def test_a_participant_is_a_track(uuid: str | int, track: str) -> None:
    """By the platform's own id, be it text or a number; with the name and the number where a fork tells them."""
    chunk = b64encode(counting(160)).decode()
    wire = message(
        "realtime_audio.per_participant",
        participant_uuid=uuid,
        participant_name="Ana",
        chunk=chunk,
        timestamp_ms=5000,
        sample_rate=8000,
        sequence=7,
    )
    assert only(wire) == Heard("bot_1", track, Chunk(counting(160), 8000), 4.98, "Ana", sequence=7)


def test_a_sequence_is_kept_on_the_mix() -> None:
    """A fork counts the mix's messages as well."""
    heard = only(mixed(sequence=41))
    assert isinstance(heard, Heard)
    assert heard.sequence == 41


@pytest.mark.parametrize("pcm", [b"", b"\x01", counting(50) + b"\x7f", counting(262_144)])
def test_any_size_of_chunk_is_read(pcm: bytes) -> None:
    """Empty, half a sample, odd, half a megabyte: what they mean is for the intake to say."""
    heard = only(mixed(chunk=b64encode(pcm).decode()))
    assert isinstance(heard, Heard)
    assert heard.chunk.pcm == pcm


@pytest.mark.parametrize(
    "data",
    [
        {"chunk": "no base64!"},
        {"chunk": None},
        {"chunk": 7},
        {"sample_rate": 0},
        {"sample_rate": -16000},
        {"sample_rate": 10**9},
        {"sample_rate": "16000"},
        {"timestamp_ms": "yesterday"},
        {"timestamp_ms": 10**400},
        {"participant_uuid": "x" * (MAX_TEXT + 1)},
        {"participant_name": "x" * (MAX_TEXT + 1)},
    ],
    ids=lambda data: str(data)[:40],
)
def test_audio_that_cannot_be_meant_is_malformed(data: dict[str, Any]) -> None:
    """A wrong value in one field is one WireError, not a guess."""
    wire = mixed(**data)
    with pytest.raises(WireError):
        OURS.decode(wire)


def test_per_participant_audio_without_a_participant_is_malformed() -> None:
    """It belongs to nobody's track."""
    with pytest.raises(WireError, match="participant_uuid"):
        OURS.decode(mixed().replace("realtime_audio.mixed", "realtime_audio.per_participant"))


# Pauses


@pytest.mark.parametrize(
    ("trigger", "data", "pause"),
    [
        (PAUSE, {"duration": 2000}, Pause(2.0)),
        (PAUSE, {"duration": 0}, Pause(0.0)),
        (PAUSE_PREFIXED, {"duration": 800}, Pause(0.8, PAUSE_PREFIXED)),
        (PAUSE_PREFIXED, {"duration": "800"}, Pause(0.8, PAUSE_PREFIXED)),
        (INTERRUPT, {"duration": 1.5}, Pause(1.5, INTERRUPT)),
        (INTERRUPT, {"duration_ms": 1500, "reason": "loud"}, Pause(1.5, INTERRUPT)),
        (INTERRUPT, {}, Pause(0.8, INTERRUPT)),
    ],
)
def test_pauses_have_three_spellings(trigger: str, data: dict[str, Any], pause: Pause) -> None:
    """Two are in milliseconds; the interrupt is in seconds, and 0.8 without a word."""
    assert THEIRS.decode(message(trigger, **data)) == [pause]


@pytest.mark.parametrize(
    ("spelling", "trigger", "duration"),
    [("", PAUSE, 2000), (PAUSE, PAUSE, 2000), (PAUSE_PREFIXED, PAUSE_PREFIXED, 2000), (INTERRUPT, INTERRUPT, 2.0)],
)
def test_a_pause_is_spelt_in_its_spellings_unit(spelling: str, trigger: str, duration: float) -> None:
    """Two seconds are 2000 for two of the forks, and 2 for the third."""
    (wire,) = OURS.encode(Pause(2.0, spelling))
    assert json.loads(wire) == {"trigger": trigger, "data": {"duration": duration}}


@pytest.mark.parametrize(
    "data", [{}, {"duration": "soon"}, {"duration": -1}, {"duration": "nan"}, {"duration": "inf"}, {"duration": [1]}]
)
def test_a_pause_that_cannot_be_meant_is_malformed(data: dict[str, Any]) -> None:
    """No duration, none that is a number, and none that is not finite and positive."""
    with pytest.raises(WireError):
        THEIRS.decode(message(PAUSE, **data))


# What it has no word for


@pytest.mark.parametrize("trigger", ["realtime_video.per_participant", "chat_messages.update", "x"])
def test_other_triggers_are_unknown_and_no_errors(trigger: str) -> None:
    """Video, and what is yet to come: a value that names its kind and its bot."""
    wire = message(trigger, frame="/9j/", format="jpeg", participant_uuid="7", source="webcam")
    assert only(wire) == Unknown(trigger, wire, "bot_1")


def test_a_message_without_a_trigger_is_malformed() -> None:
    """JSON alone is not of this dialect."""
    with pytest.raises(WireError, match="trigger"):
        OURS.decode('{"bot_id": "bot_1"}')
