"""Recordings on their way to an object store: what is on the disk is looked through again and again.

Nothing here knows the recorder, and it knows nothing of this: a store that is slow or down holds nothing up, and what
a listener that died did not send is found by the next one.
"""

from __future__ import annotations

import asyncio
import math
import os
import random
import secrets
import socket
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from functools import partial
from itertools import islice
from pathlib import Path, PurePath
from threading import Lock

import msgspec

from audiotap.audio import SAMPLE_BYTES
from audiotap.errors import ManifestError
from audiotap.manifest import EVENT_LOG, NAME, UPLOADS, Manifest
from audiotap.naming import safe_name
from audiotap.net.fleet.journal import Journal
from audiotap.net.fleet.store import TIMEOUT, Store, StoreError
from audiotap.net.tasks import Worker, wait_for
from audiotap.reports import Failed, Odd, Report
from audiotap.segments import due, extract, pack, recorded
from audiotap.session import Summary
from audiotap.text import counted
from audiotap.track import TrackSummary

Tell = Callable[[Report], None]
TRACKS = "tracks"
"""Under which name of a recording its segments are."""
MARK = ("audiotap.json", b'{"layout": 1}\n')
"""What lies at the store's URL itself: how everything below it is laid out."""
THREADS = 4
"""Sessions that are looked after at the same time: each takes as much memory as two segments."""
MOST = 4
"""Segments of a track that are sent before it is another session's turn: who is behind for hours holds up nobody."""
LOOKS = 12
"""Looks at the disk while a segment passes."""
FIRST_PAUSE, LONGEST_PAUSE = 0.5, 30.0
"""Seconds until a store that refused is asked again, at first and at most."""
HURRIED_PAUSE = 2.0
"""The same at most when the end waits for it."""


class Uploads(msgspec.Struct, frozen=True):
    """What is uploaded where: `segment` seconds at a time, and for `patience` seconds the end waits for the rest."""

    url: str
    segment: float = 60.0
    patience: float = 60.0


@asynccontextmanager
async def uploading(uploads: Uploads, out: Path) -> AsyncIterator[Uploader]:
    """Upload what is recorded in a folder from its `start` on while the block runs, and what is left of it after that.

    UsageError and MachineError for what can never work; a store that refuses is told of and asked again.
    """
    uploader = Uploader(Store(uploads.url, timeout=max(TIMEOUT, uploads.segment), make=True), uploads, out)
    try:
        yield uploader
        await uploader.finish()
    finally:
        uploader.close()


class Uploader:
    """Looks after all sessions of a folder. `behind` is whether anything was not uploaded in the end."""

    def __init__(self, store: Store, uploads: Uploads, out: Path) -> None:
        self.behind = False
        self._over = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._store = store
        self._uploads = uploads
        self._out = out
        self._tell: Tell = _nobody
        self._told: StoreError | None = None
        self._sessions: dict[str, Session] = {}
        self._done: set[str] = set()
        self._finding = Lock()
        self._marked = False
        self._workers = [Worker(f"audiotap: upload {n + 1}") for n in range(THREADS)]

    def start(self, tell: Tell) -> None:
        """Begin to look at the disk, and to tell of it."""
        self._tell = tell
        self._task = asyncio.create_task(self._run(), name="upload")

    async def finish(self) -> None:
        """Return when everything is in the store, or too much time has passed; what is left is told."""
        if self._task is None:
            return
        self._over.set()
        done, _ = await asyncio.wait({self._task}, timeout=self._uploads.patience)
        for task in done:
            task.result()
        left = [session for session in self._find() if session.left()]
        self.behind = bool(left)
        if left:
            self._tell(
                Failed(
                    f"{counted(len(left), 'recording')} not uploaded to the end",
                    "start audiotap listen with the same --out and --upload again: it goes on where it was",
                )
            )

    def close(self) -> None:
        """Let go of everything."""
        if self._task is not None:
            self._task.cancel()
        for worker in self._workers:
            worker.stop()

    async def _run(self) -> None:
        """Return when the listener is over and everything was sent."""
        failures = 0
        while True:
            last = self._over.is_set()
            trouble = await self._look()
            self._say(trouble)
            failures = failures + 1 if trouble is not None else 0
            if not failures and any(session.more for session in self._sessions.values()):
                continue
            if not failures and last:
                return
            await self._rest(failures)

    async def _rest(self, failures: int) -> None:
        """Wait until it is time for another look."""
        if not failures:
            await wait_for(self._over, self._uploads.segment / LOOKS)
            return
        longest = HURRIED_PAUSE if self._over.is_set() else LONGEST_PAUSE
        pause = min(longest, FIRST_PAUSE * 2 ** min(failures, 16)) * random.uniform(0.5, 1.0)  # noqa: S311 - no secret
        if self._over.is_set():
            await asyncio.sleep(pause)
        else:
            await wait_for(self._over, pause)

    async def _look(self) -> StoreError | None:
        """Send what is due of every session; what the store said when it refused, after which nobody goes on."""
        troubles: list[StoreError] = []

        async def work(worker: Worker, sessions: Iterator[Session]) -> None:
            for session in sessions:
                if troubles:
                    return
                try:
                    await worker.do(session.turn)
                except StoreError as error:
                    troubles.append(error)
                except Exception as error:  # noqa: BLE001 - one recording that cannot be read must not stop the others
                    session.complain(error, self._tell)

        first = self._workers[0]
        sessions = iter(await first.do(self._find))
        if not self._marked and not self._over.is_set():
            try:
                await first.do(partial(self._store.create, *MARK))
            except StoreError as error:
                return error
            self._marked = True
        await asyncio.gather(*(work(worker, sessions) for worker in self._workers))
        return next(iter(troubles), None)

    def _say(self, trouble: StoreError | None) -> None:
        """Tell once that the store refuses, and once that it does no more."""
        before, self._told = self._told, trouble
        if trouble is None:
            if before is not None:
                self._tell(Odd(f"{self._store.url} takes recordings again"))
        elif before is None or before.refused != trouble.refused:
            later = "recordings stay here, and uploading is tried again"
            if trouble.refused:
                self._tell(Failed(f"{trouble.message}; {later}", trouble.hint))
            else:
                self._tell(Odd(f"{trouble.message}; {later}"))

    def _find(self) -> list[Session]:
        """The sessions on the disk that are not done; the end looks for them too, whatever a thread is doing."""
        with self._finding:
            for name, session in list(self._sessions.items()):
                if session.done or session.gone:
                    session.close()
                    del self._sessions[name]
                    if session.done:
                        self._done.add(name)
            for name in self._names() - self._sessions.keys() - self._done:
                self._open(name)
            return [self._sessions[name] for name in sorted(self._sessions)]

    def _names(self) -> set[str]:
        try:
            with os.scandir(self._out) as entries:
                return {entry.name for entry in entries if entry.is_dir(follow_symlinks=False)}
        except OSError:
            return set()

    def _open(self, name: str) -> None:
        """Take care of a session that wants to be uploaded, unless somebody else does."""
        try:
            journal = Journal(self._out / name / UPLOADS, self._store.url)
        except OSError:
            return
        if journal.done:
            journal.close()
            self._done.add(name)
        else:
            self._sessions[name] = Session(self._out / name, journal, self._store, self._uploads.segment)


class Session:
    """One session's folder. All methods belong to one thread at a time.

    `more` is whether the last turn left something that was due.
    """

    def __init__(self, folder: Path, journal: Journal, store: Store, segment: float) -> None:
        self._folder = folder
        self._journal = journal
        self._store = store
        self._segment = segment
        self._manifest: Manifest | None = None
        self._document = b""
        self._introduced: set[tuple[str, str]] | None = None
        self.more = False
        self._complained = False

    @property
    def done(self) -> bool:
        return self._journal.done

    @property
    def gone(self) -> bool:
        return self._journal.gone

    def left(self) -> bool:
        """Whether it has ended, and is not in the store."""
        try:
            return not self.done and self._read().summary.ended is not None
        except (OSError, ManifestError):
            return not self.gone

    def close(self) -> None:
        self._journal.close()

    def complain(self, error: Exception, tell: Tell) -> None:
        """Say once why this session cannot be read; it is tried again."""
        self.more = False
        if not self._complained and not self.gone:
            self._complained = True
            why = (error.strerror if isinstance(error, OSError) else None) or f"{type(error).__name__}: {error}"
            tell(Odd(f"{self._folder} cannot be read for the upload: {why}"))

    def turn(self) -> None:
        """Send what is due, or `MOST` of it, and the manifest before any track that it names for the first time.

        StoreError where the store refuses, OSError and ManifestError where the recording cannot be read.
        """
        if self.done:
            return
        self.more = False
        manifest = self._read()
        over = manifest.summary.ended is not None
        self._introduce(manifest)
        lengths = {track.track: self._length(manifest, track) for track in manifest.summary.tracks}
        head = max((lengths[track.track] / track.rate for track in manifest.summary.tracks), default=0.0)
        sent = 0
        for track in manifest.summary.tracks:
            segments = self._send(manifest, track, lengths[track.track], math.inf if over else head)
            self.more |= segments == MOST
            sent += segments
        over &= not self.more
        if over:
            self._conclude()
        if over or sent:
            self._store.replace(f"{self._journal.under}/{NAME}", manifest.document())
        if over:
            self._journal.finish()
        self._complained = False

    def _read(self) -> Manifest:
        document = (self._folder / NAME).read_bytes()
        if self._manifest is None or document != self._document:
            self._manifest, self._document = Manifest.parse(document), document
        return self._manifest

    def _introduce(self, manifest: Manifest) -> None:
        """Have the manifest in the store before what only it explains."""
        if not self._journal.under:
            self._journal.call(stored_as(manifest.summary))
        tracks = set(manifest.files.items())
        if self._introduced is None or not tracks <= self._introduced:
            self._store.replace(f"{self._journal.under}/{NAME}", manifest.document())
            self._introduced = tracks

    def _length(self, manifest: Manifest, track: TrackSummary) -> int:
        """How many samples of a track are there by now."""
        file = manifest.files.get(track.track)
        if file is None:
            return 0
        length = recorded(self._folder / file)
        if length is not None:
            return length
        return track.samples if (self._folder / file).with_suffix(".flac").exists() else 0

    def _send(self, manifest: Manifest, track: TrackSummary, length: int, head: float) -> int:
        """Send what is due of a track; how many segments."""
        file = manifest.files.get(track.track)
        if file is None:
            return 0
        unsent = range(max(track.start, self._journal.through(track.track)), length)
        sent = 0
        for place in islice(due(unsent, head * track.rate, max(1, round(self._segment * track.rate))), MOST):
            pcm = extract(self._folder / file, place)
            if not pcm:
                break
            segment, data = pack(place.start, pcm, track.rate)
            self._store.create(f"{self._journal.under}/{TRACKS}/{PurePath(file).stem}/{segment.name}", data)
            self._journal.sent(track.track, place.start + len(pcm) // SAMPLE_BYTES)
            sent += 1
        return sent

    def _conclude(self) -> None:
        """The event log, which is whole now."""
        log = self._folder / EVENT_LOG
        if log.exists():
            self._store.replace(f"{self._journal.under}/{EVENT_LOG}", log)


def _nobody(_: Report) -> None:
    """Nobody is told anything before there is a listener."""


def stored_as(summary: Summary) -> str:
    """A new name for a recording in a store: `<provider>_<session>/<start>_<host>-<eight digits of its own>`."""
    provider, session = summary.session
    host = safe_name(socket.gethostname())
    return f"{safe_name(provider)}_{safe_name(session)}/{summary.started:%Y%m%dT%H%M%SZ}_{host}-{secrets.token_hex(4)}"
