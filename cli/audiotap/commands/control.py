"""audiotap speak, pause, stop, status: control a running listener."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from audiotap.commands import completion, settings
from audiotap.commands.bot import Timeout, rest_access
from audiotap.commands.options import check_fleet
from audiotap.commands.providers import Provider
from audiotap.errors import UsageError

if TYPE_CHECKING:
    from audiotap.net.control.remote import Target
    from audiotap.net.rest.base import Access

Bot = Annotated[
    str,
    typer.Option(
        help="The bot's id, or its beginning; needed where there are several.", autocompletion=completion.bots
    ),
]
Port = Annotated[
    int | None,
    typer.Option(help="The listener's port; needed where there are several.", autocompletion=completion.ports),
]
Fleet = Annotated[
    str,
    typer.Option(
        help="NATS servers of a fleet: the bot is reached on whichever machine it is; or AUDIOTAP_FLEET.",
        show_default=False,
    ),
]
Wait = Annotated[float, typer.Option(help="Seconds to wait for a bot to be there (not over REST).", min=0)]
Whose = Annotated[
    Provider | None,
    typer.Option(
        "--provider",
        help="recall goes over REST with RECALL_API_KEY, since Recall's websocket takes no speech.",
        show_default=False,
    ),
]
Region = Annotated[
    str,
    typer.Option(
        "--api", help="With --provider recall: its region, such as us-west-2, or a URL (default: RECALL_API_URL)."
    ),
]
Json = Annotated[bool, typer.Option("--json", help="The result as JSON on stdout.")]


def speak(
    file: Annotated[str, typer.Argument(help="An audio file, or - for standard input.")],
    bot: Bot = "",
    port: Port = None,
    wait: Wait = 0.0,
    raw: Annotated[
        int | None, typer.Option(help="Standard input is bare mono S16LE at this rate.", min=1000, max=384000)
    ] = None,
    provider: Whose = None,
    api: Region = "",
    timeout: Timeout = 30.0,
    fleet: Fleet = "",
    json: Json = False,
) -> None:
    """Play an audio file into the meeting through a bot.

    Any rate and channel count; WAV, FLAC, OGG, MP3, AIFF. It returns when the last block has had time to play; Ctrl-C
    stops what is queued. Several speaks to one bot queue up.

    To a Recall bot it is sent as one MP3 of at most two minutes; nobody tells when that was played.

    Examples:

      audiotap speak hello.wav

      espeak-ng "hello" --stdout | audiotap speak -

      ffmpeg -i song.m4a -f s16le -ac 1 -ar 16000 - | audiotap speak - --raw 16000

      audiotap speak hello.wav --provider recall --bot 6e1f5adb-3340-4f50-900d-9aa2cdc53d6c
    """
    if provider is Provider.RECALL:
        from audiotap.jobs import recall_speech

        recall_speech.speak(file, raw, target(bot, port, wait), rest_access(provider, api, timeout), json=json)
        return
    from audiotap.jobs import speak

    speak.speak(file, raw, target(bot, port, wait, fleet=fleet), json=json)


def pause(
    milliseconds: Annotated[float, typer.Argument(help="How long, from now; 0 resumes at once.", min=0)],
    bot: Bot = "",
    port: Port = None,
    wait: Wait = 0.0,
    spelling: Annotated[
        str, typer.Option(help="The word that a fork of Attendee has for it (default: pause_current_lecture).")
    ] = "",
    provider: Whose = None,
    api: Region = "",
    timeout: Timeout = 30.0,
    fleet: Fleet = "",
    json: Json = False,
) -> None:
    """Hold what is being spoken: our queue waits, and the bot is told.

    The last word wins. Nothing is dropped, except with --provider recall, whose bots can only stop.

    Examples:

      audiotap pause 2000

      audiotap pause 800 --spelling realtime_audio.interrupt_current_lecture
    """
    if provider is Provider.RECALL:
        if not milliseconds:
            raise UsageError("a Recall bot cannot go on with what it was playing", "speak it again")
        _stop_recall(target(bot, port, 0.0), rest_access(provider, api, timeout), json=json)
        return
    from audiotap.events import Pause
    from audiotap.jobs import control

    control.pause(Pause(milliseconds / 1000, spelling), target(bot, port, wait, away=True, fleet=fleet), json=json)


def stop(
    bot: Bot = "",
    port: Port = None,
    provider: Whose = None,
    api: Region = "",
    timeout: Timeout = 30.0,
    fleet: Fleet = "",
    json: Json = False,
) -> None:
    """Drop what is queued for a bot, and what waits behind it.

    Example:

      audiotap stop
    """
    if provider is Provider.RECALL:
        _stop_recall(target(bot, port, 0.0), rest_access(provider, api, timeout), json=json)
        return
    from audiotap.jobs import control

    control.stop(target(bot, port, 0.0, away=True, fleet=fleet), json=json)


def status(port: Port = None, fleet: Fleet = "", json: Json = False) -> None:
    """List running listeners, or the nodes of a fleet, with their sessions, tracks, seconds and queues.

    Examples:

      audiotap status

      audiotap status --json
    """
    from audiotap.jobs import control

    control.status(target("", port, 0.0, fleet=fleet), json=json)


def target(
    bot: str, port: int | None, wait: float, *, away: bool = False, deaf: bool = False, fleet: str = ""
) -> Target:
    """Which bot is meant, and where it is looked for."""
    from audiotap.net.control.remote import Target

    if fleet:
        check_fleet(fleet)
        if port is not None:
            raise UsageError("--port is a listener's on this machine", "leave it out, or give --fleet ''")
    return Target(settings.control_folder(), port, bot, wait, away, deaf, fleet)


def _stop_recall(target: Target, access: Access, *, json: bool) -> None:
    from audiotap.jobs import recall_speech

    recall_speech.stop(target, access, json=json)
