"""audiotap converse: be the user of a voice agent."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from audiotap.commands.agents import Wanted, wanted
from audiotap.commands.options import taking
from audiotap.errors import UsageError
from audiotap.jobs.mode import Output

if TYPE_CHECKING:
    from audiotap.net.agents.sources import Source

DEEPGRAM = "deepgram"
"""Whose answers bear no names, and cannot be stopped: where one ends and the next begins, only speech tells."""
AMIGO = "amigo"
"""Whose conversations have an id, an end for good, and words from outside."""


@taking(agent=wanted)
def converse(
    agent: Wanted,
    files: Annotated[
        list[str] | None,
        typer.Argument(help="Audio files, a turn each, or - for standard input.", metavar="[FILE|-]..."),
    ] = None,
    text: Annotated[
        list[str] | None, typer.Option(help="A turn in text, after the files; repeatable.", show_default=False)
    ] = None,
    event: Annotated[
        list[str] | None,
        typer.Option(
            help="Amigo: a word from outside the conversation before the first turn; repeatable.", show_default=False
        ),
    ] = None,
    urgent_event: Annotated[
        list[str] | None,
        typer.Option(help="Amigo: the same, and the agent answers it at once; repeatable.", show_default=False),
    ] = None,
    out: Annotated[Path, typer.Option(help="Folder for the recording, in a folder of its own.")] = Path("recordings"),
    raw: Annotated[
        int | None, typer.Option(help="Standard input is bare mono S16LE at this rate.", min=1000, max=384000)
    ] = None,
    timeout: Annotated[float, typer.Option(help="Seconds to wait for an answer, or for more of one.", min=0.1)] = 15.0,
    interrupt: Annotated[
        float | None,
        typer.Option(
            help="Begin the next turn so many seconds after an answer begins to be heard.", min=0, show_default=False
        ),
    ] = None,
    wait_greeting: Annotated[float, typer.Option(help="Seconds that the agent may take to speak first.", min=0)] = 0.0,
    resume: Annotated[str, typer.Option(help="Amigo: go on with a conversation, by its id.")] = "",
    finish: Annotated[
        bool, typer.Option("--finish", help="Amigo: end the conversation for good, so that nobody goes on with it.")
    ] = False,
    json: Annotated[bool, typer.Option("--json", help="JSON lines on stdout; the same as --output json.")] = False,
    output: Annotated[Output, typer.Option(help="The meter, plain lines or JSON lines.")] = Output.AUTO,
) -> None:
    """Play the user of a voice agent: say files in real time, record both sides, and measure the answers.

    Every conversation becomes a folder: user.wav and agent.wav on one time line, conversation.wav with the user on the
    left and the agent on the right, the transcript, and each turn's figures. What was not answered is missing, never 0.

    Keys come from the environment: OPENAI_API_KEY, AZURE_OPENAI_API_KEY, DEEPGRAM_API_KEY, AMIGO_TOKEN.

    Examples:

      audiotap converse openai question.wav

      audiotap converse azure a.wav b.wav --url https://RESOURCE.openai.azure.com --model DEPLOYMENT

      audiotap converse botify question.wav --url ws://localhost:8080/realtime

      arecord -f S16_LE -r 16000 -c 1 -t raw | audiotap converse deepgram - --raw 16000

      audiotap converse amigo question.wav --organization ORG --service SERVICE_ID --json
    """
    from audiotap.jobs import converse as job
    from audiotap.net.agents.conversation import Manner
    from audiotap.net.agents.sources import Text

    mode = output.resolved(json=json)
    of_amigo = {"--event": event, "--urgent-event": urgent_event, "--resume": resume, "--finish": finish}
    odd = next((option for option, given in of_amigo.items() if given), None)
    if odd is not None and agent.dialect.name != AMIGO:
        raise UsageError(f"{odd} is for Amigo's agents only", f"leave it out for {agent.dialect.name}")
    if any(not one.strip() for one in (*(text or ()), *(event or ()), *(urgent_event or ()))):
        raise UsageError(
            "a turn without words", "write some behind --text, --event and --urgent-event, or leave it out"
        )
    events = [Text(one, event=True, start=False) for one in event or ()]
    events += [Text(one, event=True, start=True) for one in urgent_event or ()]
    if not (files or text or events or wait_greeting):
        raise UsageError("nothing to say", "name an audio file, - for standard input, or --text WORDS")
    sources = [*events, *job.sources(files or [], raw, agent), *(Text(one) for one in text or ())]
    if interrupt is not None:
        _check_interrupting(agent, sources)
    manner = Manner(timeout, interrupt, wait_greeting, finish)
    plan = job.Plan(agent.dialect, agent.account, agent.settings, sources, manner, out, resume)
    raise typer.Exit(job.converse(plan, mode))


def _check_interrupting(agent: Wanted, sources: Sequence[Source]) -> None:
    """UsageError where nothing can be interrupted."""
    from audiotap.net.agents.sources import Text

    if agent.settings.text:
        raise UsageError("an answer in text is not heard, so it is not interrupted", "leave out --interrupt")
    if agent.dialect.name == DEEPGRAM and (not agent.settings.vad or any(isinstance(one, Text) for one in sources[1:])):
        raise UsageError(
            "Deepgram's agents are interrupted by speech that they find themselves, and by nothing else",
            "leave out --interrupt, or say the turns as audio, and without --no-vad",
        )
