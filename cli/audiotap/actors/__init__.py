"""Simulated agents: how each vendor's server behaves, as its pages say. Pure, and strangers to each other."""

from __future__ import annotations

from audiotap.actors import amigo
from audiotap.actors.base import Actor
from audiotap.actors.deepgram import DeepgramActor

ACTORS: dict[str, type[Actor]] = {
    amigo.Simulated.name: amigo.Simulated,
    DeepgramActor.name: DeepgramActor,
}
"""The register of simulated agents: one line each."""
