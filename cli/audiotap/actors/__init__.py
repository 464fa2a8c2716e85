"""Simulated agents: how each vendor's server behaves, as its pages say. Pure, and strangers to each other."""

from __future__ import annotations

from audiotap.actors import amigo
from audiotap.actors.base import Actor
from audiotap.actors.deepgram import DeepgramActor
from audiotap.actors.openai import AzureActor, BotifyActor, OpenAIActor

ACTORS: dict[str, type[Actor]] = {
    actor.name: actor for actor in (OpenAIActor, AzureActor, BotifyActor, DeepgramActor, amigo.Simulated)
}
"""The register of simulated agents: one line each."""
