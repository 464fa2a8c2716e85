"""A recorded session as one HTML page that needs nothing but itself and its audio.

Whatever came over a network passes `_told`; the page's policy lets no script run but its own, and nothing be fetched
but the tracks.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterator, Mapping
from functools import cache
from html import escape
from importlib.resources import files

import msgspec

from audiotap.events import MIXED, SPOKEN
from audiotap.recorded.drawing import HEIGHT, bands, contour, rules, ticks
from audiotap.recorded.folder import Line, Mark, Recorded, RecordedTrack
from audiotap.recorded.outline import Outline, Stretch
from audiotap.text import clock, counted, printable

MOST_COLUMNS = 1600
ALL_COLUMNS = 9600
"""Columns of all tracks' pictures together, which is most of what a page weighs."""
LEAST_COLUMNS = 200
COLOURS = 8
LONGEST_NAME = 120
NONE = "&ndash;"
STEPS = (1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14400, 28800, 86400)
"""Seconds between two marks of the ruler."""
MOST_STEPS = 12
KEYS = {
    "Space": "play, pause",
    "← →": "5 s, with Shift 1 s",
    "p n": "previous, next speech",
    "1 … 9": "one track alone",
    "0": "all tracks",
    "+ &minus;": "zoom",
    "Home End": "begin, end",
    "t": "light, dark",
}
_UNREMARKABLE = {"chunks", "gaps", "gap_samples", "clipped", "silent_samples"}

Links = Mapping[str, str]
"""Where each track's audio is, as a URL; tracks that no browser can play have none."""


def columns(tracks: int) -> int:
    """How finely each of so many tracks is drawn."""
    return max(LEAST_COLUMNS, min(MOST_COLUMNS, ALL_COLUMNS // max(tracks, 1)))


def page(session: Recorded, outlines: Mapping[str, Outline], links: Links) -> str:
    """The page as a whole."""
    return "".join(_page(session, outlines, links))


def _page(session: Recorded, outlines: Mapping[str, Outline], links: Links) -> Iterator[str]:
    style, script = _resource("page.css"), _resource("page.js")
    policy = (
        f"default-src 'none'; style-src {_hash(style)}; script-src {_hash(script)}; media-src 'self' file: data:; "
        "base-uri 'none'; form-action 'none'"
    )
    title = _name(session.manifest.summary.session[1])
    yield (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{title} · audiotap</title>\n<style>{style}</style>\n</head>\n<body>\n"
    )
    seconds = max((outline.seconds for outline in outlines.values()), default=0.0)
    picture = _Picture(session, outlines, links, seconds)
    yield from _head(session, title, seconds)
    yield _controls(seconds)
    yield f'<main class="{"with" if session.lines else "without"}-transcript">\n<div class="work">\n'
    yield from picture.stage()
    yield from picture.figures()
    yield from _turns(session)
    yield "</div>\n"
    yield from _transcript(session, picture)
    yield "</main>\n"
    yield _foot()
    yield f"<script>{script}</script>\n</body>\n</html>\n"


@cache
def _resource(name: str) -> str:
    return (files("audiotap.recorded") / name).read_text("utf-8")


def _hash(text: str) -> str:
    """How a policy names what stands in the page itself."""
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


def _told(text: str) -> str:
    """What others sent, as text that no browser takes for anything else."""
    return escape(printable(text))


def _name(text: str) -> str:
    """A name or an id, which may be as long as its sender liked."""
    shown = printable(text)
    return escape(shown if len(shown) <= LONGEST_NAME else f"{shown[:LONGEST_NAME]}…")


def _head(session: Recorded, title: str, seconds: float) -> Iterator[str]:
    summary = session.manifest.summary
    people = len(session.participants)
    facts = [
        _name(summary.session[0]),
        f"{summary.started:%Y-%m-%d %H:%M} UTC",
        clock(seconds),
        *([counted(people, "participant")] if people else []),
    ]
    yield f'<header>\n<h1><bdi>{title}</bdi></h1>\n<p class="facts">{" · ".join(facts)}</p>\n'
    if summary.ended is None:
        yield '<p class="notice">Not ended when this page was made: it shows what was recorded until then.</p>\n'
    losses = ", ".join(_losses(session))
    if session.manifest.lossy:
        yield f'<p class="notice lossy">Audio is missing. {losses[:1].upper()}{losses[1:]}.</p>\n'
    yield "</header>\n"


def _losses(session: Recorded) -> Iterator[str]:
    """Why a session is lossy, as docs/recording.md lists it."""
    summary = session.manifest.summary
    for track in summary.tracks:
        if track.track == MIXED and track.counts.gaps:
            yield f"gaps in the mix: {track.counts.gaps:,}"
        if track.counts.missing:
            yield f"messages of {_name(track.name or track.track)} that never came: {track.counts.missing:,}"
    counts = {
        "messages that could not be read": summary.malformed,
        "restarts of the recorder": summary.restarts,
        "chunks beyond the limits": summary.refused,
        "samples that the disk refused": session.manifest.lost,
    }
    yield from (f"{what}: {number:,}" for what, number in counts.items() if number)


def _controls(seconds: float) -> str:
    speeds = "".join(
        f'<option value="{speed:g}"{" selected" if speed == 1 else ""}>{speed:g}&times;</option>'
        for speed in (0.5, 0.75, 1, 1.25, 1.5, 2, 3)
    )
    return (
        '<div class="controls" role="toolbar" aria-label="Playing">\n'
        '<button id="play" type="button" aria-label="Play"><svg viewBox="0 0 24 24" aria-hidden="true">'
        '<path class="when-paused" d="M7 4v16l13-8z"/><path class="when-playing" d="M6 4h4v16H6zM14 4h4v16h-4z"/>'
        "</svg></button>\n"
        f'<span class="time"><output id="clock">00:00</output><span class="of"> / {clock(seconds)}</span></span>\n'
        f'<label class="quiet">Speed <select id="speed">{speeds}</select></label>\n<span class="space"></span>\n'
        '<button id="out" type="button" aria-label="Zoom out">&minus;</button>'
        '<button id="in" type="button" aria-label="Zoom in">+</button>\n'
        '<button id="theme" type="button" aria-label="Light or dark"><svg viewBox="0 0 24 24" aria-hidden="true">'
        '<path d="M12 3a9 9 0 0 1 0 18z"/>'
        '<circle cx="12" cy="12" r="9" class="ring"/></svg></button>\n</div>\n'
    )


class _Picture:
    """Everything that is drawn on one time line."""

    def __init__(self, session: Recorded, outlines: Mapping[str, Outline], links: Links, seconds: float) -> None:
        self._session = session
        self._outlines = outlines
        self._links = links
        self._seconds = seconds
        self._columns = columns(len(session.tracks))
        self._scale = self._columns / seconds if seconds else 0.0
        self._classes = _classes(session)
        self._all_speech = sum(outlines[track.id].spoken for track in session.talkers)

    def colour(self, track: str) -> str:
        """The class that tells a track's colour."""
        return self._classes.get(track, "mixed")

    def stage(self) -> Iterator[str]:
        """Names on the left, waveforms on the right."""
        tracks = self._session.tracks
        size = "tight" if len(tracks) > 10 else "wide"
        yield f'<section class="stage {size}" aria-label="Tracks">\n<div class="names">\n<div class="corner"></div>\n'
        for track in tracks:
            yield self._label(track)
        yield (
            '</div>\n<div class="scroll">\n<div id="canvas" role="slider" tabindex="0" aria-label="Time" '
            f'aria-valuemin="0" aria-valuemax="{self._seconds:.0f}" aria-valuenow="0" aria-valuetext="00:00" '
            f'data-seconds="{self._seconds:.3f}">\n'
        )
        yield self._ruler()
        for number, track in enumerate(tracks):
            yield self._wave(number, track)
        yield '<div id="cursor"></div>\n</div>\n</div>\n</section>\n'

    def _label(self, track: RecordedTrack) -> str:
        outline = self._outlines[track.id]
        link = self._links.get(track.id)
        audio = f'<audio preload="metadata" src="{escape(link)}"></audio>' if link else ""
        silent = "" if track in self._session.talkers else " data-muted"
        share = f" · {outline.spoken / self._all_speech:.0%}" if self._shares(track) else ""
        name = _name(track.label)
        buttons = (
            f'<button class="mute" type="button" aria-pressed="false" aria-label="Mute {name}" title="Mute">M</button>'
            f'<button class="solo" type="button" aria-pressed="false" aria-label="Only {name}" title="Alone">S</button>'
        )
        return (
            f'<div class="name {self.colour(track.id)}"{silent}>'
            f'<span class="who" title="{name}"><bdi>{name}</bdi></span>'
            f'<span class="talk">{clock(outline.spoken)}{share}</span>'
            f'<span class="buttons">{buttons if link else ""}</span>{audio}</div>\n'
        )

    def _shares(self, track: RecordedTrack) -> bool:
        talkers = self._session.talkers
        return len(talkers) > 1 and track in talkers and self._all_speech > 0

    def _wave(self, number: int, track: RecordedTrack) -> str:
        outline = self._outlines[track.id]
        summary = track.summary
        gaps = outline.gaps(summary.counts.gaps)
        start = Stretch(summary.start / summary.rate, outline.seconds)
        shape = f'<use href="#w{number}"/><use href="#w{number}" transform="matrix(1 0 0 -1 0 {HEIGHT})"/>'
        pauses = [Stretch(mark.at, mark.at + mark.seconds) for mark in self._session.marks if mark.kind == "pause"]
        layers = [
            f'<path class="ground" d="{rules([start], self._scale)}"/>',
            f'<path class="{"loss" if track.id == MIXED else "gap"}" d="{bands(gaps, self._scale)}"/>' if gaps else "",
            f'<path class="pause" d="{bands(pauses, self._scale)}"/>' if track.id == SPOKEN and pauses else "",
            f'<g class="still">{shape}</g><g class="talking" clip-path="url(#s{number})">{shape}</g>',
            f'<path class="clip" d="{ticks(outline.clips, self._scale)}"/>' if outline.clips else "",
        ]
        return (
            f'<svg class="wave {self.colour(track.id)}" viewBox="0 0 {self._columns} {HEIGHT}" '
            'preserveAspectRatio="none" aria-hidden="true">'
            f'<defs><g id="w{number}"><path class="peak" d="{contour(outline.peaks)}"/>'
            f'<path d="{contour(outline.means)}"/></g><clipPath id="s{number}">'
            f'<path d="{bands(outline.speech, self._scale) or "M0 0"}"/></clipPath></defs>{"".join(layers)}</svg>\n'
        )

    def _ruler(self) -> str:
        """Times along the upper edge, and what occurred; the script makes a finer one."""
        if not self._seconds:
            return '<svg id="ruler" aria-hidden="true"></svg>\n'
        step = next((one for one in STEPS if self._seconds / one <= MOST_STEPS), STEPS[-1])
        times = range(0, int(self._seconds) + 1, max(step, int(self._seconds / 1000)))
        texts = "".join(
            f'<line x1="{self._percent(at)}" x2="{self._percent(at)}" y1="14" y2="100%"/>'
            f'<text x="{self._percent(at)}" dx="4" y="12">{clock(at)}</text>'
            for at in times
        )
        marks = "".join(
            f'<circle class="{mark.kind}" cx="{self._percent(mark.at)}" cy="23" r="3.5">'
            f"<title>{clock(max(0.0, mark.at))} {_name(mark.text)}</title></circle>"
            for mark in self._session.marks
        )
        return f'<svg id="ruler" aria-hidden="true"><g id="times">{texts}</g>{marks}</svg>\n'

    def _percent(self, at: float) -> str:
        return f"{100 * min(max(at / self._seconds, 0.0), 1.0):.3f}%"

    def figures(self) -> Iterator[str]:
        """A row of figures for each track."""
        yield (
            '<section class="figures"><h2>Figures</h2><div class="table"><table>\n<thead><tr><th>Track</th>'
            '<th>Speech</th><th>Length</th><th>Peak</th><th>Gaps</th><th>Clipped</th><th class="text">Also</th>'
            '<th class="text">File</th></tr></thead>\n<tbody>\n'
        )
        for track in self._session.tracks:
            yield self._figures(track)
        yield "</tbody></table></div></section>\n"

    def _figures(self, track: RecordedTrack) -> str:
        outline = self._outlines[track.id]
        summary = track.summary
        counts = summary.counts
        gaps = f"{counts.gaps:,} · {counts.gap_samples / summary.rate:,.1f} s" if counts.gaps else NONE
        numbers = [
            clock(outline.spoken),
            clock(outline.seconds),
            _decibels(outline.peak) if any(outline.peaks) else NONE,
            gaps,
            f"{summary.findings.clipped:,}" if summary.findings.clipped else NONE,
        ]
        cells = "".join(f"<td>{number}</td>" for number in numbers)
        link = self._links.get(track.id)
        file = _name(track.path.name) if track.path is not None else "none"
        shown = f'<a href="{escape(link)}">{file}</a>' if link and not link.startswith("data:") else file
        return (
            f'<tr class="{self.colour(track.id)}"><th scope="row"><i></i><bdi>{_name(track.label)}</bdi></th>{cells}'
            f'<td class="text">{", ".join(_remarks(track)) or NONE}</td>'
            f'<td class="text file">{shown}<span class="rate"> {summary.rate / 1000:g} kHz</span></td></tr>\n'
        )


def _decibels(level: float) -> str:
    return f"{level:.1f} dB".replace("-0.0 ", "0.0 ").replace("-", "&minus;")


def _classes(session: Recorded) -> dict[str, str]:
    people = {track.id: f"c{number % COLOURS}" for number, track in enumerate(session.participants)}
    return people | {SPOKEN: "spoken", MIXED: "mixed"}


def _remarks(track: RecordedTrack) -> Iterator[str]:
    """Counts of the manifest that are seldom there, by their names in it."""
    summary = track.summary
    for counts in (summary.counts, summary.flaws, summary.findings):
        for name, number in msgspec.structs.asdict(counts).items():
            if number and name not in _UNREMARKABLE:
                yield f"{name.replace('_', ' ')} {number:,}"


def _turns(session: Recorded) -> Iterator[str]:
    """How fast an agent answered."""
    if not session.turns:
        return
    yield (
        '<section class="figures"><h2>Turns</h2><div class="table"><table>\n<thead><tr><th>Turn</th>'
        '<th>Answer heard after</th><th>First byte</th><th>By its own word</th><th class="text">Status</th></tr>'
        "</thead>\n<tbody>\n"
    )
    for turn in session.turns:
        figures = turn.figures()
        told = [figures[name] for name in ("response", "first_byte", "server")]
        cells = "".join(f"<td>{'missing' if seconds is None else f'{seconds:.2f} s'}</td>" for seconds in told)
        status = "interrupted" if turn.interrupted else _name(turn.status)
        source = f"{turn.number} · <bdi>{_name(turn.source)}</bdi>"
        yield f'<tr><th scope="row">{source}</th>{cells}<td class="text">{status}</td></tr>\n'
    yield "</tbody></table></div></section>\n"


def _transcript(session: Recorded, picture: _Picture) -> Iterator[str]:
    """What was said, and between it what occurred."""
    if not session.lines:
        return
    yield '<aside aria-label="Transcript" tabindex="0"><h2>Transcript</h2><ol>\n'
    rows: list[Line | Mark] = sorted([*session.marks, *session.lines], key=lambda row: row.at)
    for row in rows:
        at = max(0.0, row.at)
        time = f'<a href="#t={at:.1f}">{clock(at)}</a>'
        if isinstance(row, Mark):
            yield f'<li class="mark {row.kind}">{time}<p>{_name(row.text)}</p></li>\n'
        else:
            cut = f' <span class="cut">cut after {row.heard:.1f} s</span>' if row.heard is not None else ""
            who = f'<b class="{picture.colour(row.track)}"><bdi>{_name(row.name)}</bdi></b>'
            yield f"<li>{time}{who}<p><bdi>{_told(row.text)}</bdi>{cut}</p></li>\n"
    yield "</ol></aside>\n"


def _foot() -> str:
    keys = "".join(
        f"<span>{' '.join(f'<kbd>{key}</kbd>' for key in keys.split(' '))} {does}</span>" for keys, does in KEYS.items()
    )
    return (
        f'<footer><p class="keys">{keys}</p><p>Height is the root of loudness: dark the mean, light the peak; in '
        "colour where somebody speaks. A shade: no audio came. Red: clipping.</p></footer>\n"
    )
