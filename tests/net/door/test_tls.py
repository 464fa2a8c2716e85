"""TLS: what a port agrees to."""

from __future__ import annotations

import socket
import ssl
from pathlib import Path

import trustme

from audiotap.net.door.tls import Certificate


def test_nothing_older_than_tls_1_2_is_spoken(tmp_path: Path) -> None:
    """Whatever the system would allow, and nobody may begin anew in the middle of a connection."""
    both = tmp_path / "both.pem"
    trustme.CA().issue_cert("localhost").private_key_and_cert_chain_pem.write_to_path(str(both))
    ours, theirs = socket.socketpair()
    with theirs, Certificate(both, None).wrap(ours) as sock:
        assert isinstance(sock, ssl.SSLSocket)
        assert sock.context.minimum_version == ssl.TLSVersion.TLSv1_2
        assert sock.context.options & ssl.OP_NO_RENEGOTIATION
