"""What a shell offers behind an option: bots and ports of running listeners, and profiles.

Law: somebody is in the middle of a line, so nothing is ever told but offers, and nothing is waited for long. Shells
evaluate what they are offered, and bots' ids come from a network: only plain words are offered, and no foreign text.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING

import typer

from audiotap.commands import settings
from audiotap.text import counted

if TYPE_CHECKING:
    from audiotap.events import SessionStatus

PLAIN = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
"""A word in which no shell reads anything."""

Offers = list[tuple[str, str]]
"""Words, and what is said of each."""


def offering(
    find: Callable[[typer.Context], Iterable[tuple[str, str]]],
) -> Callable[[typer.Context, str], Offers]:
    """A completion of the plain words among those that are found; nothing where finding them fails."""

    def offers(ctx: typer.Context, incomplete: str) -> Offers:
        try:
            found = dict(find(ctx))
        except Exception:  # noqa: BLE001 - whatever it is, it must not be told here
            return []
        return sorted((word, of) for word, of in found.items() if word.startswith(incomplete) and PLAIN.fullmatch(word))

    return offers


@offering
def bots(ctx: typer.Context) -> Iterator[tuple[str, str]]:
    """The bots of running listeners, or of the one on --port."""
    for session in _sessions(ctx):
        yield session.session, _described(session)


@offering
def sent_bots(ctx: typer.Context) -> Iterator[tuple[str, str]]:
    """The same by the ids with which their providers know them."""
    for session in _sessions(ctx):
        yield session.bot or session.session, _described(session)


@offering
def ports(_ctx: typer.Context) -> Iterator[tuple[str, str]]:
    """The ports of running listeners."""
    from audiotap.jobs.completion import answering

    for port, status in answering(settings.control_folder(), None):
        yield str(port), counted(len(status.sessions), "session")


@offering
def profiles(ctx: typer.Context) -> Iterator[tuple[str, str]]:
    """The profiles in the settings files."""
    for file in settings.files(settings.schema(ctx.find_root().command)):
        for name in file.profiles:
            yield name, "a profile"


def _sessions(ctx: typer.Context) -> Iterator[SessionStatus]:
    from audiotap.jobs.completion import answering

    for _, status in answering(settings.control_folder(), ctx.params.get("port")):
        yield from status.sessions


def _described(session: SessionStatus) -> str:
    return f"{session.provider}, {counted(session.connections, 'connection')}"
