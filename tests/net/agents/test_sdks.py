"""The simulated agents as the vendors' own clients meet them: each SDK converses with what stands in for its server."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import pytest
from deepgram import AsyncDeepgramClient
from deepgram.agent.v1.types import AgentV1Settings
from deepgram.environment import DeepgramClientEnvironment
from openai import AsyncOpenAI
from tests.net.agents.test_simulator import KINDS, playing
from tests.signals import spaced, tone

from audiotap.actors.base import Script

FIXTURES = Path(__file__).parents[2] / "dialects" / "agents" / "fixtures"


async def test_openai() -> None:
    """OpenAI's client is set up, heard and answered, and knows every message for one of its own."""
    kinds: list[str] = []
    answer = b""
    async with playing(KINDS["openai"], script=Script(key="sesame")) as (simulator, _):
        client = AsyncOpenAI(api_key="sesame", websocket_base_url=f"{simulator.url}/v1", base_url="http://127.0.0.1:1")
        async with client.realtime.connect(model="gpt-realtime") as session:
            await session.session.update(session={"type": "realtime", "output_modalities": ["audio"]})
            said = tone(1.2, 24000) + bytes(48000)
            for piece in spaced(len(said), 4800):
                await session.input_audio_buffer.append(audio=base64.b64encode(said[piece]).decode())
            async for event in session:
                assert type(event).model_validate(event.model_dump()) == event
                kinds.append(event.type)
                if event.type == "response.output_audio.delta":
                    answer += base64.b64decode(event.delta)
                if event.type == "response.done":
                    assert event.response.status == "completed"
                    break
    assert len(answer) == 2 * 2 * 24000
    order = ["session.created", "session.updated", "input_audio_buffer.speech_started", "response.created"]
    assert [kind for kind in kinds if kind in order] == order


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
async def test_deepgram() -> None:
    """Deepgram's client does the same: JSON is typed, audio is binary. It uses deprecated names of websockets."""
    kinds: list[str] = []
    answer = b""
    settings = json.loads((FIXTURES / "deepgram_settings.json").read_text("utf-8"))
    async with playing(KINDS["deepgram"], script=Script(key="sesame")) as (simulator, _):
        client = AsyncDeepgramClient(api_key="sesame", environment=_environment(simulator.url))
        async with client.agent.v1.connect() as agent:
            await agent.send_settings(AgentV1Settings(**settings))
            said = tone(1.2) + bytes(32000)
            async for message in agent:
                if isinstance(message, bytes):
                    answer += message
                    continue
                kinds.append(message.type)
                if message.type == "SettingsApplied":
                    await _say(agent, said)
                if message.type == "AgentAudioDone":
                    break
    assert len(answer) == 2 * 2 * 24000
    order = ["Welcome", "SettingsApplied", "UserStartedSpeaking"]
    assert [kind for kind in kinds if kind in order] == order


async def _say(agent: Any, said: bytes) -> None:
    for piece in spaced(len(said), 3200):
        await agent.send_media(said[piece])


def _environment(url: str) -> DeepgramClientEnvironment:
    return DeepgramClientEnvironment(base=url, production=url, agent=url, agent_rest=url)
