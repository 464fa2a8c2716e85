"""Recordings: a folder per session, a file per track, an event log and a manifest that is always true.

docs/recording.md describes the format; what is written here and what stands there change together.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime
from functools import partial
from itertools import count
from pathlib import Path
from typing import Any, Literal

import msgspec

from audiotap import __version__
from audiotap.audio import SAMPLE_BYTES
from audiotap.events import MIXED, SPOKEN
from audiotap.files import Names, RawWriter, WavWriter, append, player_hint, safe_name, write_atomically
from audiotap.reports import Failed, Report, SessionFinished, SessionStarted, TrackFinished, TrackStarted
from audiotap.session import Logged, Placed, SessionKey, Summary, TrackSummary
from audiotap.sinks.base import Item

MANIFEST = "manifest.json"
MANIFEST_VERSION = 1
EVENT_LOG = "events.jsonl"

Format = Literal["wav", "bin"]
Tell = Callable[[Report], None]
WRITERS: dict[str, type[RawWriter]] = {"wav": WavWriter, "bin": RawWriter}


class Recorder:
    """Writes every session under `out`. A disk that refuses is told of once per session, counted, and tried again."""

    required = True

    def __init__(self, out: Path, form: Format, tell: Tell) -> None:
        self.out = out
        self.form = form
        self.failed = False
        self._tell = tell
        self._recordings: dict[SessionKey, Recording] = {}

    def write(self, items: Sequence[Item]) -> None:
        """Take a batch; what is contiguous on a track becomes one write."""
        for key, batch in _by_session(items).items():
            for part in _up_to_ends(batch):
                self._write_part(key, part)

    def _write_part(self, key: SessionKey, part: Sequence[Item]) -> None:
        """Write what belongs to one recording; its end may be the last item."""
        for item in part:
            if isinstance(item, Summary):
                if key not in self._recordings:
                    self._recordings[key] = Recording(self.out, self.form, item, self._tell)
                self._recordings[key].summary = item
        recording = self._recordings[key]
        recording.write(part)
        if recording.summary.ended is not None:
            self._recordings.pop(key).finish()
        self.failed |= recording.lost > 0

    def close(self) -> None:
        """Close whatever is still open; a session that was told to end was finished already."""
        for recording in self._recordings.values():
            recording.finish()
        self._recordings.clear()


class Recording:
    """One session's folder. `summary` is how the session stood when it was last told."""

    def __init__(self, out: Path, form: Format, summary: Summary, tell: Tell) -> None:
        self.summary = summary
        self.lost = 0
        self._tell = tell
        self._form = form
        self._files: dict[str, RawWriter] = {}
        self._names = Names()
        self._given: dict[str, str] = {}
        self._complained = False
        self._log: int | None = None
        self._path = out / session_folder(summary)
        self.path: Path | None = None
        self._open_folder()

    def write(self, batch: Sequence[Item]) -> None:
        """Write the session's part of a batch, then say in the manifest how it stands."""
        runs, lines, told = _runs(batch)
        self._open_folder()
        for track, pieces in runs.items():
            self._write_track(track, pieces)
        if lines:
            self._try(lambda: self._append(lines), 0)
        if told:
            self._try(self._write_manifest, 0)

    def finish(self) -> None:
        """Close the files, complete the manifest, and report."""
        for file in self._files.values():
            self._try(file.close, 0)
        if self._log is not None:
            os.close(self._log)
        self._try(self._write_manifest, 0)
        for track in self.summary.tracks:
            self._tell(self._track_finished(track))
        self._tell(self._session_finished())

    def _open_folder(self) -> None:
        if self.path is not None or not self._try(self._make_folder, 0):
            return
        provider, session = self.summary.session
        self._tell(SessionStarted(provider, session, self.summary.bot, str(self.path)))

    def _make_folder(self) -> None:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        for number in count(2):
            try:
                self._path.mkdir(mode=0o700)
            except FileExistsError:
                self._path = self._path.with_name(f"{session_folder(self.summary)}-{number}")
            else:
                break
        self.path = self._path

    def _write_track(self, track: str, pieces: list[tuple[int, bytes]]) -> None:
        samples = sum(len(pcm) for _, pcm in pieces) // SAMPLE_BYTES
        file = self._files.get(track)
        if file is None:
            if not self._try(lambda: self._open_track(track), samples):
                return
            file = self._files[track]
        for position, pcm in pieces:
            self._try(partial(file.write, position, pcm), len(pcm) // SAMPLE_BYTES)

    def _open_track(self, track: str) -> None:
        if self.path is None:
            raise OSError("the session has no folder")
        summary = self._summary_of(track)
        if track not in self._given:
            self._given[track] = self._names.give(track_file(track, summary.name))
        file = WRITERS[self._form](self.path / f"{self._given[track]}.{self._form}", summary.rate)
        self._files[track] = file
        provider, session = self.summary.session
        start = summary.start / summary.rate
        self._tell(TrackStarted(provider, session, track, summary.name, summary.rate, start, str(file.path)))

    def _summary_of(self, track: str) -> TrackSummary:
        return next(summary for summary in self.summary.tracks if summary.track == track)

    def _append(self, lines: list[bytes]) -> None:
        if self.path is None:
            raise OSError("the session has no folder")
        if self._log is None:
            self._log = os.open(self.path / EVENT_LOG, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        append(self._log, b"".join(lines))

    def _try(self, action: Callable[[], Any], samples: int) -> bool:
        """Do something on the disk; if it refuses, count the samples as lost and say so once."""
        try:
            action()
        except OSError as error:
            self.lost += max(samples, 1)
            if not self._complained:
                self._complained = True
                self._tell(self._complaint(error))
            return False
        return True

    def _complaint(self, error: OSError) -> Failed:
        where = error.filename or self._path
        return Failed(
            f"cannot write {where}: {error.strerror or error}; audio is being lost",
            "free or remount the disk: writing is tried again with every batch, and the hole becomes silence",
            self.summary.session[1],
        )

    def _write_manifest(self) -> None:
        if self.path is None:
            return
        document = msgspec.json.format(msgspec.json.encode(self.manifest()), indent=2)
        write_atomically(self.path / MANIFEST, document + b"\n")

    def manifest(self) -> dict[str, Any]:
        """The manifest as it stands; docs/recording.md tells every field."""
        summary = self.summary
        provider, session = summary.session
        return {
            "version": MANIFEST_VERSION,
            "program": f"audiotap {__version__}",
            "provider": provider,
            "session": session,
            "bot": summary.bot,
            "started": _utc(summary.started),
            "ended": _utc(summary.ended) if summary.ended else None,
            "reason": summary.reason,
            "seconds": round(summary.seconds, 6),
            "format": self._form,
            "connections": summary.connections,
            "malformed": summary.malformed,
            "unknown": summary.unknown,
            "lost_samples": self.lost,
            "lossy": self._lossy,
            "tracks": [self._track_entry(track) for track in summary.tracks],
        }

    def _track_entry(self, track: TrackSummary) -> dict[str, Any]:
        file = self._files.get(track.track)
        return {
            "track": track.track,
            "kind": track.track if track.track in {MIXED, SPOKEN} else "participant",
            "names": track.names,
            "file": file.path.name if file is not None else None,
            "rate": track.rate,
            "start": track.start,
            "samples": track.samples,
            **msgspec.structs.asdict(track.counts),
            **msgspec.structs.asdict(track.flaws),
        }

    @property
    def _lossy(self) -> bool:
        return self.summary.lossy or self.lost > 0

    def _track_finished(self, track: TrackSummary) -> TrackFinished:
        provider, session = self.summary.session
        file = self._files.get(track.track)
        path = file.path if file is not None else None
        play = player_hint(path, track.rate) if path is not None and self._form == "bin" else None
        return TrackFinished(
            provider,
            session,
            track.track,
            track.name,
            track.rate,
            track.seconds,
            track.counts.gaps,
            str(path) if path is not None else None,
            play,
        )

    def _session_finished(self) -> SessionFinished:
        provider, session = self.summary.session
        return SessionFinished(
            provider,
            session,
            self.summary.bot,
            self.summary.seconds,
            str(self.path) if self.path is not None else None,
            str(self.path / MANIFEST) if self.path is not None else None,
            tuple(str(file.path) for file in self._files.values()),
            self._lossy,
            self.summary.reason,
        )


def session_folder(summary: Summary) -> str:
    """`<UTC start>_<provider>_<safe session id>`."""
    provider, session = summary.session
    return f"{summary.started:%Y%m%dT%H%M%SZ}_{provider}_{safe_name(session)}"


def track_file(track: str, name: str | None) -> str:
    """`mixed`, `spoken`, or a participant's id with the display name behind it."""
    if track in {MIXED, SPOKEN}:
        return track
    return f"{safe_name(track)}_{safe_name(name)}" if name else safe_name(track)


def _utc(time: datetime) -> str:
    return time.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _by_session(items: Sequence[Item]) -> dict[SessionKey, list[Item]]:
    sessions: dict[SessionKey, list[Item]] = {}
    for item in items:
        sessions.setdefault(item.session, []).append(item)
    return sessions


def _up_to_ends(batch: list[Item]) -> Iterator[list[Item]]:
    """A session's batch in parts that end where a recording does: its bot may be back within the same batch."""
    part: list[Item] = []
    for item in batch:
        part.append(item)
        if isinstance(item, Summary) and item.ended is not None:
            yield part
            part = []
    if part:
        yield part


def _runs(batch: Sequence[Item]) -> tuple[dict[str, list[tuple[int, bytes]]], list[bytes], bool]:
    """A batch sorted: contiguous runs per track, lines for the event log, and whether the session's state was told."""
    pieces: dict[str, list[Placed]] = {}
    lines: list[bytes] = []
    told = False
    for item in batch:
        match item:
            case Placed():
                pieces.setdefault(item.track, []).append(item)
            case Logged():
                lines.append(_line(item))
            case Summary():
                told = True
    return {track: _joined(placed) for track, placed in pieces.items()}, lines, told


def _joined(placed: list[Placed]) -> list[tuple[int, bytes]]:
    joined: list[tuple[int, list[bytes]]] = []
    end = None
    for item in placed:
        if item.position != end:
            joined.append((item.position, []))
        joined[-1][1].append(item.chunk.pcm)
        end = item.end
    return [(position, b"".join(parts)) for position, parts in joined]


def _line(logged: Logged) -> bytes:
    seconds = None if logged.seconds is None else round(logged.seconds, 6)
    line = {"at": seconds, "event": logged.occurred.kind, "data": logged.occurred.data}
    return msgspec.json.encode(line) + b"\n"
