"""Recordings: a folder per session, a file per track, an event log and a manifest that is always true.

docs/recording.md describes the format; what is written here and what stands there change together.
"""

from __future__ import annotations

import errno
import os
import shlex
from collections.abc import Callable, Sequence
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from contextlib import suppress
from functools import partial
from itertools import count
from pathlib import Path

import msgspec

from audiotap.audio import SAMPLE_BYTES
from audiotap.events import MIXED, SPOKEN
from audiotap.files import append, is_gone, lock_folder, sync_folder, write_atomically
from audiotap.flac import to_flac
from audiotap.manifest import EVENT_LOG, NAME, UPLOADS, Format, Manifest
from audiotap.naming import Names, safe_name
from audiotap.quota import BLOCK, Quota, QuotaError, in_blocks
from audiotap.reports import Failed, Odd, Report, SessionFinished, SessionStarted, TrackFinished, TrackStarted
from audiotap.session import Logged, Placed, SessionKey, Summary
from audiotap.sinks.base import Item
from audiotap.track import TrackSummary
from audiotap.writing import RawWriter, WavWriter

Tell = Callable[[Report], None]
LOOKS = 10
"""Batches after which it is looked whether folder and files are still there."""
MOST_OLD_NEWS = 6
"""Summaries in which only counts rise, of which the last one makes a new manifest: half a minute."""
ENTRY = 3 * 1024
"""Bytes of a track in a manifest, without its id: all numbers, its file, and its newest name at its longest."""
SYNCERS = 8
"""Files that are synced to the disk at the same time."""


class Policy(msgspec.Struct, frozen=True):
    """How everything is written: under which folder, in which format, and whether a power cut may cost a recording.

    `max_disk` is what the folder may take of its disk in bytes (0: all), `writers` how many processes write there.
    `upload` marks every session as one that is to be brought into an object store.
    """

    out: Path
    form: Format = "wav"
    durable: bool = False
    max_disk: int = 0
    writers: int = 1
    upload: bool = False


class Recorder:
    """Writes every session. A disk that refuses is told of once per session, counted, and tried again.

    All methods but `adopt` belong to one thread.
    """

    required = True

    def __init__(self, policy: Policy, tell: Tell) -> None:
        self.failed = False
        self._policy = policy
        self._tell = tell
        self._quota = Quota(policy.out, policy.max_disk, policy.writers)
        self._recordings: dict[SessionKey, Recording] = {}
        self._concluding: list[Future[None]] = []
        self._converter = ThreadPoolExecutor(1, "audiotap-flac")
        self._syncers = ThreadPoolExecutor(SYNCERS, "audiotap-sync")

    def adopt(self, folder: Path, lock: int, manifest: Manifest) -> None:
        """Go on in the folder of a session that is resumed, in its own format, before anything is written.

        `lock` is the folder's.
        """
        policy = msgspec.structs.replace(self._policy, form=manifest.form)
        recording = Recording(policy, manifest.summary, self._tell, self._quota)
        recording.adopt(folder, lock, manifest)
        self._recordings[manifest.summary.session] = recording

    def write(self, items: Sequence[Item]) -> None:
        """Take a batch; what is contiguous on a track becomes one write."""
        self._quota.turn()
        for key, part in _parts(items):
            recording = self._recordings.get(key)
            if recording is None:
                if part.summary is None:
                    raise ValueError(f"{key} was not told of")
                recording = self._recordings[key] = Recording(self._policy, part.summary, self._tell, self._quota)
            recording.write(part)
            self.failed |= recording.lost > 0
            if recording.summary.ended is not None:
                self._finish(key)

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

    def __init__(self, policy: Policy, summary: Summary, tell: Tell, quota: Quota) -> None:
        self.summary = summary
        self.lost = 0
        self.path: Path | None = None
        self.policy = policy
        self._tell = tell
        self._quota = quota
        self._writer, self._ending = (RawWriter, "bin") if policy.form == "bin" else (WavWriter, "wav")
        self._stems: dict[str, str] = {}
        self._files: dict[str, str] = {}
        self._open: dict[str, RawWriter] = {}
        self._unsynced: set[str] = set()
        self._names = Names()
        self._log: int | None = None
        self._lock: int | None = None
        self._batches = self._room = self._kept = 0
        self._news: object = None
        self._old_news = 0
        self._complained = False

    def adopt(self, folder: Path, lock: int, manifest: Manifest) -> None:
        """Go on in a folder that is there, with the files that are in it."""
        self.path, self._lock, self.lost = folder, lock, manifest.lost
        self._room = in_blocks(len(manifest.document()))
        self._keep(BLOCK)
        self._tell_start(resumed=True)
        for track, file in manifest.files.items():
            self._stems[track] = self._names.give(Path(file).stem)
            self._try(partial(self._open_track, track, again=True))

    def write(self, part: Part) -> None:
        """Write the session's part of a batch, then say in the manifest how it stands."""
        self._batches += 1
        looks = self._batches % LOOKS == 0
        for track, begun in part.begun.items():
            self._call(track, begun or self.summary)
        if part.summary is not None:
            self.summary = part.summary
        if self.path is None or looks:
            self._open_folder()
        for track, pieces in part.tracks.items():
            if looks:
                self._look_after(track)
            self._write_track(track, pieces)
        if part.lines:
            self._try(partial(self._append, part.lines))
        if part.summary is not None and self._is_news(part.summary):
            self._try(self._write_manifest)

    def _is_news(self, summary: Summary) -> bool:
        """Whether the manifest has to say more than higher counts, or has not been written for long."""
        news = (
            summary.bot,
            summary.connections,
            summary.origin,
            [(track.track, track.names) for track in summary.tracks],
        )
        self._old_news += 1
        if news == self._news and self._old_news < MOST_OLD_NEWS:
            return False
        self._news, self._old_news = news, 0
        return True

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
        self._keep(0)

    def conclude(self) -> None:
        """After the finish: convert what is to be converted, let go of the folder, and report. It may take long."""
        if self.policy.form == "flac":
            self._convert()
        if self._lock is not None:
            os.close(self._lock)
        for track in self.summary.tracks:
            self._tell(self._track_finished(track))
        self._tell(self._session_finished())

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
        room = in_blocks(len(self.manifest().document())) if self._quota.limited else 0
        self._quota.take(BLOCK + room)
        self._room = room
        self._keep(room + BLOCK)
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

    def _look_after(self, track: str) -> None:
        """Let go of a file that somebody removed."""
        if track in self._open and self._open[track].gone:
            self._complain(FileNotFoundError(errno.ENOENT, "the file was removed", str(self._open[track].path)))
            self._lose_file(track)

    def _write_track(self, track: str, pieces: list[Placed]) -> None:
        file = self._open.get(track)
        if file is None:
            if not self._try(partial(self._open_track, track), lambda: sum(piece.chunk.samples for piece in pieces)):
                return
            file = self._open[track]
        for position, pcm in _joined(pieces):
            try:
                self._quota.take(len(pcm))
                file.write(position, pcm)
            except OSError as error:
                self.lost += position + len(pcm) // SAMPLE_BYTES - max(position, file.samples)
                self._complain(error)
        self._unsynced.add(track)

    def _call(self, track: str, begun: Summary) -> None:
        """Give a track's file its name for good: by what was known as the track began, however much is in a batch."""
        if track not in self._stems:
            name = next(summary.name for summary in begun.tracks if summary.track == track)
            self._stems[track] = self._names.give(track_file(track, name))

    def _open_track(self, track: str, *, again: bool = False) -> None:
        path = self._folder()
        summary = next(summary for summary in self.summary.tracks if summary.track == track)
        if not again:
            entry = ENTRY + len(msgspec.json.encode(track))
            self._quota.take(BLOCK + entry)
            self._room += entry
            self._keep(self._kept + entry)
        file = self._writer(path / f"{self._stems[track]}.{self._ending}", summary.rate, again=again)
        self._open[track] = file
        self._files[track] = file.path.name
        if self.policy.durable:
            sync_folder(path)
        provider, session = self.summary.session
        start = summary.start / summary.rate
        self._tell(TrackStarted(provider, session, track, summary.name, summary.rate, start, str(file.path)))

    def _append(self, lines: list[bytes]) -> None:
        data = b"".join(lines)
        self._quota.take(len(data) if self._log is not None else BLOCK + len(data))
        if self._log is None:
            self._log = os.open(self._folder() / EVENT_LOG, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        append(self._log, data)

    def _write_manifest(self) -> None:
        document = self.manifest().document()
        try:
            self._have_room(len(document))
        except QuotaError:
            if self.summary.ended is None:
                raise
            document = self.manifest().shortened().document()
        write_atomically(self._folder() / NAME, document, durable=self.policy.durable)
        self._keep(max(0, self._room - in_blocks(len(document))) + BLOCK if self.summary.ended is None else 0)
        if self.policy.upload:
            with suppress(OSError):
                (self._folder() / UPLOADS).touch(mode=0o600)

    def _have_room(self, size: int) -> None:
        """Let the manifest be so large. QuotaError where there is no room for what it has grown by."""
        if size > self._room:
            self._quota.take(in_blocks(size) - self._room)
            self._room = in_blocks(size)

    def _keep(self, size: int) -> None:
        """Have so many bytes of the disk kept for what the manifest may still grow by, and for its last words."""
        if size != self._kept:
            self._quota.kept += size - self._kept
            self._kept = size

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
                f"{_way_out(error)}: writing is tried again with every batch, and the hole becomes silence",
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


def _way_out(error: OSError) -> str:
    """What to do about a disk, or a system, that refuses."""
    if isinstance(error, QuotaError):
        return "remove recordings, or raise --max-disk"
    if error.errno in {errno.EMFILE, errno.ENFILE}:
        return "let more files be open (ulimit -n), or have fewer bots on a listener"
    return "free or remount the disk"


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


class Part:
    """What a batch holds for one recording: each track's chunks in order, lines for the event log, the last summary.

    `begun` is the last summary before a track's first chunk, if there was one in the batch.
    """

    def __init__(self) -> None:
        self.begun: dict[str, Summary | None] = {}
        self.tracks: dict[str, list[Placed]] = {}
        self.lines: list[bytes] = []
        self.summary: Summary | None = None


def _parts(items: Sequence[Item]) -> list[tuple[SessionKey, Part]]:
    """A batch by session. What follows a session's end is of another recording: its bot may be back within a batch."""
    parts: list[tuple[SessionKey, Part]] = []
    going_on: dict[SessionKey, Part] = {}
    for item in items:
        part = going_on.get(item.session)
        if part is None:
            part = going_on[item.session] = Part()
            parts.append((item.session, part))
        if type(item) is Placed:
            pieces = part.tracks.get(item.track)
            if pieces is None:
                part.tracks[item.track] = [item]
                part.begun[item.track] = part.summary
            else:
                pieces.append(item)
        elif isinstance(item, Summary):
            part.summary = item
            if item.ended is not None:
                del going_on[item.session]
        elif isinstance(item, Logged):
            part.lines.append(_line(item))
    return parts


def _joined(pieces: list[Placed]) -> list[tuple[int, bytes]]:
    """Chunks as runs that are contiguous."""
    if len(pieces) == 1:
        return [(pieces[0].position, pieces[0].chunk.pcm)]
    runs: list[tuple[int, list[bytes]]] = []
    end = None
    for piece in pieces:
        if piece.position != end:
            runs.append((piece.position, []))
        pcm = piece.chunk.pcm
        runs[-1][1].append(pcm)
        end = piece.position + len(pcm) // SAMPLE_BYTES
    return [(position, b"".join(parts)) for position, parts in runs]


def _line(logged: Logged) -> bytes:
    seconds = None if logged.seconds is None else round(logged.seconds, 6)
    line = {"at": seconds, "event": logged.occurred.kind, "data": logged.occurred.data}
    return msgspec.json.encode(line) + b"\n"
