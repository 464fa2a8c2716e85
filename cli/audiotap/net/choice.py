"""Which bot a control client means: one rule, wherever the sessions are recorded."""

from __future__ import annotations

from collections.abc import Sequence

from audiotap.dialects import REGISTER
from audiotap.errors import NobodyError, UsageError
from audiotap.events import SessionStatus, Speak, is_meant

MOST_NAMED = 20
"""Bots that an error names."""


def choose(sessions: Sequence[SessionStatus], bot: str, *, away: bool = False, deaf: bool = False) -> SessionStatus:
    """The session that is meant; NobodyError or UsageError say what to type when it isn't clear.

    `away` takes one whose bot has no connection right now, too, and `deaf` any: nobody wants to speak to it.
    """
    meant = [one for one in sessions if is_meant(bot, one.session, one.bot)]
    exact = [one for one in meant if bot in (one.session, one.bot)]
    meant = exact or meant
    speaking = [one for one in meant if deaf or one.speaks or (away and _has_words(one))]
    if len(speaking) == 1:
        return speaking[0]
    if speaking:
        raise UsageError(f"several bots are connected: {_named(speaking)}", "choose one with --bot ID")
    if meant:
        raise _speechless(meant[0])
    if sessions and bot:
        raise NobodyError(f"no bot {bot!r} is here", f"there are: {_named(sessions)}")
    raise NobodyError("no bot is connected", "start one, or wait for one with --wait SECONDS")


def _named(sessions: Sequence[SessionStatus]) -> str:
    """The ids of some sessions."""
    ids = ", ".join(one.session for one in sessions[:MOST_NAMED])
    return f"{ids} and {len(sessions) - MOST_NAMED} more" if len(sessions) > MOST_NAMED else ids


def _has_words(one: SessionStatus) -> bool:
    """Whether its provider's bots can be spoken to at all."""
    return Speak in REGISTER[one.provider].knows


def _speechless(one: SessionStatus) -> NobodyError:
    if not _has_words(one):
        return NobodyError(
            f"{one.provider.capitalize()} bots cannot be spoken to over their websocket ({one.session})",
            "over REST they can: add --provider recall to the command" if one.provider.startswith("recall") else "",
        )
    return NobodyError(f"bot {one.session} has no connection right now", "it will be back: add --wait SECONDS")
