"""Simulated agents: how each vendor's server behaves, as its pages say. Pure, and strangers to each other."""

from __future__ import annotations

from audiotap.actors.amigo import AmigoActor
from audiotap.actors.base import Actor
from audiotap.actors.deepgram import DeepgramActor
from audiotap.actors.openai import AzureServer, BotifyServer, OpenAIServer

_EVERY: tuple[type[Actor], ...] = (OpenAIServer, AzureServer, BotifyServer, DeepgramActor, AmigoActor)
ACTORS: dict[str, type[Actor]] = {actor.name: actor for actor in _EVERY}
"""The register of simulated agents."""
