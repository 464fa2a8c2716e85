"""Which of several workers records a session: told by its key alone, so that every process says the same."""

from __future__ import annotations

from hashlib import blake2b

import msgspec

from audiotap.session import SessionKey


def owner(key: SessionKey, workers: int) -> int:
    """The number, from 0, of the worker that records a session: the same in every process and after every start."""
    digest = blake2b("\0".join(key).encode("utf-8", "surrogatepass"), digest_size=8).digest()
    return int.from_bytes(digest, "big") % workers


class Share(msgspec.Struct, frozen=True):
    """The sessions that worker `number` (from 0) of so many records."""

    number: int
    workers: int

    def has(self, key: SessionKey | None) -> bool:
        """Whether a session is in it. One that nobody can read the key of is the first worker's."""
        return self.number == (owner(key, self.workers) if key is not None else 0)
