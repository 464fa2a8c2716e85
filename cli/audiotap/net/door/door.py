"""The door of a port: TLS where there is a certificate, and who is let in."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable
from secrets import token_hex

from websockets.http11 import Request, Response

from audiotap.events import Asked
from audiotap.net.door.admission import Admission, Refusal, Rules, came_from_afar
from audiotap.net.door.tls import Certificate

WHO = "Audiotap-Listener"
"""The header of who asks which listener it is, and of the answer."""


class Door:
    """Asked once per connection. `count` is given the kind of everybody who is not let in.

    Who asks for it is told the listener's `identity`, and so knows that nobody else answers in its place. `found` is
    called once, when somebody from afar is let in at a port that is thought to be this machine's alone.
    """

    def __init__(
        self,
        admission: Admission | None = None,
        count: Callable[[str], None] = lambda _: None,
        certificate: Certificate | None = None,
        identity: str = "",
        found: Callable[[], None] | None = None,
    ) -> None:
        self._found = found
        self._count = count
        self._admission = admission or Admission(Rules())
        self._certificate = certificate
        self._identity = identity

    def take(self, sock: socket.socket) -> socket.socket:
        """A connection as it is to be read and written. OSError when it is over already."""
        sock.setblocking(False)
        return sock if self._certificate is None else self._certificate.wrap(sock)

    def refuses(self, request: Request) -> Refusal | None:
        """Why a request is refused, which is counted; None for one that is admitted."""
        refusal = self._admission.refuses(request.path, request.headers, time.time())
        if refusal is not None:
            self.refused(refusal)
        elif self._found is not None and came_from_afar(request.headers):
            self._found()
            self._found = None
        return refusal

    def answer(self, request: Request, accepted: Response) -> Response:
        """The answer to a request that is admitted."""
        if WHO in request.headers:
            accepted.headers[WHO] = self._identity
        return accepted

    def asked(self, request: Request) -> Asked:
        """How somebody asked for a connection, for who has nothing else to know them by."""
        path, _, query = request.path.partition("?")
        kinds = request.headers.get_all("Content-Type")
        return Asked(self._admission.without_secret(path), query, kinds[0] if kinds else "", token_hex(4))

    def refused(self, refusal: Refusal) -> None:
        """Somebody is not let in."""
        self._count(refusal.kind)
