"""An agent on a real socket: how it is dialled, opened, talked to, lost and left."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import ClassVar

import pytest
from tests.net.agents.fake import ANSWER_SECONDS, KEY, Clock, Fake, Line, Talk, Vendor, vending
from tests.signals import RATE, counting
from websockets.asyncio.server import serve
from websockets.typing import Subprotocol

from audiotap.agent_events import (
    AgentEvent,
    Cancel,
    Conclude,
    Concluded,
    Configure,
    Configured,
    KeepAlive,
    Leave,
    Listen,
    Met,
    Recall,
    Resume,
    Speech,
    SpeechStarted,
    ToolCall,
    ToolResult,
    Transcript,
    Truncate,
    UserEvent,
    UtteranceEnd,
    Write,
)
from audiotap.audio import Chunk
from audiotap.errors import AudiotapError, Exit, UsageError
from audiotap.events import Fault
from audiotap.net.agents.agent import BACK_OFF, LAST_WORDS_SECONDS, LASTING, OPENING_SECONDS
from audiotap.net.agents.outbox import MINUTE, Budget

SOUND = Listen(Chunk(counting(320), RATE))
ABOUT_NOW: list[UserEvent] = [SOUND, UtteranceEnd(), Cancel(), Truncate("a", 1.0)]
"""What nobody wants to hear later."""


@asynccontextmanager
async def talking(vendor: Vendor, dialect: type[Fake] = Fake, *, patient: bool = False) -> AsyncIterator[Talk]:
    """An agent that is not open yet, and closed at the end."""
    talk = Talk(vendor, dialect, patient=patient)
    try:
        yield talk
    finally:
        await talk.agent.close()


async def refused(talk: Talk) -> AudiotapError:
    """Why it cannot be opened."""
    with pytest.raises(AudiotapError) as error:
        await talk.agent.open()
    return error.value


# Opening


async def test_an_agent_is_opened_in_its_order(vendor: Vendor) -> None:
    """It speaks first, is configured, says that it is, and hears what was said until then."""
    async with talking(vendor) as talk:
        opening = asyncio.create_task(talk.agent.open())
        line = await vendor.met()
        assert talk.agent.say(SOUND)
        await line.say(Met("met-1"))
        assert await line.heard() == Configure({"model": ""})
        assert not talk.agent.ready.is_set()
        await line.say(Configured("talk-1"))
        await opening
        assert talk.agent.id == "talk-1"
        assert await line.heard() == SOUND
        assert talk.ear.heard == [Met("met-1"), Configured("talk-1")]


async def test_the_key_goes_where_it_belongs(vendor: Vendor) -> None:
    """Into the request, by the dialect's address; who we are stands beside it."""
    async with talking(vendor) as talk:
        await talk.begin(vendor)
        headers = vendor.requests[0].headers
        assert headers["Authorization"] == f"Bearer {KEY}"
        assert headers["User-Agent"].startswith("audiotap/")
        assert headers["Sec-WebSocket-Protocol"] == f"fake, key.{KEY}"


async def test_what_is_written_while_it_opens_is_said_then(vendor: Vendor) -> None:
    """A turn in text waits for the agent, and so does the beginning of a meeting."""
    async with talking(vendor) as talk:
        assert talk.agent.say(Write("Hello?"))
        assert talk.agent.say(SOUND)
        line = await talk.begin(vendor)
        assert await line.heard_next(2) == [Write("Hello?"), SOUND]


async def test_everything_is_said_in_its_order(vendor: Vendor) -> None:
    """Audio and words, as they were given."""
    said: list[UserEvent] = [SOUND, Write("One"), SOUND, SOUND, UtteranceEnd(), Write("Two")]
    async with talking(vendor) as talk:
        line = await talk.begin(vendor)
        for event in said:
            talk.agent.say(event)
        assert await line.heard_next(len(said)) == said


async def test_what_a_vendor_has_no_word_for_is_not_said(vendor: Vendor) -> None:
    """And what follows is."""
    async with talking(vendor) as talk:
        line = await talk.begin(vendor)
        talk.agent.say(Cancel())
        talk.agent.say(Write("Hello?"))
        assert await line.heard() == Write("Hello?")


async def test_a_tool_that_nobody_has(vendor: Vendor) -> None:
    """The agent is told so, and does not wait for ever."""
    async with talking(vendor) as talk:
        line = await talk.begin(vendor)
        talk.agent.refuse(ToolCall("call-1", "weather", "{}"))
        answer = await line.heard()
        assert isinstance(answer, ToolResult)
        assert (answer.id, answer.name) == ("call-1", "weather")


async def test_an_agent_that_is_never_ready(vendor: Vendor, clock: Clock) -> None:
    """It has some seconds; then it is the wrong kind of server, and the connection is closed."""
    async with talking(vendor) as talk:
        opening = asyncio.create_task(refused(talk))
        line = await vendor.met()
        await line.say(Met())
        await line.heard()
        clock.advance(OPENING_SECONDS + 1)
        assert "not ready within 15 s" in (await opening).message
        await line.connection.wait_closed()
        assert vendor.lines.empty()


async def test_an_agent_that_speaks_before_it_is_ready(vendor: Vendor, clock: Clock) -> None:
    """However long its first words are, it has its seconds after them."""
    async with talking(vendor) as talk:
        opening = asyncio.create_task(talk.agent.open())
        line = await vendor.met()
        await line.say(Met())
        await line.heard()
        for number in range(1, 4):
            clock.advance(OPENING_SECONDS - 1)
            await line.say(Speech(SOUND.chunk))
            await talk.ear.heard.until(1 + number)
        await line.say(Configured())
        await opening


async def test_nobody_is_there(vendor: Vendor) -> None:
    """It is told where, without the path, and what to look at."""
    talk = Talk("ws://127.0.0.1:1/secret/path")
    error = await refused(talk)
    assert error.message.startswith("fake: cannot connect to ws://127.0.0.1:1/…")
    assert (error.status, bool(error.hint)) == (Exit.NOBODY, True)
    assert talk.told == []
    await talk.agent.close()
    assert vendor.requests == []


async def test_a_patient_one_dials_again_from_the_first_try_on(clock: Clock) -> None:
    """Each pause is told, and at last that it goes on like that: nobody wants to read the same for hours."""
    talk = Talk("ws://127.0.0.1:1/", patient=True)
    opening = asyncio.create_task(talk.agent.open())
    for number, seconds in enumerate(BACK_OFF, 1):
        await talk.told.until(number)
        assert talk.oddities[-1].endswith(f"dialling again in {seconds:g} s")
        clock.advance(seconds)
    await talk.told.until(len(BACK_OFF) + 1)
    assert talk.oddities[-1].endswith(f"dialling again every {BACK_OFF[-1]:g} s from now on")
    await clock.go(3 * BACK_OFF[-1])
    assert len(talk.told) == len(BACK_OFF) + 1
    assert talk.ear.losses == []
    assert not opening.done()
    await talk.agent.close()
    with pytest.raises(AudiotapError):
        await opening


async def test_what_is_no_websocket_server(clock: Clock) -> None:
    """A server that speaks something else is nobody to talk to."""

    async def greet(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"220 mail.example ready\r\n")
        writer.close()

    async with await asyncio.start_server(greet, "127.0.0.1", 0) as server:
        talk = Talk(f"ws://127.0.0.1:{server.sockets[0].getsockname()[1]}/")
        assert (await refused(talk)).status == Exit.NOBODY
        await talk.agent.close()
    assert clock.ahead == 0.0


async def test_what_to_look_at_where_there_is_no_connection(vendor: Vendor) -> None:
    """A server that takes no TLS is dialled without, and one that takes no key of this form is of another kind."""
    plain = Talk(vendor.url.replace("ws://", "wss://"))
    assert "begins with ws://" in (await refused(plain)).hint
    await plain.agent.close()
    chosen = Subprotocol("other")
    async with serve(lambda one: one.wait_closed(), "127.0.0.1", 0, select_subprotocol=lambda *_: chosen) as server:
        other = Talk(f"ws://127.0.0.1:{server.sockets[0].getsockname()[1]}/")
        assert "right kind of server" in (await refused(other)).hint
        await other.agent.close()


@pytest.mark.parametrize("url", ["http://127.0.0.1/", "ws://", "agent", ""])
async def test_what_is_no_address(url: str) -> None:
    """It is refused before anything is dialled."""
    with pytest.raises(UsageError):
        Talk(url)


@pytest.mark.parametrize("key", ["two words", "line\n", "größe", "\x00"])
async def test_what_is_no_key(key: str) -> None:
    """It is refused without being told, since most of it may be right."""
    with pytest.raises(UsageError) as error:
        Talk("ws://127.0.0.1:1/", key=key)
    assert key not in str(error.value) + error.value.hint


# Refusals


@pytest.mark.parametrize(
    ("status", "ends_in"), [(400, Exit.REFUSED), (401, Exit.REFUSED), (403, Exit.REFUSED), (404, Exit.NOBODY)]
)
async def test_a_refusal_is_final(vendor: Vendor, status: int, ends_in: Exit) -> None:
    """The vendor's own words are told, with what to look at; it isn't asked again, however patient we are."""
    vendor.refuse(status, '{"message": "go away"}')
    async with talking(vendor, patient=True) as talk:
        error = await refused(talk)
        assert f"HTTP {status}" in error.message
        assert "go away" in error.message
        assert error.status == ends_in
        assert error.hint
        assert talk.told == []
        assert len(vendor.requests) == 1


@pytest.mark.parametrize("status", [429, 500, 503])
async def test_trouble_at_the_vendors_is_waited_out(vendor: Vendor, clock: Clock, status: int) -> None:
    """It is dialled again, and told why; when it lets us in, nothing was lost."""
    vendor.refuse(status, "busy")
    vendor.refuse(status, "busy")
    async with talking(vendor) as talk:
        opening = asyncio.create_task(talk.begin(vendor))
        for number in (1, 2):
            await talk.told.until(number)
            clock.advance(BACK_OFF[-1])
        await opening
        assert all(f"HTTP {status}" in told and "busy" in told for told in talk.oddities)
        assert talk.ear.losses == []


async def test_trouble_that_lasts(vendor: Vendor, clock: Clock) -> None:
    """After the last pause it is an error, and no refusal."""
    for _ in range(len(BACK_OFF) + 1):
        vendor.refuse(503)
    async with talking(vendor) as talk:
        opening = asyncio.create_task(refused(talk))
        for number in range(1, len(BACK_OFF) + 1):
            await talk.told.until(number)
            clock.advance(BACK_OFF[-1])
        error = await opening
        assert error.status == Exit.FAILED
        assert "HTTP 503" in error.message
        assert len(vendor.requests) == len(BACK_OFF) + 1


async def test_a_redirect_is_not_followed(vendor: Vendor) -> None:
    """The key is for whom it was meant, and for nobody whom that one names."""
    async with vending() as other:
        vendor.refuse(307, Location=other.url)
        async with talking(vendor) as talk:
            assert "HTTP 307" in (await refused(talk)).message
        assert other.requests == []


# The key


async def test_a_key_in_a_refusal(vendor: Vendor) -> None:
    """A server that says our key back says it to nobody, be it cut off by what is shown of a long answer or not."""
    vendor.refuse(401, f"no such key: {KEY}; {'x' * 160}{KEY}")
    async with talking(vendor) as talk:
        error = await refused(talk)
        assert "no such key: …" in error.message
        assert KEY[:8] not in error.message


async def test_a_key_in_a_close_reason(vendor: Vendor) -> None:
    """Neither who hears of the loss is told, nor the user."""
    async with talking(vendor) as talk:
        line = await talk.begin(vendor)
        await line.connection.close(1011, f"bad {KEY}")
        await talk.ear.losses.until(1)
        assert talk.ear.losses[0].message == "1011 bad …"
        assert KEY not in talk.oddities[0]


async def test_a_key_in_a_fault(vendor: Vendor) -> None:
    """An error event is heard without it, and so is what it ends in."""
    async with talking(vendor) as talk:
        opening = asyncio.create_task(refused(talk))
        line = await vendor.met()
        await line.say(Met(), Fault(f"c-{KEY}", f"Incorrect key: {KEY}", f"get another than {KEY}"))
        await line.connection.close(1000)
        assert (await opening).message == "fake: Incorrect key: …"
        assert talk.ear.heard[-1] == Fault("c-…", "Incorrect key: …", "get another than …")


async def test_a_key_in_what_cannot_be_read(vendor: Vendor) -> None:
    """The first such message is told of, without it."""
    async with talking(vendor) as talk:
        line = await talk.begin(vendor)
        await line.connection.send(f"what is {KEY}?")
        await talk.told.until(1)
        assert "what is …?" in talk.oddities[0]


# Talking


async def test_what_cannot_be_read_is_counted(vendor: Vendor) -> None:
    """One is told, all are counted, and the connection lives."""
    async with talking(vendor) as talk:
        line = await talk.begin(vendor)
        for wire in ("no JSON", b"\x00\xff", "[" * 100_000, "no JSON"):
            await line.connection.send(wire)
        await line.say(SpeechStarted())
        await talk.ear.heard.until(3)
        assert talk.agent.malformed == 4
        assert len(talk.told) == 1
        assert talk.ear.heard[-1] == SpeechStarted()


class Restless(Fake):
    """An agent that wants to hear something now and then."""

    idle: ClassVar[float] = 5.0


async def test_whoever_is_idle_says_so(vendor: Vendor, clock: Clock) -> None:
    """When nothing was said for long enough, and again after as long; never between two things that are said."""
    async with talking(vendor, Restless) as talk:
        line = await talk.begin(vendor)
        for _ in range(2):
            clock.advance(5.1)
            assert await line.heard() == KeepAlive()
        for n in range(20):
            talk.agent.say(Write(f"{n}"))
            assert await line.heard() == Write(f"{n}")
            clock.advance(4.5)
        clock.advance(0.6)
        assert await line.heard() == KeepAlive()


async def test_nobody_is_idle_before_it_is_ready(vendor: Vendor, clock: Clock) -> None:
    """Nothing is said into an opening that the vendor has not asked for."""
    async with talking(vendor, Restless) as talk:
        opening = asyncio.create_task(talk.agent.open())
        line = await vendor.met()
        clock.advance(6)
        await (await line.connection.ping())
        await line.say(Met())
        assert await line.heard() == Configure({"model": ""})
        await line.say(Configured())
        await opening


class Frugal(Fake):
    """An agent that takes so many messages in a minute, and audio in blocks of 60 ms."""

    most_per_minute: ClassVar[int] = 5
    block: ClassVar[float] = 0.06


async def test_a_limit_of_messages_is_kept(vendor: Vendor, clock: Clock) -> None:
    """Those of the opening count, too; what is too many waits until the minute is over, and comes in its order."""
    async with talking(vendor, Frugal) as talk:
        line = await talk.begin(vendor)
        for n in range(9):
            talk.agent.say(Write(f"{n}"))
        assert await line.heard_next(4) == [Write(f"{n}") for n in range(4)]
        await (await line.connection.ping())
        assert talk.agent._budget.wait(asyncio.get_running_loop().time()) > 0
        clock.advance(MINUTE)
        assert await line.heard_next(5) == [Write(f"{n}") for n in range(4, 9)]


class Chatty(Frugal):
    """One that answers every beginning of speech with a word of its own."""

    def reply(self, event: AgentEvent) -> list[UserEvent]:
        return [KeepAlive()] if isinstance(event, SpeechStarted) else super().reply(event)


class Watched(Budget):
    """A budget that keeps when it was spent."""

    def __init__(self, most: int, sent: list[float]) -> None:
        super().__init__(most)
        self._all = sent

    def spend(self, now: float) -> None:
        self._all.append(now)
        super().spend(now)


async def test_two_who_wait_for_room_do_not_share_it(
    vendor: Vendor, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is said and what is answered count together: never more than the limit in one minute."""
    async with talking(vendor, Chatty) as talk:
        line = await talk.begin(vendor)
        sent: list[float] = []
        monkeypatch.setattr(talk.agent, "_budget", Watched(Chatty.most_per_minute, sent))
        await line.say(*[SpeechStarted()] * 10)
        for n in range(10):
            talk.agent.say(Write(f"{n}"))
        reading = asyncio.create_task(line.heard_next(20))
        while not reading.done():
            clock.advance(MINUTE / 7)
            await (await line.connection.ping())
        heard = await reading
        assert all(later - now >= MINUTE for now, later in zip(sent, sent[5:], strict=False))
        assert [event for event in heard if isinstance(event, Write)] == [Write(f"{n}") for n in range(10)]


# Losing it


async def test_a_lost_connection_is_dialled_again(vendor: Vendor, clock: Clock) -> None:
    """Whoever hears is told once, however often it takes; pauses grow, and the conversation is gone on with."""
    async with talking(vendor) as talk:
        line = await talk.begin(vendor, "talk-1")
        vendor.refuse(500)
        vendor.refuse(502)
        line.cut()
        for number, seconds in enumerate(BACK_OFF[:3], 1):
            await talk.told.until(number)
            assert talk.oddities[-1].endswith(f"in {seconds:g} s")
            assert not talk.agent.ready.is_set()
            clock.advance(seconds)
        line = await vendor.met()
        await line.say(Met())
        assert await line.heard_next(2) == [Configure({"model": ""}), Resume("talk-1")]
        await line.say(Configured())
        await talk.agent.ready.wait()
        assert talk.agent.connections == 2
        assert len(talk.ear.losses) == 1
        assert talk.agent.lost is None


async def test_pauses_begin_anew_with_each_loss(vendor: Vendor, clock: Clock) -> None:
    """A connection that lasted pays for all the tries before it."""
    async with talking(vendor) as talk:
        line = await talk.begin(vendor)
        for number in (1, 2, 3):
            clock.advance(LASTING + 1)
            line.cut()
            await talk.told.until(number)
            assert talk.oddities[-1].endswith(f"in {BACK_OFF[0]:g} s")
            clock.advance(BACK_OFF[0])
            line = await vendor.met()
            await line.configure()
            await talk.agent.ready.wait()
        assert len(talk.ear.losses) == 3


async def test_what_was_said_is_remembered_in_its_order(vendor: Vendor, clock: Clock) -> None:
    """A new connection is told of it: by whom, as it was said and not as it was written down, and turns in text."""
    async with talking(vendor) as talk:
        line = await talk.begin(vendor)
        await line.say(
            SpeechStarted(item="q"),
            Speech(Chunk(bytes(320), RATE), "a"),
            Transcript("agent", "It is no", final=False, item="a"),
            Transcript("agent", "It is noon.", item="a"),
            Transcript("user", "What time is it?", item="q"),
        )
        await talk.ear.heard.until(7)
        talk.agent.say(Write("Thanks."))
        await line.heard()
        await line.say(Transcript("agent", "You are wel", final=False, item="b"))
        await talk.ear.heard.until(8)
        line.cut()
        await talk.told.until(1)
        clock.advance(BACK_OFF[0])
        line = await vendor.met()
        await line.say(Met())
        assert await line.heard_next(4) == [
            Configure({"model": ""}),
            Recall("user", "What time is it?"),
            Recall("agent", "It is noon."),
            Recall("user", "Thanks."),
        ]


async def test_what_is_written_while_it_is_away_is_said_when_it_is_back(vendor: Vendor, clock: Clock) -> None:
    """Once, and not remembered besides; audio of that time is gone, and so is what was about the old connection."""
    async with talking(vendor) as talk:
        line = await talk.begin(vendor)
        line.cut()
        await talk.told.until(1)
        assert talk.agent.say(Write("Still there?"))
        assert not any(map(talk.agent.say, ABOUT_NOW))
        clock.advance(BACK_OFF[0])
        line = await vendor.met()
        await line.configure()
        assert await line.heard() == Write("Still there?")
        assert talk.agent.say(Write("Good."))
        assert await line.heard() == Write("Good.")


async def test_what_was_about_to_be_said_is_not_lost_with_the_connection(vendor: Vendor, clock: Clock) -> None:
    """A turn in text that the closed connection did not take is the first on the next one."""
    async with talking(vendor) as talk:
        line = await talk.begin(vendor)
        connection = talk.agent._connection
        assert connection is not None
        line.cut()
        await connection.wait_closed()
        talk.agent.say(SOUND)
        talk.agent.say(Write("One"))
        talk.agent.say(Write("Two"))
        await talk.told.until(1)
        clock.advance(BACK_OFF[0])
        line = await vendor.met()
        await line.configure()
        assert await line.heard_next(2) == [Write("One"), Write("Two")]


@pytest.mark.parametrize(("code", "status"), [(1000, Exit.OK), (4000, Exit.FAILED)])
async def test_an_end_that_is_meant(vendor: Vendor, code: int, status: Exit) -> None:
    """Some codes are final: it isn't dialled again, and why it's over is known."""
    async with talking(vendor) as talk:
        line = await talk.begin(vendor)
        await line.connection.close(code, "bye")
        await talk.agent.over.wait()
        assert talk.agent.lost is not None
        assert (talk.agent.lost.message, talk.agent.lost.status) == (f"{code} bye", status)
        assert not talk.agent.say(Write("Hello?"))
        assert talk.told == []
        assert talk.ear.losses == []


@pytest.mark.parametrize("ready", [True, False])
async def test_a_fatal_fault_is_the_end(vendor: Vendor, clock: Clock, ready: bool) -> None:
    """A server that tells of one and leaves the connection open is left, and its own words are why."""
    async with talking(vendor) as talk:
        if ready:
            line = await talk.begin(vendor)
            ending = asyncio.create_task(talk.agent.over.wait())
        else:
            opening = asyncio.create_task(refused(talk))
            line = await vendor.met()
        await line.say(Fault("quota", "You have no credit."))
        await talk.ear.heard.until(3 if ready else 1)
        await line.say(Met(), Configured(), Fault("quota", "Still none."))
        await talk.ear.heard.until(6 if ready else 4)
        clock.advance(LAST_WORDS_SECONDS)
        if ready:
            await ending
            assert talk.agent.lost is not None
            assert talk.agent.lost.message == "Still none."
        else:
            error = await opening
            assert (error.message, error.hint, error.status) == ("fake: Still none.", "pay", Exit.REFUSED)
        await line.connection.wait_closed()


async def test_a_fault_that_is_not_fatal(vendor: Vendor) -> None:
    """It is heard, and that is all."""
    async with talking(vendor) as talk:
        line = await talk.begin(vendor)
        await line.say(Fault("odd", "What?", fatal=False), SpeechStarted())
        await talk.ear.heard.until(4)
        assert talk.agent.ready.is_set()


async def test_last_words_of_one_who_has_hung_up_are_heard(vendor: Vendor) -> None:
    """An answer to its first message cannot be sent any more; its second one says why."""
    async with talking(vendor) as talk:
        opening = asyncio.create_task(refused(talk))
        line = await vendor.met()
        await line.say(Met(), Fault("beta", "This is no more."))
        await line.connection.close(4000)
        assert (await opening).message == "fake: This is no more."


async def test_a_mistake_of_ours_ends_it(vendor: Vendor) -> None:
    """Nobody waits for ever for something that broke; it's told as what it is, and the key stays out of it."""

    class Broken(Fake):
        def reply(self, event: AgentEvent) -> list[UserEvent]:
            raise RuntimeError(f"broken with {KEY} by {type(event).__name__}")

    async with talking(vendor, Broken) as talk:
        opening = asyncio.create_task(refused(talk))
        await (await vendor.met()).say(Met())
        error = await opening
        assert error.message == "fake: RuntimeError: broken with … by Met"
        assert "report" in error.hint


# Leaving


@pytest.mark.parametrize("finish", [False, True])
async def test_leaving_as_the_vendor_wants_it(vendor: Vendor, finish: bool) -> None:
    """All that was said is sent; then each step, waiting for its answer, and the connection is closed in order."""
    async with talking(vendor) as talk:
        line = await talk.begin(vendor)
        talk.agent.say(SOUND)
        leaving = asyncio.create_task(talk.agent.leave(finish=finish))
        assert await line.heard() == SOUND
        if finish:
            assert await line.heard() == Conclude()
            await (await line.connection.ping())
            assert not leaving.done()
            await line.say(Concluded())
        assert await line.heard_all() == [Leave()]
        await leaving
        assert line.connection.close_code == 1000
        assert talk.agent.over.is_set()
        assert talk.agent.lost is None
        assert talk.told == []


async def test_leaving_one_who_does_not_answer(vendor: Vendor, clock: Clock) -> None:
    """A step has its time, and not more."""
    async with talking(vendor) as talk:
        line = await talk.begin(vendor)
        leaving = asyncio.create_task(talk.agent.leave(finish=True))
        assert await line.heard() == Conclude()
        began = clock.ahead
        await clock.until(leaving)
        assert clock.ahead - began >= ANSWER_SECONDS
        assert await line.heard_all() == [Leave()]


async def test_leaving_one_who_is_gone_meanwhile(vendor: Vendor) -> None:
    """It is not dialled again for that."""
    async with talking(vendor) as talk:
        line = await talk.begin(vendor)
        leaving = asyncio.create_task(talk.agent.leave(finish=True))
        assert await line.heard() == Conclude()
        line.cut()
        await leaving
        assert len(vendor.requests) == 1
        assert talk.ear.losses == []
        assert talk.agent.lost is None


async def test_leaving_one_who_does_not_read(vendor: Vendor, clock: Clock) -> None:
    """What it doesn't take within some seconds is not waited for."""
    async with talking(vendor) as talk:
        line = await talk.begin(vendor)
        line.connection.transport.pause_reading()
        talk.agent.say(Write("x" * 50_000_000))
        await clock.until(asyncio.create_task(talk.agent.leave()))
        assert talk.agent.over.is_set()
        assert clock.ahead < 30


async def test_leaving_twice_and_before_it_began(vendor: Vendor) -> None:
    """It's over, that is all."""
    async with talking(vendor) as talk:
        await talk.agent.leave()
        await talk.agent.leave()
        await talk.agent.close()
        assert talk.agent.over.is_set()
        assert vendor.requests == []


async def dialling(vendor: Vendor, _: Talk) -> None:
    """The vendor takes its time to answer the request."""
    await vendor.asked.wait()


async def opening(vendor: Vendor, _: Talk) -> None:
    """It let us in, and says nothing."""
    vendor.answers.set()
    await vendor.met()


async def being_configured(vendor: Vendor, _: Talk) -> None:
    """It was told how to be, and has not answered."""
    vendor.answers.set()
    line = await vendor.met()
    await line.say(Met())
    await line.heard()


async def at_rest(vendor: Vendor, talk: Talk) -> None:
    """Nothing is being said."""
    vendor.answers.set()
    await (await vendor.met()).configure()
    await talk.agent.ready.wait()


async def out_of_budget(vendor: Vendor, talk: Talk) -> None:
    """More is to be said than may be."""
    vendor.answers.set()
    line = await vendor.met()
    await line.configure()
    for _ in range(9):
        talk.agent.say(Write("again"))
    await line.heard_next(4)


async def backing_off(vendor: Vendor, talk: Talk) -> None:
    """The connection is lost, and not dialled again yet."""
    vendor.answers.set()
    line: Line = await vendor.met()
    await line.configure()
    await talk.agent.ready.wait()
    line.cut()
    await talk.told.until(1)


@pytest.mark.parametrize("leave", [False, True])
@pytest.mark.parametrize(
    "stage",
    [dialling, opening, being_configured, at_rest, out_of_budget, backing_off],
    ids=lambda stage: stage.__name__,
)
async def test_closing_at_any_time(
    vendor: Vendor, clock: Clock, stage: Callable[[Vendor, Talk], Awaitable[None]], leave: bool
) -> None:
    """Whatever is going on ends, whoever waits is told, and the vendor sees the connection end."""
    vendor.answers.clear()
    talk = Talk(vendor, Frugal)
    began = asyncio.create_task(talk.agent.open())
    await stage(vendor, talk)
    if leave:
        await clock.until(asyncio.create_task(talk.agent.leave()))
    else:
        await talk.agent.close()
    await asyncio.gather(began, return_exceptions=True)
    assert talk.agent.over.is_set()
    assert talk.agent.ending is not None
    assert talk.agent.ending.message == "we left"
    assert not talk.agent.say(Write("Hello?"))
    vendor.answers.set()


async def test_an_open_that_nobody_waits_for_any_more(vendor: Vendor) -> None:
    """Cancelling it ends nothing by itself; closing does."""
    talk = Talk(vendor)
    opening = asyncio.create_task(talk.agent.open())
    await vendor.met()
    opening.cancel()
    await asyncio.gather(opening, return_exceptions=True)
    assert not talk.agent.over.is_set()
    await talk.agent.close()


async def test_a_conversation_that_is_known_already(vendor: Vendor) -> None:
    """An agent made with an id goes on with it on its first connection."""
    talk = Talk(vendor, conversation="talk-7")
    opening = asyncio.create_task(talk.agent.open())
    line = await vendor.met()
    await line.say(Met("met-1"))
    assert await line.heard_next(2) == [Configure({"model": ""}), Resume("talk-7")]
    await line.say(Configured())
    await opening
    assert talk.agent.id == "talk-7"
    await talk.agent.close()
