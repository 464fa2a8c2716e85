"""The work of `audiotap bridge`: a listener, with agents in its sessions."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial

import msgspec

from audiotap.errors import Exit
from audiotap.jobs.listen import Plan, listen
from audiotap.jobs.output import talk
from audiotap.jobs.running import run
from audiotap.jobs.show import Shown
from audiotap.net.agents.bridge import Bridge, Bridging
from audiotap.net.agents.description import described
from audiotap.net.listener import Listener
from audiotap.net.peer import check_url
from audiotap.net.rest.recall import RecallRest
from audiotap.reports import Odd


def bridge(plan: Plan, bridging: Bridging, tick: float) -> Exit:
    """Listen and bridge until a signal asks for the end. UsageError for what could never be dialled."""
    check_url(bridging.dialect.address(bridging.account, bridging.settings).url)
    settings = run(described(bridging.dialect, bridging.account, bridging.settings, talk))
    bridging = msgspec.structs.replace(bridging, settings=settings)
    if bridging.clips is not None:
        RecallRest(bridging.clips)
    config = msgspec.structs.replace(plan.config, tick=tick)
    return listen(msgspec.structs.replace(plan, config=config), partial(_joined, bridging))


@asynccontextmanager
async def _joined(bridging: Bridging, listener: Listener, _shown: Shown) -> AsyncIterator[None]:
    listener.tell(
        Odd(
            f"every bot's session opens a connection to {bridging.dialect.name}, which its vendor may charge for by "
            f"the minute, silence included; at most {bridging.most} at a time (--max-agents)"
        )
    )
    guest = listener.tap.guest = Bridge(listener.tap, bridging, listener.tell)
    try:
        yield
    finally:
        listener.tap.guest = None
        await guest.close()
