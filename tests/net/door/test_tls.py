"""TLS: which file is at fault, from when to when a certificate is good, and what a port agrees to."""

from __future__ import annotations

import socket
import ssl
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import NamedTuple

import pytest
import trustme

from audiotap.errors import MachineError
from audiotap.net.door.tls import RECORD, Certificate, TlsSocket
from audiotap.net.door.validity import validity

NOW = datetime.now(UTC).replace(microsecond=0)
DAY = timedelta(days=1)
LONG = NOW.replace(year=2051)
"""An end that DER writes in another way."""
AUTHORITY = trustme.CA()


class Files(NamedTuple):
    """A certificate's."""

    cert: Path
    key: Path

    def sign(self, begin: datetime = NOW - DAY, end: datetime = LONG) -> Files:
        signed = AUTHORITY.issue_cert("localhost", not_before=begin, not_after=end)
        self.key.write_bytes(signed.private_key_pem.bytes())
        self.cert.write_bytes(b"".join(blob.bytes() for blob in signed.cert_chain_pems))
        return self


@pytest.fixture
def files(tmp_path: Path) -> Files:
    return Files(tmp_path / "cert.pem", tmp_path / "key.pem").sign()


@pytest.mark.parametrize(
    ("spoil", "what"),
    [
        (lambda files: files.cert.unlink(), "cannot read the certificate {cert}: No such file"),
        (lambda files: files.key.unlink(), "cannot read the key {key}: No such file"),
        (lambda files: files.cert.write_text(""), "there is no certificate in {cert}"),
        (lambda files: files.key.write_text("half a key"), "there is no key in {key}"),
        (lambda files: files.cert.write_bytes(files.key.read_bytes()), "there is no certificate in {cert}"),
        (lambda files: files.key.write_bytes(AUTHORITY.private_key_pem.bytes()), "with the key {key}"),
    ],
)
def test_the_file_that_is_wrong_is_named(files: Files, spoil: Callable[[Files], object], what: str) -> None:
    """As it is read first, and when it is read again, which keeps the old one."""
    certificate = Certificate(*files)
    spoil(files)
    for read in (certificate.load, lambda: Certificate(*files)):
        with pytest.raises(MachineError) as caught:
            read()
        assert what.format(**files._asdict()) in caught.value.message
        assert "--tls-key" in caught.value.hint


def test_one_file_without_a_key(files: Files) -> None:
    """It is said of that file, since there is no other one."""
    with pytest.raises(MachineError, match=f"there is no key in {files.cert}"):
        Certificate(files.cert, None)


@pytest.mark.parametrize("begin", [NOW - DAY, NOW.replace(year=1955), NOW.replace(year=1999)])
@pytest.mark.parametrize("end", [NOW + DAY, NOW.replace(year=2049, month=12), LONG])
def test_validity(files: Files, begin: datetime, end: datetime) -> None:
    """The first and the last second, in both ways to write a year."""
    assert validity(files.sign(begin, end).cert.read_text()) == (begin, end)


@pytest.mark.parametrize(
    ("begin", "end", "trouble"),
    [
        (NOW - DAY, NOW + 3 * DAY, ""),
        (NOW - DAY, NOW + DAY, "renew it"),
        (NOW - 9 * DAY, NOW - DAY, "bots that verify it do not come"),
        (NOW + DAY, NOW + 9 * DAY, "bots that verify it do not come"),
    ],
)
def test_its_time_is_looked_at(files: Files, begin: datetime, end: datetime, trouble: str) -> None:
    """One that ended, has not begun or ends soon is taken, and told of."""
    told = Certificate(*files.sign(begin, end)).trouble()
    assert trouble in told
    assert bool(trouble) == bool(told)


def test_one_that_ended_replaces_no_good_one(files: Files) -> None:
    """Only what has ended itself; a good one replaces anything."""
    certificate = Certificate(*files)
    files.sign(NOW - 9 * DAY, NOW - DAY)
    with pytest.raises(MachineError, match="is good from"):
        certificate.load()
    assert certificate.trouble() == ""
    ended = Certificate(*files)
    ended.load()
    files.sign()
    ended.load()
    assert ended.trouble() == ""


def test_only_the_first_byte_tells_http(files: Files) -> None:
    """What a handshake goes on with, in however many pieces it comes, is no method of HTTP."""
    incoming, hello = ssl.MemoryBIO(), ssl.MemoryBIO()
    with pytest.raises(ssl.SSLWantReadError):
        ssl.create_default_context().wrap_bio(incoming, hello, server_hostname="localhost").do_handshake()
    said = hello.read()
    capital = next(at for at in range(6, len(said)) if said[at : at + 1].isupper())
    bot, ours = socket.socketpair()
    ours.setblocking(False)
    with bot, Certificate(*files).wrap(ours) as taken:
        assert isinstance(taken, TlsSocket)
        for piece in (said[:capital], said[capital:]):
            bot.sendall(piece)
            with pytest.raises(BlockingIOError):
                taken.recv_into(memoryview(bytearray(RECORD)))


def test_nothing_older_than_tls_1_2_is_spoken(files: Files) -> None:
    """Whatever the system would allow, and nobody may begin anew in the middle of a connection."""
    ours, theirs = socket.socketpair()
    with theirs, Certificate(*files).wrap(ours) as sock:
        assert isinstance(sock, ssl.SSLSocket)
        assert sock.context.minimum_version == ssl.TLSVersion.TLSv1_2
        assert sock.context.options & ssl.OP_NO_RENEGOTIATION
