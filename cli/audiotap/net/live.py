"""What is live: bots' connections, and the sessions that they told of."""

from __future__ import annotations

import math
import socket
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Protocol

from audiotap.dialects import REGISTER
from audiotap.dialects.base import Dialect, Side
from audiotap.errors import UnspokenError
from audiotap.events import MIXED, SPOKEN, Asked, Event, SessionStatus, Speak, TrackStatus
from audiotap.net.clock import Timer
from audiotap.net.handover import Handed
from audiotap.net.mouth import Mouth
from audiotap.net.oddities import Oddities
from audiotap.net.port import Carried
from audiotap.session import Session, SessionKey, Summary

OUR_TRACKS = frozenset({MIXED, SPOKEN})
"""Tracks that are no participant's."""


class Speaker(Protocol):
    """A connection, as the tap uses it: a `Peer`, or what stands for one that was captured."""

    asked: Asked
    """How it was asked for."""

    async def send(self, wire: str | bytes) -> bool:
        """Say a message. False when the connection is over."""

    def let_go(self, untaken: Sequence[str | bytes]) -> tuple[socket.socket, Carried]:
        """Leave the connection to another process, with messages that nobody took."""


class ElsewhereError(Exception):
    """A message names a session that another worker records."""

    def __init__(self, key: SessionKey) -> None:
        super().__init__(key)
        self.key = key


class Taker(Protocol):
    """Whoever takes what comes over a connection."""

    def take(self, link: Link, wires: Sequence[str | bytes], /) -> None:
        """Messages came. ElsewhereError where one of them is for another worker."""

    def hand_over(self, link: Link, wires: Sequence[str | bytes], key: SessionKey, /) -> None:
        """Leave the connection to the worker that records a session, from the first message on that is not for us."""

    def leave(self, link: Link, /, *, lost: bool) -> None:
        """The connection is over."""


class Link:
    """One bot's connection: its socket, its dialect once that is known, and the sessions it told of.

    `number` counts connections, so that the newer of two is known. `early` are oddities that came before any session
    was known; the first session gets them.
    """

    def __init__(self, tap: Taker, peer: Speaker, number: int) -> None:
        self._tap = tap
        self._peer = peer
        self.number = number
        self.asked = peer.asked
        self.dialect: Dialect | None = None
        self.sessions: list[Live] = []
        self.early = Oddities()
        self.told_strange = False

    @property
    def provider(self) -> str:
        """Whose bot it is; empty while that is not known."""
        return self.dialect.name if self.dialect is not None else ""

    def take(self, wires: Sequence[str | bytes]) -> None:
        """Messages came."""
        try:
            self._tap.take(self, wires)
        except ElsewhereError as error:
            self._tap.hand_over(self, wires, error.key)

    def leave(self, *, lost: bool) -> None:
        """The connection is over."""
        self._tap.leave(self, lost=lost)

    def let_go(self, untaken: Sequence[str | bytes]) -> tuple[socket.socket, Handed]:
        """Leave the connection to another worker, with messages that were not taken here."""
        sock, carried = self._peer.let_go(untaken)
        return sock, Handed(self.provider, carried, self.early.malformed, self.early.unknown, self.asked)

    def go_on(self, handed: Handed) -> None:
        """Be what another worker's link was."""
        self.asked = handed.asked
        self.dialect = REGISTER[handed.provider](Side.OURS, handed.asked)
        self.early.malformed, self.early.unknown = handed.malformed, handed.unknown

    async def send(self, event: Event) -> bool:
        """Say an event; False when the connection is gone, or is none for that."""
        if self.dialect is None:
            return False
        try:
            wires = self.dialect.encode(event)
        except UnspokenError:
            return False
        for wire in wires:
            if not await self._peer.send(wire):
                return False
        return True


class Live:
    """A session while it is live: its time line, its connections, and its mouth once somebody spoke.

    `bringers` are the connections that bring the tracks, `files` is how many it may have open. Times are on our own
    clock: `due` is when what waits for its place is to be looked at, and `over` when it ends because its bot stayed
    away for `linger` seconds.
    """

    def __init__(self, session: Session, dialect: type[Dialect], now: float) -> None:
        self.session = session
        self.dialect = dialect
        self.began = self.heard_at = now
        self.told_quiet = False
        self.links: list[Link] = []
        self.bringers: dict[str, Link] = {}
        self.oddities = Oddities()
        self.mouth: Mouth | None = None
        self.marks = self.files = 0
        self.due = self.over = math.inf
        self.linger = 0.0
        self.lingering: Timer | None = None
        self.waiting: Timer | None = None
        self.dirty = False

    def summary(self, ended: datetime | None = None, reason: str = "") -> Summary:
        """How it stands."""
        told = self.oddities
        return self.session.summary(len(self.links), told.malformed, dict(told.unknown), ended, reason)

    def end(self, now: float, reason: str) -> Summary:
        """How it stands at its end, whose time is the start's and what has passed since: clocks on walls are set."""
        return self.summary(self.session.started + timedelta(seconds=now - self.began), reason)

    def takes(self, track: str, link: Link) -> bool:
        """Whether another connection may bring a track: of two that do at the same time, the newer one."""
        bringer = self.bringers.get(track)
        if bringer is not None:
            if bringer in self.links and bringer.number > link.number:
                return False
            self.session.rejoin(track)
        self.bringers[track] = link
        return True

    @property
    def speaks(self) -> bool:
        """Whether it can be spoken to right now."""
        return Speak in self.dialect.knows and bool(self.links)

    @property
    def rates(self) -> tuple[int, ...]:
        """Rates at which it can be spoken to; a connection may know better than the dialect."""
        dialect = self.links[-1].dialect if self.links else None
        return self.dialect.rates if dialect is None else dialect.rates

    @property
    def nameless(self) -> frozenset[str]:
        """Tracks of participants whose names are not known."""
        tracks = self.session.tracks
        return frozenset(track for track in tracks if track not in OUR_TRACKS and not tracks[track].names)

    def status(self) -> SessionStatus:
        """How it stands, for who asks."""
        provider, session = self.session.key
        tracks = self.summary().tracks
        return SessionStatus(
            provider,
            session,
            self.session.bot,
            len(self.links),
            self.session.head,
            self.mouth.queued if self.mouth is not None else 0.0,
            self.speaks,
            tuple(TrackStatus(track.track, track.name, track.seconds, track.rate) for track in tracks),
        )
