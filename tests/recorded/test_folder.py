"""A session's folder read again: tracks, transcripts of every origin, and what occurred."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from tests.recorded.sessions import Part, kept, uttered
from tests.signals import counting, tone

from audiotap.errors import AudioFileError, ManifestError
from audiotap.flac import to_flac
from audiotap.manifest import Format
from audiotap.recorded.folder import recorded

CALL = {"mixed": Part(tone(1)), "spoken": Part(tone(1)), "100": Part(counting(16000), "Ana"), "7": Part(tone(1))}


def test_tracks_in_the_order_of_a_page(tmp_path: Path) -> None:
    """The mix first, then participants as they came, what was spoken last; each by its newest name."""
    session = recorded(kept(tmp_path / "s", CALL))
    assert [track.label for track in session.tracks] == ["mixed", "Ana", "7", "spoken"]
    assert [track.label for track in session.talkers] == ["Ana", "7", "spoken"]
    assert session.seconds == 1.0


def test_a_session_with_the_mix_only(tmp_path: Path) -> None:
    """Who is heard in the mix has no track, so the mix is who talks."""
    session = recorded(kept(tmp_path / "s", {"mixed": Part(tone(1))}))
    assert [track.label for track in session.talkers] == ["mixed"]


@pytest.mark.parametrize("form", ["wav", "bin"])
def test_every_sample_is_read(tmp_path: Path, form: Format) -> None:
    """What is read is what was recorded, at the manifest's rate where the file tells none."""
    session = recorded(kept(tmp_path / "s", CALL, form=form))
    chunks = list(session.tracks[1].source())
    assert b"".join(chunk.pcm for chunk in chunks) == counting(16000)
    assert {chunk.rate for chunk in chunks} == {16000}


def test_a_flac_that_took_the_place_of_a_wav(tmp_path: Path) -> None:
    """A conversion that ran while the manifest was read is no loss."""
    folder = kept(tmp_path / "s", CALL)
    to_flac(folder / "2.wav")
    (track,) = (track for track in recorded(folder).tracks if track.id == "100")
    assert b"".join(chunk.pcm for chunk in track.source()) == counting(16000)


def test_a_track_whose_file_is_gone(tmp_path: Path) -> None:
    """The others are there; who asks for its samples is told."""
    folder = kept(tmp_path / "s", CALL)
    (folder / "2.wav").unlink()
    track = recorded(folder).tracks[1]
    assert (track.path, track.seconds()) == (None, 0.0)
    with pytest.raises(AudioFileError, match="Ana has no file"):
        next(track.source())


def test_a_folder_without_a_manifest(tmp_path: Path) -> None:
    """The error says what brings it back."""
    folder = kept(tmp_path / "s", CALL)
    (folder / "manifest.json").write_bytes(b"{")
    with pytest.raises(ManifestError) as error:
        recorded(folder)
    assert error.value.hint == f"audiotap check {folder}"


def test_a_transcript_of_recall(tmp_path: Path) -> None:
    """Words become a line, which ends where its last word does; what is not final is left out."""
    partial = uttered(3.0, "not yet") | {"event": "transcript.partial_data"}
    told = [uttered(2.0, "good morning to you"), partial, uttered(4.0, "hi", "mixed", None), uttered(5.0, "who", 9, "")]
    lines = recorded(kept(tmp_path / "s", CALL, told)).lines
    assert [(line.at, line.until, line.track, line.name, line.text) for line in lines] == [
        (2.0, 4.0, "100", "Ana", "good morning to you"),
        (4.0, 4.5, "=mixed", "=mixed", "hi"),
        (5.0, 5.5, "9", "9", "who"),
    ]


def agent_said(at: float, text: str, **more: Any) -> dict[str, Any]:
    """A line of the event log as a bridge writes it."""
    return {"at": at + 1, "event": "agent.transcript", "data": {"role": "agent", "text": text, "at": at} | more}


def test_a_transcript_of_a_bridge(tmp_path: Path) -> None:
    """The agent is heard in `spoken`, everybody else in the mix; deltas of a conversation are left out."""
    told = [agent_said(1.0, "Hello"), agent_said(2.0, "He", final=False), agent_said(3.0, "Yes?", role="user")]
    lines = recorded(kept(tmp_path / "s", CALL, told)).lines
    assert [(line.at, line.track, line.text) for line in lines] == [(1.0, "spoken", "Hello"), (3.0, "mixed", "Yes?")]


def test_a_conversation(tmp_path: Path) -> None:
    """`converse` has a transcript and turns in files of their own, which count more than the event log."""
    told = [agent_said(1.0, "from the log")]
    folder = kept(tmp_path / "s", {"user": Part(tone(1)), "agent": Part(tone(1))}, told)
    rows = [
        {"role": "user", "at": 0.5, "text": "Hi", "final": True},
        {"role": "agent", "at": 1.5, "text": "Hello", "final": True, "heard": 0.2},
    ]
    (folder / "transcript.json").write_text(json.dumps(rows))
    turn = {
        "number": 1,
        "source": "hi.wav",
        "said_until": 1.0,
        "first_sound": 1.5,
        "status": "completed",
        "figures": {},
    }
    (folder / "turns.json").write_text(json.dumps([turn]))
    session = recorded(folder)
    assert [(line.track, line.text, line.heard) for line in session.lines] == [
        ("user", "Hi", None),
        ("agent", "Hello", 0.2),
    ]
    assert [turn.figures()["response"] for turn in session.turns] == [0.5]


def test_what_occurred(tmp_path: Path) -> None:
    """Who came and went, pauses and interruptions are marks, by their time; other things are not."""
    told: list[dict[str, Any]] = [
        {"at": 3.0, "event": "agent.interrupted", "data": {"heard": 1.25, "dropped": 2.0}},
        {"at": 2.0, "event": "pause", "data": {"seconds": 0.5}},
        {"at": -1.0, "event": "participant_events.join", "data": {"participant": {"id": 100, "name": "Ana"}}},
        {"at": 4.0, "event": "participant_events.leave", "data": {"participant": {"id": 100, "name": None}}},
        {"at": None, "event": "participant_events.leave", "data": {"participant": {"id": 100}}},
        {"at": 5.0, "event": "participant_events.speech_on", "data": {}},
    ]
    marks = recorded(kept(tmp_path / "s", CALL, told)).marks
    assert [(mark.at, mark.text) for mark in marks] == [
        (-1.0, "Ana joined"),
        (2.0, "pause of 0.5 s"),
        (3.0, "interrupted after 1.2 s of the answer"),
        (4.0, "100 left"),
    ]


@pytest.mark.parametrize(
    "line",
    [
        "",
        "{",
        "[]",
        '{"at": 1.0}',
        '{"at": "x", "event": "transcript.data", "data": {}}',
        '{"at": 1e300, "event": "pause", "data": {"seconds": 1}}',
        '{"at": 1.0, "event": "pause", "data": {"seconds": "long"}}',
        '{"at": 1.0, "event": "pause", "data": {"seconds": -1}}',
        '{"at": 1.0, "event": "pause", "data": {"seconds": 1e300}}',
        '{"at": 1.0, "event": "transcript.data", "data": {"words": []}}',
        '{"at": 1.0, "event": "transcript.data", "data": {"words": [{"text": 7}]}}',
        '{"at": 1.0, "event": "transcript.data", "data": {"words": "no", "participant": 3}}',
        '{"at": 1.0, "event": "agent.transcript", "data": {"role": "agent"}}',
        '{"at": 1.0, "event": "agent.transcript", "data": {"role": "agent", "text": "x", "at": 1e300}}',
        '{"at": 1.0, "event": "participant_events.join", "data": {"participant": "Ana"}}',
        "[" * 10_000,
    ],
)
def test_a_line_that_is_none(tmp_path: Path, line: str) -> None:
    """Whatever a network or a power cut made of a line, it is left out, and the next one counts."""
    folder = kept(tmp_path / "s", CALL)
    (folder / "events.jsonl").write_text(f"{line}\n{json.dumps(uttered(2.0, 'hello'))}\n" + '{"at": 3.0, "ev', "utf-8")
    session = recorded(folder)
    assert [line.text for line in session.lines] == ["hello"]
    assert session.marks == ()
