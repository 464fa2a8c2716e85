"""What a user has to say to an agent: turns that are spoken, sent as a file, or written."""

from __future__ import annotations

from collections.abc import AsyncIterator

import msgspec

from audiotap.audio import Chunk


class Audio(msgspec.Struct):
    """A turn that is spoken. A `live` one is a microphone: it may hold any number of turns."""

    label: str
    chunks: AsyncIterator[Chunk]
    live: bool = False


class Encoded(msgspec.Struct):
    """A turn that is a file, sent as it is, in parts; it takes as long as the sound that is in it."""

    label: str
    chunks: AsyncIterator[Chunk]
    parts: tuple[bytes, ...]
    form: str
    live: bool = False


class Text(msgspec.Struct, frozen=True):
    """A turn that is written."""

    text: str
    event: bool = False
    start: bool = True

    @property
    def label(self) -> str:
        return f"text: {self.text[:40]}"

    @property
    def asks(self) -> bool:
        """Whether it is a turn, and not only a word from outside."""
        return self.start or not self.event


Source = Audio | Encoded | Text
