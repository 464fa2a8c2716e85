"""What can go wrong, and the exit status each kind ends in."""

from __future__ import annotations

from enum import IntEnum


class Exit(IntEnum):
    """The exit statuses of every command; scripts may rely on them."""

    OK = 0
    FAILED = 1
    USAGE = 2
    ENVIRONMENT = 3
    NOBODY = 4
    REFUSED = 5
    LOSSY = 6
    INTERRUPTED = 130


class AudiotapError(Exception):
    """An error a user can act on: what happened and why (`message`), and what to type next (`hint`)."""

    status = Exit.FAILED

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


class UsageError(AudiotapError):
    """The command line, or a choice that it leaves open."""

    status = Exit.USAGE


class MachineError(AudiotapError):
    """The machine says no: a port, a folder, a library, a terminal."""

    status = Exit.ENVIRONMENT


class NobodyError(AudiotapError):
    """There is nothing to talk to: no listener, no bot, or a bot that cannot do it."""

    status = Exit.NOBODY


class InterruptedRunError(AudiotapError):
    """The user ended it before it was done."""

    status = Exit.INTERRUPTED


class AudioFileError(AudiotapError):
    """A file that cannot be read as audio."""

    status = Exit.USAGE


class ManifestError(AudiotapError):
    """A manifest that is none, or of another version."""


class WireError(Exception):
    """A wire message that its dialect cannot read; counted, and the connection lives."""


class UnspokenError(Exception):
    """An event that a dialect has no word for."""
