"""Recordings on a real disk: what is in the folder, what the manifest says of it, and a disk that refuses."""

from __future__ import annotations

import errno
import json
import os
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar

import pytest
import soundfile
from tests.signals import RATE, counting, values

from audiotap import __version__
from audiotap.audio import Chunk
from audiotap.events import MIXED, Heard, Occurred
from audiotap.manifest import Format
from audiotap.quota import taken
from audiotap.reports import Failed, Report, SessionFinished, SessionStarted, TrackFinished, TrackStarted
from audiotap.session import Placed, Session, Timing
from audiotap.sinks.base import Item
from audiotap.sinks.recording import MOST_OLD_NEWS, Policy, Recorder, player_hint, session_folder, track_file
from audiotap.writing import WAV_HEADER, wav_header

STARTED = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
ENDED = datetime(2026, 1, 2, 3, 14, 5, 678_901, tzinfo=UTC)
BLOCK = 1600
R = TypeVar("R", bound=Report)


class Call:
    """A session whose chunks go to a recorder in batches, as the lanes do it."""

    def __init__(self, out: Path, form: Format = "wav", session: str = "bot_1") -> None:
        self.reports: list[Report] = []
        self.recorder = Recorder(Policy(out, form), self.reports.append)
        self.session = Session(("attendee", session), Timing(), STARTED)

    def heard(self, at: float, track: str = MIXED, name: str | None = None, rate: int = RATE) -> Placed:
        """A tenth of a second of samples that tell their own position."""
        chunk = Chunk(counting(rate // 10, start=1 + round(at * rate)), rate)
        (placed,) = [
            *self.session.place([Heard("bot_1", track, chunk, at, name)], at),
            *self.session.release(at, everything=True),
        ]
        return placed

    def write(self, *items: Item) -> None:
        """A batch, with how the session stands in front, as a new track demands."""
        self.recorder.write([self.session.summary(), *items])

    def end(self) -> Path:
        """The last summary; where the recording lies."""
        self.recorder.write([self.session.summary(ended=ENDED, reason="the bot left")])
        return self.folder

    @property
    def folder(self) -> Path:
        (started,) = self.told(SessionStarted)
        assert started.path is not None
        return Path(started.path)

    def told(self, kind: type[R]) -> list[R]:
        return [report for report in self.reports if isinstance(report, kind)]


def manifest(folder: Path) -> dict[str, Any]:
    document: dict[str, Any] = json.loads(folder.joinpath("manifest.json").read_text())
    return document


def samples(path: Path) -> list[int]:
    frames, _ = soundfile.read(path, dtype="int16")
    return [int(sample) for sample in frames]


# Where everything lies


def test_a_bot_that_is_back_within_a_batch_is_recorded_anew(tmp_path: Path) -> None:
    """The end of one session and the beginning of the next, with the same id, come in one batch: two folders."""
    before, after = Call(tmp_path), Call(tmp_path)
    first, second = before.heard(0.0), after.heard(0.0)
    before.recorder.write(
        [
            before.session.summary(),
            first,
            before.session.summary(ended=ENDED),
            after.session.summary(),
            second,
            after.session.summary(ended=ENDED),
        ]
    )
    folders = [Path(str(report.path)) for report in before.told(SessionFinished)]
    assert [folder.name for folder in folders] == [
        "20260102T030405Z_attendee_bot_1",
        "20260102T030405Z_attendee_bot_1-2",
    ]
    assert [samples(folder / "mixed.wav") for folder in folders] == [
        list(values(item.chunk.pcm)) for item in (first, second)
    ]


def test_a_recording_is_a_folder_with_a_file_per_track(tmp_path: Path) -> None:
    """The mix, every participant with id and name, the event log, and the manifest; nothing else."""
    call = Call(tmp_path)
    call.write(call.heard(0.0), call.heard(0.0, "7", "Ana"), call.heard(0.1, "8:orgid:9"))
    call.write(*call.session.log(Occurred("bot_1", "participant_events.join", {"who": "Ana"}, 0.05)))
    folder = call.end()
    assert folder == tmp_path / "20260102T030405Z_attendee_bot_1"
    names = {path.name for path in folder.iterdir()}
    assert {"mixed.wav", "7_Ana.wav", "manifest.json", "events.jsonl"} < names
    (teams,) = names - {"mixed.wav", "7_Ana.wav", "manifest.json", "events.jsonl"}
    assert teams.startswith("8_orgid_9-")


def test_folders_are_private(tmp_path: Path) -> None:
    """Nobody else on the machine lists who was in the meeting."""
    call = Call(tmp_path)
    call.write(call.heard(0.0))
    assert call.end().stat().st_mode & 0o777 == 0o700


def test_the_same_session_in_the_same_second_gets_another_folder(tmp_path: Path) -> None:
    """Nothing that was recorded is ever written over."""
    folders = []
    for _ in range(3):
        call = Call(tmp_path)
        call.write(call.heard(0.0))
        folders.append(call.end().name)
    name = session_folder(call.session.summary())
    assert folders == [name, f"{name}-2", f"{name}-3"]


def test_hostile_ids_stay_in_the_folder(tmp_path: Path) -> None:
    """A session and a participant who would like to be somewhere else."""
    call = Call(tmp_path / "out", session="../../escape")
    call.write(call.heard(0.0, "../../../etc/passwd", "\x1b[31m/root"), call.heard(0.0, ".."))
    folder = call.end()
    assert folder.parent == tmp_path / "out"
    assert list(tmp_path.iterdir()) == [tmp_path / "out"]
    assert len(list(folder.glob("*.wav"))) == 2


def test_tracks_whose_names_differ_in_case_only_have_their_own_files(tmp_path: Path) -> None:
    """Also a participant who calls himself like the mix."""
    call = Call(tmp_path)
    call.write(*(call.heard(0.0, track) for track in ("mixed", "Mixed", "a", "A")))
    names = [path.name.casefold() for path in call.end().glob("*.wav")]
    assert len(set(names)) == 4


def test_a_track_file_is_named_by_id_and_name() -> None:
    """The id comes first, so that one participant's files sort together."""
    assert track_file("mixed", None) == "mixed"
    assert track_file("spoken", "who cares") == "spoken"
    assert track_file("7", "Ana") == "7_Ana"
    assert track_file("7", None) == "7"


# What is in the files


def test_every_sample_lies_at_its_position(tmp_path: Path) -> None:
    """A hole and a late joiner are silence; all tracks share one time zero."""
    call = Call(tmp_path)
    call.write(call.heard(0.0), call.heard(0.1))
    call.write(call.heard(0.5), call.heard(0.5, "7"))
    folder = call.end()
    said = values(counting(10 * BLOCK)).tolist()
    assert samples(folder / "mixed.wav") == said[:3200] + [0] * 4800 + said[8000:9600]
    assert samples(folder / "7.wav") == [0] * 8000 + said[8000:9600]


def test_files_are_valid_while_the_session_goes_on(tmp_path: Path) -> None:
    """After every batch a killed recorder would leave a WAV with all samples, and a manifest without an end."""
    call = Call(tmp_path)
    for n in range(3):
        call.write(call.heard(n / 10))
        assert len(samples(call.folder / "mixed.wav")) == (n + 1) * BLOCK
        assert manifest(call.folder)["ended"] is None


def test_the_manifest_is_written_for_news_and_now_and_then(tmp_path: Path) -> None:
    """A new track or name at once; higher counts alone when so many summaries came."""
    call = Call(tmp_path)
    for n in range(MOST_OLD_NEWS):
        call.write(call.heard(n / 10))
        assert manifest(call.folder)["tracks"][0]["samples"] == BLOCK
    call.write(call.heard(MOST_OLD_NEWS / 10))
    assert manifest(call.folder)["tracks"][0]["samples"] == (MOST_OLD_NEWS + 1) * BLOCK
    call.write(call.heard(0.0, "7", "Ana"))
    assert manifest(call.folder)["tracks"][1]["names"] == ["Ana"]
    call.write(call.heard(0.1, "7", "Ana B."))
    assert manifest(call.folder)["tracks"][1]["names"] == ["Ana", "Ana B."]


def test_bin_holds_the_same_samples_and_tells_how_to_play_them(tmp_path: Path) -> None:
    """Bare S16LE without a header, and a command line for each file."""
    call = Call(tmp_path, "bin")
    call.write(call.heard(0.0), call.heard(0.3), call.heard(0.3, "7", rate=8000))
    folder = call.end()
    assert folder.joinpath("mixed.bin").read_bytes() == counting(BLOCK) + bytes(6400) + counting(BLOCK, start=4801)
    assert len(folder.joinpath("7.bin").read_bytes()) == 2 * 3200
    mixed, seven = call.told(TrackFinished)
    assert mixed.play is not None
    assert str(folder / "mixed.bin") in mixed.play
    assert "-ar 16000" in mixed.play
    assert "-ar 8000" in (seven.play or "")
    assert manifest(folder)["format"] == "bin"


def test_a_contiguous_batch_is_one_write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A second of 10 ms chunks costs the disk as much as one chunk; a gap costs one write more."""
    call = Call(tmp_path, "bin")
    call.write(call.heard(0.0))
    offsets: list[int] = []
    write = os.pwrite

    def counted(fd: int, data: bytes, offset: int) -> int:
        offsets.append(offset)
        return write(fd, data, offset)

    monkeypatch.setattr(os, "pwrite", counted)
    call.write(*(call.heard(n / 10) for n in (1, 2, 3, 4, 9, 10)))
    assert offsets == [2 * BLOCK, 2 * 9 * BLOCK]


def test_the_event_log_is_a_line_per_event(tmp_path: Path) -> None:
    """In order, with the seconds of the time line where they are known."""
    call = Call(tmp_path)
    call.write(*call.session.log(Occurred("bot_1", "participant_events.join", {"name": "Ana\n"})))
    call.write(call.heard(10.0))
    call.write(*call.session.log(Occurred("bot_1", "transcript.data", {"words": []}, 12.5)))
    log = call.end() / "events.jsonl"
    assert log.stat().st_mode & 0o777 == 0o600
    lines = log.read_text().splitlines()
    assert [json.loads(line) for line in lines] == [
        {"at": None, "event": "participant_events.join", "data": {"name": "Ana\n"}},
        {"at": 2.5, "event": "transcript.data", "data": {"words": []}},
    ]


# What is told of them


def test_the_manifest_is_true(tmp_path: Path) -> None:
    """Every field, against the files that lie beside it."""
    call = Call(tmp_path)
    call.write(call.heard(0.0), call.heard(0.1), call.heard(0.5), call.heard(0.3, "7", "Ana"))
    call.session.bot = "alias"
    call.session.connections = 2
    call.recorder.write([call.session.summary(0, 3, {"video": 4}, ENDED, "the bot left")])
    told = manifest(call.folder)
    tracks = told.pop("tracks")
    assert told == {
        "version": 1,
        "program": f"audiotap {__version__}",
        "provider": "attendee",
        "session": "bot_1",
        "bot": "alias",
        "started": "2026-01-02T03:04:05.000Z",
        "ended": "2026-01-02T03:14:05.678Z",
        "reason": "the bot left",
        "seconds": 0.6,
        "origin": 0.0,
        "format": "wav",
        "connections": 2,
        "restarts": 0,
        "continued_from": None,
        "malformed": 3,
        "unknown": {"video": 4},
        "refused": 0,
        "lost_samples": 0,
        "lossy": True,
    }
    assert [(track["track"], track["kind"], track["names"], track["start"]) for track in tracks] == [
        ("mixed", "mixed", [], 0),
        ("7", "participant", ["Ana"], 4800),
    ]
    assert (tracks[0]["gaps"], tracks[0]["gap_samples"], tracks[0]["chunks"]) == (1, 4800, 3)
    for track in tracks:
        frames, rate = soundfile.read(call.folder / track["file"])
        assert (len(frames), rate) == (track["samples"], track["rate"])


def test_reports_tell_the_story(tmp_path: Path) -> None:
    """Session, tracks, their ends, and the end, with paths that exist."""
    call = Call(tmp_path)
    call.write(call.heard(0.0))
    call.write(call.heard(0.1, "7", "Ana"))
    folder = call.end()
    assert [type(report) for report in call.reports] == [
        SessionStarted,
        TrackStarted,
        TrackStarted,
        TrackFinished,
        TrackFinished,
        SessionFinished,
    ]
    assert [started.start for started in call.told(TrackStarted)] == [0.0, 0.1]
    (finished,) = call.told(SessionFinished)
    assert finished.manifest == str(folder / "manifest.json")
    assert finished.files == (str(folder / "mixed.wav"), str(folder / "7_Ana.wav"))
    assert finished.seconds == pytest.approx(0.2)
    assert (finished.lossy, finished.reason) == (False, "the bot left")
    assert not call.recorder.failed


def test_two_sessions_in_one_batch_are_two_folders(tmp_path: Path) -> None:
    """Batches come as they come; every session keeps its own."""
    one, other = Call(tmp_path), Call(tmp_path, session="bot_2")
    mine, theirs = one.heard(0.0), other.heard(0.0)
    one.recorder.write([one.session.summary(), other.session.summary(), mine, theirs])
    one.recorder.close()
    assert len(list(tmp_path.glob("*/mixed.wav"))) == 2


def test_a_session_without_audio_leaves_no_audio_files(tmp_path: Path) -> None:
    """Only what was heard has a file."""
    call = Call(tmp_path)
    call.write()
    assert [path.name for path in call.end().iterdir()] == ["manifest.json"]


# A disk that refuses


def full(*_: object) -> int:
    raise OSError(errno.ENOSPC, "No space left on device")


def lose(call: Call, monkeypatch: pytest.MonkeyPatch, *items: Item) -> None:
    """A batch while the disk is full."""
    with monkeypatch.context() as patch:
        patch.setattr(os, "pwrite", full)
        call.write(*items)


def test_a_full_disk_is_told_once_counted_and_survived(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What could not be written is silence; what comes after it lies where it belongs."""
    call = Call(tmp_path)
    call.write(call.heard(0.0))
    for n in (1, 2, 3):
        lose(call, monkeypatch, call.heard(n / 10))
    call.write(call.heard(0.4))
    folder = call.end()
    said = values(counting(5 * BLOCK)).tolist()
    assert samples(folder / "mixed.wav") == said[:BLOCK] + [0] * 3 * BLOCK + said[4 * BLOCK :]
    (failed,) = call.told(Failed)
    assert "No space left" in failed.message
    assert failed.hint
    assert failed.session == "bot_1"
    told = manifest(folder)
    assert (told["lost_samples"], told["lossy"]) == (3 * BLOCK, True)
    assert call.recorder.failed
    assert call.told(SessionFinished)[0].lossy


def test_names_fill_no_disk_either(tmp_path: Path) -> None:
    """At --max-disk the manifest grows no more, whatever participants are called, and tells the end all the same."""
    most = 400_000
    call = Call(tmp_path)
    call.recorder = Recorder(Policy(tmp_path, max_disk=most), call.reports.append)
    call.write(call.heard(0.0))
    for n in range(1, 60):
        call.write(*(call.heard(n / 10, str(track), "\1" * 8000 + str(n)) for track in range(20)))
        assert taken(tmp_path) <= most
    folder = call.end()
    assert taken(tmp_path) <= most
    told = manifest(folder)
    assert told["ended"]
    assert {track["file"] for track in told["tracks"]} == {path.name for path in folder.glob("*.wav")}
    assert told["lossy"]
    assert "--max-disk" in call.told(Failed)[0].hint


def test_tracks_without_room_for_a_file_fill_no_manifest(tmp_path: Path) -> None:
    """Participants who come when nothing may be written any more are left out of the last manifest."""
    most = 100_000
    call = Call(tmp_path)
    call.recorder = Recorder(Policy(tmp_path, max_disk=most), call.reports.append)
    call.write(call.heard(0.0))
    call.write(*(call.heard(0.1, "\1" * 8000 + str(track)) for track in range(50)))
    folder = call.end()
    assert taken(tmp_path) <= most
    told = manifest(folder)
    assert {track["file"] for track in told["tracks"]} == {path.name for path in folder.glob("*.wav")}
    assert 1 <= len(told["tracks"]) < 5
    assert told["ended"]


def test_a_system_that_lets_nobody_open_more_files_is_told_as_that(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is no matter of the disk; the samples that have no file are counted."""
    call = Call(tmp_path)
    call.write(call.heard(0.0))
    late = call.heard(0.0, "7")
    with monkeypatch.context() as patch:
        patch.setattr(os, "open", no_descriptor)
        call.write(late)
    (failed,) = call.told(Failed)
    assert "ulimit -n" in failed.hint
    assert "disk" not in failed.hint
    assert call.recorder.failed


def no_descriptor(*_: object) -> int:
    raise OSError(errno.EMFILE, "Too many open files")


def test_a_disk_that_is_full_from_the_start_leaves_no_litter(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """However often a track's file could not be begun, there is one in the end, under its own name."""
    call = Call(tmp_path)
    for n in range(5):
        lose(call, monkeypatch, call.heard(n / 10))
    call.write(call.heard(0.5))
    folder = call.end()
    assert sorted(path.name for path in folder.iterdir()) == ["manifest.json", "mixed.wav"]
    assert samples(folder / "mixed.wav") == [0] * 5 * BLOCK + values(counting(BLOCK, start=1 + 5 * BLOCK)).tolist()
    assert manifest(folder)["lost_samples"] == 5 * BLOCK


def test_a_write_that_stops_halfway_leaves_a_valid_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The samples of a torn write are lost or there, but the header never counts what is not."""
    call = Call(tmp_path)
    call.write(call.heard(0.0))
    lose(call, monkeypatch, call.heard(0.1))
    assert samples(call.folder / "mixed.wav") == values(counting(BLOCK)).tolist()
    assert call.folder.joinpath("mixed.wav").read_bytes()[:WAV_HEADER] == wav_header(RATE, BLOCK)


def test_an_output_folder_that_cannot_be_is_an_error_and_no_crash(tmp_path: Path) -> None:
    """A folder under a file: told once, with every sample counted as lost, and the end is reported all the same."""
    tmp_path.joinpath("file").touch()
    call = Call(tmp_path / "file" / "recordings")
    call.write(call.heard(0.0))
    call.write(call.heard(0.1))
    call.recorder.write([call.session.summary(ended=ENDED)])
    assert len(call.told(Failed)) == 1
    assert call.told(SessionStarted) == []
    (finished,) = call.told(SessionFinished)
    assert (finished.path, finished.manifest, finished.files, finished.lossy) == (None, None, (), True)
    assert call.recorder.failed


def test_a_folder_that_comes_back_is_used(tmp_path: Path) -> None:
    """A disk that is mounted while the call goes on gets the rest of it."""
    tmp_path.joinpath("out").touch()
    call = Call(tmp_path / "out")
    call.write(call.heard(0.0))
    tmp_path.joinpath("out").unlink()
    call.write(call.heard(0.1))
    folder = call.end()
    assert samples(folder / "mixed.wav") == [0] * BLOCK + values(counting(BLOCK, start=1 + BLOCK)).tolist()
    assert manifest(folder)["lossy"]


def test_the_player_hint_names_rate_and_file() -> None:
    """Bare samples can only be played by somebody who is told what they are."""
    assert player_hint(Path("a b.bin"), 8000) == "ffplay -f s16le -ar 8000 'a b.bin'"
