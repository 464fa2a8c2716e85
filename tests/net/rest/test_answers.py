"""Servers that answer as no provider does, and machines that cannot ask: one error each, and never much memory."""

from __future__ import annotations

import asyncio
import gzip
import json
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from audiotap.errors import Exit, UsageError
from audiotap.net.rest.attendee import MOST_PAGES, AttendeeRest
from audiotap.net.rest.base import MOST_ANSWERED, Access, Streams
from audiotap.net.rest.recall import RecallRest
from audiotap.net.rest.refusal import RestError

CHUNK = 64 * 1024
STREAMS = Streams("wss://tunnel.example/")


@asynccontextmanager
async def provider(answers: Iterator[bytes]) -> AsyncIterator[Access]:
    """A server that gives each request the next answer, byte by byte as it is, and then hangs up."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(next(answers))
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    async with server:
        yield Access(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}", "key")


def said(body: bytes, *headers: str, code: int = 200) -> bytes:
    """A whole answer."""
    head = [f"HTTP/1.1 {code} OK", f"Content-Length: {len(body)}", "Connection: close", *headers]
    return "\r\n".join([*head, "", ""]).encode() + body


def page(cursor: str, *participants: object) -> bytes:
    """A part of the list of participants, and the link to the next one."""
    link = f"http://x/?cursor={cursor}" if cursor else None
    return said(json.dumps({"results": participants, "next": link}).encode())


async def test_an_endless_answer_is_not_read_to_its_end() -> None:
    """A chunked answer is given up where no provider's would go on."""
    taken = 0

    async def pour(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal taken
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        try:
            while True:
                writer.write(f"{CHUNK:x}\r\n".encode() + bytes(CHUNK) + b"\r\n")
                await writer.drain()
                taken += CHUNK
        except ConnectionError:
            writer.close()

    server = await asyncio.start_server(pour, "127.0.0.1", 0)
    async with server:
        access = Access(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}", "key")
        async with AttendeeRest(access) as attendee:
            with pytest.raises(RestError, match="answered more than"):
                await attendee.participants("bot_1")
    assert taken < 64 * MOST_ANSWERED


async def test_a_bomb_does_not_go_off() -> None:
    """What was not asked to be compressed, and is, counts as what it would become."""
    bomb = said(gzip.compress(bytes(16 * MOST_ANSWERED)), "Content-Encoding: gzip")
    async with provider(iter([bomb])) as access, AttendeeRest(access) as attendee:
        with pytest.raises(RestError, match="answered more than"):
            await attendee.participants("bot_1")


@pytest.mark.parametrize(
    ("answers", "names"),
    [
        ([page("", {"uuid": "ana", "name": "Ana"}, {"uuid": 7, "name": "Bo"}, None)], {"ana": "Ana"}),
        ([page("2", {"uuid": "ana", "name": "Ana"}), page("2"), page("2")], {"ana": "Ana"}),
        ([page("2"), page("3"), page("2"), page("3")], {}),
        ([said(b'{"results":[{"uuid":"ana","name":"Ana"}],"next":"http://[bad?cursor=1"}')], {"ana": "Ana"}),
    ],
)
async def test_an_odd_list_of_participants(answers: list[bytes], names: dict[str, str]) -> None:
    """Who can be read is named, and a list that leads in a circle or nowhere ends."""
    async with provider(iter(answers)) as access, AttendeeRest(access) as attendee:
        assert await attendee.participants("bot_1") == names


async def test_a_list_without_an_end() -> None:
    """It is not followed further than meetings are large."""
    asked = 0

    def pages() -> Iterator[bytes]:
        nonlocal asked
        while True:
            asked += 1
            yield page(str(asked), {"uuid": str(asked), "name": "Ana"})

    async with provider(pages()) as access, AttendeeRest(access) as attendee:
        assert len(await attendee.participants("bot_1")) == MOST_PAGES
    assert asked == MOST_PAGES


@pytest.mark.parametrize("answer", [said(b"", code=204), said(b'{"id": ""}'), said(b'{"id": ".."}')])
async def test_a_bot_without_an_id(answer: bytes) -> None:
    """One that was created, as far as anybody knows, is told of as such: there may be a stranger in a meeting."""
    async with provider(iter([answer])) as access, AttendeeRest(access) as attendee:
        with pytest.raises(RestError) as told:
            await attendee.create("https://meet.example/x", "audiotap", STREAMS)
    assert "a bot may be on its way" in told.value.hint
    assert told.value.status is Exit.FAILED


@pytest.mark.parametrize("bot", ["", ".", "..", "a/b", "a?b", "a\n", "x" * 81, "bötchen"])
async def test_an_id_that_would_lead_elsewhere(bot: str) -> None:
    """Ids may come from bots that nobody knows: what is none is no part of a path."""
    for ask in (RecallRest(Access("", "key")).hush, AttendeeRest(Access("", "key")).participants):
        with pytest.raises(UsageError, match="no bot's id"):
            await ask(bot)


def no_pem(folder: Path) -> str:
    file = folder / "no.pem"
    file.write_text("nothing")
    return str(file)


@pytest.mark.parametrize(
    ("variable", "value", "hint"),
    [
        ("ALL_PROXY", "socks5://127.0.0.1:1", "-m pip install socksio"),
        ("ALL_PROXY", "nonsense://127.0.0.1:1", "http://HOST:PORT"),
        ("SSL_CERT_FILE", "/nonexistent", "unset SSL_CERT_FILE"),
        ("SSL_CERT_FILE", no_pem, "unset SSL_CERT_FILE"),
    ],
)
async def test_a_machine_that_cannot_ask(
    variable: str, value: str | Callable[[Path], str], hint: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Proxies and certificates of the environment that are none: a clear line when somebody is asked."""
    monkeypatch.setitem(sys.modules, "socksio", None)
    monkeypatch.setenv(variable, value if isinstance(value, str) else value(tmp_path))
    async with AttendeeRest(Access("https://attendee.example", "key")) as attendee:
        with pytest.raises(RestError, match="cannot reach Attendee") as told:
            await attendee.participants("bot_1")
    assert hint in told.value.hint
    assert told.value.status is Exit.ENVIRONMENT


@pytest.mark.parametrize(
    ("api", "warned"),
    [("http://attendee.example:8000", True), ("https://attendee.example", False), ("http://127.0.0.1:1", False)],
)
async def test_a_key_on_an_open_way(api: str, warned: bool) -> None:
    """Whoever sends a key over the net without TLS is told."""
    told: list[str] = []
    async with AttendeeRest(Access(api, "key"), told.append):
        assert [f"ATTENDEE_API_KEY goes to {api} unencrypted" in line for line in told] == [True] * warned


@pytest.mark.parametrize("seconds", [float("nan"), float("inf"), 0.0, -1.0, 1e300])
def test_a_time_limit_that_is_none(seconds: float) -> None:
    """It is refused before anybody is asked."""
    with pytest.raises(UsageError, match="cannot take"):
        AttendeeRest(Access("", "key", seconds))


def test_a_threshold_without_a_mix() -> None:
    """It would be of nothing, so it is refused."""
    with pytest.raises(UsageError, match="--separate leaves out"):
        AttendeeRest.subscription(Streams("wss://tunnel.example/", mixed=False, threshold=500))
