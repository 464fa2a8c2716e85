"""The work of `audiotap bot` and `audiotap url`, and what else is asked of providers over REST."""

from __future__ import annotations

import re
from collections.abc import Coroutine, Sequence
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlsplit
from xml.sax.saxutils import quoteattr

import msgspec
import typer

from audiotap.dialects.twilio import Twilio
from audiotap.errors import InterruptedRunError, UsageError
from audiotap.jobs.output import emit, talk
from audiotap.jobs.running import Signals, run
from audiotap.net.control.remote import bots_url, statuses
from audiotap.net.peer import check_url
from audiotap.net.reach import Reach, check_reach, reach
from audiotap.net.rest.attendee import AttendeeRest
from audiotap.net.rest.base import Access, Created, Rest, Streams
from audiotap.net.rest.recall import RecallRest
from audiotap.net.tasks import first_of
from audiotap.text import is_text, printable, without_path

T = TypeVar("T")
TWIML = """<?xml version="1.0" encoding="UTF-8"?>
<Response>
  <Connect>
    <Stream url={url} />
  </Connect>
</Response>"""
"""What a number or a call is to be answered with, so that both sides can speak."""
PROVIDERS: dict[str, type[Rest]] = {"attendee": AttendeeRest, "recall": RecallRest}


def create(
    provider: str,
    access: Access,
    meeting: str,
    name: str,
    streams: Streams,
    listener: tuple[Path, int | None],
    *,
    json: bool,
) -> None:
    """Create a bot and print its id; AudiotapError when the provider, or the listener, is not there or says no."""
    rest = PROVIDERS[provider](access, talk)
    if not is_link(meeting):
        raise UsageError(f"{meeting} is no meeting's link", "copy the whole link, with https://")
    if not is_text(name):
        raise UsageError(f"--name {name} is no text in UTF-8", "give the bot another name")
    streams = run(_addressed(streams, *listener))
    check_reach(streams.url, f"{rest.name}'s bots", _whence(provider, access.api))
    rest.subscription(streams)
    created = run(_create(rest, meeting, name, streams))
    if json:
        emit(_essentials(provider, created, streams))
    else:
        typer.echo(printable(created.id))
        talk(f"{rest.name} sends {printable(created.id)}; take it out: audiotap bot leave {printable(created.id)}")


def leave(provider: str, access: Access, bot: str, *, json: bool) -> None:
    """Have a bot leave."""
    rest = PROVIDERS[provider](access, talk)
    run(_leave(rest, bot))
    if json:
        emit({"provider": provider, "id": bot, "leaving": True})
    else:
        talk(f"{rest.name} has {printable(bot)} leave the meeting")


def show_url(provider: str, api: str, streams: Streams, folder: Path, port: int | None) -> None:
    """Print the listener's URL, or what makes a provider's bot dial it."""
    if provider not in PROVIDERS and streams != Streams(streams.url):
        raise UsageError(
            "--mixed, --separate, --rate and --threshold belong into an order for a bot",
            "add --for attendee or --for recall, or leave them out",
        )
    streams = run(_addressed(streams, folder, port))
    if not provider:
        check_reach(streams.url, "bots", Reach.HERE)
        typer.echo(streams.url)
        return
    check_reach(streams.url, provider.capitalize(), _whence(provider, api))
    if provider == Twilio.name:
        typer.echo(TWIML.format(url=quoteattr(streams.url)))
        return
    part = msgspec.json.encode(PROVIDERS[provider].subscription(streams))
    typer.echo(msgspec.json.format(part, indent=2).decode())


def provider_of(bot: str) -> str:
    """Whose bot an id belongs to, by its form."""
    if bot.startswith("bot_"):
        return "attendee"
    if re.fullmatch(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}", bot):
        return "recall"
    raise UsageError(f"{bot} looks like no provider's bot", "say whose it is: --provider attendee or recall")


def is_link(text: str) -> bool:
    """Whether somebody can be sent there."""
    try:
        parts = urlsplit(text)
    except ValueError:
        return False
    return parts.scheme in {"http", "https"} and bool(parts.hostname) and text.isprintable() and " " not in text


async def unless_interrupted(work: Coroutine[Any, Any, T], otherwise: str) -> T:
    """The work's result; InterruptedRunError with `otherwise` when a signal comes first."""
    signals = Signals()
    done: list[T] = []

    async def noted() -> None:
        done.append(await work)

    await first_of(noted(), signals.asked.wait())
    if not done:
        raise InterruptedRunError(f"interrupted: {otherwise}")
    return done[0]


async def _addressed(streams: Streams, folder: Path, port: int | None) -> Streams:
    """Streams with the URL that was given, or else the running listener's."""
    if not streams.url:
        return msgspec.structs.replace(streams, url=await bots_url(folder, port))
    check_url(streams.url)
    if doubt := doubted(streams.url, [status.address for _, status in await statuses(folder, port)]):
        talk(f"warning: {doubt}")
    return streams


def doubted(url: str, addresses: Sequence[str]) -> str:
    """What speaks against a URL, if listeners run here, and bots are to dial these addresses; nothing if one fits."""
    if not addresses or any(_fits(url, address) for address in addresses):
        return ""
    host = urlsplit(url).netloc
    if any(urlsplit(address).netloc == host for address in addresses):
        return (
            f"no bot is let in at {without_path(url)} without the secret: leave the URL out, and the listener tells it"
        )
    return (
        f"no listener here knows that bots reach it at {host}, so it keeps them out, or lets everybody in: "
        f"audiotap listen --public-url wss://{host}/, and leave the URL out here"
    )


def _fits(url: str, address: str) -> bool:
    """Whether a URL is a listener's address; one that has no public URL is known by the secret alone."""
    theirs, ours = urlsplit(url), urlsplit(address)
    secret = ours.path.rstrip("/").rpartition("/")[2]
    same_host = theirs.netloc == ours.netloc or (secret and reach(address) < Reach.NEAR)
    return bool(same_host) and theirs.path.rstrip("/").rpartition("/")[2] == secret


def _whence(provider: str, api: str) -> Reach:
    """From how far away a provider's bots dial; those of an Attendee of our own from as near as that is."""
    own = provider == "attendee" and api.rstrip("/") not in {"", AttendeeRest.home}
    return min(reach(api), Reach.NEAR) if own else Reach.ANYWHERE


async def _create(rest: Rest, meeting: str, name: str, streams: Streams) -> Created:
    async with rest:
        return await unless_interrupted(rest.create(meeting, name, streams), "the bot may be on its way all the same")


async def _leave(rest: Rest, bot: str) -> None:
    async with rest:
        await unless_interrupted(rest.leave(bot), "the bot may leave all the same")


def _essentials(provider: str, created: Created, streams: Streams) -> dict[str, object]:
    """What a script needs; no URL, which may hold secrets."""
    return {
        "provider": provider,
        "id": created.id,
        "state": created.state,
        "mixed": streams.mixed,
        "separate": streams.separate,
        "rate": streams.rate,
    }
