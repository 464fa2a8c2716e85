"""audiotap sim: bots without a meeting, to test any receiver with."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from audiotap.commands.providers import Provider
from audiotap.errors import UsageError

app = typer.Typer(help="Simulate bots: no meeting and no account needed.", no_args_is_help=True)


class Streams(StrEnum):
    """What is subscribed."""

    BOTH = "both"
    MIXED = "mixed"
    SEPARATE = "separate"


class Platform(StrEnum):
    """Where an Attendee bot is: Meet leaves out silence and plays from a browser, Zoom does neither."""

    MEET = "meet"
    TEAMS = "teams"
    ZOOM = "zoom"


@app.callback()
def root() -> None:
    """Simulate bots: no meeting and no account needed."""


@app.command("bot")
def bot(
    url: Annotated[str, typer.Option(help="The server to dial: ws://… or wss://…")] = "ws://127.0.0.1:8765",
    provider: Annotated[Provider, typer.Option(help="Whose bot it is.")] = Provider.ATTENDEE,
    file: Annotated[
        list[Path] | None, typer.Option(help="What a participant says: any audio file; once per participant.")
    ] = None,
    name: Annotated[
        list[str] | None, typer.Option(help="Their names, in the same order (default: the files').")
    ] = None,
    id: Annotated[str, typer.Option(help="The bot's (Attendee) or recording's (Recall) id.")] = "sim",
    streams: Annotated[Streams, typer.Option(help="The mix, a stream per participant, or both.")] = Streams.BOTH,
    rate: Annotated[int, typer.Option(help="Sample rate; Attendee takes 8000, 16000, 24000; Recall 16000.")] = 16000,
    chunk: Annotated[
        float | None,
        typer.Option(help="Milliseconds per message (Attendee 10, Recall 200).", min=1, show_default=False),
    ] = None,
    speed: Annotated[float, typer.Option(help="How much faster than real time.", min=0.01)] = 1.0,
    seconds: Annotated[
        float | None,
        typer.Option(help="Length of the call (default: the longest file).", min=0, show_default=False),
    ] = None,
    loop: Annotated[bool, typer.Option("--loop", help="Repeat the files until Ctrl-C or --seconds.")] = False,
    mute: Annotated[list[str] | None, typer.Option(help="NAME:FROM-TO in seconds, e.g. ana:2-4.5; repeatable.")] = None,
    each: Annotated[
        bool, typer.Option("--each", help="Recall: a connection per participant, closed while muted.")
    ] = False,
    drop: Annotated[
        list[str] | None,
        typer.Option(
            help="AT[:AWAY], e.g. 3 or 3:12: lose all connections at that second, and the network for AWAY; repeatable."
        ),
    ] = None,
    retry: Annotated[
        float | None,
        typer.Option(help="Seconds between tries to reconnect (Attendee 10, Recall 3).", min=0, show_default=False),
    ] = None,
    platform: Annotated[Platform, typer.Option(help="Attendee: the meeting's platform.")] = Platform.MEET,
    names: Annotated[bool, typer.Option("--names", help="Attendee: send participant_name, as one fork does.")] = False,
    sequence: Annotated[bool, typer.Option("--sequence", help="Attendee: number messages, as one fork does.")] = False,
    record: Annotated[
        Path | None,
        typer.Option(help="Folder to write what was sent and what was played to.", show_default=False),
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="The summary as JSON on stdout.")] = False,
) -> None:
    """Dial a server as a bot does, send participants' audio at real pace, and write down what it is told to play.

    Reconnects as the vendor's bot does, and treats speech as Attendee does: cuts it into 100 ms, loses what is left
    over, takes no message above 1 MiB. Exit status: 0 done, 1 gave up reconnecting, 4 nobody ever answered.

    Examples:

      audiotap sim bot --file ana.wav --file bo.wav

      audiotap sim bot --provider recall --file ana.wav --mute ana:2-4 --each --drop 5

      audiotap sim bot --url wss://my-server/path --file speech.flac --loop --json
    """
    from audiotap.jobs import sim
    from audiotap.net.sim.simulator import Script

    if not file:
        raise UsageError("a bot needs something to hear", "name a file per participant: --file speech.wav")
    sim.check_rate(provider, rate)
    script = Script(
        provider=provider.value,
        url=url,
        id=id,
        voices=sim.voices(file, name or [], mute or [], rate),
        rate=rate,
        chunk=None if chunk is None else chunk / 1000,
        mixed=streams is not Streams.SEPARATE,
        separate=streams is not Streams.MIXED,
        each=each,
        drops=sim.drops(drop or []),
        speed=speed,
        seconds=seconds,
        loop=loop,
        platform=platform.value,
        names=names,
        sequence=sequence,
        retry=sim.retry(provider, retry),
        record=record,
    )
    raise typer.Exit(sim.bot(script, json=json))
