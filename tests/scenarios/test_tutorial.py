"""The tutorial, as it stands in the documentation: its commands do what it says they do."""

from __future__ import annotations

import re
import shlex

from tests.scenarios.harness import ROOT, Place, read, sounding

PAGE = (ROOT.parent / "docs" / "agents" / "tutorial.md").read_text("utf-8")
AGENT = "ws://127.0.0.1:8766"


def step(number: int) -> list[list[str]]:
    """The arguments of the `audiotap` commands of a step's blocks."""
    text = re.split(r"^## ", PAGE, flags=re.MULTILINE)[number]
    blocks = re.findall(r"```sh\n(.*?)```", text, re.DOTALL)
    lines = [line for block in blocks for line in block.splitlines() if line.startswith("audiotap ")]
    return [shlex.split(line)[1:] for line in lines]


def typed(arguments: list[str], **urls: str) -> list[str]:
    """Arguments as they are typed here: other ports, and files by their whole paths."""
    instead = {AGENT: urls.get("agent", AGENT)}
    return [instead.get(one, str(ROOT.parent / one) if one.startswith("cli/") else one) for one in arguments]


async def test_talking_to_an_agent(place: Place) -> None:
    """Step 1: the agent repeats what it hears, and both are in the folder that is named."""
    simulated, conversation = step(1)
    agent = await place.agent(simulated[2], *simulated[3:])
    ended = await place.run(*typed(conversation, agent=agent.url))
    assert ended.status == 0, ended.err
    assert "answer heard after" in ended.err
    (folder,) = place.out.iterdir()
    assert {"user.wav", "agent.wav", "conversation.wav", "transcript.txt"} <= {path.name for path in folder.iterdir()}
    assert len(sounding(read(folder / "agent.wav"))) > 0


async def test_an_agent_in_a_meeting(place: Place) -> None:
    """Step 3: the bridge has an agent for the bot, which speaks into its meeting."""
    bridge, bot = step(3)
    agent = await place.agent("openai", "--echo")
    listener = await place.bridge(bridge[1], agent.url, *bridge[4:])
    ended = await (await place.bot(listener.url, *typed(bot)[2:])).ended()
    assert ended.json["played_seconds"] > 1
    assert (await listener.stop()).status == 0
    assert ended.json["played_file"] == "heard/played.wav"
    assert (await listener.finished("sim")).entry("spoken")["samples"] > 0
