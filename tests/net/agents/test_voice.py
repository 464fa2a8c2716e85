"""An agent's voice: played item after item, cut in the middle, and never heard again after that."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from tests.net.agents.fake import Clock
from tests.signals import RATE, counting, tone, values

from audiotap.agent_events import Speech
from audiotap.audio import Chunk
from audiotap.net.agents import voice as module
from audiotap.net.agents.conversation import HEARD_BLOCK, HEARD_LEAD
from audiotap.net.agents.gate import Cut
from audiotap.net.agents.voice import AgentVoice
from audiotap.net.mouth import Mouth
from audiotap.pacing import Block


class Meeting:
    """An agent's voice and what is heard of it, by a clock that is moved on."""

    def __init__(self, clock: Clock, lead: float = HEARD_LEAD) -> None:
        self.heard = b""
        self.blocks: list[Block] = []
        self.finished: list[str] = []
        self.mouth = Mouth(RATE, self._send, self._played, lead=lead, block=HEARD_BLOCK)
        self.voice = AgentVoice(self.mouth, lambda item: self.finished.append(item.name))
        self.clock = clock

    @property
    def seconds(self) -> float:
        return len(self.heard) / 2 / RATE

    def push(self, item: str, seconds: float, start: int = 1, rate: int = RATE) -> None:
        """The agent says so much of an item."""
        self.voice.push(Speech(Chunk(counting(round(seconds * rate), start), rate), item))

    async def _send(self, _: Chunk) -> bool:
        return True

    def _played(self, block: Block) -> None:
        self.heard += block.chunk.pcm[: 2 * block.sound]
        self.blocks.append(block)


@pytest.fixture
async def meeting(clock: Clock) -> AsyncIterator[Meeting]:
    meeting = Meeting(clock)
    yield meeting
    await meeting.voice.close()
    await meeting.mouth.close()


async def test_what_an_agent_says_is_heard(meeting: Meeting) -> None:
    """All of it, without a hole and in real time however fast it came; then there is nothing left to be heard."""
    assert not meeting.voice.speaking
    for n in range(10):
        meeting.push("a", 0.1, 1 + n * 1600)
    meeting.voice.done()
    await meeting.clock.go(0.5)
    assert meeting.voice.speaking
    assert meeting.seconds == pytest.approx(0.5 + HEARD_LEAD, abs=2 * HEARD_BLOCK)
    await meeting.clock.go(1.0)
    assert meeting.heard == counting(RATE)
    times = [block.plays_at for block in meeting.blocks]
    assert times == pytest.approx([times[0] + n * HEARD_BLOCK for n in range(len(times))])
    assert meeting.finished == ["a"]
    assert not meeting.voice.speaking


async def test_items_are_heard_one_after_the_other(meeting: Meeting) -> None:
    """A new name ends the item before it, and a name that comes again is another item."""
    meeting.push("a", 0.1)
    meeting.push("b", 0.1, 1601)
    meeting.push("a", 0.1, 3201)
    meeting.voice.done()
    await meeting.clock.go(1.0)
    assert meeting.heard == counting(4800)
    assert meeting.finished == ["a", "b", "a"]


async def test_an_item_without_an_end_goes_on(meeting: Meeting) -> None:
    """An agent that falls silent within an item may say more of it; until then it still speaks."""
    meeting.push("a", 0.1)
    await meeting.clock.go(1.0)
    assert meeting.voice.speaking
    assert meeting.seconds == 0.1
    meeting.push("a", 0.1, 1601)
    meeting.voice.done()
    await meeting.clock.go(1.0)
    assert meeting.heard == counting(3200)
    assert meeting.finished == ["a"]


async def test_an_answer_that_is_cut(meeting: Meeting) -> None:
    """It is silent at once; what was heard and what had come are told, and only the first was ever played."""
    meeting.push("a", 2.0)
    await meeting.clock.go(0.5)
    (cut,) = meeting.voice.cut()
    assert (cut.item, cut.came) == ("a", 2.0)
    assert cut.heard == pytest.approx(0.5, abs=3 * HEARD_BLOCK)
    assert cut.heard <= meeting.seconds <= cut.heard + HEARD_LEAD + 2 * HEARD_BLOCK
    before = meeting.heard
    await meeting.clock.go(1.0)
    assert meeting.heard == before
    assert meeting.finished == []
    assert not meeting.voice.speaking


async def test_no_block_slips_out_behind_a_cut(meeting: Meeting) -> None:
    """Not even one that is due at that very moment, to a mouth that is about to look."""
    meeting.push("a", 2.0)
    await meeting.clock.go(0.3)
    meeting.clock.advance(HEARD_LEAD)
    meeting.mouth.back()
    meeting.voice.cut()
    before = meeting.seconds
    await meeting.clock.go(0.1)
    assert meeting.seconds == before


async def test_items_that_wait_are_cut_too(meeting: Meeting) -> None:
    """In order, and nothing of them was heard: heard and dropped are all that came."""
    meeting.push("a", 0.2)
    meeting.push("b", 0.3)
    meeting.push("c", 0.4)
    await meeting.clock.go(0.3)
    cuts = meeting.voice.cut()
    assert [cut.item for cut in cuts] == ["b", "c"]
    assert cuts[0].heard == pytest.approx(0.1, abs=3 * HEARD_BLOCK)
    assert cuts[1] == Cut("c", 0.0, 0.4)
    assert sum(cut.came for cut in cuts) == pytest.approx(0.7)


async def test_an_item_that_somebody_else_stops(meeting: Meeting) -> None:
    """Who stops the bot's speech stops the whole item, and not only what of it has come."""
    meeting.push("a", 0.2)
    await meeting.clock.go(0.1)
    meeting.mouth.stop()
    before = len(meeting.heard)
    meeting.push("a", 0.2)
    await meeting.clock.go(0.1)
    meeting.push("b", 0.1)
    meeting.voice.done()
    await meeting.clock.go(1.0)
    assert meeting.heard[before:] == counting(1600)
    assert meeting.finished == ["a", "b"]


async def test_an_answer_is_cut_once(meeting: Meeting) -> None:
    """Two words of the user's speech with one message cut what there is, and then nothing."""
    assert meeting.voice.cut() == []
    meeting.push("a", 0.2)
    await meeting.clock.go(0.1)
    assert len(meeting.voice.cut()) == 1
    assert meeting.voice.cut() == []
    assert not meeting.voice.speaking


async def test_an_answer_that_was_heard_is_not_cut(meeting: Meeting) -> None:
    """When it had time to be heard it is over."""
    meeting.push("a", 0.2)
    meeting.voice.done()
    await meeting.clock.go(0.5)
    assert meeting.voice.cut() == []


async def test_a_lead_is_not_heard_yet(clock: Clock) -> None:
    """What was sent ahead of time counts as heard only when its time has come."""
    meeting = Meeting(clock, lead=0.3)
    meeting.push("a", 2.0)
    await meeting.clock.go(0.5)
    (cut,) = meeting.voice.cut()
    assert meeting.seconds == pytest.approx(0.8, abs=2 * HEARD_BLOCK)
    assert cut.heard == pytest.approx(0.5, abs=3 * HEARD_BLOCK)
    meeting.push("b", 1.0)
    await meeting.clock.go(0.1)
    assert [cut.heard for cut in meeting.voice.cut()] == [0.0]
    await meeting.voice.close()
    await meeting.mouth.close()


async def test_another_rate(meeting: Meeting) -> None:
    """An agent at 24 kHz is heard at the mouth's rate, for as long, and no more of it is heard than came."""
    meeting.voice.push(Speech(Chunk(tone(0.5, 24_000), 24_000), "a"))
    meeting.voice.done()
    await meeting.clock.go(1.0)
    assert meeting.seconds == pytest.approx(0.5, abs=0.001)
    assert abs(values(meeting.heard)).max() == pytest.approx(8000, rel=0.05)
    meeting.voice.push(Speech(Chunk(tone(0.5, 24_000), 24_000), "b"))
    await meeting.clock.go(0.7)
    (cut,) = meeting.voice.cut()
    assert cut.heard <= cut.came == 0.5


async def test_too_much_is_dropped_and_counted(meeting: Meeting, monkeypatch: pytest.MonkeyPatch) -> None:
    """However many items it is spread over; what was played makes room for more."""
    monkeypatch.setattr(module, "MOST_SECONDS", 0.95)
    for n in range(30):
        meeting.push(f"{n // 3}", 0.1)
    assert meeting.voice.dropped == pytest.approx(2.0)
    await meeting.clock.go(0.5)
    meeting.push("z", 0.1)
    assert meeting.voice.dropped == pytest.approx(2.0)


async def test_a_new_connection_has_names_of_its_own(meeting: Meeting) -> None:
    """What was said on the last one is still heard, and an item that is called like one of it is another."""
    before = len(meeting.heard)
    meeting.push("b", 0.1)
    meeting.voice.renew()
    meeting.push("a", 0.1, 1601)
    meeting.push("b", 0.1, 3201)
    meeting.voice.done()
    await meeting.clock.go(1.0)
    assert meeting.heard[before:] == counting(4800)


async def test_a_mouth_that_closes_ends_the_voice(meeting: Meeting) -> None:
    """The bot left: nobody hears the rest, and nothing is left of it."""
    meeting.push("a", 1.0)
    meeting.push("b", 1.0)
    await meeting.clock.go(0.1)
    await meeting.mouth.close()
    meeting.voice.done()
    await meeting.clock.go(0.1)
    assert meeting.finished == ["a", "b"]
    assert not meeting.voice.speaking


async def test_closing_in_the_middle(meeting: Meeting) -> None:
    """It's silent when that returns, also with an item that was just cut."""
    meeting.push("a", 1.0)
    meeting.push("b", 1.0)
    await meeting.clock.go(0.1)
    meeting.voice.cut()
    meeting.push("c", 1.0)
    await meeting.voice.close()
    assert meeting.finished == []
    assert not meeting.voice.speaking
