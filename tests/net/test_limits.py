"""Limits: what the command line has for defaults, the share of each worker, and how refusals are told."""

from __future__ import annotations

import asyncio
import inspect

import pytest

from audiotap.commands.listen import listen
from audiotap.net import limits as module
from audiotap.net.limits import Complaints, Limits
from audiotap.reports import Odd
from audiotap.text import parse_size

OPTIONS = {
    "max_message": "message",
    "max_pending": "pending",
    "max_connections": "connections",
    "max_per_address": "per_address",
    "handshake_timeout": "handshake",
    "ping_interval": "ping",
    "idle_timeout": "idle",
    "max_sessions": "sessions",
    "max_per_connection": "per_connection",
    "max_tracks": "tracks",
}


def test_defaults_of_the_command_line_are_the_defaults() -> None:
    """Every limit is an option, with one default in both places."""
    parameters = inspect.signature(listen).parameters
    defaults = {name: parameters[name].default for name in OPTIONS}
    sizes = {name: parse_size(value) if isinstance(value, str) else value for name, value in defaults.items()}
    assert Limits(**{OPTIONS[name]: value for name, value in sizes.items()}) == Limits()
    assert set(OPTIONS.values()) == set(Limits.__struct_fields__)


def test_workers_share_what_counts_for_all() -> None:
    """Rounded up, so that nobody is left without; what counts for one message, bot or session stays."""
    share = Limits(pending=10, connections=10, per_address=1, sessions=7).shared(4)
    assert share == Limits(pending=3, connections=3, per_address=1, sessions=2)


async def test_a_refusal_is_told_once_a_minute(monkeypatch: pytest.MonkeyPatch) -> None:
    """The first one at once, those of the next minute as a number, and at the end what is left."""
    monkeypatch.setattr(module, "MINUTE", 0)
    told: list[Odd] = []
    third = asyncio.Event()

    def tell(odd: Odd) -> None:
        told.append(odd)
        if len(told) == 3:
            third.set()

    refusals = Complaints(tell)
    for _ in range(3):
        refusals.count("no room")
    refusals.count("too long")
    assert told == [Odd("no room"), Odd("too long")]
    await third.wait()
    assert told[2:] == [Odd("no room; 2 more")]
    refusals.count("no room")
    refusals.close()
    assert told[3:] == [Odd("no room; 1 more")]
