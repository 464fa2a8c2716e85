"""audiotap tail: hear a track while it is recorded."""

from __future__ import annotations

from typing import Annotated

import typer

from audiotap.commands.control import Fleet, Port, Wait, target


def tail(
    bot: Annotated[
        str, typer.Argument(help="The bot's id, or its beginning; needed where there are several.", show_default=False)
    ] = "",
    track: Annotated[str, typer.Option(help="mixed, spoken, or a participant's id or name.")] = "mixed",
    port: Port = None,
    fleet: Fleet = "",
    wait: Wait = 0.0,
) -> None:
    """Write a track's bare S16LE samples to stdout while it is recorded.

    Any number of listeners at once; one that reads too slowly misses samples, and nobody else does. With --fleet it
    goes on when the bot connects to another node. It ends with the session.

    Examples:

      audiotap tail | ffplay -f s16le -ar 16000 -

      audiotap tail bot_1 --track Ana --fleet nats://nats.internal:4222 > ana.s16le
    """
    from audiotap.jobs import tail as job

    raise typer.Exit(job.tail(target(bot, port, wait, away=True, deaf=True, fleet=fleet), track))
