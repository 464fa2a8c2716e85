"""A command of the user's for each finished session: what it is told, and that it holds nobody up."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from pathlib import Path

import pytest
from tests.scenarios.harness import ROOT, Listener, Place, assert_same, attendee, call, ramp

HOSTILE = "$(touch pwned)`touch pwned`'\";touch pwned\n\x00\u202e../#"


def script(place: Place, body: str, name: str = "hook") -> Path:
    """A program in the place's folder, which is where hooks run."""
    path = place.folder / name
    path.write_text(f"#!/bin/sh\n{body}\n")
    path.chmod(0o755)
    return path


async def hooking(place: Place, body: str, *options: str | int) -> Listener:
    """A listener whose sessions end with their connections, and have a script run for each."""
    return await place.listen("--linger", 0, "--exec", script(place, body), *options)


class Gate:
    """Where a script waits: `read -r _ < gate` returns when it is opened."""

    def __init__(self, place: Place) -> None:
        self.path = place.folder / "gate"
        os.mkfifo(self.path)

    async def open(self) -> None:
        """Let one through, as soon as it is there."""
        await asyncio.to_thread(self.path.write_bytes, b"\n")


async def test_a_hook_is_told_of_its_session(place: Place) -> None:
    """Paths, ids and figures are in its environment; all files are final, and nobody holds the folder any more."""
    listener = await hooking(
        place,
        f'env > told; "{sys.executable}" -m audiotap check --json "$AUDIOTAP_PATH"; cat "$AUDIOTAP_MANIFEST" > last',
    )
    await call(listener.url, attendee(ramp(1), 1.0), attendee(ramp(1), 1.0, "ana"))
    recording = await listener.finished("bot_1")
    finished = await listener.event("hook.finished", session="bot_1", provider="attendee")
    assert finished["command"] == str(place.folder / "hook")

    told = dict(line.split("=", 1) for line in (place.folder / "told").read_text().split("\n") if "=" in line)
    assert told["AUDIOTAP_PROVIDER"] == "attendee"
    assert told["AUDIOTAP_SESSION"] == "bot_1"
    assert told["AUDIOTAP_BOT"] == ""
    assert told["AUDIOTAP_PATH"] == str(recording.folder)
    assert told["AUDIOTAP_MANIFEST"] == str(recording.folder / "manifest.json")
    assert told["AUDIOTAP_SECONDS"] == "1.000"
    assert told["AUDIOTAP_LOSSY"] == "0"
    assert told["AUDIOTAP_REASON"] == recording.manifest["reason"]
    assert told["AUDIOTAP_FILES"] == str(recording.file("mixed"))
    assert str(recording.file("ana")) in (place.folder / "told").read_text().split("\n")
    assert json.loads((place.folder / "last").read_text()) == recording.manifest
    (checked,) = json.loads((await listener.event("hook.output"))["line"])
    assert (checked["live"], checked["sound"]) == (False, True)
    assert (await listener.stop()).status == 0


async def test_a_hook_tells_no_secret(place: Place) -> None:
    """What lets bots in is not in its environment, and what it says of a key is not told on."""
    hidden = {"AUDIOTAP_SECRET": "a-secret-that-somebody-chose", "ATTENDEE_API_KEY": "a-key-of-attendee"}
    place.environment |= hidden
    listener = await hooking(place, 'echo "[$AUDIOTAP_SECRET] [$ATTENDEE_API_KEY]" | tee told', "--no-names")
    await call(f"{listener.url}/{hidden['AUDIOTAP_SECRET']}", attendee(ramp(0.5), 0.5))
    assert (await listener.event("hook.output"))["line"] == "[] […]"
    await listener.event("hook.finished")
    assert (place.folder / "told").read_text() == "[] [a-key-of-attendee]\n"
    await listener.stop()
    assert not any(one in str(listener.out + listener.err) for one in hidden.values())


async def test_hostile_ids_are_values(place: Place) -> None:
    """What a network calls itself is never part of a command: no shell reads it, and a NUL does no harm."""
    listener = await hooking(place, 'printf %s "$AUDIOTAP_SESSION" > told')
    await call(listener.url, attendee(ramp(0.5), 0.5, bot=HOSTILE))
    await listener.event("hook.finished")
    assert (place.folder / "told").read_text() == HOSTILE.replace("\0", "\ufffd")
    assert {path.name for path in place.folder.iterdir()} == {"hook", "told", "recordings"}


async def test_a_hook_that_fails_is_a_warning(place: Place) -> None:
    """It is told with its status, its output is shown, and the listener's own status is not touched."""
    listener = await hooking(place, "echo no room >&2; exit 7")
    await call(listener.url, attendee(ramp(0.5), 0.5))
    assert (await listener.event("hook.output"))["line"] == "no room"
    warning = await listener.event("warning", session="bot_1")
    assert warning["message"].endswith("hook ended with status 7")
    assert not listener.told("hook.finished")
    assert (await listener.stop()).status == 0


@pytest.mark.parametrize("command", ["no-such-program --now", "'open", " "])
async def test_a_hook_that_cannot_be_is_refused_at_once(place: Place, command: str) -> None:
    """Before the first bot comes, with status 2."""
    ended = await place.run("listen", "--port", 0, "--exec", command)
    assert ended.status == 2
    assert "--exec" in ended.err
    assert "Traceback" not in ended.err


async def test_words_are_words(place: Place) -> None:
    """A command is split as a shell would, but no shell expands anything; who wants one asks for it."""
    program = script(place, 'printf "%s\\n" "$@"', "words")
    listener = await place.listen("--linger", 0, "--exec", f"{program} 'two words' $HOME *")
    await call(listener.url, attendee(ramp(0.5), 0.5))
    await listener.event("hook.finished")
    assert [event["line"] for event in listener.told("hook.output")] == ["two words", "$HOME", "*"]


async def test_who_wants_a_shell_asks_for_one(place: Place) -> None:
    """As docs/cli.md writes it: the variable is that of the session, and the folder's name may have spaces."""
    place.out = place.folder / "all calls"
    command = 'sh -c "tar czf \\"$AUDIOTAP_PATH.tgz\\" \\"$AUDIOTAP_PATH\\""'
    assert f"--exec '{command}'" in (ROOT.parent / "docs" / "cli.md").read_text("utf-8")
    listener = await place.listen("--linger", 0, "--exec", command)
    await call(listener.url, attendee(ramp(0.5), 0.5))
    await listener.event("hook.finished")
    recording = await listener.finished("bot_1")
    assert recording.folder.with_name(f"{recording.folder.name}.tgz").stat().st_size > 0


async def test_a_hook_holds_nobody_up(place: Place) -> None:
    """While one runs, others are recorded and finished; their hooks wait where one at a time is allowed."""
    gate = Gate(place)
    listener = await hooking(place, f"read -r _ < {gate.path}", "--max-exec", 1)
    await call(listener.url, attendee(ramp(0.5), 0.5, bot="first"))
    await listener.event("hook.started", session="first")
    await call(listener.url, attendee(ramp(2), 2.0, bot="second"))
    assert_same((await listener.finished("second")).samples("mixed"), ramp(2))
    assert not listener.told("hook.started", session="second")
    await gate.open()
    await listener.event("hook.finished", session="first")
    await listener.event("hook.started", session="second")
    await gate.open()
    await listener.event("hook.finished", session="second")


async def test_the_end_waits_for_hooks(place: Place) -> None:
    """After Ctrl-C the last sessions have their hooks, too."""
    gate = Gate(place)
    listener = await place.listen("--exec", script(place, f"read -r _ < {gate.path}"))
    await call(listener.url, attendee(ramp(0.5), 0.5))
    await listener.event("session.started")
    listener.process.send_signal(signal.SIGINT)
    await listener.event("hook.started")
    await gate.open()
    ended = await listener.ended()
    assert ended.status == 0
    assert listener.told("hook.finished", session="bot_1")


@pytest.mark.parametrize("workers", [1, 2])
async def test_a_second_signal_ends_hooks(place: Place, workers: int) -> None:
    """Whoever asks twice does not wait, and leaves nothing behind that runs."""
    gate = Gate(place)
    body = f"exec > {gate.path}; echo here; sleep 600"
    listener = await place.listen("--exec", script(place, body), "--workers", workers)
    await call(listener.url, attendee(ramp(0.5), 0.5))
    await listener.event("session.started")
    listener.process.send_signal(signal.SIGINT)
    await listener.event("hook.started")
    with await asyncio.to_thread(gate.path.open, "rb") as held:
        assert held.readline() == b"here\n"
        listener.process.send_signal(signal.SIGINT)
        assert (await listener.ended()).status == -signal.SIGINT
        assert await asyncio.to_thread(held.read) == b""


async def test_hooks_of_workers(place: Place) -> None:
    """Whichever process recorded it, each session has its hook once."""
    listener = await hooking(place, 'echo "$AUDIOTAP_SESSION"', "--workers", 2)
    names = {f"bot_{number}" for number in range(6)}
    await asyncio.gather(*(call(listener.url, attendee(ramp(0.5), 0.5, bot=name)) for name in names))
    for name in names:
        await listener.event("hook.finished", session=name)
    assert sorted(event["line"] for event in listener.told("hook.output")) == sorted(names)


async def test_what_a_hook_says_in_plain_lines(place: Place) -> None:
    """Its lines are marked as its own and harmless for a terminal; of a long one the beginning is shown."""
    body = "printf 'red \\033[31m\\n'; head -c 70000 /dev/zero | tr '\\0' x; printf '\\nend'"
    command = script(place, body)
    listener = await place.start(
        "listen", "--port", 0, "--out", place.out, "--linger", 0, "--output", "plain", "--exec", command
    )
    url = (await listener.says(r"listening on (\S+),"))[1]
    await call(url, attendee(ramp(0.5), 0.5))
    await listener.says(r"bot_1: running \S+/hook\n")
    await listener.says(r"attendee bot_1: \| red ·\[31m\n")
    await listener.says(r"\| x{1000}\n")
    await listener.says(r"\| end\n")
    await listener.says(r"hook ended after \d+\.\d s\n")
