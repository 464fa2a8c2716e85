"""Told to stop in the middle of a call, by a signal or a terminal that goes away: all is finished, and soon."""

from __future__ import annotations

import asyncio
import os
import re
import shutil
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from tests.scenarios.faults import TRACKS, assert_begins, calling, readers
from tests.scenarios.harness import DEADLINE, Place, Recording

AT_MOST = 2.0
"""Seconds that the end of eight tracks may take."""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
async def test_a_signal_in_the_middle_of_a_call(place: Place, number: signal.Signals) -> None:
    """All that was heard is in complete files, the manifest has an end, and the exit status is 0."""
    listener = await place.listen()
    async with calling(listener.url) as call:
        await call.lasts(0.5)
        sent = dict(call.sent)
        await call.is_answered()
        with soon(number.name):
            ended = await listener.stop(number)

    assert ended.status == 0
    assert "Traceback" not in ended.err
    assert_complete(await listener.finished("bot_1"), sent)


@pytest.mark.skipif(shutil.which("setsid") is None, reason="setsid is not installed")
@pytest.mark.parametrize("output", ["rich", "plain"])
async def test_a_terminal_that_is_closed(place: Place, output: str) -> None:
    """Its listener finishes everything and ends by itself with status 0, although nobody can read what it says."""
    terminal, screen = os.openpty()
    shown = asyncio.StreamReader()
    window, _ = await asyncio.get_running_loop().connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(shown), os.fdopen(terminal, "rb", buffering=0)
    )
    listener = await place.start(
        *("listen", "--port", 0, "--out", place.out, "--output", output),
        **dict.fromkeys(("stdin", "stdout", "stderr"), screen),
        environment={"TERM": "xterm-256color"},
        within=("setsid", "--ctty"),
    )
    os.close(screen)
    async with calling(await url(shown)) as call:
        await call.lasts(0.5)
        sent = dict(call.sent)
        await call.is_answered()
        with soon(f"a closed terminal, {output}"):
            window.close()
            ended = await listener.ended()

    assert ended.status == 0
    (folder,) = place.out.iterdir()
    assert_complete(Recording({"path": str(folder)}), sent)


async def url(shown: asyncio.StreamReader) -> str:
    """Where a listener says that it listens."""
    text = ""
    async with asyncio.timeout(DEADLINE):
        while (found := re.search(r"ws://127\.0\.0\.1:\d+(?=,)", text)) is None:
            text += (await shown.read(4096)).decode(errors="replace")
    return found[0]


@contextmanager
def soon(what: str) -> Iterator[None]:
    began = time.monotonic()
    yield
    took = time.monotonic() - began
    print(f"{what}: ended after {took:.2f} s")
    assert took <= AT_MOST


def assert_complete(recording: Recording, sent: dict[str, int]) -> None:
    """At least what was sent and answered is in files that the manifest describes."""
    assert recording.manifest["ended"] is not None
    assert recording.manifest["reason"] == "the listener was stopped"
    assert not recording.manifest["lossy"]
    assert {entry["track"] for entry in recording.manifest["tracks"]} == set(TRACKS)
    for track in TRACKS:
        samples = assert_begins(recording.file(track), track)
        assert set(readers(recording.file(track)).values()) == {samples}
        assert samples == recording.entry(track)["samples"] >= sent[track]
