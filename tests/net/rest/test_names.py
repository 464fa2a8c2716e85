"""When participants are asked for: soon after somebody came, else less and less often."""

from __future__ import annotations

import math

from audiotap.net.rest.names import LEAST, MOST, Inquiry

NOBODY: frozenset[str] = frozenset()


def test_a_new_bot_is_asked_about_at_once() -> None:
    """So that whoever is there already is known before they speak."""
    assert Inquiry(5.0).due == 5.0


def test_one_who_stays_without_a_name_is_asked_for_less_and_less() -> None:
    """The time between two questions doubles, up to a minute."""
    inquiry = Inquiry(0.0)
    waits = []
    for _ in range(8):
        now = inquiry.due
        inquiry.notice(frozenset({"ana"}), now)
        inquiry.put_off(now)
        waits.append(inquiry.due - now)
    assert waits == [2, 4, 8, 16, 32, MOST, MOST, MOST]


def test_a_newcomer_is_asked_for_soon() -> None:
    """At once if the last question is a second ago, and never twice within that second."""
    inquiry = Inquiry(0.0)
    inquiry.put_off(0.0, idle=True)
    assert inquiry.due == MOST
    inquiry.notice(frozenset({"ana"}), 0.1)
    assert inquiry.due == LEAST
    inquiry.put_off(1.0, idle=True)
    inquiry.notice(frozenset({"ana", "bo"}), 30.0)
    assert inquiry.due == 30.0


def test_a_provider_that_asks_to_wait_is_waited_for() -> None:
    """Its seconds count where they are more than ours."""
    inquiry = Inquiry(0.0)
    inquiry.put_off(0.0, least=500)
    assert inquiry.due == 500


def test_a_bot_that_nobody_knows_is_not_asked_about_again() -> None:
    """Whoever comes."""
    inquiry = Inquiry(0.0)
    inquiry.give_up()
    inquiry.notice(frozenset({"ana"}), 1.0)
    inquiry.notice(NOBODY, 2.0)
    assert inquiry.due == math.inf
