"""Running the event loop: the fastest one there is, and signals as events."""

from __future__ import annotations

import asyncio
import signal
import sys
from collections.abc import Callable, Coroutine
from importlib import import_module
from importlib.util import find_spec
from typing import Any, TypeVar

T = TypeVar("T")
SHOW_CURSOR = "\x1b[?25h"


def run(main: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine on uvloop where the platform has it."""
    with asyncio.Runner(loop_factory=_loop_factory()) as runner:
        return runner.run(main)


def _loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    if find_spec("uvloop") is None:
        return None
    return import_module("uvloop").new_event_loop  # type: ignore[no-any-return]


class Signals:
    """INT, TERM and HUP: the first one sets `asked`, a second one ends the process at once, after `at_last`.

    Where it `reloads`, HUP asks for `reload` instead. Where it `drains`, the first TERM only sets `drain`.
    """

    def __init__(self, *, drains: bool = False, reloads: bool = False) -> None:
        self.drain = asyncio.Event() if drains else None
        self.asked = asyncio.Event()
        self.name = ""
        self.at_last: Callable[[], None] = lambda: None
        self.reload: Callable[[], object] | None = bool if reloads else None
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM, getattr(signal, "SIGHUP", signal.SIGTERM)):
            loop.add_signal_handler(number, self._ask, signal.Signals(number))

    def _ask(self, number: signal.Signals) -> None:
        if number.name == "SIGHUP" and self.reload is not None:
            self.reload()
            return
        if number.name == "SIGTERM" and self.drain is not None and not self.drain.is_set():
            self.drain.set()
            return
        if self.asked.is_set():
            self.at_last()
            if sys.stderr.isatty():
                sys.stderr.write(SHOW_CURSOR)
                sys.stderr.flush()
            signal.signal(number, signal.SIG_DFL)
            signal.raise_signal(number)
        self.name = number.name
        self.asked.set()
