"""Lists for other programs: each format's own rules, also with names that would break them."""

from __future__ import annotations

import re
from pathlib import Path

from tests.recorded.sessions import Part, kept, uttered
from tests.signals import tone

from audiotap.recorded.folder import Recorded, recorded
from audiotap.recorded.labels import audacity, rttm, vtt
from audiotap.recorded.outline import Outline, Stretch
from audiotap.track import TrackCounts

EVIL = "A\tna\nB --> </v><b>&\u202e"


def session(folder: Path, name: str = "Ana") -> tuple[Recorded, dict[str, Outline]]:
    """Two tracks and a mix, of which one has a gap and clips."""
    parts = {
        "mixed": Part(tone(1)),
        "100": Part(tone(1), name, counts=TrackCounts(gaps=1)),
        "7": Part(tone(1), "Bo Lind"),
    }
    told = [
        uttered(0.5, "good morning", name=name),
        uttered(9.0, EVIL),
        {"at": 2.0, "event": "pause", "data": {"seconds": 0.5}},
        {"at": 20.0, "event": "agent.transcript", "data": {"role": "agent", "text": "Hm"}},
        {"at": 22.0, "event": "agent.transcript", "data": {"role": "agent", "text": "Well"}},
    ]
    outlines = {
        "mixed": Outline(1.0, (), (), (Stretch(0.0, 9.0),)),
        "100": Outline(1.0, (), (), (Stretch(1.0, 2.5),), (Stretch(3.0, 4.0),), (5.25,)),
        "7": Outline(1.0, (), (), (Stretch(0.25, 0.5),)),
    }
    return recorded(kept(folder / "meeting", parts, told)), outlines


def test_labels_of_audacity(tmp_path: Path) -> None:
    """Begin, end and text, by time: speech of everybody, gaps, clipping, what occurred."""
    assert audacity(*session(tmp_path)).splitlines() == [
        "0.250000\t0.500000\tBo Lind",
        "1.000000\t2.500000\tAna",
        "2.000000\t2.500000\tpause of 0.5 s",
        "3.000000\t4.000000\tgap: Ana",
        "5.250000\t5.250000\tclipping: Ana",
    ]


def test_rttm(tmp_path: Path) -> None:
    """Ten fields a line, separated by single spaces, so that a name has none; the mix is nobody."""
    assert rttm(*session(tmp_path)).splitlines() == [
        "SPEAKER meeting 1 0.250 0.250 <NA> <NA> Bo_Lind <NA> <NA>",
        "SPEAKER meeting 1 1.000 1.500 <NA> <NA> Ana <NA> <NA>",
    ]


def test_webvtt(tmp_path: Path) -> None:
    """A cue lasts as long as its words; where nobody told that, until the next one or for seven seconds."""
    told, _ = session(tmp_path)
    cues = vtt(told).split("\n\n")
    assert cues[0] == "WEBVTT"
    assert cues[1] == "00:00:00.500 --> 00:00:01.500\n<v Ana>good morning"
    assert [cue.partition("\n")[0] for cue in cues[3:]] == [
        "00:00:20.000 --> 00:00:22.000",
        "00:00:22.000 --> 00:00:29.000",
    ]


def test_names_that_would_break_a_list(tmp_path: Path) -> None:
    """No name and no text makes a line, a field, a tag or an arrow of its own."""
    told, outlines = session(tmp_path, EVIL)
    assert {line.count("\t") for line in audacity(told, outlines).splitlines()} == {2}
    assert {len(line.split(" ")) for line in rttm(told, outlines).splitlines()} == {10}
    captions = vtt(told)
    assert captions.count("-->") == len(told.lines)
    assert len(re.findall("<", captions)) == len(told.lines)
    assert captions.count("\n\n") == len(told.lines)
