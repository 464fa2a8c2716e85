"""Limits: what the command line has for defaults, and the share of each worker."""

from __future__ import annotations

import inspect

from audiotap.commands.listen import listen
from audiotap.net.door.limits import Limits
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
    "max_small": "small",
}


def test_defaults_of_the_command_line_are_the_defaults() -> None:
    """Every limit is an option, with one default in both places, but for what the system decides."""
    parameters = inspect.signature(listen).parameters
    defaults = {name: parameters[name].default for name in OPTIONS}
    sizes = {name: parse_size(value) if isinstance(value, str) else value for name, value in defaults.items()}
    assert Limits(**{OPTIONS[name]: value for name, value in sizes.items()}) == Limits()
    assert {*OPTIONS.values(), "files"} == set(Limits.__struct_fields__)


def test_workers_share_what_counts_for_all() -> None:
    """Rounded up, so that nobody is left without; what counts for one message, bot or session stays."""
    share = Limits(pending=10, connections=10, per_address=1, sessions=7).shared(4)
    assert share == Limits(pending=3, connections=3, per_address=1, sessions=2)
