"""What is counted: figures of one process, or of several together."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import msgspec

Key = tuple[str, str]
"""A metric, and the value of its label: always one of a few words, never anything that came over the network."""


def add(sums: dict[Key, float], more: Mapping[Key, float], times: int = 1) -> None:
    """Add figures to sums."""
    for key, number in more.items():
        sums[key] = sums.get(key, 0) + times * number


class Figures(msgspec.Struct, frozen=True, tag="worker.counted", tag_field="event"):
    """`grown` only grows while a process runs, `now` goes up and down; `troubles` say why no bot should come."""

    grown: dict[Key, float] = {}
    now: dict[Key, float] = {}
    troubles: tuple[str, ...] = ()

    @classmethod
    def together(cls, figures: Iterable[Figures]) -> Figures:
        """Those of several processes as if they were one."""
        grown: dict[Key, float] = {}
        now: dict[Key, float] = {}
        troubles: dict[str, None] = {}
        for one in figures:
            add(grown, one.grown)
            add(now, one.now)
            troubles |= dict.fromkeys(one.troubles)
        return cls(grown, now, tuple(troubles))

    def ended(self) -> Figures:
        """What is left of them when their process has ended."""
        return Figures(self.grown)
