"""audiotap sim: bots without a meeting and agents without an account, to test any receiver and any client with."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from audiotap.commands.agents import Vendor
from audiotap.commands.options import Program
from audiotap.commands.providers import Simulated
from audiotap.errors import UsageError

app = Program(help="Simulate bots and agents: no meeting and no account needed.", no_args_is_help=True)


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
    """Simulate bots and agents: no meeting and no account needed."""


@app.command("bot")
def bot(
    url: Annotated[str, typer.Option(help="The server to dial: ws://… or wss://…")] = "ws://127.0.0.1:8765",
    provider: Annotated[Simulated, typer.Option(help="Whose bot it is.")] = Simulated.ATTENDEE,
    file: Annotated[
        list[Path] | None, typer.Option(help="What a participant says: any audio file; once per participant.")
    ] = None,
    name: Annotated[
        list[str] | None, typer.Option(help="Their names, in the same order (default: the files').")
    ] = None,
    id: Annotated[str, typer.Option(help="The bot's id, or the recording's (Recall).")] = "sim",
    streams: Annotated[
        Streams, typer.Option(help="The mix, a stream per participant, or both, as far as the vendor has them.")
    ] = Streams.BOTH,
    rate: Annotated[
        int | None,
        typer.Option(help="Samples per second, out of the vendor's (default: its usual one).", show_default=False),
    ] = None,
    chunk: Annotated[
        float | None,
        typer.Option(help="Milliseconds per message (default: the vendor's).", min=1, show_default=False),
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
        typer.Option(help="Seconds between tries to reconnect (default: the vendor's).", min=0, show_default=False),
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
    rate = sim.rate(provider, rate)
    mixed, separate = sim.streams(
        provider, mixed=streams is not Streams.SEPARATE, separate=streams is not Streams.MIXED
    )
    script = Script(
        provider=provider.value,
        url=url,
        id=id,
        voices=sim.voices(provider, file, name or [], mute or [], rate),
        rate=rate,
        chunk=None if chunk is None else chunk / 1000,
        mixed=mixed,
        separate=separate,
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


@app.command("agent")
def agent(
    vendor: Annotated[Vendor, typer.Argument(help="Whose agent it is.", metavar="PROVIDER")],
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="Port; 0 takes a free one.", min=0, max=65535)] = 8766,
    key: Annotated[
        str, typer.Option(help="The only key that is let in (default: any, and none).", show_default=False)
    ] = "",
    file: Annotated[
        Path | None, typer.Option(help="What it answers: any audio file (default: a voice).", show_default=False)
    ] = None,
    echo: Annotated[
        bool, typer.Option("--echo", help="Answer with what the user said, without silence around.")
    ] = False,
    says: Annotated[
        str, typer.Option(help="The transcript of its answers (default: the voice's words).", show_default=False)
    ] = "",
    heard: Annotated[
        str, typer.Option(help="The transcript of what the user says (default: its length).", show_default=False)
    ] = "",
    greeting: Annotated[str, typer.Option(help="What it says first, before the user spoke.", show_default=False)] = "",
    silence: Annotated[
        float, typer.Option(help="Seconds of silence that end the user's turn, where the agent finds that.", min=0.05)
    ] = 0.5,
    think: Annotated[float, typer.Option(help="Seconds between the user's turn and its first audio.", min=0)] = 0.3,
    delta: Annotated[
        float | None,
        typer.Option(help="Milliseconds of audio per message (default: the vendor's).", min=1, show_default=False),
    ] = None,
    faster: Annotated[
        float, typer.Option(help="How much faster than real time its audio leaves; 0 for at once.", min=0)
    ] = 4.0,
    late: Annotated[int, typer.Option(help="Messages of audio that still come after an interruption.", min=0)] = 0,
    tool: Annotated[float, typer.Option(help="Seconds of a tool call before each answer; 0 for none.", min=0)] = 0.0,
    fault: Annotated[
        list[str] | None,
        typer.Option(
            help="WHAT@WHEN, repeatable: error:CODE:MESSAGE, fatal:CODE:MESSAGE (and closes), close:CODE[:REASON], cut "
            "(without a close frame), silent (says nothing more), malformed, binary, http:STATUS (refuses the next "
            "upgrade); at Ns after a connection is ready (http: after the start), or at turn:N, in its N-th answer. "
            "Once per run, or with every- in front on every connection."
        ),
    ] = None,
    limits: Annotated[
        bool, typer.Option("--limits/--no-limits", help="Keep the vendor's rate limits and time-outs.")
    ] = True,
    option: Annotated[
        list[str] | None, typer.Option(help="A switch of the vendor's server, named on its page; repeatable.")
    ] = None,
    record: Annotated[
        Path | None, typer.Option(help="Folder for what it hears: a WAV per connection.", show_default=False)
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="Events as JSON lines on stdout.")] = False,
) -> None:
    """Be a vendor's voice agent for any client: hear with a VAD, answer with a voice, be interrupted, fail on demand.

    Speaks the vendor's protocol to any number of clients at once, without a model behind it: it understands nothing,
    and answers every utterance. With --json the first line says where it listens; Ctrl-C closes all connections
    (1001), and the last line sums up.

    Examples:

      audiotap sim agent openai

      audiotap sim agent deepgram --port 0 --json --echo --record heard

      audiotap sim agent amigo --fault cut@turn:2 --fault http:503@turn:2

      audiotap sim agent openai --key secret --think 0.8 --tool 2 --late 3
    """
    from audiotap.actors import ACTORS
    from audiotap.actors.base import Script
    from audiotap.jobs import sim_agent
    from audiotap.net.agents.simulator.performance import Part

    voice, words = sim_agent.voice(file, says)
    part = Part(
        voice=voice,
        script=Script(key, greeting, tool, limits, frozenset(option or [])),
        echo=echo,
        says=says if echo else words,
        heard=heard,
        think=think,
        delta=0.0 if delta is None else delta / 1000,
        faster=faster,
        late=late,
        silence=silence,
        record=record,
    )
    raise typer.Exit(sim_agent.agent(ACTORS[vendor], part, fault or [], host=host, port=port, json=json))
