"""One track's samples on a pipe: bare S16LE, evenly in time."""

from __future__ import annotations

from collections.abc import Sequence

from audiotap.audio import SAMPLE_BYTES
from audiotap.events import MIXED
from audiotap.files import append
from audiotap.session import Placed, SessionKey, Summary
from audiotap.sinks.base import Item

MAX_PAD = 60.0
"""Seconds of silence that a hole becomes at most; a longer one is cut short."""


class PcmStream:
    """Writes one track of one session at a time to a file descriptor.

    `track` is `mixed`, a participant's id or a display name. The first session that has it is followed until it ends,
    then the next one. BrokenPipeError when the reader is gone.
    """

    required = False

    def __init__(self, fd: int, track: str = MIXED) -> None:
        self.track = track
        self._fd = fd
        self._following: tuple[SessionKey, str] | None = None
        self._next: int | None = None
        self._named: set[tuple[SessionKey, str]] = set()

    def write(self, items: Sequence[Item]) -> None:
        for item in items:
            match item:
                case Placed() if self._wants(item):
                    self._put(item)
                case Summary():
                    self._learn(item)

    def close(self) -> None:
        """The descriptor is not ours to close."""

    def _wants(self, placed: Placed) -> bool:
        address = (placed.session, placed.track)
        if self._following is None and (placed.track == self.track or address in self._named):
            self._following = address
        return address == self._following

    def _learn(self, summary: Summary) -> None:
        if summary.ended is None:
            self._named |= {(summary.session, t.track) for t in summary.tracks if self.track in t.names}
            return
        self._named = {address for address in self._named if address[0] != summary.session}
        if self._following is not None and self._following[0] == summary.session:
            self._following = self._next = None

    def _put(self, placed: Placed) -> None:
        if self._next is not None and placed.position > self._next:
            pad = min(placed.position - self._next, round(MAX_PAD * placed.chunk.rate))
            self._send(bytes(pad * SAMPLE_BYTES))
        self._send(placed.chunk.pcm)
        self._next = placed.end

    def _send(self, data: bytes) -> None:
        append(self._fd, data)
