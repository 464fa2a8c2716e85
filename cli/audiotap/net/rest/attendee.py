"""Attendee's REST interface, by `docs/openapi.yml` of attendee-labs/attendee."""

from __future__ import annotations

from contextlib import suppress
from typing import Any, ClassVar
from urllib.parse import parse_qs, urlsplit

import msgspec

from audiotap.errors import UsageError
from audiotap.net.reach import unreachable
from audiotap.net.rest.base import Rest, Streams, with_path
from audiotap.text import without_path

MIXED_RATES = (8000, 16000, 24000)
SEPARATE_RATES = (8000, 16000)
MOST_PAGES = 40
"""Of participants, 25 on each."""


class Participant(msgspec.Struct, frozen=True):
    """Somebody in the meeting; `uuid` is what audio messages call `participant_uuid`."""

    uuid: str | None = None
    name: str | None = None


class Page(msgspec.Struct, frozen=True):
    """A part of the list of participants; `next` has the cursor of the part that follows."""

    results: tuple[msgspec.Raw, ...]
    next: str | None = None

    def names(self) -> dict[str, str]:
        """By what audio messages call them; who is odd, or has no name yet, is left out."""
        found = {}
        for raw in self.results:
            with suppress(msgspec.MsgspecError, UnicodeError, RecursionError):
                one = msgspec.json.decode(raw, type=Participant)
                if one.uuid and one.name:
                    found[one.uuid] = one.name
        return found

    def cursor(self) -> str:
        """Of the part that follows; empty where none does."""
        try:
            return parse_qs(urlsplit(self.next or "").query).get("cursor", [""])[0]
        except ValueError:
            return ""


class AttendeeRest(Rest):
    """Attendee, hosted or your own."""

    name: ClassVar = "Attendee"
    home: ClassVar = "https://app.attendee.dev"
    variable: ClassVar = "ATTENDEE_API_KEY"
    authorization: ClassVar = "Token {}"
    bots: ClassVar = "/api/v1/bots"

    @classmethod
    def subscription(cls, streams: Streams) -> dict[str, Any]:
        """`websocket_settings`; equal urls share one connection."""
        if not streams.url.lower().startswith("wss://"):
            raise unreachable(f"Attendee takes wss:// only, and {without_path(streams.url)} is not that", streams.url)
        _check_rate(streams)
        if streams.threshold is not None and not streams.mixed:
            raise UsageError("a threshold is for the mix, which --separate leaves out", "add --mixed, or leave one out")
        stream = {"url": with_path(streams.url), "sample_rate": streams.rate}
        threshold = {} if streams.threshold is None else {"threshold": streams.threshold}
        settings = {}
        if streams.mixed:
            settings["audio"] = stream | threshold
        if streams.separate:
            settings["per_participant_audio"] = stream
        return {"websocket_settings": settings}

    async def leave(self, bot: str) -> None:
        """Have a bot leave its meeting."""
        await self.insist(type(None), "POST", self.path(bot, "leave"))

    async def participants(self, bot: str) -> dict[str, str]:
        """The names of those in a meeting, by what audio messages call them.

        Only the cursor is taken from the link to the next page: behind a proxy its host may be another one, and the key
        must not go there.
        """
        names: dict[str, str] = {}
        cursors = [""]
        while len(cursors) <= MOST_PAGES:
            query = {"cursor": cursors[-1]} if cursors[-1] else {}
            page = await self.ask(Page, self.path(bot, "participants"), query)
            names |= page.names()
            cursor = page.cursor()
            if cursor in cursors:
                break
            cursors.append(cursor)
        return names


def _check_rate(streams: Streams) -> None:
    rates = SEPARATE_RATES if streams.separate else MIXED_RATES
    if streams.rate in rates:
        return
    what = "participants" if streams.separate else "the mix"
    more = ", or add --mixed to have the mix only" if streams.rate in MIXED_RATES else ""
    raise UsageError(
        f"Attendee sends {what} at {' or '.join(map(str, rates))} Hz, not at {streams.rate}",
        f"choose --rate out of {', '.join(map(str, rates))}{more}",
    )
