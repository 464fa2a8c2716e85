"""The work of `audiotap assemble`: recordings of one or several machines, out of an object store."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from itertools import count
from pathlib import Path, PurePath
from typing import NamedTuple

import msgspec
import typer

from audiotap.audio import SAMPLE_BYTES, Resampler
from audiotap.errors import Exit, MachineError, ManifestError, UsageError
from audiotap.files import append, draft_of, lock_folder, sync_folder, write_atomically
from audiotap.jobs.output import emit, talk
from audiotap.joining import Joint, join, line_of
from audiotap.manifest import EVENT_LOG, NAME, Manifest
from audiotap.naming import Names
from audiotap.net.fleet.store import Store
from audiotap.net.fleet.upload import TRACKS
from audiotap.segments import Segment, blend, extract, joined, lacking, parse, unpack
from audiotap.sinks.recording import session_folder, track_file
from audiotap.text import counted, printable
from audiotap.track import TrackSummary
from audiotap.writing import WavWriter

_RECORDING = re.compile(r"\d{8}T\d{6}Z_.+-[0-9a-f]{8}")
"""What one machine's recording of a session is called in a store."""


class Finding(msgspec.Struct, frozen=True):
    """Something that is missing or told differently, from `start` seconds on; null where no track or place is meant."""

    problem: str
    recording: str | None = None
    track: str | None = None
    start: float | None = None
    seconds: float | None = None


class Assembled(msgspec.Struct, frozen=True):
    """A session that was put together."""

    provider: str
    session: str
    path: str
    seconds: float
    recordings: tuple[str, ...]
    duplicates: int
    lossy: bool
    findings: tuple[Finding, ...]


class Stored(NamedTuple):
    """One machine's recording in a store: its segments by track."""

    name: str
    manifest: Manifest
    segments: dict[str, list[Segment]]
    events: bool
    written: datetime


def assemble(url: str, out: Path, *, json: bool) -> Exit:
    """Fetch a session and put it together, or print which sessions there are."""
    store = Store(url)
    names = [""] if _RECORDING.fullmatch(PurePath(store.url).name) else store.folders()
    recordings = [name for name in names if not name or _RECORDING.fullmatch(name)]
    if not recordings:
        return _list(store, names, json=json)
    told: list[Finding] = []
    stored = [one for name in recordings if (one := _look(store, name, told)) is not None]
    lines: dict[object, list[Stored]] = {}
    for one in stored:
        lines.setdefault(line_of(one.manifest.summary), []).append(one)
    assembled = []
    for parts in lines.values():
        assembled.append(_put_together(store, parts, out))
        if not json:
            typer.echo(printable(assembled[-1].path))
            talk("\n".join(_report(assembled[-1])))
    if json:
        emit(assembled)
    for finding in told:
        talk(f"{printable(finding.recording or store.url)}: {finding.problem}")
    return Exit.LOSSY if told or any(one.lossy for one in assembled) else Exit.OK


def _list(store: Store, names: Sequence[str], *, json: bool) -> Exit:
    if not names:
        raise UsageError(f"{store.url} holds no session", "name what listen --upload was given, or a session below it")
    urls = [f"{store.url}/{name}" for name in names]
    if json:
        emit(urls)
    else:
        typer.echo("\n".join(map(printable, urls)))
        talk(f"{counted(len(urls), 'session')}; name one to put it together")
    return Exit.OK


def _look(store: Store, name: str, told: list[Finding]) -> Stored | None:
    """What there is of a recording; None where nothing explains it, which is told."""
    data = store.get(_below(name, NAME))
    try:
        manifest = Manifest.parse(data) if data is not None else None
    except ManifestError as error:
        told.append(Finding(error.message, name))
        return None
    if manifest is None:
        told.append(Finding("it has no manifest", name))
        return None
    tracks = {PurePath(file).stem: track for track, file in manifest.files.items()}
    segments: dict[str, list[Segment]] = {}
    events, written = False, manifest.summary.started
    for listed in store.objects(name):
        path = PurePath(listed.name)
        written = max(written, listed.written)
        events |= listed.name == _below(name, EVENT_LOG)
        segment = parse(path.name)
        if segment is not None and path.parts[-3:-2] == (TRACKS,) and path.parts[-2] in tracks:
            segments.setdefault(tracks[path.parts[-2]], []).append(segment)
    return Stored(name, manifest, segments, events, written)


def _below(*names: str) -> str:
    return "/".join(filter(None, names))


def _put_together(store: Store, parts: list[Stored], out: Path) -> Assembled:
    """One folder out of the recordings of one time line. MachineError where the disk refuses."""
    parts.sort(
        key=lambda part: (min((s.position for some in part.segments.values() for s in some), default=0), part.name)
    )
    name = session_folder(parts[0].manifest.summary)
    try:
        with _draft(out, name) as draft:
            return _Assembly(store, parts, draft).run()
    except OSError as error:
        raise MachineError(
            f"cannot write in {error.filename or out}: {error.strerror or error}", "choose another folder with --out"
        ) from error


class _Draft:
    """A folder that gets its name when it is whole."""

    def __init__(self, path: Path, out: Path, name: str) -> None:
        self.path = path
        self._out = out
        self._name = name

    def publish(self) -> Path:
        """Give it its name, or the next one that is free."""
        for number in count(1):
            path = self._out / (self._name if number == 1 else f"{self._name}-{number}")
            if not path.exists():
                self.path.rename(path)
                sync_folder(self._out)
                return path
        raise AssertionError


@contextmanager
def _draft(out: Path, name: str) -> Iterator[_Draft]:
    """A draft that nobody else works on, and of which nothing is left where it does not become whole."""
    out.mkdir(parents=True, exist_ok=True)
    path = draft_of(out / name)
    path.mkdir(mode=0o700, exist_ok=True)
    lock = lock_folder(path)
    if lock is None:
        raise MachineError(f"{path} is being written already", "wait for the other assemble, or choose another --out")
    try:
        path.chmod(0o700)
        for left in path.iterdir():
            left.unlink()
        yield _Draft(path, out, name)
    finally:
        shutil.rmtree(path, ignore_errors=True)
        os.close(lock)


class _Assembly:
    """A session on its way out of a store."""

    def __init__(self, store: Store, parts: Sequence[Stored], draft: _Draft) -> None:
        self._store = store
        self._parts = parts
        self._draft = draft
        self._names = Names()
        self._findings: list[Finding] = []
        self._duplicates = 0

    def run(self) -> Assembled:
        """Write all files and the manifest; OSError where the disk refuses."""
        joints = {}
        for name in dict.fromkeys(track.track for part in self._parts for track in part.manifest.summary.tracks):
            if joint := self._track(name):
                joints[name] = joint
        self._events()
        for part in self._parts:
            if part.manifest.summary.ended is None:
                self._findings.append(
                    Finding("it has no end: it is being recorded, or its machine was lost", part.name)
                )
        touched = max(part.written for part in self._parts)
        manifest = join([part.manifest for part in self._parts], joints, touched)
        write_atomically(self._draft.path / NAME, manifest.document(), durable=True)
        path = self._draft.publish()
        provider, session = manifest.summary.session
        return Assembled(
            provider,
            session,
            str(path),
            round(manifest.summary.seconds, 6),
            tuple(part.name for part in self._parts),
            self._duplicates,
            manifest.lossy,
            tuple(self._findings),
        )

    def _track(self, name: str) -> Joint | None:
        """A track out of everybody's segments; None where nobody had any sample of it."""
        had = [(part, track) for part in self._parts for track in part.manifest.summary.tracks if track.track == name]
        first = had[0][1]
        wanted = [_scaled(range(track.start, track.samples), track.rate, first.rate) for _, track in had]
        segments = sorted(
            ((segment, part) for part, _ in had for segment in part.segments.get(name, ())),
            key=lambda one: (one[0], one[1].name),
        )
        if not any(wanted) and not segments:
            return None
        known = next((track.name for _, track in reversed(had) if track.name), None)
        file = WavWriter(self._draft.path / f"{self._names.give(track_file(name, known))}.wav", first.rate)
        there: list[range] = []
        differing = 0
        try:
            for segment, part in segments:
                pcm = self._fetch(part, name, segment)
                if pcm is not None:
                    place, pcm = _at_rate(segment, pcm, _rate(part, name), first.rate)
                    differing += self._write(file, name, place, pcm)
                    there.append(place)
            file.sync()
        finally:
            file.close()
        lost = lacking(wanted, there)
        whole = joined([*wanted, *there])
        gaps = lacking([range(whole[0].start, whole[-1].stop)], whole)
        self._find("no recorder has it", name, first, gaps)
        self._find("it is not in the store", name, first, lost)
        covered = joined(there)
        end = covered[-1].stop if covered else 0
        place = range(min(covered[0].start if covered else end, end), end)
        return Joint(file.path.name, place, [gap for gap in gaps if gap.stop <= end], sum(map(len, lost)) + differing)

    def _fetch(self, part: Stored, track: str, segment: Segment) -> bytes | None:
        """A segment's samples; None where they are damaged or gone, which shows as what is not in the store."""
        stem = PurePath(part.manifest.files[track]).stem
        data = self._store.get(_below(part.name, TRACKS, stem, segment.name))
        pcm = unpack(segment, data) if data is not None else None
        if pcm is None:
            self._findings.append(Finding(f"{segment.name} is damaged", part.name, track))
        return pcm

    def _write(self, file: WavWriter, track: str, place: range, pcm: bytes) -> int:
        """Put samples in their place; how many of them are told differently by what is there."""
        there = (
            extract(file.path, range(place.start, min(place.stop, file.samples))) if file.samples > place.start else b""
        )
        if there == pcm:
            self._duplicates += 1
            return 0
        blended, differing = blend(there, pcm[: len(there)])
        file.write(place.start, blended + pcm[len(there) :])
        if differing:
            overlap = range(place.start, place.start + len(there) // SAMPLE_BYTES)
            self._find(f"two recorders tell {counted(differing, 'sample')} differently", track, file, [overlap])
        return differing

    def _find(self, problem: str, track: str, at: TrackSummary | WavWriter, places: Sequence[range]) -> None:
        for place in places:
            start, seconds = place.start / at.rate, len(place) / at.rate
            self._findings.append(Finding(problem, None, track, round(start, 6), round(seconds, 6)))

    def _events(self) -> None:
        """The event logs, one recorder's after the other's."""
        logs = [self._store.get(_below(part.name, EVENT_LOG)) for part in self._parts if part.events]
        data = b"".join(log for log in logs if log)
        if data:
            fd = os.open(self._draft.path / EVENT_LOG, os.O_WRONLY | os.O_CREAT, 0o600)
            try:
                append(fd, data)
            finally:
                os.close(fd)


def _rate(part: Stored, name: str) -> int:
    return next(track.rate for track in part.manifest.summary.tracks if track.track == name)


def _at_rate(segment: Segment, pcm: bytes, rate: int, target: int) -> tuple[range, bytes]:
    """A segment at the rate that the track's first recorder had."""
    if rate == target:
        return segment.place, pcm
    place = _scaled(segment.place, rate, target)
    pcm = Resampler(rate, target).push(pcm, last=True)[: len(place) * SAMPLE_BYTES]
    return range(place.start, place.start + len(pcm) // SAMPLE_BYTES), pcm


def _scaled(place: range, rate: int, target: int) -> range:
    return range(round(place.start * target / rate), round(place.stop * target / rate))


def _report(assembled: Assembled) -> Iterator[str]:
    recordings = counted(len(assembled.recordings), "recording")
    yield f"{printable(assembled.session)}: {assembled.seconds:.2f} s of {recordings}" + (
        ", audio is missing" if assembled.lossy else ""
    )
    for finding in assembled.findings:
        where = ": ".join(printable(part) for part in (finding.recording, finding.track) if part)
        place = "" if finding.start is None else f" ({finding.seconds:.2f} s from {finding.start:.2f} s on)"
        yield f"  {where}: {finding.problem}{place}"
