"""One track on a real pipe: what comes out is the track, evenly in time."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime

import pytest
from tests.signals import RATE, counting

from audiotap.audio import Chunk
from audiotap.events import MIXED, Occurred
from audiotap.inspection import Findings
from audiotap.intake import Flaws
from audiotap.session import Logged, Placed, SessionKey, Summary
from audiotap.sinks.stream import MAX_PAD, PcmStream
from audiotap.track import TrackCounts, TrackSummary

ONE: SessionKey = ("attendee", "bot_1")
TWO: SessionKey = ("recall", "recording_2")
STARTED = datetime(2026, 1, 2, tzinfo=UTC)


class Pipe:
    """A pipe with a stream at one end; `read` gives what has come out at the other."""

    def __init__(self, track: str = MIXED) -> None:
        self.reader, self.writer = os.pipe()
        os.set_blocking(self.reader, False)
        self.stream = PcmStream(self.writer, track)

    def read(self) -> bytes:
        try:
            return os.read(self.reader, 1 << 20)
        except BlockingIOError:
            return b""


@pytest.fixture
def pipe(request: pytest.FixtureRequest) -> Iterator[Pipe]:
    """A stream of the mix, or of the track that a test asks for."""
    pipe = Pipe(getattr(request, "param", MIXED))
    yield pipe
    for end in (pipe.reader, pipe.writer):
        with suppress(OSError):
            os.close(end)


of_ana = pytest.mark.parametrize("pipe", ["Ana"], indirect=True)


def placed(
    position: int, samples: int = 100, track: str = MIXED, session: SessionKey = ONE, rate: int = RATE
) -> Placed:
    """Samples that tell their own position."""
    return Placed(session, track, position, Chunk(counting(samples, start=1 + position), rate))


def summary(session: SessionKey, *tracks: TrackSummary, ended: bool = False) -> Summary:
    return Summary(session, None, STARTED, STARTED if ended else None, "", None, 0, 1, 1, 0, {}, tracks)


def named(track: str, *names: str) -> TrackSummary:
    return TrackSummary(track, names, RATE, 0, 0, 0.0, TrackCounts(), Flaws(), Findings())


def test_samples_come_out_as_they_are(pipe: Pipe) -> None:
    """No header, no other track, and nothing held back."""
    pipe.stream.write([placed(0), placed(0, track="7"), placed(100)])
    assert pipe.read() == counting(200)


def test_a_gap_is_silence(pipe: Pipe) -> None:
    """The reader hears the pause as long as it was; what lay before the first sample is not waited for."""
    pipe.stream.write([placed(5000), placed(5300)])
    assert pipe.read() == counting(100, start=5001) + bytes(400) + counting(100, start=5301)


def test_a_long_gap_is_cut_short(pipe: Pipe) -> None:
    """An hour of nothing is a minute on the pipe."""
    pipe.stream.write([placed(0, rate=100)])
    pipe.stream.write([placed(360_000, rate=100)])
    assert pipe.read() == counting(100) + bytes(round(2 * MAX_PAD * 100)) + counting(100, start=360_001)


def test_other_items_are_not_audio(pipe: Pipe) -> None:
    """Events and summaries are nothing that could be heard."""
    pipe.stream.write([summary(ONE), Logged(ONE, Occurred("bot_1", "x", {}), 0.0), placed(0)])
    assert pipe.read() == counting(100)


def test_a_closed_reader_is_a_broken_pipe(pipe: Pipe) -> None:
    """The lane detaches the stream then, and nothing else stops."""
    os.close(pipe.reader)
    with pytest.raises(BrokenPipeError):
        pipe.stream.write([placed(0)])


def test_one_session_is_followed_and_then_the_next(pipe: Pipe) -> None:
    """Two calls at once are never mixed up; when the first ends, the other is heard from there on, without a gap."""
    pipe.stream.write([placed(0), placed(7000, session=TWO)])
    assert pipe.read() == counting(100)
    pipe.stream.write([summary(TWO, ended=True), placed(100)])
    assert pipe.read() == counting(100, start=101)
    pipe.stream.write([summary(ONE, ended=True), placed(9000, session=TWO), placed(200)])
    assert pipe.read() == counting(100, start=9001)


@pytest.mark.parametrize("pipe", ["7"], indirect=True)
def test_a_track_is_found_by_its_id(pipe: Pipe) -> None:
    """A participant instead of the mix."""
    pipe.stream.write([placed(0), placed(0, track="8"), placed(300, track="7")])
    assert pipe.read() == counting(100, start=301)


@of_ana
def test_a_track_is_found_by_its_name(pipe: Pipe) -> None:
    """The display name does as well, from when it is known; another participant of that name is not mixed in."""
    pipe.stream.write([placed(0, track="7")])
    assert pipe.read() == b""
    pipe.stream.write([summary(ONE, named("7", "Guest", "Ana"), named("8", "Bo"), named("9", "Ana"))])
    pipe.stream.write([placed(0, track="8"), placed(100, track="7"), placed(0, track="9"), placed(200, track="7")])
    assert pipe.read() == counting(200, start=101)


@of_ana
def test_a_name_belongs_to_its_session(pipe: Pipe) -> None:
    """After the call, the same id in another one is somebody else."""
    pipe.stream.write([summary(ONE, named("7", "Ana")), placed(0, track="7")])
    pipe.stream.write([summary(ONE, named("7", "Ana"), ended=True)])
    assert pipe.read() == counting(100)
    pipe.stream.write([placed(0, track="7", session=TWO), placed(100, track="7")])
    assert pipe.read() == b""


def test_closing_leaves_the_descriptor_open(pipe: Pipe) -> None:
    """It is the caller's: standard output."""
    pipe.stream.close()
    assert os.write(pipe.writer, b"ab") == 2
