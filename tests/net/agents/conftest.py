"""What tests of agents have in common."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from tests.net.agents.fake import Clock, Vendor, nothing_left, vending


@pytest.fixture
async def vendor() -> AsyncIterator[Vendor]:
    """A vendor's server; whatever the test starts must have ended before its end."""
    async with vending() as vendor:
        yield vendor


@pytest.fixture
async def clock() -> Clock:
    return Clock()


@pytest.fixture(autouse=True)
async def everything_ends() -> AsyncIterator[None]:
    """No test leaves a task behind."""
    async with nothing_left():
        yield
