"""A conversation's recording: what sinks are handed, on a line that begins when the tape does."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.net.agents.fake import Clock
from tests.signals import RATE, counting, tone, values

from audiotap.audio import Chunk
from audiotap.net.agents.tape import TELL_SECONDS, Tape
from audiotap.session import Logged, Placed, Summary
from audiotap.sinks.base import Item

KEY = ("fake", "talk-1")


class Reel:
    """A lane that keeps everything."""

    ready = calm = True

    def __init__(self) -> None:
        self.items: list[Item] = []
        self.closed = 0

    def put(self, item: Item) -> None:
        assert not self.closed
        self.items.append(item)

    async def close(self) -> None:
        self.closed += 1

    def of(self, track: str) -> list[Placed]:
        return [item for item in self.items if isinstance(item, Placed) and item.track == track]

    @property
    def summaries(self) -> list[Summary]:
        return [item for item in self.items if isinstance(item, Summary)]

    def line(self, track: str, rate: int = RATE) -> bytes:
        """A track as a file has it: silence where nothing lies."""
        line = bytearray()
        for placed in self.of(track):
            assert placed.chunk.rate == rate
            assert placed.position * 2 >= len(line)
            line += bytes(placed.position * 2 - len(line)) + placed.chunk.pcm
        return bytes(line)


class Recording:
    """A tape that was just begun, and its lane."""

    def __init__(self) -> None:
        self.reel = Reel()
        self.tape = Tape(KEY, [self.reel])
        self.zero = -self.tape.at(0.0)

    def play(self, track: str, pcm: bytes, at: float, rate: int = RATE) -> None:
        self.tape.play(track, Chunk(pcm, rate), self.zero + at)


async def test_a_tape_that_is_empty() -> None:
    """A session is there from the beginning, and its end has a reason."""
    made = Recording()
    assert [summary.session for summary in made.reel.summaries] == [KEY]
    assert made.reel.summaries[0].ended is None
    await made.tape.close("all was said")
    last = made.reel.summaries[-1]
    assert (last.reason, last.tracks, last.connections) == ("all was said", (), 1)
    assert last.ended is not None
    assert last.ended >= last.started
    assert made.reel.closed == 1


async def test_two_tracks_lie_on_one_line() -> None:
    """Each where it was heard, whoever begins; silence is what lies between."""
    made = Recording()
    made.play("agent", counting(RATE), 2.0)
    made.play("user", counting(RATE), 0.5)
    await made.tape.close("")
    assert made.reel.line("agent") == bytes(2 * 2 * RATE) + counting(RATE)
    assert made.reel.line("user") == bytes(RATE) + counting(RATE)
    assert made.reel.summaries[-1].seconds == 3.0


async def test_blocks_in_a_row_make_one_run() -> None:
    """What the clock's digits say between two blocks is no hole."""
    made = Recording()
    for n in range(500):
        made.play("user", counting(320, 1 + 320 * n), n * 0.02 + 1e-9)
    await made.tape.close("")
    assert made.reel.line("user") == counting(500 * 320)
    (track,) = made.reel.summaries[-1].tracks
    assert (track.counts.gaps, track.counts.late) == (0, 0)


async def test_an_answer_that_pauses_leaves_a_hole() -> None:
    """What comes later is heard later."""
    made = Recording()
    made.play("agent", counting(1600), 1.0)
    made.play("agent", counting(1600, 1601), 3.0)
    await made.tape.close("")
    line = values(made.reel.line("agent"))
    assert line[RATE : RATE + 1600].tolist() == list(range(1, 1601))
    assert line[3 * RATE :].tolist() == list(range(1601, 3201))
    assert not line[RATE + 1600 : 3 * RATE].any()


async def test_what_was_heard_before_the_beginning() -> None:
    """It lies at the beginning, and not before it."""
    made = Recording()
    made.play("agent", counting(1600), -0.3)
    await made.tape.close("")
    assert made.reel.line("agent") == counting(1600)


async def test_each_track_has_its_own_rate() -> None:
    """The first one it is heard at; another one later is resampled to it, to the last sample."""
    made = Recording()
    made.play("user", tone(1), 0.0)
    made.play("agent", tone(1, 24_000), 0.0, 24_000)
    made.play("agent", tone(1, 8000), 1.0, 8000)
    await made.tape.close("")
    assert len(made.reel.line("user")) == 2 * RATE
    assert len(made.reel.line("agent", 24_000)) == pytest.approx(4 * 24_000, abs=100)


async def test_sinks_know_a_track_before_its_samples() -> None:
    """And are told how it stands now and then, with what could not be read."""
    clock, made = Clock(), Recording()
    for n in range(12):
        made.tape.malformed = n
        made.play("user", counting(RATE), float(n))
        clock.advance(1.0)
    kinds = ["summary" if isinstance(item, Summary) else "placed" for item in made.reel.items]
    assert kinds[:3] == ["summary", "summary", "placed"]
    told = [summary.malformed for summary in made.reel.summaries[2:]]
    assert told == pytest.approx([TELL_SECONDS, 2 * TELL_SECONDS + 1], abs=1)
    await made.tape.close("")
    assert made.reel.summaries[-1].malformed == 11


async def test_notes_have_their_time() -> None:
    """What occurs is kept with the seconds of the line at which it did."""
    clock, made = Clock(), Recording()
    clock.advance(2.0)
    made.tape.note("agent.turn-done", {"status": "completed"})
    (logged,) = [item for item in made.reel.items if isinstance(item, Logged)]
    assert (logged.occurred.session, logged.occurred.kind) == ("talk-1", "agent.turn-done")
    assert logged.occurred.data == {"status": "completed"}
    assert logged.seconds == pytest.approx(2.0, abs=0.1)
    assert made.tape.seconds == pytest.approx(2.0, abs=0.1)
    await made.tape.close("")


async def test_every_lane_gets_everything() -> None:
    """And all of them are closed."""
    reels = [Reel(), Reel()]
    tape = Tape(KEY, reels)
    tape.play("user", Chunk(counting(1600), RATE), 0.0)
    tape.note("user.write", {})
    await tape.close("")
    assert reels[0].items == reels[1].items
    assert [reel.closed for reel in reels] == [1, 1]


runs = st.lists(st.tuples(st.sampled_from(["user", "agent"]), st.integers(0, 4000), st.floats(0, 3.0)), max_size=20)


@given(runs=runs)
async def test_nothing_that_is_played_is_lost(runs: list[tuple[str, int, float]]) -> None:
    """Whatever overlaps or lags: every sample once, in order, never earlier than where the one before it ends."""
    made, came = Recording(), {"user": 0, "agent": 0}
    for track, samples, at in runs:
        made.play(track, counting(samples, 1 + came[track]), at)
        came[track] += samples
    await made.tape.close("")
    for track, samples in came.items():
        sound = values(made.reel.line(track))
        assert sound[sound != 0].tolist() == [value for value in values(counting(samples)) if value]
