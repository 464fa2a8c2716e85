"""A session's folder read again: its tracks in blocks, what was said in it as text, and what occurred.

Whatever stands in the files came over a network once; it is kept as it is here, and made harmless where it is shown.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from audiotap.audio import Chunk
from audiotap.dialects.base import participant_track
from audiotap.errors import AudioFileError, ManifestError
from audiotap.events import MIXED, SPOKEN
from audiotap.manifest import EVENT_LOG, NAME, Manifest
from audiotap.reading import read_track
from audiotap.sndfile import soundfile
from audiotap.track import TrackSummary
from audiotap.turns import Turn
from audiotap.writing import WAV_HEADER

TRANSCRIPT, TURNS = "transcript.json", "turns.json"
"""What `converse` writes beside the tracks."""
MOST_TOLD = 100_000
"""Lines of an event log that are looked at."""
MOST_SECONDS = 1e7
"""Beyond which a time tells nothing that could be shown."""
CALLED = {
    "participant_events.join": "joined",
    "participant_events.leave": "left",
    "agent.ready": "an agent takes part",
    "agent.lost": "the agent is gone",
}


class RecordedTrack(msgspec.Struct, frozen=True):
    """A track, and its file where there is one."""

    summary: TrackSummary
    path: Path | None

    @property
    def id(self) -> str:
        return self.summary.track

    @property
    def label(self) -> str:
        """What it is called."""
        return self.summary.name or self.id

    def source(self) -> Iterator[Chunk]:
        """Its samples from the session's time zero on. AudioFileError where there are none to be had."""
        if self.path is None:
            raise AudioFileError(f"{self.label} has no file")
        return read_track(self.path, self.summary.rate)

    def seconds(self) -> float:
        """How long its file is now; the manifest is behind while it is recorded."""
        if self.path is None:
            return 0.0
        try:
            if self.path.suffix == ".bin":
                return self.path.stat().st_size / 2 / self.summary.rate
            if self.path.stat().st_size <= WAV_HEADER:
                return 0.0
            return float(soundfile.info(str(self.path)).duration)
        except (OSError, soundfile.LibsndfileError):
            return 0.0


class Line(msgspec.Struct, frozen=True):
    """Something that was said, as text: `until` where its end was told, `heard` in seconds where it was cut short."""

    at: float
    track: str
    name: str
    text: str
    until: float | None = None
    heard: float | None = None


class Mark(msgspec.Struct, frozen=True):
    """Something that occurred, in words; a pause has a length."""

    at: float
    kind: str
    text: str
    seconds: float = 0.0


class Recorded(msgspec.Struct, frozen=True):
    """A session as it was recorded so far."""

    folder: Path
    manifest: Manifest
    tracks: tuple[RecordedTrack, ...]
    lines: tuple[Line, ...]
    marks: tuple[Mark, ...]
    turns: tuple[Turn, ...]

    @property
    def seconds(self) -> float:
        """Where the longest track ends."""
        return max((track.seconds() for track in self.tracks), default=0.0)

    @property
    def meeting(self) -> tuple[RecordedTrack, ...]:
        """What is heard of the others: each participant, or the mix where there are none."""
        return self.participants or tuple(track for track in self.tracks if track.id == MIXED)

    @property
    def participants(self) -> tuple[RecordedTrack, ...]:
        return tuple(track for track in self.tracks if track.id not in {MIXED, SPOKEN})

    @property
    def talkers(self) -> tuple[RecordedTrack, ...]:
        """Everybody who may talk, one track each."""
        return (*self.meeting, *(track for track in self.tracks if track.id == SPOKEN))


def recorded(folder: Path) -> Recorded:
    """Read a session's folder. ManifestError where its manifest cannot be read: `audiotap check` brings it back."""
    try:
        manifest = Manifest.parse((folder / NAME).read_bytes())
    except (OSError, ManifestError) as error:
        reason = error.strerror if isinstance(error, OSError) else error.message
        raise ManifestError(f"{folder}: no manifest to go by: {reason}", f"audiotap check {folder}") from error
    tracks = tuple(RecordedTrack(track, _file(folder, manifest, track)) for track in manifest.summary.tracks)
    names = {track.id: track.label for track in tracks}
    told = list(_told(folder))
    lines = _conversation(folder, names) or _said(told, names)
    marks = tuple(mark for mark in map(_mark, told) if mark is not None)
    return Recorded(
        folder,
        manifest,
        tuple(sorted(tracks, key=lambda track: (track.id != MIXED, track.id == SPOKEN))),
        tuple(sorted(lines, key=lambda line: line.at)),
        tuple(sorted(marks, key=lambda mark: mark.at)),
        _turns(folder),
    )


def _file(folder: Path, manifest: Manifest, track: TrackSummary) -> Path | None:
    """A track's file; a FLAC may have taken the place of the WAV since the manifest was read."""
    name = manifest.files.get(track.track)
    if name is None:
        return None
    return next((path for path in (folder / name, (folder / name).with_suffix(".flac")) if path.is_file()), None)


# What was told


class _Told(msgspec.Struct):
    event: str
    data: dict[str, Any] = {}
    at: float | None = None


class _Time(msgspec.Struct):
    relative: float


class _Word(msgspec.Struct):
    text: str
    start_timestamp: _Time | None = None
    end_timestamp: _Time | None = None


class _Who(msgspec.Struct, frozen=True):
    id: int | str | None = None
    name: str | None = None


class _Utterance(msgspec.Struct):
    words: list[_Word]
    participant: _Who = _Who()


class _AgentSaid(msgspec.Struct):
    role: str
    text: str
    at: float | None = None
    final: bool = True
    heard: float | None = None


class _Participant(msgspec.Struct):
    participant: _Who = _Who()


class _Seconds(msgspec.Struct):
    seconds: float = 0.0
    heard: float = 0.0
    dropped: float = 0.0


T = TypeVar("T")

_LINE = msgspec.json.Decoder(_Told)
_UNREADABLE = (msgspec.MsgspecError, UnicodeError, RecursionError)


def _told(folder: Path) -> Iterator[_Told]:
    """The lines of the event log; the last one may be half written."""
    try:
        with (folder / EVENT_LOG).open("rb") as log:
            for _, line in zip(range(MOST_TOLD), log, strict=False):
                with suppress(*_UNREADABLE):
                    told = _LINE.decode(line)
                    if told.at is None or abs(told.at) < MOST_SECONDS:
                        yield told
    except OSError:
        return


def _conversation(folder: Path, names: dict[str, str]) -> list[Line]:
    """The transcript of a conversation with an agent, as `converse` wrote it at its end."""
    rows = _document(folder / TRANSCRIPT, list[_AgentSaid]) or []
    return [_agent_line(row, row.at, names) for row in rows if row.at is not None and abs(row.at) < MOST_SECONDS]


def _turns(folder: Path) -> tuple[Turn, ...]:
    return tuple(_document(folder / TURNS, list[Turn]) or ())


def _document(path: Path, kind: type[T]) -> T | None:
    try:
        return msgspec.json.decode(path.read_bytes(), type=kind)
    except (OSError, *_UNREADABLE):
        return None


def _said(told: list[_Told], names: dict[str, str]) -> list[Line]:
    """What the event log has of transcripts, Recall's or a bridge's; what is not final is left out."""
    lines = []
    for one in told:
        with suppress(*_UNREADABLE):
            if one.event == "transcript.data" and one.at is not None:
                lines.append(_utterance(msgspec.convert(one.data, _Utterance), one.at, names))
            elif one.event == "agent.transcript":
                said = msgspec.convert(one.data, _AgentSaid)
                at = said.at if said.at is not None else one.at
                if said.final and at is not None and abs(at) < MOST_SECONDS:
                    lines.append(_agent_line(said, at, names))
    return [line for line in lines if line.text.strip()]


def _utterance(said: _Utterance, at: float, names: dict[str, str]) -> Line:
    who = said.participant
    track = participant_track(who.id) if who.id is not None else ""
    begins = [word.start_timestamp.relative for word in said.words if word.start_timestamp is not None]
    ends = [word.end_timestamp.relative for word in said.words if word.end_timestamp is not None]
    until = at + min(ends[-1] - begins[0], MOST_SECONDS) if begins and ends else None
    name = who.name or names.get(track) or track or "somebody"
    return Line(at, track, name, " ".join(word.text for word in said.words), until)


def _agent_line(said: _AgentSaid, at: float, names: dict[str, str]) -> Line:
    track = said.role if said.role in names else SPOKEN if said.role == "agent" else MIXED
    return Line(at, track, said.role, said.text, heard=said.heard)


def _mark(told: _Told) -> Mark | None:
    """What is shown of what occurred."""
    if told.at is None:
        return None
    with suppress(*_UNREADABLE):
        match told.event:
            case "pause":
                seconds = msgspec.convert(told.data, _Seconds).seconds
                if 0 < seconds < MOST_SECONDS:
                    return Mark(told.at, "pause", f"pause of {seconds:g} s", seconds)
            case "agent.interrupted":
                cut = msgspec.convert(told.data, _Seconds)
                return Mark(told.at, "interrupted", f"interrupted after {cut.heard:.1f} s of the answer")
            case "participant_events.join" | "participant_events.leave":
                who = msgspec.convert(told.data, _Participant).participant
                return Mark(told.at, "came", f"{who.name or who.id or 'somebody'} {CALLED[told.event]}")
            case "agent.ready" | "agent.lost":
                return Mark(told.at, "came", CALLED[told.event])
    return None
