"""Bad input over a real socket: it gets a clear answer, and the good audio around it is intact."""

from __future__ import annotations

import json
import struct
from typing import Any

import numpy as np
import pytest
from tests.scenarios.harness import (
    RATE,
    Ended,
    Listener,
    Place,
    Recording,
    assert_same,
    attendee,
    b64,
    call,
    chunks,
    ramp,
    recall,
    tone,
)

SOUND = tone(1)


async def hear(place: Place, *wires: str | bytes, session: str = "bot_1") -> tuple[Recording, Listener, Ended]:
    """What one connection with these messages becomes."""
    listener = await place.listen("--linger", 0.1)
    await call(listener.url, *wires)
    recording = await listener.finished(session)
    return recording, listener, await listener.stop()


def good(bot: str = "bot_1", **data: Any) -> list[str]:
    """The sound as a well-behaved bot sends it."""
    return [attendee(piece, (n + 1) / 10, bot=bot, **data) for n, piece in enumerate(chunks(SOUND))]


def between(wires: list[str], *bad: str | bytes) -> list[str | bytes]:
    """Bad messages in the middle of good ones."""
    return [*wires[:5], *bad, *wires[5:]]


def broken(**data: Any) -> str:
    """A mixed message with something wrong in its data."""
    return attendee(SOUND, 0.5, **data)


@pytest.mark.parametrize(
    "bad",
    [
        pytest.param("", id="empty"),
        pytest.param("not JSON", id="no JSON"),
        pytest.param('{"trigger": "realtime_audio.mixed", "bot_id": "bot_1"', id="cut short"),
        pytest.param("[1, 2]", id="an array"),
        pytest.param("[" * 100_000, id="too deep"),
        pytest.param("null", id="null"),
        pytest.param('{"bot_id": "bot_1"}', id="no trigger"),
        pytest.param(broken(chunk="!!! no base64 !!!"), id="bad base64"),
        pytest.param(broken(chunk="QUJ"), id="base64 cut short"),
        pytest.param(broken(chunk=17), id="a number as chunk"),
        pytest.param(broken(chunk=None), id="no chunk"),
        pytest.param(broken(sample_rate=0), id="rate 0"),
        pytest.param(broken(sample_rate=-16000), id="negative rate"),
        pytest.param(broken(sample_rate=10**12), id="absurd rate"),
        pytest.param(broken(sample_rate="fast"), id="a word as rate"),
        pytest.param(broken(timestamp_ms="now"), id="a word as time"),
        pytest.param(
            json.dumps(
                {"trigger": "realtime_audio.per_participant", "bot_id": "bot_1", "data": {"chunk": b64(SOUND)}},
            ),
            id="nobody's audio",
        ),
        pytest.param(b"\x00\x01" * 160, id="binary"),
        pytest.param(b"", id="empty binary"),
        pytest.param(good()[0].encode(), id="text as binary"),
    ],
)
async def test_malformed_messages_are_counted_and_cost_nothing_else(place: Place, bad: str | bytes) -> None:
    """Each is counted, the first one told; the connection lives, every good sample is there, and the status is 6."""
    recording, listener, ended = await hear(place, *between(good(), bad, bad, bad))

    assert_same(recording.samples("mixed"), SOUND)
    assert recording.manifest["malformed"] == 3
    assert recording.manifest["connections"] == 1
    assert recording.manifest["lossy"]
    assert len([warning for warning in listener.warnings() if "malformed" in warning]) == 1
    assert "Traceback" not in ended.err
    assert ended.status == 6


@pytest.mark.parametrize("bad", ['{"event": "audio_mixed_raw.data"}', recall(SOUND, 0.5).replace('"buffer"', '"b"')])
async def test_malformed_recall_messages(place: Place, bad: str) -> None:
    """The same for Recall."""
    wires = [recall(piece, n / 10) for n, piece in enumerate(chunks(SOUND))]
    recording, _, ended = await hear(place, *between(wires, bad), session="rec")

    assert_same(recording.samples("mixed"), SOUND)
    assert recording.manifest["malformed"] == 1
    assert ended.status == 6


async def test_half_samples_are_joined(place: Place) -> None:
    """A bot that always cuts inside a sample: the sound is whole again, and that it always does is told besides."""
    pcm = SOUND.tobytes()
    wires = [
        attendee(pcm[start : start + 641], (start + 641) / 2 / RATE, sample_rate=RATE)
        for start in range(0, len(pcm), 641)
    ]
    recording, listener, ended = await hear(place, *wires)

    assert_same(recording.samples("mixed"), SOUND)
    entry = recording.entry("mixed")
    assert entry["odd_bytes_kept"] > 10
    assert entry["odd_bytes_dropped"] == 0
    assert [warning.split(" of bytes")[0] for warning in listener.warnings()] == [
        "chunks with an odd number",
        "every chunk has an odd number",
    ]
    assert ended.status == 0


async def test_a_stray_byte_is_dropped_and_never_noise(place: Place) -> None:
    """A single byte too many goes, with a count; what follows is sound and not full-scale noise."""
    pieces = [piece.tobytes() for piece in chunks(SOUND)]
    pieces[4] += b"\x55"
    recording, _, _ = await hear(place, *(attendee(pcm, (n + 1) / 10) for n, pcm in enumerate(pieces)))

    assert_same(recording.samples("mixed"), SOUND)
    assert recording.entry("mixed")["odd_bytes_dropped"] == 1


@pytest.mark.parametrize("every", [False, True])
async def test_a_wav_header_inside_a_chunk_is_cut_out(place: Place, every: bool) -> None:
    """Attendee's documentation shows a chunk that is a whole WAV file: its header is no sound, and is told of once."""
    header = struct.pack(
        *("<4sI4s4sIHHIIHH4sI", b"RIFF", 3236, b"WAVE", b"fmt ", 16, 1, 1, RATE, 2 * RATE, 2, 16, b"data", 3200),
    )
    wires = [
        attendee(header + piece.tobytes() if every or not n else piece, (n + 1) / 10)
        for n, piece in enumerate(chunks(SOUND))
    ]
    recording, listener, _ = await hear(place, *wires)

    assert_same(recording.samples("mixed"), SOUND)
    assert recording.entry("mixed")["riff_headers"] == (10 if every else 1)
    assert sum("WAV header" in warning for warning in listener.warnings()) == 1


async def test_a_rate_that_changes_is_resampled_to_the_tracks(place: Place) -> None:
    """The file keeps its first rate and the sound its pitch and place; the change is noted."""
    slow = tone(1, 8000)
    wires = [
        *good(),
        *(attendee(slow[n * 800 : (n + 1) * 800], 1.1 + n / 10, sample_rate=8000) for n in range(10)),
        *(attendee(piece, 2.1 + n / 10) for n, piece in enumerate(chunks(SOUND))),
    ]
    recording, listener, ended = await hear(place, *wires)

    samples = recording.samples("mixed").astype(np.int32)
    assert recording.entry("mixed")["rate"] == RATE
    assert recording.entry("mixed")["rate_changes"] == 2
    assert abs(len(samples) - 3 * RATE) <= RATE // 100
    assert_same(samples[:RATE].astype(np.int16), SOUND)
    assert_same(samples[-RATE:].astype(np.int16), SOUND)
    middle = slice(RATE + 1000, 2 * RATE - 1000)
    spectrum = np.abs(np.fft.rfft(samples[middle]))
    assert abs(spectrum.argmax() * RATE / len(samples[middle]) - 440) < 5
    assert np.abs(samples[middle]).max() < 8100
    assert any("rate changed" in warning for warning in listener.warnings())
    assert ended.status == 0


async def test_a_rate_that_stays_changed_loses_no_end(place: Place) -> None:
    """What the resampler still holds when the session ends is written, too."""
    slow = tone(1, 8000)
    wires = [attendee(slow[n * 800 : (n + 1) * 800], 1.1 + n / 10, sample_rate=8000) for n in range(10)]
    recording, _, _ = await hear(place, *good(), *wires)
    assert abs(len(recording.samples("mixed")) - 2 * RATE) <= RATE // 1000
    assert np.abs(recording.samples("mixed")[-RATE // 20 :]).max() > 7000


async def test_a_missing_sample_rate_is_16000(place: Place) -> None:
    """The first days' messages had none."""
    recording, _, _ = await hear(place, *good(sample_rate=None))
    assert recording.entry("mixed")["rate"] == RATE
    assert_same(recording.samples("mixed"), SOUND)


async def test_a_missing_time_is_the_time_of_arrival(place: Place) -> None:
    """Messages without a timestamp follow each other."""
    recording, _, _ = await hear(place, *good(timestamp_ms=None))
    assert_same(recording.samples("mixed"), SOUND)
    assert recording.entry("mixed")["untimed"] == 10


@pytest.mark.parametrize("seconds", [24.5, 100])
async def test_large_messages(place: Place, seconds: float) -> None:
    """A message of 1 MiB, or of 4, is recorded whole."""
    sound = ramp(seconds)
    recording, _, ended = await hear(place, *good(), attendee(sound, 1 + seconds))
    assert_same(recording.samples("mixed"), np.concatenate((SOUND, sound)))
    assert ended.status == 0


async def test_empty_chunks_are_nothing(place: Place) -> None:
    """No samples: no file of a track that has only those, and no end of one that has others."""
    empty = attendee(b"", 0.5)
    recording, _, ended = await hear(place, *between(good(), empty, attendee(b"", 0.5, "ghost"), empty))
    assert_same(recording.samples("mixed"), SOUND)
    assert {path.name for path in recording.folder.iterdir()} == {"mixed.wav", "manifest.json"}
    assert ended.status == 0


async def test_triggers_without_audio_are_counted_and_named_once(place: Place) -> None:
    """Video and anything unknown are no errors."""
    video = json.dumps(
        {
            "trigger": "realtime_video.per_participant",
            "bot_id": "bot_1",
            "data": {"frame": b64(b"\xff\xd8"), "format": "jpeg", "participant_uuid": "ana", "source": "webcam"},
        }
    )
    odd = json.dumps({"trigger": "realtime_smell.mixed", "bot_id": "bot_1", "data": {"anything": [1]}})
    recording, listener, ended = await hear(place, *between(good(), video, odd, video, video))

    assert_same(recording.samples("mixed"), SOUND)
    assert recording.manifest["unknown"] == {"realtime_video.per_participant": 3, "realtime_smell.mixed": 1}
    assert recording.manifest["malformed"] == 0
    for kind in recording.manifest["unknown"]:
        assert sum(kind in warning for warning in listener.warnings()) == 1
    assert ended.status == 0


@pytest.mark.parametrize("first", ["hello", '{"protocol_version": "1", "bot_id": "x"}', b"\x00" * 320, "{}"])
async def test_an_unknown_first_message_is_waited_out(place: Place, first: str | bytes) -> None:
    """Whoever speaks no dialect is told of once, and is understood as soon as they do."""
    recording, listener, _ = await hear(place, first, first, *good())
    assert_same(recording.samples("mixed"), SOUND)
    assert len(listener.warnings()) == 1
    assert "of no provider known here" in listener.warnings()[0]


async def test_a_malformed_message_is_told_after_a_strange_one(place: Place) -> None:
    """One is of another language, the other is of this one and broken: both are told, both are counted."""
    recording, listener, _ = await hear(place, "hello", *between(good(), broken(chunk="!")))
    assert recording.manifest["malformed"] == 2
    assert [warning.split(",")[0].split(";")[0] for warning in listener.warnings()] == [
        "a message that is of no provider known here",
        "malformed message",
    ]
