"""An Attendee and a Recall bot in two meetings at once, three participants each, one listener."""

from __future__ import annotations

import asyncio
import json
import shutil
import wave
from asyncio.subprocess import PIPE
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import soundfile
from tests.scenarios.harness import ANA, BO, CHEN, RATE, Place, Recording, sounding

PEOPLE = ("--file", ANA, "--file", BO, "--file", CHEN, "--speed", 20)
NAMES = {"100": "ana", "101": "bo", "102": "chen"}


async def test_every_sample_of_both_calls_is_in_its_file(place: Place) -> None:
    """Two providers at once become two folders whose tracks are, to the sample, what the bots sent."""
    began = datetime.now(UTC)
    listener = await place.listen()
    bots = {
        "a-1": await place.bot(listener.url, "--id", "a-1", "--names", "--record", place.folder / "a", *PEOPLE),
        "r-1": await place.bot(
            listener.url, "--id", "r-1", "--provider", "recall", "--record", place.folder / "r", *PEOPLE
        ),
    }
    summaries = {session: await bot.ended() for session, bot in bots.items()}
    ended = await listener.stop()

    assert ended.status == 0
    assert sorted(path.name.partition("_")[2] for path in place.out.iterdir()) == ["attendee_a-1", "recall_r-1"]
    for session, summary in summaries.items():
        assert summary.status == 0
        recording = await listener.finished(session)
        recording.assert_holds(summary.json)
        assert sounding(recording.samples("mixed")).size > 5 * RATE
        assert_manifest(recording, session, began)
        for track in recording.manifest["tracks"]:
            await assert_opens(recording.folder / track["file"], track["samples"])


def assert_manifest(recording: Recording, session: str, began: datetime) -> None:
    """The manifest's times are UTC, its counts those of the files."""
    manifest = recording.manifest
    started, ended = (datetime.fromisoformat(manifest[key]) for key in ("started", "ended"))
    assert began - timedelta(seconds=1) <= started <= ended <= datetime.now(UTC) + timedelta(seconds=1)
    assert started.utcoffset() == timedelta(0)
    assert recording.folder.name.startswith(f"{started:%Y%m%dT%H%M%SZ}_")
    assert (manifest["version"], manifest["session"], manifest["format"]) == (1, session, "wav")
    assert (manifest["malformed"], manifest["unknown"], manifest["lossy"]) == (0, {}, False)
    assert recording.finished["files"] == [str(recording.folder / track["file"]) for track in manifest["tracks"]]
    assert manifest["tracks"][0]["track"] == "mixed"
    assert {t["track"]: t["names"][-1] for t in manifest["tracks"] if t["kind"] == "participant"} == NAMES
    for track in manifest["tracks"]:
        assert track["rate"] == RATE
        assert track["samples"] == len(recording.samples(track["track"]))
        assert (track["late"], track["jumps"], track["missing"], track["duplicates"]) == (0, 0, 0, 0)


async def assert_opens(path: Path, samples: int) -> None:
    """Every reader sees the same mono 16-bit file."""
    info = soundfile.info(str(path))
    assert (info.format, info.subtype, info.samplerate, info.channels) == ("WAV", "PCM_16", RATE, 1)
    assert info.frames == samples
    with wave.open(str(path)) as file:
        assert (file.getframerate(), file.getnchannels(), file.getsampwidth()) == (RATE, 1, 2)
        assert file.getnframes() == samples
    if shutil.which("sox"):
        assert int(await output("sox", "--info", "-s", str(path))) == samples
    if shutil.which("ffprobe"):
        shown = json.loads(await output("ffprobe", "-v", "error", "-show_streams", "-of", "json", str(path)))
        stream = shown["streams"][0]
        assert (stream["codec_name"], stream["sample_rate"], stream["channels"]) == ("pcm_s16le", str(RATE), 1)
        assert stream["duration_ts"] == samples


async def output(*command: str) -> str:
    """What a program prints; warnings on stderr are failures too."""
    process = await asyncio.create_subprocess_exec(*command, stdout=PIPE, stderr=PIPE)
    out, err = await process.communicate()
    assert (process.returncode, err) == (0, b"")
    return out.decode()


@pytest.mark.parametrize(("rate", "chunk"), [(8000, 10), (24000, 20), (16000, 37)])
async def test_rates_and_chunk_sizes(place: Place, rate: int, chunk: int) -> None:
    """Any of Attendee's rates and any chunk size are recorded as they are."""
    listener = await place.listen()
    bot = await place.bot(
        listener.url, "--file", BO, "--rate", rate, "--chunk", chunk, "--speed", 30, "--record", place.folder / "sent"
    )
    summary = await bot.ended()
    await listener.stop()

    recording = await listener.finished("sim")
    assert recording.entry("mixed")["rate"] == rate
    recording.assert_holds(summary.json)
