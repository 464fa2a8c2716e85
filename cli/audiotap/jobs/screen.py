"""The live meter on stderr: shows pages of what `sinks.meter` measured, whenever its caller says so."""

from __future__ import annotations

import select
import sys
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO, Protocol, Self

from rich.console import Console, ConsoleOptions, Group, RenderResult
from rich.control import Control
from rich.live import Live
from rich.segment import ControlType, Segment
from rich.text import Text

from audiotap.jobs.page import FINISH, Line, View, page
from audiotap.sinks.meter import MeterSession
from audiotap.text import printable

BACKLOG = 1000
"""Log lines that wait while the terminal takes none."""


class Measured(Protocol):
    """What a screen shows: a meter, or several as one."""

    def measure(self, now: float, /) -> list[MeterSession]:
        """All sessions as they are at `now`, newest first."""


class Screen:
    """A live display of a meter, refreshed by its caller.

    Use it as a context manager: `stop` restores the terminal. Where there is none, `log` prints all the same.
    A terminal that takes no output (Ctrl-S) is left alone until it does, one that has gone away for good.
    """

    def __init__(self, meter: Measured, console: Console | None = None) -> None:
        self.meter = meter
        self.console = console or terminal()
        self._page = _Page()
        self._live = Live(
            self._page,
            console=self.console,
            auto_refresh=False,
            redirect_stdout=False,
            redirect_stderr=False,
            transient=True,
        )
        self._status = FINISH
        self._logs: deque[Text] = deque(maxlen=BACKLOG)
        self._first: float | None = None

    def start(self) -> None:
        """Hide the cursor; the first page appears with the first refresh."""
        with self._outliving():
            self._live.start()

    def stop(self) -> None:
        """Print the waiting log lines, remove the page and show the cursor. Harmless when repeated."""
        with self._outliving():
            self._draw()
        with self._outliving():
            self._live.stop()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def status(self, text: str) -> None:
        """Say something else in the footer, from the next refresh on."""
        self._status = text

    def log(self, text: str, style: str = "") -> None:
        """Print lines above the page: with the next refresh, or at once while the screen is not started.

        `style` is rich's word for it (`yellow`, `bold red`); `text` is never read as markup.
        """
        lines = [printable(line, self.console.encoding) for line in text.split("\n")]
        self._logs.append(Text("\n".join(lines), style=style))
        if not self._live.is_started:
            with self._outliving():
                self._draw()

    def refresh(self, now: float) -> None:
        """Measure and draw; `now` is in monotonic seconds, and elapsed time counts from the first one."""
        if self._first is None:
            self._first = now
        sessions = self.meter.measure(now)
        if self._is_held():
            return
        with self._outliving():
            size = self.console.size
            self._unfold(size.width)
            elapsed = now - self._first
            view = View(size.width, size.height - 1, elapsed, self._status, self.console.encoding)
            self._page.turn(page(sessions, view), size.width)
            self._draw()

    def _draw(self) -> None:
        """Write the waiting log lines and the page below them in one go."""
        if self._logs:
            logs = Group(*self._logs)
            self._logs.clear()
            self.console.print(logs, soft_wrap=True)
        elif self._live.is_started:
            self._live.refresh()

    def _unfold(self, width: int) -> None:
        """Rub out what a terminal that became narrower has folded, up to the height that `Live` knows of."""
        folds = self._page.folds(width)
        if folds and self.console.is_interactive:
            self.console.control(Control(*((ControlType.ERASE_IN_LINE, 2), (ControlType.CURSOR_UP, 1)) * folds))

    def _is_held(self) -> bool:
        """Whether the terminal takes no output now, so that a write would hold up the recording."""
        try:
            return not select.select([], [self.console.file], [], 0)[1]
        except (OSError, ValueError):
            return False

    @contextmanager
    def _outliving(self) -> Iterator[None]:
        """Be silent for good once the terminal is gone: a recording outlives it."""
        try:
            yield
        except OSError:
            self.console.quiet = True


def terminal(file: IO[str] | None = None) -> Console:
    """The console on stderr, or on `file`: it tells its own size, NO_COLOR and TERM tell the colours."""
    return _Terminal(file=file or sys.stderr, markup=False, highlight=False, emoji=False)


class _Page:
    """The renderable: the lines of the last refresh, and how wide they were drawn."""

    def __init__(self) -> None:
        self._lines: list[Line] = []
        self._width = 0

    def turn(self, lines: list[Line], width: int) -> None:
        self._lines, self._width = lines, width

    def folds(self, width: int) -> int:
        """How many lines more the drawn ones take in a terminal of `width` cells."""
        if width >= self._width:
            return 0
        cells = (sum(segment.cell_length for segment in line) for line in self._lines)
        return sum(max(0, -(-taken // width) - 1) for taken in cells)

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        end = Segment.line()
        for line in self._lines:
            yield from line
            yield end


class _Terminal(Console):
    def on_broken_pipe(self) -> None:
        """Rich would close stdout and exit here, but stdout may carry audio."""
        self.quiet = True
