"""What crashes, power cuts and people do to recordings: found, repaired where that can be, and clean the next time."""

from __future__ import annotations

import errno
import json
import os
import struct
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.signals import RATE, counting, values

from audiotap.audio import Chunk
from audiotap.events import MIXED, Heard, Occurred
from audiotap.files import beginning, lock_folder
from audiotap.flac import to_flac
from audiotap.manifest import Format, Manifest
from audiotap.reading import read_all
from audiotap.recovery import Examined, examination, examine, folders, left_open
from audiotap.session import Placed, Session, Timing
from audiotap.sinks.recording import Policy, Recorder
from audiotap.writing import WAV_HEADER, wav_header

NAME = "20260102T030405Z_attendee_bot_1"
STARTED = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
ENDED = datetime(2026, 1, 2, 3, 14, 5, tzinfo=UTC)
TOUCHED = datetime(2026, 1, 2, 3, 9, 5, tzinfo=UTC)
LAST = 16000
"""Samples of every track when the recorder was killed; its manifest was last written at the first 1600."""
Files = dict[str, bytes]


# Recordings to be damaged


@cache
def recorded(form: Format = "wav", *, killed: bool = False) -> Files:
    """What a recorder leaves of a second of two tracks, by name: finished, or as it is when the recorder is killed."""
    with tempfile.TemporaryDirectory() as out:
        recorder = Recorder(Policy(Path(out), form), lambda _: None)
        session = Session(("attendee", "bot_1"), Timing(), STARTED)
        for n in range(10):
            items = [item for track, name in ((MIXED, None), ("7", "Ana")) for item in heard(session, n, track, name)]
            recorder.write([*([session.summary()] if n == 0 else []), *items])
        recorder.write(session.log(Occurred("bot_1", "participant_events.join", {"who": "Ana"}, 0.5)))
        recorder.write(session.log(Occurred("bot_1", "participant_events.leave", {"who": "Ana"}, 0.7)))
        (folder,) = Path(out).iterdir()
        if not killed:
            recorder.write([session.summary(ended=ENDED, reason="the bot left")])
            recorder.close()
        return {path.name: path.read_bytes() for path in folder.iterdir()}


def heard(session: Session, n: int, track: str, name: str | None) -> list[Placed]:
    """The n-th tenth of a second of a track, whose samples tell their own position."""
    chunk = Chunk(counting(1600, start=1 + 1600 * n), RATE)
    placed = session.place([Heard("bot_1", track, chunk, n / 10, name)], n / 10)
    return [*placed, *session.release(n / 10, everything=True)]


SOUND = counting(LAST)
WHOLE = wav_header(RATE, LAST) + SOUND


def put(out: Path, files: Files, name: str = NAME) -> Path:
    """A session's folder with files that were changed last at a known time."""
    folder = out / name
    folder.mkdir(parents=True)
    for file, data in files.items():
        (folder / file).write_bytes(data)
        age(folder / file)
    return folder


def age(path: Path) -> None:
    os.utime(path, (TOUCHED.timestamp(), TOUCHED.timestamp()))


@contextmanager
def place() -> Iterator[Path]:
    """A folder of its own for every example of a property."""
    with tempfile.TemporaryDirectory() as out:
        yield Path(out)


def state(folder: Path) -> dict[str, tuple[bytes, int]]:
    """All there is, and when it was changed."""
    return {path.name: (path.read_bytes(), path.lstat().st_mtime_ns) for path in folder.iterdir()}


def manifest(folder: Path) -> dict[str, Any]:
    document: dict[str, Any] = json.loads((folder / "manifest.json").read_text("utf-8"))
    return document


def changed(files: Files, **changes: Any) -> bytes:
    """A manifest with other fields."""
    return json.dumps(json.loads(files["manifest.json"]) | changes).encode()


def verdicts(examined: Examined) -> dict[str, str]:
    """What was said of each file last."""
    return {finding.file: finding.verdict for finding in examined.findings}


def repaired(folder: Path) -> Examined:
    """What the repair found; it leaves nothing to be found."""
    announced = examine(folder, repair=False)
    told = examine(folder, repair=True)
    assert [finding.problem for finding in announced.findings] == [finding.problem for finding in told.findings]
    assert not announced.sound
    assert told.sound
    again = examine(folder, repair=True)
    assert (again.sound, again.findings, again.lossy) == (True, (), told.lossy)
    return told


def assert_true(folder: Path) -> None:
    """The manifest tells the length of every file, and other programs read it."""
    document = manifest(folder)
    assert document["ended"] is not None
    for track in document["tracks"]:
        path = folder / track["file"]
        length = path.stat().st_size // 2 if path.suffix == ".bin" else soundfile.info(path).frames
        assert track["samples"] == length


# What is right


@pytest.mark.parametrize("form", ["wav", "bin", "flac"])
def test_a_finished_recording_is_right(tmp_path: Path, form: Format) -> None:
    """Nothing is found, nothing is touched."""
    folder = put(tmp_path, recorded(form))
    before = state(folder)
    assert examine(folder, repair=True) == Examined(str(folder))
    assert state(folder) == before


def test_a_recording_in_progress_is_left_alone(tmp_path: Path) -> None:
    """While a recorder holds the folder, whatever is in it is the recorder's."""
    folder = put(tmp_path, recorded(killed=True) | {"mixed.wav": bytes(100)})
    before = state(folder)
    lock = lock_folder(folder)
    assert lock is not None
    assert examine(folder, repair=True) == Examined(str(folder), live=True)
    assert state(folder) == before
    os.close(lock)
    assert not examine(folder, repair=False).live


def test_known_losses_are_told_of_a_recording_that_is_right(tmp_path: Path) -> None:
    """The recorder itself counted what the disk refused."""
    files = recorded()
    folder = put(tmp_path, files | {"manifest.json": changed(files, lost_samples=1)})
    assert examine(folder, repair=True) == Examined(str(folder), lossy=True)


def test_which_folders_are_sessions(tmp_path: Path) -> None:
    """One with a manifest, one that is called like a session and holds something of one; itself or those inside."""
    called = put(tmp_path, {"mixed.wav": WHOLE})
    other = put(tmp_path, {"manifest.json": b""}, "renamed")
    put(tmp_path, {"mixed.wav": WHOLE}, "music")
    put(tmp_path, {"notes.txt": b""}, "20260102T030405Z_attendee_notes")
    put(tmp_path / "deeper", recorded())
    assert folders(tmp_path) == [called, other]
    assert folders(called) == [called]
    assert folders(other) == [other]
    assert folders(tmp_path / "music") == []


# Killed recorders


@pytest.mark.parametrize("form", ["wav", "bin", "flac"])
def test_a_killed_recording_gets_its_end(tmp_path: Path, form: Format) -> None:
    """The last change of its files is its end, and its tracks are as long as their files."""
    folder = put(tmp_path, recorded(form, killed=True))
    assert manifest(folder)["tracks"][0]["samples"] == 1600
    told = repaired(folder)
    assert not told.lossy
    assert_true(folder)
    document = manifest(folder)
    assert (document["ended"], document["reason"]) == ("2026-01-02T03:09:05.000Z", "the recorder was killed")
    assert {track["samples"] for track in document["tracks"]} == {LAST}
    assert document["seconds"] == 1.0


def test_a_dry_run_changes_nothing(tmp_path: Path) -> None:
    """It says what could be done."""
    files = recorded(killed=True)
    folder = put(tmp_path, files | {"7_Ana.wav": WHOLE + b"\0", ".manifest.json.tmp": b"{", "events.jsonl": b"{"})
    before = state(folder)
    told = examine(folder, repair=False)
    assert not told.sound
    assert set(verdicts(told).values()) == {"repairable"}
    assert state(folder) == before


def test_a_repaired_file_keeps_its_time(tmp_path: Path) -> None:
    """A repair that is cut short before the manifest is written does not move the end of the session."""
    files = recorded(killed=True)
    folder = put(tmp_path, files | {"mixed.wav": bytes(WAV_HEADER) + SOUND + b"\0", "events.jsonl": b"{}\n{"})
    examine(folder, repair=True)
    times = {name: time for name, (_, time) in state(folder).items() if name != "manifest.json"}
    assert set(times.values()) == {int(TOUCHED.timestamp()) * 10**9}


@pytest.mark.parametrize("draft", [".manifest.json.tmp", ".mixed.flac.tmp", ".8_Bo.wav.tmp"])
def test_drafts_are_removed(tmp_path: Path, draft: str) -> None:
    """What was never finished has no name that anybody knows."""
    folder = put(tmp_path, recorded() | {draft: b"half"})
    assert verdicts(repaired(folder)) == {draft: "repaired"}
    assert state(folder).keys() == recorded().keys()


@pytest.mark.parametrize("tail", [b"{", b'{"at":0.7,"ev', b"\0" * 600, b"\xff\n", b"{}\0\n"])
def test_the_event_log_ends_with_a_whole_line(tmp_path: Path, tail: bytes) -> None:
    """A line that was cut is cut off, and no other."""
    log = recorded()["events.jsonl"]
    folder = put(tmp_path, recorded() | {"events.jsonl": log + tail})
    assert verdicts(repaired(folder)) == {"events.jsonl": "repaired"}
    assert (folder / "events.jsonl").read_bytes() == log


# Manifests


@pytest.mark.parametrize("torn", [None, b"", bytes(4096), b"{", b'{"version": 1, "provider": "\xff'])
def test_a_torn_manifest_is_rebuilt(tmp_path: Path, torn: bytes | None) -> None:
    """The folder's name, the files' names and their headers tell most of it."""
    files = recorded(killed=True) | ({} if torn is None else {"manifest.json": torn})
    if torn is None:
        del files["manifest.json"]
    folder = put(tmp_path, files | {"spoken.wav": wav_header(8000, 800) + counting(800)})
    assert verdicts(repaired(folder)) == {"manifest.json": "repaired"}
    assert_true(folder)
    document = manifest(folder)
    told = {key: document[key] for key in ("provider", "session", "started", "ended", "reason", "format")}
    assert told == {
        "provider": "attendee",
        "session": "bot_1",
        "started": "2026-01-02T03:04:05.000Z",
        "ended": "2026-01-02T03:09:05.000Z",
        "reason": "rebuilt by check",
        "format": "wav",
    }
    tracks = [(track["track"], track["names"], track["rate"], track["samples"]) for track in document["tracks"]]
    assert tracks == [("7", ["Ana"], RATE, LAST), ("mixed", [], RATE, LAST), ("spoken", [], 8000, 800)]


def test_a_whole_draft_is_better_than_nothing(tmp_path: Path) -> None:
    """The recorder was killed between its first manifest and the name for it."""
    files = recorded(killed=True)
    draft = {".manifest.json.tmp": files["manifest.json"]}
    folder = put(tmp_path, {name: data for name, data in files.items() if name != "manifest.json"} | draft)
    repaired(folder)
    assert_true(folder)
    assert manifest(folder)["reason"] == "the recorder was killed"
    assert manifest(folder)["tracks"][1]["names"] == ["Ana"]
    assert ".manifest.json.tmp" not in state(folder)


@pytest.mark.parametrize(
    "changes",
    [
        {"version": 2},
        {"tracks": None},
        {"tracks": [{"track": "mixed", "rate": 0, "samples": 1}]},
        {"tracks": [{"track": "mixed", "rate": 16000, "samples": -1}]},
        {"tracks": [{"track": "mixed", "rate": 16000, "samples": 1, "file": "../mixed.wav"}]},
        {"tracks": [{"track": "mixed", "rate": 16000, "samples": 1, "file": "events.jsonl"}]},
        {"started": "2026-01-02T03:04:05"},
    ],
)
def test_a_manifest_of_another_kind_is_not_ours_to_replace(tmp_path: Path, changes: dict[str, Any]) -> None:
    """A newer version, or something a person wrote: it is told, and nothing in the folder is touched."""
    files = recorded(killed=True)
    folder = put(tmp_path, files | {"manifest.json": changed(files, **changes), "mixed.wav": bytes(100)})
    before = state(folder)
    told = examine(folder, repair=True)
    assert verdicts(told) == {"manifest.json": "unsolved"}
    assert not told.sound
    assert state(folder) == before


@pytest.mark.parametrize("name", ["call", "20261302T030405Z_attendee_bot_1"])
def test_a_folder_whose_name_tells_nothing_cannot_be_rebuilt(tmp_path: Path, name: str) -> None:
    """It is told, and nothing is touched."""
    folder = put(tmp_path, recorded() | {"manifest.json": b""}, name)
    before = state(folder)
    assert verdicts(examine(folder, repair=True)) == {"manifest.json": "unsolved"}
    assert state(folder) == before


@pytest.mark.parametrize(
    ("stem", "track", "names"),
    [
        ("mixed", "mixed", []),
        ("100", "100", []),
        ("100_Bo", "100", ["Bo"]),
        ("100_Bo_Li-0733b722", "100", ["Bo_Li-0733b722"]),
        ("8_orgid_bo-0733b722_Bo", "8_orgid_bo-0733b722", ["Bo"]),
        ("0a1b2c3d-0a1b-0a1b-0a1b-0a1b2c3d4e5f_Bo", "0a1b2c3d-0a1b-0a1b-0a1b-0a1b2c3d4e5f", ["Bo"]),
        ("_con-0733b722", "_con-0733b722", []),
    ],
)
def test_file_names_tell_tracks(tmp_path: Path, stem: str, track: str, names: list[str]) -> None:
    """The id comes first, and then the name."""
    folder = put(tmp_path, {f"{stem}.wav": WHOLE})
    repaired(folder)
    (entry,) = manifest(folder)["tracks"]
    assert (entry["track"], entry["names"], entry["file"]) == (track, names, f"{stem}.wav")


def test_bare_samples_without_a_manifest_get_a_likely_rate(tmp_path: Path) -> None:
    """Nothing tells it, so that is said."""
    folder = put(tmp_path, {"mixed.bin": SOUND})
    told = repaired(folder)
    assert [finding.problem for finding in told.findings if finding.file == "mixed.bin"] == [
        "nothing tells its rate: 16000 Hz is a guess"
    ]
    assert (manifest(folder)["format"], manifest(folder)["tracks"][0]["rate"]) == ("bin", RATE)


def test_files_that_the_manifest_does_not_know_yet_are_adopted(tmp_path: Path) -> None:
    """The recorder was killed before it told of a new track."""
    folder = put(tmp_path, recorded(killed=True) | {"8_Bo.wav": WHOLE, "7_Cy.wav": WHOLE})
    assert verdicts(repaired(folder))["8_Bo.wav"] == "repaired"
    assert_true(folder)
    tracks = {track["track"]: track for track in manifest(folder)["tracks"]}
    assert list(tracks) == ["mixed", "7", "7_Cy", "8"]
    assert (tracks["8"]["names"], tracks["8"]["samples"]) == (["Bo"], LAST)


def test_files_of_others_are_told_and_kept(tmp_path: Path) -> None:
    """Once a session has ended, what else lies there is somebody's; it is no fault of the recording."""
    folder = put(tmp_path, recorded() | {"notes.txt": b"a", "cut.wav": b"b", ".DS_Store": b"c"})
    before = state(folder)
    told = examine(folder, repair=True)
    assert verdicts(told) == {"cut.wav": "noted", "notes.txt": "noted"}
    assert told.sound
    assert state(folder) == before


# Headers

DAMAGED = {
    "zeros": bytes(WAV_HEADER) + SOUND,
    "a zeroed block": bytes(512) + WHOLE[512:],
    "too few": wav_header(RATE, LAST - 1600) + SOUND,
    "none": wav_header(RATE, 0) + SOUND,
    "too many": wav_header(RATE, LAST + 1600) + SOUND,
    "half a sample": WHOLE + b"\x01",
    "half a sample and zeros": bytes(WAV_HEADER) + SOUND + b"\x01",
}


@pytest.mark.parametrize("damage", DAMAGED)
def test_a_header_is_made_true(tmp_path: Path, damage: str) -> None:
    """Whatever it says, it counts what is there, at the rate that the manifest tells."""
    folder = put(tmp_path, recorded() | {"mixed.wav": DAMAGED[damage]})
    assert verdicts(repaired(folder)) == {"mixed.wav": "repaired"}
    assert (folder / "mixed.wav").read_bytes() == wav_header(RATE, LAST) + DAMAGED[damage][80 : 80 + 2 * LAST]


@settings(deadline=None)  # disks are synced
@given(at=st.integers(0, WAV_HEADER - 1), bits=st.integers(1, 255))
def test_a_flipped_byte_in_a_header_is_found_and_repaired(at: int, bits: int) -> None:
    """Any byte, in any way: the header is what it was."""
    data = bytearray(WHOLE)
    data[at] ^= bits
    with place() as out:
        folder = put(out, recorded() | {"mixed.wav": bytes(data)})
        assert verdicts(repaired(folder)) == {"mixed.wav": "repaired"}
        assert (folder / "mixed.wav").read_bytes() == WHOLE


@settings(deadline=None)  # disks are synced
@given(data=st.data())
def test_a_file_that_is_cut_anywhere_is_found_and_repaired(data: st.DataObject) -> None:
    """Any file of any recording at any length: what can be repaired is, and what is lost stays told of."""
    files = recorded(data.draw(st.sampled_from(["wav", "bin", "flac"])), killed=data.draw(st.booleans()))
    name = data.draw(st.sampled_from(sorted(files)))
    size = data.draw(st.integers(0, len(files[name]) - 1))
    with place() as out:
        folder = put(out, files | {name: files[name][:size]})
        before = manifest(folder) if name != "manifest.json" else {}
        told = examine(folder, repair=True)
        again = examine(folder, repair=True)
        unfinished = size and files[name][size - 1 : size] != b"\n"
        assert told.findings or (name == "events.jsonl" and not unfinished) or size == len(files[name].rstrip())
        assert set(verdicts(told).values()) <= {"repaired", "lost"}
        assert set(verdicts(again).values()) <= {"lost"}
        assert again.lossy == told.lossy
        if before.get("ended"):
            assert manifest(folder) == before
            assert told.lossy == (name != "events.jsonl")
        else:
            assert not again.findings
            assert_true(folder)


def test_a_header_beyond_4_gib(tmp_path: Path) -> None:
    """It is RF64 then, and other programs read all of it."""
    folder = put(tmp_path, recorded(killed=True))
    samples = 5 * 2**30 // 2
    os.truncate(folder / "mixed.wav", WAV_HEADER + 2 * samples)
    repaired(folder)
    assert beginning(folder / "mixed.wav", 4) == b"RF64"
    assert manifest(folder)["tracks"][0]["samples"] == soundfile.info(folder / "mixed.wav").frames == samples
    with (folder / "mixed.wav").open("r+b") as file:
        file.write(bytes(WAV_HEADER))
    assert verdicts(repaired(folder)) == {"mixed.wav": "repaired"}
    assert soundfile.info(folder / "mixed.wav").frames == samples


def old_header(samples: int) -> bytes:
    """What audiotap 0.1.0 began its files with."""
    return wav_header(RATE, samples)[:4] + struct.pack(
        *("<I4s4sIHHIIHH4sI", 36 + 2 * samples, b"WAVE", b"fmt ", 16, 1, 1, RATE, 2 * RATE, 2, 16, b"data", 2 * samples)
    )


@pytest.mark.parametrize("told", [0, 1600, LAST + 1])
def test_an_old_header_stays_as_short_as_it_is(tmp_path: Path, told: int) -> None:
    """The samples begin where they always did."""
    folder = put(tmp_path, recorded() | {"mixed.wav": old_header(told) + SOUND})
    assert verdicts(repaired(folder)) == {"mixed.wav": "repaired"}
    assert (folder / "mixed.wav").read_bytes() == old_header(LAST) + SOUND


def test_an_old_header_may_be_right(tmp_path: Path) -> None:
    """Also with 44 bytes."""
    folder = put(tmp_path, recorded() | {"mixed.wav": old_header(LAST) + SOUND})
    assert examine(folder, repair=True) == Examined(str(folder))


def foreign(kind: str, path: Path) -> bytes:
    """What other programs make of a recording."""
    frames = np.frombuffer(SOUND, dtype="<i2")
    match kind:
        case "stereo":
            soundfile.write(path, np.stack([frames, frames], axis=1), RATE)
        case "24 bits":
            soundfile.write(path, frames, RATE, subtype="PCM_24")
        case "another rate":
            soundfile.write(path, frames, 2 * RATE)
        case "a list":
            head = old_header(LAST)
            return head[:36] + struct.pack("<4sI", b"LIST", 26) + b"INFOISFT".ljust(26, b"\0") + head[36:] + SOUND
        case _:
            return counting(4000, start=20000)
    return path.read_bytes()


@pytest.mark.parametrize("kind", ["stereo", "24 bits", "another rate", "a list", "noise"])
def test_what_others_wrote_is_left_alone(tmp_path: Path, kind: str) -> None:
    """A header that agrees with itself, or is none of ours, is not written over."""
    folder = put(tmp_path, recorded() | {"mixed.wav": foreign(kind, tmp_path / "foreign.wav")})
    before = state(folder)
    told = examine(folder, repair=True)
    assert verdicts(told) == {"mixed.wav": "unsolved"}
    assert not told.sound
    assert state(folder) == before


@pytest.mark.parametrize("form", ["wav", "bin"])
def test_links_are_not_followed(tmp_path: Path, form: Format) -> None:
    """What a file's name leads to may be anything."""
    folder = put(tmp_path, recorded(form))
    target = tmp_path / "precious"
    target.write_bytes(b"odd")
    (folder / f"mixed.{form}").unlink()
    (folder / f"mixed.{form}").symlink_to(target)
    assert verdicts(examine(folder, repair=True)) == {f"mixed.{form}": "unsolved"}
    assert target.read_bytes() == b"odd"


# Losses


def shorter(form: Format) -> bytes:
    """A track without its last tenth, and valid."""
    part = SOUND[: 2 * (LAST - 1600)]
    return part if form == "bin" else wav_header(RATE, LAST - 1600) + part


@pytest.mark.parametrize("form", ["wav", "bin"])
def test_what_a_finished_recording_lacks_stays_told(tmp_path: Path, form: Format) -> None:
    """The manifest keeps what was recorded, so that the loss is found every time."""
    folder = put(tmp_path, recorded(form) | {f"mixed.{form}": shorter(form)})
    before = state(folder)
    for _ in range(2):
        told = examine(folder, repair=True)
        assert [finding.problem for finding in told.findings] == ["0.10 s of 1.00 s are missing"]
        assert (told.lossy, told.sound) == (True, False)
    assert state(folder) == before


def test_a_missing_file_is_a_loss(tmp_path: Path) -> None:
    """The same for a whole track."""
    folder = put(tmp_path, recorded())
    (folder / "mixed.wav").unlink()
    for _ in range(2):
        told = examine(folder, repair=True)
        assert [finding.problem for finding in told.findings] == ["1.00 s of 1.00 s are missing"]
        assert told.lossy


@pytest.mark.parametrize("left", [None, b"", wav_header(RATE, 600) + counting(600)])
def test_what_a_power_cut_took_is_counted(tmp_path: Path, left: bytes | None) -> None:
    """The manifest reached the disk and the samples did not: they are lost, and from then on the manifest says so."""
    files = recorded(killed=True) | ({} if left is None else {"mixed.wav": left})
    folder = put(tmp_path, files)
    if left is None:
        (folder / "mixed.wav").unlink()
    told = examine(folder, repair=True)
    assert verdicts(told)["mixed.wav"] in {"lost", "repaired"}
    assert told.lossy
    again = examine(folder, repair=True)
    assert (again.findings, again.lossy) == ((), True)
    assert manifest(folder)["lost_samples"] == 1600 - (600 if left else 0)
    assert manifest(folder)["tracks"][0]["samples"] == (600 if left else 0)


def test_a_file_that_is_longer_than_its_manifest_counts(tmp_path: Path) -> None:
    """Also after the end, more is there than was told, and nothing is missing."""
    folder = put(tmp_path, recorded() | {"mixed.wav": wav_header(RATE, 2 * LAST) + 2 * SOUND})
    assert not repaired(folder).lossy
    assert manifest(folder)["tracks"][0]["samples"] == 2 * LAST
    assert manifest(folder)["reason"] == "the bot left"


# FLAC


def flac(out: Path, sound: bytes = SOUND) -> bytes:
    """Sound as a recorder compresses it."""
    wav = out / "sound.wav"
    wav.write_bytes(wav_header(RATE, len(sound) // 2) + sound)
    made = to_flac(wav)
    data = made.read_bytes()
    made.unlink()
    return data


def test_a_damaged_flac_is_a_loss(tmp_path: Path) -> None:
    """Every block of it is decoded."""
    data = bytearray(recorded("flac")["mixed.flac"])
    data[len(data) // 2] ^= 0x40
    folder = put(tmp_path, recorded("flac") | {"mixed.flac": bytes(data)})
    before = state(folder)
    told = examine(folder, repair=True)
    assert told.findings[0].problem.startswith("it is damaged")
    assert told.lossy
    assert state(folder) == before


def test_a_conversion_that_was_cut_short_is_undone(tmp_path: Path) -> None:
    """The FLAC has its name, the WAV is still there and in the manifest: one of them is enough."""
    files = recorded()
    folder = put(tmp_path, files | {"mixed.flac": flac(tmp_path)})
    assert verdicts(repaired(folder)) == {"mixed.flac": "repaired"}
    assert state(folder).keys() == files.keys()


@pytest.mark.parametrize("killed", [False, True])
def test_a_conversion_that_the_manifest_does_not_know_is_told_to_it(tmp_path: Path, killed: bool) -> None:
    """The WAV went, and the manifest was not written any more."""
    files = recorded(killed=killed)
    folder = put(tmp_path, {name: data for name, data in files.items() if name != "mixed.wav"})
    (folder / "mixed.flac").write_bytes(flac(tmp_path))
    assert not repaired(folder).lossy
    assert_true(folder)
    assert manifest(folder)["tracks"][0]["file"] == "mixed.flac"


def test_a_whole_flac_stands_in_for_a_damaged_wav(tmp_path: Path) -> None:
    """Nothing is lost then, and nothing is removed."""
    folder = put(tmp_path, recorded() | {"mixed.wav": shorter("wav"), "mixed.flac": flac(tmp_path)})
    told = examine(folder, repair=True)
    assert (told.sound, told.lossy) == (True, False)
    assert manifest(folder)["tracks"][0]["file"] == "mixed.flac"
    assert (folder / "mixed.wav").read_bytes() == shorter("wav")
    assert set(verdicts(examine(folder, repair=True)).values()) == {"noted"}


@pytest.mark.parametrize("other", [counting(LAST, start=2), counting(LAST - 1), counting(LAST + 1)])
def test_two_files_that_differ_are_both_kept(tmp_path: Path, other: bytes) -> None:
    """What is in the other one may be somebody's work."""
    folder = put(tmp_path, recorded() | {"mixed.flac": flac(tmp_path, other)})
    before = state(folder)
    told = examine(folder, repair=True)
    assert (verdicts(told), told.sound) == ({"mixed.flac": "noted"}, True)
    assert state(folder) == before


def test_a_damaged_flac_beside_its_wav_is_kept(tmp_path: Path) -> None:
    """The WAV is whole, so nothing is lost."""
    folder = put(tmp_path, recorded() | {"mixed.flac": flac(tmp_path)[:-100]})
    told = examine(folder, repair=True)
    assert (verdicts(told), told.sound, told.lossy) == ({"mixed.flac": "noted"}, True, False)


# Disks that refuse


def test_a_disk_that_refuses_the_manifest(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Then nothing else is touched, and the next one finds it all again."""
    folder = put(tmp_path, recorded(killed=True) | {"mixed.wav": bytes(WAV_HEADER) + SOUND})
    before = state(folder)

    def refuse(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr(examination, "write_atomically", refuse)
        told = examine(folder, repair=True)
    assert verdicts(told)["manifest.json"] == "unsolved"
    assert not told.sound
    assert state(folder) == before
    repaired(folder)


def test_a_disk_that_refuses_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The others are repaired, and it is told."""
    folder = put(tmp_path, recorded() | {"mixed.wav": WHOLE + b"\0", "7_Ana.wav": bytes(WAV_HEADER) + SOUND})

    def refuse(*_: object) -> None:
        raise OSError(errno.EROFS, os.strerror(errno.EROFS))

    with monkeypatch.context() as patch:
        patch.setattr(os, "truncate", refuse)
        told = examine(folder, repair=True)
    assert verdicts(told) == {"7_Ana.wav": "repaired", "mixed.wav": "unsolved"}
    assert verdicts(repaired(folder)) == {"mixed.wav": "repaired"}


def test_a_folder_that_cannot_be_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is a finding, so that the others get their turn."""
    folder = put(tmp_path, recorded())

    def refuse(*_: object) -> None:
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(folder))

    monkeypatch.setattr(os, "scandir", refuse)
    told = examine(folder, repair=True)
    assert verdicts(told) == {NAME: "unsolved"}
    assert not told.sound


@pytest.mark.skipif(os.geteuid() == 0, reason="root may look into everything")
def test_folders_that_may_not_be_looked_into(tmp_path: Path) -> None:
    """One that is called like a session counts as one; neither check nor listen is stopped by it."""
    secret, private = put(tmp_path, recorded(killed=True)), put(tmp_path, recorded(killed=True), "private")
    other = put(tmp_path, recorded(killed=True), f"{NAME}_2")
    for folder in (secret, private):
        folder.chmod(0)
    assert folders(tmp_path) == [secret, other]
    assert verdicts(examine(secret, repair=True)) == {NAME: "unsolved"}
    found, complaints = taken(tmp_path)
    assert list(found) == [other.name]
    assert complaints == [f"{secret} is not gone on with: Permission denied; audiotap check looks after it"]
    for folder in (secret, private):
        folder.chmod(0o700)


def test_an_out_folder_that_may_not_be_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The listener says so, and listens."""

    def refuse(_: Path) -> None:
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))

    monkeypatch.setattr(Path, "iterdir", refuse)
    assert taken(tmp_path)[1] == [
        f"{tmp_path} is not looked through for sessions that were left open: Permission denied"
    ]


# What a listener goes on with


def taken(out: Path) -> tuple[dict[str, Manifest], list[str]]:
    """What was left open, by folder, with nothing locked afterwards; and the complaints."""
    complaints: list[str] = []
    found = left_open(out, complaints.append)
    for left in found:
        assert lock_folder(left.folder) is None
        assert left.touched == TOUCHED
        os.close(left.lock)
    return {left.folder.name: left.manifest for left in found}, complaints


def test_a_killed_session_is_gone_on_with(tmp_path: Path) -> None:
    """Its files are true and its manifest tells what they hold, but it has no end."""
    files = recorded(killed=True)
    folder = put(tmp_path, files | {"mixed.wav": bytes(WAV_HEADER) + SOUND + b"\0", "events.jsonl": b"{}\n{"})
    before = (folder / "manifest.json").read_bytes()
    found, complaints = taken(tmp_path)
    assert complaints == []
    summary = found[NAME].summary
    assert (summary.ended, summary.reason, summary.session) == (None, "", ("attendee", "bot_1"))
    assert [track.samples for track in summary.tracks] == [LAST, LAST]
    assert found[NAME].files == {"mixed": "mixed.wav", "7": "7_Ana.wav"}
    assert (folder / "mixed.wav").read_bytes() == WHOLE
    assert (folder / "events.jsonl").read_bytes() == b"{}\n"
    assert (folder / "manifest.json").read_bytes() == before


def test_a_listener_that_is_killed_again_finds_the_same(tmp_path: Path) -> None:
    """Taking a session is no change to it."""
    put(tmp_path, recorded(killed=True) | {"mixed.wav": bytes(WAV_HEADER) + SOUND})
    assert taken(tmp_path) == taken(tmp_path)


def test_only_what_was_left_open_is_looked_at(tmp_path: Path) -> None:
    """Finished sessions, those of another listener, and what is none: nothing is said of them, nothing is read."""
    finished = put(tmp_path, recorded() | {"mixed.wav": b""})
    live = put(tmp_path, recorded(killed=True), "20260102T030405Z_attendee_bot_2")
    put(tmp_path, {"song.wav": b""}, "music")
    (tmp_path / "notes.txt").touch()
    lock = lock_folder(live)
    assert lock is not None
    before = state(finished), state(live)
    assert taken(tmp_path) == ({}, [])
    assert (state(finished), state(live)) == before
    os.close(lock)
    assert taken(tmp_path / "none") == ({}, [])


def test_what_cannot_be_gone_on_with_is_complained_of(tmp_path: Path) -> None:
    """A torn manifest, none, and files of another version; the others are taken."""
    files = recorded(killed=True)
    put(tmp_path, files | {"manifest.json": b""}, "20260102T030405Z_attendee_torn")
    put(tmp_path, {"mixed.wav": WHOLE}, "20260102T030405Z_attendee_none")
    old = put(tmp_path, files | {"mixed.wav": old_header(0) + SOUND}, "20260102T030405Z_attendee_old")
    put(tmp_path, files)
    before = state(old)
    found, complaints = taken(tmp_path)
    assert list(found) == [NAME]
    assert [Path(complaint.split()[0]).name.rpartition("_")[2] for complaint in complaints] == ["none", "old", "torn"]
    assert all(complaint.endswith("; audiotap check looks after it") for complaint in complaints)
    assert state(old) == before
    lock = lock_folder(old)
    assert lock is not None
    os.close(lock)


def test_a_session_that_was_left_open_twice_is_gone_on_with_once(tmp_path: Path) -> None:
    """The newer one is; the other can be ended."""
    older = put(tmp_path, recorded(killed=True))
    put(tmp_path, recorded(killed=True), NAME.replace("0102", "0103"))
    found, complaints = taken(tmp_path)
    assert list(found) == [NAME.replace("0102", "0103")]
    assert len(complaints) == 1
    repaired(older)


def test_a_resumed_recording_reads_as_one(tmp_path: Path) -> None:
    """What a recorder adopts and writes on is right when it is finished."""
    put(tmp_path, recorded(killed=True) | {"mixed.wav": bytes(WAV_HEADER) + SOUND})
    (left,) = left_open(tmp_path, pytest.fail)
    recorder = Recorder(Policy(tmp_path), lambda _: None)
    recorder.adopt(left.folder, left.lock, left.manifest)
    session = Session.resumed(left.manifest.summary, Timing(), 0.0, 1.0)
    items = heard(session, 10, MIXED, None)
    recorder.write([session.summary(), *items])
    recorder.write([session.summary(ended=ENDED, reason="the bot left")])
    recorder.close()
    told = examine(left.folder, repair=True)
    assert (told.sound, told.findings) == (True, ())
    assert values(read_all(left.folder / "mixed.wav", RATE)).tolist() == values(counting(LAST + 1600)).tolist()
