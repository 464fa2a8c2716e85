"""What came that is no audio, counted."""

from __future__ import annotations

from audiotap.session import OTHER_KINDS

MAX_KINDS = 100
"""Kinds of unknown messages that are counted apart."""


class Oddities:
    """Malformed messages, and unknown ones by kind."""

    def __init__(self) -> None:
        self.malformed = 0
        self.unknown: dict[str, int] = {}
        self.told_malformed = False

    def count(self, kind: str, number: int = 1) -> bool:
        """Count unknown messages; whether their kind is new. Kinds are the network's, so their number is limited."""
        if kind not in self.unknown and len(self.unknown) >= MAX_KINDS:
            kind = OTHER_KINDS
        new = kind not in self.unknown
        self.unknown[kind] = self.unknown.get(kind, 0) + number
        return new

    def add(self, other: Oddities) -> None:
        """Take over what was counted elsewhere."""
        self.malformed += other.malformed
        for kind, number in other.unknown.items():
            self.count(kind, number)
