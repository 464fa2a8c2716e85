"""What a vendor's bots do beside their words: when they dial, what they begin with, and what they send of a call.

Each one's source is on its page in docs/dialects/.
"""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from audiotap.audio import from_ulaw, to_ulaw
from audiotap.dialects.bare import HELLO
from audiotap.dialects.livekit import CONTENT_TYPE, MUTED, query
from audiotap.dialects.livekit import RATE as LIVEKIT_RATE
from audiotap.dialects.meetstream import RATE as MEETSTREAM_RATE
from audiotap.dialects.meetstream import READY
from audiotap.dialects.recall import RATE as RECALL_RATE
from audiotap.dialects.recall110 import RATE as RECALL110_RATE
from audiotap.dialects.twilio import RATE as TWILIO_RATE
from audiotap.events import Event, Occurred
from audiotap.net.sim.line import Retry


class Opening(msgspec.Struct, frozen=True):
    """What a bot knows when a connection begins: its id, its rate, the call's second, and whom it brings."""

    id: str
    rate: int
    at: float
    mixed: bool


class Manners(msgspec.Struct, frozen=True):
    """A vendor's bots. The first of `rates` is the usual one; `chunk` is in seconds.

    `mixed` and `separate` are what can be had, `either` that it is only one of them. `eager` bots dial when the call
    begins, others at the first audio. `each` gives participants connections of their own, without being asked. `tracks`
    are the only participants that there are. With `control` there is another connection, for commands. `opens` is what
    every connection begins with, `ends` what it ends with, and `marked` the answer to a mark. `dated` times are those
    of a wall's clock; others begin with the call. `conveys` is what the wire makes of samples. `mutes` is what is told
    of a mute, where it does not end a connection; `asks` is what stands behind the address, and in the request.
    """

    retry: Retry
    chunk: float
    rates: tuple[int, ...]
    mixed: bool = True
    separate: bool = True
    either: bool = False
    eager: bool = True
    each: bool = False
    named: bool = True
    dated: bool = False
    tracks: tuple[str, ...] = ()
    control: bool = False
    opens: Callable[[Opening], list[Event]] = lambda _: []
    ends: Callable[[str], list[Event]] = lambda _: []
    marked: Callable[[str, str], Event] = lambda session, name: Occurred(session, name, {})
    conveys: Callable[[bytes], bytes] = bytes
    mutes: Callable[[str, bool], Event] | None = None
    asks: Callable[[str, str, str], str] = lambda *_: ""
    headers: dict[str, str] = {}

    def streams(self, *, mixed: bool, separate: bool) -> tuple[bool, bool]:
        """What is sent when so much is wanted."""
        mixed, separate = mixed and self.mixed, separate and self.separate
        return mixed, separate and not (mixed and self.either)


def _recall110(opening: Opening) -> list[Event]:
    data = {
        "protocol_version": 1,
        "bot_id": opening.id,
        "recording_id": f"recording-{opening.id}",
        "separate_streams": not opening.mixed,
        "offset": opening.at,
    }
    return [Occurred(opening.id, HELLO, data)]


def _meetingbaas(opening: Opening) -> list[Event]:
    data = {"protocol_version": 1, "bot_id": opening.id, "offset": 0.0, "sample_rate": opening.rate, "start_time": None}
    return [Occurred(opening.id, HELLO, data)]


def _twilio(opening: Opening) -> list[Event]:
    start = {
        "accountSid": "AC" + "0" * 32,
        "streamSid": opening.id,
        "callSid": _call(opening.id),
        "tracks": ["inbound", "outbound"],
        "mediaFormat": {"encoding": "audio/x-mulaw", "sampleRate": opening.rate, "channels": 1},
        "customParameters": {},
    }
    data = {"event": "start", "sequenceNumber": "1", "start": start, "streamSid": opening.id}
    return [Occurred(opening.id, "start", data, bot=_call(opening.id))]


def _twilio_stop(stream: str) -> list[Event]:
    stop = {"accountSid": "AC" + "0" * 32, "callSid": _call(stream)}
    return [Occurred(stream, "stop", {"event": "stop", "stop": stop, "streamSid": stream})]


def _twilio_mark(stream: str, name: str) -> Event:
    return Occurred(stream, "mark", {"event": "mark", "streamSid": stream, "mark": {"name": name}})


def _meetstream(opening: Opening) -> list[Event]:
    data = {"type": READY, "bot_id": opening.id, "message": "Ready to receive messages"}
    return [Occurred(opening.id, READY, data)]


def _call(stream: str) -> str:
    """The call of a stream."""
    return f"CA-{stream}"


MANNERS = {
    "attendee": Manners(Retry(0.01, 10.0, 30), 0.01, (16000, 8000, 24000), eager=False, named=False, dated=True),
    "recall": Manners(Retry(3.0, 3.0, 30), 0.2, (RECALL_RATE,)),
    "recall110": Manners(
        Retry(3.0, 3.0, 30), 0.2, (RECALL110_RATE,), either=True, each=True, named=False, opens=_recall110
    ),
    "meetingbaas": Manners(
        Retry(1.0, 2.0, 30), 0.1, (24000, 16000, 32000, 48000), separate=False, named=False, opens=_meetingbaas
    ),
    "twilio": Manners(
        Retry(0.0, 0.0, 1, again=False),
        0.02,
        (TWILIO_RATE,),
        mixed=False,
        named=False,
        tracks=("inbound", "outbound"),
        opens=_twilio,
        ends=_twilio_stop,
        marked=_twilio_mark,
        conveys=lambda pcm: from_ulaw(to_ulaw(pcm)),
    ),
    "livekit": Manners(
        Retry(0.0, 0.0, 1, again=False),
        0.02,
        (LIVEKIT_RATE,),
        mixed=False,
        each=True,
        mutes=lambda session, muted: Occurred(session, MUTED, {MUTED: muted}),
        asks=query,
        headers={"Content-Type": CONTENT_TYPE},
    ),
    "meetstream": Manners(Retry(1.0, 2.0, 30), 0.1, (MEETSTREAM_RATE,), mixed=False, control=True, opens=_meetstream),
}
