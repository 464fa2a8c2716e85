"""The work of `audiotap report`: a session's folder read once, and what it tells written beside it."""

from __future__ import annotations

import base64
import os
from io import BytesIO
from pathlib import Path
from urllib.parse import quote_from_bytes

import msgspec

from audiotap.channels import encode, fitting_rate, survey
from audiotap.errors import AudioFileError, Exit, UsageError
from audiotap.files import write_atomically
from audiotap.jobs.folders import newest, whole_or_nothing
from audiotap.jobs.output import emit, talk
from audiotap.recorded.folder import Recorded, RecordedTrack
from audiotap.recorded.labels import audacity, rttm, vtt
from audiotap.recorded.outline import Outline, Outliner
from audiotap.recorded.webpage import columns, page
from audiotap.text import printable

NAME = "report.html"
COMPRESSION = 0.9
"""Of libsndfile's 0 to 1; with Opus about 31 kbit/s, which speech does not suffer from."""


class Wants(msgspec.Struct, frozen=True):
    """What is wanted beside the page; `out` is the page's path."""

    out: Path | None = None
    embed: bool = False
    labels: bool = False
    rttm: bool = False
    vtt: bool = False


class Written(msgspec.Struct, frozen=True):
    """What was made of which session."""

    session: str
    page: str
    files: tuple[str, ...]


def report(path: Path, wants: Wants, *, json: bool) -> Exit:
    """Write a session's page and its lists. UsageError where there is no session or no transcript that is wanted."""
    with whole_or_nothing():
        session = newest(path)
        if wants.vtt and not session.lines:
            raise UsageError(f"{session.folder} holds no transcript", "leave --vtt out")
        written = _report(session, wants)
    if json:
        emit(written)
    else:
        for name in (written.page, *written.files):
            talk(printable(name))
    return Exit.OK


def _report(session: Recorded, wants: Wants) -> Written:
    target = wants.out or session.folder / NAME
    refuse_own(session, target)
    outlines = {track.id: outline for track, outline in _outlines(session)}
    documents = {target: page(session, outlines, _links(session, target, embed=wants.embed))}
    if wants.labels:
        documents[target.with_suffix(".labels.txt")] = audacity(session, outlines)
    if wants.rttm:
        documents[target.with_suffix(".rttm")] = rttm(session, outlines)
    if wants.vtt:
        documents[target.with_suffix(".vtt")] = vtt(session)
    for file, text in documents.items():
        write_atomically(file, text.encode("utf-8", "replace"))
    paths = [str(file) for file in documents]
    return Written(session.manifest.summary.session[1], paths[0], tuple(paths[1:]))


def refuse_own(session: Recorded, target: Path) -> None:
    """No file of the recording is written over."""
    own = {track.path.resolve() for track in session.tracks if track.path is not None}
    inside = target.resolve().parent == session.folder.resolve()
    if target.resolve() in own or (inside and target.suffix in {".json", ".jsonl"}):
        raise UsageError(f"{target} is part of the recording", "choose another name")


def _outlines(session: Recorded) -> list[tuple[RecordedTrack, Outline]]:
    """Every track's outline; one whose file cannot be read is told of, and looks empty."""
    seconds = session.seconds
    return [(track, _outline(track, seconds, columns(len(session.tracks)))) for track in session.tracks]


def _outline(track: RecordedTrack, seconds: float, fineness: int) -> Outline:
    rate = track.summary.rate
    outliner = Outliner(rate, seconds, fineness, track.summary.start)
    left = round(seconds * rate) * 2
    try:
        for chunk in track.source():
            outliner.push(chunk.pcm[:left])
            left -= min(left, len(chunk.pcm))
    except AudioFileError as error:
        talk(f"{printable(track.label)}: {printable(error.message)}")
    return outliner.finish()


def _links(session: Recorded, target: Path, *, embed: bool) -> dict[str, str]:
    """Where the page finds each track's audio."""
    links = {}
    for track in session.tracks:
        if track.path is None or not track.seconds():
            continue
        if embed:
            links[track.id] = _embedded(track)
        elif track.path.suffix != ".bin":
            links[track.id] = _relative(track.path, target)
    if len(links) < sum(track.path is not None and track.seconds() > 0 for track in session.tracks):
        talk("no browser plays bare samples (--format bin): --embed puts them into the page")
    return links


def _relative(file: Path, target: Path) -> str:
    path = os.path.relpath(file.resolve(), target.resolve().parent)
    return f"./{quote_from_bytes(os.fsencode(path))}"


def _embedded(track: RecordedTrack) -> str:
    """The track itself, as Opus."""
    rate = fitting_rate(track.summary.rate, "opus")
    data = BytesIO()
    channels = [[track.source]]
    encode(channels, rate, "opus", data, survey(channels, rate), COMPRESSION)
    return f"data:audio/ogg;base64,{base64.b64encode(data.getvalue()).decode()}"
