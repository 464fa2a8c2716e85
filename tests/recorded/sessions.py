"""Sessions' folders as a recorder leaves them, made at once, with whatever is to be in them."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec

from audiotap.inspection import Findings
from audiotap.intake import Flaws
from audiotap.manifest import EVENT_LOG, NAME, Format, Manifest
from audiotap.session import Summary
from audiotap.track import TrackCounts, TrackSummary
from audiotap.writing import RawWriter, WavWriter

RATE = 16_000
STARTED = datetime(2026, 11, 21, 8, 3, 40, tzinfo=UTC)


class Part(msgspec.Struct, frozen=True):
    """A track: S16LE from the time zero on, and what is counted of it."""

    pcm: bytes
    name: str = ""
    rate: int = RATE
    start: int = 0
    counts: TrackCounts = msgspec.field(default_factory=TrackCounts)


def kept(
    folder: Path,
    parts: Mapping[str, Part],
    told: Sequence[Mapping[str, Any]] = (),
    form: Format = "wav",
    session: str = "bot_1",
    *,
    ended: bool = True,
    provider: str = "attendee",
) -> Path:
    """Make a session's folder; `told` are the lines of its event log."""
    folder.mkdir(parents=True)
    files = {}
    for number, (track, part) in enumerate(parts.items()):
        path = folder / f"{number}.{form}"
        with_header = RawWriter if form == "bin" else WavWriter
        writer = with_header(path, part.rate)
        writer.write(0, part.pcm)
        writer.close()
        files[track] = path.name
    if told:
        (folder / EVENT_LOG).write_text("".join(json.dumps(line) + "\n" for line in told), "utf-8")
    seconds = max((len(part.pcm) / 2 / part.rate for part in parts.values()), default=0.0)
    summary = Summary(
        session=(provider, session),
        bot=None,
        started=STARTED,
        ended=STARTED + timedelta(seconds=seconds) if ended else None,
        reason="",
        origin=None,
        restarts=0,
        connections=1,
        open=0,
        malformed=0,
        unknown={},
        tracks=tuple(_summary(track, part) for track, part in parts.items()),
    )
    (folder / NAME).write_bytes(Manifest(summary, form, files).document())
    return folder


def _summary(track: str, part: Part) -> TrackSummary:
    names = (part.name,) if part.name else ()
    samples = len(part.pcm) // 2
    return TrackSummary(track, names, part.rate, part.start, samples, 0.0, part.counts, Flaws(), Findings())


def uttered(at: float, text: str, participant: int | str = 100, name: str | None = "Ana") -> dict[str, Any]:
    """A line of the event log as Recall's transcripts become one; each word takes half a second."""
    words = [
        {"text": word, "start_timestamp": {"relative": at + n / 2}, "end_timestamp": {"relative": at + n / 2 + 0.5}}
        for n, word in enumerate(text.split(" "))
    ]
    who = {"id": participant, "name": name}
    return {"at": at, "event": "transcript.data", "data": {"words": words, "participant": who}}
