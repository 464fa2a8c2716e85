"""The work of `audiotap pause`, `stop` and `status`: control a running listener."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractAsyncContextManager

import msgspec
import typer

from audiotap.errors import AudiotapError, NobodyError
from audiotap.events import Pause, SessionStatus, Status
from audiotap.jobs.output import emit, talk, tell_plain
from audiotap.jobs.running import run
from audiotap.net.control import remote
from audiotap.net.control.remote import Attachment, Target
from audiotap.reports import Odd
from audiotap.text import counted, printable


def pause(pause: Pause, target: Target, *, json: bool) -> None:
    """Pause, and say whether the bot was told."""
    session, told = run(_pause(pause, target))
    if json:
        emit({"session": session, "paused": pause.seconds, "told": told})
    else:
        known = "the bot was told" if told else "the bot has no word for it"
        talk(f"paused {printable(session)} for {pause.seconds:g} s: our queue holds, {known}")


def stop(target: Target, *, json: bool) -> None:
    """Stop, and say how much was dropped."""
    session, dropped = run(_stop(target))
    if json:
        emit({"session": session, "dropped": round(dropped, 3)})
    else:
        talk(f"stopped {printable(session)}: {dropped:.1f} s in our queue dropped")


def status(target: Target, *, json: bool) -> None:
    """List listeners and sessions on stdout; NobodyError when there is no listener."""
    running, troubles = run(_statuses(target))
    if json:
        emit([_told(one) for one in running])
    if not running:
        raise next(iter(troubles), NobodyError("no listener is running", "start one: audiotap listen"))
    for trouble in troubles:
        tell_plain(Odd(f"{trouble.message}; {trouble.hint}"))
    if json:
        return
    for one in running:
        refused = sum(one.refused.values())
        typer.echo(f"{one.url}: {counted(len(one.sessions), 'session')}{f', {refused} refused' if refused else ''}")
        for session in one.sessions:
            for line in _session_lines(session):
                typer.echo(line)


async def _statuses(target: Target) -> tuple[list[Status], list[AudiotapError]]:
    """All listeners of this user, or all nodes of a fleet, and what is wrong with those that don't answer."""
    if target.fleet:
        from audiotap.net.fleet.remote import statuses

        return await statuses(target.fleet), []
    running, troubles = await remote.answers(target.folder, target.port)
    return [status for _, status in running], troubles


def attached(target: Target) -> AbstractAsyncContextManager[Attachment]:
    """A connection to the bot that is meant, here or anywhere in a fleet."""
    if target.fleet:
        from audiotap.net.fleet.remote import attached

        return attached(target)
    return remote.attached(target)


def _told(status: Status) -> dict[str, object]:
    """All but the address, which has the secret, and the identity, which is for proofs."""
    hidden = {"address", "identity"}
    return {name: value for name, value in msgspec.structs.asdict(status).items() if name not in hidden}


async def _pause(pause: Pause, target: Target) -> tuple[str, bool]:
    async with attached(target) as attachment:
        done = await attachment.pause(pause)
    return attachment.to.session, done.told


async def _stop(target: Target) -> tuple[str, float]:
    async with attached(target) as attachment:
        done = await attachment.stop()
    return attachment.to.session, done.seconds


def _session_lines(session: SessionStatus) -> Iterator[str]:
    bot = f" (bot {printable(session.bot)})" if session.bot else ""
    queue = f", {session.queue:.1f} s queued" if session.queue else ""
    connections = counted(session.connections, "connection")
    yield f"  {session.provider} {printable(session.session)}{bot}: {session.seconds:.1f} s, {connections}{queue}"
    for track in session.tracks:
        name = f" {printable(track.name)}" if track.name else ""
        yield f"    {printable(track.track)}{name}: {track.seconds:.1f} s at {track.rate} Hz"
