"""What a listener does again and again: whatever becomes of it, somebody hears."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from audiotap.net import listener
from audiotap.net.listener import Config, listening
from audiotap.net.rest.base import Access
from audiotap.net.tasks import never_silent
from audiotap.reports import Failed, Report
from audiotap.sinks.recording import Policy


async def crash(*_: object) -> None:
    """Come upon a bug."""
    raise ZeroDivisionError("a bug")


async def test_a_chore_that_crashes_is_told_of(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Names that stay away, a disk that nobody watches, and what no power cut may cost any more are no secrets."""
    for chore in ("watch_space", "keep_syncing", "keep_naming"):
        monkeypatch.setattr(listener, chore, crash)
    config = Config(Policy(tmp_path, durable=True), port=0, min_free=1, attendee=Access("", "key"))
    told: asyncio.Queue[Report] = asyncio.Queue()
    failed: list[Failed] = []
    async with asyncio.timeout(20), listening(config, told.put_nowait):
        while len(failed) < 3:
            report = await told.get()
            failed += [report] if isinstance(report, Failed) else []
    assert {report.message.partition(":")[0] for report in failed} == {
        "the watch over the free space stopped",
        "syncing (--durable) stopped",
        "asking for names stopped",
    }
    assert {report.hint for report in failed} == {"please report this as a bug"}


async def test_a_crash_in_a_group_is_told_by_its_cause() -> None:
    """Work that is done by several tasks stops with what went wrong in one of them."""

    async def several() -> None:
        async with asyncio.TaskGroup() as group:
            group.create_task(crash())

    told: list[Failed] = []
    await never_silent(several(), "this", told.append)
    assert told == [Failed("this stopped: ZeroDivisionError: a bug", "please report this as a bug")]
