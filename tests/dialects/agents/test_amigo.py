"""Amigo's words as its page has them, and our manners: the opening, the user's side, leaving, the address."""

from __future__ import annotations

import json
from typing import Any

import pytest
from tests.dialects.agents.amigo_pages import (
    ACCOUNT,
    CLIENT,
    FIRST,
    JWT,
    NEXT,
    NO_VAD,
    SERVER,
    SETTINGS,
    hear,
    kinds,
    opened,
    ours,
    piece,
    read,
    say,
    theirs,
)
from tests.signals import tone

from audiotap import mp3
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
    ListenFile,
    Recall,
    Replying,
    Resume,
    Speech,
    SpeechDone,
    SpeechStarted,
    SpeechStopped,
    Told,
    ToolResult,
    Transcript,
    Truncate,
    TurnDone,
    UserEvent,
    UtteranceEnd,
    VadMode,
    Write,
)
from audiotap.audio import Chunk
from audiotap.dialects.agents.amigo import BEARER, Amigo
from audiotap.dialects.agents.amigo.client import LARGEST
from audiotap.dialects.agents.base import Account, AgentSettings, Memory, Step
from audiotap.dialects.base import Side
from audiotap.errors import Exit, UnspokenError, UsageError, WireError

# The page


@pytest.mark.parametrize(
    ("name", "event"),
    [
        ("start", Configure()),
        ("continue", Resume("existing-conversation-id")),
        ("user_message", Write("Hello, how can you help me?")),
        ("event", Write("User navigated to checkout page", event=True, start=False)),
        ("urgent_event", Write("Critical system alert", event=True, start=True)),
        ("first_chunk", Listen(FIRST)),
        ("vad_on", VadMode(on=True)),
        ("vad_off", VadMode(on=False)),
        ("finish", Conclude()),
        ("close", Leave()),
        ("extend", KeepAlive()),
    ],
)
def test_we_say_it_as_the_page_does(name: str, event: UserEvent) -> None:
    """The same keys with the same values, and nothing else; read back it is what was said."""
    assert say(ours(), event) == [CLIENT[name]]
    (heard,) = theirs().decode(json.dumps(CLIENT[name]))
    assert heard == (Configure(CLIENT["start"]) if isinstance(event, Configure) else event)


def test_an_utterance_is_said_as_on_the_page() -> None:
    """Its first chunk has the config, the next ones have none, and null ends it; the next utterance begins anew."""
    amigo = opened(NO_VAD)
    utterance: list[UserEvent] = [Listen(FIRST), Listen(NEXT), UtteranceEnd()]
    said = say(amigo, *utterance * 2)
    page = [CLIENT["first_chunk"], CLIENT["next_chunk"], CLIENT["end_of_audio"]]
    assert said == page * 2
    reader = theirs()
    assert read(reader, *said) == utterance * 2


@pytest.mark.parametrize(
    ("name", "events"),
    [
        ("created", [Configured("507f1f77bcf86cd799439012")]),
        ("retrieved", [Configured("mine")]),
        ("completed", [Concluded()]),
        (
            "audio_chunk",
            [Replying("i1"), Transcript("agent", "Hello", final=False, item="m1"), Speech(FIRST, "m1", 1)],
        ),
        (
            "interaction_complete",
            [Replying("i1"), Transcript("agent", "Complete text or transcript", item="m1"), TurnDone("i1")],
        ),
        ("speech_started", [SpeechStarted(1.234)]),
        ("speech_ended", [SpeechStopped(3.456), Transcript("user", "What the user said")]),
        ("reset_zero", [Told("vad-speech-reset-zero", {"timestamp": 0.0})]),
        ("vad_switched", [VadMode(on=True)]),
        ("vad_switched_off", [VadMode(on=False)]),
    ],
)
def test_we_read_what_the_page_says(name: str, events: list[AgentEvent]) -> None:
    """Every message that the page has of a server."""
    assert read(ours(conversation="mine"), SERVER[name]) == events


def test_a_text_answer_is_read_as_text() -> None:
    """With text asked for, the same message holds words."""
    amigo = ours(AgentSettings(service="s", text=True))
    delta = Transcript("agent", "Hello! I can help you with...", final=False, item="m1")
    assert read(amigo, SERVER["text_chunk"]) == [Replying("i1"), delta]
    assert read(amigo, {**SERVER["text_chunk"], "sequence_number": 2, "message": "", "stop": True}) == []


@pytest.mark.parametrize(
    "name", ["created", "completed", "speech_started", "reset_zero", "vad_switched", "vad_switched_off"]
)
def test_the_simulated_server_says_it_as_the_page_does(name: str) -> None:
    """What a single event makes a message of, it makes that very message of."""
    spoken = [json.loads(wire) for event in read(ours(), SERVER[name]) for wire in theirs().encode(event)]
    assert spoken == [SERVER[name]]


def test_the_simulated_server_answers_as_the_page_does() -> None:
    """A turn has all the keys that the page's messages have, and the user's end its transcript."""
    amigo = theirs()
    turn: list[AgentEvent] = [
        SpeechStarted(1.234),
        SpeechStopped(3.456),
        Transcript("user", "What the user said"),
        Replying("i1"),
        Speech(FIRST, "m1"),
        Transcript("agent", "Complete text or transcript", item="m1"),
        SpeechDone("m1"),
        TurnDone("i1"),
    ]
    said = [json.loads(wire) for event in turn for wire in amigo.encode(event)]
    assert said[:2] == [SERVER["speech_started"], SERVER["speech_ended"]]
    assert said[2] == {**SERVER["audio_chunk"], "transcript_alignment": None}
    assert said[3].keys() == SERVER["audio_chunk"].keys()
    assert said[3]["stop"]
    assert said[4] == SERVER["interaction_complete"]


# The opening and the end


def test_the_opening_in_vad_mode() -> None:
    """Start, created, VAD on, switched: ready. Nothing is sent before the conversation is there."""
    amigo = ours()
    assert say(amigo, *amigo.opening()) == [CLIENT["start"]]
    assert not amigo.ready
    assert hear(amigo, SERVER["created"]) == [CLIENT["vad_on"]]
    assert not amigo.ready
    assert hear(amigo, SERVER["vad_switched"]) == []
    assert amigo.ready


def test_the_opening_without_vad() -> None:
    """Created is enough."""
    amigo = ours(NO_VAD)
    assert say(amigo, *amigo.opening()) == [CLIENT["start"]]
    assert hear(amigo, SERVER["created"]) == []
    assert amigo.ready


def test_a_conversation_is_gone_on_with() -> None:
    """By its id; the same opening follows."""
    amigo = ours(conversation="existing-conversation-id")
    assert say(amigo, *amigo.opening()) == [CLIENT["continue"]]
    assert hear(amigo, SERVER["retrieved"], SERVER["vad_switched"]) == [CLIENT["vad_on"]]
    assert amigo.ready


def test_an_agent_that_speaks_before_the_opening_is_done_is_heard() -> None:
    """Its greeting may come any time, and nobody waits for one."""
    amigo = ours()
    say(amigo, *amigo.opening())
    assert kinds(read(amigo, piece(FIRST.pcm))) == [Replying, Speech]
    assert hear(amigo, SERVER["created"]) == [CLIENT["vad_on"]]


def test_the_first_message_is_waited_for_where_that_is_wished() -> None:
    """The diagram's order: the agent's first answer is complete before the VAD mode is switched on."""
    amigo = ours(AgentSettings(service="s", options=frozenset({"first-message"})))
    assert hear(amigo, SERVER["created"], piece(FIRST.pcm)) == []
    assert hear(amigo, SERVER["interaction_complete"]) == [CLIENT["vad_on"]]
    resumed = ours(AgentSettings(service="s", options=frozenset({"first-message"})), "c")
    assert hear(resumed, SERVER["retrieved"]) == [CLIENT["vad_on"]]


def test_what_is_laid_over_the_start() -> None:
    """Another version set, and whatever the page will once have."""
    amigo = ours(AgentSettings(service="s", service_version="edge", extra={"new": {"a": 1}}))
    (start,) = say(amigo, Configure())
    assert start == {
        "type": "client.start-conversation",
        "service_id": "s",
        "service_version_set_name": "edge",
        "new": {"a": 1},
    }


def test_leaving_in_vad_mode() -> None:
    """VAD off, its acknowledgement within 10 s, then either word; finishing waits for the last one."""
    off = Step(VadMode(on=False), VadMode, 10.0)
    assert opened().leaving(finish=False) == [off, Step(Leave())]
    assert opened().leaving(finish=True) == [off, Step(Conclude(), Concluded, 10.0)]


def test_leaving_without_vad() -> None:
    """The same, with nothing to be switched off; nor is there after it was."""
    assert opened(NO_VAD).leaving(finish=False) == [Step(Leave())]
    assert opened(NO_VAD).leaving(finish=True) == [Step(Conclude(), Concluded, 10.0)]
    amigo = opened()
    assert hear(amigo, SERVER["vad_switched_off"]) == []
    assert amigo.leaving(finish=False) == [Step(Leave())]


def test_nothing_is_finished_that_is_not_there() -> None:
    """Before the conversation is there, and after the agent ended it, there is only the connection."""
    assert ours().leaving(finish=True) == [Step(Leave())]
    amigo = opened()
    assert hear(amigo, SERVER["completed"]) == []
    assert not amigo.ready
    assert amigo.leaving(finish=True) == [Step(Leave())]


@pytest.mark.parametrize(
    ("code", "status"),
    [
        (3000, Exit.REFUSED),
        (3003, Exit.REFUSED),
        (4000, Exit.FAILED),
        (4004, Exit.NOBODY),
        (4009, Exit.FAILED),
        (4015, Exit.FAILED),
        (4321, Exit.FAILED),
        (1009, Exit.FAILED),
    ],
)
def test_some_closes_are_final(code: int, status: Exit) -> None:
    """What would only happen again."""
    ending = opened().ending(code, "because")
    assert (ending.again, ending.status) == (False, status)
    assert "because" in ending.message


@pytest.mark.parametrize("code", [3008, 4029, 1006, 1011, 1012, 1001, 1013])
def test_some_closes_are_worth_another_dial(code: int) -> None:
    """A time-out, too many messages, a lost connection, a server that is started again."""
    assert opened().ending(code, "").again


def test_a_lock_of_ones_own_is_waited_for() -> None:
    """The server may hold a conversation for a connection that it doesn't know to be lost."""
    lost = Amigo(Side.OURS, SETTINGS, Memory("c1", lost=True))
    assert lost.ending(4009, "locked").again
    hear(lost, SERVER["retrieved"])
    assert not lost.ending(4009, "finished").again
    assert not Amigo(Side.OURS, SETTINGS, Memory("c1")).ending(4009, "finished").again


@pytest.mark.parametrize("code", [1000, 1006, 3008, 4009])
def test_a_close_after_the_end_is_the_end(code: int) -> None:
    """Whoever said the last word, and however the connection is closed then."""
    left = opened()
    say(left, Leave())
    concluded = opened()
    hear(concluded, SERVER["completed"])
    for amigo in (left, concluded):
        assert amigo.ending(code, "").status is Exit.OK
        assert not amigo.ending(code, "").again


def test_a_normal_close_is_a_normal_end() -> None:
    """The server may end it as well."""
    assert opened().ending(1000, "").status is Exit.OK


# The user's side


def test_in_vad_mode_audio_has_no_end() -> None:
    """The config once for the connection, and never null; after the mode was switched, the config again."""
    amigo = opened()
    said = say(amigo, Listen(FIRST), UtteranceEnd(), Listen(NEXT))
    assert said == [CLIENT["first_chunk"], CLIENT["next_chunk"]]
    say(amigo, VadMode(on=False))
    assert say(amigo, Listen(FIRST), UtteranceEnd()) == [CLIENT["first_chunk"]]
    hear(amigo, SERVER["vad_switched_off"])
    assert say(amigo, UtteranceEnd()) == [CLIENT["end_of_audio"]]


def test_null_needs_an_utterance() -> None:
    """Where nothing was said, nothing is ended."""
    assert say(opened(NO_VAD), UtteranceEnd(), Write("a"), UtteranceEnd())[1:] == []


def test_a_new_rate_is_told() -> None:
    """Also in the middle of an utterance."""
    amigo = opened(NO_VAD)
    said = say(amigo, Listen(FIRST), Listen(Chunk(NEXT.pcm, 8000)))
    assert said[1]["audio_config"]["frame_rate"] == said[1]["audio_config"]["sample_rate"] == 8000
    assert read(theirs(), *said) == [Listen(FIRST), Listen(Chunk(NEXT.pcm, 8000))]


def test_the_type_field_is_added_where_it_is_wished() -> None:
    """The OpenAPI document's word beside the page's."""
    amigo = opened(AgentSettings(service="s", vad=False, options=frozenset({"type-field"})))
    (said,) = say(amigo, Listen(FIRST))
    assert said["audio_config"] == CLIENT["first_chunk"]["audio_config"] | {"type": "pcm"}


def test_blocks_leave_room_for_other_words() -> None:
    """60 ms are 1000 messages a minute; 50 would be all of the 1200."""
    assert 60 / Amigo.block <= Amigo.most_per_minute - 60 / Amigo.idle
    assert Amigo.block <= 0.06


@pytest.mark.parametrize("size", [1, 700_000, 700_002, 2_000_000])
def test_no_message_is_too_large(size: int) -> None:
    """Audio is cut into messages below 1 MB, and comes together again."""
    pcm = bytes(size)
    wires = opened(NO_VAD).encode(Listen(Chunk(pcm, 16000)))
    assert all(len(wire) < LARGEST for wire in wires)
    reader = theirs()
    assert (
        b"".join(event.chunk.pcm for wire in wires for event in reader.decode(wire) if isinstance(event, Listen)) == pcm
    )


def test_a_text_that_is_too_large_is_not_said() -> None:
    """Better told here than by a close code."""
    with pytest.raises(UnspokenError, match=str(LARGEST)):
        ours().encode(Write("x" * LARGEST))
    with pytest.raises(WireError, match=str(LARGEST)):
        theirs().decode(json.dumps({"type": "client.new-text-message", "text": "x" * LARGEST}))


def test_an_mp3_is_said_as_it_is() -> None:
    """With the figures of its own first frame, once for the utterance; null ends it."""
    file, _ = mp3.encode([Chunk(tone(1.0, 24000), 24000)], most=10**6)
    amigo = opened(NO_VAD)
    half = len(file) // 2
    said = say(amigo, ListenFile(file[:half], "mp3"), ListenFile(file[half:], "mp3"), UtteranceEnd())
    config = {"format": "mp3", "bit_rate": 80000, "sample_rate": 24000, "n_channels": 1}
    assert [message.get("audio_config") for message in said] == [config, None, None]
    assert read(theirs(), *said) == [ListenFile(file[:half], "mp3"), ListenFile(file[half:], "mp3"), UtteranceEnd()]


def test_an_mp3_without_a_frame_has_the_pages_figures() -> None:
    """A tag of half a megabyte may come first."""
    (said,) = say(opened(NO_VAD), ListenFile(b"ID3\4\0\0\0\0\x7f\x7f", "mp3"))
    assert said["audio_config"] == {"format": "mp3", "bit_rate": 128000, "sample_rate": 44100, "n_channels": 2}


def test_in_vad_mode_no_mp3_is_said() -> None:
    """The server would close with 4015."""
    with pytest.raises(UnspokenError, match="VAD"):
        opened().encode(ListenFile(b"", "mp3"))
    with pytest.raises(UnspokenError, match="ogg"):
        opened(NO_VAD).encode(ListenFile(b"", "ogg"))


@pytest.mark.parametrize("event", [Cancel(), Truncate("m1", 1.0), Recall("user", "a"), ToolResult("a", "b", "c")])
def test_it_has_no_word_for_some_things(event: UserEvent) -> None:
    """Nothing can be taken back, and tools run at the vendor's."""
    with pytest.raises(UnspokenError, match=type(event).__name__):
        ours().encode(event)


# Where it is


def test_the_address_is_the_pages() -> None:
    """The token is in the subprotocol and nowhere else."""
    address = Amigo.address(ACCOUNT, SETTINGS)
    path = "/v1/your-org/conversation/converse_realtime"
    assert address.url == f"wss://api.amigo.ai{path}?response_format=voice&audio_format=pcm"
    assert address.subprotocols == (f"bearer.authorization.amigo.ai.{JWT}",)
    assert address.headers == {}
    assert JWT not in address.url


@pytest.mark.parametrize(
    ("region", "host"),
    [
        ("", "api"),
        ("us", "api"),
        ("US", "api"),
        ("us-east-1", "api"),
        ("ca", "api-ca-central-1"),
        ("CA Central", "api-ca-central-1"),
        ("eu-central-1", "api-eu-central-1"),
        ("api-eu-central-1", "api-eu-central-1"),
        ("ap", "api-ap-southeast-2"),
        ("ap_southeast_2", "api-ap-southeast-2"),
        ("au", "api-ap-southeast-2"),
    ],
)
def test_regions_have_hosts(region: str, host: str) -> None:
    """By a short name, or by any of the vendor's."""
    account = Account(JWT, organization="o", region=region)
    assert Amigo.address(account, SETTINGS).url.startswith(f"wss://{host}.amigo.ai/v1/o/")


@pytest.mark.parametrize(
    ("settings", "query"),
    [
        ({"text": True}, "response_format=text"),
        ({"form": "mp3", "vad": False}, "response_format=voice&audio_format=mp3"),
        (
            {"options": frozenset({r"action=^tool\..*"})},
            "response_format=voice&audio_format=pcm&current_agent_action_type=%5Etool%5C..%2A",
        ),
    ],
)
def test_the_query_says_what_is_wanted(settings: dict[str, Any], query: str) -> None:
    """What is required always, and a filter where there is one."""
    assert Amigo.address(ACCOUNT, AgentSettings(service="s", **settings)).url.endswith(f"realtime?{query}")


@pytest.mark.parametrize(
    ("url", "dialled"),
    [
        ("ws://127.0.0.1:9", "ws://127.0.0.1:9/v1/your-org/conversation/converse_realtime?"),
        ("https://proxy/a/b", "wss://proxy/a/b?"),
        ("wss://proxy/a?x=1&audio_format=pcm", "wss://proxy/a?x=1&audio_format=pcm&"),
    ],
)
def test_a_url_of_ones_own(url: str, dialled: str) -> None:
    """A host, a path, a query: what it leaves out is the vendor's."""
    account = Account(url=url, organization="your-org")
    address = Amigo.address(account, SETTINGS)
    assert address.url.startswith(dialled)
    assert "response_format=voice" in address.url
    assert address.url.count("audio_format=pcm") == 1
    assert address.subprotocols == ()


@pytest.mark.parametrize(
    ("account", "settings", "told"),
    [
        (Account(JWT), SETTINGS, "organization"),
        (Account(organization="o"), SETTINGS, "token"),
        (Account(f"Bearer {JWT}", organization="o"), SETTINGS, "key"),
        (Account(f"{JWT}\n", organization="o"), SETTINGS, "key"),
        (Account(JWT, organization="o", region="mars"), SETTINGS, "mars"),
        (Account(JWT, "http://[", "o"), SETTINGS, "URL"),
        (Account(JWT, "amigo.ai/v1", "o"), SETTINGS, "URL"),
        (Account(JWT, "wss://h/p?response_format=text"), SETTINGS, "response_format"),
        (ACCOUNT, AgentSettings(), "service"),
        (ACCOUNT, AgentSettings(service="s", form="mp3"), "PCM"),
        (ACCOUNT, AgentSettings(service="s", form="ogg"), "ogg"),
        (ACCOUNT, AgentSettings(service="s", rate=48000), "48000"),
        (ACCOUNT, AgentSettings(service="s", voice="alloy"), "voice"),
        (ACCOUNT, AgentSettings(service="s", options=frozenset({"beta"})), "beta"),
    ],
)
def test_what_cannot_be_meant_is_told(account: Account, settings: AgentSettings, told: str) -> None:
    """Before anything is dialled, with what to do, and without the token."""
    with pytest.raises(UsageError, match=told) as raised:
        Amigo.address(account, settings)
    assert raised.value.hint
    assert JWT not in raised.value.message + raised.value.hint


def test_a_reason_with_the_token_does_not_tell_it() -> None:
    """A server may say the subprotocol back."""
    for code in (3000, 3008, 1011, 4321):
        assert JWT not in opened().ending(code, f"bad protocol {BEARER}{JWT}").message
