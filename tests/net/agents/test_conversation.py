"""What a conversation makes of an agent's words."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest
from tests.net.agents.fake import Clock, Talk, Told, Vendor
from tests.net.agents.test_tape import Reel
from tests.signals import RATE, counting

from audiotap.agent_events import (
    INTERRUPTED,
    AgentEvent,
    Replying,
    Speech,
    SpeechStarted,
    SpeechStopped,
    Transcript,
    TurnDone,
)
from audiotap.audio import Chunk
from audiotap.net.agents.conversation import Conversation, Manner
from audiotap.net.agents.sources import Text
from audiotap.net.agents.tape import Tape
from audiotap.reports import AgentInterrupted, Odd, Report


class Recorded:
    """A conversation with an agent that is never dialled, and its recording."""

    def __init__(self, vendor: Vendor) -> None:
        self.reel = Reel()
        self.told: Told[Report] = Told()
        self.talk = Talk(vendor)
        tape = Tape(("fake", "talk-1"), [self.reel])
        self.conversation = Conversation(self.talk.agent, tape, "talk-1", Manner(), self.told.add, text=False)

    def hear(self, *events: AgentEvent) -> None:
        for event in events:
            self.conversation.hear(event)

    @property
    def heard(self) -> bytes:
        return b"".join(placed.chunk.pcm for placed in self.reel.of("agent"))


@pytest.fixture
async def recorded(vendor: Vendor) -> AsyncIterator[Recorded]:
    made = Recorded(vendor)
    yield made
    await made.conversation.close()
    await made.talk.agent.close()


def speech(samples: int, start: int = 1) -> Speech:
    return Speech(Chunk(counting(samples, start), RATE))


async def test_an_answer_that_takes_the_place_of_another(recorded: Recorded, clock: Clock) -> None:
    """The agent interrupts itself: what it was saying is silent at once, though nobody spoke."""
    recorded.conversation.turns.begin("text: urgent")
    recorded.hear(Replying("r1"), speech(RATE))
    await clock.go(0.5)
    recorded.hear(TurnDone("r1", "cancelled", INTERRUPTED))
    before = len(recorded.heard)
    recorded.hear(Replying("r2"), speech(1600, 30_001), TurnDone("r2"))
    await clock.go(1.0)
    assert recorded.heard[before:] == counting(1600, 30_001)
    assert recorded.conversation.turns.turns[0].status == "completed"


async def test_words_that_are_written_down_after_the_answer(recorded: Recorded, clock: Clock) -> None:
    """The last question is waited for as text, where it was asked for."""
    conversation, agent = recorded.conversation, recorded.talk.agent
    agent.ready.set()
    talking = asyncio.create_task(conversation.run([Text("What time is it?")], vad=True, written=True))
    await clock.go(0.1)
    recorded.hear(SpeechStarted(item="q"), Replying("r"), speech(1600), TurnDone("r"))
    await clock.go(2.0)
    assert not talking.done()
    recorded.hear(Transcript("user", "Is it late?", item="q"))
    await clock.until(talking)
    assert "Is it late?" in [said.text for said in conversation.dialogue.said]


async def test_an_answer_that_failed(recorded: Recorded) -> None:
    """It is warned of, with the agent's reason."""
    recorded.conversation.turns.begin("question.wav")
    recorded.hear(Replying("r1"), speech(1600), TurnDone("r1", "failed", "out of tokens"))
    assert [report.message for report in recorded.told if isinstance(report, Odd)] == [
        "the agent calls its answer failed: out of tokens"
    ]
    assert recorded.conversation.turns.turns[0].broken


async def test_after_an_interruption_the_next_answer_is_heard(recorded: Recorded, clock: Clock) -> None:
    """Also where an agent names no items: what comes late is dropped, and what it says after that is not."""
    recorded.hear(Replying(), speech(RATE))
    await clock.go(0.5)
    recorded.hear(SpeechStarted())
    before = len(recorded.heard)
    recorded.hear(speech(RATE, 20_001), SpeechStopped(), Replying(), speech(1600, 30_001), TurnDone())
    await clock.go(1.0)
    assert recorded.heard[before:] == counting(1600, 30_001)
    (interrupted,) = [report for report in recorded.told if isinstance(report, AgentInterrupted)]
    assert interrupted.heard + interrupted.dropped == pytest.approx(1.0)
