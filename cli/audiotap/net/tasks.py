"""Tasks and threads: work that races its end, and work that may block in a thread of its own."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from contextlib import suppress
from functools import partial
from queue import SimpleQueue
from typing import Any, TypeVar

from audiotap.reports import Failed

T = TypeVar("T")


async def first_of(work: Coroutine[Any, Any, T], end: Coroutine[Any, Any, object]) -> T | None:
    """The work's result; if the end comes first, the work is cancelled and its clean-up awaited, and None returned.

    What the end raises is raised.
    """
    working = asyncio.create_task(work)
    waiting = asyncio.create_task(end)
    try:
        await asyncio.wait({working, waiting}, return_when=asyncio.FIRST_COMPLETED)
        if working.done():
            return await working
        await waiting
        return None
    finally:
        working.cancel()
        waiting.cancel()
        await asyncio.gather(working, waiting, return_exceptions=True)


async def never_silent(work: Coroutine[Any, Any, None], name: str, tell: Callable[[Failed], None]) -> None:
    """Work that nobody waits for: should it crash, that is told."""
    try:
        await work
    except Exception as error:  # noqa: BLE001 - whatever it is, somebody has to hear of it
        cause: BaseException = error
        while isinstance(cause, BaseExceptionGroup):
            cause = cause.exceptions[0]
        tell(Failed(f"{name} stopped: {type(cause).__name__}: {cause}", "please report this as a bug"))


async def from_thread(items: Iterator[T], ahead: int = 2) -> AsyncIterator[T]:
    """The items of an iterator that may block, read by a thread of its own, at most `ahead` of them in advance.

    What the iterator raises is raised here. A read that never returns does not hold up the end of the program.
    """
    loop = asyncio.get_running_loop()
    told: asyncio.Queue[tuple[T | None, Exception | None]] = asyncio.Queue()
    room = threading.Semaphore(ahead)

    def tell(item: T | None, error: Exception | None) -> None:
        loop.call_soon_threadsafe(told.put_nowait, (item, error))

    def read() -> None:
        with suppress(RuntimeError):  # the loop is closed, so nobody wants to know
            try:
                for item in items:
                    room.acquire()
                    tell(item, None)
            except Exception as error:  # noqa: BLE001 - raised again where the items are wanted
                tell(None, error)
            else:
                tell(None, None)

    threading.Thread(target=read, name="audiotap-reader", daemon=True).start()
    while True:
        item, error = await told.get()
        if error is not None:
            raise error
        if item is None:
            return
        room.release()
        yield item


class Worker:
    """A thread that does one thing after the other for the event loop.

    Unlike an executor's threads it does not hold up the end of the program when something in it never returns.
    """

    def __init__(self, name: str) -> None:
        self._loop = asyncio.get_running_loop()
        self._jobs: SimpleQueue[Callable[[], None] | None] = SimpleQueue()
        threading.Thread(target=self._work, name=name, daemon=True).start()

    def do(self, work: Callable[[], T]) -> asyncio.Future[T]:
        """Have something done; the future has its result or what it raised."""
        done: asyncio.Future[T] = self._loop.create_future()

        def job() -> None:
            try:
                result = work()
            except Exception as error:  # noqa: BLE001 - raised again where the future is awaited
                self._settle(done, partial(done.set_exception, error))
            else:
                self._settle(done, partial(done.set_result, result))

        self._jobs.put(job)
        return done

    def stop(self) -> None:
        """End the thread when everything before is done."""
        self._jobs.put(None)

    def _settle(self, done: asyncio.Future[T], tell: Callable[[], None]) -> None:
        def settle() -> None:
            if not done.cancelled():
                tell()

        with suppress(RuntimeError):  # the loop is closed, so nobody wants to know
            self._loop.call_soon_threadsafe(settle)

    def _work(self) -> None:
        while (job := self._jobs.get()) is not None:
            job()


async def wait_for(event: asyncio.Event, seconds: float | None) -> bool:
    """Wait for an event, at most `seconds`; whether it is set."""
    try:
        async with asyncio.timeout(seconds):
            await event.wait()
    except TimeoutError:
        return False
    return True


def in_loop(tell: Callable[[T], None]) -> Callable[[T], None]:
    """`tell`, callable from any thread, in order."""
    loop = asyncio.get_running_loop()

    def aloud(told: T) -> None:
        loop.call_soon_threadsafe(tell, told)

    return aloud
