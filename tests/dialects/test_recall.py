"""Recall's words, as its pages have them."""

from __future__ import annotations

import json
from base64 import b64encode
from pathlib import Path
from typing import Any

import pytest
from tests.signals import counting

from audiotap.audio import Chunk
from audiotap.dialects.base import MAX_OCCURRENCE, MAX_TEXT, Side
from audiotap.dialects.recall import Recall, timestamp
from audiotap.errors import UnspokenError, WireError
from audiotap.events import MIXED, Event, Heard, Occurred, Pause, Speak, Stop, Unknown

FIXTURES = Path(__file__).parent / "fixtures"
THREE = Chunk(counting(3), 16000)
OURS, THEIRS = Recall(Side.OURS), Recall(Side.THEIRS)


def page(name: str) -> dict[str, Any]:
    """A message from Recall's pages."""
    message: dict[str, Any] = json.loads(FIXTURES.joinpath(name).read_text())
    return message


def message(event: str, data: object, **more: object) -> str:
    payload = {"data": data, "recording": {"id": "recording_1"}, "bot": {"id": "bot_1"}, **more}
    return json.dumps({"event": event, "data": payload})


def only(message: str | dict[str, Any]) -> Event:
    """The one event of a message."""
    (event,) = OURS.decode(message if isinstance(message, str) else json.dumps(message))
    return event


# Audio


def test_the_pages_mixed_audio_is_read() -> None:
    """Keyed by the recording, at the time of its first sample; the bot is another id for it."""
    assert only(page("recall_mixed.json")) == Heard("recording_1", MIXED, THREE, 12.5, bot="bot_1")


def test_the_pages_separate_audio_is_read() -> None:
    """The participant is the track, and the name stands in every chunk."""
    assert only(page("recall_separate.json")) == Heard("recording_1", "100", THREE, 12.5, "Ana", "bot_1")


@pytest.mark.parametrize(
    ("name", "keys"),
    [
        ("recall_mixed.json", ("audio_mixed", "audio_mixed_raw", "artifact", None)),
        ("recall_separate.json", ("audio_separate", "audio_separate_raw", "artifact", None)),
    ],
)
def test_the_artifacts_key_does_not_matter(name: str, keys: tuple[str | None, ...]) -> None:
    """One page says `audio_mixed`, another one `audio_mixed_raw`; it may as well be absent."""
    told = only(page(name))
    for key in keys:
        other = page(name)
        artifact = other["data"].pop(keys[0])
        if key is not None:
            other["data"][key] = artifact
        assert only(other) == told


@pytest.mark.parametrize("bot", [None, "absent"])
def test_the_bot_may_be_absent(bot: str | None) -> None:
    """The Desktop SDK has none."""
    desktop = page("recall_mixed.json")
    desktop["data"]["bot"] = None
    if bot == "absent":
        del desktop["data"]["bot"]
    assert only(desktop) == Heard("recording_1", MIXED, THREE, 12.5)


def test_a_participant_may_be_nameless() -> None:
    """`name` is null for who dials in."""
    nameless = page("recall_separate.json")
    nameless["data"]["data"]["participant"]["name"] = None
    assert only(nameless) == Heard("recording_1", "100", THREE, 12.5, None, "bot_1")


@pytest.mark.parametrize("timestamp", [None, {}, {"relative": None}, {"absolute": "2025-06-10T18:47:15.582Z"}])
def test_audio_without_a_relative_time_is_kept(timestamp: dict[str, Any] | None) -> None:
    """It is placed by its arrival."""
    timeless = page("recall_mixed.json")
    timeless["data"]["data"]["timestamp"] = timestamp
    assert only(timeless) == Heard("recording_1", MIXED, THREE, None, bot="bot_1")


def test_the_simulated_bot_spells_what_the_pages_have() -> None:
    """Keys and types at every depth, so that anybody's receiver takes a simulated bot."""
    for name in ("recall_mixed.json", "recall_separate.json"):
        (wire,) = THEIRS.encode(only(page(name)))
        assert shape(json.loads(wire)) == shape(page(name))


def shape(value: object) -> object:
    """A message with its values left out."""
    return {key: shape(inner) for key, inner in value.items()} if isinstance(value, dict) else "a value"


def test_times_are_told_both_ways() -> None:
    """`absolute` is `relative` after the recording began, as ISO 8601 in UTC."""
    assert timestamp(1_749_581_235.0, 12.5) == {"relative": 12.5, "absolute": "2025-06-10T18:47:27.500Z"}


def test_a_participants_number_stays_a_number() -> None:
    """Ids are numbers where they are numbers, and text where a number would change them."""
    for track, told in (("100", 100), ("007", "007"), ("٣", "٣"), ("=mixed", "mixed"), ("a", "a")):
        (wire,) = THEIRS.encode(Heard("recording_1", track, THREE, 0.0))
        assert json.loads(wire)["data"]["data"]["participant"]["id"] == told


@pytest.mark.parametrize(
    ("event", "data"),
    [
        ("audio_mixed_raw.data", {}),
        ("audio_mixed_raw.data", {"buffer": "no base64!"}),
        ("audio_mixed_raw.data", {"buffer": b64encode(b"ab").decode(), "timestamp": {"relative": "soon"}}),
        ("audio_separate_raw.data", {"buffer": ""}),
        ("audio_separate_raw.data", {"buffer": "", "participant": {"name": "Ana"}}),
        ("participant_events.join", []),
        ("transcript.data", {"words": "hello"}),
        ("transcript.data", {"more": "x" * MAX_OCCURRENCE}),
        ("audio_separate_raw.data", {"buffer": "", "participant": {"id": "x" * (MAX_TEXT + 1)}}),
        ("audio_separate_raw.data", {"buffer": "", "participant": {"id": 1, "name": "x" * (MAX_TEXT + 1)}}),
    ],
)
def test_what_cannot_be_meant_is_malformed(event: str, data: object) -> None:
    """A missing or wrong field is one WireError, not a guess; so is more than anybody means."""
    with pytest.raises(WireError):
        OURS.decode(message(event, data))


def test_audio_without_a_recording_is_malformed() -> None:
    """It belongs to no session."""
    with pytest.raises(WireError, match="recording"):
        OURS.decode('{"event": "audio_mixed_raw.data", "data": {"data": {"buffer": ""}}}')


# What happens beside the audio


def test_participant_events_are_kept_whole() -> None:
    """Who joined and when; nothing of what was told is left out."""
    data = {
        "participant": {"id": 100, "name": "Ana", "is_host": True, "email": "ana@example.org"},
        "timestamp": {"relative": 3.25, "absolute": "2025-06-10T18:47:15.582Z"},
        "data": None,
    }
    assert only(message("participant_events.join", data)) == Occurred(
        "recording_1", "participant_events.join", data, 3.25, "bot_1", "100", "Ana"
    )


def test_a_transcripts_time_is_that_of_its_first_word() -> None:
    """The event itself has none."""
    data = {
        "words": [
            {"text": "good", "start_timestamp": {"relative": 7.5}, "end_timestamp": {"relative": 7.75}},
            {"text": "day", "start_timestamp": {"relative": 8.0}, "end_timestamp": None},
        ],
        "participant": {"id": 101, "name": None},
    }
    assert only(message("transcript.partial_data", data)) == Occurred(
        "recording_1", "transcript.partial_data", data, 7.5, "bot_1", "101"
    )


def test_an_occurrence_without_time_or_participant_is_kept() -> None:
    """What cannot be placed is still worth keeping."""
    assert only(message("transcript.data", {"words": []})) == Occurred(
        "recording_1", "transcript.data", {"words": []}, bot="bot_1"
    )


def test_other_events_are_unknown_and_no_errors() -> None:
    """Video, and what is yet to come: a value that names its kind, and its recording where it tells one."""
    video = message("video_separate_png.data", {"buffer": "", "type": "webcam"})
    assert only(video) == Unknown("video_separate_png.data", video, "recording_1")
    assert only('{"event": "x", "data": {}}') == Unknown("x", '{"event": "x", "data": {}}')


@pytest.mark.parametrize("event", [Speak(THREE), Pause(1.0), Stop()])
def test_there_is_no_way_to_speak(event: Event) -> None:
    """Said with the reason, since it surprises."""
    with pytest.raises(UnspokenError, match="REST"):
        OURS.encode(event)
