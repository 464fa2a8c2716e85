"""What a hang-up means: the end of somebody's terminal, or a service manager's word for reloading."""

from __future__ import annotations

import signal
import sys


def is_reloading() -> bool:
    """Whether it asks for reloading, since there is no terminal."""
    return not any(stream is not None and stream.isatty() for stream in (sys.stdin, sys.stderr))


def leave_hang_ups() -> None:
    """Have one that asks for reloading do nothing, until there is something to reload."""
    if is_reloading() and hasattr(signal, "SIGHUP"):
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
