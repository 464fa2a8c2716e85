"""Speaking through a Recall bot: an MP3 over REST, with and without a listener."""

from __future__ import annotations

import base64
import json
from asyncio.subprocess import PIPE
from io import BytesIO

import numpy as np
import pytest
import soundfile
from pytest_httpserver import HTTPServer
from tests.scenarios.harness import HELLO, Ended, Place, Samples, ramp, read, recall, tone, write
from tests.scenarios.providers import ATTENDEE_BOT, RECALL_BOT, RECALL_KEY, asked, assert_authorized, body, know
from websockets.asyncio.client import ClientConnection, connect

OUTPUT = f"/api/v1/bot/{RECALL_BOT}/output_audio/"
TO_RECALL = ("--provider", "recall", "--bot", RECALL_BOT)


@pytest.fixture
def server(place: Place, httpserver: HTTPServer) -> HTTPServer:
    """Recall, for whom the place has a key, with a bot that can be spoken to and silenced."""
    know(place, httpserver)
    httpserver.expect_request(OUTPUT, "POST").respond_with_json({"id": RECALL_BOT})
    httpserver.expect_request(OUTPUT, "DELETE").respond_with_data("", 204)
    return httpserver


def played(server: HTTPServer) -> tuple[Samples, int]:
    """The sound that was sent last, and its rate."""
    sent = body(server)
    assert sent.keys() == {"kind", "b64_data"}
    assert sent["kind"] == "mp3"
    assert 1 <= len(sent["b64_data"]) <= 1_835_008
    sound, rate = soundfile.read(BytesIO(base64.b64decode(sent["b64_data"], validate=True)))
    return sound, rate


async def connects(bot: ClientConnection, session: str, name: str = RECALL_BOT) -> None:
    """A Recall bot is heard by the listener."""
    await bot.send(recall(ramp(0.1), 0.0, recording=session).replace('"recall-bot"', json.dumps(name)))


def assert_refused(ended: Ended, status: int, *words: str) -> None:
    assert ended.status == status, ended.err
    assert len(ended.err.splitlines()) <= 2
    assert [word for word in words if word not in ended.err] == []
    assert RECALL_KEY not in ended.err


async def test_a_file(place: Place, server: HTTPServer) -> None:
    """It is sent as one MP3 that says the same, and nobody claims that it was played."""
    ended = await place.run("speak", HELLO, *TO_RECALL)

    assert (ended.status, ended.out) == (0, b"")
    assert "sent 3.7 s" in ended.err
    assert asked(server) == [("POST", OUTPUT)]
    assert_authorized(server, "recall")
    sound, rate = played(server)
    said = read(HELLO) / 32768
    assert len(sound) / rate == pytest.approx(len(said) / 16000, abs=0.1)
    assert np.sqrt(np.mean(sound**2)) == pytest.approx(np.sqrt(np.mean(said**2)), rel=0.1)


async def test_a_pipe(place: Place, server: HTTPServer) -> None:
    """Bare samples out of a pipe, to the region of an option, and the result as JSON."""
    api = place.environment.pop("RECALL_API_URL")
    options = ("--raw", 8000, "--json", "--api", api, "--timeout", 20)
    speaker = await place.start("speak", "-", *options, *TO_RECALL, stdin=PIPE)
    await speaker.feed(tone(2, 8000).tobytes())
    ended = await speaker.ended()

    sound, rate = played(server)
    assert ended.json == {"bot": RECALL_BOT, "sent": 2.0, "bytes": len(base64.b64decode(body(server)["b64_data"]))}
    assert len(sound) / rate == pytest.approx(2, abs=0.1)


async def test_an_interruption(place: Place, server: HTTPServer) -> None:
    """Ctrl-C while a pipe is still open: nothing was sent, and that is said."""
    speaker = await place.start("speak", "-", "--raw", 384000, *TO_RECALL, stdin=PIPE)
    assert speaker.process.stdin is not None
    speaker.process.stdin.write(bytes(2**20))
    await speaker.process.stdin.drain()
    assert_refused(await speaker.stop(), 130, "interrupted: nothing was sent")
    assert asked(server) == []


async def test_two_minutes_at_most(place: Place, server: HTTPServer) -> None:
    """More than the endpoint takes is refused here, with what to do."""
    file = write(place.folder / "long.wav", tone(180, 8000), 8000)
    assert_refused(await place.run("speak", file, *TO_RECALL), 2, "too long", "cut it")
    assert asked(server) == []


async def test_nothing(place: Place, server: HTTPServer) -> None:
    """A file without samples is not sent."""
    file = write(place.folder / "empty.wav", ramp(0))
    assert_refused(await place.run("speak", file, *TO_RECALL), 2, "no sound")
    assert asked(server) == []


@pytest.mark.parametrize("command", [("stop",), ("pause", 2000)])
async def test_a_stop(place: Place, server: HTTPServer, command: tuple[str | int, ...]) -> None:
    """Recall can stop, and not go on: a pause is a stop, and says so."""
    region = ("--api", place.environment.pop("RECALL_API_URL"))
    ended = await place.run(*command, *TO_RECALL, *region)
    assert ended.status == 0
    assert "what it was playing is gone" in ended.err
    assert asked(server) == [("DELETE", OUTPUT)]
    assert (await place.run(*command, *TO_RECALL, *region, "--json")).json == {"bot": RECALL_BOT, "stopped": True}


async def test_a_pause_of_nothing(place: Place, server: HTTPServer) -> None:
    """What was stopped cannot be resumed."""
    assert_refused(await place.run("pause", 0, *TO_RECALL), 2, "cannot go on")
    assert asked(server) == []


async def test_the_bot_that_a_listener_hears(place: Place, server: HTTPServer) -> None:
    """The listener knows the bot, so --bot is not needed, and may be the recording's id; two have to be told apart."""
    listener = await place.listen()
    async with connect(listener.url) as one, connect(listener.url) as two:
        await connects(one, "rec-one")
        await listener.event("track.started", session="rec-one")
        alone = await place.run("speak", HELLO, "--provider", "recall")
        await connects(two, "rec-two", "another-bot")
        await listener.event("track.started", session="rec-two")
        open_choice = await place.run("stop", "--provider", "recall")
        by_recording = await place.run("stop", "--provider", "recall", "--bot", "rec-one")

    assert (alone.status, by_recording.status) == (0, 0), by_recording.err
    assert asked(server) == [("POST", OUTPUT), ("DELETE", OUTPUT)]
    assert_refused(open_choice, 2, RECALL_BOT, "another-bot", "--bot")


async def test_no_bot_at_all(place: Place, server: HTTPServer) -> None:
    """Without a listener the bot has to be named."""
    assert_refused(await place.run("speak", HELLO, "--provider", "recall"), 4, "--bot")
    assert asked(server) == []


async def test_without_provider(place: Place, server: HTTPServer) -> None:
    """Over its websocket Recall cannot be spoken to; the line says what to add."""
    listener = await place.listen()
    async with connect(listener.url) as bot:
        await connects(bot, "rec")
        await listener.event("track.started", session="rec")
        assert_refused(await place.run("speak", HELLO), 4, "--provider recall")
    assert asked(server) == []


@pytest.mark.parametrize(
    ("code", "status", "said"),
    [
        (400, 5, "Cannot send a command to a bot which has completed"),
        (404, 4, "Not found."),
        (405, 5, "Method not allowed"),
        (429, 1, "Request was throttled."),
    ],
)
async def test_a_no(place: Place, server: HTTPServer, code: int, status: int, said: str) -> None:
    """One line with Recall's words."""
    server.clear()
    server.expect_request(OUTPUT).respond_with_json({"detail": said}, code)
    for command in (("speak", HELLO), ("stop",)):
        assert_refused(await place.run(*command, *TO_RECALL), status, "Recall", said)


async def test_an_attendee_bot_by_name(place: Place, server: HTTPServer) -> None:
    """--provider attendee is the way over the listener, as without it."""
    ended = await place.run("speak", HELLO, "--provider", "attendee", "--bot", ATTENDEE_BOT)
    assert_refused(ended, 4, "audiotap listen")
    assert asked(server) == []
