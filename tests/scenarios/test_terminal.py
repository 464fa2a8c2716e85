"""What a person sees: the meter in a pseudo-terminal, and plain lines where there is none."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import termios
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

import pexpect
import pyte
import pytest
from tests.scenarios.harness import ANA, BO, DEADLINE, Place, attendee, call, ramp

pytestmark = pytest.mark.filterwarnings("ignore:.*multi-threaded, use of fork:DeprecationWarning")

WIDTH, HEIGHT = 120, 40


class Terminal:
    """A pseudo-terminal with a program in it, and what is on its screen."""

    def __init__(self, place: Place, *args: str) -> None:
        environment = place.environment | {"TERM": "xterm-256color"}
        del environment["COLUMNS"]
        self.screen = pyte.Screen(WIDTH, HEIGHT)
        self.raw = b""
        self._stream = pyte.ByteStream(self.screen)
        self.child = pexpect.spawn(
            sys.executable,
            ["-m", "audiotap", *args],
            cwd=str(place.folder),
            env=environment,
            dimensions=(HEIGHT, WIDTH),
            timeout=DEADLINE,
        )
        self.before = self.modes()

    @property
    def text(self) -> str:
        return "\n".join(self.screen.display)

    def shows(self, look: Callable[[str], bool]) -> str:
        """The screen, as soon as it satisfies."""
        deadline = time.monotonic() + DEADLINE
        while not look(self.text):
            assert time.monotonic() < deadline, f"waited in vain:\n{self.text}"
            assert self._feed(), f"it ended without it:\n{self.text}"
        return self.text

    def ended(self) -> int:
        """Wait for the end; the exit status."""
        while self._feed():
            pass
        self.child.close()
        assert self.child.exitstatus is not None
        return int(self.child.exitstatus)

    def modes(self) -> list[object]:
        """Echo, line editing and all that; the last ones are control characters."""
        return list(termios.tcgetattr(self.child.fileno()))

    def _feed(self) -> bool:
        try:
            data = bytes(self.child.read_nonblocking(65536, timeout=DEADLINE))  # type: ignore[arg-type]
        except pexpect.EOF:
            return False
        self.raw += data
        self._stream.feed(data)
        return True


@contextmanager
def terminal(place: Place, *args: str) -> Iterator[Terminal]:
    """A terminal that leaves no process behind."""
    shown = Terminal(place, *args)
    try:
        yield shown
    finally:
        with suppress(pexpect.ExceptionPexpect):
            shown.child.close(force=True)


def has(*patterns: str) -> Callable[[str], bool]:
    """Whether all of some regular expressions are on the screen."""
    return lambda text: all(re.search(pattern, text) for pattern in patterns)


BAR = "[▏▎▍▌▋▊▉█]{3,}"
LEVELS = r"-\d+\.\d +-\d+\.\d"
SCALE = r"-60 .* -18 .* 0 +rms +peak"


def test_the_demo_in_a_terminal(place: Place) -> None:
    """Names, bars and levels in dBFS are drawn while it runs; then the verdict stands there, and the cursor is back."""
    with terminal(place, "demo") as shown:
        names = ("bot_demo", "demo-call", "bot_agent", "Ana", "Bo", "Chen", "mixed", "spoken")
        text = shown.shows(has(*(rf"{name} .*{BAR}.* {LEVELS}" for name in names[3:]), *names[:3], SCALE))
        assert shown.screen.cursor.hidden
        assert "Ctrl-C" in text
        assert shown.ended() == 0

    assert not shown.screen.cursor.hidden
    assert "dBFS" in shown.text
    assert "every recorded sample is what the simulated bots sent" in shown.text
    assert "BAD" not in shown.text
    assert "audiotap listen" in shown.text
    assert not re.search(BAR, shown.text)
    assert "interrupted after" in shown.text
    assert "bot_agent answers: cut after" in shown.text
    assert len(list((place.folder / "recordings").iterdir())) == 3


def test_listen_in_a_terminal(place: Place) -> None:
    """The meter follows a bot; Ctrl-C ends it, restores the terminal and leaves complete files."""
    with terminal(place, "listen", "--port", "0", "--out", str(place.out)) as shown:
        found = re.search(r"ws://127\.0\.0\.1:\d+", shown.shows(has(r"ws://127\.0\.0\.1:\d+")))
        assert found is not None
        bot = subprocess.Popen(
            [
                *(sys.executable, "-m", "audiotap", "sim", "bot", "--url", found[0], "--id", "bot_1", "--names"),
                *("--loop", "--file", str(ANA), "--file", str(BO)),
            ],
            env=place.environment,
            stderr=subprocess.DEVNULL,
        )
        try:
            shown.shows(has("bot_1", SCALE, *(rf"{name} .*{BAR}.* {LEVELS}" for name in ("mixed", "ana", "bo"))))
            assert shown.screen.cursor.hidden
            shown.child.sendintr()
            assert shown.ended() == 0
        finally:
            bot.terminate()
            bot.wait(DEADLINE)

    assert not shown.screen.cursor.hidden
    assert has("session finished", r"3 files")(shown.text)
    assert len(list(place.out.glob("*/*.wav"))) == 3


def test_the_terminals_modes_are_as_before(place: Place) -> None:
    """Echo and line editing are not touched, whichever way it ends."""
    with terminal(place, "listen", "--port", "0", "--out", str(place.out)) as shown:
        shown.shows(has("listening on"))
        assert shown.modes() == shown.before
        shown.child.sendintr()
        assert shown.ended() == 130
    assert not shown.screen.cursor.hidden
    assert shown.raw.endswith(b"\n") or shown.screen.cursor.x == 0


@pytest.mark.parametrize("forced", [{}, {"FORCE_COLOR": "1", "CLICOLOR_FORCE": "1", "TERM": "xterm-256color"}])
async def test_plain_lines_without_a_terminal(place: Place, forced: dict[str, str]) -> None:
    """stderr that is no terminal gets lines without a single escape code, whatever the environment says."""
    place.environment |= forced
    listener = await place.start("listen", "--port", 0, "--out", place.out, "--linger", 0.1)
    url = (await listener.says(r"listening on (ws://\S+),"))[1]
    await call(url, attendee(ramp(1), 1.0), attendee(ramp(1), 1.0, "ana", participant_name="Ana"))
    await listener.says("session finished")
    ended = await listener.stop()

    assert ended.out == b""
    assert "\x1b" not in ended.err
    assert "\r" not in ended.err
    assert "bot_1: track ana (Ana): 16000 Hz, from 0.00 s" in ended.err.splitlines()


async def test_json_lines_are_all_of_stdout(place: Place) -> None:
    """With --json every line of stdout is an event, the first says where it listens; warnings are on stderr too."""
    listener = await place.listen("--linger", 0.1)
    await call(listener.url, attendee(ramp(1), 1.0), "not JSON")
    recording = await listener.finished("bot_1")
    ended = await listener.stop()

    kinds = [json.loads(line)["event"] for line in ended.out.splitlines()]
    assert sorted(kinds) == [
        *("listening", "session.finished", "session.started", "track.finished", "track.started", "warning"),
    ]
    assert kinds[0] == "listening"
    assert kinds[-1] == "session.finished"
    assert ended.err.startswith("warning: ")
    assert recording.folder.is_relative_to(place.out)


def test_speak_in_a_terminal(place: Place) -> None:
    """Its error is a line of what happened and one of what to do."""
    with terminal(place, "speak", str(ANA)) as shown:
        assert shown.ended() == 4
    assert has("no listener is running", "audiotap listen")(shown.text)
    assert not shown.screen.cursor.hidden
