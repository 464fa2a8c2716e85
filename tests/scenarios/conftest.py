"""Every scenario has a place of its own, and leaves no process behind."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from tests.scenarios.again import replay_all
from tests.scenarios.harness import Place
from tests.scenarios.nats_server import NatsServer


@pytest.fixture
async def place(tmp_path: Path) -> AsyncIterator[Place]:
    """A working folder, and a runtime folder whose path is short enough for a Unix socket."""
    runtime = Path(tempfile.mkdtemp(prefix="at-", dir="/tmp"))
    place = Place(tmp_path, runtime)
    place.captures = bool(os.environ.get("AUDIOTAP_REPLAY"))
    yield place
    for running in place.started:
        await running.kill()
    if place.captures:
        await replay_all(place)
    shutil.rmtree(runtime)


@pytest.fixture
async def nats(tmp_path: Path) -> AsyncIterator[NatsServer]:
    """A NATS server of the test's own."""
    server = NatsServer(tmp_path)
    await server.start()
    yield server
    await server.kill()
