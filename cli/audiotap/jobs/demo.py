"""The work of `audiotap demo`: the real listener, simulated bots, and a check that nothing was lost."""

from __future__ import annotations

import asyncio
import shlex
from importlib.resources import files as package_files
from pathlib import Path
from tempfile import TemporaryDirectory

from audiotap.errors import Exit, InterruptedRunError
from audiotap.events import Pause
from audiotap.jobs.mode import Output
from audiotap.jobs.output import talk
from audiotap.jobs.running import Signals, run
from audiotap.jobs.show import show
from audiotap.jobs.verify import Verdict
from audiotap.net.control.remote import Target, attached
from audiotap.net.listener import Config, listening
from audiotap.net.sim.simulator import Outcome, Script, SimulatedBot, Voice
from audiotap.net.tasks import first_of
from audiotap.reading import read_all, read_audio
from audiotap.reports import Report, SessionFinished
from audiotap.sinks.recording import Policy

SECONDS = 12.0
RATE = 16000
SPEAK_AT = 2.0
PAUSE_AFTER = 1.2
PAUSE_SECONDS = 2.0
ATTENDEE = "bot_demo"
RECALL = "demo-call"


def demo(out: Path, mode: Output, invocation: str) -> Exit:
    """Run the demo, and say whether the recordings hold what was sent; hints begin with `invocation`."""
    with TemporaryDirectory(prefix="audiotap-demo-") as scratch:
        verdict = run(_demo(out, Path(scratch), mode))
    verdict.tell()
    if not verdict.good:
        return Exit.FAILED
    talk("next, each in a terminal of its own:")
    talk(f"  {invocation} listen")
    talk(f"  {invocation} sim bot --loop --file {shlex.quote(str(speech_file('ana')))}")
    talk(f"  {invocation} speak {shlex.quote(str(speech_file('hello')))}")
    return Exit.OK


async def _demo(out: Path, scratch: Path, mode: Output) -> Verdict:
    finished: list[SessionFinished] = []
    signals = Signals()
    with show(mode) as shown:

        def tell(report: Report) -> None:
            shown.tell(report)
            if isinstance(report, SessionFinished):
                finished.append(report)

        config = Config(Policy(out), port=0, control=scratch / "c")
        async with listening(config, tell, shown.watchers) as listener:
            outcomes = await first_of(shown.during(_calls(listener.url, scratch)), signals.asked.wait())
    if outcomes is None:
        raise InterruptedRunError("the demo was interrupted", "the recordings so far are complete files")
    return Verdict.of(outcomes, finished)


async def _calls(url: str, scratch: Path) -> list[Outcome]:
    """Both calls at once, with something spoken into the one and paused on the way."""
    async with asyncio.TaskGroup() as together:
        calls = [together.create_task(SimulatedBot(script).run()) for script in _scripts(url, scratch)]
        together.create_task(_speak(scratch / "c"))
    return [call.result() for call in calls]


async def _speak(control: Path) -> None:
    """Speak and pause through the control socket, as the commands do."""
    target = Target(control, None, ATTENDEE, 5.0)
    await asyncio.sleep(SPEAK_AT)
    async with asyncio.TaskGroup() as together, attached(target) as speaker:
        speaking = together.create_task(speaker.speak(read_audio(speech_file("hello")), lambda _: None))
        await asyncio.sleep(PAUSE_AFTER)
        async with attached(target) as pauser:
            await pauser.pause(Pause(PAUSE_SECONDS))
        await speaking


def _scripts(url: str, scratch: Path) -> list[Script]:
    ana, bo, chen = (read_all(speech_file(name), RATE) for name in ("ana", "bo", "chen"))
    second = bytes(2 * RATE)
    return [
        Script(
            "attendee",
            url,
            ATTENDEE,
            (Voice("8:orgid:ana", "Ana", ana), Voice("8:orgid:bo", "Bo", 2 * second + bo)),
            seconds=SECONDS,
            record=scratch / ATTENDEE,
        ),
        Script(
            "recall",
            url,
            RECALL,
            (
                Voice("100", "Ana", ana, ((6.0, 8.0),)),
                Voice("101", "Bo", second + bo, ((0.0, 1.0), (4.0, 5.0))),
                Voice("102", "Chen", 3 * second + chen, ((0.0, 3.0),)),
            ),
            seconds=SECONDS,
            each=True,
            drops=((5.0, 0.0),),
            record=scratch / RECALL,
        ),
    ]


def speech_file(name: str) -> Path:
    """Where a voice that is shipped lies."""
    return Path(str(package_files("audiotap"))) / "speech" / f"{name}.flac"
