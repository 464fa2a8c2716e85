"""Captures: all that a listener's sessions are made of, moment by moment, as lines of JSON and back.

A capture is what reached the tap, with the times at which it did, on the listener's own clock and to the last bit of
them. docs/capture.md describes the format; what is written here and what stands there change together.
"""

from __future__ import annotations

import math
import zlib
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any, Literal
from urllib.parse import parse_qsl, urlencode

import msgspec

from audiotap.audio import RATES
from audiotap.errors import AudiotapError, Exit
from audiotap.events import UNASKED, Asked

VERSION: Literal[1] = 1
MAX_LINE = 128 * 1024 * 1024
"""Bytes of one line: any message that a listener takes, however JSON has to spell it."""
MAX_SECONDS = 366 * 86400.0
"""That a capture may last."""
MAX_LEAD = 60.0
"""Seconds that lie between a block of speech and the time at which it is heard."""
TOLD_HEADERS = ("User-Agent", "Origin", "Sec-WebSocket-Extensions")
"""Headers of a request that a capture holds; signatures, keys, tokens and cookies are in others."""
ROOM, TRACK = "room", "trackID"
TRACKS_KIND = "audio/x-raw"
TOLD_PARTS = frozenset({ROOM, TRACK, "participant"})
"""Parts of a request's query that a capture holds: LiveKit's track egress is known by them."""
CUT = "…"
GZIP = b"\x1f\x8b"
_AT_ONCE = 256 * 1024
_ANY_WRAPPER = 31
"""zlib's word for a gzip header and trailer."""

Seconds = Annotated[float, msgspec.Meta(ge=-1e12, le=1e12)]
Number = Annotated[int, msgspec.Meta(ge=1)]
Rate = Annotated[int, msgspec.Meta(ge=RATES.start, lt=RATES.stop)]


class CaptureError(AudiotapError):
    """A file that is no capture, or is damaged."""

    status = Exit.USAGE


class Hello(msgspec.Struct, frozen=True, tag="hello", tag_field="kind"):
    """The first line: who captured, from when on, and what decides beside the bots how it is recorded."""

    t: Seconds
    capture: Literal[1]
    program: str
    wall: datetime
    format: Literal["wav", "bin", "flac"]
    linger: Annotated[float, msgspec.Meta(ge=0)] | None
    max_sessions: Number
    max_per_connection: Number
    max_tracks: Number
    max_files: Number = 1_000_000


class Opened(msgspec.Struct, frozen=True, tag="open", tag_field="kind"):
    """A connection was let in; `wall` is the time by the clock on the wall."""

    t: Seconds
    connection: Number
    wall: datetime
    path: str
    headers: dict[str, str]
    asked: Asked = UNASKED


class Took(msgspec.Struct, frozen=True):
    """Messages of one connection that were read at once: a line for each of them."""

    t: float
    connection: int
    wires: Sequence[str | bytes]


class Left(msgspec.Struct, frozen=True, tag="close", tag_field="kind"):
    """A connection is over; `lost` is whether without a goodbye."""

    t: Seconds
    connection: Number
    lost: bool


class Spoke(msgspec.Struct, frozen=True, tag="spoken", tag_field="kind"):
    """A block of our speech was sent, and is heard from `plays_at` on: S16LE."""

    t: Seconds
    provider: str
    session: str
    rate: Rate
    plays_at: Seconds
    data: bytes


class Named(msgspec.Struct, frozen=True, tag="names", tag_field="kind"):
    """Names of participants were learnt apart from the bot."""

    t: Seconds
    provider: str
    session: str
    names: dict[str, str]


class Noted(msgspec.Struct, frozen=True, tag="note", tag_field="kind"):
    """Something was put into a session's event log that no bot told."""

    t: Seconds
    provider: str
    session: str
    event: str
    data: dict[str, Any]


class Ended(msgspec.Struct, frozen=True, tag="end", tag_field="kind"):
    """The last line. A capture without one was cut off."""

    t: Seconds
    reason: str


Moment = Hello | Opened | Took | Left | Spoke | Named | Noted | Ended


class _Text(msgspec.Struct, frozen=True, omit_defaults=True, tag="text", tag_field="kind"):
    """A text message; `more` is whether the next line was read together with it."""

    t: Seconds
    connection: Number
    data: str
    more: bool = False


class _Binary(msgspec.Struct, frozen=True, omit_defaults=True, tag="binary", tag_field="kind"):
    t: Seconds
    connection: Number
    data: bytes
    more: bool = False


_Line = Hello | Opened | _Text | _Binary | Left | Spoke | Named | Noted | Ended
_decoder = msgspec.json.Decoder(_Line)
_encoder = msgspec.json.Encoder()


def told_path(path: str) -> str:
    """A request's path without its last part and its query, either of which may be a secret."""
    path, query, _ = path.partition("?")
    before, slash, last = path.rpartition("/")
    while slash and not last and before:
        before, slash, last = before.rpartition("/")
    return before + slash + (CUT if last else "") + query + (CUT if query else "")


def told_asked(asked: Asked) -> Asked:
    """How a connection was asked for, as far as it tells whose it is: by parts of the query, or by its path."""
    parts = [(name, value) for name, value in parse_qsl(asked.query) if name in TOLD_PARTS]
    names = {name for name, _ in parts}
    is_track = TRACK in names or asked.kind.partition(";")[0].strip().lower() == TRACKS_KIND
    path = asked.path if is_track and ROOM not in names else told_path(asked.path)
    return msgspec.structs.replace(asked, path=path, query=urlencode(parts))


def told_headers(headers: Iterable[tuple[str, str]]) -> dict[str, str]:
    """The headers that a capture holds."""
    wanted = {name.lower(): name for name in TOLD_HEADERS}
    return {wanted[name.lower()]: value for name, value in headers if name.lower() in wanted}


def lines(moment: Moment) -> Iterator[bytes]:
    """A moment as it is written."""
    if isinstance(moment, Took):
        last = len(moment.wires) - 1
        for at, wire in enumerate(moment.wires):
            yield _encoder.encode(_frame(moment, wire, more=at < last)) + b"\n"
    else:
        yield _encoder.encode(moment) + b"\n"


def _frame(took: Took, wire: str | bytes, *, more: bool) -> _Text | _Binary:
    if isinstance(wire, str):
        return _Text(took.t, took.connection, wire, more)
    return _Binary(took.t, took.connection, wire, more)


class Capture:
    """A capture that is read from a file, gzipped or not. `whole` is whether its last line has come."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.whole = False
        self._moments = self._read()
        first = next(self._moments, None)
        if not isinstance(first, Hello):
            raise CaptureError(f"{path} is no capture", "name a file that listen --capture wrote")
        self.hello = first

    def __iter__(self) -> Iterator[Moment]:
        """What came after the first line, up to where the file is cut off. CaptureError where it is damaged."""
        return self._moments

    def _read(self) -> Iterator[Moment]:
        law = _Law()
        together: list[str | bytes] = []
        for number, text in enumerate(_texts(self.path), 1):
            try:
                line = _decoder.decode(text)
                law.check(line)
            except (msgspec.MsgspecError, UnicodeError, RecursionError, ValueError) as error:
                what = f"{self.path}, line {number}: {error}" if number > 1 else f"{self.path} is no capture: {error}"
                raise CaptureError(what, "name a file that listen --capture wrote") from error
            if isinstance(line, _Text | _Binary):
                together.append(line.data)
                if not line.more:
                    yield Took(line.t, line.connection, together)
                    together = []
            else:
                self.whole = isinstance(line, Ended)
                yield line


class _Law:
    """What lines mean together. ValueError says what cannot be."""

    def __init__(self) -> None:
        self._began = self._now = -math.inf
        self._open: set[int] = set()
        self._last = 0
        self._ended = False
        self._going_on: tuple[float, int] | None = None

    def check(self, line: _Line) -> None:
        """Take the next line."""
        if isinstance(line, Hello) != (self._began == -math.inf):
            raise ValueError("a hello is the first line, and no other one")
        if isinstance(line, Hello):
            self._began = self._now = line.t
        if self._ended:
            raise ValueError("something follows the end")
        if line.t < self._now:
            raise ValueError("time goes back")
        if line.t - self._began > MAX_SECONDS:
            raise ValueError("a time that cannot be: a year after the beginning")
        self._now = line.t
        self._ended = isinstance(line, Ended)
        self._check_order(line)

    def _check_order(self, line: _Line) -> None:
        going_on, self._going_on = self._going_on, None
        if going_on is not None and not (isinstance(line, _Text | _Binary) and (line.t, line.connection) == going_on):
            raise ValueError("a message is missing that was read with the one before")
        match line:
            case Opened(connection=number):
                if number <= self._last:
                    raise ValueError(f"connection {number} was opened before")
                self._last = number
                self._open.add(number)
            case _Text() | _Binary() | Left():
                if line.connection not in self._open:
                    raise ValueError(f"connection {line.connection} is not open")
                if isinstance(line, Left):
                    self._open.remove(line.connection)
                elif line.more:
                    self._going_on = (line.t, line.connection)
            case Spoke():
                if abs(line.plays_at - line.t) > MAX_LEAD:
                    raise ValueError("speech that is not heard when it was sent")


def _texts(path: Path) -> Iterator[bytes]:
    """The whole lines of a file. What is cut off in it simply ends."""
    rest: list[bytes] = []
    held = 0
    for data in _unpacked(path):
        first, *others = data.split(b"\n")
        rest.append(first)
        held += len(first)
        if held > MAX_LINE:
            raise CaptureError(f"{path} has a line that is longer than any message", "it was not written by audiotap")
        if others:
            yield b"".join(rest)
            yield from others[:-1]
            rest, held = [others[-1]], len(others[-1])


def _unpacked(path: Path) -> Iterator[bytes]:
    """What a file holds, piece by piece, unzipped if it is."""
    try:
        with path.open("rb") as file:
            data = file.read(_AT_ONCE)
            packed = data.startswith(GZIP)
            unzip = zlib.decompressobj(_ANY_WRAPPER)
            while data:
                if not packed:
                    yield data
                    data = file.read(_AT_ONCE)
                    continue
                yield unzip.decompress(data, _AT_ONCE)
                data = unzip.unconsumed_tail
                if unzip.eof:
                    data, unzip = unzip.unused_data, zlib.decompressobj(_ANY_WRAPPER)
                data = data or file.read(_AT_ONCE)
    except OSError as error:
        raise CaptureError(
            f"cannot read {path}: {error.strerror}", "name a file that listen --capture wrote"
        ) from error
    except zlib.error as error:
        raise CaptureError(f"{path} is damaged: {error}", "what came before was taken") from error
