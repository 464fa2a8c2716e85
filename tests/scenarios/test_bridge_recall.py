"""Agents in Recall's meetings: bots that take no speech on their connection, and play clips over REST."""

from __future__ import annotations

import asyncio
import base64
import json
from io import BytesIO

import numpy as np
import pytest
import soundfile
from pytest_httpserver import HTTPServer
from tests.scenarios.harness import ANA, DEADLINE, Place, Samples, assert_same, sounding
from tests.scenarios.meeting import RecallBot, bridged, joined, voice
from tests.scenarios.providers import RECALL_KEY, assert_authorized, know
from werkzeug import Request, Response

OUTPUT = "/api/v1/bot/recall-bot/output_audio/"


class Recall:
    """Recall, who is asked to play something and to be silent."""

    def __init__(self, server: HTTPServer) -> None:
        self.server = server
        self.status = 200
        self._asked: asyncio.Queue[tuple[str, bytes]] = asyncio.Queue()
        self._loop = asyncio.get_running_loop()
        server.expect_request(OUTPUT).respond_with_handler(self._answer)

    async def asked(self) -> tuple[str, Samples]:
        """The next request, once it is answered: its method, and what is to be played."""
        async with asyncio.timeout(DEADLINE):
            method, body = await self._asked.get()
        if not body:
            return method, np.zeros(0, np.int16)
        sound, rate = soundfile.read(BytesIO(base64.b64decode(json.loads(body)["b64_data"])), dtype="int16")
        assert rate == 24000
        return method, np.asarray(sound, np.int16)

    def _answer(self, request: Request) -> Response:
        asked = request.method, request.get_data()
        response = Response("{}", self.status, content_type="application/json")
        response.call_on_close(lambda: self._loop.call_soon_threadsafe(self._asked.put_nowait, asked))
        return response


@pytest.fixture
async def server(place: Place, httpserver: HTTPServer) -> Recall:
    """Recall, for whom the place has a key."""
    know(place, httpserver)
    return Recall(httpserver)


def assert_says(clip: tuple[str, Samples], question: Samples) -> None:
    """A clip is a question's echo, as far as an MP3 tells."""
    method, sound = clip
    assert method == "POST"
    assert len(sound) == pytest.approx(len(question), abs=2500)
    loud = np.abs(sound[2400:-2400].astype(float))
    assert loud.mean() == pytest.approx(np.abs(question.astype(float)).mean(), rel=0.1)


async def test_without_a_key(place: Place) -> None:
    """One line says what is missing, no agent is dialled, and the call is recorded."""
    agent = await place.agent("openai")
    bridge = await bridged(place, "openai", agent.url)
    async with joined(bridge, kind=RecallBot, ready=False) as bot:
        error = await bridge.event("error", session="bot_1")
        await bot.ask(voice(0.4))
    ended = await bridge.stop()

    assert ended.status == 0
    assert len(bridge.told("error")) == 1
    assert "takes no speech" in error["message"]
    assert "RECALL_API_KEY" in error["hint"]
    assert agent.told("connected") == []
    assert_same((await bridge.finished("bot_1")).samples("mixed"), bot.said)


async def test_two_providers_at_once(place: Place, server: Recall) -> None:
    """Each bot has an agent of its own: one is answered on its connection, the other one with a clip."""
    agent = await place.agent("openai", "--echo", "--think", 0)
    bridge = await bridged(place, "openai", agent.url, "--no-names")
    one, other = voice(0.5, 24000), voice(1)
    async with joined(bridge, "attendee", 24000) as attendee, joined(bridge, "recall", kind=RecallBot) as recall:
        await asyncio.gather(attendee.ask(one), recall.ask(other))
        assert_says(await server.asked(), voice(1, 24000))
        await attendee.plays(len(one))
    ended = await bridge.stop()

    assert_same(attendee.spoken, one)
    assert_same((await bridge.finished("attendee")).samples("mixed"), attendee.said)
    assert_same((await bridge.finished("recall")).samples("mixed"), recall.said)
    assert len(agent.told("connected")) == 2
    assert recall.told == []
    assert_authorized(server.server, "recall")
    assert RECALL_KEY not in ended.err + ended.out.decode()
    assert ended.status == 0


async def test_an_interruption(place: Place, server: Recall) -> None:
    """A clip that is spoken into is silenced, and the agent told how much of it can have been heard."""
    agent = await place.agent("openai", "--echo", "--think", 0, "--late", 5)
    bridge = await bridged(place, "openai", agent.url)
    async with joined(bridge, kind=RecallBot) as bot:
        await bot.ask(voice(4))
        assert_says(await server.asked(), voice(4, 24000))
        await bot.ask(voice(0.4))
        assert (await server.asked())[0] == "DELETE"
        assert_says(await server.asked(), voice(0.4, 24000))
        truncated = await agent.event("truncated")
        interrupted = await bridge.event("interrupted")
    assert truncated["seconds"] == pytest.approx(interrupted["heard"], abs=0.001)
    assert interrupted["heard"] + interrupted["dropped"] == pytest.approx(4, abs=0.1)


async def test_an_interruption_of_what_is_not_played_yet(place: Place, server: Recall) -> None:
    """An answer that is spoken into before all of it is there is never played."""
    agent = await place.agent("openai", "--echo", "--think", 0, "--faster", 1)
    bridge = await bridged(place, "openai", agent.url, "--transcribe", "whisper-1")
    async with joined(bridge, kind=RecallBot) as bot:
        await bot.ask(voice(4))
        await bridge.event("transcript", role="user")
        await bot.ask(voice(0.4))
        assert_says(await server.asked(), voice(0.4, 24000))
    assert [request.method for request, _ in server.server.log] == ["POST"]


async def test_ctrl_c_while_a_clip_is_played(place: Place, server: Recall) -> None:
    """The bot is silenced before the bridge ends, and what was heard of the clip is in the recording."""
    agent = await place.agent("openai", "--echo", "--think", 0)
    bridge = await bridged(place, "openai", agent.url)
    async with joined(bridge, kind=RecallBot) as bot:
        await bot.ask(voice(4))
        assert (await server.asked())[0] == "POST"
        await bridge.event("track.started", track="spoken")
        ended = await bridge.stop()
    assert (await server.asked())[0] == "DELETE"
    assert ended.status == 0
    assert 0 < len(sounding((await bridge.finished("bot_1")).samples("spoken"))) < 3 * 24000


async def test_who_can_neither_hear_nor_play_clips(place: Place, server: Recall) -> None:
    """A key of Recall's is for Recall's bots: nobody else's is asked to play anything, and no agent is dialled."""
    agent = await place.agent("openai")
    bridge = await bridged(place, "openai", agent.url)
    bot = await place.bot(bridge.url, "--provider", "livekit", "--file", ANA, "--seconds", 0.5)
    error = await bridge.event("error")
    await bot.ended()
    await bridge.stop()
    assert "takes no speech" in error["message"]
    assert "Attendee" in error["hint"]
    assert "RECALL_API_KEY" not in error["hint"]
    assert agent.told("connected") == []
    assert server.server.log == []


async def test_a_no(place: Place, server: Recall) -> None:
    """What Recall does not play is told with its reason, and the next answer is tried again."""
    agent = await place.agent("deepgram", "--echo", "--think", 0)
    bridge = await bridged(place, "deepgram", agent.url)
    server.status = 400
    async with joined(bridge, kind=RecallBot) as bot:
        await bot.ask(voice(0.4))
        await server.asked()
        await bridge.until(lambda: next((one for one in bridge.warnings() if "played" in one), None), "a warning")
        server.status = 200
        await bot.ask(voice(0.6))
        assert_says(await server.asked(), voice(0.6, 24000))
    ended = await bridge.stop()
    assert ended.status == 0
    assert RECALL_KEY not in ended.err
