"""Control on a system without Unix sockets: the same commands, over a port that only who has its token can use."""

from __future__ import annotations

import asyncio
import json
import os
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from http import HTTPStatus
from pathlib import Path

import numpy as np
import pytest
from tests.scenarios.harness import HELLO, RATE, ROOT, Listener, Place, assert_same, ramp, read, sounding, write
from tests.scenarios.test_speak import begins, heard, meeting, spoken
from websockets.asyncio.client import connect
from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import InvalidStatus

WITHOUT_UNIX = Path(__file__).with_name("without_unix")
ASK = '{"type":"ask"}'


@pytest.fixture
def place(place: Place) -> Place:
    """A place where no process has Unix sockets."""
    place.environment["PYTHONPATH"] = f"{WITHOUT_UNIX}{os.pathsep}{ROOT}"
    return place


def files(place: Place) -> list[Path]:
    """What stands in the place of control sockets."""
    return list(Path(place.environment["AUDIOTAP_RUNTIME_DIR"]).rglob("*.sock"))


async def urls(place: Place) -> list[str]:
    """Where the listeners are that `status` knows of."""
    ended = await place.run("status", "--json")
    assert ended.out, ended.err
    return [one["url"] for one in ended.json]


async def test_everything_that_control_is_for(place: Place) -> None:
    """Status, speech, a pause in it, its stop, and the address: nobody sees that it is another way."""
    listener, bot = await meeting(place)
    sound = ramp(3)
    speaker = await place.start("speak", write(place.folder / "speech.wav", sound))
    await begins(listener)
    paused = await place.run("pause", 1000, "--json")
    ended = await speaker.ended()
    stopped = await place.run("stop", "--json")
    status = await place.run("status", "--json")
    assert (await place.run("url")).out.decode().startswith(listener.url)
    _, played = await heard(bot)

    assert (paused.status, paused.json["told"]) == (0, True)
    assert (ended.status, stopped.status) == (0, 0)
    assert [(one["url"], one["sessions"][0]["session"]) for one in status.json] == [(listener.url, "bot_1")]
    assert_same(played, sound)
    assert_same(await spoken(listener), sound)
    assert files(place) == []


async def test_hours_of_speech_are_held_back(place: Place) -> None:
    """What is not due yet stays at the speaker, and its end takes what waits with it."""
    listener, bot = await meeting(place)
    speech = write(place.folder / "speech.wav", np.resize(read(HELLO), 3600 * RATE))
    speaker = await place.start("speak", speech)
    await begins(listener)
    assert (await speaker.stop()).status == 130
    assert (await place.run("speak", HELLO)).status == 0
    _, played = await heard(bot)
    assert len(sounding(read(HELLO))) < len(played) < 60 * RATE


async def lock(place: Place) -> tuple[int, str]:
    """The port and the token of the only listener, from its file, which is its user's alone."""
    (file,) = files(place)
    assert file.stat().st_mode & 0o177 == 0
    told = json.loads(file.read_bytes())
    return told["port"], told["token"]


async def test_nobody_is_heard_without_the_token(place: Place) -> None:
    """Without one, with a wrong one, with part of it, or with two: refused, and not a word is answered."""
    await place.listen()
    port, token = await lock(place)
    for tokens in ([], [token[::-1]], [token[:-1]], [""], ["\xff"], [token, token]):
        with pytest.raises(InvalidStatus) as refused:
            await connect(f"ws://127.0.0.1:{port}/", additional_headers=[("Audiotap-Token", one) for one in tokens])
        assert refused.value.response.status_code == HTTPStatus.FORBIDDEN
    async with connect(f"ws://127.0.0.1:{port}/", additional_headers={"Audiotap-Token": token}) as client:
        await client.send(ASK)
        assert json.loads(await client.recv())["type"] == "status"


async def test_the_file_of_a_dead_listener(place: Place) -> None:
    """It disturbs nobody, and is removed."""
    killed, living = await place.listen(), await place.listen()
    await killed.stop(signal.SIGKILL)
    assert len(files(place)) == 2
    assert await urls(place) == [living.url]
    assert len(files(place)) == 1


@asynccontextmanager
async def squatting(place: Place, listener: Listener) -> AsyncIterator[list[str]]:
    """Somebody has the control port of a listener that was killed, and takes every token; what they are told."""
    port, _ = await lock(place)
    await listener.stop(signal.SIGKILL)
    told: list[str] = []

    async def note(client: ServerConnection) -> None:
        told.extend([str(wire) async for wire in client])

    async with serve(note, "127.0.0.1", port, reuse_address=True):
        yield told


async def test_who_has_the_port_of_a_dead_listener_is_told_nothing(place: Place) -> None:
    """A program that cannot prove to have the token is no listener, whatever it answers."""
    async with squatting(place, await place.listen()) as told:
        ended = await place.run("speak", HELLO)
        assert ended.status == 4
        assert "no listener is running here" in ended.err
    assert told == []
    assert files(place) == []


async def test_a_port_that_speaks_something_else(place: Place) -> None:
    """No listener either, and its file goes."""
    listener = await place.listen()
    port, _ = await lock(place)
    await listener.stop(signal.SIGKILL)

    async def hang_up(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"220 mail.example\r\n")
        writer.close()

    async with await asyncio.start_server(hang_up, "127.0.0.1", port, reuse_address=True):
        assert await urls(place) == []
    assert files(place) == []


async def test_a_file_that_is_torn(place: Place) -> None:
    """What names no port is nobody's."""
    await (await place.listen()).stop(signal.SIGKILL)
    (file,) = files(place)
    file.write_bytes(b'{"port":')
    assert await urls(place) == []
    assert files(place) == []
