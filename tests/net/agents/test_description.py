"""What an agent's server tells of itself: read where there is something, and nothing depends on it."""

from __future__ import annotations

import json

import pytest
from pytest_httpserver import HTTPServer

from audiotap.dialects.agents import AGENTS
from audiotap.dialects.agents.base import Account, AgentSettings
from audiotap.net.agents.description import described

INFO = {
    "websocket_endpoint": "/realtime",
    "available_voice_options": ["alloy", "coral"],
    "current_voice": "coral",
    "speech_engine": "openai",
}
SETTINGS = AgentSettings(voice="coral")


async def asked(server: HTTPServer, body: str, status: int = 200) -> tuple[AgentSettings, list[str]]:
    """What becomes of the settings, and what is told."""
    server.expect_request("/realtime-info").respond_with_data(body, status)
    told: list[str] = []
    account = Account(url=server.url_for("/realtime").replace("http", "ws", 1))
    return await described(AGENTS["botify"], account, SETTINGS, told.append), told


async def test_botify_tells_its_voices(httpserver: HTTPServer) -> None:
    """They are told in a line; the settings stay as they were."""
    settings, told = await asked(httpserver, json.dumps(INFO))
    assert settings == SETTINGS
    assert told == ["Botify speaks as coral (voices: alloy, coral) by openai"]


async def test_botify_asks_for_another_field(httpserver: HTTPServer) -> None:
    """Where its message format has `data`, audio is sent in that."""
    settings, _ = await asked(httpserver, json.dumps(INFO | {"message_format": {"type": "x", "data": "base64"}}))
    assert settings.options == {"data-field"}


@pytest.mark.parametrize(("body", "status"), [("{}", 404), ("<html>", 200), ('{"current_voice": 1}', 200), ("", 500)])
async def test_nothing_depends_on_it(httpserver: HTTPServer, body: str, status: int) -> None:
    """Where there is none, or one that can't be read, nothing is told and nothing changes."""
    assert await asked(httpserver, body, status) == (SETTINGS, [])


async def test_nobody_there() -> None:
    """It's the dial's business to say so."""
    told: list[str] = []
    assert await described(AGENTS["botify"], Account(url="ws://127.0.0.1:9"), SETTINGS, told.append) == SETTINGS
    assert not told


async def test_other_agents_are_not_asked(httpserver: HTTPServer) -> None:
    """Only Botify ever had such a page."""
    account = Account("k", httpserver.url_for("/"))
    assert await described(AGENTS["openai"], account, SETTINGS, lambda _: None) == SETTINGS
    assert not httpserver.log
