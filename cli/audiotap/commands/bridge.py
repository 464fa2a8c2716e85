"""audiotap bridge: voice agents in meetings."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from audiotap.commands import settings
from audiotap.commands.agents import Wanted, wanted
from audiotap.commands.listen import prepared
from audiotap.commands.options import taking
from audiotap.errors import UsageError

if TYPE_CHECKING:
    from audiotap.jobs.listen import Plan

TICK = 0.005
"""Seconds between the times at which bots are read: an agent's answer should not wait for a recorder's tick."""


@taking(agent=wanted, plan=prepared)
def bridge(
    agent: Wanted,
    plan: Plan,
    max_agents: Annotated[
        int,
        typer.Option(
            help="Agents at the same time; sessions beyond that are recorded only, until another one has left.", min=1
        ),
    ] = 10,
    bot_pause: Annotated[
        float,
        typer.Option(
            help="Seconds that the bot is asked to hold when somebody speaks into an answer; 0 asks for nothing.", min=0
        ),
    ] = 0.5,
) -> None:
    """Record bots as listen does, and give each of their sessions a voice agent that hears and speaks.

    Whoever speaks into an answer stops it: our queue is dropped at once, the bot is asked to pause, and the agent is
    told how much of its answer was heard. Bots and agents that lose their connections get new ones.

    Recall's bots take no speech on their socket: with RECALL_API_KEY, answers are played as clips over REST.

    Examples:

      audiotap bridge openai --model gpt-realtime --instructions "You take part in a meeting; be brief."

      audiotap bridge deepgram --tunnel cloudflared --voice aura-2-thalia-en

      audiotap bridge amigo --organization ORG --service SERVICE_ID --max-agents 1
    """
    from audiotap.jobs import bridge as job
    from audiotap.net.agents.bridge import Bridging
    from audiotap.net.rest.base import Access

    if plan.workers > 1:
        raise UsageError("--workers is for recording only", "leave it out: a bridge is one process")
    if agent.settings.text or agent.settings.form != "pcm":
        raise UsageError("a meeting hears speech only", "leave --answer out")
    if not agent.settings.vad:
        raise UsageError("in a meeting nobody tells the agent where turns end", "leave --no-vad out")
    key = settings.api_key("recall")
    clips = Access(settings.api_url("recall"), key) if key else None
    bridging = Bridging(agent.dialect, agent.account, agent.settings, max_agents, bot_pause, clips)
    raise typer.Exit(job.bridge(plan, bridging, TICK))
