"""The live screen, read back through a terminal emulator, and the text it lets through."""

from __future__ import annotations

import io
import os
import sys
import termios
import unicodedata
from contextlib import suppress

import numpy as np
import pyte
import pyte.modes
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from rich.console import Console

from audiotap.audio import Chunk
from audiotap.jobs.page import FINISH, View, glyphs_for, layout_for, page, row, snapshot
from audiotap.jobs.screen import Screen, terminal
from audiotap.session import Placed
from audiotap.sinks.meter import Meter, MeterRow, MeterSession
from audiotap.text import clock, printable

BOT = ("attendee", "bot_3hfP0PXEsNinIZmh")
HOSTILE = [
    "\x1b[2J\x1b[31mred\x1b]0;title\x07",
    "[/red] [bold]Bob[/]",
    "abc\u202edcba\u2066x\u2069\u200f",
    "a\x00b\r\n\tc\x7f\x85\x9b31m",
    "x" * 300,
    "山田太郎さんの長い名前" * 10,
    "Z" + "\u0301" * 200,
    "👩\u200d💻 ❤\ufe0f 👍\U0001f3fd 🇩🇪",
    "\ud800 \ue000 \u2028 \U000e0041",
    "\u200b\u200b",
    "",
]


def tracked(name: str | None = "Anna", rms: float = -20.0, peak: float = -10.0, **fields: object) -> MeterRow:
    told = {"clips": 0, "live": True, "seconds": 65.0, "gaps": 0, "rate": 16_000, "track": "7", **fields}
    return MeterRow(session=BOT, name=name, rms=rms, peak=peak, **told)  # type: ignore[arg-type]


def session(*tracks: MeterRow, key: str = BOT[1], bot: str | None = None, malformed: int = 0) -> MeterSession:
    return MeterSession(("attendee", key), bot, 65.0, 2, malformed, tracks)


def drawn(*tracks: MeterRow, width: int = 100, height: int = 20, encoding: str = "utf-8") -> list[str]:
    return snapshot([session(*tracks)], View(width, height, encoding=encoding)).split("\n")


class Glass:
    """A terminal emulator that a `Screen` draws on."""

    def __init__(self, width: int = 100, height: int = 20, **options: bool) -> None:
        self.file = io.StringIO()
        self.console = Console(
            file=self.file,
            width=width,
            height=height,
            force_terminal=True,
            color_system="standard",
            markup=False,
            **options,  # type: ignore[arg-type]
        )
        self.screen = pyte.HistoryScreen(width, height, history=1000)
        self.screen.set_mode(pyte.modes.LNM)
        self._stream = pyte.Stream(self.screen)

    def look(self) -> list[str]:
        """Let the terminal take what was written since the last look; the lines it shows."""
        self._stream.feed(self.file.getvalue())
        self.file.truncate(0)
        self.file.seek(0)
        lines = [line.rstrip() for line in self.screen.display]
        while lines and not lines[-1]:
            lines.pop()
        return lines


def sounding(*names: str, amplitude: int = 8192) -> Meter:
    """A meter with a track per name that was heard just now."""
    meter = Meter()
    pcm = np.full(1600, amplitude, "<i2").tobytes()
    meter.write([Placed(BOT, name, 0, Chunk(pcm, 16_000)) for name in names])
    return meter


# What is let through


@pytest.mark.parametrize(
    ("foreign", "shown"),
    [
        ("Anna Müller", "Anna Müller"),
        ("\x1b[31mred", "·[31mred"),
        ("[/red]", "[/red]"),
        ("a\nb\tc\x00d\x9b", "a·b·c·d·"),
        ("abc\u202edcba\u200f", "abcdcba"),
        ("👩\u200d💻", "👩💻"),
        ("👍\U0001f3fd❤\ufe0f", "👍❤"),
        ("🇩🇪", "DE"),
        ("a\u00a0b\u3000c", "a b c"),
        ("o\u0308", "ö"),
        ("z\u0301\u0302\u0303\u0304", "ź\u0302\u0303"),
        ("\u0301x", "x"),
        ("\ud800\ue000\u2028", "···"),
        ("山田", "山田"),
    ],
)
def test_foreign_text_is_harmless(foreign: str, shown: str) -> None:
    """What a terminal would obey, reorder or measure differently is replaced or left out."""
    assert printable(foreign) == shown


def test_what_an_encoding_cannot_say_is_a_question_mark() -> None:
    """The width stays that of the characters, where Python's escapes would be longer."""
    assert printable("Jürgen \x1b山", "ascii") == "J?rgen ??"
    assert printable("Jürgen \x1b山", "latin-1") == "Jürgen ·?"


@given(st.text(), st.sampled_from(["utf-8", "ascii", "latin-1"]))
def test_any_text_becomes_one_printable_line(text: str, encoding: str) -> None:
    """No control, format, surrogate or private character remains, and it can be written."""
    shown = printable(text, encoding)
    assert not {unicodedata.category(character) for character in shown} & {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"}
    assert shown.encode(encoding).decode(encoding) == shown
    assert printable(shown, encoding) == shown


def test_clock() -> None:
    """Minutes and seconds, and hours when there are any."""
    assert [clock(seconds) for seconds in (0, 59.99, 61, 3599, 3600, 36_061)] == [
        "00:00",
        "00:59",
        "01:01",
        "59:59",
        "1:00:00",
        "10:01:01",
    ]


# Pages


TRACKS = st.builds(
    tracked,
    name=st.one_of(st.text(max_size=60), st.sampled_from(HOSTILE)),
    rms=st.floats(-120, 0.1),
    peak=st.floats(-120, 0.1),
    clips=st.integers(0, 10**15),
    gaps=st.integers(0, 10**15),
    live=st.booleans(),
    seconds=st.floats(0, 1e6),
)


@given(TRACKS, st.integers(1, 250), st.sampled_from(["utf-8", "ascii"]))
@example(tracked("山" * 30, -0.0, -0.0, clips=10**15, seconds=1e6), 40, "utf-8")
def test_a_row_is_never_too_wide(track: MeterRow, width: int, encoding: str) -> None:
    """For any name, level and count a row fits, and from 40 cells on it fills the width exactly."""
    cells = sum(part.cell_length for part in row(track, layout_for(width), glyphs_for(encoding)))
    assert cells <= width
    assert cells == width or width < 40


@given(
    width=st.integers(1, 200),
    height=st.integers(1, 40),
    sizes=st.lists(st.integers(0, 12), max_size=6),
    text=st.text(max_size=100),
)
def test_a_page_fits_its_terminal(width: int, height: int, sizes: list[int], text: str) -> None:
    """Whatever sessions there are, a page has no more lines and cells than it was given."""
    sessions = [session(*[tracked(text)] * size, key=text, bot=text, malformed=7) for size in sizes]
    lines = page(sessions, View(width, height, 1e5, text))
    assert 1 <= len(lines) <= height
    assert all(sum(part.cell_length for part in line) <= width for line in lines)


def test_a_page_at_a_glance() -> None:
    """Scale, session, tracks and footer, with every number in its column."""
    shown = session(
        tracked("Anna", -18.0, -6.0, clips=3, gaps=2),
        tracked(None, -120.0, -120.0),
        tracked("Muted Mike", live=False, clips=12_345),
        bot="alias",
        malformed=1,
    )
    assert snapshot([shown], View(80, 20, elapsed=70)).split("\n") == [
        "                   -60  -48   -36      -18     0   rms  peak  clip    time  gaps",
        "attendee bot_3hfP0PXEsNinIZmh  1 malformed  01:05  2 connections  bot alias",
        "  Anna             ████████████████████▎     │   -18.0  -6.0     3   01:05     2",
        "  7                                                 -∞    -∞         01:05      ",
        "  Muted Mike       ╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌               12k   01:05      ",
        "Ctrl-C to finish · 01:10 · 1 session · 3 tracks",
    ]


def test_silence_looks_different_from_no_data() -> None:
    """An empty bar and minus infinity, against a dashed one without a level."""
    silent, absent = drawn(tracked(rms=-120, peak=-120), tracked(rms=-120, peak=-120, live=False))[2:4]
    assert "-∞" in silent
    assert "╌" not in silent
    assert "-∞" not in absent
    assert "╌╌╌╌" in absent


@pytest.mark.parametrize(("rms", "filled"), [(-120, 0), (-60, 0), (-30, 30.5), (-6, 54.9), (0, 61)])
def test_a_bar_is_as_long_as_the_level(rms: float, filled: float) -> None:
    """Its length in eighths of a cell is the level's place between -60 and 0 dBFS."""
    line = drawn(tracked(rms=rms, peak=-120), width=120)[2]
    parts = " ▏▎▍▌▋▊▉█"
    assert sum(parts.index(glyph) / 8 for glyph in line[27:88]) == pytest.approx(filled, abs=1 / 8)


def test_a_peak_stands_where_its_level_is() -> None:
    """The mark at -30 dBFS is in the middle, the one at 0 in the last cell, and below the scale there is none."""
    marks = [drawn(tracked(rms=-120, peak=peak), width=120)[2].find("│") - 27 for peak in (-30, 0, -60)]
    assert marks == [30, 60, -28]


def test_zones_have_their_colours() -> None:
    """Green to -18, yellow to -6, red above; clips are red, no data is dim."""
    shown = snapshot([session(tracked(rms=-1, clips=5), tracked(live=False))], View(120, 20), color=True)
    loud, absent = shown.split("\n")[2:4]
    assert loud.index("\x1b[32m█") < loud.index("\x1b[33m█") < loud.index("\x1b[31m█") < loud.index("\x1b[1;31m")
    assert absent.startswith("\x1b[2m  Anna")
    assert "\x1b[2m╌" in absent


def test_narrow_terminals_lose_the_least_important_first() -> None:
    """Gaps go, then the peak's number, then the time, until name, bar, level and clips are left at 40 cells."""
    assert layout_for(120).numbers == ("rms", "peak", "clip", "time", "gaps")
    assert layout_for(54).numbers == ("rms", "peak", "clip", "time")
    assert layout_for(50).numbers == ("rms", "clip", "time")
    assert layout_for(40).numbers == ("rms", "clip")
    assert all(layout_for(width).bar >= 12 for width in range(40, 300))


def test_a_terminal_that_is_not_tall_enough_says_so() -> None:
    """What does not fit is counted; a session's line never stands alone at the end."""
    many = [session(*[tracked(f"t{i}") for i in range(20)], key=key) for key in ("new", "old")]
    lines = snapshot(many, View(80, 10)).split("\n")
    assert len(lines) == 10
    assert lines[-2:] == ["… and 34 more tracks", "Ctrl-C to finish · 00:00 · 2 sessions · 40 tracks"]
    lines = snapshot(many, View(80, 25)).split("\n")
    assert lines[-2] == "… and 20 more tracks"
    assert lines[-3].startswith("  t19")


def test_ascii_is_enough() -> None:
    """Where the encoding has no block elements a page is plain ASCII, and as wide."""
    lines = drawn(tracked("山田 Jürgen", -20, -6), tracked(live=False), width=60, encoding="ascii")
    assert all(line.isascii() for line in lines)
    assert "===" in lines[2]
    assert "|" in lines[2]
    assert "?? J?rgen" in lines[2]
    assert "....." in lines[3]


# The live screen


def test_the_screen_shows_the_meter_and_leaves_no_trace() -> None:
    """A refresh draws below the log line; afterwards only that line remains, and the cursor is back."""
    glass = Glass()
    with Screen(sounding("mixed"), glass.console) as screen:
        screen.log("listening on ws://127.0.0.1:8765/")
        screen.refresh(100.0)
        lines = glass.look()
        assert glass.screen.cursor.hidden
        assert lines[0] == "listening on ws://127.0.0.1:8765/"
        assert lines[3].startswith("  mixed")
        assert lines[-1] == "Ctrl-C to finish · 00:00 · 1 session · 1 track"
    assert glass.look() == ["listening on ws://127.0.0.1:8765/"]
    assert not glass.screen.cursor.hidden
    assert glass.screen.cursor.y == 1


def test_redrawing_stays_in_its_place() -> None:
    """A hundred refreshes with growing and shrinking pages and log lines between leave one page and all log lines."""
    glass = Glass()
    meter = sounding(*(f"t{i}" for i in range(30)))
    with Screen(meter, glass.console) as screen:
        for turn in range(100):
            if turn % 10 == 0:
                screen.log(f"warning {turn}", "yellow")
            if turn == 50:
                meter.close()
            screen.refresh(turn / 12)
            glass.look()
        lines = glass.look()
    assert lines[-1].startswith("Ctrl-C to finish · 00:08")
    above = ["".join(line[x].data for x in range(20)).strip() for line in glass.screen.history.top]
    shown = [line for line in above + lines if line.startswith("warning")]
    assert shown == [f"warning {turn}" for turn in range(0, 100, 10)]
    assert sum("Ctrl-C" in line for line in above + lines) == 1


def test_hostile_names_change_nothing_but_their_own_cells() -> None:
    """On a terminal all rows have their peaks in one column, no title is set, nothing is wiped or turned around."""
    glass = Glass(width=80, height=20)
    with Screen(sounding(*HOSTILE[:-1]), glass.console) as screen:
        screen.log(f"session started {HOSTILE[0]}")
        screen.refresh(0.0)
        written = glass.file.getvalue()
        lines = glass.look()
    assert "\x1b]" not in written
    assert "\x1b[2J" not in written
    assert "\u202e" not in written
    assert glass.screen.title == ""
    assert lines[0] == "session started ·[2J·[31mred·]0;title·"
    places = [[x for x in range(80) if glass.screen.buffer[y][x].data == "│"] for y in range(3, len(lines) - 1)]
    assert places == [places[0]] * (len(HOSTILE) - 1)
    assert len(places[0]) == 1
    assert lines[4].startswith("  [/red] [bold]Bo… █")


@given(st.lists(st.text(max_size=30), min_size=1, max_size=5, unique=True))
@example(["हिन्दी में नाम", "ᩡ0", "Anna"])
def test_no_script_moves_a_bar(names: list[str]) -> None:
    """However wide a terminal thinks that a name is, its bar begins and ends where the others do."""
    glass = Glass(width=80, height=20)
    with Screen(sounding(*names), glass.console) as screen:
        screen.refresh(0.0)
        lines = glass.look()
    rows = [[glass.screen.buffer[y][x].data for x in range(19, 80)] for y in range(2, len(lines) - 1)]
    assert len(rows) == len(names)
    assert all("".join(cells) == "".join(rows[0]) for cells in rows)


def test_two_hundred_tracks() -> None:
    """More tracks than lines: the page is as tall as the terminal allows, and says what is missing."""
    glass = Glass(width=120, height=50)
    with Screen(sounding(*(f"track {i}" for i in range(200))), glass.console) as screen:
        screen.refresh(0.0)
        lines = glass.look()
        assert len(lines) == 49
        assert lines[-2] == "… and 155 more tracks"
        assert not glass.screen.history.top


def test_the_status_is_the_footer() -> None:
    """`status` replaces what to type; elapsed time counts from the first refresh."""
    glass = Glass()
    with Screen(Meter(), glass.console) as screen:
        screen.refresh(1000.0)
        assert glass.look() == [f"{FINISH} · 00:00 · 0 sessions · 0 tracks"]
        screen.status("finishing \x1b[31mfiles")
        screen.refresh(1061.0)
        assert glass.look() == ["finishing ·[31mfiles · 01:01 · 0 sessions · 0 tracks"]


def test_a_terminal_that_became_narrower_is_cleaned() -> None:
    """The page's lines are folded by the terminal; the next refresh rubs out all of them."""
    glass = Glass(width=100, height=30)
    with Screen(sounding("mixed", "Anna"), glass.console) as screen:
        screen.log("above")
        screen.refresh(0.0)
        folded = [line[i : i + 60] for line in glass.look() for i in range(0, len(line), 60)]
        assert len(folded) == 9
        narrow = Glass(width=60, height=30)
        narrow.file.write("\n".join(folded) + glass.file.getvalue())
        glass.console.width = 60
        glass.console.file = narrow.file
        screen.refresh(0.1)
        lines = narrow.look()
    assert lines[0] == "above"
    assert [line[:12].strip() for line in lines[1:]] == ["", "attendee bot", "mixed", "Anna", "Ctrl-C to fi"]


def test_no_color_means_none() -> None:
    """Under NO_COLOR no colour is written, and the page is the same."""
    glass = Glass(no_color=True)
    with Screen(sounding("mixed", amplitude=32767), glass.console) as screen:
        screen.refresh(0.0)
        written = glass.file.getvalue()
    assert "█" in written
    assert not any(f"\x1b[{code}m" in written for code in (31, 32, 33, "1;31"))


def test_without_a_terminal_only_log_lines_are_written() -> None:
    """Into a file go the lines, once each, without escapes."""
    file = io.StringIO()
    with Screen(sounding("mixed"), Console(file=file, force_terminal=False)) as screen:
        screen.log("one [b]line[/b]\nand another", "bold red")
        screen.refresh(0.0)
        screen.refresh(1.0)
    screen.log("done")
    assert file.getvalue() == "one [b]line[/b]\nand another\ndone\n"


def test_an_error_restores_the_terminal() -> None:
    """Whatever ends the block, the cursor is shown and the page removed; stopping again does nothing."""
    glass = Glass()
    screen = Screen(sounding("mixed"), glass.console)
    with suppress(RuntimeError), screen:
        screen.refresh(0.0)
        raise RuntimeError
    screen.stop()
    assert glass.look() == []
    assert not glass.screen.cursor.hidden


def test_a_held_terminal_holds_nobody() -> None:
    """After Ctrl-S a refresh returns at once; what was to be said comes when the terminal takes it."""
    leader, follower = os.openpty()
    with os.fdopen(leader, "rb", buffering=0) as end, os.fdopen(follower, "w", encoding="utf-8") as file:
        screen = Screen(Meter(), Console(file=file, force_terminal=True, width=80, height=10))
        screen.start()
        termios.tcflow(file, termios.TCOOFF)
        screen.log("while it was held")
        for turn in range(1000):
            screen.refresh(turn / 12)
        termios.tcflow(file, termios.TCOON)
        screen.refresh(100.0)
        screen.stop()
        said = end.read(65536)
    assert said.count(b"while it was held") == 1
    assert said.count(b"Ctrl-C to finish") <= 3


def test_a_terminal_that_is_gone_ends_nothing() -> None:
    """A closed pseudo-terminal and a broken pipe silence the screen; no exception, and stdout is left alone."""
    leader, follower = os.openpty()
    reader, writer = os.pipe()
    os.close(leader)
    os.close(reader)
    before = os.fstat(sys.__stdout__.fileno()) if sys.__stdout__ else None
    for descriptor in (follower, writer):
        file = os.fdopen(descriptor, "w", encoding="utf-8")
        with Screen(sounding("mixed"), terminal(file)) as screen:
            screen.log("nobody reads this")
            screen.refresh(0.0)
            screen.refresh(1.0)
        assert screen.console.quiet
        with suppress(OSError):
            file.close()
    assert before is None or os.path.samestat(before, os.fstat(sys.__stdout__.fileno()))  # type: ignore[union-attr]
