"""What a new user of `converse` meets: each mistake is told in words, with what to type, and costs nothing."""

from __future__ import annotations

import pytest
from tests.scenarios.harness import Place
from tests.scenarios.talk import KEYS, question

LOCAL = ("--url", "ws://127.0.0.1:9")
HERE = (*LOCAL, "--model", "m")


@pytest.mark.parametrize(
    ("args", "words"),
    [
        pytest.param(("nobody", "FILE"), "openai", id="no such vendor"),
        pytest.param(("openai", *HERE), "--text", id="nothing to say"),
        pytest.param(("openai", "--text", " ", *HERE), "--text", id="no words"),
        pytest.param(("openai", "nothing.wav", *HERE), "No such file", id="no such file"),
        pytest.param(("openai", "NOISE", *HERE), "WAV", id="no audio"),
        pytest.param(("azure", "FILE"), "--url", id="no resource"),
        pytest.param(("botify", "FILE"), "--url", id="no proxy"),
        pytest.param(("amigo", "FILE", *LOCAL), "--organization", id="no organization"),
        pytest.param(("amigo", "FILE", "--organization", "o"), "--service", id="no service"),
        pytest.param(("deepgram", "FILE", "--no-vad", *LOCAL), "flux", id="no end of turns"),
        pytest.param(("deepgram", "FILE", "--answer", "text", *LOCAL), "voice only", id="no answers in text"),
        pytest.param(("openai", "FILE", "--url", "ftp://x", "--model", "m"), "wss://", id="no websocket"),
        pytest.param(("openai", "FILE", "--url", "ws://x:y", "--model", "m"), "ws://", id="no port"),
        pytest.param(("openai", "FILE", "--rate", 8000, *HERE), "24000", id="no such rate"),
        pytest.param(
            ("amigo", "FILE", "--service", "s", "--output-rate", 24, *LOCAL), "--output-rate", id="a rate of nobody"
        ),
        pytest.param(("openai", "FILE", "--option", "bogus", *HERE), "bogus", id="no such switch"),
        pytest.param(("openai", "FILE", "--settings", "no.json", *HERE), "no.json", id="no settings"),
        pytest.param(("openai", "FILE", "--settings", "NOISE", *HERE), "object", id="settings that are none"),
        pytest.param(("openai", "FILE", "--resume", "id", *HERE), "Amigo", id="nothing to resume"),
        pytest.param(("deepgram", "FILE", "--event", "rain", *LOCAL), "Amigo", id="no events"),
        pytest.param(
            ("deepgram", "FILE", "--text", "x", "--interrupt", 1, *LOCAL), "--interrupt", id="no stop of an answer"
        ),
        pytest.param(
            ("openai", "FILE", "--answer", "text", "--interrupt", 1, *HERE), "--interrupt", id="nothing to interrupt"
        ),
        pytest.param(("openai", "-", "FILE", *HERE), "behind", id="a pipe before a file"),
        pytest.param(("openai", "FILE", "--raw", 16000, *HERE), "--raw", id="bare samples in a file"),
    ],
)
async def test_what_cannot_be_meant(place: Place, args: tuple[str | int, ...], words: str) -> None:
    """Exit status 2, what is wrong, what to type; nobody was dialled, nothing was made."""
    noise = place.folder / "noise.txt"
    noise.write_text("[1]")
    named = {"FILE": question(place, "openai"), "NOISE": noise}
    typed = [named.get(str(arg), arg) for arg in args]
    ended = await (await place.start("converse", *typed, "--out", place.out, environment=KEYS)).ended()
    assert ended.status == 2
    assert words in ended.err
    assert "Traceback" not in ended.err
    assert ended.out == b""
    assert not place.out.exists()


@pytest.mark.parametrize("vendor", ["openai", "azure", "deepgram", "amigo"])
async def test_no_key(place: Place, vendor: str) -> None:
    """It is told in which variable the vendor's key is looked for."""
    where = ("--url", "https://x.invalid") if vendor == "azure" else ()
    more = ("--service", "s", "--organization", "o") if vendor == "amigo" else ("--model", "m")
    ended = await place.run("converse", vendor, question(place, vendor), *more, *where)
    assert ended.status == 2
    (variable,) = [name for name in KEYS if name.startswith(vendor.upper())]
    assert variable in ended.err


async def test_a_folder_that_cannot_be_written(place: Place) -> None:
    """Exit status 3, before anybody is dialled."""
    (place.folder / "file").write_text("in the way")
    ended = await place.run(
        "converse", "openai", question(place, "openai"), *HERE, "--out", place.folder / "file" / "x"
    )
    assert ended.status == 3
    assert "--out" in ended.err
