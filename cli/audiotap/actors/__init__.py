"""Simulated agents: how each vendor's server behaves, as its pages say. Pure, and strangers to each other."""

from __future__ import annotations

from audiotap.actors.amigo import AmigoActor
from audiotap.actors.base import Actor
from audiotap.actors.deepgram import DeepgramActor

ACTORS: dict[str, type[Actor]] = {
    "amigo": AmigoActor,
    "deepgram": DeepgramActor,
}
"""The register of simulated agents: one line each."""
