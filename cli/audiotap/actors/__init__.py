"""Simulated agents: how each vendor's server behaves, as its pages say. Pure, and strangers to each other."""

from __future__ import annotations

from audiotap.actors import amigo
from audiotap.actors.base import Actor
from audiotap.actors.deepgram import DeepgramActor
from audiotap.actors.openai import AzureServer, BotifyServer, OpenAIServer

ACTORS: dict[str, type[Actor]] = {
    actor.name: actor for actor in (OpenAIServer, AzureServer, BotifyServer, DeepgramActor, amigo.Simulated)
}
"""The register of simulated agents: one line each."""
