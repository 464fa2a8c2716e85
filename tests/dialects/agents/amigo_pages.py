"""Amigo's page as messages, and the two ends that its tests talk through."""

from __future__ import annotations

import json
from base64 import b64encode
from pathlib import Path
from typing import Any

from tests.signals import counting

from audiotap.agent_events import (
    UserEvent,
)
from audiotap.audio import Chunk
from audiotap.dialects.agents.amigo import Amigo
from audiotap.dialects.agents.base import Account, AgentSettings, Memory
from audiotap.dialects.base import Side

FIXTURES = Path(__file__).parent / "fixtures"
CLIENT: dict[str, dict[str, Any]] = json.loads(FIXTURES.joinpath("amigo_client.json").read_text())
SERVER: dict[str, dict[str, Any]] = json.loads(FIXTURES.joinpath("amigo_server.json").read_text())
JWT = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJ1c2VyIn0.c2lnbmF0dXJl"
SETTINGS = AgentSettings(service="your-service-id")
NO_VAD = AgentSettings(service="your-service-id", vad=False)
ACCOUNT = Account(JWT, organization="your-org")
FIRST = Chunk(counting(3), 16000)
NEXT = Chunk(counting(3, 4), 16000)


def ours(settings: AgentSettings = SETTINGS, conversation: str = "") -> Amigo:
    return Amigo(Side.OURS, settings, Memory(conversation))


def theirs(settings: AgentSettings = SETTINGS) -> Amigo:
    return Amigo(Side.THEIRS, settings)


def opened(settings: AgentSettings = SETTINGS) -> Amigo:
    """A dialect whose opening is done."""
    amigo = ours(settings)
    say(amigo, *amigo.opening())
    hear(amigo, SERVER["created"])
    if settings.vad:
        hear(amigo, SERVER["vad_switched"])
    assert amigo.ready
    return amigo


def say(amigo: Amigo, *events: UserEvent) -> list[dict[str, Any]]:
    """What is sent for events."""
    return [json.loads(wire) for event in events for wire in amigo.encode(event)]


def hear(amigo: Amigo, *messages: dict[str, Any]) -> list[dict[str, Any]]:
    """What is sent because of messages."""
    events = [event for message in messages for event in read(amigo, message)]
    return [sent for event in events for answer in amigo.reply(event) for sent in say(amigo, answer)]


def read(amigo: Amigo, *messages: dict[str, Any]) -> list[Any]:
    return [event for message in messages for event in amigo.decode(json.dumps(message))]


def piece(pcm: bytes = b"", **fields: Any) -> dict[str, Any]:
    """A piece of an answer, with some fields otherwise."""
    told = {"message": b64encode(pcm).decode(), "transcript_alignment": None}
    return {**SERVER["audio_chunk"], **told, **fields}


def kinds(events: list[Any]) -> list[type]:
    return [type(event) for event in events]
