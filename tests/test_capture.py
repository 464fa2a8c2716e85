"""Captures as files: what was written is read, to the last bit; what is cut off ends, and what is broken is told."""

from __future__ import annotations

import gzip
import json
import zlib
from collections.abc import Iterable
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from audiotap import capture as module
from audiotap.capture import (
    MAX_SECONDS,
    VERSION,
    Capture,
    CaptureError,
    Ended,
    Hello,
    Left,
    Moment,
    Named,
    Noted,
    Opened,
    Spoke,
    Took,
    lines,
    told_asked,
    told_headers,
    told_path,
)
from audiotap.events import Asked

NOON = datetime(2026, 11, 21, 12, tzinfo=UTC)
HELLO = Hello(100.5, VERSION, "audiotap 0.1.0", NOON, "wav", None, 5000, 100, 1000)
OPENED = Opened(101.0, 1, NOON, "/…", {})
SPOKE = Spoke(101.0, "attendee", "bot", 16000, 101.2, b"\1\0")
MANY = settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)

ids = st.text(max_size=20)
steps = st.floats(0, 1000, allow_subnormal=True)
frames = st.lists(st.text(max_size=50) | st.binary(max_size=50), min_size=1, max_size=4)
plain = st.recursive(st.none() | st.booleans() | st.integers(-(2**53), 2**53) | ids, st.lists, max_leaves=5)


@st.composite
def calls(draw: st.DrawFn) -> list[Moment]:
    """Whatever may happen around a tap, in an order in which it may."""
    now = draw(st.floats(0, 1e9))
    moments: list[Moment] = [Hello(now, VERSION, draw(ids), NOON, "wav", draw(st.none() | steps), 1, 2, 3)]
    opened = 0
    there: list[int] = []
    for _ in range(draw(st.integers(0, 12))):
        now += draw(steps)
        kinds = ["open", "spoken", "names", "note", *(["took", "close"] if there else [])]
        match draw(st.sampled_from(kinds)):
            case "open":
                opened += 1
                there.append(opened)
                moments.append(Opened(now, opened, NOON, draw(ids), draw(st.dictionaries(ids, ids, max_size=2))))
            case "took":
                moments.append(Took(now, draw(st.sampled_from(there)), draw(frames)))
            case "close":
                there.remove(left := draw(st.sampled_from(there)))
                moments.append(Left(now, left, draw(st.booleans())))
            case "spoken":
                moments.append(Spoke(now, draw(ids), draw(ids), 16000, now + 0.3, draw(st.binary(max_size=20))))
            case "names":
                moments.append(Named(now, draw(ids), draw(ids), draw(st.dictionaries(ids, ids, max_size=2))))
            case _:
                data = draw(st.dictionaries(ids, plain, max_size=2))
                moments.append(Noted(now, draw(ids), draw(ids), draw(ids), data))
    return [*moments, *([Ended(now, draw(ids))] if draw(st.booleans()) else [])]


def text(moments: Iterable[Moment]) -> bytes:
    return b"".join(line for moment in moments for line in lines(moment))


def read(path: Path, data: bytes) -> tuple[list[Moment], bool]:
    """What a file with these bytes tells, and whether it is whole."""
    path.write_bytes(data)
    capture = Capture(path)
    return [capture.hello, *capture], capture.whole


@MANY
@given(calls(), st.booleans())
def test_what_is_written_is_read(tmp_path: Path, moments: list[Moment], packed: bool) -> None:
    """Every moment comes back as it was, its time to the last bit, from a file that is gzipped or was unpacked."""
    data = gzip.compress(text(moments)) if packed else text(moments)
    assert read(tmp_path / "capture", data) == (moments, isinstance(moments[-1], Ended))


@MANY
@given(calls(), st.data())
def test_what_is_cut_off_ends(tmp_path: Path, moments: list[Moment], data: st.DataObject) -> None:
    """A file that a kill left tells what it holds whole, and never more or anything else."""
    packer = zlib.compressobj(1, wbits=31)
    pieces = [packer.compress(text([moment])) + packer.flush(zlib.Z_SYNC_FLUSH) for moment in moments]
    kept = data.draw(st.integers(1, len(pieces)))
    torn = pieces[kept][: data.draw(st.integers(0, len(pieces[kept]) - 1))] if kept < len(pieces) else b""
    told, _ = read(tmp_path / "capture", b"".join(pieces[:kept]) + torn)
    assert told[:kept] == moments[:kept]
    assert told == moments[: len(told)]


@MANY
@given(st.binary(max_size=300) | st.binary(max_size=300).map(gzip.compress))
def test_noise_is_no_capture(tmp_path: Path, noise: bytes) -> None:
    """Whatever the bytes are, they are refused in a sentence that names the file."""
    with pytest.raises(CaptureError, match="capture"):
        read(tmp_path / "noise", noise)


@MANY
@given(calls(), st.data())
def test_one_byte_that_changed_is_told_or_harmless(tmp_path: Path, moments: list[Moment], data: st.DataObject) -> None:
    """Damage anywhere never becomes anything but a CaptureError, or moments."""
    whole = bytearray(gzip.compress(text(moments), mtime=0))
    whole[data.draw(st.integers(0, len(whole) - 1))] ^= data.draw(st.integers(1, 255))
    with suppress(CaptureError):
        read(tmp_path / "capture", bytes(whole))


@pytest.mark.parametrize(
    ("moments", "why"),
    [
        pytest.param([OPENED], "hello is the first", id="no hello"),
        pytest.param([HELLO, HELLO], "hello is the first", id="two of them"),
        pytest.param([HELLO, OPENED, Left(100.9, 1, lost=True)], "time goes back", id="back"),
        pytest.param([HELLO, Ended(HELLO.t + MAX_SECONDS + 1, "")], "a year", id="far ahead"),
        pytest.param([HELLO, Took(101.0, 1, ["a"])], "connection 1 is not open", id="never opened"),
        pytest.param([HELLO, OPENED, OPENED], "connection 1 was opened before", id="opened twice"),
        pytest.param([HELLO, OPENED, Left(101.0, 1, lost=True), Took(101.0, 1, ["a"])], "not open", id="closed"),
        pytest.param([HELLO, Spoke(101.0, "a", "b", 16000, 9999.0, b"")], "not heard when it was sent", id="speech"),
        pytest.param([HELLO, Ended(101.0, ""), OPENED], "follows the end", id="after the end"),
    ],
)
def test_what_cannot_be_is_told(tmp_path: Path, moments: list[Moment], why: str) -> None:
    """Lines that are right by themselves and cannot be together are refused with the reason."""
    with pytest.raises(CaptureError, match=why):
        read(tmp_path / "capture", text(moments))


def changed(moment: Moment, **fields: Any) -> bytes:
    """A line with other things in it."""
    (line,) = lines(moment)
    return json.dumps(json.loads(line) | fields).encode() + b"\n"


@pytest.mark.parametrize(
    ("line", "why"),
    [
        pytest.param(changed(HELLO, capture=2), "capture", id="a later version"),
        pytest.param(changed(OPENED, t=1e300), "t`", id="an absurd time"),
        pytest.param(changed(OPENED).replace(b"101.0", b"NaN"), "line 2", id="no number"),
        pytest.param(changed(OPENED).replace(b"101.0", b"1e999"), "line 2", id="too large a number"),
        pytest.param(changed(OPENED, connection=0), "connection", id="connection 0"),
        pytest.param(changed(OPENED, kind="smell"), "kind", id="an unknown kind"),
        pytest.param(changed(SPOKE, rate=0), "rate", id="rate 0"),
        pytest.param(changed(SPOKE, data="!!!"), "data", id="no base64"),
        pytest.param(b"[" * 100_000 + b"\n", "line 2", id="too deep"),
        pytest.param(b"\xff\xfe\n", "line 2", id="no UTF-8"),
    ],
)
def test_lines_that_are_none(tmp_path: Path, line: bytes, why: str) -> None:
    """What a line must not hold is named with the line's number."""
    hello = b"" if b'"hello"' in line else text([HELLO])
    with pytest.raises(CaptureError, match=why):
        read(tmp_path / "capture", hello + line)


def test_frames_that_belong_together(tmp_path: Path) -> None:
    """A message that was read together with the next one is not believed without it."""
    took = text([Took(102.0, 1, ["a", "b"])])
    (first, _) = took.splitlines(keepends=True)
    assert read(tmp_path / "capture", text([HELLO, OPENED]) + took)[0][-1] == Took(102.0, 1, ["a", "b"])
    with pytest.raises(CaptureError, match="line 4: a message is missing"):
        read(tmp_path / "capture", text([HELLO, OPENED]) + first + text([Left(102.0, 1, lost=True)]))


def test_a_line_without_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A small file that unpacks to a line of any length is refused before it fills the memory."""
    monkeypatch.setattr(module, "MAX_LINE", 2**20)
    with pytest.raises(CaptureError, match="longer than any message"):
        read(tmp_path / "bomb", gzip.compress(text([HELLO]) + bytes(2**24)))


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    """The reason is the system's, the hint is ours."""
    with pytest.raises(CaptureError, match="No such file") as error:
        Capture(tmp_path / "nothing")
    assert error.value.status == 2


@pytest.mark.parametrize(
    ("path", "told"),
    [
        ("/", "/"),
        ("", ""),
        ("/secret", "/…"),
        ("/secret/", "/…"),
        ("/secret//", "/…"),
        ("secret", "…"),
        ("/proxy/secret", "/proxy/…"),
        ("/proxy/secret?token=1", "/proxy/…?…"),
        ("/?token=1", "/?…"),
        ("/proxy/secret?a/b?c", "/proxy/…?…"),
    ],
)
def test_a_path_without_its_secrets(path: str, told: str) -> None:
    """The last part of a path and its query may be secrets, so neither is kept."""
    assert told_path(path) == told


def test_headers_without_their_secrets() -> None:
    """Only a few headers are kept, however they are spelt."""
    sent = [("user-agent", "bot/1"), ("Authorization", "Bearer x"), ("webhook-signature", "v1,x"), ("COOKIE", "x")]
    assert told_headers(sent) == {"User-Agent": "bot/1"}


@pytest.mark.parametrize(
    ("asked", "told"),
    [
        (Asked("/proxy/secret", "token=1"), Asked("/proxy/…")),
        (Asked("/secret", "trackID=TR&room=room&token=1"), Asked("/…", "trackID=TR&room=room")),
        (Asked("/room", "trackID=TR&token=1"), Asked("/room", "trackID=TR")),
        (Asked("/room", "", "Audio/X-Raw; rate=48000"), Asked("/room", "", "Audio/X-Raw; rate=48000")),
    ],
)
def test_how_was_asked_without_its_secrets(asked: Asked, told: Asked) -> None:
    """A path is kept whole only where it is all that tells a track's room."""
    assert told_asked(asked) == told
