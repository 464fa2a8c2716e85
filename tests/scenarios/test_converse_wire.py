"""What goes over the wire to each vendor's agent, in which order, and with which address."""

from __future__ import annotations

import base64

import numpy as np
import pytest
from tests.scenarios import talk
from tests.scenarios.harness import Arg, Listener, Place, assert_same, ramp, write
from tests.scenarios.talk import KEY, PROMPT, Talk, Wiretap, question, rate, talked, trimmed

APPEND = "input_audio_buffer.append"


async def tapped(place: Place, vendor: str, agent: Listener, *args: Arg) -> tuple[Wiretap, Talk]:
    """A conversation that somebody listens in on."""
    tap = Wiretap(agent)
    async with tap.listening() as url:
        told = await talked(place, vendor, url, *args)
    assert told.ended.status == 0
    return tap, told


def assert_heard(told: Talk, pcm: bytes) -> None:
    """What the agent was sent is what user.wav holds."""
    assert_same(trimmed(np.frombuffer(pcm, dtype="<i2").astype(np.int16)), trimmed(told.samples("user")))


async def test_deepgram(place: Place) -> None:
    """Settings first, which state every format, then nothing but samples, and nothing to say goodbye."""
    agent = await talk.agent(place, "deepgram", "--key", KEY)
    tap, told = await tapped(place, "deepgram", agent, question(place, "deepgram"))
    assert tap.kinds() == ["Settings", "binary"]
    (settings,) = tap.messages("Settings")
    assert settings["audio"]["input"] == {"encoding": "linear16", "sample_rate": 16000}
    assert settings["audio"]["output"] == {"encoding": "linear16", "sample_rate": 16000, "container": "none"}
    assert_heard(told, b"".join(wire for wire in tap.said if isinstance(wire, bytes)))
    assert [name for name, value in tap.headers[0].items() if KEY in value] == ["authorization"]
    assert KEY not in tap.paths[0]


@pytest.mark.parametrize("options", [(), ("--option", "data-field")])
async def test_botify(place: Place, options: tuple[str, ...]) -> None:
    """Its proxy is given what was asked for and nothing else: text only, audio in the one field or the other."""
    agent = await talk.agent(place, "botify")
    tap, told = await tapped(place, "botify", agent, question(place, "botify"), *options)
    assert tap.kinds() == [APPEND]
    field = "data" if options else "audio"
    assert all(one.keys() & {"audio", "data"} == {field} for one in tap.messages(APPEND))
    pcm = b"".join(base64.b64decode(one[field]) for one in tap.messages(APPEND))
    assert_heard(told, pcm)
    assert not any(KEY in value for value in tap.headers[0].values())


@pytest.mark.parametrize(
    ("vendor", "server", "client", "path"),
    [
        ("openai", (), (), "/v1/realtime?model=m"),
        ("openai", ("--option", "beta"), (), "/v1/realtime?model=m"),
        ("azure", (), (), "/openai/v1/realtime?model=m"),
        (
            "azure",
            (),
            ("--api-version", "2025-04-01-preview"),
            "/openai/realtime?api-version=2025-04-01-preview&deployment=m",
        ),
    ],
    ids=["openai", "openai beta", "azure", "azure preview"],
)
async def test_the_realtime_api(
    place: Place, vendor: str, server: tuple[str, ...], client: tuple[str, ...], path: str
) -> None:
    """The server's first word tells in which shape it wants to be set up: today's or the beta's."""
    agent = await talk.agent(place, vendor, "--key", KEY, *server)
    tap, told = await tapped(place, vendor, agent, question(place, vendor), *client, "--instructions", "Be brief.")
    beta = bool(server or client)
    (update,) = tap.messages("session.update")
    assert tap.paths == [path]
    assert tap.kinds() == ["session.update", APPEND]
    assert update["session"]["instructions"] == "Be brief."
    assert ("input_audio_transcription" in update["session"]) == beta
    assert ("type" in update["session"]) != beta
    pcm = b"".join(base64.b64decode(one["audio"]) for one in tap.messages(APPEND))
    assert_heard(told, pcm)


async def test_what_was_heard_is_told_in_milliseconds(place: Place) -> None:
    """An interrupted answer is truncated to what was heard of it, and never to more than came."""
    voice = write(place.folder / "voice.wav", ramp(2, rate("openai")), rate("openai"))
    agent = await place.agent("openai", "--file", voice, *PROMPT)
    files = [question(place, "openai", f"{n}.wav") for n in range(2)]
    tap, told = await tapped(place, "openai", agent, *files, "--interrupt", 0.3)
    (truncate,) = tap.messages("conversation.item.truncate")
    (interrupted,) = told.told.told("interrupted")
    assert truncate["content_index"] == 0
    assert 0 < truncate["audio_end_ms"] <= interrupted["heard"] * 1000 + 1 < 2000
    assert interrupted["heard"] + interrupted["dropped"] == pytest.approx(2, abs=0.001)
