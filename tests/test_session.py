"""The time line, told as playbooks: what was heard and when it said it was, and where it came to lie."""

from __future__ import annotations

import math
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.signals import RATE, counting

from audiotap.audio import Chunk
from audiotap.events import MIXED, SPOKEN, Heard, Occurred
from audiotap.session import MAX_EARLY, MAX_EARLY_SIZE, MAX_GAP, Placed, Session, TimeLine, Timing
from audiotap.track import MAX_NAME, MAX_NAMES, Track, TrackCounts

STARTED = datetime(2026, 1, 2, tzinfo=UTC)
EPOCH = 1_703_123_456.789
"""A time of day, as Attendee tells it."""
YEAR_9999 = 253_370_764_800.0


class Call:
    """A session that hears chunks; arrivals default to the pace of the first track's audio."""

    def __init__(self, tolerance: float = 0.1) -> None:
        self.session = Session(("attendee", "bot_1"), Timing(tolerance), STARTED)
        self.now = 1000.0

    def place(
        self,
        at: float | None,
        samples: int = 1600,
        track: str = MIXED,
        rate: int = RATE,
        sequence: int | None = None,
        name: str | None = None,
    ) -> Placed | None:
        heard = Heard("bot_1", track, Chunk(counting(samples), rate), at, name, sequence=sequence)
        placed = [*self.session.place([heard], self.now), *self.session.release(self.now, everything=True)]
        return placed[0] if placed else None

    def hear(self, at: float | None, samples: int = 1600, track: str = MIXED, rate: int = RATE) -> int:
        """The position of a chunk that is kept."""
        placed = self.place(at, samples, track, rate)
        assert placed is not None
        return placed.position

    def play(self, times: list[float | None], samples: int = 1600, track: str = MIXED) -> list[int]:
        """The positions of a track's chunks that arrive one after the other, each when it has been said."""
        placed = []
        for at in times:
            self.now += samples / RATE
            placed += self.session.place([Heard("bot_1", track, Chunk(counting(samples), RATE), at)], self.now)
            self.know()
        placed += self.session.release(self.now, everything=True)
        return [item.position for item in placed if item.track == track]

    def know(self) -> None:
        """The sinks were told of all tracks, as a listener does it."""
        for track in self.session.tracks.values():
            track.told = True

    def track(self, track: str = MIXED) -> Track:
        return self.session.tracks[track]

    def counts(self, track: str = MIXED) -> TrackCounts:
        return self.track(track).counts


def speak(call: Call, plays_at: float) -> Placed:
    """Where a tenth of a second that we play comes to lie."""
    (placed,) = call.session.place_spoken(Chunk(counting(1600), RATE), plays_at)
    return placed


def evenly(begin: float, count: int, step: float = 0.1) -> list[float | None]:
    """Times one step apart."""
    return [begin + n * step for n in range(count)]


def in_a_row(count: int, begin: int = 0, step: int = 1600) -> list[int]:
    """Positions one after the other."""
    return [begin + n * step for n in range(count)]


# One track


def test_chunks_on_time_follow_each_other() -> None:
    """The first chunk is the origin and the others lie behind it, without a hole."""
    call = Call()
    assert call.play(evenly(EPOCH, 20)) == in_a_row(20)
    assert call.counts() == TrackCounts(chunks=20)


def test_jitter_within_the_tolerance_is_no_gap() -> None:
    """Chunks that seem a little early or late lie in a row; nothing is put in or lost."""
    call = Call()
    times: list[float | None] = [EPOCH, EPOCH + 0.19, EPOCH + 0.11, EPOCH + 0.39, EPOCH + 0.35]
    assert call.play(times) == in_a_row(5)
    assert call.counts() == TrackCounts(chunks=5)


def test_a_hole_becomes_a_gap() -> None:
    """What comes later than the tolerance lies where its time says, and the silence is counted."""
    call = Call()
    assert call.play([0.0, 0.1, 2.5, 2.6]) == [0, 1600, 40000, 41600]
    assert call.counts() == TrackCounts(chunks=4, gaps=1, gap_samples=36800)


def test_what_is_late_follows_and_is_counted() -> None:
    """A chunk from the past is not written over what lies there."""
    call = Call()
    assert call.play([0.0, 0.1, 0.2, 0.05, 0.4]) == in_a_row(5)
    assert call.counts().late == 1


@pytest.mark.parametrize("jump", [3600.0, -3600.0, YEAR_9999 - EPOCH, -EPOCH])
def test_a_clock_that_jumps_makes_no_hole(jump: float) -> None:
    """An hour ahead or back, the year 9999 or 1970: the audio goes on where it was, and a later gap is still one."""
    call = Call()
    positions = call.play([*evenly(EPOCH, 5), *evenly(EPOCH + 0.5 + jump, 5), *evenly(EPOCH + 3 + jump, 2)])
    assert positions[:10] == in_a_row(10)
    assert positions[10:] == pytest.approx([48000, 49600], abs=1)
    assert call.counts().jumps == 1
    assert len(call.track().notices) == 1


def test_holes_that_cannot_have_passed_do_not_add_up() -> None:
    """A hundred holes of nearly ten minutes within ten seconds are a clock gone mad, and no silence."""
    call = Call()
    call.play([at * (MAX_GAP - 1) for at in range(100)])
    assert call.session.head < 2 * MAX_GAP


def test_a_fast_call_may_be_as_silent_as_any_other() -> None:
    """Played sixty times as fast as it was spoken, two thirds of it silence for all: every hole is one."""
    call = Call()
    call.hear(0.0)
    for minute in range(1, 120):
        for tenth in range(200):
            call.now += 0.1 / 60
            assert call.hear(minute * 60 + tenth / 10) == pytest.approx((minute * 60 + tenth / 10) * RATE, abs=1)
        call.now += 40 / 60
    assert call.counts().jumps == 0


def test_a_quiet_call_may_last() -> None:
    """Hours in which somebody says a word every nine minutes, heard as they pass, are no clock gone mad."""
    call = Call()
    for n in range(100):
        assert call.hear(n * (MAX_GAP - 60)) == n * (MAX_GAP - 60) * RATE
        call.now += MAX_GAP - 60
    assert call.counts().jumps == 0


def test_a_clock_that_jumps_and_comes_back_makes_no_hole() -> None:
    """There and back again are two jumps and no silence."""
    call = Call()
    times = [*evenly(EPOCH, 5), *evenly(EPOCH + 3600.5, 5), *evenly(EPOCH + 1, 5)]
    assert call.play(times) == in_a_row(15)
    assert call.counts() == TrackCounts(chunks=15, jumps=2)


def test_an_hour_that_has_passed_is_a_gap_and_no_jump() -> None:
    """A hole that our own clock saw as well is believed, however long it is."""
    call = Call()
    call.hear(0.0)
    call.now += 3600
    assert call.hear(3600.0) == 3600 * RATE
    assert call.counts() == TrackCounts(chunks=2, gaps=1, gap_samples=3600 * RATE - 1600)


def test_recalls_time_restarts_at_zero() -> None:
    """`relative` begins anew when the recording was paused: what follows lies behind what was, on every track."""
    call = Call(tolerance=0.05)
    assert call.play(evenly(0.0, 300)) == in_a_row(300)
    assert call.play(evenly(0.0, 5)) == in_a_row(5, begin=480_000)
    assert call.hear(0.5, track="7") == 480_000 + 8000
    assert call.counts() == TrackCounts(chunks=305, jumps=1)


@pytest.mark.parametrize("never", [None, math.nan, math.inf, -math.inf, 1e300])
def test_chunks_without_a_time_lie_where_they_arrive(never: float | None) -> None:
    """Without a usable time stamp the arrival counts: in a row while they flow, a gap where they paused."""
    call = Call()
    assert call.play([never] * 10) == in_a_row(10)
    call.now += 3
    assert call.play([never]) == [16000 + 48000]
    assert call.counts() == TrackCounts(chunks=11, gaps=1, gap_samples=48000, untimed=11)


def test_times_too_large_to_reckon_with_are_none() -> None:
    """Floats whose differences overflow break nothing, whichever track they come on."""
    call = Call()
    positions = [call.hear(at, track=track) for at, track in ((-1e308, MIXED), (1e308, "7"), (0.0, "8"))]
    assert positions == [0, 0, 1600]
    assert [call.counts(track).untimed for track in (MIXED, "7", "8")] == [1, 1, 0]


def test_one_chunk_without_a_time_disturbs_nothing() -> None:
    """Between chunks that tell their time it lies in its place."""
    call = Call()
    assert call.play([EPOCH, EPOCH + 0.1, None, EPOCH + 0.3]) == in_a_row(4)
    assert call.counts() == TrackCounts(chunks=4, untimed=1)


def test_empty_chunks_have_no_address() -> None:
    """They are not kept, open no track's file, and move nothing."""
    call = Call()
    assert call.place(0.0, samples=0) is None
    assert call.session.summary().tracks == ()
    assert call.play([0.5, 0.6]) == in_a_row(2)


def test_a_rate_change_keeps_the_track_and_its_positions() -> None:
    """Samples are counted at the track's own rate, also when chunks come at another one."""
    call = Call()
    for at in range(10):
        placed = call.place(at / 10, 1600)
        assert placed is not None
    for at in range(10, 20):
        call.place(at / 10, 800, rate=8000)
    placed = call.place(2.0, 1600)
    assert placed is not None
    assert placed.chunk.rate == RATE
    assert placed.end == pytest.approx(21 * 1600, abs=2)


# Sequence numbers


def test_duplicates_are_dropped_and_missing_ones_counted() -> None:
    """A number that was there already is not kept; numbers that were skipped are counted."""
    call = Call()
    kept = [call.place(n / 10, sequence=n) is not None for n in (1, 2, 2, 1, 3, 7)]
    assert kept == [True, True, False, False, True, True]
    assert (call.counts().duplicates, call.counts().missing) == (2, 3)


def test_a_counter_that_begins_anew_is_followed() -> None:
    """Far behind is not a duplicate but another run of the bot."""
    call = Call()
    assert call.place(0.0, sequence=50_000) is not None
    assert call.place(0.1, sequence=1) is not None
    assert call.place(0.2, sequence=2) is not None
    assert (call.counts().duplicates, call.counts().missing) == (0, 0)


def test_tracks_count_for_themselves() -> None:
    """Participants' numbers have nothing to do with each other, nor with those of the mix."""
    call = Call()
    assert all(call.place(0.0, track=track, sequence=1) is not None for track in (MIXED, "7", "8"))


# Several tracks


def test_a_late_joiner_lies_where_it_joined() -> None:
    """All tracks share one time zero, to the sample, at any rate."""
    call = Call()
    call.play(evenly(100.0, 10))
    assert call.hear(100.0 + 12346 / 16000, track="7") == 12346
    assert call.hear(100.0 + 12346 / 16000, 80, track="8", rate=8000) == 6173


def test_a_track_before_the_origin_begins_at_zero() -> None:
    """What was said before the first chunk that came has no place of its own; it's counted as late."""
    call = Call()
    call.hear(100.0)
    assert call.hear(99.0, track="7") == 0
    assert call.counts("7").late == 1


def test_the_chunks_that_meet_leaves_out_are_silence() -> None:
    """Meet sends no zeros: chunks of 10 ms are missing, and the next one lies where it belongs, to the sample."""
    call = Call()
    said = [n for n in range(300) if n % 7 and n // 50 != 3]
    for n in range(300):
        call.now += 0.01
        call.hear(EPOCH + n / 100, 160)
        if n in said:
            assert call.hear(EPOCH + n / 100, 160, track="7") == 160 * n
    assert call.counts("7").chunks == len(said)


def jittery(jitter: list[int], silent: set[int]) -> list[int]:
    """How far a participant lies from the mix, in samples, when both have the same times some milliseconds off."""
    call = Call()
    off = []
    for n, milliseconds in enumerate(jitter):
        at = EPOCH + (10 * n + milliseconds) / 1000
        call.now += 0.01
        mixed = call.hear(at, 160)
        assert mixed == 160 * n
        if n not in silent:
            off.append(call.hear(at, 160, track="7") - mixed)
    return off


@given(st.lists(st.integers(-49, 49), min_size=20, max_size=100))
def test_jitter_of_50_ms_never_garbles(jitter: list[int]) -> None:
    """Times nearly 50 ms off either way: the mix is whole, and a participant less than 100 ms off."""
    assert max(map(abs, jittery(jitter, set()))) < 0.1 * RATE


@given(st.lists(st.integers(-49, 49), min_size=20, max_size=100), st.sets(st.integers(0, 99), max_size=80))
def test_jitter_and_silence_left_out_do_not_add_up(jitter: list[int], silent: set[int]) -> None:
    """Holes that are lost in the jitter move a participant by the tolerance and the jitter at most, however many."""
    assert max(map(abs, jittery(jitter, silent)), default=0) < 0.2 * RATE


def test_jitter_and_silence_left_out_stay_within_100_ms() -> None:
    """A participant who breathes every 100 ms, on a clock that jitters by 49 ms, lies beside the mix."""
    jitter = [49, -49, *[-49] * 98]
    assert max(map(abs, jittery(jitter, {n for n in range(2, 100) if n % 10}))) < 0.1 * RATE


def test_the_bursts_of_teams_lie_in_a_row() -> None:
    """Ten chunks with one time stamp, every 100 ms and 2 s late, are one second of unbroken speech in a second."""
    call = Call()
    positions = []
    for burst in range(30):
        call.now += 0.1
        call.hear(EPOCH + burst / 10)
        if burst >= 20:
            positions += [call.hear(EPOCH + burst / 10 + n // 4 / 1000, 160, track="8:orgid:1") for n in range(10)]
    assert positions == in_a_row(100, begin=32000, step=160)
    assert call.counts("8:orgid:1").gaps == 0


def test_one_jump_moves_all_tracks_alike() -> None:
    """When the bot's clock jumps, every track's does: they stay aligned, whoever speaks first."""
    call = Call()
    for track in (MIXED, "7", "8"):
        call.hear(EPOCH, track=track)
    assert call.hear(EPOCH + 7200, track="7") == 1600
    assert call.hear(EPOCH + 7200.5, track="8") == 1600 + 8000
    assert call.hear(EPOCH + 7200.5) == 1600 + 8000
    assert call.hear(EPOCH + 7201, track="9") == 1600 + 16000


def test_after_a_reconnect_the_hole_is_as_long_as_it_was() -> None:
    """The same id comes back after ten seconds: all tracks go on ten seconds later."""
    call = Call()
    call.play(evenly(EPOCH, 10))
    call.play(evenly(EPOCH, 10), track="7")
    call.now += 10
    assert call.hear(EPOCH + 11) == call.hear(EPOCH + 11, track="7") == 11 * RATE


# What is spoken


def test_speech_lies_where_it_is_heard() -> None:
    """Two seconds after the mix's last sample on our clock is two seconds after it on the time line."""
    call = Call()
    call.play(evenly(EPOCH, 10))
    spoken = [speak(call, call.now + 2 + n / 10) for n in range(3)]
    assert [placed.position for placed in spoken] == in_a_row(3, begin=16000 + 32000)
    assert {placed.track for placed in spoken} == {SPOKEN}


def test_speech_after_a_pause_leaves_a_gap() -> None:
    """Blocks lie in a row although sent with jitter; a real pause is silence."""
    call = Call()
    call.hear(EPOCH)
    times = (0.0, 0.1, 0.23, 0.3, 3.0)
    spoken = [speak(call, call.now + at) for at in times]
    assert [placed.position for placed in spoken] == [1600, 3200, 4800, 6400, 49600]


def test_speech_before_anything_is_heard_begins_the_line() -> None:
    """A bot that hears nothing yet is spoken to all the same."""
    call = Call()
    assert speak(call, call.now).position == 0
    assert speak(call, call.now + 1).position == RATE


def test_speech_stays_aligned_while_the_bots_clock_drifts() -> None:
    """After an hour in which the bot's clock lost a second, speech lies beside what is heard with it."""
    call = Call()
    for n in range(3600):
        call.now += 1 + 1 / 3600
        call.hear(float(n), 16000)
    spoken = speak(call, call.now)
    assert spoken.position / RATE == pytest.approx(3600, abs=0.3)


def test_a_line_that_begins_when_it_is_told_to() -> None:
    """Tracks of our own clock lie where they were heard from then on, whoever begins, each at its own rate."""
    session = Session(("fake", "talk-1"), Timing(), STARTED)
    assert session.elapsed(1000.0) is None
    session.begin(1000.0)
    assert session.elapsed(1002.5) == 2.5
    agent = session.place_played("agent", Chunk(counting(2400), 24_000), 1002.0)
    user = session.place_played("user", Chunk(counting(1600), RATE), 1000.5)
    assert [(placed.track, placed.position) for placed in agent + user] == [("agent", 48_000), ("user", 8000)]


def test_what_is_played_before_the_line_begins() -> None:
    """It lies at its beginning, and what follows lies behind it."""
    session = Session(("fake", "talk-1"), Timing(), STARTED)
    session.begin(1000.0)
    played = [session.place_played("agent", Chunk(counting(1600), RATE), 999.0 + n / 10)[0] for n in range(3)]
    assert [placed.position for placed in played] == in_a_row(3)


def test_a_line_that_nobody_began_begins_with_what_is_played() -> None:
    """From then on there is a time on it."""
    session = Session(("fake", "talk-1"), Timing(), STARTED)
    (placed,) = session.place_played("agent", Chunk(counting(1600), RATE), 1000.0)
    assert placed.position == 0
    assert session.elapsed(1001.0) == 1.0


def test_a_listeners_line_has_a_time_once_something_was_heard() -> None:
    """On our clock, since the bot's own is another."""
    call = Call()
    assert call.session.elapsed(call.now) is None
    call.play(evenly(EPOCH, 10))
    assert call.session.elapsed(call.now + 2) == pytest.approx(3.0)


# What else a session knows


def test_names_are_kept_with_the_newest_last() -> None:
    """A participant who is called otherwise is the same track; a hundred names are not remembered."""
    call = Call()
    for name in ("Ana", None, "Ana", "", "Ana B."):
        call.place(0.0, track="7", name=name)
    assert call.track("7").names == ["Ana", "Ana B."]
    for number in range(100):
        call.place(0.0, track="7", name=f"Ana {number}")
    assert len(call.track("7").names) == MAX_NAMES
    for number in range(3):
        call.place(0.0, track="7", name="n" * 8000 + str(number))
    assert call.track("7").names[-2:] == ["Ana 99", "n" * MAX_NAME]


def occurred(at: float | None, **told: str) -> Occurred:
    return Occurred("bot_1", "participant_events.update", {}, at, **told)


def test_an_occurrence_has_its_place_on_the_line() -> None:
    """Its seconds count from the same zero as the audio, also after a jump; a name it tells is a track's name."""
    call = Call()
    call.play(evenly(10.0, 10))
    call.hear(10.0, track="7")
    (logged,) = call.session.log(occurred(12.5, bot="bot_9", participant="7", name="Ana"))
    assert logged.seconds == 2.5
    assert call.track("7").names == ["Ana"]
    assert call.session.bot == "bot_9"
    call.play(evenly(5000.0, 1))
    (logged,) = call.session.log(occurred(5000.0))
    assert logged.seconds == pytest.approx(1.0)


def test_what_occurs_before_the_first_chunk_waits_for_it() -> None:
    """Who joins before the audio begins lies before its zero; what tells no time has none to wait for."""
    call = Call()
    assert [logged.seconds for logged in call.session.log(occurred(None))] == [None]
    assert call.session.log(occurred(7.5)) == call.session.log(occurred(11.0)) == []
    call.hear(10.0)
    assert [logged.seconds for logged in call.session.early()] == [-2.5, 1.0]
    assert call.session.early() == []


def test_what_waits_for_a_first_chunk_is_bounded() -> None:
    """A bot that tells a lot and sends no audio fills no memory, and nothing of it is lost."""
    call = Call()
    logged = [told for n in range(MAX_EARLY + 10) for told in call.session.log(occurred(float(n)))]
    assert len(logged) == 10
    assert len(call.session.early()) == MAX_EARLY


@pytest.mark.parametrize("depth", [0, 100_000])
def test_what_is_large_does_not_wait_for_a_first_chunk(depth: int) -> None:
    """A whole transcript, or one too deep to measure, is logged at once, without a place on the line."""
    call = Call()
    data: dict[str, object] = {"words": "x" * MAX_EARLY_SIZE}
    for _ in range(depth):
        data = {"inner": data}
    (logged,) = call.session.log(Occurred("bot_1", "transcript.data", data, 1.0))
    assert logged.seconds is None
    assert call.session.early() == []


def test_at_the_end_nothing_stays_in_a_filter() -> None:
    """What a resampler still holds when the call is over comes out behind the rest, at its track's rate."""
    call = Call()
    call.play(evenly(0.0, 10))
    call.play(evenly(0.0, 10), track="7")
    for n in range(10, 20):
        call.place(n / 10, 800, rate=8000)
    (placed,) = call.session.finish()
    assert (placed.track, placed.chunk.rate) == (MIXED, RATE)
    assert placed.end == call.track().next == pytest.approx(2 * RATE, abs=2)
    assert placed.position == placed.end - placed.chunk.samples
    assert call.counts().gaps == 0


def test_a_summary_does_not_change_afterwards() -> None:
    """It is read by another thread while the session goes on."""
    call = Call()
    call.play(evenly(0.0, 3))
    before = call.session.summary()
    call.play([9.0])
    assert before.seconds == pytest.approx(0.3)
    assert before.tracks[0].counts.gaps == 0


def test_what_is_known_to_be_missing_is_lossy() -> None:
    """Unreadable messages, a hole in the mix or skipped numbers are losses; a participant's silence is none."""
    whole, hole, skipped = Call(), Call(), Call()
    whole.play([0.0, 5.0], track="7")
    hole.play([0.0, 5.0])
    skipped.place(0.0, sequence=1)
    skipped.place(0.1, sequence=3)
    assert [call.session.summary().lossy for call in (whole, hole, skipped)] == [False, True, True]
    assert whole.session.summary(malformed=1).lossy


# Whatever a wire may say


class Step(NamedTuple):
    """One chunk of anything, `wait` seconds after the one before it."""

    at: float | None
    samples: int
    track: str
    rate: int
    sequence: int | None
    wait: float


times = st.one_of(st.none(), st.floats(), st.floats(-100, 10_000), st.floats(EPOCH, EPOCH + 100))
steps = st.lists(
    st.builds(
        Step,
        times,
        st.integers(0, 2000),
        st.sampled_from([MIXED, "7", "8"]),
        st.sampled_from([8000, 16000, 48000]),
        st.one_of(st.none(), st.integers()),
        st.floats(0, 100),
    ),
    max_size=30,
)


@settings(max_examples=400)
@given(steps)
def test_positions_never_overlap_or_go_back(story: list[Step]) -> None:
    """Whatever the times, rates, numbers and order: a track's chunks lie behind each other, in order."""
    call = Call()
    ends: dict[str, int] = {}
    for step in story:
        call.now += step.wait
        placed = call.place(step.at, step.samples, step.track, step.rate, step.sequence)
        if placed is not None:
            assert placed.position >= ends.get(step.track, 0)
            ends[step.track] = placed.end


@settings(max_examples=400)
@given(steps)
def test_silence_is_bounded(story: list[Step]) -> None:
    """No time stamp puts in more silence than ten minutes, or twice what has passed on our own clock; nor do all."""
    call = Call()
    began = last = call.now
    heard = 0.0
    for step in story:
        call.now += step.wait
        before = call.session.head
        placed = call.place(step.at, step.samples, step.track, step.rate, step.sequence)
        if placed is not None:
            believed = max(MAX_GAP, 2 * (call.now - last))
            assert placed.position / placed.chunk.rate <= before + believed + 1
            last = call.now
        heard += step.samples / step.rate
        assert call.session.head <= MAX_GAP + 3 * max(call.now - began, heard) + heard + 1


@pytest.mark.parametrize("away", [0.5, 300.0, 4000.0])
@pytest.mark.parametrize("shift", [0.0, -3600.0])
def test_another_node_goes_on(away: float, shift: float) -> None:
    """A session moves: mix, participants and speech lie where they would have lain, whatever the bot's clock did."""
    line = TimeLine("one", STARTED, EPOCH, shift, 1800.0, STARTED + timedelta(seconds=1800))
    zero = 1000.0
    back = 1800.0 + away
    call = Call()
    call.session = Session.continued(("attendee", "bot_1"), Timing(), line, None, zero, zero + 1800.0)
    call.now = zero + back + 0.1
    for track in (MIXED, "7"):
        assert call.hear(EPOCH + shift + back, track=track) == round(back * RATE)
    spoken = call.session.place_spoken(Chunk(counting(1600), RATE), call.now)
    assert abs(spoken[0].position - (back + 0.1) * RATE) <= 0.25 * RATE
    summary = call.session.summary()
    assert (summary.continued_from, summary.started, summary.origin) == ("one", STARTED, EPOCH)
    assert {track.start for track in summary.tracks if track.track != SPOKEN} == {round(back * RATE)}
    assert not summary.lossy


def test_another_node_goes_on_without_stamps() -> None:
    """Where the bot tells no time, the machines' clocks say how long the session has lasted."""
    line = TimeLine("one", STARTED, None, 0.0, 60.0, STARTED + timedelta(seconds=60))
    call = Call()
    call.session = Session.continued(("attendee", "bot_1"), Timing(), line, None, 1000.0, 1060.0)
    call.now = 1070.0
    assert abs(call.hear(None) - 69.9 * RATE) <= 0.5 * RATE
