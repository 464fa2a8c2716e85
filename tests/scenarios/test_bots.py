"""Sending bots into meetings: what providers are asked, and what a user sees when they say no."""

from __future__ import annotations

import asyncio
import base64
import re
import signal
import socket
import threading
from io import BytesIO
from typing import Any

import numpy as np
import pytest
import soundfile
from pytest_httpserver import HTTPServer
from tests.scenarios.harness import DEADLINE, Ended, Place
from tests.scenarios.providers import (
    ATTENDEE_BOT,
    BOTS,
    CREATED,
    KEYS,
    MEETING,
    PUBLIC,
    RECALL_BOT,
    asked,
    assert_authorized,
    body,
    know,
)
from werkzeug import Request, Response

PROVIDERS = ["attendee", "recall"]


@pytest.fixture
def server(place: Place, httpserver: HTTPServer) -> HTTPServer:
    """Both providers, for whom the place has keys."""
    know(place, httpserver)
    return httpserver


def takes(server: HTTPServer, provider: str) -> None:
    """The provider creates a bot."""
    server.expect_request(BOTS[provider], "POST").respond_with_json(CREATED[provider], 201)


async def create(place: Place, provider: str, *options: str | float) -> Ended:
    """Send a bot that can reach us."""
    return await place.run("bot", "create", MEETING, "--provider", provider, "--url", PUBLIC, *options)


def assert_clear(ended: Ended, status: int, *words: str) -> None:
    """One line of what happened, at most one of what to type, and no key."""
    lines = ended.err.splitlines()
    assert ended.status == status, ended.err
    assert ended.out == b""
    assert 1 <= len(lines) <= 2
    assert lines[0].startswith("audiotap: ")
    assert [word for word in words if word not in ended.err] == []
    assert len(lines[0]) < 450
    assert not any(key in ended.err for key in KEYS.values())
    assert "\x1b" not in ended.err


# What is asked


async def test_an_attendee_bot(place: Place, server: HTTPServer) -> None:
    """The mix and the participants on one url, at one rate; stdout has the id and nothing else."""
    takes(server, "attendee")
    ended = await create(place, "attendee", "--name", "Recorder")

    assert (ended.status, ended.out) == (0, f"{ATTENDEE_BOT}\n".encode())
    assert f"audiotap bot leave {ATTENDEE_BOT}" in ended.err
    assert asked(server) == [("POST", "/api/v1/bots")]
    assert_authorized(server, "attendee")
    assert body(server) == {
        "meeting_url": MEETING,
        "bot_name": "Recorder",
        "websocket_settings": {
            "audio": {"url": PUBLIC, "sample_rate": 16000},
            "per_participant_audio": {"url": PUBLIC, "sample_rate": 16000},
        },
    }


async def test_a_recall_bot(place: Place, server: HTTPServer) -> None:
    """Artifacts are configured and subscribed, and a silent MP3 makes it a bot that can be spoken to."""
    takes(server, "recall")
    ended = await create(place, "recall")

    assert (ended.status, ended.out) == (0, f"{RECALL_BOT}\n".encode())
    assert asked(server) == [("POST", "/api/v1/bot/")]
    assert_authorized(server, "recall")
    sent = body(server)
    mp3 = sent.pop("automatic_audio_output")["in_call_recording"]["data"]
    assert mp3["kind"] == "mp3"
    heard, _ = soundfile.read(BytesIO(base64.b64decode(mp3["b64_data"], validate=True)))
    assert np.abs(heard).max() < 1e-4
    assert sent == {
        "meeting_url": MEETING,
        "bot_name": "audiotap",
        "recording_config": {
            "audio_mixed_raw": {},
            "audio_separate_raw": {},
            "realtime_endpoints": [
                {
                    "type": "websocket",
                    "url": PUBLIC,
                    "events": [
                        "audio_mixed_raw.data",
                        "audio_separate_raw.data",
                        "participant_events.join",
                        "participant_events.leave",
                    ],
                }
            ],
        },
    }


@pytest.mark.parametrize(
    ("options", "settings"),
    [
        (["--mixed", "--rate", "24000"], {"audio": {"url": PUBLIC, "sample_rate": 24000}}),
        (["--separate", "--rate", "8000"], {"per_participant_audio": {"url": PUBLIC, "sample_rate": 8000}}),
        (
            ["--mixed", "--separate"],
            {name: {"url": PUBLIC, "sample_rate": 16000} for name in ("audio", "per_participant_audio")},
        ),
        (["--mixed", "--threshold", "500"], {"audio": {"url": PUBLIC, "sample_rate": 16000, "threshold": 500}}),
    ],
)
async def test_one_kind_of_stream(place: Place, server: HTTPServer, options: list[str], settings: Any) -> None:
    """Only what was wished for is subscribed, at its rate, and the forks' threshold with it."""
    takes(server, "attendee")
    ended = await create(place, "attendee", *options, "--json")

    assert body(server)["websocket_settings"] == settings
    assert ended.json == {
        "provider": "attendee",
        "id": ATTENDEE_BOT,
        "state": "joining",
        "mixed": "audio" in settings,
        "separate": "per_participant_audio" in settings,
        "rate": next(iter(settings.values()))["sample_rate"],
    }


@pytest.mark.parametrize(
    ("provider", "bot", "path"),
    [
        ("", ATTENDEE_BOT, f"/api/v1/bots/{ATTENDEE_BOT}/leave"),
        ("", RECALL_BOT, f"/api/v1/bot/{RECALL_BOT}/leave_call/"),
        ("recall", "bot-1", "/api/v1/bot/bot-1/leave_call/"),
    ],
)
async def test_a_bot_leaves(place: Place, server: HTTPServer, provider: str, bot: str, path: str) -> None:
    """Whose it is tells its id."""
    server.expect_request(path, "POST").respond_with_json({"id": bot, "state": "leaving"})
    options = ["--provider", provider] if provider else []
    ended = await place.run("bot", "leave", bot, "--json", *options)

    assert ended.status == 0, ended.err
    assert ended.json["leaving"]
    assert [request.environ["REQUEST_URI"] for request, _ in server.log] == [path]


async def test_an_id_that_is_nobodys(place: Place, server: HTTPServer) -> None:
    """Nobody is asked; --provider says whose it is, and what would be another path is refused."""
    assert_clear(await place.run("bot", "leave", "17"), 2, "--provider")
    assert_clear(await place.run("bot", "leave", "..", "--provider", "recall"), 2, "no bot's id")
    assert asked(server) == []


async def test_the_key_under_its_other_name(place: Place, server: HTTPServer) -> None:
    """Recall's own pages call the variable RECALLAI_API_KEY."""
    place.environment["RECALLAI_API_KEY"] = place.environment.pop("RECALL_API_KEY")
    takes(server, "recall")
    assert (await create(place, "recall")).status == 0
    assert_authorized(server, "recall")


async def test_an_address_on_the_command_line(place: Place, server: HTTPServer) -> None:
    """--api wins over the environment, and may have a path."""
    place.environment["ATTENDEE_API_URL"] = "http://192.0.2.1"
    server.expect_request("/mine/api/v1/bots").respond_with_json(CREATED["attendee"], 201)
    assert (await create(place, "attendee", "--api", server.url_for("/mine/"))).status == 0


# What is refused before anybody is asked


@pytest.mark.parametrize(
    ("provider", "options", "words"),
    [
        ("attendee", ["--rate", "24000"], ["24000", "--mixed"]),
        ("attendee", ["--rate", "44100", "--mixed"], ["8000, 16000, 24000"]),
        ("recall", ["--rate", "8000"], ["16000 Hz only"]),
        ("recall", ["--threshold", "500"], ["--threshold"]),
        ("attendee", ["--url", "ws://tunnel.example/"], ["wss://", "cloudflared"]),
        ("attendee", ["--url", "https://tunnel.example/"], ["no websocket URL"]),
        ("recall", ["--url", "wss://localhost:9000/"], ["this machine", "--port 9000 --tunnel cloudflared"]),
        ("recall", ["--url", "wss://myhost:8765/"], ["your own network", "--public-url wss://YOUR-NAME:PORT/"]),
        ("attendee", ["--url", "wss://0.0.0.0:8765/"], ["no address to dial", "--public-url"]),
        ("attendee", ["--url", "wss://127.0.0.1/x", "--api", "https://app.attendee.dev"], ["this machine"]),
        ("attendee", ["--url", "wss://127.0.0.1/x", "--api", "https://attendee.example.org"], ["this machine"]),
        ("attendee", ["--api", "attendee.example"], ["https://HOST"]),
        ("attendee", ["--name", "\udcff"], ["--name", "UTF-8"]),
    ],
)
async def test_what_cannot_work(
    place: Place, server: HTTPServer, provider: str, options: list[str], words: list[str]
) -> None:
    """Status 2, why, and what to type; the provider is not troubled with it."""
    assert_clear(await create(place, provider, *options), 2, *words)
    assert asked(server) == []


@pytest.mark.parametrize("provider", PROVIDERS)
@pytest.mark.parametrize("key", ["", " ", "Token abc", "schlüssel"])
async def test_a_key_that_is_none(place: Place, server: HTTPServer, provider: str, key: str) -> None:
    """The variable is named, its value is not."""
    place.environment[f"{provider.upper()}_API_KEY"] = key
    ended = await create(place, provider)
    assert_clear(ended, 2, f"{provider.upper()}_API_KEY")
    assert not key.strip() or key not in ended.err
    assert asked(server) == []


async def test_no_meeting(place: Place, server: HTTPServer) -> None:
    """A meeting is a link."""
    ended = await place.run("bot", "create", "abc-defg-hij", "--provider", "recall", "--url", PUBLIC)
    assert_clear(ended, 2, "link")
    assert asked(server) == []


# What providers say


@pytest.mark.parametrize("provider", PROVIDERS)
@pytest.mark.parametrize(
    ("code", "said", "status", "words"),
    [
        (400, {"meeting_url": ["Enter a valid URL."]}, 5, ["meeting_url: Enter a valid URL."]),
        (400, {"error": "Organization has run out of credits."}, 5, ["run out of credits"]),
        (401, {"detail": "Invalid or disabled API key"}, 5, ["Invalid or disabled", "_API_KEY"]),
        (402, {"detail": "Insufficient credit balance"}, 5, ["Insufficient credit", "top up"]),
        (403, None, 5, ["403 Forbidden"]),
        (404, {"error": "Bot not found"}, 4, ["Bot not found", "region"]),
        (409, {"code": "conflict"}, 5, ["code: conflict", "try again"]),
        (429, {"detail": "Request was throttled."}, 1, ["throttled", "try again"]),
        (500, None, 1, ["500 Internal Server Error", "try again"]),
        (503, None, 1, ["503 Service Unavailable", "try again"]),
        (507, {"code": "adhoc_pool_depleted"}, 1, ["507 Insufficient Storage", "30 s"]),
        (599, None, 1, ["answered 599"]),
        (301, None, 1, ["301 Moved Permanently"]),
    ],
)
async def test_a_no(
    place: Place, server: HTTPServer, provider: str, code: int, said: Any, status: int, words: list[str]
) -> None:
    """One line with the provider's own words, what to do about it, and the status of its kind."""
    handler = server.expect_request(BOTS[provider], "POST")
    if said is None:
        handler.respond_with_data("<html><h1>sorry</h1></html>", code, content_type="text/html")
    else:
        handler.respond_with_json(said, code)
    ended = await create(place, provider)
    assert_clear(ended, status, provider.capitalize(), *words)
    assert "html" not in ended.err
    assert len(asked(server)) == 1


@pytest.mark.parametrize("provider", PROVIDERS)
async def test_a_server_that_repeats_the_key(place: Place, server: HTTPServer, provider: str) -> None:
    """Its words are shown without it, on one line, without escapes, and not for ever."""
    key = KEYS[provider]
    said = f"\x1b[31mno such\nkey: {key}\r\n" + "x" * 10_000
    server.expect_request(BOTS[provider]).respond_with_json({"error": said, key: [key]}, 401)
    assert_clear(await create(place, provider), 5, "no such key: [key]")


async def test_a_provider_that_asks_to_wait(place: Place, server: HTTPServer) -> None:
    """It is waited for, aloud, and asked again."""
    server.expect_ordered_request(BOTS["recall"]).respond_with_json({}, 507, {"Retry-After": "0"})
    server.expect_ordered_request(BOTS["recall"]).respond_with_json(CREATED["recall"], 201)
    ended = await create(place, "recall")

    assert (ended.status, ended.out) == (0, f"{RECALL_BOT}\n".encode())
    assert "asks to wait" in ended.err
    assert body(server, 0) == body(server, 1)


async def test_a_provider_that_asks_to_wait_for_long(place: Place, server: HTTPServer) -> None:
    """Longer than --timeout is not waited; the user is told when to try again."""
    server.expect_request(BOTS["recall"]).respond_with_json({}, 507, {"Retry-After": "90"})
    assert_clear(await create(place, "recall"), 1, "507", "try again in 90 s")
    assert len(asked(server)) == 1


@pytest.mark.parametrize("answer", ["<html>welcome</html>", "[]", '{"id": 5}', "{", ""])
async def test_a_server_that_is_something_else(place: Place, server: HTTPServer, answer: str) -> None:
    """A page where an answer should be: the address is doubted."""
    server.expect_request(BOTS["attendee"]).respond_with_data(answer, 200)
    assert_clear(await create(place, "attendee"), 1, "Attendee", "address")


async def test_the_key_goes_nowhere_else(place: Place, server: HTTPServer) -> None:
    """A redirect is not followed, and told of."""
    server.expect_request(BOTS["attendee"]).respond_with_data("", 307, {"Location": server.url_for("/elsewhere")})
    assert_clear(await create(place, "attendee"), 1, "307", f"it points to {server.host}:{server.port}", "--api")
    assert asked(server) == [("POST", "/api/v1/bots")]


async def test_a_slow_provider(place: Place, server: HTTPServer) -> None:
    """After --timeout it is given up, and said that the bot may come all the same."""
    answered = threading.Event()
    server.expect_request(BOTS["attendee"]).respond_with_handler(lambda _: _after(answered))
    ended = await create(place, "attendee", "--timeout", 0.5)
    answered.set()
    assert_clear(ended, 4, "did not answer within 0.5 s", "all the same")


async def test_an_interruption(place: Place, server: HTTPServer) -> None:
    """Ctrl-C ends it at once, with status 130 and the same caution."""
    begun, answered = threading.Event(), threading.Event()

    def hang(_: Request) -> Response:
        begun.set()
        return _after(answered)

    server.expect_request(BOTS["attendee"]).respond_with_handler(hang)
    creating = await place.start("bot", "create", MEETING, "--provider", "attendee", "--url", PUBLIC)
    assert await asyncio.to_thread(begun.wait, DEADLINE)
    ended = await creating.stop(signal.SIGINT)
    answered.set()
    assert_clear(ended, 130, "interrupted", "all the same")


def _after(event: threading.Event) -> Response:
    event.wait(DEADLINE)
    return Response(status=500)


async def test_nobody_there(place: Place, server: HTTPServer) -> None:
    """A closed port is a line, not a trace."""
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        address = f"http://127.0.0.1:{closed.getsockname()[1]}"
        assert_clear(await create(place, "recall", "--api", address), 4, "cannot reach Recall", address)
    assert asked(server) == []


async def test_a_server_that_hangs_up(place: Place) -> None:
    """In the middle of the answer."""

    async def hang_up(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 201 Created\r\nContent-Length: 100\r\n\r\n{")
        writer.close()

    place.environment["ATTENDEE_API_KEY"] = KEYS["attendee"]
    hanging = await asyncio.start_server(hang_up, "127.0.0.1", 0)
    async with hanging:
        port = hanging.sockets[0].getsockname()[1]
        ended = await create(place, "attendee", "--api", f"http://127.0.0.1:{port}")
    assert_clear(ended, 4, "cannot reach Attendee")


# The listener's URL


async def test_the_url_of_the_listener(place: Place) -> None:
    """`audiotap url` prints where bots dial, which is not good enough for bots elsewhere."""
    assert_clear(await place.run("url"), 4, "audiotap listen")
    listener = await place.listen()
    ended = await place.run("url")
    assert (ended.status, ended.out, ended.err) == (0, f"{listener.url}\n".encode(), "")
    assert_clear(await place.run("url", "--rate", 99), 2, "--for attendee")
    for provider in PROVIDERS:
        refused = await place.run("url", "--for", provider)
        assert_clear(refused, 2, listener.url, f"audiotap listen --port {listener.port} --tunnel cloudflared")


async def test_a_bot_for_the_listener(place: Place, server: HTTPServer) -> None:
    """Without --url it is the listener's, which a provider elsewhere cannot dial; without a listener, nobody's."""
    alone = await place.run("bot", "create", MEETING, "--provider", "recall")
    assert_clear(alone, 4, "audiotap listen")
    listener = await place.listen()
    assert_clear(await place.run("bot", "create", MEETING, "--provider", "recall"), 2, listener.url)
    assert asked(server) == []


async def test_the_public_url_of_the_listener(place: Place) -> None:
    """`audiotap url` prints it with the secret, also inside what is pasted; neither status nor events have that."""
    listener = await place.listen("--public-url", f"{PUBLIC}audio")
    ended = await place.run("url")
    assert re.fullmatch(rf"{PUBLIC}audio/[\w-]{{43}}\n", ended.out.decode())
    for provider in PROVIDERS:
        pasted = await place.run("url", "--for", provider)
        assert f'"url": "{ended.out.decode().strip()}"' in pasted.out.decode()
    without = await place.run("url", "--url", PUBLIC)
    assert (without.status, without.out) == (0, f"{PUBLIC}\n".encode())
    assert without.err.startswith(f"warning: no bot is let in at {PUBLIC} without the secret")
    (status,) = (await place.run("status", "--json")).json
    assert status["url"] == listener.url
    assert ended.out.decode().strip() not in str(status)


@pytest.mark.parametrize("provider", PROVIDERS)
async def test_a_bot_for_the_public_listener(place: Place, server: HTTPServer, provider: str) -> None:
    """Without --url the bot gets the listener's address with its secret, which nothing that is printed repeats."""
    takes(server, provider)
    await place.listen("--public-url", PUBLIC)
    url = (await place.run("url")).out.decode().strip()
    ended = await place.run("bot", "create", MEETING, "--provider", provider)

    assert ended.status == 0
    assert f"'{url}'" in str(body(server))
    assert url.rpartition("/")[2] not in ended.out.decode() + ended.err


@pytest.mark.parametrize("provider", PROVIDERS)
async def test_a_provider_that_repeats_the_address(place: Place, server: HTTPServer, provider: str) -> None:
    """Its words are shown without the secret."""
    await place.listen("--public-url", PUBLIC)
    url = (await place.run("url")).out.decode().strip()
    server.expect_request(BOTS[provider]).respond_with_json({"error": f"{url} is odd"}, 400)
    ended = await place.run("bot", "create", MEETING, "--provider", provider)
    assert_clear(ended, 5, "tunnel.example/[path] is odd")
    assert url not in ended.err


@pytest.mark.parametrize("provider", PROVIDERS)
async def test_what_is_pasted_is_what_is_sent(place: Place, server: HTTPServer, provider: str) -> None:
    """`audiotap url --for` prints the part of the request that `bot create` makes of the same options."""
    takes(server, provider)
    await create(place, provider, "--mixed")
    pasted = await place.run("url", "--for", provider, "--public-url", PUBLIC, "--mixed")
    assert pasted.status == 0
    assert pasted.json.items() <= body(server).items()
    assert pasted.out.count(b"\n") > 5
