"""The simulated Amigo server: playbooks with our own dialect at the other end, and every one of its close codes."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from audiotap.actors.amigo import AmigoActor
from audiotap.actors.base import Act, Actor, Deferring, HangUp, Occupant, Script
from audiotap.agent_events import (
    AgentEvent,
    Conclude,
    Concluded,
    Configure,
    Configured,
    Doubt,
    KeepAlive,
    Leave,
    Listen,
    ListenFile,
    Replying,
    Resume,
    Speech,
    SpeechDone,
    Told,
    ToolCall,
    Transcript,
    TurnDone,
    UserEvent,
    UtteranceEnd,
    VadMode,
    Write,
)
from audiotap.audio import Chunk
from audiotap.dialects.agents.amigo import BEARER, Amigo
from audiotap.dialects.agents.base import Account, AgentSettings, Memory
from audiotap.dialects.base import Side
from audiotap.errors import UnspokenError, WireError

JWT = "header.payload.signature"
SETTINGS = AgentSettings(service="service")
NO_VAD = AgentSettings(service="service", vad=False)
BLOCK = Listen(Chunk(bytes(1920), 16000))


class Line:
    """A client and a simulated server without a socket between them; `closed` is how the server hung up."""

    def __init__(
        self,
        script: Script | None = None,
        settings: AgentSettings = SETTINGS,
        conversation: str = "",
        *,
        key: str = JWT,
        query: str | None = None,
    ) -> None:
        self.now = 0.0
        self.closed: HangUp | None = None
        self.heard: list[Any] = []
        self.client = Amigo(Side.OURS, settings, Memory(conversation))
        self.server = AmigoActor(script or Script())
        address = Amigo.address(Account(key, "ws://host", "org"), settings)
        path = address.url.removeprefix("ws://host")
        path = path if query is None else f"{path.partition('?')[0]}?{query}"
        assert self.server.admits(path, {}, address.subprotocols) is None
        assert self.server.subprotocol(address.subprotocols) in {*address.subprotocols, None}
        self._act(self.server.opened(0.0))

    def open(self) -> Line:
        self.say(*self.client.opening())
        return self

    def say(self, *events: UserEvent) -> None:
        """The client says something, unless the server hung up."""
        for event in events:
            for wire in self.client.encode(event):
                if self.closed is None:
                    self.send(wire)

    def send(self, wire: str | bytes) -> None:
        """A wire message goes to the server."""
        try:
            events = self.server.dialect.decode(wire)
        except WireError as error:
            self._act(self.server.malformed(error, self.now))
            return
        for event in events:
            self._act(self.server.heard(cast("UserEvent", event), self.now))

    def wait(self, seconds: float) -> None:
        """Time passes, and the server looks at its clock ten times a second."""
        for _ in range(round(seconds * 10)):
            self.now += 0.1
            if self.closed is None:
                self._act(self.server.tick(self.now))

    def _act(self, acts: list[Act]) -> None:
        for act in acts:
            if isinstance(act, HangUp):
                self.closed = act
                self.server.vacate()
                return
            for wire in self.server.dialect.encode(act):
                for event in self.client.decode(wire):
                    self.heard.append(event)
                    self.say(*self.client.reply(cast("AgentEvent", event)))

    @property
    def code(self) -> int | None:
        return self.closed.code if self.closed is not None else None


def test_it_is_an_actor() -> None:
    """It has all that the simulator asks for, and what only it has."""
    actor: Actor = AmigoActor(Script())
    assert isinstance(actor, Occupant)
    assert isinstance(actor, Deferring)


# Who is let in


def test_the_right_token_is_let_in() -> None:
    """It comes in the subprotocol, which is taken, as browsers ask for."""
    line = Line(Script(key=JWT)).open()
    assert line.client.ready
    assert line.server.subprotocol([f"{BEARER}{JWT}"]) == f"{BEARER}{JWT}"
    assert line.server.subprotocol(["chat"]) is None


@pytest.mark.parametrize("key", ["other", ""])
def test_a_wrong_token_is_3000(key: str) -> None:
    """Closed as soon as it's open, which is final for us; the reason has no token in it."""
    line = Line(Script(key=JWT), key=key)
    assert line.code == 3000
    assert line.closed is not None
    assert JWT not in line.closed.reason
    assert not line.client.ending(3000, line.closed.reason).again


def test_without_a_key_anybody_is_let_in() -> None:
    """With any token, and with none."""
    assert Line(key="anything").open().client.ready
    assert Line(key="").open().client.ready


def test_a_user_without_permission_is_3003() -> None:
    """By an option."""
    assert Line(Script(options=frozenset({"forbidden"}))).code == 3003


@pytest.mark.parametrize(
    "query",
    [
        "",
        "response_format=voice",
        "response_format=voice&audio_format=ogg",
        "response_format=song&audio_format=pcm",
        "response_format=text&current_agent_action_type=(",
    ],
)
def test_a_query_that_misses_something_is_4000(query: str) -> None:
    """As the page's own Python example would be."""
    assert Line(query=query).code == 4000


def test_only_its_paths_are_served() -> None:
    """Any organization's."""
    assert re.fullmatch(AmigoActor.paths, "/v1/org/conversation/converse_realtime")
    assert not re.fullmatch(AmigoActor.paths, "/v1/converse_realtime")


# The opening


def test_the_opening_in_vad_mode() -> None:
    """Start, created, VAD on, switched."""
    line = Line().open()
    assert line.heard == [Configured(f"{1:024x}"), VadMode(on=True)]
    assert line.client.ready
    assert (line.server.hears, line.server.vad) == (True, True)


def test_the_opening_without_vad() -> None:
    """It hears, and waits for the end of an utterance."""
    line = Line(settings=NO_VAD).open()
    assert line.client.ready
    assert (line.server.hears, line.server.vad) == (True, False)


@pytest.mark.parametrize("event", [BLOCK, VadMode(on=True), Write("a"), Conclude()])
def test_nothing_comes_before_a_conversation(event: UserEvent) -> None:
    """As the page's own quick start would have it."""
    line = Line(settings=NO_VAD)
    line.say(event)
    assert line.code == 4000


def test_a_conversation_is_started_once() -> None:
    """Neither a second one nor another one."""
    for event in (Configure(), Resume("x")):
        line = Line().open()
        line.say(event)
        assert line.code == 4000


def test_an_unknown_service_is_4004() -> None:
    """Where an option says which ones there are."""
    script = Script(options=frozenset({"service=a", "service=b"}))
    assert Line(script).open().code == 4004
    assert Line(script, AgentSettings(service="b")).open().client.ready


def test_a_conversation_is_gone_on_with() -> None:
    """By its id, on another connection of the same simulator and user, who was greeted before."""
    script = Script(greeting="Welcome")
    first = Line(script).open()
    first.say(Leave())
    assert first.code == 1000
    second = Line(script, conversation=f"{1:024x}").open()
    assert second.heard == [Configured(f"{1:024x}"), VadMode(on=True)]
    assert second.client.ready
    assert [line.server.greeting for line in (first, second)] == ["Welcome", ""]


def test_an_unknown_conversation_is_4004() -> None:
    """Another simulator's, another user's, or nobody's."""
    script = Script()
    Line(script).open().say(Leave())
    assert Line(script, conversation="nobody's").open().code == 4004
    assert Line(script, conversation=f"{1:024x}", key="other").open().code == 4004
    assert Line(Script(), conversation=f"{1:024x}").open().code == 4004


def test_a_finished_conversation_is_4009() -> None:
    """It's over for good, for this connection and for others."""
    script = Script()
    line = Line(script, NO_VAD).open()
    line.say(Conclude())
    assert line.heard[-1] == Concluded()
    assert line.closed is None
    assert not line.server.hears
    line.say(Write("still there?"))
    assert line.code == 4009
    assert Line(script, conversation=f"{1:024x}").open().code == 4009


def test_a_second_connection_is_4009() -> None:
    """One for each user and service; when the first one is gone, by whatever way, the next one may come."""
    script = Script()
    first = Line(script).open()
    assert Line(script).open().code == 4009
    assert Line(script, conversation=f"{1:024x}").open().code == 4009
    assert Line(script, AgentSettings(service="other")).open().client.ready
    assert Line(script, key="other").open().client.ready
    assert Line(Script()).open().client.ready
    first.server.vacate()
    assert Line(script, conversation=f"{1:024x}").open().client.ready


def test_a_refused_connection_keeps_nobody_out() -> None:
    """Its end sets nothing free that is another's."""
    script = Script()
    first = Line(script).open()
    second = Line(script).open()
    second.server.vacate()
    assert Line(script).open().code == 4009
    assert first.closed is None


# What is said


def test_a_conversation_in_vad_mode_to_its_end() -> None:
    """Audio, then out by the page's order: VAD off, switched, finished, completed."""
    line = Line().open()
    line.say(*[BLOCK] * 10, UtteranceEnd())
    for step in line.client.leaving(finish=True):
        line.say(step.say)
        assert step.until is not None
        assert isinstance(line.heard[-1], step.until)
    assert line.closed is None
    assert line.client.ending(1006, "").again is False


def test_leaving_keeps_the_conversation() -> None:
    """Closed with 1000, and not finished."""
    line = Line().open()
    for step in line.client.leaving(finish=False):
        line.say(step.say)
    assert line.code == 1000


def test_finishing_in_vad_mode_is_4000() -> None:
    """The page asks for it to be switched off before."""
    line = Line().open()
    line.say(Conclude())
    assert line.code == 4000


def test_null_in_vad_mode_is_4000() -> None:
    """Nobody says it there who read the page."""
    line = Line().open()
    line.say(BLOCK)
    line.send('{"type": "client.new-audio-message", "audio": null}')
    assert line.code == 4000


def test_an_utterance_without_vad() -> None:
    """Heard at the rate that its config tells, to its end, without a word in between."""
    line = Line(settings=NO_VAD).open()
    line.say(BLOCK, BLOCK, UtteranceEnd(), BLOCK, UtteranceEnd())
    assert line.heard == [Configured(f"{1:024x}")]
    assert line.closed is None


def test_audio_without_its_config_is_4000() -> None:
    """In the first message of an utterance, also of the second one."""
    line = Line(settings=NO_VAD).open()
    line.say(BLOCK, UtteranceEnd())
    line.send('{"type": "client.new-audio-message", "audio": "AAAA"}')
    assert line.code == 4000


def test_mp3_without_vad_is_taken() -> None:
    """Both ways."""
    line = Line(settings=AgentSettings(service="service", vad=False, form="mp3")).open()
    line.say(ListenFile(b"ID3", "mp3"), UtteranceEnd())
    assert line.closed is None


def test_mp3_with_vad_is_4015() -> None:
    """An answer in MP3, or an utterance."""
    answer = Line(settings=AgentSettings(service="service", vad=False, form="mp3")).open()
    answer.say(VadMode(on=True))
    assert answer.code == 4015
    said = Line().open()
    config = {"format": "mp3", "bit_rate": 128000, "sample_rate": 44100, "n_channels": 2}
    said.send(json.dumps({"type": "client.new-audio-message", "audio": "AAAA", "audio_config": config}))
    assert said.code == 4015


def test_audio_of_another_form_is_4015() -> None:
    """Stereo, as an example."""
    line = Line(settings=NO_VAD).open()
    config = {"format": "pcm", "frame_rate": 16000, "n_channels": 2}
    line.send(json.dumps({"type": "client.new-audio-message", "audio": "AAAA", "audio_config": config}))
    assert line.code == 4015


@pytest.mark.parametrize("wire", ["", "hello", "[]", "{}", b"\0", '{"type": "client.new"}', '{"type": "Ack"}'])
def test_a_message_that_cannot_be_read_is_4000(wire: str | bytes) -> None:
    """Or that nobody knows."""
    line = Line().open()
    line.send(wire)
    assert line.code == 4000


def test_a_reason_fits_into_a_close_frame() -> None:
    """Whatever it quotes."""
    line = Line().open()
    line.send(json.dumps({"type": "ß" * 1000}))
    assert line.closed is not None
    assert len(line.closed.reason.encode()) <= 123


def test_an_event_waits_while_the_user_speaks() -> None:
    """In VAD mode only; what the user writes himself does not."""
    line = Line().open()
    urgent = Write("payment failed", event=True, start=True)
    assert line.server.due(urgent, speaking=False)
    assert not line.server.due(urgent, speaking=True)
    assert line.server.due(Write("hello"), speaking=True)
    line.say(VadMode(on=False))
    assert line.server.due(urgent, speaking=True)


# Limits


def test_thirty_silent_seconds_are_3008() -> None:
    """Any message begins them anew, and ours come every 15 s."""
    line = Line().open()
    for _ in range(4):
        line.wait(Amigo.idle)
        line.say(KeepAlive())
    assert line.closed is None
    line.wait(29.9)
    assert line.closed is None
    line.wait(0.2)
    assert line.code == 3008
    assert line.client.ending(3008, "").again


def blocks(seconds: float, block: float) -> Iterator[float]:
    return (number * block for number in range(round(seconds / block)))


@pytest.mark.parametrize(("block", "code"), [(Amigo.block, None), (0.05, 4029), (0.04, 4029), (0.02, 4029)])
def test_more_than_1200_messages_a_minute_are_4029(block: float, code: int | None) -> None:
    """Our blocks leave room for a word every 15 s; those of 50 ms and less, which the page names, leave none."""
    line = Line().open()
    for now in blocks(180, block):
        line.now = now
        line.say(BLOCK)
        if round(now / block) % round(15 / block) == 0:
            line.say(KeepAlive())
    assert line.code == code


def test_messages_that_cannot_be_read_count() -> None:
    """All kinds of messages do."""
    line = Line().open()
    for _ in range(1198):
        line.say(KeepAlive())
    line.send("{}")
    assert line.code == 4029


def test_limits_can_be_left_out() -> None:
    """For who looks at something else."""
    line = Line(Script(limits=False)).open()
    for _ in range(2000):
        line.say(BLOCK)
    line.wait(100)
    assert line.closed is None


# How it answers


def test_the_answer_is_as_the_query_asked() -> None:
    """Actions by their filter, fillers by an option."""
    settings = AgentSettings(service="service", options=frozenset({r"action=^tool\."}))
    line = Line(Script(options=frozenset({"fillers"})), settings).open()
    assert line.server.tools
    wires = [*line.server.dialect.encode(ToolCall("1", "x", "{}")), *line.server.dialect.encode(Replying("i"))]
    heard = [event for wire in wires for event in line.client.decode(wire)]
    assert heard[0] == Told("current-agent-action", {"action": {"type": "tool.x"}})
    assert heard[1] == Replying("i")
    assert len(heard) == 5
    assert not Line().server.tools


def test_it_can_speak_at_another_rate() -> None:
    """By an option, so that a doubt can be seen."""
    assert Line().server.output_rate == 16000
    assert Line(Script(options=frozenset({"output-rate=24000"}))).server.output_rate == 24000


def test_its_other_rate_is_doubted() -> None:
    """By our dialect, which takes 24 kHz for 16 and sees by the alignment that it's wrong."""
    line = Line(Script(options=frozenset({"output-rate=24000"}))).open()
    second = Chunk(bytes(2 * line.server.output_rate), line.server.output_rate)
    turn: list[AgentEvent] = [
        Replying("i"),
        Transcript("agent", "one two three", final=False),
        *[Speech(second)] * 3,
        SpeechDone(),
        TurnDone("i"),
    ]
    heard = [event for said in turn for wire in line.server.dialect.encode(said) for event in line.client.decode(wire)]
    (doubt,) = [event for event in heard if isinstance(event, Doubt)]
    assert doubt.message.endswith("--output-rate 24000")


user_events: st.SearchStrategy[UserEvent] = st.one_of(
    st.builds(Resume, st.sampled_from([f"{1:024x}", "x"])),
    st.builds(VadMode, st.booleans()),
    st.builds(Write, st.text(max_size=3), st.booleans(), st.booleans()),
    st.sampled_from([Configure(), BLOCK, ListenFile(b"ID3", "mp3"), UtteranceEnd(), KeepAlive(), Conclude(), Leave()]),
)


@given(st.lists(st.lists(user_events, max_size=10), max_size=4))
def test_whatever_is_said_it_answers_or_hangs_up(connections: list[list[UserEvent]]) -> None:
    """One connection after the other, in any order of words; nobody is kept out by who is gone."""
    script = Script()
    for events in connections:
        line = Line(script, NO_VAD)
        for event in events:
            try:
                line.say(event)
            except UnspokenError:
                assert line.client.leaving(finish=False)
        line.server.vacate()
        assert line.code in {None, 1000, 4000, 4004, 4009, 4015}
    assert Line(script).open().client.ready
