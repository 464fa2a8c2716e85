"""How much a listener takes from whoever dials it."""

from __future__ import annotations

import msgspec

from audiotap.net.peer import MAX_MESSAGE

MAX_FILES = 1_000_000
"""Open files of recordings, where nobody knows what the system allows."""


class Limits(msgspec.Struct, frozen=True):
    """What a listener takes at most; docs/limits.md tells why it is so much. Sizes in bytes, times in seconds.

    `pending` is for messages of which a part is there, of all connections together. `handshake` may pass until a
    connection is a websocket, `ping` in silence until it is pinged, and again until it is taken for dead, and `idle`
    without a message (0: for ever). `per_connection` counts sessions, `tracks` those of one session, and
    `small` the frames that say next to nothing, per second and connection. `files` is how many recordings may have open
    in one process; the system decides it, and no option.
    """

    message: int = MAX_MESSAGE
    pending: int = 256 * 1024 * 1024
    connections: int = 10_000
    per_address: int = 8_000
    handshake: float = 10.0
    ping: float = 20.0
    idle: float = 0.0
    sessions: int = 5_000
    per_connection: int = 100
    tracks: int = 1_000
    small: int = 200
    files: int = MAX_FILES

    def shared(self, workers: int) -> Limits:
        """The share of one of so many processes, rounded up."""
        return msgspec.structs.replace(
            self,
            pending=-(-self.pending // workers),
            connections=-(-self.connections // workers),
            per_address=-(-self.per_address // workers),
            sessions=-(-self.sessions // workers),
        )
