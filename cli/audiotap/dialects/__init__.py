"""The register of dialects: one line each, and the way to recognise one by a connection's beginning."""

from __future__ import annotations

from audiotap.dialects.attendee import Attendee
from audiotap.dialects.base import Dialect, Side, Wire
from audiotap.dialects.livekit import LiveKit
from audiotap.dialects.meetingbaas import MeetingBaas
from audiotap.dialects.meetstream import MeetStream
from audiotap.dialects.recall import Recall
from audiotap.dialects.recall110 import Recall110
from audiotap.dialects.twilio import Twilio
from audiotap.events import UNASKED, Asked

REGISTER: dict[str, type[Dialect]] = {
    dialect.name: dialect for dialect in (Attendee, Recall, Recall110, MeetingBaas, Twilio, MeetStream, LiveKit)
}


def recognise(wire: Wire, side: Side = Side.OURS, asked: Asked = UNASKED) -> Dialect | None:
    """The dialect of a connection, by its first message and how it was asked for; None if nobody claims it."""
    for dialect in REGISTER.values():
        if dialect.claims(wire, asked):
            return dialect(side, asked)
    return None
