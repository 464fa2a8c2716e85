"""audiotap mix: a recorded session as one audio file."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer


class Layout(StrEnum):
    """What becomes a channel."""

    STEREO = "stereo"
    TRACKS = "tracks"
    MONO = "mono"


class Format(StrEnum):
    """The file's encoding."""

    WAV = "wav"
    FLAC = "flac"
    OGG = "ogg"
    MP3 = "mp3"
    OPUS = "opus"


def mix(
    dir: Annotated[
        Path, typer.Argument(metavar="DIR", help="A session's folder; of a folder of recordings, the newest session.")
    ],
    layout: Annotated[
        Layout,
        typer.Option(
            "--as", help="The meeting left and what was spoken right; a channel per track; everybody in one channel."
        ),
    ] = Layout.STEREO,
    format: Annotated[Format, typer.Option(help="How the file is encoded.")] = Format.WAV,
    out: Annotated[
        Path | None, typer.Option(help="The file (default: beside the folder, called like it).", show_default=False)
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="What was written as JSON on stdout.")] = False,
) -> None:
    """Put the tracks of a session into one file: stereo, a channel per track, or mono.

    Where tracks are added up and the sum would clip, the whole file is turned down evenly. A conversation with an agent
    has the user left and the agent right. Nothing of the recording is touched.

    Examples:

      audiotap mix recordings

      audiotap mix --as mono --format opus recordings/20261121T080340Z_attendee_bot_1
    """
    from audiotap.jobs import mix

    raise typer.Exit(mix.mix(dir, mix.Layout(layout.value), format.value, out, json=json))
