"""A capture recorded once more: whatever bots do and however late an event loop is, it becomes the same files."""

from __future__ import annotations

import random
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from tests.scenarios.again import assert_same_folder
from tests.scenarios.harness import attendee, ramp, recall
from websockets.datastructures import Headers
from websockets.http11 import Request

from audiotap.audio import Chunk
from audiotap.capture import VERSION, Capture, Hello, Moment, lines
from audiotap.events import UNASKED
from audiotap.net.live import Link
from audiotap.net.rerecording import CapturedClock, Deaf, StraightLane, rerecord
from audiotap.net.tap import Tap
from audiotap.reports import Report
from audiotap.sinks.recording import Policy, Recorder

EARLY, LATE = 0.0005, 0.15
"""Seconds by which a loop may come too early or too late to what is due."""
SOUND = ramp(1)
REQUEST = Request("/secret", Headers())
LINGER = 0.3


class LateClock(CapturedClock):
    """An event loop's clock, as it is on a busy machine: it rounds, and comes too late, or only after what follows."""

    def __init__(self, hello: Hello, dice: random.Random) -> None:
        super().__init__(hello)
        self._dice = dice

    def go_to(self, now: float) -> None:
        while self._due and self._due[0][0] <= now + EARLY and self._dice.random() > 0.3:
            due, _, timer = self._due.pop(0)
            self._due.sort()
            self._now = max(self._now, min(now, due + self._dice.uniform(-EARLY, LATE)))
            timer.run()
        self._now = now


class Story:
    """A listener in a bad hour, told by dice; `moments` is its capture."""

    def __init__(self, seed: int, out: Path) -> None:
        self.moments: list[Moment] = []
        self._dice = random.Random(seed)
        self._grid = self._dice.choice([0.001, 0.02, 1e-9])
        self._now = self._dice.uniform(0, 1e6)
        hello = Hello(self._now, VERSION, "test", datetime.now(UTC), "wav", LINGER, 9, 9, 9)
        self.moments.append(hello)
        self._clock = LateClock(hello, self._dice)
        self._tap = Tap(lambda _: None, LINGER, clock=self._clock)
        self._tap.wall = self._clock.wall
        self._tap.witness = self.moments.append
        self._lane = StraightLane(Recorder(Policy(out), lambda _: None))
        self._tap.start([self._lane], telling=False)
        self._links: list[Link] = []
        self._sent: dict[str, int] = {}

    async def run(self) -> None:
        """Let it happen."""
        for _ in range(self._dice.randrange(10, 120)):
            self._pass(self._dice.choice([0, 0.02, 0.02, 0.05, 0.1, 0.1, 0.2, 0.35]))
            self._dice.choices([self._dial, self._say, self._leave, self._speak, self._name], [2, 30, 1, 2, 1])[0]()
            if self._dice.random() < 0.2:
                self._lane.write()
        await self._tap.close("the story is over")

    def _pass(self, seconds: float) -> None:
        self._now = max(self._now, round((self._now + seconds) / self._grid) * self._grid)
        self._clock.go_to(self._now)

    def _dial(self) -> None:
        self._links.append(self._tap.connect(Deaf(UNASKED), REQUEST))

    def _leave(self) -> None:
        if self._links:
            self._links.pop(self._dice.randrange(len(self._links))).leave(lost=self._dice.random() < 0.5)

    def _say(self) -> None:
        if self._links:
            link = self._dice.choice(self._links)
            link.take([self._wire(link) for _ in range(self._dice.randrange(1, 6))])

    def _wire(self, link: Link) -> str | bytes:
        """The next chunk of a track: on time, jittering, after a hole, numbered, without a time; or no chunk at all."""
        dice = self._dice
        if dice.random() < 0.05:
            return b"noise" if dice.random() < 0.5 else '{"trigger": "smell", "bot_id": "bot"}'
        track = dice.choice(["", "", "ana", "bo"])
        key = f"{link.number % 2}{track}"
        at = self._sent[key] = self._sent.get(key, 0) + dice.choice([1, 1, 1, 1, 1, 1, 2, 4])
        piece = SOUND[at % 9 * 1600 : (at % 9 + 1) * 1600]
        if link.number % 2:
            who = {"id": 7, "name": dice.choice(["Ana", "Bo"])} if track else None
            return recall(piece, at / 10 + dice.choice([0, 0, 0, 0.03]), who)
        odd: dict[str, Any] = dice.choice(
            [{}, {}, {}, {"timestamp_ms": None}, {"sequence": at + dice.choice([0, 0, 1])}]
        )
        return attendee(piece, at / 10 + dice.choice([0, 0, 0, 0.04, -0.02]), track, **odd)

    def _speak(self) -> None:
        for live in list(self._tap.sessions.values()):
            self._tap.place_spoken(live, Chunk(SOUND[:1600].tobytes(), 16000), self._now + 0.25)

    def _name(self) -> None:
        for live in list(self._tap.sessions.values()):
            self._tap.name(live, {"ana": self._dice.choice(["Ana", "Anna"])})
            self._tap.note(live, "seen", {"by": "dice"})


async def once_more(moments: list[Moment], folder: Path) -> tuple[list[Report], bool]:
    """Record a capture; what was told, and whether nothing is missing."""
    file = folder / "capture.jsonl"
    file.write_bytes(b"".join(line for moment in moments for line in lines(moment)))
    told: list[Report] = []
    complete = await rerecord(Capture(file), folder / "again", told.append)
    return told, complete


@settings(deadline=None, max_examples=40)
@given(st.integers(0, 2**32))
async def test_any_story_becomes_the_same_files(seed: int) -> None:
    """Jitter, holes, reconnects, two bots, speech, names, and a loop that is late: byte by byte what it was."""
    with TemporaryDirectory() as name:
        folder = Path(name)
        story = Story(seed, folder / "once")
        await story.run()
        await once_more(story.moments, folder)
        before, after = (sorted((folder / out).glob("*/")) for out in ("once", "again"))
        assert [one.name for one in before] == [one.name for one in after]
        for one, other in zip(before, after, strict=True):
            assert_same_folder(one, other)
