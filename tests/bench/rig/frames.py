"""Calls as bots send them: masked websocket frames, all made before the run, and the samples that must come of them.

Every frame has its own masking key and its own time stamp, so nothing can be guessed from the one before it. The spaces
in the JSON are those of the senders: none in Recall's, Python's in Attendee's.
"""

from __future__ import annotations

import base64
import os
from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, datetime, timedelta
from functools import cache

import msgspec
import numpy as np
from numpy.typing import NDArray
from websockets.frames import Frame, Opcode

RATE = 16_000
SAMPLE_BYTES = 2
POOL_SECONDS = 60
BEGAN = datetime(2026, 1, 1, 9, tzinfo=UTC)
FIRST_STAMP = 12.5
"""Seconds after the recording began at which the first chunk begins."""


@cache
def speech() -> NDArray[np.int16]:
    """A minute of something like speech: a wandering voice with overtones, syllables, pauses, and a room's noise."""
    t = np.arange(POOL_SECONDS * RATE) / RATE
    pitch = 2 * np.pi * np.cumsum(130 + 25 * np.sin(2 * np.pi * 0.7 * t)) / RATE
    voice = sum(np.sin(overtone * pitch) / overtone for overtone in range(1, 9))
    syllables = np.clip(np.sin(2 * np.pi * 3.3 * t) + np.sin(2 * np.pi * 0.23 * t), 0, 1)
    room = np.random.default_rng(1).normal(0, 50, len(t))
    return np.asarray(np.rint(3000 * voice * syllables + room), dtype="<i2")


def session_of(connection: int) -> str:
    """The id that a connection's bot tells."""
    return f"6f9d1c52-08a7-4be4-a8b1-{connection:012}"


def participant_of(connection: int) -> int:
    return 100 + connection


class Call(msgspec.Struct, frozen=True):
    """So many connections, of one bot with one track each, and so many chunks on each of them."""

    style: str
    connections: int
    frames: int
    milliseconds: int
    rate: int = RATE

    @property
    def messages(self) -> int:
        return self.connections * self.frames

    @property
    def chunk_bytes(self) -> int:
        return self.rate * self.milliseconds // 1000 * SAMPLE_BYTES

    def sound(self, connection: int) -> bytes:
        """What the connection's track must hold in the end."""
        pool = speech()
        begin = connection * 7919 * 31
        samples = self.frames * self.chunk_bytes // SAMPLE_BYTES
        return np.take(pool, np.arange(begin, begin + samples), mode="wrap").tobytes()

    def write(self) -> int:
        """The frames in memory, as a file descriptor of the caller's."""
        return laid_out(self.connections, self.frames, self._frames())

    def _frames(self) -> Iterator[bytes]:
        spell = STYLES[self.style]
        for connection in range(self.connections):
            sound = self.sound(connection)
            for number in range(self.frames):
                pcm = sound[number * self.chunk_bytes : (number + 1) * self.chunk_bytes]
                text = spell(self, connection, base64.b64encode(pcm).decode(), number * self.milliseconds)
                yield Frame(Opcode.TEXT, text.encode()).serialize(mask=True)


def laid_out(connections: int, each: int, frames: Iterable[bytes]) -> int:
    """Frames in memory, as a file descriptor of the caller's.

    Programs in C read there: two 32-bit numbers, connections and frames of each; where each frame begins, and where the
    last one ends, as 64-bit offsets; the frames, connection by connection.
    """
    begin = 8 + 8 * (connections * each + 1)
    lengths = []
    with os.fdopen(os.memfd_create("frames"), "wb", closefd=False) as file:
        file.seek(begin)
        for frame in frames:
            lengths.append(len(frame))
            file.write(frame)
        file.seek(0)
        file.write(np.array([connections, each], "<u4").tobytes())
        file.write((begin + np.cumsum([0, *lengths])).astype("<u8").tobytes())
        return file.fileno()


def _recall(connection: int, audio: str, at: int, participant: str, artifact: str) -> str:
    seconds = FIRST_STAMP + at / 1000
    absolute = (BEGAN + timedelta(seconds=seconds)).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    return (
        f'{{"event":"{artifact}_raw.data","data":{{"data":{{"buffer":"{audio}",'
        f'"timestamp":{{"relative":{seconds:.3f},"absolute":"{absolute}"}}{participant}}},'
        '"realtime_endpoint":{"id":"1b7e2a90-64c1-4f0c-9d52-3f5a8e2c7b10","metadata":{}},'
        f'"{artifact}":{{"id":"c2a4f6d8-1357-4bdf-8ace-024681357900","metadata":{{}}}},'
        f'"recording":{{"id":"{session_of(connection)}","metadata":{{}}}},'
        '"bot":{"id":"9e8d7c6b-5a49-4838-a271-60514f3e2d1c","metadata":{}}}}'
    )


def recall_separate(_: Call, connection: int, audio: str, at: int) -> str:
    """Recall's audio of one participant; its stamp is a chunk's beginning."""
    participant = (
        f',"participant":{{"id":{participant_of(connection)},"name":"Grace Hopper","is_host":false,'
        '"platform":"desktop","extra_data":{},"email":null}'
    )
    return _recall(connection, audio, at, participant, "audio_separate")


def recall_mixed(_: Call, connection: int, audio: str, at: int) -> str:
    """Recall's mixed audio."""
    return _recall(connection, audio, at, "", "audio_mixed")


def _attendee(call: Call, connection: int, audio: str, at: int, trigger: str, participant: str = "") -> str:
    stamp = round((BEGAN.timestamp() + FIRST_STAMP) * 1000) + at + call.milliseconds
    return (
        f'{{"bot_id": "{session_of(connection)}", "trigger": "{trigger}", "data": {{{participant}"chunk": "{audio}", '
        f'"timestamp_ms": {stamp}, "sample_rate": {call.rate}}}}}'
    )


def attendee_mixed(call: Call, connection: int, audio: str, at: int) -> str:
    """Attendee's mixed audio; its stamp is a chunk's end."""
    return _attendee(call, connection, audio, at, "realtime_audio.mixed")


def attendee_participant(call: Call, connection: int, audio: str, at: int) -> str:
    """Attendee's audio of one participant."""
    participant = f'"participant_uuid": "{participant_of(connection)}", '
    return _attendee(call, connection, audio, at, "realtime_audio.per_participant", participant)


Spell = Callable[[Call, int, str, int], str]
"""A connection's message with base64 `audio` that begins so many milliseconds after the first."""
STYLES: dict[str, Spell] = {
    "recall-separate": recall_separate,
    "recall-mixed": recall_mixed,
    "attendee-mixed": attendee_mixed,
    "attendee-participant": attendee_participant,
}
