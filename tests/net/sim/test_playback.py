"""What an Attendee bot does with speech, against what was measured on the real one's code."""

from __future__ import annotations

import math

import pytest
from tests.signals import RATE, counting, spaced, speech, tone

from audiotap.audio import Chunk, roughness
from audiotap.events import Pause
from audiotap.net.sim.playback import Playback, Played


class Bot:
    """A bot on a platform with a clock that is only a number; `played` is what the meeting hears."""

    def __init__(self, platform: str = "meet") -> None:
        self.playback = Playback(platform)
        self.now = 0.0
        self.played: list[Played] = []
        self.handed: list[float] = []

    def until(self, end: float) -> None:
        """Hand over what is due until `end`."""
        while True:
            piece, wake = self.playback.poll(self.now)
            if piece is not None:
                self.played.append(piece)
                self.handed.append(self.now)
            elif wake is None or wake > end:
                break
            else:
                self.now = wake
        self.now = end

    def send(self, sound: bytes, size: float, every: float, rate: int = RATE) -> None:
        """Messages of `size` seconds, one every so many seconds, and then the time to play them all."""
        for piece in spaced(len(sound), 2 * round(size * rate)):
            self.playback.add(Chunk(sound[piece], rate), self.now)
            self.until(self.now + every)
        self.until(self.now + 60)
        self.playback.finish()

    @property
    def heard(self) -> bytes:
        return b"".join(piece.chunk.pcm for piece in self.played)

    @property
    def seconds(self) -> float:
        return sum(piece.chunk.seconds for piece in self.played)


@pytest.mark.parametrize(
    ("total", "size", "every", "played"),
    [
        (1.234, 0.02, 0.02, 1.2),
        (3.0, 0.25, 0.25, 2.4),
        (3.06, 0.17, 0.17, 1.8),
        (3.0, 0.2, 0.2, 3.0),
        (3.0, 0.1, 0.1, 3.0),
        (3.0, 0.04, 0.04, 3.0),
        (10.0, 10.0, 10.0, 10.0),
    ],
    ids=["20 ms", "250 ms", "170 ms", "200 ms", "100 ms", "40 ms", "at once"],
)
def test_what_is_lost_depends_on_the_size_of_messages(total: float, size: float, every: float, played: float) -> None:
    """The table of what was measured: pieces of 100 ms, and a rest that dies after 150 ms."""
    bot = Bot()
    bot.send(counting(round(total * RATE)), size, every)
    assert bot.seconds == pytest.approx(played)
    assert bot.playback.lost == pytest.approx(total - played)


def test_what_is_not_lost_is_played_in_order() -> None:
    """Messages of 20 ms become pieces of 100 ms, sample by sample."""
    bot = Bot()
    bot.send(counting(3 * RATE), 0.02, 0.02)
    assert bot.heard == counting(3 * RATE)
    assert {piece.chunk.samples for piece in bot.played} == {1600}


def test_messages_of_250_ms_lose_their_ends() -> None:
    """Of each one the last 50 ms are missing."""
    bot = Bot()
    sound = counting(RATE)
    bot.send(sound, 0.25, 0.25)
    assert bot.heard == b"".join(sound[piece][:6400] for piece in spaced(len(sound), 8000))


def test_an_odd_byte_turns_the_rest_into_noise() -> None:
    """The rest is bytes and not samples: one too many, and everything behind it is read askew."""
    right, askew = Bot(), Bot()
    right.send(tone(2), 0.1, 0.1)
    sound = tone(2)
    for n, piece in enumerate(spaced(len(sound), 3200)):
        askew.playback.add(Chunk(sound[piece] + b"\0" * (n == 5), RATE), askew.now)
        askew.until(askew.now + 0.1)
    assert roughness(askew.heard[: 5 * 3200]) == roughness(right.heard[: 5 * 3200])
    assert roughness(askew.heard[6 * 3200 :]) > 10 * roughness(right.heard)


@pytest.mark.parametrize("rate", [48000, 32000, 11025, 22050])
def test_other_rates_play_nothing(rate: int) -> None:
    """The play thread dies of them, and nobody is told."""
    bot = Bot()
    bot.send(bytes(2 * rate), 1.0, 1.0, rate)
    assert bot.played == []
    assert bot.playback.unplayable == 1


@pytest.mark.parametrize("rate", [8000, 16000, 24000])
def test_three_rates_play(rate: int) -> None:
    """Each at its own speed."""
    bot = Bot()
    bot.send(speech(rate)[: 2 * rate], 0.1, 0.1, rate)
    assert bot.heard == speech(rate)[: 2 * rate]
    assert bot.seconds == pytest.approx(1.0)


@pytest.mark.parametrize(
    ("platform", "seconds", "handed"), [("meet", 10.0, 1.03), ("teams", 10.0, 1.03), ("zoom", 3.0, 2.63)]
)
def test_pieces_are_handed_over_fast(platform: str, seconds: float, handed: float) -> None:
    """Browsers get them ten times faster than real time, Zoom hardly; they are heard in real time all the same."""
    bot = Bot(platform)
    bot.send(counting(round(seconds * RATE)), seconds, 0.0)
    assert bot.handed[-1] == pytest.approx(handed, abs=0.05)
    assert [piece.at for piece in bot.played] == pytest.approx([n / 10 for n in range(round(10 * seconds))])


def test_a_pause_does_nothing_to_what_was_handed_over() -> None:
    """Six seconds sent at once: at two seconds the meeting has them all already."""
    bot = Bot()
    bot.playback.add(Chunk(counting(6 * RATE), RATE), 0.0)
    bot.until(2.0)
    bot.playback.pause(Pause(3.0), 2.0)
    assert bot.seconds == pytest.approx(6.0)
    bot.until(60.0)
    assert bot.played[-1].at == pytest.approx(5.9)


def test_a_pause_holds_a_paced_speaker() -> None:
    """Sent in real time, what comes during the pause waits, and nothing is lost."""
    bot = Bot()
    sound = counting(6 * RATE)
    for n, piece in enumerate(spaced(len(sound), 3200)):
        if n == 20:
            bot.playback.pause(Pause(2.05), bot.now)
        bot.playback.add(Chunk(sound[piece], RATE), bot.now)
        bot.until(bot.now + 0.1)
    bot.until(60.0)
    assert bot.heard == sound
    assert [at for at in bot.handed if 1.95 < at < 4.0] == []
    assert bot.played[20].at == pytest.approx(4.05)


def test_the_last_pause_wins() -> None:
    """A shorter one shortens a longer one, and zero resumes."""
    bot = Bot()
    bot.playback.add(Chunk(counting(RATE), RATE), 0.0)
    bot.playback.pause(Pause(60.0), 0.0)
    bot.until(1.0)
    bot.playback.pause(Pause(0.0), 1.0)
    bot.until(60.0)
    assert bot.handed[0] == 1.0


def test_a_bot_that_leaves_loses_what_was_not_handed_over() -> None:
    """Queue and rest both."""
    bot = Bot()
    bot.playback.pause(Pause(math.inf), 0.0)
    bot.playback.add(Chunk(counting(2000), RATE), 0.0)
    bot.until(5.0)
    bot.playback.finish()
    assert bot.played == []
    assert bot.playback.lost == 2000 / RATE


def test_nothing_to_play_asks_for_no_poll() -> None:
    """A rest that is shorter than a piece waits for more, not for a time."""
    bot = Bot()
    assert bot.playback.poll(0.0) == (None, None)
    bot.playback.add(Chunk(counting(100), RATE), 0.0)
    assert bot.playback.poll(0.0) == (None, None)
