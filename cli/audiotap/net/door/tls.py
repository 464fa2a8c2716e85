"""TLS on sockets that are read on a tick: they look like any other socket that never blocks.

The law: a read takes whole records only, so nothing ever waits inside OpenSSL where a selector cannot see it.
"""

from __future__ import annotations

import socket
import ssl
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from audiotap.errors import MachineError
from audiotap.net.door.admission import Refusal
from audiotap.net.door.validity import Validity, validity

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer

RECORD = 16 * 1024
"""Bytes that a record holds at most."""
LETTERS = range(ord("A"), ord("Z") + 1)
"""How HTTP begins, whatever its method; no record of TLS does."""
SOON = timedelta(days=2)
"""How long before its end a certificate is warned of: some are good for six days, and renewed after three."""
WANTED = "--tls-cert wants a PEM file with the whole chain, --tls-key its key in PEM without a password"


class RefusedError(Exception):
    """The other end does not get as far as a request."""

    def __init__(self, refusal: Refusal) -> None:
        super().__init__(refusal.reason)
        self.refusal = refusal


class TlsSocket(ssl.SSLSocket):
    """A server's end; the handshake is part of the first reads. What would block is a BlockingIOError."""

    established = False
    _looked = False

    def recv_into(self, buffer: Any, nbytes: int | None = None, flags: int = 0) -> int:  # noqa: ARG002 - a socket's
        """Fill a memoryview while a whole record has room in it."""
        if not self._looked and self._begins_as_http():
            raise RefusedError(self._refuse_http())
        at = 0
        try:
            while len(buffer) - at >= RECORD:
                size: Any = self.read(len(buffer) - at, buffer[at:])
                if not size:
                    return self._end(at, None)
                self.established = True
                at += size
        except (ssl.SSLWantReadError, ssl.SSLWantWriteError):
            if not at:
                raise BlockingIOError from None
        except (OSError, ValueError) as error:
            return self._end(at, error)
        return at

    def send(self, data: ReadableBuffer, flags: int = 0) -> int:
        """Send some of it."""
        try:
            return super().send(data, flags)
        except (ssl.SSLWantReadError, ssl.SSLWantWriteError):
            raise BlockingIOError from None

    def shutdown(self, how: int) -> None:
        """Say that nothing follows; what the other end still says can be read."""
        with suppress(OSError, ValueError):
            self.unwrap()
        socket.socket.shutdown(self, how)

    def _end(self, at: int, error: Exception | None) -> int:
        """The end, or behind what was read something that a selector sees as the end. RefusedError before it began."""
        broken = isinstance(error, ssl.SSLError) or self.shared_ciphers() is not None
        if broken and not self.established and self.version() is None:
            raise RefusedError(Refusal.HANDSHAKE)
        if at:
            with suppress(OSError):
                socket.socket.shutdown(self, socket.SHUT_RD)
        return at

    def _begins_as_http(self) -> bool:
        """Whether the first that comes is no TLS; BlockingIOError where nothing came yet."""
        begin = socket.socket.recv(self, 1, socket.MSG_PEEK)
        self._looked = True
        return bool(begin) and begin[0] in LETTERS

    def _refuse_http(self) -> Refusal:
        """Answer who speaks HTTP in HTTP."""
        answer = f"{Refusal.PLAIN.answer}\n"
        head = f"HTTP/1.1 400 Bad Request\r\nContent-Length: {len(answer)}\r\nConnection: close\r\n\r\n"
        with suppress(OSError):
            socket.socket.recv(self, RECORD)
            socket.socket.send(self, (head + answer).encode())
            socket.socket.shutdown(self, socket.SHUT_WR)
        return Refusal.PLAIN


class Certificate:
    """A certificate's chain and its key, in PEM files; without `key`, one file has both."""

    def __init__(self, chain: Path, key: Path | None) -> None:
        self.chain = chain
        self._key = key
        self._context, self._validity = self._loaded()

    def load(self) -> None:
        """Take the files as they are now, for new connections. MachineError keeps what there was."""
        now = datetime.now(UTC)
        context, validity = self._loaded()
        if validity.excludes(now) and not self._validity.excludes(now):
            raise MachineError(self._unfit(validity), WANTED)
        self._context, self._validity = context, validity

    def trouble(self) -> str:
        """What is the matter with its time; empty if nothing is."""
        now = datetime.now(UTC)
        if self._validity.excludes(now):
            return f"{self._unfit(self._validity)}: bots that verify it do not come; renew it, and send SIGHUP"
        if self._validity.excludes(now + SOON):
            return f"the certificate {self.chain} ends at {_told(self._validity.end)}: renew it"
        return ""

    def wrap(self, sock: socket.socket) -> socket.socket:
        """The server's end of TLS on a connection; OSError when it is over already."""
        return self._context.wrap_socket(sock, server_side=True, do_handshake_on_connect=False)

    def _unfit(self, validity: Validity) -> str:
        return f"the certificate {self.chain} is good from {_told(validity.begin)} to {_told(validity.end)} only"

    def _loaded(self) -> tuple[ssl.SSLContext, Validity]:
        chain = _read(self.chain, "CERTIFICATE-----", "certificate")
        key = self._key or self.chain
        _read(key, "PRIVATE KEY-----", "key")
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.sslsocket_class = TlsSocket
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.options |= ssl.OP_NO_RENEGOTIATION
        try:
            context.load_cert_chain(self.chain, key, password=lambda: "")
            return context, validity(chain)
        except (OSError, ValueError) as error:
            why = "it is not the key of this certificate, has a password, or one of them is damaged"
            raise MachineError(f"cannot use the certificate {self.chain} with the key {key}: {why}", WANTED) from error


def _told(time: datetime) -> str:
    return f"{time:%Y-%m-%d %H:%M} UTC"


def _read(path: Path, mark: str, what: str) -> str:
    """A PEM file that holds something. MachineError says which one does not."""
    try:
        text = path.read_text("ascii", "replace")
    except OSError as error:
        raise MachineError(f"cannot read the {what} {path}: {error.strerror}", WANTED) from error
    if mark not in text:
        raise MachineError(f"there is no {what} in {path}", WANTED)
    return text
