"""What control clients make of listeners that are busy, ending, or none."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from audiotap.errors import AudiotapError, NobodyError
from audiotap.events import SessionStatus, Status, TrackStatus
from audiotap.net.control.remote import Target, answers, attached
from audiotap.net.control.sockets import Talk, control_server, say
from audiotap.net.peer import MAX_MESSAGE

SOON = 0.2


@asynccontextmanager
async def standing(folder: Path, port: int, status: Status) -> AsyncIterator[None]:
    """A listener that says how it stands."""

    async def answer(connection: Talk) -> None:
        async for _ in connection:
            await say(connection, status)

    async with control_server(folder / f"{port}-1.sock", answer):
        yield


@contextmanager
def hanging(folder: Path, port: int) -> Iterator[None]:
    """The socket of a process that was halted: connections wait there, and nobody takes them."""
    with socket.socket(socket.AF_UNIX) as sock:
        sock.bind(str(folder / f"{port}-2.sock"))
        sock.listen()
        yield


@asynccontextmanager
async def hanging_up(folder: Path, port: int) -> AsyncIterator[None]:
    """Something that hangs up on everybody."""
    server = await asyncio.start_unix_server(lambda _, writer: writer.close(), folder / f"{port}-3.sock")
    async with server:
        yield


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder of one's own, with a path that is short enough for a Unix socket."""
    with TemporaryDirectory(prefix="at-", dir="/tmp") as folder:
        yield Path(folder)


def status(port: int, name: str = "") -> Status:
    tracks = tuple(TrackStatus(str(n), name, 1.0, 16000) for n in range(3000 if name else 0))
    return Status(f"ws://127.0.0.1:{port}", (SessionStatus("recall", "rec", None, 1, 1.0, 0.0, True, tracks),))


async def test_a_status_of_megabytes(folder: Path) -> None:
    """Thousands of tracks with names as long as they may be are more than a bot may say at once, and arrive."""
    told = status(1, "x" * 8000)
    assert sum(len(track.name or "") for track in told.sessions[0].tracks) > MAX_MESSAGE
    async with standing(folder, 1, told):
        assert [one for _, one in (await answers(folder, None)).running] == [told]


async def test_who_does_not_answer_hides_nobody(folder: Path) -> None:
    """The others are told of, and of the one that hangs it is said what to look at; who hangs up is nobody."""
    with hanging(folder, 1):
        async with hanging_up(folder, 2), standing(folder, 3, status(3)):
            running, troubles = await answers(folder, None, SOON)
            nobody = await answers(folder, 2, SOON)
    assert [one.port for one, _ in running] == [3]
    assert [error.message for error in troubles] == ["the listener on port 1 does not answer"]
    assert "ps -p 2" in troubles[0].hint
    assert nobody == ([], [])


async def test_one_that_hangs_is_not_called_gone(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who wants it by itself hears that it does not answer, and not that it is to be started."""
    monkeypatch.setattr("audiotap.net.control.remote.answers.__defaults__", (SOON,))
    with hanging(folder, 1), pytest.raises(NobodyError, match="on port 1 does not answer"):
        async with attached(Target(folder)):
            pass


async def test_an_answer_of_another_version(folder: Path) -> None:
    """It is told as what it is, and is no traceback."""

    async def answer(connection: Talk) -> None:
        async for _ in connection:
            await connection.send('{"type":"of tomorrow"}')

    async with control_server(folder / "1-1.sock", answer), standing(folder, 3, status(3)):
        running, (trouble,) = await answers(folder, None)
    assert [one.port for one, _ in running] == [3]
    assert isinstance(trouble, AudiotapError)
    assert "version" in trouble.hint
