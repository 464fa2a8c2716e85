"""What is odd about what bots send: all of it is counted in its session, and told once."""

from __future__ import annotations

from collections.abc import Callable

from audiotap.net.live import Link, Live
from audiotap.reports import Odd, Report

MAX_KIND = 80
"""Characters of a kind of messages that are told."""


class Complaints:
    """Counts, and complains by `tell`."""

    def __init__(self, tell: Callable[[Report], None]) -> None:
        self._tell = tell

    def strange(self, link: Link) -> None:
        """A message was of no dialect."""
        link.early.malformed += 1
        if not link.told_strange:
            link.told_strange = True
            self._tell(Odd("a message that is of no provider known here; ignored, until one is"))

    def malformed(self, link: Link, reason: str) -> None:
        """A message could not be read: counted where its session is known, else for the connection's first one."""
        for oddities in [live.oddities for live in link.sessions] or [link.early]:
            oddities.malformed += 1
            if not oddities.told_malformed:
                oddities.told_malformed = True
                session = link.sessions[0].session.key[1] if link.sessions else None
                self._tell(Odd(f"malformed message, ignored and counted: {reason}", session))
        for live in link.sessions:
            live.dirty = True

    def unknown(self, link: Link, live: Live | None, kind: str, session: str | None) -> None:
        """A message holds nothing to record; its kind is named once. It is `live`'s, or of nobody yet."""
        oddities = live.oddities if live is not None else link.early
        if live is not None:
            live.dirty = True
        if oddities.count(kind[:MAX_KIND]):
            self._tell(Odd(f"{kind[:MAX_KIND]}: nothing to record in it; counted", session))

    def too_many_tracks(self, live: Live, track: str, chunks: int, most: int) -> None:
        """Chunks are left out of a track that is one too many."""
        first = not live.session.refused
        live.session.refused += chunks
        live.dirty = True
        if first:
            have = f"this session has {most} tracks (--max-tracks)"
            self._tell(Odd(f"{have}; further ones are not recorded", live.session.key[1], track))

    def without_files(self, live: Live, chunks: int) -> None:
        """Chunks are left out of a track that can have no file."""
        live.session.refused += chunks
        live.dirty = True

    def superseded(self, live: Live, track: str, chunks: int) -> None:
        """Chunks are left out of a connection whose track a newer connection brings."""
        counts = live.session.tracks[track].counts
        first = not counts.superseded
        counts.superseded += chunks
        live.dirty = True
        if first:
            self._tell(Odd("two connections bring this track; the newer one is recorded", live.session.key[1], track))

    def noticed(self, live: Live, track: str) -> None:
        """A track's time line has something to say."""
        notices = live.session.tracks[track].notices
        for notice in notices:
            self._tell(Odd(notice, live.session.key[1], track))
        notices.clear()
