"""One track as bare samples: on a pipe with --stdout, in a file with --format bin."""

from __future__ import annotations

import asyncio
import os
import shlex
import shutil
from asyncio.subprocess import DEVNULL, PIPE
from pathlib import Path

import numpy as np
from tests.scenarios.harness import (
    ANA,
    BO,
    DEADLINE,
    RATE,
    Place,
    Running,
    assert_same,
    attendee,
    call,
    chunks,
    ramp,
    read,
)


async def piped(place: Place, *options: str, stdout: int) -> tuple[Running, str]:
    """A listener that writes samples to a descriptor, and its URL."""
    listener = await place.start(
        "listen", "--port", 0, "--out", place.out, "--linger", 0.1, "--stdout", *options, stdout=stdout
    )
    return listener, (await listener.says(r"listening on (ws://\S+),"))[1]


async def test_the_pipe_has_the_mixed_tracks_samples(place: Place) -> None:
    """What comes out of --stdout is mixed.wav without its header; holes are silence; talk is on stderr."""
    listener, url = await piped(place, stdout=PIPE)
    sound = ramp(2)
    pieces = [attendee(piece, (n + 1) / 10) for n, piece in enumerate(chunks(sound))]
    await call(url, *pieces[:10], *pieces[15:], attendee(ramp(0.5), 1.5, "ana"))
    await listener.says("session finished")
    ended = await listener.stop()

    sound[RATE : RATE * 3 // 2] = 0
    assert_same(np.frombuffer(ended.out, dtype="<i2"), sound)
    assert_same(read(next(place.out.glob("*/mixed.wav"))), sound)


async def test_a_participants_track_by_name(place: Place) -> None:
    """--track takes an id or a display name."""
    listener, url = await piped(place, "--track", "bo", stdout=PIPE)
    bot = await place.bot(url, "--file", ANA, "--file", BO, "--provider", "recall", "--speed", 20)
    await bot.ended()
    await listener.says("session finished")
    ended = await listener.stop()
    assert_same(np.frombuffer(ended.out, dtype="<i2"), read(next(place.out.glob("*/101_bo.wav"))))


async def test_a_reader_that_goes_away(place: Place) -> None:
    """Only that output stops: it is told of, the recording goes on, and the exit status is 0."""
    reading, writing = os.pipe()
    listener, url = await piped(place, stdout=writing)
    os.close(writing)
    sound = ramp(30)
    pieces = [attendee(piece, float(n + 1)) for n, piece in enumerate(chunks(sound, 1))]
    await call(url, *pieces[:2])
    begun = await asyncio.wait_for(asyncio.to_thread(os.read, reading, 1000), DEADLINE)
    os.close(reading)
    await call(url, *pieces[2:])
    await listener.says("the reader is gone")
    await listener.says("session finished")
    ended = await listener.stop()

    assert begun == sound.tobytes()[: len(begun)]
    assert_same(read(next(place.out.glob("*/mixed.wav"))), sound)
    assert "Traceback" not in ended.err
    assert ended.status == 0


async def test_a_reader_that_never_reads(place: Place) -> None:
    """A full pipe holds up neither the recording nor the end."""
    never_read, stdout = os.pipe()
    listener, url = await piped(place, stdout=stdout)
    os.close(stdout)
    sound = ramp(10)
    await call(url, *(attendee(piece, (n + 1) / 10) for n, piece in enumerate(chunks(sound))))
    await listener.says("session finished")
    ended = await listener.stop()
    os.close(never_read)
    assert ended.status == 0
    assert_same(read(next(place.out.glob("*/mixed.wav"))), sound)


async def test_bare_samples_in_files(place: Place) -> None:
    """--format bin writes what the WAV would hold, and prints the command that plays it."""
    listener = await place.listen("--format", "bin")
    bot = await place.bot(
        listener.url, "--file", ANA, "--file", BO, "--names", "--speed", 20, "--record", place.folder / "sent"
    )
    summary = (await bot.ended()).json
    assert (await listener.stop()).status == 0

    recording = await listener.finished("sim")
    assert recording.manifest["format"] == "bin"
    assert {path.name for path in recording.folder.iterdir()} == {
        *("mixed.bin", "100_ana.bin", "101_bo.bin", "manifest.json"),
    }
    origin = min(track["first"] for track in summary["sent"])
    for track in summary["sent"]:
        path = recording.file(track["track"])
        assert_same(np.fromfile(path, dtype="<i2"), read(Path(track["file"]))[origin:])
        (told,) = listener.told("track.finished", track=track["track"])
        assert await decoded(told["play"], path) in (None, path.read_bytes())


async def decoded(play: str, path: Path) -> bytes | None:
    """What ffmpeg reads by the options of an ffplay command; None where there is no ffmpeg."""
    player, *options, file = shlex.split(play)
    assert (player, file) == ("ffplay", str(path))
    if shutil.which("ffmpeg") is None:
        return None
    process = await asyncio.create_subprocess_exec(
        *("ffmpeg", "-v", "error", *options, "-i", file, "-f", "s16le", "-ac", "1", "-"), stdout=PIPE, stdin=DEVNULL
    )
    out, _ = await process.communicate()
    assert process.returncode == 0
    return out


async def test_the_play_command_is_printed(place: Place) -> None:
    """The same in plain words."""
    listener = await place.start(
        "listen", "--port", 0, "--out", place.out, "--linger", 0.1, "--format", "bin", "--output", "plain"
    )
    url = (await listener.says(r"listening on (ws://\S+),"))[1]
    await call(url, attendee(ramp(1), 1.0))
    await listener.says(r"play it: ffplay -f s16le -ar 16000 .*/mixed\.bin")
    await listener.stop()


async def test_stdout_wants_to_be_alone(place: Place) -> None:
    """Samples and JSON lines cannot share stdout: exit status 2."""
    ended = await place.run("listen", "--stdout", "--json")
    assert (ended.status, ended.out) == (2, b"")
    assert "--stdout" in ended.err
    ended = await place.run("listen", "--track", "ana")
    assert ended.status == 2
    assert "--stdout" in ended.err
