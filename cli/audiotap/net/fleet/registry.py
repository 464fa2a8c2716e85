"""Who holds which bot, as it is written down for everybody: one entry per session, the last connection wins.

A node's own clock says when a bot connected to it; a node that takes a session over knows the time before, and goes
beyond it.
"""

from __future__ import annotations

import hashlib
from datetime import datetime, timedelta

import msgspec

from audiotap.errors import WireError
from audiotap.session import SessionKey, Summary, TimeLine

ROOT = "audiotap"
"""What all our subjects begin with."""
NODES, SESSIONS = "audiotap_nodes", "audiotap_sessions"
"""Buckets: nodes that live, and the sessions they hold."""
BEAT_SECONDS = 3.0
"""How often a node says that it lives."""
NODE_SECONDS = 10.0
"""After which a node that says nothing is no longer listed."""
REFRESH_SECONDS = 120.0
"""After which a session is written down again, though nothing has changed."""
SESSION_SECONDS = 600.0
"""For how long a session outlives the last word about it: every provider's bots give up earlier."""
STEP = 0.001
"""Seconds by which a connection is later than the one before, whatever the clocks say."""


class Entry(msgspec.Struct, frozen=True):
    """A session of a fleet. `node` holds it, or nobody where it is empty; `since` is when its bot last connected.

    An `ended` one stays for a while, so that everybody learns of its end.
    """

    provider: str
    session: str
    bot: str | None
    node: str
    since: float
    connected: bool
    ended: bool
    line: TimeLine

    @property
    def key(self) -> SessionKey:
        return self.provider, self.session

    def says_more(self, before: Entry) -> bool:
        """Whether it has to be written down, since not only its time went on."""
        still = msgspec.structs.replace(
            self, line=msgspec.structs.replace(self.line, seconds=before.line.seconds, touched=before.line.touched)
        )
        return still != before or self.line.touched - before.line.touched > timedelta(seconds=REFRESH_SECONDS)


_ENCODER = msgspec.json.Encoder()
_DECODER = msgspec.json.Decoder(Entry)


def encode(entry: Entry) -> bytes:
    """An entry as it is written down."""
    return _ENCODER.encode(entry)


def decode(data: bytes) -> Entry:
    """What is written down; WireError where it is nothing that this version understands."""
    try:
        return _DECODER.decode(data)
    except (msgspec.MsgspecError, UnicodeError, RecursionError) as error:
        raise WireError(str(error)) from error


def token(*words: str) -> str:
    """Words from a network as one safe token of a subject, always of one length: others make others."""
    return hashlib.sha256(msgspec.json.encode(words)).hexdigest()[:40]


def control_subject(node: str) -> str:
    """Where a node takes control clients."""
    return f"{ROOT}.node.{token(node)}"


def live_subject(key: SessionKey, track: str) -> str:
    """Where a track can be heard while anybody wants to."""
    return f"{ROOT}.live.{token(*key)}.{token(track)}"


def entry_of(summary: Summary, node: str, since: float, now: datetime, *, released: bool) -> Entry:
    """What is to be written down of a session; one that is `released` goes on wherever its bot connects next."""
    provider, session = summary.session
    seconds = max((track.seconds for track in summary.tracks if track.track != "spoken"), default=0.0)
    shift = summary.tracks[0].shift if summary.tracks else 0.0
    over = summary.ended is not None
    return Entry(
        provider,
        session,
        summary.bot,
        "" if over and released else node,
        since,
        connected=not over and summary.open > 0,
        ended=over and not released,
        line=TimeLine(node, summary.started, summary.origin, shift, seconds, now),
    )


class Directory:
    """All sessions of the fleet, as far as they are known here."""

    def __init__(self) -> None:
        self._entries: dict[SessionKey, Entry] = {}

    def take(self, entry: Entry) -> bool:
        """Whether an entry counts: there is none, or an older one."""
        known = self._entries.get(entry.key)
        if known is not None and entry.since < known.since:
            return False
        self._entries[entry.key] = entry
        return True

    def get(self, key: SessionKey) -> Entry | None:
        """What counts for a session."""
        return self._entries.get(key)

    def line(self, key: SessionKey, now: datetime) -> TimeLine | None:
        """The line with which a session goes on; None where it is a new one."""
        entry = self._entries.get(key)
        if entry is None or entry.ended or _is_old(entry, now):
            return None
        return entry.line

    def forget(self, now: datetime) -> None:
        """Drop what is too old to be gone on with."""
        self._entries = {key: entry for key, entry in self._entries.items() if not _is_old(entry, now)}


def _is_old(entry: Entry, now: datetime) -> bool:
    return now - entry.line.touched > timedelta(seconds=SESSION_SECONDS)
