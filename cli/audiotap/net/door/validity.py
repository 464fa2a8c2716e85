"""From when to when a certificate is good: read out of its DER, since Python tells that of other ends' only.

Source: RFC 5280, section 4.1.
"""

from __future__ import annotations

import re
import ssl
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import NamedTuple

_FIRST = re.compile(r"-----BEGIN CERTIFICATE-----.+?-----END CERTIFICATE-----", re.DOTALL)
_VERSION, _SHORT_TIME = 0xA0, 0x17
_LONG = 0x80
"""Tags, and the mark of a length that takes several bytes."""


class Validity(NamedTuple):
    """The first and the last moment."""

    begin: datetime
    end: datetime

    def excludes(self, now: datetime) -> bool:
        return not self.begin <= now <= self.end


def validity(pem: str) -> Validity:
    """That of the first certificate of a chain. ValueError where there is none."""
    found = _FIRST.search(pem)
    if found is None:
        raise ValueError("no certificate")
    (_, certificate), *_ = _elements(ssl.PEM_cert_to_DER_cert(found[0]))
    (_, told), *_ = _elements(certificate)
    _, _, _, (_, times), *_ = (element for element in _elements(told) if element[0] != _VERSION)
    begin, end = (_time(*element) for element in _elements(times))
    return Validity(begin, end)


def _elements(der: bytes) -> Iterator[tuple[int, bytes]]:
    """Tags and contents, one after the other."""
    at = 0
    while at + 2 <= len(der):
        tag, length = der[at], der[at + 1]
        at += 2
        if length & _LONG:
            size = length & ~_LONG
            length, at = int.from_bytes(der[at : at + size], "big"), at + size
        yield tag, der[at : at + length]
        at += length


def _time(tag: int, text: bytes) -> datetime:
    """Two digits of a year are of 1950 to 2049."""
    told = text.decode("ascii").removesuffix("Z")
    if tag == _SHORT_TIME:
        told = f"{'19' if told >= '50' else '20'}{told}"
    return datetime.strptime(told, "%Y%m%d%H%M%S").replace(tzinfo=UTC)
