"""The disk under the recordings: watched for space, synced once a second where that is wanted, tried for speed."""

from __future__ import annotations

import asyncio
import os
import shutil
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from tempfile import TemporaryFile

from audiotap.net.tasks import Worker
from audiotap.reports import Odd, Report
from audiotap.text import human_size

SPACE = "the watch over the free space"
SPACE_SECONDS = 5.0
"""How often the free space is looked at."""
SYNC_SECONDS = 1.0
"""How often everything is synced: with the time that takes, a power cut costs 2 s at most."""
PROBE_BLOCKS = 16
"""MiB that are written to see how fast that goes."""


async def watch_space(folder: Path, least: int, tell: Callable[[Report], None]) -> None:
    """Warn when a folder's disk has less than `least` bytes left, once each time it comes to that. Never returns."""
    worker = Worker("audiotap: disk space")
    low = False
    try:
        while True:
            free = await worker.do(partial(_free, folder))
            if free is not None and free < least and not low:
                tell(Odd(f"{folder}: {human_size(free)} free, less than {human_size(least)} (--min-free)"))
            low = free is not None and free < least
            await asyncio.sleep(SPACE_SECONDS)
    finally:
        worker.stop()


def _free(folder: Path) -> int | None:
    """Bytes; None where the folder is gone, which is told of by those who write there."""
    try:
        return shutil.disk_usage(folder).free
    except OSError:
        return None


async def keep_syncing(sync: Callable[[], asyncio.Future[None]]) -> None:
    """Sync again and again, a second after the last time was over. Never returns."""
    while True:
        await asyncio.sleep(SYNC_SECONDS)
        await sync()


def write_speed(folder: Path) -> float:
    """Bytes a second that a folder's disk takes for good; nothing is left in the folder. OSError if it refuses."""
    block = os.urandom(1024 * 1024)
    with TemporaryFile(dir=folder, prefix=".audiotap-", buffering=0) as file:
        began = time.monotonic()
        for _ in range(PROBE_BLOCKS):
            file.write(block)
        os.fsync(file.fileno())
        return PROBE_BLOCKS * len(block) / (time.monotonic() - began)
