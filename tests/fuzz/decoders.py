"""Fuzzing of the decoders: whatever a message is, it is read, or is a WireError; nothing else ever comes out.

It wants atheris (`pip install atheris`), which is none of the tests' libraries, beside audiotap:

    PYTHONPATH=cli python tests/fuzz/decoders.py -max_total_time=120 FOUND tests/dialects/fixtures

Arguments are libFuzzer's: what is found goes into the first folder, and it begins with the messages in the second one.
"""

from __future__ import annotations

import sys
from contextlib import suppress

import atheris

with atheris.instrument_imports(include=["audiotap"]):
    from audiotap.dialects import REGISTER, recognise
    from audiotap.dialects.base import Side, Wire
    from audiotap.errors import WireError

LANGUAGES = [dialect(side) for dialect in REGISTER.values() for side in Side]


def decode(data: bytes) -> None:
    """A message as text and as bytes, to every dialect at both ends, and as a connection's first one."""
    wires: list[Wire] = [data, data.decode(errors="replace")]
    for wire in wires:
        recognise(wire)
        for language in LANGUAGES:
            with suppress(WireError):
                language.decode(wire)


if __name__ == "__main__":
    atheris.Setup(sys.argv, decode)
    atheris.Fuzz()
