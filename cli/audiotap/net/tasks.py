"""Tasks that race an event."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

T = TypeVar("T")


async def first_of(work: Coroutine[Any, Any, T], end: Coroutine[Any, Any, object]) -> T | None:
    """The work's result; if the end comes first, the work is cancelled and its clean-up awaited, and None returned."""
    working = asyncio.create_task(work)
    waiting = asyncio.create_task(end)
    try:
        await asyncio.wait({working, waiting}, return_when=asyncio.FIRST_COMPLETED)
        if working.done():
            return await working
        return None
    finally:
        working.cancel()
        waiting.cancel()
        await asyncio.gather(working, waiting, return_exceptions=True)


async def wait_for(event: asyncio.Event, seconds: float | None) -> bool:
    """Wait for an event, at most `seconds`; whether it is set."""
    try:
        async with asyncio.timeout(seconds):
            await event.wait()
    except TimeoutError:
        return False
    return True
