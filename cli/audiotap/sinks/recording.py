"""Recordings: a folder per session, a file per track, an event log and a manifest that is always true.

docs/recording.md describes the format; what is written here and what stands there change together.
"""

from __future__ import annotations

import errno
import os
import shlex
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from functools import partial
from itertools import count
from pathlib import Path

import msgspec

from audiotap.audio import SAMPLE_BYTES
from audiotap.events import MIXED, SPOKEN
from audiotap.files import append, is_gone, lock_folder, sync_folder, write_atomically
from audiotap.flac import to_flac
from audiotap.manifest import EVENT_LOG, NAME, Format, Manifest
from audiotap.naming import Names, safe_name
from audiotap.reports import Failed, Odd, Report, SessionFinished, SessionStarted, TrackFinished, TrackStarted
from audiotap.session import Logged, Placed, SessionKey, Summary
from audiotap.sinks.base import Item
from audiotap.track import TrackSummary
from audiotap.writing import RawWriter, WavWriter

Tell = Callable[[Report], None]
SYNCERS = 8
"""Files that are synced to the disk at the same time."""


class Policy(msgspec.Struct, frozen=True):
    """How everything is written: under which folder, in which format, and whether a power cut may cost a recording."""

    out: Path
    form: Format = "wav"
    durable: bool = False


class Recorder:
    """Writes every session. A disk that refuses is told of once per session, counted, and tried again.

    All methods but `adopt` belong to one thread.
    """

    required = True

    def __init__(self, policy: Policy, tell: Tell) -> None:
        self.failed = False
        self._policy = policy
        self._tell = tell
        self._recordings: dict[SessionKey, Recording] = {}
        self._concluding: list[Future[None]] = []
        self._converter = ThreadPoolExecutor(1, "audiotap-flac")
        self._syncers = ThreadPoolExecutor(SYNCERS, "audiotap-sync")

    def adopt(self, folder: Path, lock: int, manifest: Manifest) -> None:
        """Go on in the folder of a session that is resumed, in its own format, before anything is written.

        `lock` is the folder's.
        """
        policy = msgspec.structs.replace(self._policy, form=manifest.form)
        recording = Recording(policy, manifest.summary, self._tell)
        recording.adopt(folder, lock, manifest)
        self._recordings[manifest.summary.session] = recording

    def write(self, items: Sequence[Item]) -> None:
        """Take a batch; what is contiguous on a track becomes one write."""
        for key, batch in _by_session(items).items():
            for part in _up_to_ends(batch):
                self._write_part(key, part)

    def sync(self) -> None:
        """Return when everything that was written is on the disk's surface."""
        for recording in self._recordings.values():
            recording.sync(self._syncers)

    def close(self) -> None:
        """Close whatever is still open; a session that was told to end was finished already."""
        for key in list(self._recordings):
            self._finish(key)
        self._converter.shutdown()
        self._syncers.shutdown()
        for concluded in self._concluding:
            concluded.result()

    def _write_part(self, key: SessionKey, part: Sequence[Item]) -> None:
        """Write what belongs to one recording; its end may be the last item."""
        for item in part:
            if isinstance(item, Summary):
                if key not in self._recordings:
                    self._recordings[key] = Recording(self._policy, item, self._tell)
                self._recordings[key].summary = item
        recording = self._recordings[key]
        recording.write(part)
        self.failed |= recording.lost > 0
        if recording.summary.ended is not None:
            self._finish(key)

    def _finish(self, key: SessionKey) -> None:
        """Finish a recording; the long part of it must not hold up the others."""
        recording = self._recordings.pop(key)
        recording.finish()
        if recording.policy.form == "flac":
            self._concluding.append(self._converter.submit(recording.conclude))
        else:
            recording.conclude()


class Recording:
    """One session's folder. `summary` is how the session stood when it was last told."""

    def __init__(self, policy: Policy, summary: Summary, tell: Tell) -> None:
        self.summary = summary
        self.lost = 0
        self.path: Path | None = None
        self.policy = policy
        self._tell = tell
        self._writer, self._ending = (RawWriter, "bin") if policy.form == "bin" else (WavWriter, "wav")
        self._stems: dict[str, str] = {}
        self._files: dict[str, str] = {}
        self._open: dict[str, RawWriter] = {}
        self._unsynced: set[str] = set()
        self._names = Names()
        self._log: int | None = None
        self._lock: int | None = None
        self._complained = False

    def adopt(self, folder: Path, lock: int, manifest: Manifest) -> None:
        """Go on in a folder that is there, with the files that are in it."""
        self.path, self._lock, self.lost = folder, lock, manifest.lost
        self._tell_start(resumed=True)
        for track, file in manifest.files.items():
            self._stems[track] = self._names.give(Path(file).stem)
            self._try(partial(self._open_track, track, again=True))

    def write(self, batch: Sequence[Item]) -> None:
        """Write the session's part of a batch, then say in the manifest how it stands."""
        runs, lines, told = _runs(batch)
        self._open_folder()
        for track, pieces in runs.items():
            self._write_track(track, pieces)
        if lines:
            self._try(partial(self._append, lines))
        if told:
            self._try(self._write_manifest)

    def sync(self, workers: Executor) -> None:
        """Bring what was written since the last time to the disk's surface, several files at a time."""
        files = [self._open[track] for track in self._unsynced if track in self._open]
        self._unsynced.clear()
        for syncing in [workers.submit(file.sync) for file in files]:
            self._try(syncing.result)

    def finish(self) -> None:
        """Close the files and complete the manifest."""
        for file in self._open.values():
            if self.policy.durable:
                self._try(file.sync)
            self._try(file.close)
        if self._log is not None:
            os.close(self._log)
        self._try(self._write_manifest)

    def conclude(self) -> None:
        """After the finish: convert what is to be converted, report, and let go of the folder. It may take long."""
        if self.policy.form == "flac":
            self._convert()
        for track in self.summary.tracks:
            self._tell(self._track_finished(track))
        self._tell(self._session_finished())
        if self._lock is not None:
            os.close(self._lock)

    # The folder

    def _open_folder(self) -> None:
        """Make the folder where there is none: at the beginning, after a refusal, and after somebody removed it."""
        if self.path is not None and not (self._lock is not None and is_gone(self._lock)):
            return
        if self.path is not None:
            self._lose_folder(self.path)
        if self._try(self._make_folder):
            self._tell_start(resumed=False)
            self._try(self._write_manifest)

    def _make_folder(self) -> None:
        self.policy.out.mkdir(parents=True, exist_ok=True)
        name = session_folder(self.summary)
        for number in count(1):
            path = self.policy.out / (name if number == 1 else f"{name}-{number}")
            try:
                path.mkdir(mode=0o700)
            except FileExistsError:
                continue
            break
        self._lock = lock_folder(path)
        self.path = path
        if self.policy.durable:
            sync_folder(self.policy.out)

    def _lose_folder(self, path: Path) -> None:
        if self._lock is not None:
            os.close(self._lock)
        for track in list(self._open):
            self._lose_file(track)
        if self._log is not None:
            os.close(self._log)
        self.path = self._lock = self._log = None
        self._files.clear()
        self._complain(FileNotFoundError(errno.ENOENT, "the folder was removed", str(path)))

    def _lose_file(self, track: str) -> None:
        file = self._open.pop(track)
        self.lost += file.samples
        self._try(file.close)

    # The files in it

    def _write_track(self, track: str, pieces: list[tuple[int, bytes]]) -> None:
        if track in self._open and self._open[track].gone:
            self._complain(FileNotFoundError(errno.ENOENT, "the file was removed", str(self._open[track].path)))
            self._lose_file(track)
        samples = sum(len(pcm) for _, pcm in pieces) // SAMPLE_BYTES
        if track not in self._open and not self._try(partial(self._open_track, track), lambda: samples):
            return
        for position, pcm in pieces:
            self._put(self._open[track], position, pcm)
        self._unsynced.add(track)

    def _put(self, file: RawWriter, position: int, pcm: bytes) -> None:
        end = position + len(pcm) // SAMPLE_BYTES
        self._try(partial(file.write, position, pcm), lambda: end - max(position, file.samples))

    def _open_track(self, track: str, *, again: bool = False) -> None:
        path = self._folder()
        summary = next(summary for summary in self.summary.tracks if summary.track == track)
        if track not in self._stems:
            self._stems[track] = self._names.give(track_file(track, summary.name))
        file = self._writer(path / f"{self._stems[track]}.{self._ending}", summary.rate, again=again)
        self._open[track] = file
        self._files[track] = file.path.name
        if self.policy.durable:
            sync_folder(path)
        provider, session = self.summary.session
        start = summary.start / summary.rate
        self._tell(TrackStarted(provider, session, track, summary.name, summary.rate, start, str(file.path)))

    def _append(self, lines: list[bytes]) -> None:
        if self._log is None:
            self._log = os.open(self._folder() / EVENT_LOG, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        append(self._log, b"".join(lines))

    def _write_manifest(self) -> None:
        write_atomically(self._folder() / NAME, self.manifest().document(), durable=self.policy.durable)

    def manifest(self) -> Manifest:
        """The manifest as it stands."""
        return Manifest(self.summary, self.policy.form, dict(self._files), self.lost)

    def _convert(self) -> None:
        """Make each WAV a FLAC; what cannot become one stays what it is."""
        for track, file in self._files.items():
            try:
                self._files[track] = to_flac(self._folder() / file).name
            except OSError as error:
                self._tell(Odd(f"{error}; the WAV stays", self.summary.session[1], track))
        self._try(self._write_manifest)

    def _folder(self) -> Path:
        if self.path is None:
            raise FileNotFoundError(errno.ENOENT, "the session has no folder", str(self.policy.out))
        return self.path

    # What is told

    def _try(self, action: Callable[[], object], lost: Callable[[], int] = lambda: 1) -> bool:
        """Do something on the disk; if it refuses, count the samples that are lost by it, and say so once."""
        try:
            action()
        except OSError as error:
            self.lost += lost()
            self._complain(error)
            return False
        return True

    def _complain(self, error: OSError) -> None:
        if self._complained:
            return
        self._complained = True
        where = error.filename or self.path or self.policy.out
        self._tell(
            Failed(
                f"cannot write {where}: {error.strerror or error}; audio is being lost",
                "free or remount the disk: writing is tried again with every batch, and the hole becomes silence",
                self.summary.session[1],
            )
        )

    def _tell_start(self, *, resumed: bool) -> None:
        provider, session = self.summary.session
        self._tell(SessionStarted(provider, session, self.summary.bot, str(self.path), resumed))

    def _track_finished(self, track: TrackSummary) -> TrackFinished:
        provider, session = self.summary.session
        file = self._files.get(track.track)
        path = self.path / file if self.path is not None and file is not None else None
        return TrackFinished(
            provider,
            session,
            track.track,
            track.name,
            track.rate,
            track.seconds,
            track.counts.gaps,
            str(path) if path is not None else None,
            player_hint(path, track.rate) if path is not None and self.policy.form == "bin" else None,
        )

    def _session_finished(self) -> SessionFinished:
        provider, session = self.summary.session
        folder = self.path
        return SessionFinished(
            provider,
            session,
            self.summary.bot,
            self.summary.seconds,
            str(folder) if folder is not None else None,
            str(folder / NAME) if folder is not None else None,
            tuple(str(folder / file) for file in self._files.values()) if folder is not None else (),
            self.manifest().lossy,
            self.summary.reason,
        )


def session_folder(summary: Summary) -> str:
    """`<UTC start>_<provider>_<safe session id>`."""
    provider, session = summary.session
    return f"{summary.started:%Y%m%dT%H%M%SZ}_{safe_name(provider)}_{safe_name(session)}"


def track_file(track: str, name: str | None) -> str:
    """A track's file without its ending: `mixed`, `spoken`, or the participant's id with the display name."""
    if track in {MIXED, SPOKEN}:
        return track
    return f"{safe_name(track)}_{safe_name(name)}" if name else safe_name(track)


def player_hint(path: Path, rate: int) -> str:
    """The command that plays a bare S16LE file; ffmpeg's tools take raw samples as mono unless told otherwise."""
    return f"ffplay -f s16le -ar {rate} {shlex.quote(str(path))}"


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
