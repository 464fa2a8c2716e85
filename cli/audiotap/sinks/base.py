"""What a sink is, and what it is handed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from audiotap.session import Logged, Placed, Summary

Item = Placed | Logged | Summary
"""Audio with its address; something that occurred; or how a session stands (its last one has `ended` set)."""


class Sink(Protocol):
    """Takes batches of items, each session's and track's in order.

    `required` says what failure means: a required sink that is full holds the peer back and its errors end in a
    non-zero exit; any other one loses items (counted) and is detached on error.
    """

    required: bool

    def write(self, items: Sequence[Item]) -> None: ...

    def close(self) -> None: ...
