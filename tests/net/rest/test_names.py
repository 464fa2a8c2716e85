"""When participants are asked for, soon after somebody came, else less and less often; and what comes of a no."""

from __future__ import annotations

import asyncio
import json
import math
import socket
from collections.abc import Sequence

import pytest

from audiotap.errors import Exit
from audiotap.events import Asked
from audiotap.net.live import Link, Live
from audiotap.net.port import Carried
from audiotap.net.rest.names import LEAST, MOST, MOST_AT_ONCE, Inquiry, Naming, connected
from audiotap.net.rest.refusal import RestError
from audiotap.net.tap import Tap
from audiotap.reports import Odd, Report

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


# The questions


class Bot:
    """A peer that was accepted; nobody speaks to it."""

    asked = Asked()

    async def send(self, wire: str | bytes) -> bool:
        """Take nothing."""
        return not wire

    def let_go(self, untaken: Sequence[str | bytes]) -> tuple[socket.socket, Carried]:
        """Stay."""
        raise NotImplementedError(untaken)


class Place:
    """A tap whose bots hear a nameless Ana each, and an Attendee that is asked about them."""

    def __init__(self) -> None:
        self.told: list[Report] = []
        self.asked: list[str] = []
        self.errors: dict[str, RestError] = {}
        self.hangs: frozenset[str] = NOBODY
        self.answered, self.refused = asyncio.Event(), asyncio.Event()
        self.tap = Tap(self.told.append)
        self.naming = Naming(self.tap, self.participants, self.told.append)

    async def participants(self, bot: str) -> dict[str, str]:
        """What Attendee says."""
        self.asked.append(bot)
        await asyncio.sleep(0)
        if bot in self.hangs:
            await asyncio.Event().wait()
        if bot in self.errors:
            self.refused.set()
            raise self.errors[bot]
        self.answered.set()
        return {"ana": "Ana"}

    def hears(self, bot: str) -> tuple[Live, Link]:
        """A bot is there, and somebody spoke."""
        data = {"participant_uuid": "ana", "chunk": "AAAA", "timestamp_ms": 0, "sample_rate": 16000}
        message = {"trigger": "realtime_audio.per_participant", "bot_id": bot, "data": data}
        link = self.tap.connect(Bot())
        link.take([json.dumps(message)])
        return self.tap.sessions["attendee", bot], link

    async def until_named(self, live: Live) -> None:
        """Ask until there is an answer, which names everybody."""
        async with asyncio.timeout(20):
            asking = asyncio.create_task(self.naming.run())
            await self.answered.wait()
            asking.cancel()
        assert not live.nameless

    @property
    def warnings(self) -> list[str]:
        """What was told."""
        return [report.message for report in self.told if isinstance(report, Odd)]


def no(code: int | None, retry_after: float | None = None) -> RestError:
    """An answer that is none."""
    return RestError("no", "look", Exit.FAILED, code, retry_after)


async def test_bots_that_hang_hold_up_no_other() -> None:
    """Its names are there while the others still wait for theirs."""
    place = Place()
    place.hangs = frozenset(f"bot_{number}" for number in range(MOST_AT_ONCE - 1))
    for bot in sorted(place.hangs):
        place.hears(bot)
    live, _ = place.hears("bot_x")
    await place.until_named(live)
    assert place.warnings == []


async def test_so_many_are_asked_about_at_once_and_no_more() -> None:
    """Who is asked does not have to hold a thousand questions."""
    place = Place()
    place.hangs = frozenset(f"bot_{number}" for number in range(MOST_AT_ONCE + 5))
    for bot in sorted(place.hangs):
        place.hears(bot)
    asking = asyncio.create_task(place.naming.run())
    for _ in range(100):
        await asyncio.sleep(0)
    asking.cancel()
    assert len(place.asked) == MOST_AT_ONCE


@pytest.mark.parametrize("code", [402, 403, 404, 429, 500, None])
async def test_a_no_about_one_bot_is_none_about_others(code: int | None) -> None:
    """It is told once, and whoever comes later gets their name."""
    place = Place()
    place.hears("bot_0")
    place.errors["bot_0"] = no(code)
    async with asyncio.timeout(20):
        asking = asyncio.create_task(place.naming.run())
        await place.refused.wait()
        place.hears("bot_1")
        await place.answered.wait()
        asking.cancel()
    assert len(place.warnings) == 1


async def test_a_key_that_nobody_knows_is_told_once() -> None:
    """However many are asked about already: nobody else is."""
    place = Place()
    for number in range(MOST_AT_ONCE + 5):
        place.hears(f"bot_{number}")
        place.errors[f"bot_{number}"] = no(401)
    async with asyncio.timeout(20):
        await place.naming.run()
    assert place.warnings == ["participants stay without names: no; look"]
    assert len(place.asked) == MOST_AT_ONCE


async def test_who_asks_to_wait_for_long_is_asked_late() -> None:
    """An answer's `Retry-After` puts off the next question about that bot."""
    place = Place()
    live, _ = place.hears("bot_0")
    place.errors["bot_0"] = no(429, 500.0)
    inquiry = Inquiry(0.0)
    now = asyncio.get_running_loop().time()
    await place.naming.ask(live, inquiry)
    assert inquiry.due >= now + 500


async def test_who_is_asked_about() -> None:
    """Bots that are connected, by ids that can be in a path."""
    place = Place()
    live, link = place.hears("bot_0")
    place.hears("../../x")
    assert connected(place.tap) == [live]
    link.leave(lost=True)
    assert connected(place.tap) == []
