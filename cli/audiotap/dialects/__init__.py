"""The register of dialects: one line each, and the way to recognise one by a connection's first message."""

from __future__ import annotations

from audiotap.dialects.attendee import Attendee
from audiotap.dialects.base import Dialect, Side
from audiotap.dialects.meetingbaas import MeetingBaas
from audiotap.dialects.meetstream import MeetStream
from audiotap.dialects.recall import Recall
from audiotap.dialects.recall110 import Recall110
from audiotap.dialects.twilio import Twilio

REGISTER: dict[str, type[Dialect]] = {
    dialect.name: dialect for dialect in (Attendee, Recall, Recall110, MeetingBaas, Twilio, MeetStream)
}


def recognise(wire: str | bytes, side: Side = Side.OURS) -> Dialect | None:
    """The dialect that a connection's first message belongs to, ready to use; None if nobody claims it."""
    if isinstance(wire, bytes):
        return None
    for dialect in REGISTER.values():
        if dialect.claims(wire):
            return dialect(side)
    return None
