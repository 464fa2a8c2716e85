"""The manifest: how a session and its files stand, as JSON and back.

docs/recording.md tells every field; what is written here and what stands there change together.
"""

from __future__ import annotations

from datetime import datetime
from pathlib import PurePath
from typing import Annotated, Any, Literal, get_args

import msgspec

from audiotap import __version__
from audiotap.audio import RATES
from audiotap.errors import ManifestError
from audiotap.events import MIXED, SPOKEN
from audiotap.inspection import Findings
from audiotap.intake import Flaws
from audiotap.session import OTHER_KINDS, Summary
from audiotap.track import TrackCounts, TrackSummary

NAME = "manifest.json"
EVENT_LOG = "events.jsonl"
BOTH_SIDES = "conversation.wav"
BESIDE = frozenset({EVENT_LOG, BOTH_SIDES, "agent.mp3", "transcript.json", "transcript.txt", "turns.json"})
"""What may lie in a folder beside the tracks: made of them, or of what was told with them."""
UPLOADS = ".uploads.jsonl"
"""What of a session is in an object store; a folder that has one is to be brought there."""
VERSION = 1

Format = Literal["wav", "bin", "flac"]

_ENDINGS = {f".{form}" for form in get_args(Format)}
_Count = Annotated[int, msgspec.Meta(ge=0)]
_Rate = Annotated[int, msgspec.Meta(ge=RATES.start, lt=RATES.stop)]
_Time = Annotated[datetime, msgspec.Meta(tz=True)]


class Manifest(msgspec.Struct, frozen=True):
    """A session with its files: `files` has the name of each track's file, where there is one.

    `lost` counts the samples that the disk refused.
    """

    summary: Summary
    form: Format
    files: dict[str, str]
    lost: int = 0

    @property
    def lossy(self) -> bool:
        """Whether anything is known to be missing."""
        return self.summary.lossy or self.lost > 0

    def shortened(self) -> Manifest:
        """What may be said of it where nothing more may be written: tracks that have a file, by their newest names."""
        tracks = [track for track in self.summary.tracks if track.track in self.files]
        summary = msgspec.structs.replace(
            self.summary,
            unknown={OTHER_KINDS: sum(self.summary.unknown.values())} if self.summary.unknown else {},
            tracks=tuple(msgspec.structs.replace(track, names=track.names[-1:]) for track in tracks),
        )
        return msgspec.structs.replace(self, summary=summary)

    def document(self) -> bytes:
        """The manifest as JSON."""
        return msgspec.json.format(msgspec.json.encode(self.fields()), indent=2) + b"\n"

    def fields(self) -> dict[str, Any]:
        """What the JSON says, in its order."""
        summary = self.summary
        provider, session = summary.session
        return {
            "version": VERSION,
            "program": f"audiotap {__version__}",
            "provider": provider,
            "session": session,
            "bot": summary.bot,
            "started": _utc(summary.started),
            "ended": _utc(summary.ended) if summary.ended else None,
            "reason": summary.reason,
            "seconds": round(summary.seconds, 6),
            "origin": summary.origin,
            "format": self.form,
            "connections": summary.connections,
            "restarts": summary.restarts,
            "continued_from": summary.continued_from or None,
            "malformed": summary.malformed,
            "unknown": summary.unknown,
            "refused": summary.refused,
            "lost_samples": self.lost,
            "lossy": self.lossy,
            "tracks": [self._entry(track) for track in summary.tracks],
        }

    @classmethod
    def parse(cls, data: bytes) -> Manifest:
        """The manifest that JSON holds. ManifestError says what is wrong with it."""
        try:
            document = msgspec.json.decode(data, type=_Document)
            tracks = [_told(entry) for entry in document.tracks]
        except (msgspec.MsgspecError, UnicodeError, RecursionError) as error:
            raise ManifestError(f"no valid manifest: {error}") from error
        if document.version != VERSION:
            raise ManifestError(f"a manifest of version {document.version}; this audiotap reads version {VERSION}")
        files = {track.track: file for track, file in tracks if file is not None}
        if any(name != PurePath(name).name or PurePath(name).suffix not in _ENDINGS for name in files.values()):
            raise ManifestError("the manifest names a file outside its folder, or one that is no audio")
        return cls(document.summary(tuple(track for track, _ in tracks)), document.format, files, document.lost_samples)

    def _entry(self, track: TrackSummary) -> dict[str, Any]:
        return {
            "track": track.track,
            "kind": track.track if track.track in {MIXED, SPOKEN} else "participant",
            "names": track.names,
            "file": self.files.get(track.track),
            "rate": track.rate,
            "start": track.start,
            "samples": track.samples,
            "shift": round(track.shift, 6),
            **msgspec.structs.asdict(track.counts),
            **msgspec.structs.asdict(track.flaws),
            **msgspec.structs.asdict(track.findings),
        }


class _Document(msgspec.Struct):
    version: int
    provider: str
    session: str
    started: _Time
    format: Format
    tracks: list[dict[str, Any]]
    bot: str | None = None
    ended: _Time | None = None
    reason: str = ""
    origin: float | None = None
    connections: int = 0
    restarts: int = 0
    continued_from: str | None = None
    malformed: int = 0
    unknown: dict[str, int] = {}
    refused: int = 0
    lost_samples: _Count = 0

    def summary(self, tracks: tuple[TrackSummary, ...]) -> Summary:
        return Summary(
            session=(self.provider, self.session),
            bot=self.bot,
            started=self.started,
            ended=self.ended,
            reason=self.reason,
            origin=self.origin,
            restarts=self.restarts,
            connections=self.connections,
            open=0,
            malformed=self.malformed,
            unknown=self.unknown,
            tracks=tracks,
            refused=self.refused,
            continued_from=self.continued_from or "",
        )


class _Entry(msgspec.Struct):
    track: str
    rate: _Rate
    samples: _Count
    names: tuple[str, ...] = ()
    file: str | None = None
    start: _Count = 0
    shift: float = 0.0


def _told(fields: dict[str, Any]) -> tuple[TrackSummary, str | None]:
    """A track's part of the manifest, and its file."""
    entry = msgspec.convert(fields, _Entry)
    told = TrackSummary(
        entry.track,
        entry.names,
        entry.rate,
        entry.start,
        entry.samples,
        entry.shift,
        msgspec.convert(fields, TrackCounts),
        msgspec.convert(fields, Flaws),
        msgspec.convert(fields, Findings),
    )
    return told, entry.file


def _utc(time: datetime) -> str:
    return time.isoformat(timespec="milliseconds").replace("+00:00", "Z")
