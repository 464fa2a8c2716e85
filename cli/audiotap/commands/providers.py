"""The providers, as options name them."""

from __future__ import annotations

from enum import StrEnum


class Provider(StrEnum):
    """Whose bot it is."""

    ATTENDEE = "attendee"
    RECALL = "recall"
