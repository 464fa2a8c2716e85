"""The bridge: each bot's session gets an agent, which hears the meeting and speaks into it.

Audio changes its rate at two places: in `Hearing` towards the agent, in the `Mouth` towards the bot.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress

import msgspec

from audiotap.agent_events import (
    INTERRUPTED,
    AgentEvent,
    Cancel,
    Listen,
    Speech,
    SpeechFile,
    SpeechStarted,
    ToolCall,
    TurnDone,
)
from audiotap.audio import Chunk
from audiotap.dialects.agents.base import Account, AgentDialect, AgentSettings, Ending
from audiotap.dialogue import Dialogue
from audiotap.errors import AudiotapError
from audiotap.events import Fault, Heard, Speak
from audiotap.hearing import UNANSWERED, Hearing, Notice
from audiotap.net.agents.agent import Agent, broken_off, without_tool
from audiotap.net.agents.clips import ClipVoice
from audiotap.net.agents.gate import Cut, Gate
from audiotap.net.agents.voice import MOST_SECONDS, AgentVoice, Item, Voice, sums, truncations
from audiotap.net.live import Live
from audiotap.net.rest.base import Access
from audiotap.net.tap import Tap
from audiotap.net.tasks import first_of
from audiotap.pacing import LEAD
from audiotap.reports import AgentInterrupted, AgentReady, Failed, Odd, Report, SaidAloud
from audiotap.session import SessionKey
from audiotap.text import printable, without_path
from audiotap.turns import FAILED, INCOMPLETE

TICK = 0.02
"""Seconds between the times at which silence and participants are heard."""
PAUSE = LEAD + 0.2
"""Seconds that a bot is asked to hold what it was sent when it is interrupted: that, and a margin."""
CLIPPED = frozenset({"recall", "recall110"})
"""Whose bots play clips over REST."""
CLIPS = "set RECALL_API_KEY, and its answers are played as clips over REST; or use a bot of Attendee"
HEARS_ONLY = "it can be recorded only; use a bot of Attendee"
GONE = "a bot that joins anew has a new agent; this one is recorded as before"

Tell = Callable[[Report], None]


class Bridging(msgspec.Struct, frozen=True):
    """Which agent takes part, and how: `most` at once; `pause` in seconds, 0 for none; `clips` where there is a key."""

    dialect: type[AgentDialect]
    account: Account
    settings: AgentSettings
    most: int = 10
    pause: float = PAUSE
    clips: Access | None = None


class Bridge:
    """The agents of all sessions; the tap's guest. All methods belong to the event loop's thread."""

    def __init__(self, tap: Tap, bridging: Bridging, tell: Tell) -> None:
        self._tap = tap
        self._bridging = bridging
        self._tell = tell
        self._loop = asyncio.get_running_loop()
        self._attendants: dict[SessionKey, Attendant | None] = {}
        self._waiting: dict[SessionKey, Live] = {}
        self._closing: set[asyncio.Task[None]] = set()
        self._ticking = asyncio.create_task(self._tick(), name="bridge")

    def heard(self, live: Live, run: Sequence[Heard]) -> None:
        """Chunks of one track of a session came."""
        key = live.session.key
        if key not in self._attendants:
            self._attendants[key] = self._attend(live)
        attendant = self._attendants[key]
        if attendant is not None:
            attendant.listen(run, self._loop.time())

    def left(self, live: Live) -> None:
        """A session is over, and so is its agent's part."""
        self._waiting.pop(live.session.key, None)
        attendant = self._attendants.pop(live.session.key, None)
        if attendant is not None:
            self._close(attendant)

    async def close(self) -> None:
        """Have every agent leave."""
        self._ticking.cancel()
        for attendant in self._attendants.values():
            if attendant is not None:
                self._close(attendant)
        self._attendants.clear()
        await asyncio.gather(self._ticking, *self._closing, return_exceptions=True)

    def _attend(self, live: Live) -> Attendant | None:
        """An agent for a session; None where it must do without."""
        key = live.session.key
        clipped = live.dialect.name in CLIPPED
        if Speak not in live.dialect.knows and not (clipped and self._bridging.clips is not None):
            why = f"no agent takes part: a bot of {live.dialect.name} takes no speech"
            self._tell(Failed(why, CLIPS if clipped else HEARS_ONLY, key[1]))
            return None
        if self._at_work >= self._bridging.most:
            why = f"no agent takes part yet: there are {self._at_work} already (--max-agents)"
            self._tell(Odd(f"{why}; one will when another has left", key[1]))
            self._waiting[key] = live
            return None
        return Attendant(self._tap, live, self._bridging, self._tell)

    @property
    def _at_work(self) -> int:
        """Agents that there are, or may be, and those that are about to leave."""
        return len(self._closing) + sum(
            attendant is not None and attendant.at_work for attendant in self._attendants.values()
        )

    def _close(self, attendant: Attendant) -> None:
        closing = asyncio.create_task(attendant.close(), name="agent leaves")
        self._closing.add(closing)
        closing.add_done_callback(self._closing.discard)

    async def _tick(self) -> None:
        while True:
            await asyncio.sleep(TICK)
            while self._waiting and self._at_work < self._bridging.most:
                key = next(iter(self._waiting))
                self._attendants[key] = self._attend(self._waiting.pop(key))
            for attendant in self._attendants.values():
                if attendant is not None:
                    attendant.tick(self._loop.time())


class Attendant:
    """One session's agent: its ear, its voice, and what was said. `hear` and `lost` are the agent's words to it."""

    def __init__(self, tap: Tap, live: Live, bridging: Bridging, tell: Tell) -> None:
        self._tap = tap
        self._live = live
        self._bridging = bridging
        self._tell = tell
        self._session = live.session.key[1]
        self._loop = asyncio.get_running_loop()
        self._dialogue = Dialogue()
        self._gate = Gate()
        self._voice: Voice | None = None
        self._agent = Agent(bridging.dialect, bridging.account, bridging.settings, self, self._told, patient=True)
        self._hearing = Hearing(self._agent.dialect.rate, self._loop.time())
        self._notice = Notice(self._hearing.rate)
        self._told_dropped = False
        self._leaving = False
        self._lost = asyncio.Event()
        self._following = asyncio.create_task(self._follow(), name="agent comes and goes")
        self._tasks: set[asyncio.Future[bool]] = set()

    @property
    def at_work(self) -> bool:
        """Whether there is an agent, or may be one."""
        return not self._agent.over.is_set()

    # The meeting's side

    def listen(self, run: Sequence[Heard], now: float) -> None:
        """The meeting said something."""
        self._say(self._hearing.push(run[0].track, [heard.chunk for heard in run], now), now)

    def tick(self, now: float) -> None:
        """Time passes."""
        self._say(self._hearing.tick(now), now)
        if self._notice.overdue(now):
            words = f"somebody spoke, and the agent said no word for {UNANSWERED:g} s, though it is connected"
            self._tell(Odd(words, self._session))

    def _say(self, pcm: bytes, now: float) -> None:
        if pcm and self._agent.say(Listen(Chunk(pcm, self._hearing.rate))) and self._agent.ready.is_set():
            self._notice.push(pcm, now)

    # The agent's side

    def _told(self, report: Report) -> None:
        """The agent's connection tells something, of no session yet."""
        self._tell(Odd(report.message, self._session) if isinstance(report, Odd) else report)

    def hear(self, event: AgentEvent) -> None:
        """The agent said something."""
        self._notice.taken()
        self._tell_cut(self._gate.heed(event))
        if self._voice is not None:
            self._voice.heed(event)
        match event:
            case Speech():
                self._speak(event)
            case SpeechFile():
                return
            case SpeechStarted():
                self._cut()
            case TurnDone(reason=reason) if reason == INTERRUPTED and self._voice is not None and self._voice.speaking:
                self._cut()
            case TurnDone(status=status) if status in {FAILED, INCOMPLETE}:
                self._tell(broken_off(event, self._session))
            case ToolCall(ours=True):
                self._tell(without_tool(event, self._session))
                self._agent.refuse(event)
            case Fault():
                self._tell(
                    Odd(f"the agent reports: {printable(event.message)} ({printable(event.code)})", self._session)
                )
        self._keep(event)

    def lost(self, ending: Ending) -> None:
        """The connection is lost; what was said until now is still played, and unknown to the next connection."""
        self._notice.taken()
        self._gate.renew()
        self._dialogue.renew()
        if self._voice is not None:
            self._voice.renew()
        self._tap.note(self._live, "agent.lost", {"why": ending.message})
        self._lost.set()

    async def close(self) -> None:
        """Leave."""
        self._leaving = True
        self._following.cancel()
        await asyncio.gather(self._following, return_exceptions=True)
        if self._voice is not None:
            await self._voice.close()
        await self._agent.leave()
        for task in self._tasks:
            task.cancel()

    async def _follow(self) -> None:
        try:
            await self._agent.open()
        except AudiotapError as error:
            self._tell(Failed(f"no agent takes part: {error.message}", error.hint, self._session))
            return
        over = self._agent.over.wait
        while await first_of(self._agent.ready.wait(), over()):
            self._meet()
            await first_of(self._lost.wait(), over())
            self._lost.clear()
        if self._voice is not None:
            self._voice.renew()
        ending = self._agent.lost
        if ending is not None:
            self._tell(Failed(f"the agent is gone: {ending.message}", ending.hint or GONE, self._session))

    def _meet(self) -> None:
        """Tell of the agent, which may be spoken to, for the first time or again."""
        name, where = self._agent.name, without_path(self._agent.address.url)
        self._tap.note(self._live, "agent.ready", {"agent": name, "id": self._agent.id})
        self._tell(AgentReady(name, self._session, where, self._agent.connections))

    def _speak(self, speech: Speech) -> None:
        if self._leaving or not self._gate.passes(speech, self._loop.time()):
            return
        if self._voice is None:
            self._voice = self._made_voice()
        self._voice.push(speech)
        if self._voice.dropped and not self._told_dropped:
            self._told_dropped = True
            self._tell(
                Odd(
                    f"the agent is {MOST_SECONDS / 60:g} min ahead of what is heard: the rest is dropped", self._session
                )
            )

    def _made_voice(self) -> Voice:
        clips = self._bridging.clips
        if Speak not in self._live.dialect.knows and clips is not None:
            bot = self._live.session.bot or self._session
            return ClipVoice(bot, clips, lambda chunk, at: self._tap.place_spoken(self._live, chunk, at), self._tell)
        return AgentVoice(self._tap.mouth(self._live), self._finished)

    def _cut(self) -> None:
        """Somebody speaks into the answer: our queue goes, the bot holds, the agent is told what was heard."""
        cuts = self._voice.cut() if self._voice is not None else []
        self._gate.shut(cuts, self._loop.time())
        if cuts:
            self._do(self._tap.hush(self._live, self._bridging.pause))
        self._tell_cut(cuts)

    def _finished(self, item: Item) -> None:
        """An item was heard, or `audiotap stop` was typed into it, which the agent has to know."""
        if item.utterance.stopped and isinstance(self._voice, AgentVoice):
            if not item.complete:
                self._agent.say(Cancel())
            cut = self._voice.heard(item)
            self._gate.shut([cut], self._loop.time())
            self._tell_cut([cut])

    def _tell_cut(self, cuts: Sequence[Cut]) -> None:
        """Tell the agent what was heard of items that were cut, and everybody else."""
        if not cuts:
            return
        for cut in cuts:
            self._dialogue.cut(cut.item, cut.heard)
        for truncation in truncations(cuts):
            self._agent.say(truncation)
        heard, dropped = sums(cuts)
        at = self._live.session.elapsed(self._loop.time()) or 0.0
        self._tap.note(self._live, "agent.interrupted", {"heard": heard, "dropped": dropped})
        self._tell(AgentInterrupted(self._session, round(heard, 3), round(dropped, 3), round(at, 3)))

    def _keep(self, event: AgentEvent) -> None:
        """Keep what was said as text."""
        at = self._live.session.elapsed(self._loop.time()) or 0.0
        said = self._dialogue.take(event, at)
        if said is not None:
            self._tap.note(self._live, "agent.transcript", {"role": said.role, "text": said.text, "at": said.at})
            self._tell(SaidAloud(self._session, said.role, said.text, round(said.at, 3)))
        elif isinstance(event, TurnDone | ToolCall | Fault):
            with suppress(TypeError, ValueError, RecursionError):
                data = msgspec.to_builtins(event)
                self._tap.note(self._live, f"agent.{data.pop('type')}", data)

    def _do(self, work: Awaitable[bool]) -> None:
        task = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
