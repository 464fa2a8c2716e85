"""What every dialect promises, over the whole register: two ends back to back, and no wire that breaks one."""

from __future__ import annotations

import base64
import json
import string
from base64 import b64encode
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import pybase64
import pytest
from hypothesis import given
from hypothesis import strategies as st

from audiotap.audio import Chunk, from_ulaw
from audiotap.dialects import REGISTER, recognise
from audiotap.dialects.attendee import INTERRUPT, PAUSE_PREFIXED
from audiotap.dialects.bare import HELLO
from audiotap.dialects.base import Dialect, Side, Wire, participant_track, samples, track_participant
from audiotap.dialects.meetingbaas import SPEAKERS
from audiotap.errors import UnspokenError, WireError
from audiotap.events import (
    MIXED,
    SPOKEN,
    UNASKED,
    Asked,
    Event,
    Fault,
    Heard,
    Mark,
    Occurred,
    Pause,
    Speak,
    Stop,
    Unknown,
)

FIXTURES = sorted(Path(__file__).parent.joinpath("fixtures").glob("*.json"))

texts = st.text(min_size=1, max_size=20)
kinds = st.text(string.ascii_letters + "._", max_size=20).map("video_{}".format)
pcm = st.binary(max_size=64)
anything = st.dictionaries(texts, st.integers(0, 9), max_size=3)
tracks = st.one_of(st.just(MIXED), st.builds(participant_track, texts), st.just(participant_track(SPOKEN)))
seconds = st.floats(0, 1e7)
json_values: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=10),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=10), inner, max_size=4),
    max_leaves=10,
)


class Spoken(NamedTuple):
    """Events that survive a dialect's wire: what a bot says, from a connection's beginning on, and what it's told."""

    from_bot: st.SearchStrategy[list[Event]]
    to_bot: st.SearchStrategy[Event]
    asked: Asked = UNASKED


def alone(*strategies: st.SearchStrategy[Any]) -> st.SearchStrategy[list[Event]]:
    """Events of which any may be the first."""
    return st.lists(st.one_of(*strategies), min_size=1, max_size=3)


@st.composite
def attendee_heard(draw: st.DrawFn) -> Heard:
    """Attendee tells the end of a chunk in whole milliseconds, and names participants only."""
    chunk = Chunk(draw(pcm), draw(st.sampled_from([8000, 16000, 24000])))
    track = draw(tracks)
    milliseconds = draw(st.none() | st.integers(0, 2**42))
    at = None if milliseconds is None else milliseconds / 1000 - chunk.seconds
    name = None if track == MIXED else draw(st.none() | texts)
    return Heard(draw(texts), track, chunk, at, name, None, draw(st.none() | st.integers(0, 2**40)))


@st.composite
def attendee_unknown(draw: st.DrawFn) -> Unknown:
    kind, bot = draw(kinds), draw(st.none() | texts)
    return Unknown(kind, json.dumps({"trigger": kind, "bot_id": bot, "data": draw(anything)}), bot)


@st.composite
def recall_heard(draw: st.DrawFn) -> Heard:
    """Recall names participants in every chunk, and has one rate."""
    track = draw(st.one_of(tracks, st.integers(0, 10**9).map(str)))
    name = None if track == MIXED else draw(st.none() | texts)
    at = draw(st.none() | seconds)
    return Heard(draw(texts), track, Chunk(draw(pcm), 16000), at, name, draw(st.none() | texts))


@st.composite
def recall_occurred(draw: st.DrawFn) -> Occurred:
    participant, name, at = draw(st.integers(0, 10**9)), draw(st.none() | texts), draw(seconds)
    kind = draw(st.sampled_from(["participant_events.join", "participant_events.chat_message", "transcript.data"]))
    data = {"participant": {"id": participant, "name": name}, "timestamp": {"relative": at}, "data": draw(texts)}
    return Occurred(draw(texts), kind, data, at, draw(st.none() | texts), str(participant), name)


@st.composite
def recall_unknown(draw: st.DrawFn) -> Unknown:
    kind, recording = draw(kinds), draw(texts)
    payload = {"recording": {"id": recording}, "data": draw(anything)}
    return Unknown(kind, json.dumps({"event": kind, "data": payload}), recording)


pauses = st.builds(Pause, st.integers(0, 10**7).map(lambda ms: ms / 1000), st.sampled_from(["", PAUSE_PREFIXED]))
interrupts = st.builds(Pause, seconds, st.just(INTERRUPT))
speaks = st.builds(Speak, st.builds(Chunk, pcm, st.integers(1000, 384_000)))


def hello(bot: str, **data: Any) -> Occurred:
    return Occurred(bot, HELLO, {"protocol_version": 1, "bot_id": bot, **data})


@st.composite
def recall110_says(draw: st.DrawFn) -> list[Event]:
    """The old API tells where a connection begins, then counts samples of the mix or of one participant."""
    bot, offset, separate = draw(texts), draw(seconds), draw(st.booleans())
    track = str(draw(st.integers(0, 2**32 - 1))) if separate else MIXED
    said: list[Event] = [hello(bot, separate_streams=separate, offset=offset)]
    told = 0
    for piece in draw(st.lists(pcm, max_size=4)):
        said.append(Heard(bot, track, Chunk(piece, 16000), offset + told / 32000))
        told += len(piece)
    return said


@st.composite
def meetingbaas_says(draw: st.DrawFn) -> list[Event]:
    """MeetingBaaS tells its rate, and who speaks; audio has no time."""
    bot, rate = draw(texts), draw(st.sampled_from([16000, 24000, 32000, 48000]))
    heard = st.builds(Heard, st.just(bot), st.just(MIXED), st.builds(Chunk, pcm, st.just(rate)))
    rosters = st.lists(st.fixed_dictionaries({"name": texts, "id": st.integers(0, 9), "isSpeaking": st.booleans()}))
    told = rosters.map(lambda roster: Occurred(bot, SPEAKERS, {SPEAKERS: roster}))
    again = st.just(hello(bot, sample_rate=rate, start_time=1_700_000_000_000))
    more = draw(st.lists(st.one_of(heard, told, again), max_size=4))
    return [hello(bot, offset=0.0, sample_rate=rate, start_time=None), *more]


companded = st.binary(max_size=32).map(from_ulaw)


@st.composite
def twilio_says(draw: st.DrawFn) -> list[Event]:
    """Twilio begins with the call, tells milliseconds, and has µ-law on the wire."""
    stream, call = draw(texts), draw(texts)
    start = {"event": "start", "streamSid": stream, "start": {"callSid": call, "tracks": ["inbound"]}}
    chunks = st.builds(Chunk, companded, st.just(8000))
    times = st.none() | st.integers(0, 2**40).map(lambda ms: ms / 1000)
    heard = st.builds(Heard, st.just(stream), st.builds(participant_track, texts), chunks, times)
    pressed = st.text("0123456789*#", min_size=1, max_size=1).map(
        lambda digit: Occurred(stream, "dtmf", {"event": "dtmf", "streamSid": stream, "dtmf": {"digit": digit}})
    )
    strange = kinds.map(lambda kind: Unknown(kind, json.dumps({"event": kind, "streamSid": stream}), stream))
    first = Occurred(stream, "start", start, bot=call)
    return [first, *draw(st.lists(st.one_of(heard, pressed, strange), max_size=4))]


@st.composite
def meetstream_says(draw: st.DrawFn) -> list[Event]:
    """MeetStream names who speaks in every frame, and tells no times."""
    bot = draw(texts)
    ready = Occurred(bot, "ready", {"type": "ready", "bot_id": bot, "message": draw(texts)})
    chunks = st.builds(Chunk, pcm, st.just(48000))
    speakers = st.builds(participant_track, texts)
    heard = st.builds(Heard, st.just(bot), speakers, chunks, st.none(), st.none() | texts)
    strange = kinds.map(lambda kind: Unknown(kind, json.dumps({"type": kind, "bot_id": bot}), bot))
    return [ready, *draw(st.lists(st.one_of(heard, strange), max_size=4))]


LIVEKIT = Asked("/in", "room=room+7&trackID=TR_1&participant=Ana", "audio/x-raw")
livekit_heard = st.builds(
    Heard,
    st.just("room 7"),
    st.just("TR_1"),
    st.builds(Chunk, st.binary(max_size=32).map(lambda odd: odd * 2), st.just(48000)),
    name=st.just("Ana"),
)
livekit_muted = st.booleans().map(
    lambda muted: Occurred("room 7", "muted", {"muted": muted}, participant="TR_1", name="Ana")
)

SPOKEN_BY: dict[str, Spoken] = {
    "attendee": Spoken(alone(attendee_heard(), attendee_unknown()), st.one_of(speaks, pauses, interrupts)),
    "recall": Spoken(alone(recall_heard(), recall_occurred(), recall_unknown()), st.nothing()),
    "recall110": Spoken(recall110_says(), st.nothing()),
    "meetingbaas": Spoken(meetingbaas_says(), st.builds(Speak, st.builds(Chunk, pcm, st.just(24000)))),
    "twilio": Spoken(
        twilio_says(),
        st.one_of(
            st.builds(Speak, st.builds(Chunk, companded, st.just(8000))), st.just(Stop()), st.builds(Mark, texts)
        ),
    ),
    "meetstream": Spoken(
        meetstream_says(), st.one_of(st.builds(Speak, st.builds(Chunk, pcm, st.just(48000))), st.just(Stop()))
    ),
    "livekit": Spoken(alone(livekit_heard, livekit_muted), st.nothing(), LIVEKIT),
}
EVERY_EVENT: tuple[Event, ...] = (
    Heard("s", MIXED, Chunk(b"", 16000)),
    Occurred("s", "transcript.data", {}),
    Pause(1.0),
    Stop(),
    Mark("1"),
    Fault("code", "message"),
    Unknown("kind", "{}"),
)

every_dialect = pytest.mark.parametrize("dialect", REGISTER.values(), ids=REGISTER)


def read(read_wire: Callable[[Wire], list[Event]], wire: Wire) -> list[Event] | None:
    """Events, or None for a WireError; any other exception fails the test."""
    try:
        return read_wire(wire)
    except WireError:
        return None


def test_every_dialect_is_under_contract() -> None:
    """A new line in the register needs a line here."""
    assert set(SPOKEN_BY) == set(REGISTER)
    assert all(name == dialect.name for name, dialect in REGISTER.items())


@every_dialect
@given(data=st.data())
def test_what_a_bot_says_is_what_we_read(dialect: type[Dialect], data: st.DataObject) -> None:
    """Everything a simulated bot has words for arrives as it was said; any instance has the same words."""
    said = data.draw(SPOKEN_BY[dialect.name].from_bot)
    asked = SPOKEN_BY[dialect.name].asked
    bot, twin, reader = dialect(Side.THEIRS, asked), dialect(Side.OURS, asked), dialect(Side.OURS, asked)
    for event in said:
        wires = bot.encode(event)
        assert twin.encode(event) == wires
        assert [told for wire in wires for told in reader.decode(wire)] == [event]


@every_dialect
@given(data=st.data())
def test_what_we_say_is_what_a_bot_reads(dialect: type[Dialect], data: st.DataObject) -> None:
    """Everything that a dialect knows arrives at the bot as it was said, once the bot has said its first words."""
    if not dialect.knows:
        return
    event = data.draw(SPOKEN_BY[dialect.name].to_bot)
    assert type(event) in dialect.knows
    bot, ours = dialect(Side.THEIRS), dialect(Side.OURS)
    for fixture in opening(dialect):
        bot.encode(*ours.decode(fixture))
    (wire,) = ours.encode(event)
    assert bot.decode(wire) == [event]


def opening(dialect: type[Dialect]) -> list[str]:
    """What a vendor's connections begin with, where it is told for all that follows."""
    return [path.read_text() for path in fixtures(dialect) if path.stem.endswith("_hello")]


@every_dialect
def test_what_a_dialect_has_no_word_for_is_told(dialect: type[Dialect]) -> None:
    """Every event is either said or an UnspokenError; what it knows is always said."""
    for event in (*EVERY_EVENT, *(Speak(Chunk(b"", rate)) for rate in dialect.rates or (16000,))):
        try:
            assert dialect(Side.OURS).encode(event)
        except UnspokenError:
            assert type(event) not in dialect.knows


def test_hardly_anybody_has_a_word_for_stop() -> None:
    """Few bots can be told to drop what they have: that's why the queue is ours, and nobody pretends otherwise."""
    assert {name for name, dialect in REGISTER.items() if Stop in dialect.knows} == {"twilio", "meetstream"}
    for dialect in REGISTER.values():
        unsaid: tuple[Event, ...] = (Stop(), Fault("code", "message"))
        for event in unsaid:
            if type(event) not in dialect.knows:
                with pytest.raises(UnspokenError, match=type(event).__name__):
                    dialect(Side.OURS).encode(event)


@every_dialect
@given(data=st.data())
def test_a_first_message_tells_its_dialect(dialect: type[Dialect], data: st.DataObject) -> None:
    """Whatever a bot says first, and however it asked, its own dialect claims it and no other one does."""
    asked = SPOKEN_BY[dialect.name].asked
    event = data.draw(SPOKEN_BY[dialect.name].from_bot)[0]
    first, *more = dialect(Side.THEIRS).encode(event)
    assert [other for other in REGISTER.values() if other.claims(first, asked)] == [dialect]
    recognised = recognise(first, asked=asked)
    assert isinstance(recognised, dialect)
    assert [told for wire in (first, *more) for told in recognised.decode(wire)] == [event]


@pytest.mark.parametrize("path", FIXTURES, ids=lambda path: path.stem)
def test_the_vendors_pages_are_recognised(path: Path) -> None:
    """The messages on a provider's own page are of that provider's dialect."""
    recognised = recognise(path.read_text(), asked=SPOKEN_BY[path.stem.split("_")[0]].asked)
    assert recognised is not None
    assert path.stem.split("_")[0] == recognised.name


@pytest.mark.parametrize(
    "wire", [b"", b'{"trigger": "x"}', "", "hello", "{}", "[]", "null", '{"event": "x"}', '"\ud800"']
)
def test_strangers_are_nobodys(wire: str | bytes) -> None:
    """Binary frames, other people's JSON and no JSON at all are claimed by nobody."""
    assert recognise(wire) is None


def endure(dialect: type[Dialect], wire: Wire) -> None:
    """Both sides answer with events or a WireError, at first and after first words; recognising never raises."""
    for side in Side:
        read(dialect(side).decode, wire)
        met = dialect(side)
        for first in opening(dialect):
            met.decode(first)
        read(met.decode, wire)
    recognise(wire)


def fixtures(dialect: type[Dialect]) -> list[Path]:
    return [path for path in FIXTURES if path.stem.split("_")[0] == dialect.name]


@every_dialect
@given(wire=st.text())
def test_text_is_survived(dialect: type[Dialect], wire: str) -> None:
    """No text breaks a dialect."""
    endure(dialect, wire)


@every_dialect
@given(wire=st.binary())
def test_binary_frames_are_malformed_before_anything_is_known(dialect: type[Dialect], wire: bytes) -> None:
    """Bytes are never guessed at, also where they hold the right text; who is known may send samples."""
    if not dialect.claims(wire, SPOKEN_BY[dialect.name].asked):
        with pytest.raises(WireError, match=f"{len(wire)} bytes"):
            dialect(Side.OURS).decode(wire)
    endure(dialect, wire)


@every_dialect
@given(wire=json_values.map(json.dumps))
def test_any_json_is_survived(dialect: type[Dialect], wire: str) -> None:
    """No shape of JSON breaks a dialect, infinities and NaN included."""
    endure(dialect, wire)


@every_dialect
@given(data=st.data())
def test_a_message_with_one_wrong_value_is_survived(dialect: type[Dialect], data: st.DataObject) -> None:
    """A real message in which one value, however deep, is something else."""
    path = data.draw(st.sampled_from(fixtures(dialect)))
    message = json.loads(path.read_text())
    place = message
    key = data.draw(st.sampled_from(sorted(place)))
    while isinstance(place[key], dict) and place[key] and data.draw(st.booleans()):
        place = place[key]
        key = data.draw(st.sampled_from(sorted(place)))
    place[key] = data.draw(
        json_values | st.sampled_from([10**400, 10**5000 - 1, -1, 1e308, "UklGRg=", "====", "\ud800"])
    )
    endure(dialect, dumps(message))


@every_dialect
@given(data=st.data())
def test_a_message_with_other_characters_is_survived(dialect: type[Dialect], data: st.DataObject) -> None:
    """A real message in which pieces were removed, doubled, or replaced by other text, as no JSON is."""
    path = data.draw(st.sampled_from(fixtures(dialect)))
    wire = path.read_text()
    for _ in range(data.draw(st.integers(1, 4))):
        begin = data.draw(st.integers(0, len(wire)))
        end = data.draw(st.integers(begin, min(len(wire), begin + 40)))
        piece = data.draw(
            st.sampled_from(["", wire[begin:end] * 2, '"', "{", "}", "null", "-1", "1e999", "\\ud800", "\0"]) | texts
        )
        wire = wire[:begin] + piece + wire[end:]
    endure(dialect, wire)


@pytest.mark.parametrize("path", FIXTURES, ids=lambda path: path.stem)
def test_a_message_cut_short_is_malformed(path: Path) -> None:
    """However much of a real message is missing, it is one WireError."""
    wire = path.read_text().rstrip()
    dialect = REGISTER[path.stem.split("_")[0]]
    for end in range(len(wire)):
        assert read(dialect(Side.OURS).decode, wire[:end]) is None


@every_dialect
@pytest.mark.parametrize("around", ["{}", '{{"event":"transcript.data","data":{}}}', '{{"trigger":"x","data":{}}}'])
@pytest.mark.parametrize("nested", ["[" * 200_000, '{"a":' * 200_000, "[" * 200_000 + "]" * 200_000])
def test_deep_nesting_is_survived(dialect: type[Dialect], around: str, nested: str) -> None:
    """A message that is nothing but brackets ends neither the process nor the connection."""
    endure(dialect, around.format(nested))


@given(st.text())
def test_participants_and_tracks_of_ours_never_collide(participant: str) -> None:
    """Who calls himself `mixed` or `spoken` has a track of his own, and the name comes back."""
    track = participant_track(participant)
    assert track not in {MIXED, SPOKEN}
    assert track_participant(track) == participant


@pytest.mark.parametrize("participant", [MIXED, SPOKEN, "=mixed", "==", "7"])
def test_participants_called_like_our_tracks_come_back(participant: str) -> None:
    """The names that collide or look as if they were changed already."""
    track = participant_track(participant)
    assert track not in {MIXED, SPOKEN}
    assert track_participant(track) == participant


def dumps(message: object) -> str:
    """JSON with integers of any length, which json.dumps refuses to write out."""
    if isinstance(message, dict):
        return "{" + ",".join(f"{json.dumps(key)}:{dumps(value)}" for key, value in message.items()) + "}"
    if isinstance(message, int) and not isinstance(message, bool) and message > 10**4000:
        return "9" * 5000
    return json.dumps(message)


@given(
    st.one_of(st.text('AZaz09+/=-_ \n\\"', max_size=12), st.binary(max_size=9).map(lambda pcm: b64encode(pcm).decode()))
)
@pytest.mark.parametrize("decoder", [pybase64.b64decode, base64.b64decode], ids=["pybase64", "base64"])
def test_base64_by_the_register_is_that_by_the_letter(decoder: Callable[..., bytes], text: str) -> None:
    """Whatever a string holds, and whether pybase64 is there: it gives what msgspec gives, or both refuse."""
    told = json.dumps(text).encode()
    try:
        wanted: bytes | None = msgspec.json.decode(told, type=bytes)
    except msgspec.MsgspecError:
        wanted = None
    try:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("audiotap.dialects.base.b64decode", decoder)
            assert samples(msgspec.Raw(told), "$") == wanted
    except WireError:
        assert wanted is None


@pytest.mark.parametrize("told", [b"1234", b"null", b"[]", b'{"a":1}', b"true"])
def test_what_is_no_string_holds_no_samples(told: bytes) -> None:
    """However much its middle looks like base64."""
    with pytest.raises(WireError, match=r"\$\.data"):
        samples(msgspec.Raw(told), "$.data")
