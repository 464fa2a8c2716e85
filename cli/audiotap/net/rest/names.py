"""Names of participants from Attendee's REST interface: its audio messages have ids only.

A bot is asked about when it connects and when somebody without a name is heard, then less and less often.
"""

from __future__ import annotations

import asyncio
import math
import re

from audiotap.net.live import Live
from audiotap.net.rest.attendee import AttendeeRest
from audiotap.net.rest.base import Access, RestError
from audiotap.net.tap import Tap, Tell
from audiotap.net.tasks import wait_for
from audiotap.reports import Odd

LEAST = 1.0
"""Seconds between two questions about one bot."""
MOST = 60.0
"""Seconds between questions while there is nothing to find out, or nobody answers."""
HOPELESS = frozenset({401, 402, 403})
"""Answers after which no other question gets a better one."""
PROVIDER = "attendee"


class Inquiry:
    """When a bot's participants are asked for next; times are on the event loop's clock."""

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
    """Ask for names as long as there are bots, one question at a time; return when the key is refused."""
    loop = asyncio.get_running_loop()
    inquiries: dict[Live, Inquiry] = {}
    async with AttendeeRest(access) as attendee:
        while True:
            tap.news.clear()
            inquiries = {live: inquiries.get(live) or Inquiry(loop.time()) for live in _connected(tap)}
            for live, inquiry in inquiries.items():
                inquiry.notice(live.nameless, loop.time())
                if inquiry.due <= loop.time() and not await _ask(tap, attendee, live, inquiry, tell):
                    return
            due = min((inquiry.due for inquiry in inquiries.values()), default=math.inf)
            await wait_for(tap.news, None if due == math.inf else due - loop.time())


def _connected(tap: Tap) -> list[Live]:
    """Bots that are there, and whose ids can be an Attendee's."""
    return [
        live
        for (provider, bot), live in tap.sessions.items()
        if provider == PROVIDER and live.links and re.fullmatch(r"\w{1,80}", bot, re.ASCII)
    ]


async def _ask(tap: Tap, attendee: AttendeeRest, live: Live, inquiry: Inquiry, tell: Tell) -> bool:
    """Ask for one bot's participants; False when there is no use in asking anything."""
    loop = asyncio.get_running_loop()
    bot = live.session.key[1]
    try:
        tap.name(live, await attendee.participants(bot))
    except RestError as error:
        if error.code in HOPELESS:
            tell(Odd(f"participants stay without names: {error.message}; {error.hint}".rstrip("; ")))
            return False
        if error.code == 404:
            tell(Odd("participants stay without names: Attendee does not know this bot", bot))
            inquiry.give_up()
            return True
        if not inquiry.complained:
            inquiry.complained = True
            tell(Odd(f"participants have no names yet, they are asked for again: {error.message}", bot))
        inquiry.put_off(loop.time(), least=error.retry_after or 0.0)
        return True
    inquiry.nameless = live.nameless
    inquiry.put_off(loop.time(), idle=not inquiry.nameless)
    return True
