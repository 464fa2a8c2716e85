"""The work of `audiotap mix`: a session's tracks in one file."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path

import msgspec

from audiotap.audio import decibels
from audiotap.channels import FORMS, Channels, Encoding, fitting_rate, write_channels
from audiotap.errors import Exit, UsageError
from audiotap.events import MIXED, SPOKEN
from audiotap.jobs.folders import newest, whole_or_nothing
from audiotap.jobs.output import emit, talk
from audiotap.jobs.report import refuse_own
from audiotap.recorded.folder import Recorded, RecordedTrack
from audiotap.text import clock, printable

USER, AGENT = "user", "agent"


class Layout(StrEnum):
    """What becomes a channel: the meeting and what we said, each track, or all participants together."""

    STEREO = "stereo"
    TRACKS = "tracks"
    MONO = "mono"


class Mixed(msgspec.Struct, frozen=True):
    """What was made of which session; `gain` in dB is by how much it was turned down, so that nothing clips."""

    session: str
    path: str
    seconds: float
    rate: int
    channels: tuple[tuple[str, ...], ...]
    gain: float


def mix(path: Path, layout: Layout, encoding: Encoding, out: Path | None, *, json: bool) -> Exit:
    """Write one file of a session's tracks. UsageError where there is no session, or nothing of that layout in it."""
    with whole_or_nothing():
        mixed = _mix(newest(path), layout, encoding, out)
    if json:
        emit(mixed)
        return Exit.OK
    for number, names in enumerate(mixed.channels, 1):
        talk(f"channel {number}: {', '.join(map(printable, names)) or 'silence'}")
    turned = f", turned down by {-mixed.gain:.1f} dB" if mixed.gain else ""
    talk(f"{printable(mixed.path)}: {clock(mixed.seconds)} at {mixed.rate} Hz{turned}")
    return Exit.OK


def _mix(session: Recorded, layout: Layout, encoding: Encoding, out: Path | None) -> Mixed:
    channels = [[track for track in tracks if track.path is not None] for tracks in _channels(session, layout)]
    if not any(channels):
        raise UsageError(f"{session.folder} holds no track for {layout}", "see its manifest.json")
    if len(channels) > FORMS[encoding].most_channels:
        raise UsageError(
            f"{len(channels)} tracks are more than {encoding} can hold, which are {FORMS[encoding].most_channels}",
            "take --format wav",
        )
    target = out or session.folder.resolve().parent / f"{session.folder.resolve().name}.{layout}.{encoding}"
    refuse_own(session, target)
    rate = fitting_rate(max(track.summary.rate for tracks in channels for track in tracks), encoding)
    sources: Channels = [[track.source for track in tracks] for tracks in channels]
    found = write_channels(sources, rate, encoding, target)
    return Mixed(
        session.manifest.summary.session[1],
        str(target),
        round(found.frames / rate, 6),
        rate,
        tuple(tuple(track.label for track in tracks) for tracks in channels),
        round(decibels(found.gain), 2),
    )


def _channels(session: Recorded, layout: Layout) -> list[list[RecordedTrack]]:
    tracks = {track.id: track for track in session.tracks}
    match layout:
        case Layout.TRACKS:
            return [[track] for track in session.tracks]
        case Layout.MONO:
            return [list(session.talkers)]
        case Layout.STEREO if AGENT in tracks or USER in tracks:
            return [[tracks[name]] if name in tracks else [] for name in (USER, AGENT)]
        case Layout.STEREO:
            left = [tracks[MIXED]] if MIXED in tracks else list(session.participants)
            return [left, [tracks[SPOKEN]] if SPOKEN in tracks else []]
