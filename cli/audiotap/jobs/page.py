"""What a page of the meter looks like: lines of rich's segments, out of what `sinks.meter` measured.

Law: names are hostile, so they reach a segment only through `printable`; no line is wider than the terminal.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from functools import lru_cache

import msgspec
from rich.cells import cell_len, set_cell_size
from rich.color import ColorSystem
from rich.control import Control
from rich.segment import ControlType, Segment
from rich.style import Style

from audiotap.sinks.meter import FLOOR, MeterRow, MeterSession
from audiotap.text import clock, counted, printable

YELLOW_FROM = -18.0
RED_FROM = -6.0
SCALE = (0, -60, -18, -6, -36, -12, -48, -24)
"""Marks above the bars in dBFS, those first that are wanted most."""
INAUDIBLE = -96.0
"""dBFS below the smallest step of 16 bits: shown as minus infinity."""
FINISH = "Ctrl-C to finish"
LONGEST = 300
"""Characters of a name that are looked at."""

COLUMNS = {"rms": 6, "clip": 6, "time": 8, "peak": 6, "gaps": 6}
"""A row's numbers and their cells; where the terminal is narrow the last ones go first."""
DRAWN = ("rms", "peak", "clip", "time", "gaps")
MARGIN = 2
NARROWEST_BAR = 12
SCALE_FROM = 8
"""A page of fewer lines has no scale."""

DIM = Style(dim=True)
BOLD = Style(bold=True)
NORMAL = Style.null()
GREEN = Style(color="green")
YELLOW = Style(color="yellow")
RED = Style(color="red")
ALARM = Style(color="red", bold=True)

Line = list[Segment]
Piece = tuple[str, Style]


class Glyphs(msgspec.Struct, frozen=True):
    """What a page is drawn with: `parts` fill 0/8 to 8/8 of a cell, `absent` stands where no data comes."""

    encoding: str
    parts: str
    peak: str
    absent: str
    more: str
    dot: str
    infinite: str


@lru_cache(maxsize=8)
def glyphs_for(encoding: str) -> Glyphs:
    """Block elements where the encoding has them, ASCII elsewhere."""
    if encoding.lower().startswith("utf"):
        return Glyphs(encoding, " ▏▎▍▌▋▊▉█", "│", "╌", "…", "·", "-∞")
    return Glyphs(encoding, "    ----=", "|", ".", "~", "-", "-inf")


class View(msgspec.Struct, frozen=True):
    """What a page is made for: cells and lines, and what its footer says (`elapsed` in seconds)."""

    width: int
    height: int
    elapsed: float = 0.0
    status: str = FINISH
    encoding: str = "utf-8"


class Layout(msgspec.Struct, frozen=True):
    """How a width is shared: cells of the name and of the bar, and the numbers that have room."""

    width: int
    name: int
    bar: int
    numbers: tuple[str, ...]


@lru_cache(maxsize=64)
def layout_for(width: int) -> Layout:
    """Share `width` cells; numbers that would leave too small a bar are dropped."""
    name = max(0, min(width - MARGIN - 1, max(12, min(28, width // 5))))
    room = width - MARGIN - name - 1
    kept = list(COLUMNS)
    while kept and room - sum(COLUMNS[column] for column in kept) < NARROWEST_BAR:
        kept.pop()
    bar = max(0, room - sum(COLUMNS[column] for column in kept))
    return Layout(width, name, bar, tuple(column for column in DRAWN if column in kept))


def snapshot(sessions: Sequence[MeterSession], view: View, *, color: bool = False) -> str:
    """A page as text, without a terminal; with `color` as ANSI in the sixteen standard colours."""
    system = ColorSystem.STANDARD if color else None
    return "\n".join(
        "".join((style or NORMAL).render(text, color_system=system) for text, style, control in line if not control)
        for line in page(sessions, view)
    )


def page(sessions: Sequence[MeterSession], view: View) -> list[Line]:
    """One line at least, and as many as the view takes: scale, sessions and tracks, footer."""
    glyphs = glyphs_for(view.encoding)
    layout = layout_for(view.width)
    lines = [scale(layout)] if sessions and view.height >= SCALE_FROM else []
    lines += body(sessions, view.height - len(lines) - 1, layout, glyphs)
    lines.append(footer(sessions, view, glyphs))
    return lines


def body(sessions: Sequence[MeterSession], room: int, layout: Layout, glyphs: Glyphs) -> list[Line]:
    """What fits into `room` lines, and if that isn't all, how much more there is."""
    items: list[MeterSession | MeterRow] = []
    for session in sessions:
        items += (session, *session.tracks)
    shown = items if len(items) <= room else items[: max(0, room - 1)]
    if len(shown) < len(items) and shown and isinstance(shown[-1], MeterSession):
        shown.pop()
    lines = [
        row(item, layout, glyphs) if isinstance(item, MeterRow) else header(item, layout.width, glyphs)
        for item in shown
    ]
    hidden = items[len(shown) :]
    if hidden and room > 0:
        tracks = sum(isinstance(item, MeterRow) for item in hidden)
        more = counted(tracks, "more track") if tracks else counted(len(hidden), "more session")
        lines.append([Segment(fit(f"{glyphs.more} and {more}", layout.width, glyphs.more).rstrip(), DIM)])
    return lines


def header(session: MeterSession, width: int, glyphs: Glyphs) -> Line:
    """A session's line: provider and id; as far as they fit, flaws, time, connections, the bot's other id."""
    provider, key = session.session
    pieces = [(f"{label(provider, glyphs)} {label(key, glyphs)}", BOLD)]
    if session.malformed:
        pieces.append((f"{session.malformed} malformed", YELLOW))
    pieces.append((clock(session.seconds), DIM))
    if session.connections:
        pieces.append((counted(session.connections, "connection"), DIM))
    if session.bot and session.bot != key:
        pieces.append((f"bot {label(session.bot, glyphs)}", DIM))
    return strip(pieces, width, "  ", glyphs)


def footer(sessions: Sequence[MeterSession], view: View, glyphs: Glyphs) -> Line:
    """The last line: the status; then, as far as they fit, elapsed time and totals."""
    tracks = sum(len(session.tracks) for session in sessions)
    pieces = [
        (label(view.status, glyphs), NORMAL),
        (clock(view.elapsed), DIM),
        (counted(len(sessions), "session"), DIM),
        (counted(tracks, "track"), DIM),
    ]
    return strip(pieces, view.width, f" {glyphs.dot} ", glyphs)


def scale(layout: Layout) -> Line:
    """The line above the bars: decibels at their places, and the numbers' titles."""
    marks = [" "] * layout.bar
    for decibel in SCALE:
        text = str(decibel)
        begin = min(int(along(decibel, layout.bar)), layout.bar - len(text))
        if begin >= 0 and all(cell == " " for cell in marks[max(0, begin - 1) : begin + len(text) + 1]):
            marks[begin : begin + len(text)] = text
    titles = "".join(f"{column:>{COLUMNS[column]}}" for column in layout.numbers)
    return [Segment((" " * (MARGIN + layout.name + 1) + "".join(marks) + titles)[: layout.width], DIM)]


def row(track: MeterRow, layout: Layout, glyphs: Glyphs) -> Line:
    """A track's line: name, bar, numbers. Terminals differ in how wide scripts are, so a bar's column is told."""
    name = label(track.name or "", glyphs) or label(track.track, glyphs)
    name = " " * MARGIN + fit(name, layout.name, glyphs.more) + " "
    line = [Segment(name[: layout.width], NORMAL if track.live else DIM)]
    if not name.isascii():
        line.append(_to_column(MARGIN + layout.name + 1))
    pieces = [*bar(track, layout.bar, glyphs)] if track.live else [(glyphs.absent * layout.bar, DIM)]
    pieces += [number(track, column, glyphs) for column in layout.numbers]
    return line + merged(pieces)


@lru_cache(maxsize=64)
def _to_column(column: int) -> Segment:
    return Control((ControlType.CURSOR_MOVE_TO_COLUMN, column)).segment


def number(track: MeterRow, column: str, glyphs: Glyphs) -> Piece:
    """One of a row's numbers, right-aligned in its column; what is too long for it is not shown cut."""
    match column:
        case "rms":
            text, style = level(track.rms, glyphs) if track.live else "", NORMAL
        case "peak":
            text, style = level(track.peak, glyphs) if track.live else "", DIM
        case "clip":
            text, style = compact(track.clips), ALARM
        case "gaps":
            text, style = compact(track.gaps), YELLOW
        case _:
            text, style = clock(track.seconds), DIM
    cells = COLUMNS[column]
    return (text if len(text) < cells else glyphs.more).rjust(cells), style


def bar(track: MeterRow, cells: int, glyphs: Glyphs) -> tuple[Piece, ...]:
    """The RMS in eighths of a cell and the peak's mark, in up to three colours."""
    eighths = round(along(track.rms, cells * 8))
    mark = math.ceil(along(track.peak, cells)) - 1
    return _bar(cells, eighths, mark, glyphs)


@lru_cache(maxsize=8192)
def _bar(cells: int, eighths: int, mark: int, glyphs: Glyphs) -> tuple[Piece, ...]:
    whole, part = divmod(eighths, 8)
    text = (glyphs.parts[8] * whole + glyphs.parts[part]).ljust(cells)[:cells]
    if mark > (eighths - 1) // 8:
        text = text[:mark] + glyphs.peak + text[mark + 1 :]
    yellow, red = round(along(YELLOW_FROM, cells)), round(along(RED_FROM, cells))
    return (text[:yellow], GREEN), (text[yellow:red], YELLOW), (text[red:], RED)


def merged(pieces: Iterable[Piece]) -> Line:
    """Pieces as few segments: rich's work is per segment, and blanks go with any style."""
    line: Line = []
    text, style = "", NORMAL
    for more, its_style in pieces:
        if its_style is style or not more.strip():
            text += more
        else:
            line.append(Segment(text, style))
            text, style = more, its_style
    line.append(Segment(text, style))
    return line


def along(decibel: float, length: float) -> float:
    """Where a level lies on a bar of `length`."""
    return min(max(1 - decibel / FLOOR, 0.0), 1.0) * length


def level(decibel: float, glyphs: Glyphs) -> str:
    """A level as a number of at most five cells."""
    return glyphs.infinite if decibel <= INAUDIBLE else f"{decibel:z.1f}"


def compact(count: int) -> str:
    """A count of at most five cells; none at all is not worth a digit."""
    for unit in ("", "k", "M", "G"):
        if count < 10_000:
            return f"{count}{unit}" if count else ""
        count //= 1000
    return "many"


@lru_cache(maxsize=4096)
def label(text: str, glyphs: Glyphs) -> str:
    """A foreign name, harmless; empty if nothing of it can be seen."""
    return printable(text[:LONGEST], glyphs.encoding).strip()


@lru_cache(maxsize=4096)
def fit(text: str, cells: int, more: str) -> str:
    """Exactly `cells` wide: padded, or cut with a sign that there was more."""
    if cell_len(text) <= cells:
        return set_cell_size(text, cells)
    return set_cell_size(set_cell_size(text, max(0, cells - 1)).rstrip() + more, cells)


def strip(pieces: Sequence[Piece], width: int, between: str, glyphs: Glyphs) -> Line:
    """One line of pieces: the first is cut if need be, the others stand there whole or not at all."""
    text, style = pieces[0]
    used = min(width, cell_len(text))
    line = [Segment(fit(text, used, glyphs.more), style)]
    for text, style in pieces[1:]:
        cells = len(between) + cell_len(text)
        if used + cells <= width:
            line += [Segment(between, DIM), Segment(text, style)]
            used += cells
    return line
