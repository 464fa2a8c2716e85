"""A recorded session as lines of text for other programs: Audacity's labels, RTTM, WebVTT.

Sources: Audacity's manual, "Importing and Exporting Labels"; NIST, "The 2009 RT Evaluation Plan", appendix A; W3C,
"WebVTT: The Web Video Text Tracks Format".
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from audiotap.naming import safe_name
from audiotap.recorded.folder import Line, Recorded
from audiotap.recorded.outline import Outline
from audiotap.text import printable

LONGEST_CUE = 7.0
"""Seconds that a line is shown for whose end nobody told, if no other one follows before."""
SHORTEST_CUE = 0.5

Outlines = Mapping[str, Outline]
"""By track."""


def audacity(session: Recorded, outlines: Outlines) -> str:
    """Speech, gaps, clipping and what occurred, for File > Import > Labels."""
    return "".join(
        f"{begin:.6f}\t{end:.6f}\t{printable(text)}\n" for begin, end, text in sorted(_all(session, outlines))
    )


def _all(session: Recorded, outlines: Outlines) -> Iterator[tuple[float, float, str]]:
    for track in session.tracks:
        outline = outlines[track.id]
        talks = track in session.talkers
        yield from ((begin, end, track.label) for begin, end in outline.speech if talks)
        gaps = outline.gaps(track.summary.counts.gaps)
        yield from ((begin, end, f"gap: {track.label}") for begin, end in gaps)
        yield from ((at, at, f"clipping: {track.label}") for at in outline.clips)
    for mark in session.marks:
        at = max(0.0, mark.at)
        yield at, at + mark.seconds, mark.text


def rttm(session: Recorded, outlines: Outlines) -> str:
    """Who spoke when; the recording is called like the session's folder, a speaker by name without spaces."""
    recording = safe_name(session.folder.resolve().name)
    turns = sorted(
        (begin, end, re.sub(r"\s+", "_", printable(track.label)) or "_")
        for track in session.talkers
        for begin, end in outlines[track.id].speech
    )
    return "".join(
        f"SPEAKER {recording} 1 {begin:.3f} {end - begin:.3f} <NA> <NA> {who} <NA> <NA>\n" for begin, end, who in turns
    )


def vtt(session: Recorded) -> str:
    """What was said, as captions."""
    following = [*(line.at for line in session.lines[1:]), None]
    cues = (_cue(line, after) for line, after in zip(session.lines, following, strict=True))
    return "\n".join(["WEBVTT\n", *cues])


def _cue(line: Line, following: float | None) -> str:
    begin = max(0.0, line.at)
    end = line.until
    if end is None:
        end = min(begin + LONGEST_CUE, following if following is not None else begin + LONGEST_CUE)
    text = _escaped(line.text)
    return f"{_stamp(begin)} --> {_stamp(max(end, begin + SHORTEST_CUE))}\n<v {_escaped(line.name)}>{text}\n"


def _escaped(text: str) -> str:
    return printable(text).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def _stamp(seconds: float) -> str:
    minutes, rest = divmod(round(seconds * 1000), 60_000)
    hours, minutes = divmod(minutes, 60)
    return f"{hours:02}:{minutes:02}:{rest / 1000:06.3f}"
