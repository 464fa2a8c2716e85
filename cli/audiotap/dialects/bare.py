"""A hello in JSON, then bare samples in binary messages: what MeetingBaaS and Recall.ai's API v1.10 have in common.

The hello names the session, and is an event of it.
"""

from __future__ import annotations

from typing import Any

import msgspec

from audiotap.audio import RATES
from audiotap.dialects.base import MAX_OCCURRENCE, Side, Text, Wire, lenient, whole
from audiotap.errors import UnspokenError, WireError
from audiotap.events import UNASKED, Asked, Event, Occurred, Unknown

HELLO = "hello"


class Hello(msgspec.Struct):
    """What both vendors' hellos may tell that counts here; all of it is kept as it came."""

    protocol_version: int
    bot_id: Text
    offset: float = 0.0
    sample_rate: int | None = None
    separate_streams: bool | None = None


_HELLO = msgspec.json.Decoder(Hello)
_ANY = msgspec.json.Decoder(Any)
_ANY_DICT = msgspec.json.Decoder(dict[str, Any])
_ENCODER = msgspec.json.Encoder()


def hello(wire: Wire) -> Hello | None:
    """The hello that a message is; None if it is none."""
    return whole(_HELLO, wire)


class Bare:
    """One connection's worth of it, for a vendor's dialect to build on. `hello` is None until it was said."""

    def __init__(self, side: Side, _: Asked = UNASKED) -> None:
        self.side = side
        self.hello: Hello | None = None

    def met(self, wire: bytes) -> Hello:
        """The hello, which has to come before binary messages."""
        if self.hello is None:
            raise WireError(f"a binary message of {len(wire)} bytes before a hello")
        return self.hello

    def read(self, wire: str) -> Event:
        """What a text says: a hello, maybe said again, or something unknown."""
        told = hello(wire)
        if told is None:
            lenient(_ANY, wire)
            return Unknown("text", wire, self.hello.bot_id if self.hello is not None else None)
        if len(wire) > MAX_OCCURRENCE:
            raise WireError(f"a hello of {len(wire)} characters")
        if self.hello is not None and self.hello.bot_id != told.bot_id:
            raise WireError("the hello of another bot on the same connection")
        if told.sample_rate is not None and told.sample_rate not in RATES:
            raise WireError(f"a sample rate of {told.sample_rate}")
        self.learn(told)
        return Occurred(told.bot_id, HELLO, lenient(_ANY_DICT, wire))

    def write(self, event: Event) -> Wire:
        """A hello, or what came unknown."""
        match event:
            case Occurred(kind=kind, data=data) if kind == HELLO:
                wire = _ENCODER.encode(data).decode()
                told = hello(wire)
                if told is not None:
                    self.learn(told)
                return wire
            case Unknown():
                return event.wire
            case _:
                raise UnspokenError(f"this dialect has no word for {type(event).__name__}")

    def learn(self, told: Hello) -> None:
        """A hello was said, or heard."""
        self.hello = told
