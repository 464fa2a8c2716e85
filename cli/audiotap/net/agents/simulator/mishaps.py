"""What goes wrong with a simulated agent on demand: parsed, and happening as often as it was asked for.

`WHAT@WHEN`: what is `error:CODE:MESSAGE`, `fatal:CODE:MESSAGE`, `close:CODE[:REASON]`, `conclude`, `cut`, `silent`,
`malformed`, `binary` or `http:STATUS`, when is `Ns` or `turn:N`. One that begins with `every-` befalls every
connection, any other the first one that lives to see it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from http import HTTPStatus

import msgspec

from audiotap.errors import UsageError

EVERY = "every-"
BARE = ("conclude", "cut", "silent", "malformed", "binary")
"""What has no words of its own."""
FORMS = (
    "error:CODE:MESSAGE, fatal:CODE:MESSAGE, close:CODE[:REASON], "
    "conclude, cut, silent, malformed, binary or http:STATUS"
)
SENDABLE = frozenset({1000, 1001, 1002, 1003, *range(1007, 1015), *range(3000, 5000)})
"""Close codes that may go over a wire. RFC 6455, 7.4."""
REASON_BYTES = 123
"""What a close frame has room for. RFC 6455, 5.5."""


class Mishap(msgspec.Struct, frozen=True):
    """One thing that goes wrong: so many seconds after a connection is ready, or when its n-th answer has begun.

    `told` is what was typed. `code` is an error's, a close frame's, or an HTTP status.
    """

    told: str
    what: str
    code: str = ""
    message: str = ""
    every: bool = False
    seconds: float | None = None
    turn: int = 0

    @classmethod
    def parse(cls, text: str) -> Mishap:
        """UsageError for what is none."""
        what, mark, when = text.rpartition("@")
        if not mark:
            raise UsageError(f"--fault {text} does not say when", f"e.g. --fault {text}@2s or --fault {text}@turn:2")
        seconds, turn = _when(when, text)
        kind, code, message = _what(what.removeprefix(EVERY), text)
        return cls(text, kind, code, message, what.startswith(EVERY), seconds, turn)


class Mishaps:
    """What is still to go wrong in a run of the simulator. Upgrades are refused by time since it listens."""

    def __init__(self, mishaps: Sequence[Mishap]) -> None:
        self._waiting = list(mishaps)
        self._turns = 0

    def take(self, wanted: Iterable[Mishap]) -> Iterator[Mishap]:
        """Those among `wanted` that may still happen; they happen now."""
        for mishap in wanted:
            if mishap in self._waiting:
                if not mishap.every:
                    self._waiting.remove(mishap)
                yield mishap

    def refusal(self, now: float) -> Mishap | None:
        """What refuses an upgrade `now`, in seconds since the simulator listens."""
        due = [one for one in self._waiting if one.what == "http" and _is_due(one, now, self._turns)]
        return next(self.take(due[:1]), None)

    def fate(self) -> Fate:
        """What may befall a new connection."""
        return Fate(self, [one for one in self._waiting if one.what != "http"])

    def answering(self, turn: int) -> None:
        """Some connection's n-th answer has begun."""
        self._turns = max(self._turns, turn)


class Fate:
    """What may still befall one connection, each of it once."""

    def __init__(self, mishaps: Mishaps, ahead: Sequence[Mishap]) -> None:
        self._mishaps = mishaps
        self._ahead = list(dict.fromkeys(ahead))

    def after(self, seconds: float) -> list[Mishap]:
        """What befalls a connection that has been ready for so long."""
        return self._take([one for one in self._ahead if one.seconds is not None and one.seconds <= seconds])

    def answering(self, turn: int) -> list[Mishap]:
        """What befalls it when its n-th answer has begun."""
        self._mishaps.answering(turn)
        return self._take([one for one in self._ahead if one.turn == turn])

    def _take(self, due: list[Mishap]) -> list[Mishap]:
        if not due:
            return []
        self._ahead = [one for one in self._ahead if one not in due]
        return list(self._mishaps.take(due))


def _is_due(mishap: Mishap, now: float, turns: int) -> bool:
    return mishap.seconds <= now if mishap.seconds is not None else mishap.turn <= turns


def _when(text: str, whole: str) -> tuple[float | None, int]:
    kind, _, number = text.rpartition(":")
    try:
        if kind == "turn" and int(number) > 0:
            return None, int(number)
        if not kind and text.endswith("s") and 0 <= float(text[:-1]) < float("inf"):
            return float(text[:-1]), 0
    except ValueError:
        pass
    raise UsageError(f"--fault {whole}: {text} is neither Ns nor turn:N", "e.g. --fault cut@2s or --fault cut@turn:2")


def _what(text: str, whole: str) -> tuple[str, str, str]:
    kind, _, rest = text.partition(":")
    code, _, message = rest.partition(":")
    known = {
        "error": bool(code),
        "fatal": bool(code),
        "close": _is_number(code, SENDABLE) and len(message.encode()) <= REASON_BYTES,
        "http": _is_number(code, {status.value for status in HTTPStatus if status >= 400}) and not message,
    } | dict.fromkeys(BARE, not rest)
    if kind not in known:
        raise UsageError(f"--fault {whole}: there is no fault called {kind}", f"it is one of {FORMS}")
    if not known[kind]:
        raise UsageError(f"--fault {whole} cannot be sent", f"write it as one of {FORMS}, with a code that exists")
    return kind, code, message


def _is_number(text: str, among: Iterable[int]) -> bool:
    return text.isascii() and text.isdecimal() and int(text) in among
