"""The work of `audiotap demo`: the real listener, simulated bots, and a check that nothing was lost."""

from __future__ import annotations

import asyncio
import shlex
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from importlib.resources import files as package_files
from pathlib import Path
from tempfile import TemporaryDirectory

from audiotap.actors.openai import OpenAIActor
from audiotap.dialects.agents.base import Account, AgentSettings
from audiotap.dialects.agents.openai import OpenAI
from audiotap.errors import Exit, InterruptedRunError
from audiotap.events import Heard, Pause
from audiotap.jobs.mode import Output
from audiotap.jobs.output import talk
from audiotap.jobs.running import Signals, run
from audiotap.jobs.show import show
from audiotap.jobs.sim_agent import voice
from audiotap.jobs.verify import Verdict, answers_check
from audiotap.net.agents.bridge import Bridge, Bridging
from audiotap.net.agents.simulator import simulating
from audiotap.net.agents.simulator.performance import Part
from audiotap.net.control.remote import Target, attached
from audiotap.net.listener import Config, Listener, listening
from audiotap.net.live import Live
from audiotap.net.sim.simulator import Outcome, Script, SimulatedBot, Voice
from audiotap.net.tap import Tell
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
AGENT = "bot_agent"
"""The bot in whose meeting an agent takes part."""
AGENT_RATE = 24000
QUESTION = 1.3
INTERRUPTED_AT = 3.6
INTERRUPTION = 1.0
"""Seconds of the meeting with the agent: how long Ana speaks to it, when Bo speaks into its answer, and how long."""


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
        async with listening(config, tell, shown.watchers) as listener, _agent(listener, tell):
            outcomes = await first_of(shown.during(_calls(listener.url, scratch)), signals.asked.wait())
    if outcomes is None:
        raise InterruptedRunError("the demo was interrupted", "the recordings so far are complete files")
    return Verdict.of(outcomes, finished, answers_check(AGENT, finished, voice(None, "")[0].at(AGENT_RATE)))


class Guest:
    """A bridge that gives one session only an agent."""

    def __init__(self, bridge: Bridge) -> None:
        self._bridge = bridge

    def heard(self, live: Live, run: Sequence[Heard]) -> None:
        """Chunks of one track of a session came."""
        if live.session.key[1] == AGENT:
            self._bridge.heard(live, run)

    def left(self, live: Live) -> None:
        """A session is over."""
        self._bridge.left(live)


@asynccontextmanager
async def _agent(listener: Listener, tell: Tell) -> AsyncIterator[None]:
    """A simulated agent takes part in one of the meetings."""
    says, words = voice(None, "")
    async with simulating(OpenAIActor, Part(says, says=words)) as simulator:
        account = Account(url=simulator.url)
        bridge = Bridge(listener.tap, Bridging(OpenAI, account, AgentSettings(model="simulated")), tell)
        listener.tap.guest = Guest(bridge)
        try:
            yield
        finally:
            listener.tap.guest = None
            await bridge.close()


async def _calls(url: str, scratch: Path) -> list[Outcome]:
    """All calls at once, with something spoken into the first one and paused on the way."""
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
    question = read_all(speech_file("ana"), AGENT_RATE)[: _bytes(QUESTION)]
    interruption = bytes(_bytes(INTERRUPTED_AT)) + read_all(speech_file("bo"), AGENT_RATE)[: _bytes(INTERRUPTION)]
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
        Script(
            "attendee",
            url,
            AGENT,
            (Voice("8:orgid:ana", "Ana", question), Voice("8:orgid:bo", "Bo", interruption)),
            rate=AGENT_RATE,
            separate=False,
            seconds=SECONDS,
            record=scratch / AGENT,
        ),
    ]


def _bytes(seconds: float) -> int:
    """What so many seconds in the agent's meeting are in bytes."""
    return 2 * round(seconds * AGENT_RATE)


def speech_file(name: str) -> Path:
    """Where a voice that is shipped lies."""
    return Path(str(package_files("audiotap"))) / "speech" / f"{name}.flac"
