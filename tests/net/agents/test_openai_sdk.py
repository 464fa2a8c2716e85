"""The vendor's own client, the `openai` package, against the simulated server, in which it finds nothing amiss."""

from __future__ import annotations

import asyncio
from base64 import b64decode, b64encode

import pytest
from openai import AsyncOpenAI
from openai.types.realtime import RealtimeSessionCreateRequestParam
from tests.signals import tone

from audiotap.actors.base import Script
from audiotap.actors.openai import OpenAIActor
from audiotap.audio import Chunk
from audiotap.net.agents.simulator import simulating
from audiotap.net.agents.simulator.performance import Part
from audiotap.net.agents.simulator.reply import Voice

RATE = 24000
PART = Part(voice=Voice(Chunk(tone(0.5, RATE), RATE)), script=Script(key="sk-1"), heard="Hello?", think=0.0, faster=0.0)


def _session(*, vad: bool) -> RealtimeSessionCreateRequestParam:
    return {
        "type": "realtime",
        "audio": {
            "input": {
                "turn_detection": {"type": "server_vad"} if vad else None,
                "transcription": {"model": "gpt-4o-transcribe"},
            }
        },
    }


@pytest.mark.parametrize("vad", [True, False])
async def test_a_turn_by_the_vendors_client(vad: bool) -> None:
    """It connects with its key, sets the session up, speaks, and reads an answer to its end; every event as typed."""
    async with simulating(OpenAIActor, PART) as simulator, asyncio.timeout(20):
        client = AsyncOpenAI(api_key="sk-1", websocket_base_url=f"{simulator.url}/v1")
        async with client, client.realtime.connect(model="gpt-realtime") as connection:
            await connection.session.update(session=_session(vad=vad))
            sound = tone(1.0, RATE) + bytes(2 * RATE)
            await connection.input_audio_buffer.append(audio=b64encode(sound).decode())
            if not vad:
                await connection.input_audio_buffer.commit()
                await connection.response.create()
            kinds, voice = [], b""
            async for event in connection:
                assert type(event).__name__ != "RealtimeErrorEvent", event
                assert not event.model_extra, event
                kinds.append(event.type)
                if event.type == "response.output_audio.delta":
                    voice += b64decode(event.delta)
                if event.type == "response.done":
                    assert event.response.status == "completed"
                    break
    assert voice == tone(0.5, RATE)
    assert kinds[:2] == ["session.created", "session.updated"]
    assert ("input_audio_buffer.speech_started" in kinds) == vad
    assert "conversation.item.input_audio_transcription.completed" in kinds
