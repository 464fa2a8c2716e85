"""Names of participants from Attendee's REST interface: its audio messages have ids only.

A bot is asked about when it connects and when somebody without a name is heard, then less and less often.
"""

from __future__ import annotations

import asyncio
import math
import re
from collections.abc import Awaitable, Callable, Mapping

from audiotap.net.live import Live
from audiotap.net.rest.attendee import AttendeeRest
from audiotap.net.rest.base import BOT_ID, Access
from audiotap.net.rest.refusal import RestError
from audiotap.net.tap import Tap, Tell
from audiotap.net.tasks import wait_for
from audiotap.reports import Odd

LEAST = 1.0
"""Seconds between two questions about one bot."""
MOST = 60.0
"""Seconds between questions while there is nothing to find out, or nobody answers."""
MOST_AT_ONCE = 8
"""Bots that are asked about at the same time: one that hangs must not hold up the others."""
PROVIDER = "attendee"


class Inquiry:
    """When a bot's participants are asked for next, infinite while they are; times are on the event loop's clock."""

    def __init__(self, now: float) -> None:
        self.due = now
        self.nameless: frozenset[str] = frozenset()
        self.complained = False
        self._asked = -math.inf
        self._delay = LEAST

    def notice(self, nameless: frozenset[str], now: float) -> None:
        """Who is without a name now; a newcomer is soon asked for."""
        if nameless - self.nameless and self.due < math.inf:
            self._delay = LEAST
            self.due = min(self.due, max(now, self._asked + LEAST))
        self.nameless = nameless

    def put_off(self, now: float, *, least: float = 0.0, idle: bool = False) -> None:
        """It was asked for; again after twice the time as before, after `least` seconds, or late while it is idle."""
        self._asked = now
        self._delay = MOST if idle else min(2 * self._delay, MOST)
        self.due = now + max(self._delay, least)

    def give_up(self) -> None:
        """Never ask again."""
        self.due = math.inf


async def keep_naming(tap: Tap, access: Access, tell: Tell) -> None:
    """Ask for names as long as there are bots; return when the key is refused."""
    async with AttendeeRest(access, lambda told: tell(Odd(told))) as attendee:
        await Naming(tap, attendee.participants, tell).run()


class Naming:
    """Names for the bots of a tap; `participants` asks for those of one bot."""

    def __init__(self, tap: Tap, participants: Callable[[str], Awaitable[Mapping[str, str]]], tell: Tell) -> None:
        self._tap = tap
        self._participants = participants
        self._tell = tell
        self._loop = asyncio.get_running_loop()
        self._few = asyncio.Semaphore(MOST_AT_ONCE)
        self._refused = False

    async def run(self) -> None:
        """Return when there is no use in asking anything."""
        inquiries: dict[Live, Inquiry] = {}
        async with asyncio.TaskGroup() as questions:
            while not self._refused:
                self._tap.news.clear()
                now = self._loop.time()
                inquiries = {live: inquiries.get(live) or Inquiry(now) for live in connected(self._tap)}
                for live, inquiry in inquiries.items():
                    inquiry.notice(live.nameless, now)
                    if inquiry.due <= now:
                        inquiry.due = math.inf
                        questions.create_task(self._ask_in_turn(live, inquiry))
                due = min((inquiry.due for inquiry in inquiries.values()), default=math.inf)
                await wait_for(self._tap.news, None if due == math.inf else due - now)

    async def _ask_in_turn(self, live: Live, inquiry: Inquiry) -> None:
        async with self._few:
            if not self._refused:
                await self.ask(live, inquiry)
        self._tap.news.set()

    async def ask(self, live: Live, inquiry: Inquiry) -> None:
        """Ask for one bot's participants."""
        bot = live.session.key[1]
        try:
            self._tap.name(live, await self._participants(bot))
        except RestError as error:
            self._put_off(bot, inquiry, error)
            return
        inquiry.nameless = live.nameless
        inquiry.put_off(self._loop.time(), idle=not inquiry.nameless)

    def _put_off(self, bot: str, inquiry: Inquiry, error: RestError) -> None:
        """Ask again later, unless Attendee knows neither the key, which is told once, nor the bot."""
        if error.code == 401:
            if not self._refused:
                self._tell(Odd(f"participants stay without names: {error.message}; {error.hint}"))
            self._refused = True
        elif error.code == 404:
            self._tell(Odd("participants stay without names: Attendee does not know this bot", bot))
            inquiry.give_up()
        else:
            if not inquiry.complained:
                self._tell(Odd(f"participants have no names yet, they are asked for again: {error.message}", bot))
            inquiry.complained = True
            inquiry.put_off(self._loop.time(), least=error.retry_after or 0.0)


def connected(tap: Tap) -> list[Live]:
    """Bots that are there, and whose ids can be an Attendee's."""
    return [
        live
        for (provider, bot), live in tap.sessions.items()
        if provider == PROVIDER and live.links and re.fullmatch(BOT_ID, bot)
    ]
