"""Simulated agents: how each vendor's server behaves, as its pages say. Pure, and strangers to each other."""

from __future__ import annotations

from audiotap.actors.base import Actor

ACTORS: dict[str, type[Actor]] = {}
