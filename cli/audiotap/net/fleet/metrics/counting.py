"""Counting without a price: what sessions count anyway is added up when somebody asks.

Only how ended sessions stood is kept, as a lane that lets all audio pass.
"""

from __future__ import annotations

import asyncio
import time
from bisect import bisect_left
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping

import msgspec

from audiotap.audio import SAMPLE_BYTES
from audiotap.events import MIXED, SPOKEN
from audiotap.net.fleet.metrics.figures import Figures, Key, add
from audiotap.net.lanes import BatchLane
from audiotap.net.port import Port
from audiotap.net.tap import Tap
from audiotap.session import SessionKey, Summary
from audiotap.sinks.base import Item
from audiotap.sinks.recording import Recorder
from audiotap.track import Track, TrackCounts, TrackSummary

LOOK_SECONDS = 0.1
BOUNDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0)
"""Seconds by which the event loop was late; one more bucket is for what was later."""
KINDS = (MIXED, SPOKEN, "participant")
ODD = ("late", "jumps", "untimed", "slipped_in", "slipped_out", "duplicates", "reordered", "missing", "superseded")
BY_KIND = ("chunks", "gaps", "gap_seconds", "audio_bytes", "audio_seconds")
COLUMNS = (*TrackCounts.__struct_fields__, "audio_bytes", "audio_seconds", "gap_seconds")

Row = tuple[float, ...]
"""A track's figures, in the order of `COLUMNS`."""


class Counting:
    """A lane to nowhere, and the figures of the listener that it belongs to."""

    ready = calm = True

    def __init__(self, tap: Tap, port: Port, recorder: Recorder, recording: BatchLane) -> None:
        self._tap = tap
        self._port = port
        self._recorder = recorder
        self._recording = recording
        self._past = dict.fromkeys(_series(), 0.0)
        self._known: set[SessionKey] = set()
        self._late = [0] * (len(BOUNDS) + 1)
        self._late_seconds = 0.0

    def put(self, item: Item) -> None:
        """See sessions come and go."""
        if type(item) is Summary:
            self._note(item)

    async def close(self) -> None:
        """There is nothing to finish."""

    async def keep_time(self) -> None:
        """Measure how late the event loop is, which is how late everything is. Never returns."""
        loop = asyncio.get_running_loop()
        while True:
            due = loop.time() + LOOK_SECONDS
            await asyncio.sleep(LOOK_SECONDS)
            late = max(0.0, loop.time() - due)
            self._late[bisect_left(BOUNDS, late)] += 1
            self._late_seconds += late

    def figures(self) -> Figures:
        """How everything stands now."""
        return Figures(self._grown(), dict(self._now()), tuple(self._troubles()))

    def _note(self, summary: Summary) -> None:
        """Keep what an ended session counted, and not what another process counted of one that is gone on with."""
        if summary.session not in self._known:
            self._known.add(summary.session)
            add(self._past, {("sessions_started", ""): 1})
            if summary.restarts:
                add(self._past, _counted(summary), -1)
        if summary.ended is not None:
            self._known.discard(summary.session)
            add(self._past, {("sessions_ended", "lossy" if summary.lossy else "whole"): 1})
            add(self._past, _counted(summary))

    def _grown(self) -> dict[Key, float]:
        grown = self._past.copy()
        sessions = self._tap.sessions.values()
        add(grown, _by_kind(track for live in sessions for track in live.session.tracks.values()))
        for live in sessions:
            add(grown, _connected(live.session.connections, live.oddities.malformed, live.oddities.unknown))
        add(grown, {("connections_refused", reason): number for reason, number in self._tap.refused.items()})
        for bound, number in zip((*BOUNDS, "+Inf"), self._late, strict=True):
            grown["late_seconds", str(bound)] = number
        grown["late_seconds", "sum"] = self._late_seconds
        grown["cpu_seconds", ""] = time.process_time()
        return grown

    def _now(self) -> Iterator[tuple[Key, float]]:
        sessions = self._tap.sessions.values()
        connected = sum(bool(live.links) for live in sessions)
        yield ("sessions", "connected"), connected
        yield ("sessions", "waiting"), len(sessions) - connected
        kinds = Counter(_kind(track) for live in sessions for track in live.session.tracks)
        for kind in KINDS:
            yield ("tracks", kind), kinds[kind]
        yield ("connections", ""), self._port.connections
        yield ("queue_bytes", ""), self._recording.waiting
        yield ("speech_queue_seconds", ""), sum(live.mouth.queued for live in sessions if live.mouth is not None)
        yield ("recording_lossy", ""), int(self._recorder.failed or self._recording.failed)

    def _troubles(self) -> Iterator[str]:
        if self._tap.closing:
            yield "draining"
        if self._recording.failed:
            yield "the recording failed"
        if not self._recording.ready:
            yield "the disk is too slow: bots are held back"


def _series() -> Iterator[Key]:
    """What may be counted of sessions: told from the start, so that the first of something is seen as a growth."""
    yield from ((name, "") for name in ("sessions_started", "connections_opened"))
    yield from (("sessions_ended", result) for result in ("whole", "lossy"))
    yield from ((column, kind) for column in BY_KIND for kind in KINDS)
    yield from (("chunks_odd", what) for what in ODD)
    yield from (("messages_odd", what) for what in ("malformed", "unknown"))


def _counted(summary: Summary) -> dict[Key, float]:
    """What a session counted so far."""
    return _by_kind(summary.tracks) | _connected(summary.connections, summary.malformed, summary.unknown)


def _connected(connections: int, malformed: int, unknown: Mapping[str, int]) -> dict[Key, float]:
    """What a session's connections counted."""
    return {
        ("connections_opened", ""): connections,
        ("messages_odd", "malformed"): malformed,
        ("messages_odd", "unknown"): sum(unknown.values()),
    }


def _by_kind(tracks: Iterable[Track | TrackSummary]) -> dict[Key, float]:
    """What tracks counted, all of a kind together."""
    rows: dict[str, list[Row]] = {}
    for track in tracks:
        if track.start is not None:
            rows.setdefault(_kind(track.track), []).append(_row(track, track.start))
    sums: dict[Key, float] = {}
    for kind, some in rows.items():
        told = dict(zip(COLUMNS, map(sum, zip(*some, strict=True)), strict=True))
        for column in BY_KIND:
            sums[column, kind] = told[column]
        for column in ODD:
            sums["chunks_odd", column] = sums.get(("chunks_odd", column), 0) + told[column]
    return sums


def _row(track: Track | TrackSummary, start: int) -> Row:
    end = track.next if isinstance(track, Track) else track.samples
    counts, rate = track.counts, track.rate
    heard = end - start - counts.gap_samples
    return (*msgspec.structs.astuple(counts), heard * SAMPLE_BYTES, heard / rate, counts.gap_samples / rate)


def _kind(track: str) -> str:
    return track if track in KINDS else "participant"
