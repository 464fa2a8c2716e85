"""A conversation with an agent: one user, whose turns come from files, a pipe or text, recorded and measured."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress

import msgspec

from audiotap import mp3
from audiotap.agent_events import (
    INTERRUPTED,
    AgentEvent,
    Cancel,
    Concluded,
    Configured,
    Listen,
    ListenFile,
    Met,
    Replying,
    Speech,
    SpeechDone,
    SpeechFile,
    SpeechStarted,
    SpeechStopped,
    ToolCall,
    Transcript,
    TurnDone,
    UserEvent,
    UtteranceEnd,
    VadMode,
    Write,
)
from audiotap.audio import SAMPLE_BYTES, Chunk
from audiotap.dialects.agents.base import Ending
from audiotap.dialogue import Dialogue, Said
from audiotap.endpointing import THRESHOLD, Boundary
from audiotap.events import Fault
from audiotap.net.agents.agent import Agent, Hears, broken_off, without_tool
from audiotap.net.agents.gate import Cut, Gate
from audiotap.net.agents.microphone import Microphone
from audiotap.net.agents.sources import Audio, Encoded, Source, Text
from audiotap.net.agents.tape import Tape
from audiotap.net.agents.voice import AgentVoice, sums, truncations
from audiotap.net.mouth import Mouth
from audiotap.net.tasks import first_of, wait_for
from audiotap.pacing import Block
from audiotap.reports import AgentInterrupted, Odd, Report, SaidAloud, TurnMeasured
from audiotap.text import human_size, printable
from audiotap.turns import FAILED, INCOMPLETE, Turn, Turns

USER = "user"
AGENT = "agent"
HEARD_BLOCK = 0.02
"""Seconds of the agent's voice that are played as one: what it costs to hear it in whole blocks."""
HEARD_LEAD = 0.1
"""Seconds by which they are handed out before they are heard, so that a late look makes no hole."""
SETTLE = 0.3
"""Seconds of quiet after an answer's end, in which another one may begin by itself (after a tool call)."""
WRITING = 3.0
"""Seconds that an agent has, when all is over, to write down what the user said."""
LONGEST = 600.0
"""Seconds after which an answer that does not end is waited for no longer."""
OF_AN_ANSWER = (SpeechStarted, SpeechStopped, Replying, Speech, SpeechFile, Transcript, SpeechDone, TurnDone, ToolCall)
"""What shows that an answer is on its way, or goes on."""
OF_AN_OPENING = (Met, Configured, VadMode)
"""What an agent says before anybody has said anything to it."""
MOST_ENCODED = 256 * 2**20
"""Bytes that are kept of a voice that comes encoded: hours of it."""
INAUDIBLE = "nothing in {} is louder than " + f"{THRESHOLD:g} dBFS: the figures cannot be taken"
"""Told of a turn in which no speech was found."""
NEW_TURN = 0.5
"""Seconds of silence in a live microphone after which speech is another turn."""


class Manner(msgspec.Struct, frozen=True):
    """How one converses; all in seconds.

    `timeout` is how long an answer, or more of one, is waited for. `interrupt`: the next turn begins so long after an
    answer begins to be heard, instead of after its end. `greeting` is how long the agent may take to speak first.
    """

    timeout: float = 15.0
    interrupt: float | None = None
    greeting: float = 0.0
    finish: bool = False


class Early:
    """Hears what an agent says before there is a conversation, and passes it on to that one."""

    def __init__(self) -> None:
        self._events: list[AgentEvent] = []
        self._hears: Hears | None = None

    def hear(self, event: AgentEvent) -> None:
        if self._hears is not None:
            self._hears.hear(event)
        else:
            self._events.append(event)

    def lost(self, ending: Ending) -> None:
        if self._hears is not None:
            self._hears.lost(ending)

    def pass_to(self, hears: Hears) -> None:
        """From now on somebody else hears."""
        self._hears = hears
        for event in self._events:
            hears.hear(event)
        self._events.clear()


class Conversation:
    """One conversation with an agent that is ready. `hear` and `lost` are its words to us."""

    def __init__(
        self, agent: Agent, tape: Tape, session: str, manner: Manner, tell: Callable[[Report], None], *, text: bool
    ) -> None:
        self.turns = Turns(in_text=text)
        self.dialogue = Dialogue()
        self.encoded: list[bytes] = []
        self.concluded = False
        self._tape = tape
        self._session = session
        self._manner = manner
        self._tell = tell
        self._loop = asyncio.get_running_loop()
        self._changed = asyncio.Event()
        self._heard_at = self._loop.time()
        self._agent = agent
        self._gate = Gate()
        self._voice: AgentVoice | None = None
        self._mouth: Mouth | None = None
        self._live = False
        self._as_file = False
        self._unnoticed = False
        self._file = bytearray()
        self._measured = 0
        self._encoded = 0
        self._handed: deque[Block] = deque()
        if manner.greeting:
            self.turns.begin("greeting")
            self.turns.said(tape.seconds)

    async def run(self, sources: Sequence[Source], *, vad: bool, written: bool = False) -> None:
        """Take every turn; returns when the last one was answered, or the agent is gone.

        With `vad` the agent hears silence, too; otherwise it is told where a turn ends. With `written` it writes down
        what the user says, which may take longer than its answer.
        """
        dialect = self._agent.dialect
        microphone = Microphone(dialect.rate, dialect.block, self._said, self._found, open=vad)
        try:
            if self._manner.greeting:
                await self._answered(self._manner.greeting)
            for number, source in enumerate(sources):
                await first_of(self._agent.ready.wait(), self._agent.over.wait())
                if self._agent.over.is_set() or self.concluded:
                    await self._heard_out()
                    self._leave_out(sources[number:])
                    break
                await self._take_turn(microphone, source, last=number == len(sources) - 1, vad=vad)
            if written:
                await self._written_down()
        finally:
            await microphone.close()

    async def close(self) -> None:
        """Be silent; tell of turns that were not told of."""
        self._measure()
        self._record(cut=True)
        if self._voice is not None:
            await self._voice.close()
        if self._mouth is not None:
            await self._mouth.close()

    # The user's side

    def _leave_out(self, sources: Sequence[Source]) -> None:
        """Turns for which there is no agent any more are missing, and it is told why."""
        ending = self._agent.ending
        for source in sources:
            if not isinstance(source, Text) or source.asks:
                self.turns.leave_out(source.label, ending.message if ending is not None else "the agent ended it")

    async def _take_turn(self, microphone: Microphone, source: Source, *, last: bool, vad: bool) -> None:
        if self._manner.interrupt is not None and not (vad and isinstance(source, Audio)):
            self._interrupt()
        self._unnoticed = True
        match source:
            case Audio():
                await self._speak_aloud(microphone, source)
                if not vad:
                    self.say(UtteranceEnd())
            case Encoded():
                for part in source.parts:
                    self.say(ListenFile(part, source.form))
                await self._speak_aloud(microphone, source)
                self.say(UtteranceEnd())
            case Text():
                event = Write(source.text, source.event, source.start)
                if source.asks:
                    self.turns.begin(source.label)
                    self.turns.said(self._tape.seconds)
                self.say(event)
                self._tell_said(self.dialogue.wrote(event, self._tape.seconds))
                if not source.asks:
                    return
        if self._manner.interrupt is not None and not last:
            await self._answered(self._manner.timeout, heard=self._manner.interrupt)
        else:
            await self._answered(self._manner.timeout)
            self._tell_unnoticed()
            self._measure()

    def _tell_unnoticed(self) -> None:
        """An agent that said nothing at all in a turn may be gone, though its connection is there."""
        if self._unnoticed and self._agent.ready.is_set():
            self._tell(Odd(f"the agent is connected and says no word: {self._agent.dialect.silent}", self._session))

    async def _speak_aloud(self, microphone: Microphone, source: Audio | Encoded) -> None:
        """Say what is heard of a turn in real time."""
        self._live, self._as_file = source.live, isinstance(source, Encoded)
        turn = self.turns.begin(source.label)
        await first_of(microphone.say(source.chunks), self._agent.over.wait())
        if turn.said_from is None and not self._agent.over.is_set():
            self._tell(Odd(INAUDIBLE.format(printable(source.label)), self._session))

    def _interrupt(self) -> None:
        """Begin to speak into an answer where the agent doesn't hear that by itself."""
        turn = self.turns.current
        if turn is not None and turn.answered and (turn.ended is None or self._speaking):
            self.say(Cancel())
            self.cut()

    def say(self, event: UserEvent) -> None:
        """Say something to the agent, and keep what is no audio in the event log."""
        if not isinstance(event, Listen | ListenFile):
            self._note("user", event)
        self._agent.say(event)

    def _said(self, chunk: Chunk, at: float) -> None:
        """The microphone said a block."""
        self._tape.play(USER, chunk, at)
        if not self._as_file:
            self.say(Listen(chunk))

    def _found(self, boundary: Boundary, at: float) -> None:
        """The user's speech begins or ends."""
        seconds = self._tape.at(at)
        turn = self.turns.current
        if turn is None:
            return
        if not boundary.speech:
            self.turns.said(seconds)
        elif turn.said_from is None:
            turn.said_from = seconds
        elif self._live and turn.said_until is not None and seconds - turn.said_until > NEW_TURN:
            self._measure()
            self.turns.begin(turn.source, seconds)
        self._changed.set()

    # The agent's side

    def hear(self, event: AgentEvent) -> None:
        """The agent said something."""
        now = self._loop.time()
        self._unnoticed = self._unnoticed and isinstance(event, OF_AN_OPENING)
        if isinstance(event, OF_AN_ANSWER):
            self._heard_at = now
        if not isinstance(event, Speech | SpeechFile):
            self._note("agent", event)
        self._tell_cut(self._gate.heed(event))
        passes = self._passes(event, now)
        if isinstance(event, SpeechFile):
            self._keep(event.data, heard=passes)
        if passes:
            self._heed(event)
            self.turns.heard(event, self._tape.at(now))
        said = self.dialogue.take(event, self._tape.at(now))
        if said is not None:
            self._tell_said(said)
        self._changed.set()

    def _passes(self, event: AgentEvent, now: float) -> bool:
        """Whether it counts, and is not what is left of an answer that was interrupted."""
        match event:
            case Speech():
                return self._gate.passes(event, now)
            case SpeechFile(item=item):
                return self._gate.passes(Speech(Chunk(b"", mp3.RATE), item), now)
            case _:
                return True

    def _heed(self, event: AgentEvent) -> None:
        """Do what the agent's word asks for."""
        if isinstance(event, SpeechDone | TurnDone):
            self._unpack(event)
        if self._voice is not None:
            self._voice.heed(event)
        match event:
            case Speech():
                self._speak(event)
            case SpeechStarted():
                self.cut()
            case ToolCall(ours=True):
                self._tell(without_tool(event, self._session))
                self._agent.refuse(event)
            case Concluded():
                self.concluded = True
            case Fault():
                where = f" ({printable(event.code)})" if event.code else ""
                hint = f"; {printable(event.hint)}" if event.hint else ""
                self._tell(Odd(f"the agent reports: {printable(event.message)}{where}{hint}", self._session))
            case TurnDone(reason=reason) if reason == INTERRUPTED and self._speaking:
                self.cut()
            case TurnDone(status=status) if status in {FAILED, INCOMPLETE}:
                self._tell(broken_off(event, self._session))

    def lost(self, ending: Ending) -> None:
        """The connection is lost; what was not said until now will not be."""
        self._gate.renew()
        self.dialogue.renew()
        if self._voice is not None:
            self._voice.renew()
        self.turns.lost(self._tape.seconds, ending.message)
        self._changed.set()
        self._tape.note("agent.lost", {"why": ending.message})

    def cut(self) -> None:
        """The user speaks into the answer: silence at once, and the agent is told what was heard of it."""
        self._file.clear()
        cuts = self._voice.cut() if self._voice is not None else []
        self._gate.shut(cuts, self._loop.time())
        if cuts and self._mouth is not None:
            self._mouth.stop()
            self._record(cut=True)
        self._tell_cut(cuts)

    def _tell_cut(self, cuts: Sequence[Cut]) -> None:
        """Tell the agent what was heard of items that were cut, and everybody else."""
        if not cuts:
            return
        for cut in cuts:
            self.dialogue.cut(cut.item, cut.heard)
        for truncation in truncations(cuts):
            self.say(truncation)
        self.turns.interrupted(self._tape.seconds)
        heard, dropped = sums(cuts)
        self._tell(AgentInterrupted(self._session, round(heard, 3), round(dropped, 3), round(self._tape.seconds, 3)))

    def _keep(self, data: bytes, *, heard: bool) -> None:
        """Keep what came encoded, up to a limit."""
        before, self._encoded = self._encoded, self._encoded + len(data)
        if self._encoded <= MOST_ENCODED:
            self.encoded.append(data)
            self._file += data if heard else b""
        elif before <= MOST_ENCODED:
            self._tell(Odd(f"the agent's file is longer than {human_size(MOST_ENCODED)}: cut there", self._session))

    def _unpack(self, end: SpeechDone | TurnDone) -> None:
        """What comes encoded is heard when all of it is there."""
        if self._file:
            chunk = mp3.decode(bytes(self._file))
            self._file.clear()
            self._speak(Speech(chunk, end.item if isinstance(end, SpeechDone) else ""))

    def _speak(self, speech: Speech) -> None:
        if self._voice is None:
            self._mouth = Mouth(speech.chunk.rate, _sent, self._played, lead=HEARD_LEAD, block=HEARD_BLOCK)
            self._voice = AgentVoice(self._mouth, self._finished)
        self._voice.push(speech)

    def _played(self, block: Block) -> None:
        """A block of the agent's voice is about to be heard."""
        self.turns.played(
            self._tape.at(block.plays_at), block.chunk.pcm[: block.sound * SAMPLE_BYTES], block.chunk.rate
        )
        self._handed.append(block)
        self._record()
        self._changed.set()

    def _finished(self, _: object) -> None:
        """Something that the agent said was heard, or was cut."""
        self._record()
        self._changed.set()

    def _record(self, *, cut: bool = False) -> None:
        """Record the blocks that were heard; of the one that is being heard, what was, if it is `cut` now."""
        now = self._loop.time()
        while self._handed:
            block, rate = self._handed[0], self._handed[0].chunk.rate
            heard = min(block.sound, round((now - block.plays_at) * rate))
            if heard <= 0 or (heard < block.sound and not cut):
                break
            self._handed.popleft()
            self._tape.play(AGENT, Chunk(block.chunk.pcm[: heard * SAMPLE_BYTES], rate), block.plays_at)
        if cut:
            self._handed.clear()

    @property
    def _speaking(self) -> bool:
        """Whether anything that the agent said is left to be heard."""
        return self._voice is not None and self._voice.speaking

    # Waiting

    async def _answered(self, patience: float, heard: float | None = None) -> None:
        """Wait for the end of the answer, or until it was heard for so long; give up where nothing comes any more.

        Of an agent that is gone all that it said is heard to its end.
        """
        await first_of(self._wait(patience, heard), self._agent.over.wait())
        await self._heard_out()

    async def _wait(self, patience: float, heard: float | None) -> None:
        self._heard_at = began = self._loop.time()
        while (turn := self.turns.current) is not None:
            until = min(self._until(turn, patience, heard), began + LONGEST)
            self._changed.clear()
            if not await wait_for(self._changed, max(0.0, until - self._loop.time())) and until <= self._loop.time():
                return

    async def _heard_out(self) -> None:
        ending = self._agent.ending
        if ending is None:
            return
        self.turns.lost(self._tape.seconds, ending.message)
        self._unpack(TurnDone())
        if self._voice is not None:
            self._voice.done()
        while self._speaking:
            self._changed.clear()
            await self._changed.wait()

    async def _written_down(self) -> None:
        """Wait a little until all that the user said is there as text: it is another model's work."""
        with suppress(TimeoutError):
            async with asyncio.timeout(WRITING):
                while self.dialogue.unwritten and not self._agent.over.is_set():
                    self._changed.clear()
                    await first_of(self._changed.wait(), self._agent.over.wait())

    def _until(self, turn: Turn, patience: float, heard: float | None) -> float:
        """When to wait no longer, if nothing changes before."""
        if heard is not None and turn.first_sound is not None:
            return self._loop.time() + turn.first_sound + heard - self._tape.seconds
        if self._speaking:
            return self._loop.time() + patience
        if turn.ended is not None and not self.turns.more:
            return max(self._heard_at, self._loop.time() - self._tape.seconds + turn.ended) + SETTLE
        return self._heard_at + patience

    def _measure(self) -> None:
        """Tell of the turns that are over."""
        for turn in self.turns.turns[self._measured :]:
            self._tell(
                TurnMeasured(
                    self._session,
                    turn.number,
                    turn.source,
                    turn.status,
                    turn.reason,
                    turn.interrupted,
                    **turn.figures(),
                )
            )
        self._measured = len(self.turns.turns)

    def _tell_said(self, said: Said) -> None:
        self._tell(SaidAloud(self._session, said.role, said.text, round(said.at, 3)))

    def _note(self, who: str, event: UserEvent | AgentEvent) -> None:
        """Keep an event in the log."""
        kind = type(event).__struct_config__.tag
        with suppress(TypeError, ValueError, RecursionError):
            self._tape.note(f"{who}.{kind}", {k: v for k, v in msgspec.to_builtins(event).items() if k != "type"})


async def _sent(_: Chunk) -> bool:
    """Where the agent's voice goes: nowhere but into the recording."""
    return True
