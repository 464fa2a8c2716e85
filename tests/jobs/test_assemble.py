"""Assembling: whatever recorders had, and however it was cut, comes together as one recording."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from audiotap.errors import Exit
from audiotap.inspection import Findings
from audiotap.intake import Flaws
from audiotap.jobs.assemble import assemble
from audiotap.manifest import Manifest
from audiotap.recovery import examine
from audiotap.segments import pack
from audiotap.session import Summary
from audiotap.track import TrackCounts, TrackSummary

RATE = 1000
STARTED = datetime(2026, 11, 21, tzinfo=UTC)
Samples = NDArray[np.int16]
SOUND = np.arange(1, 2001, dtype=np.int16)


def put(
    store: Path, name: str, samples: Samples, start: int, cuts: list[int], origin: float = 5.0, ended: bool = True
) -> None:
    """What a recorder leaves of a track in a store, cut anywhere."""
    folder = store / "attendee_bot" / f"20261121T000000Z_{name}-00000000"
    track = TrackSummary("ana", ("Ana",), RATE, start, len(samples), 0.0, TrackCounts(chunks=3), Flaws(), Findings())
    end = STARTED + timedelta(minutes=1) if ended else None
    summary = Summary(
        ("attendee", "bot"), None, STARTED, end, "over" if ended else "", origin, 0, 1, 0, 0, {"odd": 1}, (track,)
    )
    (folder / "tracks" / "ana_Ana").mkdir(parents=True)
    (folder / "manifest.json").write_bytes(Manifest(summary, "wav", {"ana": "ana_Ana.wav"}).document())
    (folder / "events.jsonl").write_text(f'{{"from": "{name}"}}\n')
    edges = sorted({start, len(samples), *(cut for cut in cuts if start < cut < len(samples))})
    for begin, stop in pairwise(edges):
        segment, data = pack(begin, samples[begin:stop].astype("<i2").tobytes(), RATE)
        (folder / "tracks" / "ana_Ana" / segment.name).write_bytes(data)


def put_together(store: Path) -> tuple[Exit, Path, Samples, dict[str, Any]]:
    """The only recording that comes of a store."""
    status = assemble((store / "attendee_bot").as_uri(), store / "out", json=True)
    (folder,) = (store / "out").iterdir()
    samples = np.frombuffer((folder / "ana_Ana.wav").read_bytes()[80:], "<i2").astype(np.int16)
    return status, folder, samples, json.loads((folder / "manifest.json").read_text("utf-8"))


@settings(max_examples=40)
@given(
    st.lists(st.integers(0, 2), min_size=20, max_size=20),
    st.lists(st.lists(st.integers(0, 2000), max_size=6), min_size=3, max_size=3),
)
def test_who_has_what_is_no_matter(who: list[int], cuts: list[list[int]]) -> None:
    """Three recorders take turns in any way, each of its own files cut anywhere: together they have all of it."""
    with TemporaryDirectory() as folder:
        turns = np.repeat(who, 100)
        for node in set(who):
            heard = np.flatnonzero(turns == node)
            samples = np.where(turns == node, SOUND, 0)[: heard[-1] + 1]
            put(Path(folder), f"node{node}", samples, int(heard[0]), cuts[node])
        status, out, samples, manifest = put_together(Path(folder))
        assert np.array_equal(samples, SOUND)
        assert status == Exit.OK
        assert (manifest["connections"], manifest["unknown"]) == (len(set(who)), {"odd": len(set(who))})
        assert (out / "events.jsonl").read_text().count("\n") == len(set(who))
        assert examine(out, repair=False).findings == ()


def test_what_nobody_had_is_a_gap(tmp_path: Path) -> None:
    """Between two recorders' parts lies silence, which is counted; of a participant it is no loss."""
    put(tmp_path, "one", SOUND[:800], 0, [300])
    put(tmp_path, "other", SOUND, 1200, [1500])
    status, _, samples, manifest = put_together(tmp_path)
    expected = SOUND.copy()
    expected[800:1200] = 0
    assert np.array_equal(samples, expected)
    (track,) = manifest["tracks"]
    assert (track["gaps"], track["gap_samples"], track["chunks"]) == (1, 400, 6)
    assert status == Exit.OK


def test_a_recorder_without_an_end_was_lost(tmp_path: Path) -> None:
    """The session has an end all the same; that there may have been more is a loss."""
    put(tmp_path, "one", SOUND[:800], 0, [], ended=False)
    status, out, samples, manifest = put_together(tmp_path)
    assert np.array_equal(samples, SOUND[:800])
    assert (manifest["restarts"], manifest["reason"]) == (1, "its recorder was lost")
    assert manifest["ended"] is not None
    assert status == Exit.LOSSY
    assert examine(out, repair=False).sound


def test_other_time_lines_are_other_recordings(tmp_path: Path) -> None:
    """A session that began anew has positions of its own, and gets a folder of its own."""
    put(tmp_path, "one", SOUND, 0, [])
    put(tmp_path, "other", SOUND, 0, [], origin=900.0)
    assert assemble((tmp_path / "attendee_bot").as_uri(), tmp_path / "out", json=False) == Exit.OK
    assert len(list((tmp_path / "out").iterdir())) == 2


def test_what_was_left_half_done_is_no_trouble(tmp_path: Path) -> None:
    """A draft of an assemble that was killed is used again, and nothing of it remains."""
    put(tmp_path, "one", SOUND, 0, [])
    draft = tmp_path / "out" / ".20261121T000000Z_attendee_bot.tmp"
    draft.mkdir(parents=True)
    (draft / "ana_Ana.wav").write_bytes(b"half")
    _, folder, samples, _ = put_together(tmp_path)
    assert np.array_equal(samples, SOUND)
    assert not folder.name.startswith(".")
    assert folder.stat().st_mode & 0o077 == 0


def test_one_machine_alone(tmp_path: Path) -> None:
    """The URL of one recording is that recording without the others."""
    put(tmp_path, "one", SOUND[:800], 0, [])
    put(tmp_path, "other", SOUND, 1200, [])
    url = (tmp_path / "attendee_bot" / "20261121T000000Z_one-00000000").as_uri()
    assert assemble(url, tmp_path / "out", json=True) == Exit.OK
    (folder,) = (tmp_path / "out").iterdir()
    assert json.loads((folder / "manifest.json").read_text("utf-8"))["seconds"] == 0.8


def test_a_recording_that_nothing_explains(tmp_path: Path) -> None:
    """Without a manifest, or with a torn one, it is told and left out; the others come together."""
    put(tmp_path, "one", SOUND, 0, [])
    put(tmp_path, "torn", SOUND, 0, [])
    put(tmp_path, "bare", SOUND, 0, [])
    (tmp_path / "attendee_bot" / "20261121T000000Z_torn-00000000" / "manifest.json").write_text("{")
    (tmp_path / "attendee_bot" / "20261121T000000Z_bare-00000000" / "manifest.json").unlink()
    status, _, samples, _ = put_together(tmp_path)
    assert np.array_equal(samples, SOUND)
    assert status == Exit.LOSSY
