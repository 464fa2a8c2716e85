"""What a public URL leads to: a listener of ours, somebody else, or nothing that bots could dial."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
import trustme
from websockets.asyncio.server import ServerConnection, serve
from websockets.frames import Opcode
from websockets.http11 import Request, Response

from audiotap.errors import AudiotapError, MachineError, NobodyError
from audiotap.net import probe
from audiotap.net.door.door import WHO
from audiotap.net.peer import bind
from audiotap.net.probe import certificate_days, clock_ahead, reached, round_trip, stand_in


async def free_port() -> int:
    """A port that was free a moment ago."""
    (sock,), _, port = await bind("127.0.0.1", 0)
    sock.close()
    return port


@asynccontextmanager
async def web_server(*answers: bytes) -> AsyncIterator[int]:
    """Something that speaks HTTP only."""
    left = [*answers]

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(65536)
        writer.write(left.pop(0) + b"\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
        writer.close()

    async with await asyncio.start_server(answer, "127.0.0.1", 0) as server:
        yield server.sockets[0].getsockname()[1]


async def test_frame_goes_to_the_listener_that_is_meant() -> None:
    """Another listener answers just as well, but is not the one."""
    port = await free_port()
    async with stand_in(port) as identity:
        assert await round_trip(f"ws://127.0.0.1:{port}/any/path", identity) > 0
        with pytest.raises(NobodyError, match=r"127\.0\.0\.1 leads to another server than this listener"):
            await round_trip(f"ws://127.0.0.1:{port}/", "somebody-else")


async def test_any_other_websocket_server_is_not_us() -> None:
    """It takes the frame and sends it back, and no bot would ever be heard there."""
    async with serve(lambda connection: connection.wait_closed(), "127.0.0.1", 0) as server:
        url = f"ws://127.0.0.1:{server.sockets[0].getsockname()[1]}/"
        with pytest.raises(NobodyError, match="leads to another server"):
            await round_trip(url, "us")


async def test_frame_has_to_come_back(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is not enough that we were let in: something on the way may pass on nothing."""
    monkeypatch.setattr(probe, "ANSWER_SECONDS", 0.2)

    async def deaf(connection: ServerConnection) -> None:
        send = connection.protocol.send_frame
        monkeypatch.setattr(connection.protocol, "send_frame", lambda one: one.opcode is Opcode.PONG or send(one))
        await connection.wait_closed()

    def named(_: ServerConnection, _request: Request, response: Response) -> None:
        response.headers[WHO] = "us"

    async with serve(deaf, "127.0.0.1", 0, process_response=named) as server:
        with pytest.raises(NobodyError, match=r"gave no answer within 0\.2 s"):
            await round_trip(f"ws://127.0.0.1:{server.sockets[0].getsockname()[1]}/", "us")


async def test_redirect_is_not_followed() -> None:
    """Bots follow none, so it does not help that it leads to us."""
    port = await free_port()
    async with stand_in(port) as identity:
        moved = f"HTTP/1.1 302 Found\r\nLocation: ws://127.0.0.1:{port}/".encode()
        async with web_server(moved) as elsewhere:
            with pytest.raises(NobodyError, match="answers 302 Found") as caught:
                await round_trip(f"ws://127.0.0.1:{elsewhere}/", identity)
    assert "bots follow no redirects" in caught.value.hint


async def test_new_address_is_tried_until_it_is_known(monkeypatch: pytest.MonkeyPatch) -> None:
    """The way is there at the third try, as with names that are new; without patience the first trouble is told."""
    tries: list[str] = []

    async def at_last(url: str, _: str) -> float:
        tries.append(url)
        if len(tries) < 3:
            raise NobodyError("not yet")
        return 0.01

    monkeypatch.setattr(probe, "round_trip", at_last)
    monkeypatch.setattr(probe, "AGAIN_SECONDS", 0.0)
    trouble = await reached("wss://new.example/", "us", 0.0)
    assert isinstance(trouble, AudiotapError)
    assert len(tries) == 1
    assert await reached("wss://new.example/", "us", 30.0) == 0.01
    assert len(tries) == 3


async def test_port_without_tls() -> None:
    """What is wrong is not the certificate, for there is none."""
    async with web_server(*[b"HTTP/1.1 400 Bad Request"] * 2) as port:
        url = f"wss://127.0.0.1:{port}/"
        for asked in (certificate_days(url), round_trip(url, "us")):
            with pytest.raises(NobodyError, match=r"127\.0\.0\.1 speaks no TLS there"):
                await asked


async def test_certificate_that_nobody_trusts() -> None:
    """One of an authority that is nobody's."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    trustme.CA().issue_cert("127.0.0.1").configure_cert(context)
    async with serve(lambda connection: connection.wait_closed(), "127.0.0.1", 0, ssl=context) as server:
        url = f"wss://127.0.0.1:{server.sockets[0].getsockname()[1]}/"
        for asked in (certificate_days(url), round_trip(url, "us")):
            with pytest.raises(MachineError, match=r"no client trusts the certificate of 127\.0\.0\.1: unable to get"):
                await asked


@pytest.mark.parametrize("host", ["a..b", "x" * 70])
async def test_host_that_is_no_name(host: str) -> None:
    """Nobody can be asked for it, which is told as any other trouble."""
    url = f"wss://{host}/"
    for asked in (certificate_days(url), round_trip(url, "us")):
        with pytest.raises(NobodyError, match="cannot connect to"):
            await asked


@pytest.mark.parametrize(
    ("variable", "value"), [("ALL_PROXY", "socks5://127.0.0.1:1"), ("SSL_CERT_FILE", "/nonexistent")]
)
async def test_environment_that_nobody_can_be_asked_in(
    monkeypatch: pytest.MonkeyPatch, variable: str, value: str
) -> None:
    """What is missing for it is said, and which variables may be wrong."""
    monkeypatch.setenv(variable, value)
    with pytest.raises(MachineError, match="cannot ask any web server") as caught:
        await clock_ahead(["http://127.0.0.1:1"])
    assert variable in caught.value.hint
