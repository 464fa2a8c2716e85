"""The port with TLS: recordings over it, certificates that change, and those who speak the wrong thing to a port."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import ssl
from collections.abc import Awaitable
from pathlib import Path

import pytest
import trustme
from tests.scenarios.harness import HELLO, Listener, Place, assert_same, attendee, chunks, ramp, write
from tests.scenarios.test_terminal import has, terminal
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed, InvalidMessage

SOUND = ramp(3)


class Authority:
    """A certificate authority of our own, and the files of what it signed."""

    def __init__(self, folder: Path) -> None:
        self._authority = trustme.CA()
        self.roots = folder / "roots.pem"
        self.cert, self.key = folder / "cert.pem", folder / "key.pem"
        self._authority.cert_pem.write_to_path(str(self.roots))
        self.sign()
        self.context = ssl.create_default_context(cafile=str(self.roots))

    def sign(self) -> None:
        """A certificate as it is renewed: another one in the same files."""
        signed = self._authority.issue_cert("127.0.0.1", "localhost")
        self.key.write_bytes(signed.private_key_pem.bytes())
        self.cert.write_bytes(b"".join(blob.bytes() for blob in signed.cert_chain_pems))

    @property
    def options(self) -> tuple[str, Path, str, Path]:
        return ("--tls-cert", self.cert, "--tls-key", self.key)

    async def serial(self, port: int) -> object:
        """The number of the certificate that a port shows."""
        _, writer = await asyncio.open_connection("127.0.0.1", port, ssl=self.context)
        shown = writer.get_extra_info("peercert")
        writer.close()
        return shown["serialNumber"]


@pytest.fixture
def authority(place: Place) -> Authority:
    """Whom everything that is started here trusts."""
    authority = Authority(place.folder)
    place.environment["SSL_CERT_FILE"] = str(authority.roots)
    return authority


async def talk(port: int, said: bytes) -> bytes:
    """Everything that a port answers to bytes, until it hangs up."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(said)
    heard = b""
    try:
        while data := await reader.read(65536):
            heard += data
    except ConnectionResetError:
        pass
    writer.close()
    return heard


async def test_a_recording_over_tls(place: Place, authority: Authority) -> None:
    """Every sample arrives, in small messages and in one of megabytes, and so does the goodbye."""
    listener = await place.listen("--linger", 0.2, *authority.options)
    assert listener.url == f"wss://127.0.0.1:{listener.port}"
    long = ramp(200)
    async with connect(listener.url, ssl=authority.context, compression=None, max_size=None) as bot:
        for n, piece in enumerate(chunks(SOUND, 0.01)):
            await bot.send(attendee(piece, (n + 1) / 100, "ana"))
        await bot.send(attendee(long, 200.0))
    recording = await listener.finished("bot_1")
    assert_same(recording.samples("ana"), SOUND)
    assert_same(recording.samples("mixed"), long)
    assert recording.finished["reason"] == "no connection for 0.2 s"
    assert (await listener.stop()).status == 0


async def test_speech_over_tls(place: Place, authority: Authority) -> None:
    """Both ways at once: a simulated bot is recorded and spoken to, and its summary and the recording agree."""
    listener = await place.listen(*authority.options)
    bot = await place.bot(listener.url, "--file", HELLO, "--loop", "--record", place.folder / "sent")
    await listener.event("session.started", session="sim")
    spoken = await place.run("speak", write(place.folder / "word.wav", ramp(1.5)), "--bot", "sim", "--json")
    summary = (await bot.stop()).json
    await listener.stop()
    recording = await listener.finished("sim")
    assert spoken.status == 0
    assert summary["played_seconds"] == pytest.approx(1.5)
    recording.assert_holds(summary)


async def test_many_at_once(place: Place, authority: Authority) -> None:
    """Forty connections that all send at once, more than one read takes: nobody's records stay behind."""
    listener = await place.listen(*authority.options)
    sound = ramp(20)

    async def bot(number: int) -> None:
        async with connect(listener.url, ssl=authority.context, compression=None) as peer:
            await peer.send(attendee(sound, 20.0, bot=f"bot_{number}"))
            await (await peer.ping())

    await asyncio.gather(*map(bot, range(40)))
    await listener.stop()
    for number in range(40):
        assert_same((await listener.finished(f"bot_{number}")).samples("mixed"), sound)


async def test_the_address_of_a_listener_with_tls(place: Place, authority: Authority) -> None:
    """On every interface it is guarded, and `audiotap url` says wss:// and the name that was told, or asks for one."""
    nameless = await place.listen("--host", "0.0.0.0", *authority.options)
    warning = await nameless.event("warning")
    assert warning["message"].endswith("add --public-url wss://YOUR-NAME:PORT/")
    for asked in (("url",), ("url", "--for", "twilio"), ("doctor",)):
        ended = await place.run(*asked)
        assert ended.status == (1 if asked == ("doctor",) else 2)
        assert f"cannot reach wss://0.0.0.0:{nameless.port}/…" in ended.err + ended.out.decode()
        assert "--public-url wss://YOUR-NAME:PORT/" in ended.err + ended.out.decode()
    await nameless.stop()
    public = ("--public-url", f"wss://my.example:{nameless.port}/")
    listener = await place.listen("--host", "0.0.0.0", *public, *authority.options)
    assert listener.warnings() == []
    url = (await place.run("url")).out.decode().strip()
    assert url.startswith(f"{public[1]}")
    path = url.rpartition("/")[2]
    async with connect(f"wss://localhost:{listener.port}/{path}", ssl=authority.context) as bot:
        await bot.send(attendee(SOUND, 3.0))
        await listener.event("session.started", session="bot_1")


async def test_a_certificate_and_its_key_in_one_file(place: Place, authority: Authority) -> None:
    """As some tools write them."""
    both = place.folder / "both.pem"
    both.write_bytes(authority.key.read_bytes() + authority.cert.read_bytes())
    listener = await place.listen("--tls-cert", both)
    assert await authority.serial(listener.port)


async def test_a_certificate_that_is_none(place: Place, authority: Authority) -> None:
    """Status 3 and what is wanted, before any bot comes."""
    authority.key.unlink()
    ended = await place.run("listen", "--port", 0, *authority.options)
    assert ended.status == 3
    assert f"cannot read the key {authority.key}" in ended.err
    assert "--tls-key" in ended.err.splitlines()[1]


async def test_what_goes_not_together(place: Place, authority: Authority) -> None:
    """A key alone, and TLS with workers: status 2 and what to do instead."""
    alone = await place.run("listen", "--tls-key", authority.key)
    workers = await place.run("listen", "--workers", 2, *authority.options)
    assert (alone.status, workers.status) == (2, 2)
    assert "proxy" in workers.err


# Renewal


async def test_a_certificate_is_renewed(place: Place, authority: Authority) -> None:
    """SIGHUP: new connections get the new certificate, and those that are open go on."""
    listener = await place.listen(*authority.options)
    async with connect(listener.url, ssl=authority.context, compression=None) as bot:
        await bot.send(attendee(SOUND, 3.0))
        before = await authority.serial(listener.port)
        authority.sign()
        listener.process.send_signal(signal.SIGHUP)
        await listener.event("certificate.reloaded", path=str(authority.cert))
        assert await authority.serial(listener.port) != before
        await bot.send(attendee(SOUND, 6.0))
        await (await bot.ping())
    ended = await listener.stop()
    recording = await listener.finished("bot_1")
    assert len(recording.samples("mixed")) == 2 * len(SOUND)
    assert ended.status == 0


async def test_a_renewal_while_it_starts(place: Place, authority: Authority) -> None:
    """A service manager's SIGHUP before there is anything to reload does no harm: here, while a file is read."""
    secrets = place.folder / "secrets"
    os.mkfifo(secrets)
    args = ("listen", "--port", 0, "--out", place.out, "--recall-secret-file", secrets, *authority.options)
    starting = await place.start(*args)

    def hang_up() -> None:
        with secrets.open("wb") as file:
            starting.process.send_signal(signal.SIGHUP)
            file.write(b"whsec_" + 32 * b"A")

    await asyncio.to_thread(hang_up)
    await starting.says("listening on wss://")
    assert (await starting.stop()).status == 130


async def test_a_renewal_that_failed(place: Place, authority: Authority) -> None:
    """What cannot be used is told, and the old certificate stays."""
    listener = await place.listen(*authority.options)
    before = await authority.serial(listener.port)
    authority.cert.write_text("half a cert")
    listener.process.send_signal(signal.SIGHUP)
    assert "the old one stays" in (await listener.event("warning"))["message"]
    assert await authority.serial(listener.port) == before


async def test_a_hang_up_without_tls_is_the_end(place: Place) -> None:
    """There is nothing to reload, so SIGHUP is what it was."""
    listener = await place.listen()
    assert (await listener.stop(signal.SIGHUP)).status == 0


@pytest.mark.filterwarnings("ignore:.*multi-threaded, use of fork:DeprecationWarning")
def test_a_terminal_that_hangs_up_is_the_end(place: Place, authority: Authority) -> None:
    """With TLS, too: who closes the terminal is done with recording."""
    with terminal(place, "listen", "--port", "0", *map(str, authority.options)) as shown:
        shown.shows(has("listening on wss://"))
        shown.child.kill(signal.SIGHUP)
        assert shown.ended() == 0


# The wrong thing


async def test_tls_on_the_plain_port(place: Place, authority: Authority) -> None:
    """The connection ends, one line says what to type, and the bots beside it are recorded on."""
    listener = await place.listen()
    async with connect(listener.url, compression=None) as bot:
        await bot.send(attendee(SOUND, 3.0))
        for _ in range(5):
            with pytest.raises((OSError, InvalidMessage)):
                await connect(f"wss://127.0.0.1:{listener.port}", ssl=authority.context)
        warning = await listener.event("warning")
        assert "--tls-cert" in warning["message"]
        assert "ws://" in warning["message"]
        await (await bot.ping())
    (status,) = (await place.run("status", "--json")).json
    assert status["refused"] == {"tls": 5}
    assert len(listener.warnings()) == 1


@pytest.mark.parametrize("method", ["GET", "OPTIONS", "DELETE"])
async def test_plain_talk_on_the_tls_port(place: Place, authority: Authority, method: str) -> None:
    """400 with a helpful line, and one in the log."""
    listener = await place.listen(*authority.options)
    answer = await talk(listener.port, f"{method} /x HTTP/1.1\r\nHost: a\r\nPadding: {'x' * 9000}\r\n\r\n".encode())
    assert answer.startswith(b"HTTP/1.1 400 ")
    assert answer.endswith(b"wss://\n")
    assert "wss://" in (await listener.event("warning"))["message"]
    (status,) = (await place.run("status", "--json")).json
    assert status["refused"] == {"plain": 1}


@pytest.mark.parametrize("politely", [False, True])
async def test_a_certificate_that_is_not_trusted(place: Place, authority: Authority, politely: bool) -> None:
    """Bots refuse a certificate of nobody they know, some without a word: the log says so."""
    listener = await place.listen(*authority.options)
    context = ssl.create_default_context(cafile=_another_root(place.folder))
    dialling: Awaitable[object] = connect(listener.url, ssl=context)
    if politely:
        dialling = asyncio.to_thread(_shake_hands, listener.port, context)
    with pytest.raises(ssl.SSLCertVerificationError):
        await dialling
    assert "do not trust the certificate" in (await listener.event("warning"))["message"]


async def test_who_never_spoke_is_nothing_to_tell(place: Place, authority: Authority) -> None:
    """A health check that only connects, with or without TLS, is no refusal; who leaves within a handshake is one."""
    listener = await place.listen(*authority.options)
    for _ in range(3):
        socket.create_connection(("127.0.0.1", listener.port)).close()
        await authority.serial(listener.port)
    incoming, hello = ssl.MemoryBIO(), ssl.MemoryBIO()
    with pytest.raises(ssl.SSLWantReadError):
        authority.context.wrap_bio(incoming, hello, server_hostname="localhost").do_handshake()
    with socket.create_connection(("127.0.0.1", listener.port)) as leaving:
        leaving.sendall(hello.read())
    await listener.event("warning")
    (status,) = (await place.run("status", "--json")).json
    assert status["refused"] == {"handshake": 1}


async def test_nonsense_and_silence(place: Place, authority: Authority) -> None:
    """Garbage, hang-ups in the middle, and who never says anything: nobody else suffers, nothing breaks."""
    listener = await place.listen(*authority.options)
    with socket.create_connection(("127.0.0.1", listener.port)):
        await talk(listener.port, bytes(range(256)) * 40)
        await talk(listener.port, b"\x16\x03\x01\xff\xff" + bytes(100_000))
        _, writer = await asyncio.open_connection("127.0.0.1", listener.port)
        writer.write(b"\x16\x03\x01")
        writer.close()
        async with connect(listener.url, ssl=authority.context, compression=None) as bot:
            await bot.send(attendee(SOUND, 3.0))
            await (await bot.ping())
        ended = await listener.stop()
    assert_same((await listener.finished("bot_1")).samples("mixed"), SOUND)
    assert "Traceback" not in ended.err
    assert ended.status == 0


async def test_a_connection_that_breaks_off(place: Place, authority: Authority) -> None:
    """Without a goodbye of either layer: what came before is recorded, and the bot is waited for."""
    listener = await place.listen(*authority.options)
    bot = await connect(listener.url, ssl=authority.context, compression=None)
    await bot.send(attendee(SOUND, 3.0))
    await (await bot.ping())
    bot.transport.abort()
    with pytest.raises(ConnectionClosed):
        await bot.recv()
    await _without_connections(place, listener)
    await listener.stop()
    assert_same((await listener.finished("bot_1")).samples("mixed"), SOUND)


async def _without_connections(place: Place, listener: Listener) -> None:
    while (await place.run("status", "--port", listener.port, "--json")).json[0]["sessions"][0]["connections"]:
        pass


def _shake_hands(port: int, context: ssl.SSLContext) -> None:
    with (
        socket.create_connection(("127.0.0.1", port)) as plain,
        context.wrap_socket(plain, server_hostname="localhost"),
    ):
        pass


def _another_root(folder: Path) -> str:
    path = folder / "another.pem"
    trustme.CA().cert_pem.write_to_path(str(path))
    return str(path)
