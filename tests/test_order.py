"""Numbered messages put in order, told as playbooks."""

from __future__ import annotations

import random

from hypothesis import given
from hypothesis import strategies as st

from audiotap.order import MAX_WAITING, PATIENCE, WINDOW, InOrder, Order
from audiotap.track import TrackCounts


class Line:
    """Messages that are their own numbers, a millisecond apart."""

    def __init__(self) -> None:
        self.counts = TrackCounts()
        self.order: Order[int] = Order(self.counts)
        self.now = 50.0

    def take(self, *numbers: int, wait: float = 0.001) -> list[int]:
        """What comes out while they come in."""
        out: list[InOrder[int]] = []
        for number in numbers:
            self.now += wait
            out += self.order.take(number, number, self.now)
        return [message for message, _ in out]

    def told(self) -> tuple[int, int, int]:
        return self.counts.duplicates, self.counts.reordered, self.counts.missing


def test_in_order_nothing_waits() -> None:
    """Whatever the first number is, each message comes out at once."""
    line = Line()
    assert line.take(*range(17, 30)) == [*range(17, 30)]
    assert line.told() == (0, 0, 0)
    assert not line.order.waits


def test_swapped_messages_come_out_in_order() -> None:
    """Those that came too early wait for the one between."""
    line = Line()
    assert line.take(1, 3, 4) == [1]
    assert line.order.waits
    assert line.take(2, 5) == [2, 3, 4, 5]
    assert line.told() == (0, 1, 0)


def test_each_number_comes_out_once() -> None:
    """Also one that was waited for, one that still waits, and a whole stretch sent again after a reconnect."""
    line = Line()
    assert line.take(1, 1, 3, 3, 2, 2, *range(1, 6)) == [1, 2, 3, 4, 5]
    assert line.told() == (6, 1, 0)


def test_what_never_comes_is_known() -> None:
    """After the patience the rest goes on, and says what it lacks; what comes still later is left out."""
    line = Line()
    assert line.take(1, 4, 5) == [1]
    line.now += PATIENCE
    assert line.order.release(line.now) == [InOrder(4, 2), InOrder(5, 0)]
    assert line.take(3, 6) == [6]
    assert line.told() == (1, 0, 2)


def test_what_waits_is_bounded() -> None:
    """A number that runs away makes nobody wait for a thousand messages."""
    line = Line()
    out = line.take(1, *range(3, 3 + 2 * MAX_WAITING), wait=0.0)
    assert out == [1, *range(3, 3 + 2 * MAX_WAITING)]
    assert line.counts.missing == 1


def test_a_counter_that_begins_anew_is_followed() -> None:
    """A bot that was restarted counts from 1 again; what waited comes out before."""
    line = Line()
    assert line.take(WINDOW + 1, WINDOW + 3, 1, 2) == [WINDOW + 1, WINDOW + 3, 1, 2]
    assert line.told() == (0, 0, 1)


def test_messages_without_a_number_pass() -> None:
    """Upstream numbers nothing."""
    order: Order[str] = Order(TrackCounts())
    assert [*order.take(None, "a", 0.0), *order.take(None, "b", 0.0)] == [InOrder("a", 0), InOrder("b", 0)]


@given(st.lists(st.integers(1, 200), min_size=1, max_size=200), st.integers(0, 5), st.randoms(use_true_random=False))
def test_anything_comes_out_once_and_in_order(numbers: list[int], reach: int, dice: random.Random) -> None:
    """However messages are lost, doubled and shuffled: the distinct ones come out rising, and the rest is counted."""
    numbers = sorted(numbers)
    shuffled = sorted(numbers, key=lambda number: number + dice.uniform(0, reach))
    line = Line()
    out = line.take(*shuffled, wait=0.0)
    out += [message for message, _ in line.order.release(line.now, everything=True)]
    first = shuffled[0]
    assert out == sorted({number for number in numbers if number >= first})
    assert line.counts.duplicates == len(numbers) - len(out)
    assert line.counts.missing == out[-1] - out[0] + 1 - len(out)
