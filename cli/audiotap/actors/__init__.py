"""Simulated agents: how each vendor's server behaves, as its pages say. Pure, and strangers to each other."""

from __future__ import annotations

from audiotap.actors.amigo import AmigoActor
from audiotap.actors.base import Actor
from audiotap.actors.deepgram import DeepgramActor
from audiotap.actors.openai import AzureActor, BotifyActor, OpenAIActor

_EVERY: tuple[type[Actor], ...] = (OpenAIActor, AzureActor, BotifyActor, DeepgramActor, AmigoActor)
ACTORS: dict[str, type[Actor]] = {actor.name: actor for actor in _EVERY}
"""The register of simulated agents."""
