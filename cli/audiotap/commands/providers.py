"""The providers, as options name them."""

from __future__ import annotations

from enum import StrEnum


class Provider(StrEnum):
    """Whose bot it is."""

    ATTENDEE = "attendee"
    RECALL = "recall"


class Ordered(StrEnum):
    """Who can be told to dial us."""

    ATTENDEE = "attendee"
    RECALL = "recall"
    TWILIO = "twilio"


class Simulated(StrEnum):
    """Whose bot is simulated: whatever can be recorded."""

    ATTENDEE = "attendee"
    RECALL = "recall"
    RECALL110 = "recall110"
    MEETINGBAAS = "meetingbaas"
    TWILIO = "twilio"
    MEETSTREAM = "meetstream"
    LIVEKIT = "livekit"
