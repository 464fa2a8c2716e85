"""An agent's voice for a Recall bot: what is asked of it over REST, in which order, and what a cut means there."""

from __future__ import annotations

import asyncio
import base64
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from io import BytesIO

import numpy as np
import pytest
import soundfile
from pytest_httpserver import HTTPServer
from tests.net.agents.fake import KEY, Clock, Told
from tests.signals import RATE, tone
from werkzeug import Request, Response

from audiotap.agent_events import Speech
from audiotap.audio import Chunk
from audiotap.net.agents import clips as module
from audiotap.net.agents.clips import BLOCK, ClipVoice
from audiotap.net.agents.gate import Cut
from audiotap.net.rest.base import Access
from audiotap.reports import Odd, Report

PATH = "/api/v1/bot/bot-1/output_audio/"


class Bot:
    """A Recall bot: what it was asked to play, in order, and a door before its answers."""

    def __init__(self, server: HTTPServer) -> None:
        self.asked: list[str] = []
        self.played: list[float] = []
        self.more = asyncio.Event()
        self.answers = threading.Event()
        self.answers.set()
        self.status = 200
        self._loop = asyncio.get_running_loop()
        server.expect_request(PATH, headers={"Authorization": KEY}).respond_with_handler(self._answer)

    async def until(self, count: int) -> None:
        """Return when it was asked so often."""
        while len(self.asked) < count:
            self.more.clear()
            async with asyncio.timeout(10):
                await self.more.wait()

    @contextmanager
    def thinking(self) -> Iterator[None]:
        """It does not answer while the block runs."""
        self.answers.clear()
        try:
            yield
        finally:
            self.answers.set()

    def _answer(self, request: Request) -> Response:
        if request.method == "POST":
            mp3 = BytesIO(base64.b64decode(request.get_json()["b64_data"]))
            self.played.append(soundfile.info(mp3).duration)
        self._loop.call_soon_threadsafe(self._took, request.method)
        self.answers.wait(10)
        return Response('{"code": "no"}' if self.status != 200 else "{}", self.status)

    def _took(self, method: str) -> None:
        self.asked.append(method)
        self.more.set()


class Meeting:
    """A bot, and the agent's voice that it is lent."""

    def __init__(self, server: HTTPServer) -> None:
        self.bot = Bot(server)
        self.told: Told[Report] = Told()
        self.spoken: list[tuple[Chunk, float]] = []
        access = Access(server.url_for("/").rstrip("/"), KEY)
        self.voice = ClipVoice("bot-1", access, lambda *said: self.spoken.append(said), self.told.add)

    def push(self, item: str, seconds: float) -> None:
        self.voice.push(Speech(Chunk(tone(seconds), RATE), item))

    async def playing(self, count: int) -> None:
        """Return when it was asked so often, and a clip is being played."""
        await self.bot.until(count)
        while (clip := self.voice._current) is None or clip.began is None:  # noqa: ASYNC110 - nobody tells
            await asyncio.sleep(0.001)


@pytest.fixture
async def meeting(httpserver: HTTPServer) -> AsyncIterator[Meeting]:
    meeting = Meeting(httpserver)
    yield meeting
    meeting.bot.answers.set()
    await meeting.voice.close()
    httpserver.check()


async def test_an_answer_becomes_a_clip(meeting: Meeting, clock: Clock) -> None:
    """When it is complete: one request with all of it, and it speaks until the clip had time to be heard."""
    assert not meeting.voice.speaking
    meeting.push("a", 0.5)
    meeting.push("a", 0.5)
    assert meeting.voice.speaking
    meeting.voice.done()
    await meeting.playing(1)
    assert meeting.bot.asked == ["POST"]
    assert meeting.bot.played == pytest.approx([1.0], abs=0.1)
    assert meeting.voice.speaking
    await clock.go(1.1)
    assert not meeting.voice.speaking
    assert meeting.voice.cut() == []
    assert meeting.told == []


async def test_nothing_becomes_no_clip(meeting: Meeting) -> None:
    """An answer without audio is never asked for."""
    meeting.voice.done()
    assert not meeting.voice.speaking
    assert meeting.voice.cut() == []
    await meeting.voice.close()
    assert meeting.bot.asked == []


async def test_answers_are_played_one_after_the_other(meeting: Meeting, clock: Clock) -> None:
    """The next one is asked for when the one before it had time to be heard."""
    meeting.push("a", 0.3)
    meeting.push("b", 0.6)
    meeting.voice.done()
    await meeting.playing(1)
    assert meeting.bot.asked == ["POST"]
    await clock.go(0.4)
    await meeting.playing(2)
    assert meeting.bot.played == pytest.approx([0.3, 0.6], abs=0.1)


async def test_a_clip_that_is_cut(meeting: Meeting, clock: Clock) -> None:
    """The bot is asked to be silent, and what was heard is what had time to be."""
    meeting.push("a", 2.0)
    meeting.voice.done()
    await meeting.playing(1)
    await clock.go(0.5)
    (cut,) = meeting.voice.cut()
    assert (cut.item, cut.came) == ("a", 2.0)
    assert cut.heard == pytest.approx(0.5, abs=0.2)
    assert not meeting.voice.speaking
    await meeting.bot.until(2)
    assert meeting.bot.asked == ["POST", "DELETE"]


async def test_what_is_not_complete_is_cut_too(meeting: Meeting) -> None:
    """Nobody has heard it, so the bot isn't asked for anything."""
    meeting.push("a", 0.5)
    assert meeting.voice.cut() == [Cut("a", 0.0, 0.5)]
    assert not meeting.voice.speaking
    meeting.push("b", 0.2)
    meeting.voice.done()
    await meeting.playing(1)
    assert meeting.bot.played == pytest.approx([0.2], abs=0.1)


async def test_a_clip_that_is_cut_while_it_is_asked_for(meeting: Meeting) -> None:
    """It may be played all the same, so the bot is asked to be silent behind it; nothing of it counts as heard."""
    with meeting.bot.thinking():
        meeting.push("a", 0.5)
        meeting.voice.done()
        await meeting.bot.until(1)
        assert meeting.voice.speaking
        assert meeting.voice.cut() == [Cut("a", 0.0, 0.5)]
    await meeting.bot.until(2)
    assert meeting.bot.asked == ["POST", "DELETE"]


async def test_a_clip_that_is_cut_before_it_is_asked_for(meeting: Meeting) -> None:
    """It never is; those behind it neither."""
    meeting.push("a", 0.5)
    meeting.push("b", 0.5)
    meeting.voice.done()
    assert meeting.voice.cut() == [Cut("a", 0.0, 0.5), Cut("b", 0.0, 0.5)]
    meeting.push("c", 0.2)
    meeting.voice.done()
    await meeting.playing(1)
    assert meeting.bot.asked == ["POST"]
    assert meeting.bot.played == pytest.approx([0.2], abs=0.1)


async def test_a_clip_is_cut_once(meeting: Meeting) -> None:
    """Also while the bot is still being asked to be silent."""
    meeting.push("a", 2.0)
    meeting.voice.done()
    await meeting.playing(1)
    with meeting.bot.thinking():
        assert len(meeting.voice.cut()) == 1
        await meeting.bot.until(2)
        assert meeting.voice.cut() == []
        assert not meeting.voice.speaking
    assert meeting.bot.asked == ["POST", "DELETE"]


async def test_a_new_connection_has_names_of_its_own(meeting: Meeting, clock: Clock) -> None:
    """What was said on the last one is still played, and an item that is called like one of it is another."""
    meeting.push("b", 0.2)
    meeting.voice.renew()
    meeting.push("b", 0.4)
    meeting.voice.done()
    await meeting.playing(1)
    await clock.go(0.3)
    await meeting.playing(2)
    assert meeting.bot.played == pytest.approx([0.2, 0.4], abs=0.1)


async def test_a_bot_that_does_not_play(meeting: Meeting, clock: Clock) -> None:
    """It's told, without the key, and the next answer is tried."""
    meeting.bot.status = 400
    meeting.push("a", 0.2)
    meeting.voice.done()
    await meeting.told.until(1)
    assert isinstance(meeting.told[0], Odd)
    assert meeting.told[0].message.startswith("an answer could not be played: Recall answered 400")
    assert KEY not in meeting.told[0].message
    await clock.go(0.01)
    assert not meeting.voice.speaking
    meeting.bot.status = 200
    meeting.push("b", 0.2)
    meeting.voice.done()
    await meeting.playing(2)


async def test_an_answer_that_is_too_long(meeting: Meeting, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is told; what never ends is not kept either."""
    monkeypatch.setattr(module, "MOST_SECONDS", 250.0)
    for _ in range(10):
        meeting.push("a", 50.0)
    meeting.voice.done()
    assert meeting.voice._waiting[0].seconds == 300.0
    await meeting.told.until(1)
    assert isinstance(meeting.told[0], Odd)
    assert "too long" in meeting.told[0].message
    assert meeting.bot.asked == []


async def test_closing_in_the_middle(meeting: Meeting) -> None:
    """The clip that is played is silenced, and the one that waits is never asked for."""
    meeting.push("a", 0.5)
    meeting.push("b", 0.5)
    meeting.voice.done()
    await meeting.playing(1)
    await meeting.voice.close()
    assert meeting.bot.asked == ["POST", "DELETE"]


async def test_what_is_heard_is_told_block_by_block(meeting: Meeting, clock: Clock) -> None:
    """Each when it is heard, without a hole, up to where the clip is cut."""
    for _ in range(2):
        meeting.push("a", 0.55)
    meeting.voice.done()
    await meeting.playing(1)
    await clock.go(0.75)
    (cut,) = meeting.voice.cut()
    await meeting.bot.until(2)
    heard = b"".join(chunk.pcm for chunk, _ in meeting.spoken)
    assert heard == (tone(0.55) * 2)[: len(heard)]
    assert cut.heard - BLOCK <= len(heard) / 2 / RATE <= cut.heard + BLOCK
    times = [at for _, at in meeting.spoken]
    lengths = [chunk.seconds for chunk, _ in meeting.spoken]
    assert np.diff(times) == pytest.approx(lengths[:-1])
