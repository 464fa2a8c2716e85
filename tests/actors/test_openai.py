"""The Realtime API's servers: played against our own client, without sockets, and against clients that err."""

from __future__ import annotations

import json
from base64 import b64encode
from collections.abc import Sequence
from typing import Any, cast

import pytest
from tests.signals import counting

from audiotap.actors.base import Act, Actor, HangUp, Refused, Script
from audiotap.actors.openai import AzureActor, BotifyActor, OpenAIActor
from audiotap.agent_events import (
    AgentEvent,
    Cancel,
    Configured,
    Listen,
    Met,
    Recall,
    Replying,
    Speech,
    SpeechDone,
    SpeechStarted,
    SpeechStopped,
    Told,
    ToolCall,
    ToolResult,
    Transcript,
    Truncate,
    Truncated,
    TurnDone,
    UserEvent,
    UtteranceEnd,
    VadMode,
    Write,
)
from audiotap.audio import Chunk
from audiotap.dialects.agents.base import Account, AgentSettings, Memory, Said
from audiotap.dialects.agents.openai import Azure, Botify, OpenAI
from audiotap.dialects.agents.openai.client import Realtime
from audiotap.dialects.base import Side
from audiotap.errors import Exit, WireError
from audiotap.events import Fault, Unknown

PATH = "/v1/realtime?model=gpt-realtime-2.1"
BEARER = {"authorization": "Bearer k"}
BETA = AgentSettings(options=frozenset({"beta"}))
SERVERS: tuple[type[Actor], ...] = (OpenAIActor, AzureActor, BotifyActor)
TENTH = Chunk(counting(2400), 24000)


class Play:
    """A client of ours and a simulated server, whose engine does no more than to hand on what is said."""

    def __init__(self, server: OpenAIActor, client: Realtime) -> None:
        self.server = server
        self.client = client
        self.heard: list[UserEvent] = []
        self.closed: HangUp | None = None
        self.answers: list[Said] = []

    def open(self) -> Play:
        self.act(self.server.opened(0.0))
        return self

    def say(self, *events: UserEvent) -> list[Said]:
        """What the client understands of what its words lead to."""
        self.answers = []
        for event in events:
            for wire in self.client.encode(event):
                self.send(wire)
        return self.answers

    def send(self, wire: str | bytes) -> list[Said]:
        """A message of whatever kind, as it is."""
        try:
            events = cast("list[UserEvent]", self.server.dialect.decode(wire))
        except WireError as error:
            self.act(self.server.malformed(error, 1.0))
            return self.answers
        self.heard += events
        for event in events:
            self.act(self.server.heard(event, 1.0))
        return self.answers

    def act(self, acts: Sequence[Act]) -> list[Said]:
        """The server's acts as the client understands them, and what it answers by its manners."""
        for act in acts:
            if isinstance(act, HangUp):
                self.closed = act
                return self.answers
            for wire in self.server.dialect.encode(act):
                for event in self.client.decode(wire):
                    self.answers.append(event)
                    for answer in self.client.reply(cast("AgentEvent", event)):
                        for word in self.client.encode(answer):
                            self.send(word)
        return self.answers


def openai(script: Script | None = None, settings: AgentSettings | None = None, memory: Memory | None = None) -> Play:
    return Play(OpenAIActor(script or Script()), OpenAI(Side.OURS, settings or AgentSettings(), memory or Memory()))


def botify(*options: str, settings: AgentSettings | None = None) -> Play:
    server = BotifyActor(Script(options=frozenset(options)))
    return Play(server, Botify(Side.OURS, settings or AgentSettings()))


def azure(path: str) -> Play:
    server = AzureActor(Script())
    assert server.admits(path, {}, ()) is None
    return Play(server, Azure(Side.OURS))


def codes(answers: Sequence[Said]) -> list[str]:
    return [answer.code for answer in answers if isinstance(answer, Fault)]


def important(answers: Sequence[Said]) -> list[Said]:
    return [answer for answer in answers if not isinstance(answer, Told)]


def told_first(answers: Sequence[Said]) -> str:
    return next(answer.kind for answer in answers if isinstance(answer, Told))


@pytest.mark.parametrize("server", SERVERS)
def test_they_are_actors(server: type[Actor]) -> None:
    """Each hears and speaks at the one rate there is, from the beginning."""
    actor = server(Script())
    assert (actor.hears, actor.vad, actor.rate, actor.output_rate) == (True, True, 24000, 24000)


# Who is let in


def test_our_own_address_is_let_in() -> None:
    """With its model, which the session has then."""
    address = OpenAI.address(Account("k"), AgentSettings(model="gpt-realtime-2.1"))
    server = OpenAIActor(Script(key="k"))
    path = address.url.removeprefix("wss://api.openai.com")
    headers = {name.lower(): value for name, value in address.headers.items()}
    assert server.admits(path, headers, ()) is None
    play = Play(server, OpenAI(Side.OURS)).open()
    assert play.closed is None
    (configured,) = (answer for answer in play.answers if isinstance(answer, Configured))
    assert configured.wire["model"] == "gpt-realtime-2.1"


@pytest.mark.parametrize("server", [OpenAIActor, BotifyActor])
def test_each_session_has_an_id_of_its_own(server: type[OpenAIActor]) -> None:
    """Among those of one simulator, whose connections have one script."""
    script = Script()
    met = [server(script).opened(0.0)[0] for _ in range(2)] + [server(Script()).opened(0.0)[0]]
    assert met == [Met("sess_000001"), Met("sess_000002"), Met("sess_000001")]


def test_a_browsers_key_is_let_in() -> None:
    """It comes as a subprotocol; the one that's chosen has no key in it."""
    server = OpenAIActor(Script(key="k"))
    offered = ["realtime", "openai-insecure-api-key.k"]
    assert server.admits(PATH, {}, offered) is None
    assert isinstance(server.opened(0.0)[0], Met)
    assert server.subprotocol(offered) == "realtime"
    assert server.subprotocol([]) is None


def test_no_key_is_refused_at_the_door() -> None:
    """With a body that says why."""
    refused = OpenAIActor(Script(key="k")).admits(PATH, {}, ())
    assert isinstance(refused, Refused)
    assert refused.status == 401
    assert json.loads(refused.body)["error"]["code"] == "missing_api_key"


@pytest.mark.parametrize(
    ("path", "headers", "code", "close"),
    [
        (PATH, {"authorization": "Bearer other"}, "invalid_api_key", 3000),
        (PATH, {**BEARER, "openai-beta": "realtime=v1"}, "beta_api_shape_disabled", 4000),
        ("/v1/realtime", BEARER, "missing_model", 4000),
    ],
)
def test_who_is_wrong_is_told_inside(path: str, headers: dict[str, str], code: str, close: int) -> None:
    """An error, and a closing whose reason names it."""
    server = OpenAIActor(Script(key="k"))
    assert server.admits(path, headers, ()) is None
    play = Play(server, OpenAI(Side.OURS)).open()
    assert codes(play.answers) == [code]
    assert play.closed == HangUp(close, f"invalid_request_error.{code}")


def test_a_wrong_key_ends_as_refused() -> None:
    """By the error alone, by the closing alone, or by both."""
    play = openai()
    play.act([Fault("invalid_api_key", "Incorrect API key provided.")])
    assert play.client.ending(3000, "invalid_request_error.invalid_api_key").status == Exit.REFUSED
    assert play.client.ending(1006, "").status == Exit.REFUSED


@pytest.mark.parametrize(
    ("path", "headers", "status"),
    [
        ("/openai/v1/realtime?model=d", {"api-key": "k"}, None),
        ("/openai/v1/realtime?model=d", BEARER, None),
        ("/openai/v1/realtime?model=d&api-key=k", {}, None),
        ("/openai/realtime?api-version=1&deployment=d", {"api-key": "k"}, None),
        ("/openai/v1/realtime?model=d&api-version=1", {"api-key": "k"}, 401),
        ("/openai/v1/realtime?model=d", {"api-key": "other"}, 401),
        ("/openai/v1/realtime?model=d", {}, 401),
        ("/openai/v1/realtime", {"api-key": "k"}, 404),
        ("/openai/realtime?deployment=d", {"api-key": "k"}, 404),
        ("/openai/realtime?api-version=1", {"api-key": "k"}, 404),
    ],
)
def test_azures_door(path: str, headers: dict[str, str], status: int | None) -> None:
    """A version on the GA address is refused as if the key were wrong, which has cost many an hour."""
    refused = AzureActor(Script(key="k")).admits(path, headers, ())
    assert (refused.status if refused is not None else None) == status


# Settings


def test_the_opening_is_played() -> None:
    """Session, settings, what was said before: each acknowledged."""
    memory = Memory(said=(Recall("user", "I am Ana."), Recall("agent", "Hello, Ana.")))
    play = openai(settings=AgentSettings(vad=False, voice="cedar"), memory=memory).open()
    assert play.client.ready
    assert not play.server.vad
    assert codes(play.answers) == []
    assert [event for event in play.heard if isinstance(event, Recall)] == list(memory.said)
    (configured,) = (answer for answer in play.answers if isinstance(answer, Configured))
    assert configured.wire["audio"]["output"]["voice"] == "cedar"
    assert [answer.kind for answer in play.answers if isinstance(answer, Told)] == [
        "conversation.item.added",
        "conversation.item.done",
    ] * 2


def test_azures_preview_is_met_in_its_own_shape() -> None:
    """No option is needed: its first word tells."""
    play = azure("/openai/realtime?api-version=2025-04-01-preview&deployment=d").open()
    assert play.client.ready
    assert codes(play.answers) == []
    assert azure("/openai/v1/realtime?model=d").open().client.ready


@pytest.mark.parametrize(
    ("session", "beta", "code", "hint"),
    [
        ({"instructions": "x"}, False, "missing_required_parameter", "leave `--option beta` out"),
        ({"type": "realtime", "modalities": ["text"]}, False, "unknown_parameter", "leave `--option beta` out"),
        ({"type": "realtime", "voice": "alloy"}, False, "unknown_parameter", "leave `--option beta` out"),
        ({"type": "realtime"}, True, "unknown_parameter", "--option beta"),
        ({"output_modalities": ["audio"]}, True, "unknown_parameter", "--option beta"),
        ({"type": "realtime", "output_modalities": ["audio", "text"]}, False, "invalid_value", ""),
        ({"modalities": ["audio"]}, True, "invalid_value", ""),
        ({"input_audio_format": "g711_ulaw"}, True, "invalid_value", ""),
        ({"type": "realtime", "audio": {"input": {"format": {"rate": 16000}}}}, False, "integer_below_min_value", ""),
        ({"type": "realtime", "audio": {"input": {"format": {"type": "audio/pcmu"}}}}, False, "invalid_value", ""),
        ({"type": "realtime", "audio": {"output": None}}, False, "invalid_type", ""),
        ({"type": "realtime", "audio": 7}, False, "invalid_type", ""),
        (
            {"type": "realtime", "audio": {"input": {"turn_detection": {"create_response": False}}}},
            False,
            "invalid_value",
            "",
        ),
        ({"turn_detection": {"interrupt_response": False}}, True, "invalid_value", ""),
        ({"type": "realtime", "output_modalities": 7}, False, "invalid_value", ""),
    ],
)
def test_wrong_settings_are_refused(session: dict[str, Any], beta: bool, code: str, hint: str) -> None:
    """As the real ones do it, with the parameter named; our own client says what to type."""
    play = openai(Script(options=frozenset({"beta"} if beta else ()))).open()
    play.answers = []
    play.send(json.dumps({"type": "session.update", "session": session}))
    (fault,) = play.answers
    assert isinstance(fault, Fault)
    assert fault.code == code
    assert hint in fault.hint


def test_an_error_names_its_parameter_and_its_message() -> None:
    """By the client's own event id, as the reference has it."""
    server = OpenAIActor(Script())
    server.dialect.decode('{"type": "session.update", "event_id": "mine", "session": {}}')
    (wire,) = server.dialect.encode(cast("Fault", server.heard(cast("UserEvent", Unknown("x", "{}")), 0.0)[0]))
    assert json.loads(wire)["error"]["event_id"] == "mine"
    (other,) = server.dialect.encode(Fault("unknown_parameter", "Unknown parameter: 'session.voice'."))
    assert json.loads(other)["error"] == {
        "type": "invalid_request_error",
        "code": "unknown_parameter",
        "message": "Unknown parameter: 'session.voice'.",
        "param": "session.voice",
        "event_id": None,
    }


def test_a_client_set_to_the_wrong_age_learns_it() -> None:
    """A server that doesn't introduce its shape refuses ours, and the error is the end, with what to type."""
    server = OpenAIActor(Script())
    client = OpenAI(Side.OURS, BETA)
    play = Play(server, client)
    client.decode('{"type": "session.created", "session": {"id": "s"}}')
    for event in client.reply(Met("s")):
        play.say(event)
    (fault,) = play.answers
    assert isinstance(fault, Fault)
    assert fault.fatal
    assert "leave `--option beta` out" in fault.hint


def test_the_voice_is_frozen_once_it_was_heard() -> None:
    """Before that it may be changed."""
    play = openai().open()
    change = {"type": "session.update", "session": {"type": "realtime", "audio": {"output": {"voice": "cedar"}}}}
    assert codes(play.send(json.dumps(change))) == []
    play.act([Replying("r"), Speech(TENTH, "item"), TurnDone("r")])
    change["session"] = {"type": "realtime", "audio": {"output": {"voice": "alloy"}}}
    assert codes(play.send(json.dumps(change))) == ["cannot_update_voice"]
    assert play.say(VadMode(on=False))
    assert not play.server.vad


# Turns


def test_a_turn_found_by_the_server() -> None:
    """Speech is found, committed, transcribed if that was asked for, and answered; as our client hears it."""
    play = openai(settings=AgentSettings(transcribe="gpt-4o-transcribe")).open()
    play.say(Listen(TENTH))
    play.answers = []
    play.act(
        [
            SpeechStarted(0.1, "item_u"),
            SpeechStopped(0.9, "item_u"),
            Transcript("user", "What time is it?", item="item_u"),
            Replying("resp_1"),
            Transcript("agent", "Noon.", final=False, item="item_a"),
            Speech(TENTH, "item_a"),
            Transcript("agent", "Noon.", item="item_a"),
            SpeechDone("item_a"),
            TurnDone("resp_1"),
        ]
    )
    assert important(play.answers) == [
        SpeechStarted(0.1, "item_u"),
        SpeechStopped(0.9, "item_u"),
        Transcript("user", "What time is it?", item="item_u"),
        Replying("resp_1"),
        Transcript("agent", "Noon.", final=False, item="item_a"),
        Speech(TENTH, "item_a"),
        Transcript("agent", "Noon.", item="item_a"),
        SpeechDone("item_a"),
        TurnDone("resp_1"),
    ]
    assert play.server.dialect.server.buffered == 0


def test_a_turn_ended_by_the_client() -> None:
    """A commit is acknowledged and makes no answer; the question does."""
    play = openai(settings=AgentSettings(vad=False)).open()
    play.heard = []
    play.say(Listen(TENTH), UtteranceEnd())
    assert [event for event in play.heard if not isinstance(event, Unknown)] == [Listen(TENTH), UtteranceEnd()]
    assert told_first(play.answers) == "input_audio_buffer.committed"


def test_a_commit_of_nothing_is_an_error() -> None:
    """Less than a tenth of a second can't be one; clearing throws away what there was."""
    play = openai().open()
    play.answers = []
    play.say(Listen(Chunk(counting(2399), 24000)))
    assert codes(play.send('{"type": "input_audio_buffer.commit"}')) == ["input_audio_buffer_commit_empty"]
    play.say(Listen(TENTH))
    play.send('{"type": "input_audio_buffer.clear"}')
    assert codes(play.send('{"type": "input_audio_buffer.commit"}')) == ["input_audio_buffer_commit_empty"]


def test_text_is_acknowledged_and_answered() -> None:
    """The item first, with the id that the client gave it; then what is to be answered."""
    play = openai().open()
    play.heard = []
    play.say(Write("hi"))
    assert play.heard == [Recall("user", "hi"), Write("hi")]
    item = {"id": "mine", "type": "message", "role": "user", "content": [{"type": "input_text", "text": "x"}]}
    play.answers = []
    play.send(json.dumps({"type": "conversation.item.create", "item": item}))
    told = [answer.data["item"] for answer in play.answers if isinstance(answer, Told)]
    assert told == [{**item, "object": "realtime.item", "status": "completed"}] * 2


def test_two_answers_at_once_are_refused() -> None:
    """And the engine never hears of the second question."""
    play = openai().open()
    play.act([Replying("resp_1")])
    play.heard = []
    answers = play.send('{"type": "response.create"}')
    assert codes(answers) == ["conversation_already_has_active_response"]
    assert not any(isinstance(event, UtteranceEnd | Write) for event in play.heard)


def test_an_assistants_text_has_the_type_of_its_age() -> None:
    """The other one is refused, as after many a migration."""
    for options, right, wrong in (((), "output_text", "text"), (("beta",), "text", "output_text")):
        play = openai(Script(options=frozenset(options))).open()
        for kind, refused in ((right, []), (wrong, ["invalid_value"])):
            content = [{"type": kind, "text": "x"}]
            item = {"type": "message", "role": "assistant", "content": content}
            play.answers = []
            assert codes(play.send(json.dumps({"type": "conversation.item.create", "item": item}))) == refused


# Barge-in


def test_an_interruption_is_played() -> None:
    """The server stops by itself; the client says how much was heard, and it's acknowledged."""
    play = openai().open()
    play.act([Replying("resp_1"), Speech(TENTH, "item_a"), SpeechStarted(1.0, "item_u")])
    play.act([TurnDone("resp_1", "cancelled", "turn_detected")])
    assert play.say(Truncate("item_a", 0.0567)) == [Truncated("item_a", 0.056)]
    assert play.say(Truncate("item_a", 7.0)) == []


def test_what_was_not_heard_at_all_is_deleted() -> None:
    """Once."""
    play = openai().open()
    play.act([Replying("resp_1"), Speech(TENTH, "item_a")])
    (told,) = play.say(Truncate("item_a", 0.0))
    assert isinstance(told, Told)
    assert told.kind == "conversation.item.deleted"
    assert codes(play.say(Truncate("item_a", 0.0))) == ["item_delete_invalid_item_id"]


@pytest.mark.parametrize(
    ("item", "milliseconds", "code"),
    [("item_a", 101, "invalid_value"), ("item_x", 10, "item_truncate_invalid_item_id")],
)
def test_careless_cutting_is_refused(item: str, milliseconds: int, code: str) -> None:
    """More than there is, or of something else: what a client that counts what it sent runs into."""
    play = openai().open()
    play.act([Replying("resp_1"), Speech(TENTH, "item_a")])
    told = {"item_id": item, "content_index": 0, "audio_end_ms": milliseconds}
    assert codes(play.send(json.dumps({"type": "conversation.item.truncate", **told}))) == [code]


def test_cancelling_what_is_over_is_harmless_through_botify_too() -> None:
    """Of the error only its message is left, which is enough to know it by."""
    play = botify().open()
    play.answers = []
    (told,) = play.send('{"type": "response.cancel"}')
    assert isinstance(told, Told)


def test_cancelling_nothing_is_an_error() -> None:
    """Harmless, and of a code of its own; while there is an answer nothing is said until it is over."""
    server = OpenAIActor(Script())
    (fault,) = server.heard(Cancel(), 0.0)
    assert isinstance(fault, Fault)
    assert (fault.code, fault.fatal) == ("response_cancel_not_active", False)
    server.dialect.encode(Replying("r"))
    assert server.heard(Cancel(), 0.0) == []


# Calls


def test_a_call_is_played() -> None:
    """The response with it is over first; the result is acknowledged, and the question hands it to the engine."""
    play = openai().open()
    play.act([Replying("resp_1"), ToolCall("call_1", "clock", "{}"), TurnDone("resp_1", pending=True)])
    assert play.answers[-2:] == [ToolCall("call_1", "clock", "{}"), TurnDone("resp_1", pending=True)]
    play.heard = []
    play.say(ToolResult("call_1", "clock", "noon"))
    assert play.heard[-1] == ToolResult("call_1", "clock", "noon")
    assert isinstance(play.heard[0], Unknown)
    assert told_first(play.answers) == "conversation.item.added"


def test_a_client_that_forgets_to_ask_waits() -> None:
    """A result alone starts nothing, as many have found out."""
    play = openai().open()
    play.act([Replying("r"), ToolCall("call_1", "clock", "{}"), TurnDone("r", pending=True)])
    play.heard = []
    item = {"type": "function_call_output", "call_id": "call_1", "output": "noon"}
    play.send(json.dumps({"type": "conversation.item.create", "item": item}))
    assert not any(isinstance(event, ToolResult) for event in play.heard)


# Clients that err, and the end


@pytest.mark.parametrize(
    ("wire", "code"),
    [
        ("hello", "invalid_json"),
        (b"\x00\x01", "invalid_json"),
        ("{}", "invalid_event"),
        ('{"type": "session.updat"}', "invalid_value"),
        ('{"type": "input_audio_buffer.append", "audio": "no base64!"}', "invalid_value"),
        ('{"type": "input_audio_buffer.append", "data": "AAAA"}', "invalid_value"),
        ('{"type": "conversation.item.create"}', "missing_required_parameter"),
        ('{"type": "conversation.item.retrieve", "item_id": "x"}', "item_retrieve_invalid_item_id"),
    ],
)
def test_what_cannot_be_read_is_an_error_event(wire: str | bytes, code: str) -> None:
    """The connection lives."""
    play = openai().open()
    play.answers = []
    assert codes(play.send(wire)) == [code]
    assert play.closed is None


def test_an_hour_is_the_end() -> None:
    """It's told, closed with 1001, and worth another connection; without limits it isn't kept."""
    play = openai().open()
    assert play.server.tick(3599.0) == []
    play.act(play.server.tick(3600.0))
    assert play.closed is not None
    assert play.closed.code == 1001
    ending = play.client.ending(play.closed.code, play.closed.reason)
    assert ending.again
    assert OpenAIActor(Script(limits=False)).tick(1e6) == []


# Botify


def test_botify_lets_in_anybody_and_sets_itself_up() -> None:
    """Two words at once: the session as Azure made it, and as Botify wants it."""
    server = BotifyActor(Script(key="k"))
    assert server.admits("/realtime", {}, ["realtime"]) is None
    assert server.subprotocol(["realtime"]) is None
    play = Play(server, Botify(Side.OURS)).open()
    met, configured = play.answers
    assert isinstance(met, Met)
    assert isinstance(configured, Configured)
    assert configured.wire["turn_detection"]["threshold"] == 0.2
    assert play.client.ready
    assert play.heard == []


def test_botify_passes_settings_on() -> None:
    """In the beta's shape; a refusal comes back without its code."""
    play = botify(settings=AgentSettings(vad=False)).open()
    assert play.client.ready
    assert not play.server.vad
    play.answers = []
    (fault,) = play.send('{"type": "session.update", "session": {"type": "realtime"}}')
    assert isinstance(fault, Fault)
    assert (fault.code, fault.message) == ("api_error", "API Error: Unknown parameter: 'session.type'.")
    assert "--option beta" in fault.hint


@pytest.mark.parametrize("options", [frozenset[str](), frozenset({"data-field"})])
def test_botify_takes_either_field(options: frozenset[str]) -> None:
    """`data` becomes `audio` on its way."""
    play = botify(settings=AgentSettings(options=options)).open()
    play.say(Listen(TENTH))
    assert play.heard == [Listen(TENTH)]


def test_botify_swallows_calls() -> None:
    """One user's turn holds two answers; the finished call never passes, its response does."""
    play = botify().open()
    play.answers = []
    play.act([Replying("resp_1"), TurnDone("resp_1", pending=True), Replying("resp_2"), TurnDone("resp_2")])
    first, call, done, second, last = important(play.answers)
    assert (first, second, last) == (Replying("resp_1"), Replying("resp_2"), TurnDone("resp_2"))
    assert isinstance(call, ToolCall)
    assert (call.name, call.ours) == ("Search-Tool", False)
    assert done == TurnDone("resp_1", pending=True)
    assert not any(
        answer.data["item"]["type"] == "function_call"
        for answer in play.answers
        if isinstance(answer, Told) and answer.kind == "response.output_item.done"
    )


@pytest.mark.parametrize("wire", [b"\x00\x01", "hello", "[]", "7", '"x"'])
def test_botify_goes_deaf_without_a_word(wire: str | bytes) -> None:
    """One frame that it can't take, and everything after it is ignored on a socket that stays open."""
    play = botify().open()
    play.answers = []
    assert play.send(wire) == []
    assert play.say(Listen(TENTH), UtteranceEnd(), Write("hello?")) == []
    assert play.heard == []
    assert (play.closed, play.server.hears) == (None, False)


def test_botify_passes_nonsense_on() -> None:
    """What is JSON goes to Azure, whose error comes back in Botify's words; it still hears."""
    play = botify().open()
    play.answers = []
    audio = b64encode(b"x").decode()[:-1]
    assert codes(play.send(json.dumps({"type": "input_audio_buffer.append", "audio": audio}))) == ["api_error"]
    assert play.server.hears


def test_botify_without_azure_says_so_and_drops_the_line() -> None:
    """Without a closing frame; our client has understood."""
    play = botify("setup-fails").open()
    assert codes(play.answers) == ["internal_error"]
    assert play.closed == HangUp(1006)
    ending = play.client.ending(1006, "")
    assert ending.message.startswith("Server error: Cannot connect to Azure")
    assert not ending.again


@pytest.mark.parametrize(("options", "seconds"), [(["upstream-ends"], 5.0), ([], 3600.0)])
def test_botify_keeps_azures_end_to_itself(options: list[str], seconds: float) -> None:
    """Nothing is told; the line drops at the client's next word."""
    play = botify(*options).open()
    assert play.server.tick(seconds - 0.1) == []
    assert play.server.hears
    assert play.server.tick(seconds) == []
    assert (play.server.hears, play.closed) == (False, None)
    play.say(Listen(TENTH))
    assert play.closed == HangUp(1006)
    assert "Azure" in play.client.ending(1006, "").message


def test_botify_drops_the_line_at_nonsense_too() -> None:
    """When Azure is gone any frame will do."""
    play = botify("upstream-ends").open()
    play.server.tick(5.0)
    play.send(b"\x00")
    assert play.closed == HangUp(1006)
