"""What a listener asks of the machine before it begins."""

from __future__ import annotations

from audiotap.jobs.listen import KEPT_FILES, within
from audiotap.net.door.limits import Limits


def test_connections_leave_half_of_the_files_to_recordings() -> None:
    """However many are asked for, with one process and with several; and some are kept for all the rest."""
    alone = within(1000, Limits(connections=10_000), 1)
    assert (alone.connections, alone.files) == (500, 500 - KEPT_FILES)
    together = within(1000, Limits(connections=10_000), 4).shared(4)
    assert (together.connections, together.files) == (500, 500 - KEPT_FILES)
    assert within(1000, Limits(connections=20), 1).connections == 20


def test_a_system_that_allows_few_files() -> None:
    """Recordings get some all the same."""
    few = within(100, Limits(), 1)
    assert (few.connections, few.files) == (50, 25)
