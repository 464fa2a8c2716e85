"""Ids and names that would climb out of the folder, take over the terminal, or pass for each other."""

from __future__ import annotations

import unicodedata

import pytest
from tests.scenarios.harness import Ended, Place, Recording, Samples, assert_same, attendee, call, ramp, read

from audiotap.track import MAX_NAME

HOSTILE = [
    "../../../../tmp/escaped",
    "../../etc/passwd",
    "/etc/passwd",
    "..",
    ".",
    "",
    " ",
    "a/b\\c",
    "CON",
    "con",
    "nul.txt",
    "nul\x00byte",
    "\x1b[2J\x1b]0;title\x07",
    "\x9b31m",
    "[/red]",
    "[bold]",
    "line\nbreak\r",
    "\u2028",
    "\u202egnp.exe",
    "\u200f",
    "Ana",
    "ana",
    "ANA",
    "Zoé",
    "Zoe\u0301",
    "Zoë 🎙 田中",
    "👩‍👩‍👧",
    "x" * 300,
    "x" * 301,
    "x" * 5000,
    "mixed",
    "=mixed",
    "spoken",
    "manifest",
    "manifest.json",
]


def sound(number: int) -> Samples:
    """Each one's own."""
    return ramp(0.2) + 100 * number


def track(participant: str) -> str:
    """What the manifest calls somebody's track."""
    return f"={participant}" if participant in {"mixed", "spoken"} or participant.startswith("=") else participant


async def test_participants(place: Place) -> None:
    """Each is a file of its own inside the session's folder, with its own samples; the manifest has its id and name."""
    wires = [attendee(sound(n), 0.2, "p", participant_uuid=id_, participant_name=id_) for n, id_ in enumerate(HOSTILE)]
    ended = await heard(place, attendee(ramp(1), 1.0), *wires)

    assert ended.status == 0
    (folder,) = place.out.iterdir()
    assert_inside(place)
    recording = Recording({"path": str(folder)})
    assert_same(recording.samples("mixed"), ramp(1))
    entries = recording.manifest["tracks"][1:]
    assert [entry["track"] for entry in entries] == [track(id_) for id_ in HOSTILE]
    assert [entry["names"] for entry in entries] == [[name[:MAX_NAME]] if name else [] for name in HOSTILE]
    files = {unicodedata.normalize("NFKC", path.name).casefold() for path in folder.glob("*.wav")}
    assert len(files) == 1 + len(HOSTILE)
    for number, entry in enumerate(entries):
        assert_same(recording.samples(entry["track"]), sound(number))


async def test_sessions(place: Place) -> None:
    """Each is a folder of its own inside `--out`, with its own samples."""
    ended = await heard(place, *(attendee(sound(n), 0.2, bot=id_) for n, id_ in enumerate(HOSTILE)))

    assert ended.status == 0
    assert_inside(place)
    recordings = {one.manifest["session"]: one for one in (Recording({"path": str(f)}) for f in place.out.iterdir())}
    assert recordings.keys() == {id_ or "unknown" for id_ in HOSTILE}
    for number, id_ in enumerate(HOSTILE):
        assert_same(recordings[id_ or "unknown"].samples("mixed"), sound(number))


@pytest.mark.parametrize("where", ["participant_name", "participant_uuid", "bot"])
async def test_half_an_emoji(place: Place, where: str) -> None:
    """A name that was cut in the middle of a surrogate pair costs a character and not a sample."""
    ended = await heard(place, attendee(sound(0), 0.2, "p", **{where: "Zo\ud83d"}))

    assert ended.status == 0
    assert_inside(place)
    (file,) = place.out.glob("*/*.wav")
    assert_same(read(file), sound(0))


async def heard(place: Place, *wires: str) -> Ended:
    """What becomes of a listener with plain output that is told all of it; its terminal obeys and hides nothing."""
    listener = await place.start("listen", "--port", 0, "--out", place.out, "--output", "plain")
    url = (await listener.says(r"listening on (ws://\S+),"))[1]
    await call(url, *wires)
    ended = await listener.stop()
    assert [line for line in ended.err.split("\n") if not line.isprintable()] == []
    return ended


def assert_inside(place: Place) -> None:
    """Nothing is anywhere but in the sessions' folders, and all of it is plain files with ordinary names."""
    assert list(place.folder.iterdir()) == [place.out]
    for folder in place.out.iterdir():
        assert folder.is_dir()
        for path in (folder, *folder.iterdir()):
            assert path.is_file() or path == folder
            assert not path.is_symlink()
            assert path.name.isprintable()
            assert len(path.name.encode()) < 200
