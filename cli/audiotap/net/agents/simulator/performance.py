"""An actor on one connection: what all vendors' servers have in common, played around what is the vendor's own.

It hears with a VAD, answers with a voice, and is interrupted. All that is said leaves through `_say`, one event at a
time, so what was stopped is stopped; a reply runs beside the reading, everything else in it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import cast

import msgspec
from websockets.asyncio.server import ServerConnection
from websockets.exceptions import ConnectionClosed

from audiotap.actors.base import Act, Actor, Deferring, HangUp, Occupant, Script
from audiotap.agent_events import (
    INTERRUPTED,
    AgentEvent,
    Cancel,
    Concluded,
    Forget,
    Listen,
    ListenFile,
    Speech,
    SpeechStarted,
    SpeechStopped,
    ToolResult,
    Transcript,
    Truncate,
    TurnDone,
    UserEvent,
    UtteranceEnd,
    Write,
)
from audiotap.audio import Chunk
from audiotap.dialects.agents.base import Wire
from audiotap.endpointing import END, Boundary
from audiotap.errors import UnspokenError, WireError
from audiotap.events import Fault
from audiotap.net.agents.simulator import reports
from audiotap.net.agents.simulator.ear import Ear
from audiotap.net.agents.simulator.mishaps import Fate, Mishap
from audiotap.net.agents.simulator.reply import Answer, Pace, Reply, Voice, resampled
from audiotap.net.tasks import first_of

TICK = 0.1
"""Seconds between two looks at the clock."""
NORMAL = 1000
ABNORMAL = 1006
"""Stands for an end without a close frame. RFC 6455, 7.4.1."""
INTERNAL_ERROR = 1011
BROKEN_JSON = '{"type": '
STRAY_BYTES = b"\xff\xfe\xfd"

Tell = Callable[[reports.Report], None]


class Part(msgspec.Struct, frozen=True):
    """How a simulated agent answers, beside what its vendor's actor does.

    It says `voice`, or with `echo` what it heard of the user's speech. `says` are the words to it, `heard` those that
    it takes the user's speech for; empty for how long it was. `think`, `delta` (0 for the vendor's) and `faster` are
    `Pace`'s, `late` pieces follow an interruption, `silence` of so many seconds ends the user's turn, `record` is a
    folder for what was heard.
    """

    voice: Voice
    script: Script = Script()
    echo: bool = False
    says: str = ""
    heard: str = ""
    think: float = 0.3
    delta: float = 0.0
    faster: float = 4.0
    late: int = 0
    silence: float = END
    record: Path | None = None


class Performance:
    """One connection, from the first word to the last."""

    def __init__(
        self, connection: ServerConnection, number: int, actor: Actor, part: Part, fate: Fate, tell: Tell
    ) -> None:
        self._connection = connection
        self._number = number
        self._actor = actor
        self._part = part
        self._fate = fate
        self._tell = tell
        self._ear = Ear(part.silence, part.record / f"connection-{number}.wav" if part.record else None)
        self._began = asyncio.get_running_loop().time()
        self._ready: float | None = None
        self._turns = 0
        self._said = 0.0
        self._answers = 0.0
        self._reply: Reply | None = None
        self._replies: asyncio.TaskGroup = asyncio.TaskGroup()
        self._saying = asyncio.Lock()
        self._silent = False
        self._concluding = False
        self._hung_up = 0

    async def run(self) -> None:
        """Until either end closes."""
        self._tell(reports.Connected(self._number))
        try:
            async with self._replies:
                await first_of(self._read(), self._watch())
                if self._reply is not None:
                    await self._reply.stop()
        finally:
            if isinstance(self._actor, Occupant):
                self._actor.vacate()
            self._ear.close()
            code = self._hung_up or self._connection.close_code or ABNORMAL
            heard, said = round(self._ear.seconds, 3), round(self._said, 3)
            self._tell(reports.Closed(self._number, code, bool(self._hung_up), heard, said))

    # What comes

    async def _read(self) -> None:
        await self._do(self._actor.opened(self._now))
        try:
            async for wire in self._connection:
                await self._take(wire)
        except ConnectionClosed:
            return

    async def _watch(self) -> None:
        while True:
            await asyncio.sleep(TICK)
            await self._do(self._actor.tick(self._now))
            if self._ready is not None:
                await self._suffer(self._fate.after(self._now - self._ready))

    async def _take(self, wire: Wire) -> None:
        try:
            events = cast("list[UserEvent]", self._actor.dialect.decode(wire))
        except WireError as error:
            self._tell(reports.Malformed(self._number))
            await self._do(self._actor.malformed(error, self._now))
            return
        for event in events:
            await self._hear(event)

    async def _hear(self, event: UserEvent) -> None:
        stopped = isinstance(event, Cancel) and await self._stop()
        acts = self._actor.heard(event, self._now)
        await self._do(acts)
        if stopped:
            await self._cancelled("client_cancelled", told=any(isinstance(act, TurnDone) for act in acts))
        if not any(isinstance(act, Fault | HangUp) for act in acts):
            await self._heed(event)

    async def _heed(self, event: UserEvent) -> None:
        """Do what was asked for, and not refused."""
        match event:
            case Listen() if self._actor.hears:
                await self._listen(event.chunk)
            case ListenFile() if self._actor.hears:
                self._ear.hear_file(event.data, event.form)
            case Forget():
                self._ear.forget()
            case UtteranceEnd() | Write(start=True) if not self._is_due(event):
                return
            case UtteranceEnd():
                await self._answer_to(self._ear.everything())
            case Write(start=True):
                await self._write()
            case ToolResult() if self._reply is not None:
                self._reply.go_on()
            case Truncate():
                self._tell(reports.Truncated(self._number, round(event.seconds, 3)))

    def _is_due(self, event: UserEvent) -> bool:
        """Whether it's answered now, not with what the user is saying."""
        return not isinstance(self._actor, Deferring) or self._actor.due(event, speaking=self._ear.speaking)

    async def _listen(self, chunk: Chunk) -> None:
        boundaries = self._ear.hear(chunk)
        if not self._actor.vad:
            return
        for boundary in boundaries:
            await (self._begins(boundary) if boundary.speech else self._ends(boundary))
        self._ear.idle()

    async def _begins(self, boundary: Boundary) -> None:
        at = self._ear.at(boundary.at)
        self._tell(reports.SpeechStarted(self._number, round(at, 3)))
        stopped = await self._stop()
        await self._say(SpeechStarted(at, self._item))
        if stopped:
            await self._cancelled(INTERRUPTED)

    async def _ends(self, boundary: Boundary) -> None:
        at = self._ear.at(boundary.at)
        self._tell(reports.SpeechStopped(self._number, round(at, 3)))
        await self._say(SpeechStopped(at, self._item))
        await self._answer_to(self._ear.spoken(boundary.at))

    # What is answered

    async def _answer_to(self, utterance: Chunk) -> None:
        """Answer what was said, unless it only was what a tool call waited for."""
        if self._reply is not None and self._reply.go_on():
            return
        await self._give_way()
        length = f"({utterance.seconds:.1f} s of speech)"
        words = self._part.heard or length
        self._answers = utterance.seconds
        if utterance.pcm:
            await self._say(Transcript("user", words, item=self._item))
        canned = self._part.voice.at(self._actor.output_rate)
        sound = resampled(utterance, self._actor.output_rate) if self._part.echo and utterance.pcm else canned
        self._begin(self._part.says or (words if self._part.echo else f"({sound.seconds:.1f} s of speech)"), sound)

    async def _write(self) -> None:
        if self._reply is not None and self._reply.go_on():
            return
        await self._give_way()
        self._answers = 0.0
        sound = self._part.voice.at(self._actor.output_rate)
        self._begin(self._part.says or f"({sound.seconds:.1f} s of speech)", sound)

    def _begin(self, text: str, sound: Chunk, *, greeting: bool = False) -> None:
        self._turns += not greeting
        answer = Answer(0 if greeting else self._turns, text, sound)
        self._reply = Reply(answer, self._pace(), self._say, self._begun)
        self._replies.create_task(self._give(self._reply))

    async def _give(self, reply: Reply) -> None:
        await reply.run()
        if reply.completed:
            turn = reply.answer.turn
            self._tell(reports.Turn(self._number, turn, round(self._answers, 3), round(reply.sent, 3)))
            await self._conclude()

    async def _begun(self) -> None:
        if self._reply is not None and self._reply.answer.turn:
            await self._suffer(self._fate.answering(self._reply.answer.turn))

    async def _stop(self) -> bool:
        """Stop what is being said; whether something was."""
        return self._reply is not None and not self._reply.completed and await self._reply.stop()

    async def _give_way(self) -> None:
        """A new answer takes the place of one that is still being said."""
        if await self._stop():
            await self._cancelled("client_cancelled")

    async def _cancelled(self, reason: str, *, told: bool = False) -> None:
        reply, self._reply = self._reply, None
        if reply is None:
            return
        self._tell(reports.Interrupted(self._number, reply.answer.turn, round(reply.sent, 3), reason))
        await reply.late(self._part.late)
        if reply.open and not told:
            await self._say(TurnDone(reply.id, "cancelled", reason))

    # What is said

    async def _do(self, acts: Sequence[Act]) -> None:
        for act in acts:
            if isinstance(act, HangUp):
                await self._hang_up(act)
            else:
                await self._say(act)
        if self._ready is None and self._actor.hears:
            self._ready = self._now
            self._tell(reports.Ready(self._number, round(self._now, 3)))
            if self._actor.greeting:
                self._begin(self._actor.greeting, self._part.voice.at(self._actor.output_rate), greeting=True)

    async def _say(self, event: AgentEvent) -> None:
        """Say it, unless the vendor has no word for it or nobody is there any more."""
        if self._silent:
            return
        if isinstance(event, Speech):
            self._said += event.chunk.seconds
        elif isinstance(event, Fault):
            self._tell(reports.Complained(self._number, event.code, event.fatal))
        async with self._saying:
            with suppress(UnspokenError):
                for wire in self._actor.dialect.encode(event):
                    await self._send(wire)

    async def _send(self, wire: Wire) -> None:
        with suppress(ConnectionClosed):
            await self._connection.send(wire)

    async def _hang_up(self, act: HangUp) -> None:
        self._hung_up = act.code
        if act.code == ABNORMAL:
            self._connection.transport.abort()
        else:
            await self._connection.close(act.code, act.reason)

    async def _suffer(self, mishaps: Sequence[Mishap]) -> None:
        for mishap in mishaps:
            self._tell(reports.Befell(self._number, mishap.told))
            match mishap.what:
                case "error":
                    await self._say(Fault(mishap.code, mishap.message, fatal=False))
                case "fatal":
                    await self._say(Fault(mishap.code, mishap.message))
                    await self._hang_up(HangUp(INTERNAL_ERROR, mishap.code))
                case "close" | "cut":
                    await self._hang_up(HangUp(int(mishap.code or ABNORMAL), mishap.message))
                case "conclude":
                    self._concluding = True
                    await self._conclude()
                case "silent":
                    self._silent = True
                case "malformed":
                    await self._send(BROKEN_JSON)
                case "binary":
                    await self._send(STRAY_BYTES)

    async def _conclude(self) -> None:
        """The conversation is over for good, if that was asked for; nothing is left to be said."""
        if self._concluding and (self._reply is None or self._reply.completed):
            await self._say(Concluded())
            await self._hang_up(HangUp(NORMAL))

    def _pace(self) -> Pace:
        part, actor = self._part, self._actor
        tool = part.script.tool
        delta = part.delta or actor.delta
        return Pace(part.think, delta, part.faster, tool, actor.tools, actor.renews, actor.fillers)

    @property
    def _item(self) -> str:
        """What the user is saying, or said last."""
        return f"item_user_{self._turns + 1}"

    @property
    def _now(self) -> float:
        return asyncio.get_running_loop().time() - self._began
