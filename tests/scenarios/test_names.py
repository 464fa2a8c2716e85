"""Names of Attendee's participants: asked for over REST, they are in file names and manifests."""

from __future__ import annotations

import asyncio
import json
import threading
from typing import Any

import pytest
from pytest_httpserver import HTTPServer
from tests.scenarios.harness import DEADLINE, Ended, Listener, Place, Recording, attendee, ramp, recall
from tests.scenarios.providers import ATTENDEE_KEY, asked, assert_authorized, know
from tests.scenarios.test_workers import id_of
from websockets.asyncio.client import ClientConnection, connect
from werkzeug import Request, Response

PARTICIPANTS = "/api/v1/bots/bot_1/participants"


@pytest.fixture
def server(place: Place, httpserver: HTTPServer) -> HTTPServer:
    """Attendee, for whom the place has a key."""
    know(place, httpserver)
    return httpserver


def someone(uuid: str, name: str | None) -> dict[str, Any]:
    """A participant as the page `/participants` has them."""
    return {"id": f"par_{uuid}", "name": name, "uuid": uuid, "user_uuid": None, "is_host": False}


def page(*participants: dict[str, Any], after: str | None = None) -> dict[str, Any]:
    """A part of the list; behind a proxy, the link to the next part has another host."""
    link = after and f"http://inside.invalid{PARTICIPANTS}?cursor={after}"
    return {"next": link, "previous": None, "results": list(participants)}


class Asked:
    """How a scenario waits for the listener's questions."""

    def __init__(self, server: HTTPServer, *answers: Response) -> None:
        self._answers = list(answers)
        self._times = threading.Semaphore(0)
        server.expect_request(PARTICIPANTS, "GET").respond_with_handler(self._answer)

    async def once_more(self) -> None:
        assert await asyncio.to_thread(self._times.acquire, timeout=DEADLINE)

    def _answer(self, _: Request) -> Response:
        self._times.release()
        return self._answers.pop(0) if len(self._answers) > 1 else self._answers[0]


def answer(body: Any, code: int = 200) -> Response:
    return Response(json.dumps(body), code, content_type="application/json")


async def says(bot: ClientConnection, listener: Listener, who: str, end: float) -> None:
    """Somebody says something, and their track is there."""
    await bot.send(attendee(ramp(0.1), end, who))
    await listener.event("track.started", track=who or "mixed")


async def named(place: Place, track: str, name: str) -> None:
    """Wait until the listener knows a name."""
    async with asyncio.timeout(DEADLINE):
        while name not in await names(place, track):
            pass


async def names(place: Place, track: str) -> list[str]:
    sessions = (await place.run("status", "--json")).json[0]["sessions"]
    return [one["name"] for session in sessions for one in session["tracks"] if one["track"] == track]


async def end(listener: Listener) -> tuple[Recording, Ended]:
    ended = await listener.stop()
    assert ATTENDEE_KEY not in ended.err + ended.out.decode()
    return await listener.finished("bot_1"), ended


async def test_names_are_in_files_and_manifest(place: Place, server: HTTPServer) -> None:
    """Who is known before they speak has a file of their name; who is not, has it in the manifest.

    A list of two pages is read to its end, and the key does not follow the link to another host.
    """
    server.expect_request(PARTICIPANTS, query_string={"cursor": "two"}).respond_with_json(page(someone("bo", "Bo")))
    server.expect_request(PARTICIPANTS, query_string="").respond_with_json(page(someone("ana", "Ana"), after="two"))
    listener = await place.listen()
    async with connect(listener.url) as bot:
        await bot.send(attendee(ramp(0.1), 0.1, "ana"))
        await listener.event("track.started", track="ana")
        await named(place, "ana", "Ana")
        await says(bot, listener, "bo", 0.2)
    recording, ended = await end(listener)

    assert ended.status == 0
    assert_authorized(server, "attendee")
    assert recording.entry("bo")["file"] == "bo_Bo.wav"
    assert [recording.entry(who)["names"] for who in ("ana", "bo")] == [["Ana"], ["Bo"]]
    assert {event["track"]: event["name"] for event in listener.told("track.finished")} == {"ana": "Ana", "bo": "Bo"}


@pytest.mark.filterwarnings("ignore:.*multi-threaded, use of fork:DeprecationWarning")
async def test_names_with_workers(place: Place, server: HTTPServer) -> None:
    """Each worker asks about the bots that it records, and the key that all were given is seen nowhere."""
    ids = [id_of(0), id_of(1)]
    for number, bot in enumerate(ids):
        participants = page(someone("ana", f"Ana {number}"))
        server.expect_request(f"/api/v1/bots/{bot}/participants", "GET").respond_with_json(participants)
    listener = await place.listen("--workers", 2)
    async with connect(listener.url) as one, connect(listener.url) as other:
        for number, connection in enumerate((one, other)):
            await connection.send(attendee(ramp(0.1), 0.1, "ana", bot=ids[number]))
            await named(place, "ana", f"Ana {number}")
    ended = await listener.stop()

    assert ended.status == 0
    assert ATTENDEE_KEY not in ended.err + ended.out.decode()
    assert_authorized(server, "attendee")
    for number, bot in enumerate(ids):
        assert (await listener.finished(bot)).entry("ana")["names"] == [f"Ana {number}"]


async def test_a_name_that_comes_late(place: Place, server: HTTPServer) -> None:
    """It is asked for until it is there; the file keeps its name, and the manifest has it."""
    asked = Asked(server, answer(page()), answer(page(someone("ana", None))), answer(page(someone("ana", "Ana"))))
    listener = await place.listen()
    async with connect(listener.url) as bot:
        await bot.send(attendee(ramp(0.1), 0.1))
        await asked.once_more()
        await says(bot, listener, "ana", 0.2)
        await asked.once_more()
        await asked.once_more()
        await named(place, "ana", "Ana")
    recording, _ = await end(listener)
    assert recording.entry("ana")["file"] == "ana.wav"
    assert recording.entry("ana")["names"] == ["Ana"]


async def test_somebody_called_as_a_track_of_ours(place: Place, server: HTTPServer) -> None:
    """A participant whose id is `mixed` gets the name, and the mix does not."""
    Asked(server, answer(page(someone("mixed", "Mallory"))))
    listener = await place.listen()
    async with connect(listener.url) as bot:
        await says(bot, listener, "", 0.1)
        await bot.send(attendee(ramp(0.1), 0.1, "mixed"))
        await named(place, "=mixed", "Mallory")
    recording, _ = await end(listener)
    assert recording.entry("mixed")["names"] == []
    assert recording.entry("=mixed")["names"] == ["Mallory"]


async def test_trouble_is_told_once_and_overcome(place: Place, server: HTTPServer) -> None:
    """Errors and nonsense cost a warning and time, and no audio."""
    asked = Asked(server, answer({}, 500), Response("<html>", 200), answer(page(someone("ana", "Ana"))))
    listener = await place.listen()
    async with connect(listener.url) as bot:
        await says(bot, listener, "ana", 0.1)
        for _ in range(3):
            await asked.once_more()
        await named(place, "ana", "Ana")
    recording, ended = await end(listener)
    assert ended.status == 0
    assert recording.samples("ana").tolist() == ramp(0.1).tolist()
    assert len([warning for warning in listener.warnings() if "no names yet" in warning]) == 1


async def test_a_key_that_is_refused(place: Place, server: HTTPServer) -> None:
    """It is told once, Attendee is left alone for good, and the recording goes on."""
    Asked(server, answer({"detail": f"no such key: {ATTENDEE_KEY}"}, 401))
    listener = await place.listen()
    async with connect(listener.url) as bot:
        await says(bot, listener, "ana", 0.1)
        warning = await listener.event("warning")
        await says(bot, listener, "bo", 0.2)
    recording, ended = await end(listener)
    assert ended.status == 0
    assert "without names" in warning["message"]
    assert "ATTENDEE_API_KEY" in warning["message"]
    assert len(asked(server)) == len(listener.warnings()) == 1
    assert recording.entry("bo")["file"] == "bo.wav"


async def test_a_bot_of_somebody_else(place: Place, server: HTTPServer) -> None:
    """One that the key's account does not know is not asked about again, and others are."""
    server.expect_request("/api/v1/bots/bot_0/participants").respond_with_json({"error": "Bot not found"}, 404)
    Asked(server, answer(page(someone("ana", "Ana"))))
    listener = await place.listen()
    async with connect(listener.url) as stranger, connect(listener.url) as bot:
        await stranger.send(attendee(ramp(0.1), 0.1, "eve", bot="bot_0"))
        await listener.event("warning", session="bot_0")
        await stranger.send(attendee(ramp(0.1), 0.2, "mallory", bot="bot_0"))
        await says(bot, listener, "ana", 0.1)
        await named(place, "ana", "Ana")
    await end(listener)
    assert [path for _, path in asked(server)].count("/api/v1/bots/bot_0/participants") == 1


@pytest.mark.parametrize("silent", ["no key", "--no-names", "Recall", "an id that is none"])
async def test_nobody_is_asked(place: Place, server: HTTPServer, silent: str) -> None:
    """Without a key or a wish, for Recall's bots, and for ids that would be another path."""
    if silent == "no key":
        del place.environment["ATTENDEE_API_KEY"]
    listener = await place.listen(*(["--no-names"] if silent == "--no-names" else []))
    async with connect(listener.url) as bot:
        if silent == "Recall":
            await bot.send(recall(ramp(0.1), 0.0, {"id": 7, "name": None}))
        else:
            await bot.send(attendee(ramp(0.1), 0.1, "7", bot="../../x" if silent == "an id that is none" else "bot_1"))
        await listener.event("track.started", track="7")
    await listener.stop()
    assert asked(server) == []
    assert listener.warnings() == []


async def test_a_key_that_is_none(place: Place) -> None:
    """It is said before anything is recorded."""
    place.environment["ATTENDEE_API_KEY"] = "Token abc"
    ended = await place.run("listen", "--port", 0)
    assert ended.status == 2
    assert ended.err.startswith("audiotap: ATTENDEE_API_KEY")


async def test_an_attendee_that_hangs(place: Place, server: HTTPServer) -> None:
    """Audio is recorded and the listener ends while a question is open."""
    begun, answered = threading.Event(), threading.Event()

    def hang(_: Request) -> Response:
        begun.set()
        answered.wait(DEADLINE)
        return Response(status=500)

    server.expect_request(PARTICIPANTS).respond_with_handler(hang)
    listener = await place.listen()
    async with connect(listener.url) as bot:
        await says(bot, listener, "ana", 0.1)
        assert await asyncio.to_thread(begun.wait, DEADLINE)
        await says(bot, listener, "bo", 0.2)
    recording, ended = await end(listener)
    answered.set()
    assert ended.status == 0
    assert "Traceback" not in ended.err
    assert len(recording.manifest["tracks"]) == 2
