"""`audiotap report`: a session's page as a browser shows it, from the disk, whatever was said and by whom."""

from __future__ import annotations

import json
import os
import re
from collections.abc import AsyncIterator
from html import unescape
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.recorded.sessions import Part, kept, uttered
from tests.scenarios.browser import Page, browser, needed
from tests.scenarios.harness import ANA, BO, CHEN, RATE, Place, attendee, chunks, ramp, read, tone
from tests.scenarios.test_hostile_names import HOSTILE
from websockets.asyncio.client import connect

from audiotap.track import TrackCounts

EVIL = [
    "<script>document.title='evil'</script>",
    "</script><script>document.title='evil'</script>",
    "</style><style>body{display:none}",
    '"><img src=x onerror="document.title=\'evil\'">',
    "' onmouseover='document.title=1",
    "javascript:document.title='evil'",
    "&lt;b&gt; &amp; <b>",
    "<!--",
    "]]>",
    "${document.title='evil'}",
    "{{7*7}}",
    "a" * 5000,
]


SHOTS = Path(folder) if (folder := os.environ.get("AUDIOTAP_SHOTS")) else None
"""Where the pictures are left for people to look at."""


@pytest.fixture
async def page(tmp_path: Path) -> AsyncIterator[Page]:
    async with browser(tmp_path) as page:
        yield page


def speech(path: Path, seconds: float) -> bytes:
    """A voice that goes on for so long."""
    return np.resize(read(path), round(seconds * RATE)).tobytes()


def talk(folder: Path, seconds: float = 12, **more: Any) -> Path:
    """A call of two participants, with everything that a page can show."""
    quiet, clipped = bytes(round(seconds / 4) * RATE * 2), np.full(100, 32767, dtype="<i2").tobytes()
    ana = speech(ANA, seconds / 4) + quiet + speech(ANA, seconds / 2)
    parts = {
        "mixed": Part(speech(CHEN, seconds)),
        "100": Part(ana, "Ana", counts=TrackCounts(gaps=1, gap_samples=len(quiet) // 2)),
        "101": Part(quiet + clipped + speech(BO, seconds / 2), "Bo", start=len(quiet) // 2),
        "spoken": Part(quiet + speech(CHEN, 2)),
    }
    told = [
        {"at": 0.0, "event": "participant_events.join", "data": {"participant": {"id": 100, "name": "Ana"}}},
        uttered(0.5, "good morning to you"),
        uttered(4.0, "hello", 101, "Bo"),
        {"at": 6.0, "event": "pause", "data": {"seconds": 1.0}},
        uttered(8.0, "see you"),
        {"at": 9.0, "event": "agent.interrupted", "data": {"heard": 1.0, "dropped": 2.0}},
    ]
    return kept(folder, parts, told, **more)


@needed
async def test_a_page_from_the_disk(place: Place, page: Page) -> None:
    """A row for each track with its waveform, speech, gap, clipping and pause; the transcript; no complaint."""
    folder = talk(place.folder / "recordings" / "session")
    ended = await place.run("report", folder)
    assert ended.status == 0
    assert ended.err.splitlines() == [str(folder / "report.html")]

    await page.show((folder / "report.html").as_uri())
    await page.until("[...document.querySelectorAll('audio')].every(audio => audio.readyState >= 1)")
    names = await page.tell("[...document.querySelectorAll('.who')].map(one => one.textContent)")
    assert names == ["mixed", "Ana", "Bo", "spoken"]
    shown = (
        "['.talking use', '.wave .gap', '.wave .clip', '.wave .pause'].map(q => document.querySelectorAll(q).length)"
    )
    assert await page.tell(shown) == [8, 1, 1, 1]
    said = await page.tell(
        "[...document.querySelectorAll('aside li')].map(one => one.innerText.split('\\n').join(' '))"
    )
    assert [" ".join(line.split()) for line in said] == [
        "00:00 Ana joined",
        "00:00 Ana good morning to you",
        "00:04 Bo hello",
        "00:06 pause of 1 s",
        "00:08 Ana see you",
        "00:09 interrupted after 1.0 s of the answer",
    ]
    durations = await page.tell("[...document.querySelectorAll('audio')].map(audio => audio.duration)")
    assert durations == pytest.approx([12, 12, 9 + 100 / RATE, 5], abs=0.01)
    assert page.complaints == []


@needed
async def test_all_tracks_play_together(place: Place, page: Page) -> None:
    """Space plays everybody but the mix, which has them already; their times and the cursor's are one; Space stops."""
    folder = talk(place.folder / "session")
    await place.run("report", folder)
    await page.show((folder / "report.html").as_uri())
    await page.press(" ")
    await page.until("parseFloat(cursor.style.left) > 10")
    times = "[...document.querySelectorAll('audio')].map(audio => [audio.paused, audio.currentTime])"
    paused, at = zip(*await page.tell(times), strict=True)
    assert paused == (True, False, False, False)
    assert max(at[1:]) - min(at[1:]) < 0.1
    left = await page.tell("parseFloat(cursor.style.left) / 100 * 12")
    assert left == pytest.approx(at[1], abs=0.2)
    await page.press(" ")
    assert await page.tell("[...document.querySelectorAll('audio')].every(audio => audio.paused)")
    assert page.complaints == []


@needed
async def test_it_ends_at_the_end(place: Place, page: Page) -> None:
    """Where the last track is over, the page stops, and plays from the beginning again when it is asked."""
    folder = talk(place.folder / "session")
    await place.run("report", folder)
    await page.show((folder / "report.html").as_uri() + "#t=11.7")
    await page.press(" ")
    await page.until("document.querySelector('#clock').textContent === '00:12'")
    await page.until("!document.body.classList.contains('playing')")
    await page.press(" ")
    await page.until("document.querySelector('#clock').textContent === '00:00'")
    assert page.complaints == []


@needed
async def test_keys_and_clicks(place: Place, page: Page) -> None:
    """Arrows, jumps to speech, one track alone, zoom, theme; a click on the picture or on a line goes there."""
    folder = talk(place.folder / "session")
    await place.run("report", folder)
    await page.show((folder / "report.html").as_uri())
    seconds = "document.querySelector('#canvas').getAttribute('aria-valuenow')"
    for key, then in [("ArrowRight", "5"), ("End", "12"), ("ArrowLeft", "7"), ("Home", "0")]:
        await page.press(key)
        assert await page.tell(seconds) == then, key

    silent = "[...document.querySelectorAll('.name')].map(one => one.classList.contains('silent'))"
    assert await page.tell(silent) == [True, False, False, False]
    await page.press("3")
    assert await page.tell(silent) == [True, True, False, True]
    for key, then in [("n", "3"), ("p", "0")]:
        await page.press(key)
        assert await page.tell(seconds) == then, key
    await page.press("0")
    assert await page.tell(silent) == [True, False, False, False]

    await page.press("+")
    width = "document.querySelector('#canvas').clientWidth / document.querySelector('.scroll').clientWidth"
    assert await page.tell(width) == pytest.approx(1.6, abs=0.01)
    await page.press("-")
    assert await page.tell(width) == pytest.approx(1, abs=0.01)

    paper = "getComputedStyle(document.body).backgroundColor"
    light = await page.tell(paper)
    await page.press("t")
    assert await page.tell(paper) != light

    box = await page.tell("JSON.stringify(document.querySelector('#canvas').getBoundingClientRect())")
    where = json.loads(box)
    await page.click(where["x"] + where["width"] * 0.75, where["y"] + 60)
    assert await page.tell(seconds) == "9"
    await page.tell("[...document.querySelectorAll('aside a')][2].click()")
    assert await page.tell(seconds) == "4"
    assert await page.tell("document.querySelector('aside .now b').textContent") == "Bo"
    assert page.complaints == []


@needed
async def test_names_that_would_take_over_the_page(place: Place, page: Page) -> None:
    """Nothing that a network says becomes a tag, a script, a style or an address; it is shown as it is."""
    names = [*HOSTILE, *EVIL]
    parts = {str(n): Part(tone(0.1).tobytes(), name) for n, name in enumerate(names)}
    told = [uttered(n / 10, name, n, name) for n, name in enumerate(names) if name.strip()]
    evil = EVIL[1]
    folder = kept(place.folder / "<b>session", parts, told, session=evil, provider=evil)
    ended = await place.run("report", folder, "--labels", "--rttm", "--vtt")
    assert ended.status == 0

    await page.show((folder / "report.html").as_uri())
    await page.until("[...document.querySelectorAll('audio')].every(audio => audio.readyState >= 1)")
    assert await page.tell("document.title") == f"{evil} · audiotap"
    assert await page.tell("document.querySelectorAll('script').length") == 1
    assert await page.tell("document.querySelectorAll('style').length") == 1
    assert await page.tell("document.querySelectorAll('img, b b, iframe, object').length") == 0
    shown = await page.tell("[...document.querySelectorAll('.who')].map(one => one.textContent)")
    assert len(shown) == len(names)
    assert shown[len(HOSTILE) : -1] == EVIL[:-1]
    assert len(shown[-1]) == 121
    inside = await page.tell("document.documentElement.scrollWidth <= window.innerWidth")
    assert inside
    assert page.complaints == []


@needed
async def test_a_script_that_slipped_in_would_not_run(place: Place, page: Page) -> None:
    """The page's policy knows its own script by hash; another one, a handler or a picture from elsewhere is refused."""
    folder = talk(place.folder / "session")
    await place.run("report", folder)
    path = folder / "report.html"
    inject = "<script>document.title = 'evil'</script><img src=x onerror=\"document.title = 'evil'\">"
    path.write_text(path.read_text("utf-8").replace("<main", f"{inject}<main"), "utf-8")
    await page.show(path.as_uri())
    assert await page.tell("document.title") == "bot_1 · audiotap"
    assert any("Content Security Policy" in complaint for complaint in page.complaints)


@needed
@pytest.mark.parametrize("form", ["wav", "bin"])
async def test_one_file_with_everything(place: Place, page: Page, form: str) -> None:
    """With --embed the page plays where no track lies beside it, also what no browser plays otherwise."""
    folder = talk(place.folder / "session", form=form)
    alone = place.folder / "elsewhere" / "page.html"
    alone.parent.mkdir()
    ended = await place.run("report", folder, "--embed", "--out", alone)
    assert ended.status == 0
    assert not (folder / "report.html").exists()
    await page.show(alone.as_uri())
    await page.until("[...document.querySelectorAll('audio')].every(audio => audio.readyState >= 1)")
    durations = await page.tell("[...document.querySelectorAll('audio')].map(audio => audio.duration)")
    assert durations == pytest.approx([12, 12, 9 + 100 / RATE, 5], abs=0.05)
    await page.press(" ")
    await page.until("parseFloat(cursor.style.left) > 4")
    assert page.complaints == []


@needed
@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
@pytest.mark.parametrize("tracks", [2, 12])
async def test_it_fits_and_is_readable(place: Place, page: Page, tracks: int, *, dark: bool) -> None:
    """Nothing sticks out of the window, wide or narrow, and text stands out from its ground as WCAG asks (4.5 to 1)."""
    voices = (ANA, BO, CHEN)
    parts = {str(n): Part(speech(voices[n % 3], 5), f"Participant {n}") for n in range(tracks)}
    told = [uttered(n / 2, "a line of the transcript", n % tracks, f"Participant {n % tracks}") for n in range(20)]
    folder = kept(place.folder / "session", parts, told)
    await place.run("report", folder)
    for width in (1400, 700):
        await page.show((folder / "report.html").as_uri(), width, 1000, dark=dark)
        assert await page.tell("document.documentElement.scrollWidth <= window.innerWidth")
        shown = await page.picture()
        assert len(shown) > 20_000
        if SHOTS is not None:
            (SHOTS / f"{tracks}-{'dark' if dark else 'light'}-{width}.png").write_bytes(shown)
    assert await page.tell(CONTRAST) >= 4.5


CONTRAST = """(() => {
  const context = new OffscreenCanvas(1, 1).getContext("2d");
  const light = (colour) => {
    context.fillStyle = colour; context.fillRect(0, 0, 1, 1);
    const linear = [...context.getImageData(0, 0, 1, 1).data].slice(0, 3).map(part => part / 255)
      .map(part => part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4);
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2];
  };
  const ground = light(getComputedStyle(document.body).backgroundColor);
  const ratio = (one) => {
    const text = light(getComputedStyle(one).color);
    return (Math.max(text, ground) + 0.05) / (Math.min(text, ground) + 0.05);
  };
  return Math.min(...[...document.querySelectorAll("h1, .facts, li b, li p, li a, .who, .talk, td, th")].map(ratio));
})()"""


# Without a browser


async def test_a_session_that_is_still_recorded(place: Place) -> None:
    """A page is made of what is there, says that the end is not, and the recording goes on untouched."""
    listener = await place.listen()
    sound = ramp(3)
    page = place.folder / "page.html"
    async with connect(listener.url, compression=None) as bot:
        for n, piece in enumerate(chunks(sound[: 2 * RATE])):
            await bot.send(attendee(piece, (n + 1) / 10))
        folder = Path((await listener.event("session.started"))["path"])
        await listener.event("track.started")
        ended = await place.run("report", place.out, "--out", page, "--json")
        for n, piece in enumerate(chunks(sound[2 * RATE :])):
            await bot.send(attendee(piece, 2 + (n + 1) / 10))
    assert ended.status == 0
    assert ended.json == {"session": "bot_1", "page": str(page), "files": []}
    assert "Not ended when this page was made" in page.read_text("utf-8")
    await listener.stop()
    samples = read(place.folder / folder / "mixed.wav")
    assert len(samples) == 3 * RATE
    assert (samples == sound).all()


async def test_the_newest_of_several(place: Place) -> None:
    """A folder of recordings means its newest session, which is said."""
    for name in ("20261120T080000Z_attendee_a", "20261121T080000Z_attendee_b"):
        talk(place.out / name)
    ended = await place.run("report", place.out)
    assert ended.err.splitlines()[0] == f"20261121T080000Z_attendee_b, the newest of 2 sessions in {place.out}"
    assert [path.parent.name for path in place.out.glob("*/report.html")] == ["20261121T080000Z_attendee_b"]


async def test_lists_beside_the_page(place: Place) -> None:
    """Labels, RTTM and captions are called like the page."""
    folder = talk(place.folder / "session")
    ended = await place.run("report", folder, "--labels", "--rttm", "--vtt", "--json")
    assert ended.json["files"] == [str(folder / f"report.{end}") for end in ("labels.txt", "rttm", "vtt")]
    assert "gap: Ana" in (folder / "report.labels.txt").read_text("utf-8")
    assert (folder / "report.rttm").read_text("utf-8").startswith("SPEAKER session 1 0.")
    assert "<v Ana>good morning to you" in (folder / "report.vtt").read_text("utf-8")


async def test_captions_without_a_transcript(place: Place) -> None:
    """What is not there cannot be written: status 2, and nothing is written."""
    folder = kept(place.folder / "session", {"mixed": Part(tone(1).tobytes())})
    ended = await place.run("report", folder, "--vtt")
    assert ended.status == 2
    assert "holds no transcript" in ended.err
    assert not (folder / "report.html").exists()


@pytest.mark.parametrize("out", ["manifest.json", "0.wav", "events.jsonl"])
async def test_the_recording_is_not_written_over(place: Place, out: str) -> None:
    """A page may be put anywhere but in the place of what was recorded."""
    folder = talk(place.folder / "session")
    before = (folder / out).read_bytes()
    ended = await place.run("report", folder, "--out", folder / out)
    assert ended.status == 2
    assert (folder / out).read_bytes() == before


async def test_a_track_that_cannot_be_read(place: Place) -> None:
    """The page is made of the others, and says of that one what is wrong."""
    folder = talk(place.folder / "session")
    (folder / "1.wav").write_bytes(b"no audio at all" * 100)
    ended = await place.run("report", folder)
    assert ended.status == 0
    assert re.search(r"^Ana: cannot read .*1\.wav", ended.err, re.MULTILINE)
    assert (folder / "report.html").exists()


async def test_check_has_nothing_against_a_page(place: Place) -> None:
    """A session with a page and lists in its folder is as sound as before."""
    await place.run("report", talk(place.folder / "session"), "--labels")
    ended = await place.run("check", place.folder / "session", "--json")
    assert ended.status == 0
    (told,) = ended.json
    assert (told["sound"], told["lossy"]) == (True, False)


async def test_a_page_is_the_same_every_time(place: Place) -> None:
    """It tells of the recording, and nothing of when, where or by whom it was made."""
    folder = talk(place.folder / "session")
    await place.run("report", folder)
    first = (folder / "report.html").read_bytes()
    await place.run("report", folder)
    assert (folder / "report.html").read_bytes() == first
    assert str(place.folder) not in unescape(first.decode())


async def test_a_pause_is_marked(place: Place) -> None:
    """`audiotap pause` leaves a line in the event log, which the page shows in what was spoken."""
    listener = await place.listen("--linger", 0.1)
    async with connect(listener.url, compression=None) as bot:
        await bot.send(attendee(tone(0.5), 0.5))
        await listener.event("track.started")
        assert (await place.run("pause", 1500)).status == 0
    recording = await listener.finished("bot_1")
    await listener.stop()
    (line,) = recording.events
    assert (line["event"], line["data"]) == ("pause", {"seconds": 1.5})
    await place.run("report", recording.folder)
    assert re.search(r"00:0\d pause of 1\.5 s</title>", (recording.folder / "report.html").read_text("utf-8"))


@pytest.mark.parametrize("parts", [{}, {"mixed": Part(b"")}], ids=["no track", "no sample"])
async def test_a_session_in_which_nothing_was_heard(place: Place, parts: dict[str, Part]) -> None:
    """There is a page all the same, without rows or with an empty one."""
    ended = await place.run("report", kept(place.folder / "session", parts), "--labels", "--rttm")
    assert ended.status == 0
    assert (place.folder / "session" / "report.rttm").read_text("utf-8") == ""
