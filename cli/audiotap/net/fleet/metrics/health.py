"""Whether the disk takes recordings: looked at in a thread of its own, since a disk may not answer."""

from __future__ import annotations

import asyncio
import shutil
from functools import partial
from tempfile import TemporaryFile

import msgspec

from audiotap.net.tasks import Worker
from audiotap.quota import taken
from audiotap.sinks.recording import Policy
from audiotap.text import human_size

PATIENCE_SECONDS = 2.0
"""That a disk has to answer."""


class Disk(msgspec.Struct, frozen=True):
    """What was seen of a disk: the bytes that are free, None where that is not known, and what is wrong with it."""

    free: int | None
    troubles: tuple[str, ...] = ()


class Health:
    """Looks at the disk under the recordings, once at a time however many ask; `least` bytes have to be free."""

    def __init__(self, policy: Policy, least: int) -> None:
        self._look = partial(look, policy, least)
        self._worker = Worker("audiotap: health")
        self._looking: asyncio.Future[Disk] | None = None

    async def disk(self) -> Disk:
        """How the disk is."""
        if self._looking is None or self._looking.done():
            self._looking = self._worker.do(self._look)
        try:
            async with asyncio.timeout(PATIENCE_SECONDS):
                return await asyncio.shield(self._looking)
        except TimeoutError:
            return Disk(None, ("the disk does not answer",))

    def close(self) -> None:
        self._worker.stop()


def look(policy: Policy, least: int) -> Disk:
    """Write where the recordings go, and see what is left."""
    try:
        free = shutil.disk_usage(policy.out).free
        with TemporaryFile(dir=policy.out, prefix=".audiotap-", buffering=0) as file:
            file.write(b"\0")
    except OSError as error:
        return Disk(None, (f"the disk refuses: {error.strerror or error}",))
    troubles = []
    if free < least:
        troubles.append(f"{human_size(free)} free, less than {human_size(least)} (--min-free)")
    if policy.max_disk and taken(policy.out) >= policy.max_disk:
        troubles.append("the recordings take as much as --max-disk allows")
    return Disk(free, tuple(troubles))
