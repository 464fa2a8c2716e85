"""What a dialect is: a provider's wire language, both ways, one instance per connection."""

from __future__ import annotations

import re
from binascii import Error as Base64Error
from enum import Enum
from typing import Annotated, ClassVar, Protocol, TypeVar

import msgspec

from audiotap.errors import WireError
from audiotap.events import MIXED, SPOKEN, Asked, Event
from audiotap.session import Timing

try:
    from pybase64 import b64decode
except ImportError:
    from base64 import b64decode  # type: ignore[assignment]

T = TypeVar("T")
Wire = str | bytes
"""A message: text or binary."""
MAX_TEXT = 8192
"""Characters of an id or a name: they are kept for as long as a session lives, and there may be thousands."""
MAX_OCCURRENCE = 64 * 1024
"""Characters of what a message without audio tells; one of a long transcript is a few thousand."""
Text = Annotated[str, msgspec.Meta(max_length=MAX_TEXT)]
_QUOTE = ord('"')
_QUOTES = 2
_SAMPLES = msgspec.json.Decoder(bytes)
_OUR_TRACKS = (MIXED, SPOKEN)
_ESCAPE = re.compile(
    r"\\(?:u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}|(?P<half>u[dD][89a-fA-F][0-9a-fA-F]{2})|.)",
    re.DOTALL,
)
"""An escape in JSON: a whole pair of surrogates, half of one, or any other."""


class Side(Enum):
    """Who reads: OURS decodes what the provider sends, THEIRS (a simulator) decodes what we send."""

    OURS = "ours"
    THEIRS = "theirs"


class Dialect(Protocol):
    """A provider's wire language. Pure: no clock, no socket, no printing."""

    name: ClassVar[str]
    knows: ClassVar[frozenset[type]]
    """The events that `encode` has words for on OUR side."""
    rates: tuple[int, ...]
    """Rates at which it can be spoken to; empty when it cannot. One connection may have fewer than all do."""
    timing: ClassVar[Timing]
    spellings: ClassVar[tuple[str, ...]]
    """The words it has for a pause, the usual one first."""

    def __init__(self, side: Side, asked: Asked = ...) -> None: ...

    @staticmethod
    def claims(wire: Wire, asked: Asked) -> bool:
        """Whether a connection that was asked for so, and begins with this message, is of this dialect."""

    def decode(self, wire: Wire) -> list[Event]:
        """What a wire message says. WireError if it is malformed; never any other exception.

        Whatever tells a connection something for all that follows is an event of the session: who records the session
        has to read it.
        """

    def encode(self, event: Event) -> list[Wire]:
        """The wire messages that say an event. UnspokenError if the dialect has no word for it."""


def lenient(decoder: msgspec.json.Decoder[T], wire: Wire) -> T:
    """Decode JSON by a typed decoder; everything that can be wrong with it is a WireError that says what and where."""
    if isinstance(wire, bytes):
        raise WireError(f"a binary message of {len(wire)} bytes where text is spoken")
    try:
        return decoder.decode(wire)
    except (msgspec.MsgspecError, UnicodeError, RecursionError) as error:
        whole = _ESCAPE.sub(_without_halves, wire)
        if whole != wire:
            return lenient(decoder, whole)
        raise WireError(str(error)) from error


def whole(decoder: msgspec.json.Decoder[T], wire: Wire) -> T | None:
    """What a message of one certain kind says; None if it is of another kind, or malformed in any way."""
    if isinstance(wire, bytes):
        return None
    try:
        return decoder.decode(wire)
    except (msgspec.MsgspecError, UnicodeError, RecursionError):
        return None


def samples(told: msgspec.Raw, where: str) -> bytes:
    """The bytes that a JSON string tells in base64; WireError if it is none, `where` in the message it stands.

    pybase64 decodes by the register what msgspec decodes by the letter, which gets what the other one doesn't take,
    such as a string with escapes in it, or of a strange length. For 100 ms at 16 kHz that is 2.3 µs instead of 3.8,
    with all that is around it.
    """
    text = memoryview(told)
    if text[0] == _QUOTE and len(text) % 4 == _QUOTES:
        try:
            return b64decode(text[1:-1], validate=True)
        except Base64Error:
            pass
    try:
        return _SAMPLES.decode(text)
    except msgspec.MsgspecError as error:
        raise WireError(f"{error} - at `{where}`") from error


def _without_halves(escape: re.Match[str]) -> str:
    """Half of a character beyond 16 bits, as names have it that were cut, becomes the replacement character."""
    return r"\ufffd" if escape["half"] else escape[0]


def participant_track(participant: str | int) -> str:
    """The track of a participant; ids that would collide with a track of ours get a `=` in front."""
    if isinstance(participant, int):
        return str(participant)
    return f"={participant}" if participant in _OUR_TRACKS or participant[:1] == "=" else participant


def track_participant(track: str) -> str:
    """The participant of a track: the reverse of `participant_track`."""
    return track.removeprefix("=")
