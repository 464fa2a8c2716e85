"""The meter's arithmetic, against signals whose levels are known."""

from __future__ import annotations

from datetime import UTC, datetime

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from audiotap.audio import SILENCE_DB, Chunk
from audiotap.events import Occurred
from audiotap.inspection import Findings
from audiotap.intake import Flaws
from audiotap.session import Logged, Placed, SessionKey, Summary
from audiotap.sinks.meter import FALL, HOLD, KEPT, STALE, Meter, MeterRow
from audiotap.track import TrackCounts, TrackSummary

RATE = 16_000
BOT: SessionKey = ("attendee", "bot_1")
OTHER: SessionKey = ("recall", "rec_2")
STARTED = datetime(2026, 1, 2, tzinfo=UTC)


def sine(seconds: float, amplitude: float = 32767) -> bytes:
    """A tone of 1 kHz: every block of a whole number of milliseconds holds whole waves."""
    turns = np.arange(round(seconds * RATE)) / RATE * 1000
    return bytes(np.rint(amplitude * np.sin(2 * np.pi * turns)).astype("<i2").tobytes())


def steady(seconds: float, amplitude: int) -> bytes:
    """A square wave's worth of samples: RMS and peak are the amplitude."""
    return bytes(np.full(round(seconds * RATE), amplitude, dtype="<i2").tobytes())


def heard(pcm: bytes, position: int = 0, track: str = "mixed", session: SessionKey = BOT) -> Placed:
    return Placed(session, track, position, Chunk(pcm, RATE))


def summary(session: SessionKey = BOT, *tracks: TrackSummary, ended: bool = False) -> Summary:
    end = STARTED if ended else None
    return Summary(session, "alias", STARTED, end, "", None, 0, 5, 2, 3, {}, tracks)


def told(track: str, *names: str, samples: int = 0, gaps: int = 0) -> TrackSummary:
    return TrackSummary(track, names, RATE, 0, samples, 0.0, TrackCounts(gaps=gaps), Flaws(), Findings())


def only(meter: Meter, now: float) -> MeterRow:
    """The one track's row."""
    ((row,),) = [session.tracks for session in meter.measure(now)]
    return row


def play(meter: Meter, pcm: bytes, begin: float, block: float = 0.1) -> float:
    """Write blocks and measure after each, as a screen does; the time at the end."""
    size = round(block * RATE) * 2
    now = begin
    for at in range(0, len(pcm), size):
        meter.write([heard(pcm[at : at + size])])
        now += block
        meter.measure(now)
    return now


def test_a_full_scale_sine_stands_at_minus_three() -> None:
    """The RMS of a full-scale sine is -3.01 dBFS and its peak is 0."""
    meter = Meter()
    row = only(meter, play(meter, sine(2.0), 0.0))
    assert row.rms == pytest.approx(-3.01, abs=0.01)
    assert row.peak == pytest.approx(0.0, abs=0.01)


def test_a_tone_that_begins_is_there_after_300_ms() -> None:
    """A steady tone shows 99 % of its power after the integration time."""
    meter = Meter()
    row = only(meter, play(meter, steady(0.3, 16384), 0.0))
    assert 10 ** (row.rms / 10) == pytest.approx(0.99 * 0.25, rel=1e-3)


def test_a_tone_that_ends_falls_by_20_db_in_300_ms() -> None:
    """Silence that arrives takes the bar down evenly, not at once."""
    meter = Meter()
    begin = play(meter, steady(2.0, 16384), 0.0)
    row = only(meter, play(meter, steady(0.3, 0), begin))
    assert row.rms == pytest.approx(-6.02 - 20, abs=0.05)


@given(st.lists(st.integers(1, 8000), min_size=1, max_size=20), st.integers(1, 32767))
def test_the_bar_does_not_depend_on_the_size_of_chunks(sizes: list[int], amplitude: int) -> None:
    """However a steady tone is cut and whenever it is looked at, the level is the same."""
    cut, whole = Meter(), Meter()
    for size in sizes:
        cut.write([heard(steady(size / RATE, amplitude))])
        cut.measure(0.0)
    whole.write([heard(steady(sum(sizes) / RATE, amplitude))])
    assert only(cut, 0.0).rms == pytest.approx(only(whole, 0.0).rms, abs=0.001)


def test_a_peak_is_held_and_then_falls() -> None:
    """It stands for 1.5 s, then comes down by 20 dB in 1.7 s, though data still arrives."""
    meter = Meter()
    meter.write([heard(steady(0.1, 16384))])
    assert only(meter, 0.0).peak == pytest.approx(-6.02, abs=0.01)
    for later, fallen in ((1.0, 0.0), (HOLD, 0.0), (HOLD + 0.85, 10.0), (HOLD + 1.7, 20.0), (60.0, 113.98)):
        meter.write([heard(steady(0.1, 0))])
        assert only(meter, later).peak == pytest.approx(-6.02 - fallen, abs=0.01)


def test_a_falling_peak_is_caught_by_a_louder_one() -> None:
    """A peak above the falling mark is held anew; one below it changes nothing."""
    meter = Meter()
    meter.write([heard(steady(0.1, 16384))])
    meter.measure(0.0)
    falling = -6.02 - FALL
    meter.write([heard(steady(0.1, 1000))])
    assert only(meter, HOLD + 1).peak == pytest.approx(falling, abs=0.01)
    meter.write([heard(steady(0.1, 8192))])
    assert only(meter, HOLD + 1.1).peak == pytest.approx(-12.04, abs=0.01)
    assert only(meter, HOLD + 1.1 + HOLD).peak == pytest.approx(-12.04, abs=0.01)


def test_clips_are_latched() -> None:
    """Samples at full scale are counted at both ends, and the count outlives them."""
    meter = Meter()
    meter.write([heard(np.array([32767, -32768, 32766, 0], "<i2").tobytes())])
    assert only(meter, 0.0).clips == 2
    meter.write([heard(steady(0.1, 0))])
    assert only(meter, 100.0).clips == 2
    meter.write([heard(steady(0.001, 32767))])
    assert only(meter, 100.1).clips == 18


def test_silence_is_not_the_same_as_no_data() -> None:
    """Zeros that arrive are live at -120 dBFS; nothing for more than a second is not live."""
    meter = Meter()
    meter.write([heard(steady(0.1, 0))])
    assert (only(meter, 5.0).live, only(meter, 5.0).rms) == (True, SILENCE_DB)
    assert only(meter, 5.0 + STALE).live
    assert not only(meter, 5.01 + STALE).live
    meter.write([heard(steady(0.1, 0))])
    assert only(meter, 9.0).live


def test_a_level_stands_between_two_chunks() -> None:
    """A redraw that finds nothing new shows the same level; one that waits too long shows it falling."""
    meter = Meter()
    now = play(meter, steady(2.0, 16384), 0.0)
    assert only(meter, now + 0.2).rms == pytest.approx(-6.02, abs=0.01)
    assert only(meter, now + 0.3).rms == pytest.approx(-6.02, abs=0.01)
    assert only(meter, now + 0.6).rms == pytest.approx(-26.02, abs=0.01)
    assert only(meter, now + 0.9).rms == pytest.approx(-46.02, abs=0.01)


def test_what_nobody_looks_at_is_dropped() -> None:
    """Without redraws about the last half second waits, and only that is measured."""
    meter = Meter()
    meter.write([heard(steady(0.1, 32767))] * 100)
    meter.write([heard(steady(0.1, 100))] * 5)
    row = only(meter, 0.0)
    assert row.peak == pytest.approx(-50.31, abs=0.01)
    assert row.clips == 0
    meter.write([heard(steady(0.02, 0))] * 5000)
    waiting = meter._sessions[BOT].tracks["mixed"]._pending
    assert sum(map(len, waiting)) == KEPT * RATE * 2


def test_a_track_ends_where_its_last_chunk_does() -> None:
    """Seconds are those of the time line, so a gap counts."""
    meter = Meter()
    meter.write([heard(steady(0.5, 1)), heard(steady(0.5, 1), position=10 * RATE)])
    (session,) = meter.measure(0.0)
    assert (session.seconds, session.tracks[0].seconds) == (10.5, 10.5)


def test_a_summary_tells_what_audio_does_not() -> None:
    """Names, gaps, the bot's other id, connections and malformed messages come with the summary."""
    meter = Meter()
    meter.write([heard(steady(0.5, 1), track="7")])
    meter.write([summary(BOT, told("7", "Anna", "Anna B.", samples=RATE // 2, gaps=4))])
    (session,) = meter.measure(0.0)
    (row,) = session.tracks
    assert (session.session, session.bot, session.connections, session.malformed) == (BOT, "alias", 2, 3)
    assert (row.session, row.track, row.name, row.gaps, row.rate) == (BOT, "7", "Anna B.", 4, RATE)
    assert row.live


def test_a_track_that_is_only_told_of_has_no_data() -> None:
    """A summary alone gives a row, but not a live one."""
    meter = Meter()
    meter.write([summary(BOT, told("7", "Anna", samples=RATE))])
    row = only(meter, 100.0)
    assert (row.live, row.rms, row.seconds) == (False, SILENCE_DB, 1.0)


def test_the_last_summary_removes_the_session() -> None:
    """An ended session is gone, the others stay; an end that comes first does no harm."""
    meter = Meter()
    meter.write([summary(OTHER, ended=True)])
    meter.write([heard(steady(0.1, 1)), heard(steady(0.1, 1), session=OTHER), summary(BOT, ended=True)])
    assert [session.session for session in meter.measure(0.0)] == [OTHER]


def test_the_newest_session_comes_first_and_tracks_stay_in_order() -> None:
    """The order is that of beginnings, whatever arrives later."""
    meter = Meter()
    for track in ("b", "a"):
        meter.write([heard(steady(0.1, 1), track=track)])
    meter.write([heard(steady(0.1, 1), session=OTHER)])
    meter.write([heard(steady(0.1, 1), track="a")])
    found = [(session.session, [row.track for row in session.tracks]) for session in meter.measure(0.0)]
    assert found == [(OTHER, ["mixed"]), (BOT, ["b", "a"])]


def test_tracks_of_one_name_in_two_sessions_are_two() -> None:
    """The address of a level is (session, track)."""
    meter = Meter()
    meter.write([heard(steady(1.0, 16384)), heard(steady(1.0, 0), session=OTHER)])
    quiet, loud = (session.tracks[0].rms for session in meter.measure(0.0))
    assert (quiet, round(loud)) == (SILENCE_DB, -6)


def test_the_event_log_is_none_of_its_business() -> None:
    """What occurred in a meeting opens no session here."""
    meter = Meter()
    meter.write([Logged(BOT, Occurred("bot_1", "joined", {}), 0.0)])
    assert meter.measure(0.0) == []


def test_a_closed_meter_is_empty() -> None:
    """It is not required, and closing forgets everything."""
    meter = Meter()
    meter.write([heard(steady(0.1, 1))])
    meter.close()
    assert (meter.required, meter.measure(0.0)) == (False, [])


@given(
    st.lists(st.tuples(st.lists(st.integers(-32768, 32767), max_size=50), st.floats(0, 10)), min_size=1, max_size=20)
)
def test_levels_stay_on_the_scale(turns: list[tuple[list[int], float]]) -> None:
    """For any samples at any times levels are between -120 and 0, and nothing rises unless samples came."""
    meter = Meter()
    meter.write([summary(BOT, told("mixed"))])
    now = 0.0
    before = only(meter, now)
    for samples, passed in turns:
        now += passed
        if samples:
            meter.write([heard(np.array(samples, "<i2").tobytes())])
        row = only(meter, now)
        assert SILENCE_DB <= row.rms <= 1e-9
        assert SILENCE_DB <= row.peak <= 0
        assert row.clips >= before.clips
        if not samples:
            assert row.rms <= before.rms
            assert row.peak <= before.peak
        before = row
