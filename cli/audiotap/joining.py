"""Joining: what several recorders' manifests say of one session, as one manifest."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import datetime
from functools import reduce
from typing import NamedTuple, TypeVar

import msgspec

from audiotap.manifest import Manifest
from audiotap.session import SessionKey, Summary
from audiotap.track import MAX_NAMES, TrackSummary

C = TypeVar("C", bound=msgspec.Struct)


class Joint(NamedTuple):
    """A track that was put together: its `file`, where it begins and ends, and what lies between the recorders' parts.

    `lost` samples are missing in what a recorder had, or told differently by two of them.
    """

    file: str
    place: range
    gaps: Sequence[range] = ()
    lost: int = 0


def line_of(summary: Summary) -> tuple[SessionKey, float | datetime]:
    """What recorders agree on whose positions of a session are the same: its key and its time zero."""
    return summary.session, summary.started if summary.origin is None else summary.origin


def join(manifests: Sequence[Manifest], joints: Mapping[str, Joint], touched: datetime) -> Manifest:
    """One manifest of a session whose files are WAVs now; its recorders' counts are added up.

    A recorder without an end was killed, as far as anybody knows, which counts as a restart; the session has ended by
    the time at which it was `touched` last then.
    """
    summaries = [manifest.summary for manifest in manifests]
    last = max(summaries, key=lambda one: one.ended or touched)
    unended = sum(one.ended is None for one in summaries)
    summary = msgspec.structs.replace(
        summaries[0],
        bot=next((one.bot for one in summaries if one.bot), None),
        started=min(one.started for one in summaries),
        ended=last.ended or touched,
        reason=last.reason if last.ended else "its recorder was lost",
        restarts=sum(one.restarts for one in summaries) + unended,
        connections=sum(one.connections for one in summaries),
        malformed=sum(one.malformed for one in summaries),
        unknown=dict(sum((Counter(one.unknown) for one in summaries), Counter[str]())),
        refused=sum(one.refused for one in summaries),
        tracks=tuple(_track(name, summaries, joint) for name, joint in joints.items()),
    )
    lost = sum(manifest.lost for manifest in manifests) + sum(joint.lost for joint in joints.values())
    return Manifest(summary, "wav", {name: joint.file for name, joint in joints.items()}, lost)


def _track(name: str, summaries: Sequence[Summary], joint: Joint) -> TrackSummary:
    parts = [track for one in summaries for track in one.tracks if track.track == name]
    counts = reduce(_sum, (part.counts for part in parts))
    return TrackSummary(
        name,
        tuple(dict.fromkeys(name for part in parts for name in part.names))[-MAX_NAMES:],
        parts[0].rate,
        joint.place.start,
        joint.place.stop,
        parts[-1].shift,
        msgspec.structs.replace(
            counts,
            gaps=counts.gaps + len(joint.gaps),
            gap_samples=counts.gap_samples + sum(map(len, joint.gaps)),
        ),
        reduce(_sum, (part.flaws for part in parts)),
        reduce(_sum, (part.findings for part in parts)),
    )


def _sum(one: C, other: C) -> C:
    """Counts added up, field by field."""
    return type(one)(*(getattr(one, name) + getattr(other, name) for name in one.__struct_fields__))
