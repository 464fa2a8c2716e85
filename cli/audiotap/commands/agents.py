"""The agents, as options name them, and how one is to be: what `converse` and `bridge` have in common."""

from __future__ import annotations

import json as json_module
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple

import typer

from audiotap.commands import settings
from audiotap.errors import UsageError

if TYPE_CHECKING:
    from audiotap.dialects.agents.base import Account, AgentDialect, AgentSettings

AGENT = "The agent"
"""The part of the help for how it is to be."""


class Vendor(StrEnum):
    """Whose agent it is."""

    OPENAI = "openai"
    AZURE = "azure"
    BOTIFY = "botify"
    DEEPGRAM = "deepgram"
    AMIGO = "amigo"


TRANSCRIBERS = {Vendor.OPENAI: "gpt-transcribe"}
NOBODY = "none"


class Answer(StrEnum):
    """How the agent answers."""

    PCM = "pcm"
    MP3 = "mp3"
    TEXT = "text"


class Wanted(NamedTuple):
    """The agent that is meant: its dialect, where it is and who asks, and how it is to be."""

    dialect: type[AgentDialect]
    account: Account
    settings: AgentSettings


def wanted(
    vendor: Annotated[Vendor, typer.Argument(help="Whose agent it is.", metavar="PROVIDER")],
    url: Annotated[
        str,
        typer.Option(
            help="Where the agent is, if not at its vendor's: ws://… or wss://… (AGENT_URL in the environment, such as "
            "OPENAI_URL or BOTIFY_URL).",
            rich_help_panel=AGENT,
        ),
    ] = "",
    model: Annotated[
        str,
        typer.Option(help="The model (Azure: the deployment; Deepgram: the model that thinks).", rich_help_panel=AGENT),
    ] = "",
    instructions: Annotated[
        str, typer.Option(help="What the agent is told to be; @FILE reads it from a file.", rich_help_panel=AGENT)
    ] = "",
    voice: Annotated[str, typer.Option(help="The agent's voice.", rich_help_panel=AGENT)] = "",
    language: Annotated[str, typer.Option(help="The user's language, such as en.", rich_help_panel=AGENT)] = "",
    greeting: Annotated[str, typer.Option(help="What the agent says first (not Amigo).", rich_help_panel=AGENT)] = "",
    transcribe: Annotated[
        str,
        typer.Option(
            help="The model that writes down what the user says (OpenAI's own: gpt-transcribe); none for nobody.",
            rich_help_panel=AGENT,
        ),
    ] = "",
    vad: Annotated[
        bool,
        typer.Option(
            "--vad/--no-vad",
            help="The agent finds the ends of turns; otherwise it is told them.",
            rich_help_panel=AGENT,
        ),
    ] = True,
    answer: Annotated[
        Answer, typer.Option(help="What the agent answers in (mp3: Amigo without VAD).", rich_help_panel=AGENT)
    ] = Answer.PCM,
    rate: Annotated[
        int, typer.Option(help="Hz that the agent hears; 0 is its usual rate.", min=0, rich_help_panel=AGENT)
    ] = 0,
    output_rate: Annotated[
        int, typer.Option(help="Hz that the agent speaks; 0 is its usual rate.", min=0, rich_help_panel=AGENT)
    ] = 0,
    organization: Annotated[
        str,
        typer.Option(
            help="Amigo: the organization (or AMIGO_ORGANIZATION). Azure: the resource.", rich_help_panel=AGENT
        ),
    ] = "",
    region: Annotated[
        str, typer.Option(help="Amigo: us, ca, eu or ap; Deepgram: eu, au or in.", rich_help_panel=AGENT)
    ] = "",
    api_version: Annotated[
        str, typer.Option(help="Azure: the preview's api-version; without one it is GA.", rich_help_panel=AGENT)
    ] = "",
    service: Annotated[
        str,
        typer.Option(help="An agent set up at its vendor's: Amigo's service, Deepgram's agent.", rich_help_panel=AGENT),
    ] = "",
    service_version: Annotated[str, typer.Option(help="Amigo: the service's version set.", rich_help_panel=AGENT)] = "",
    settings_file: Annotated[
        Path | None,
        typer.Option(
            "--settings",
            help="JSON that is laid over the vendor's own settings message, for everything else it can do.",
            show_default=False,
            rich_help_panel=AGENT,
        ),
    ] = None,
    option: Annotated[
        list[str] | None,
        typer.Option(
            help="A switch of the agent's dialect, as its page in docs/agents tells; repeatable.",
            show_default=False,
            rich_help_panel=AGENT,
        ),
    ] = None,
) -> Wanted:
    """The agent that the options mean. Keys come from the environment only."""
    from audiotap.audio import RATES
    from audiotap.dialects.agents import AGENTS
    from audiotap.dialects.agents.base import Account, AgentSettings

    for which, hertz in (("--rate", rate), ("--output-rate", output_rate)):
        if hertz and hertz not in RATES:
            raise UsageError(f"nobody speaks at {hertz} Hz", f"{which} is a rate such as 16000, or left out")
    name = vendor.value
    account = Account(
        settings.agent_key(name),
        url or settings.agent_url(name),
        organization or settings.agent_organization(name),
        region,
        api_version,
    )
    return Wanted(
        AGENTS[name],
        account,
        AgentSettings(
            rate,
            output_rate,
            model or settings.agent_model(name),
            _text(instructions),
            voice,
            language,
            greeting,
            _transcriber(vendor, transcribe),
            vad,
            answer is Answer.TEXT,
            "mp3" if answer is Answer.MP3 else "pcm",
            service,
            service_version,
            _extra(settings_file),
            frozenset(option or ()),
        ),
    )


def _transcriber(vendor: Vendor, given: str) -> str:
    """The model that writes down what the user says; without one, OpenAI tells nothing of it."""
    if given == NOBODY:
        return ""
    return given or TRANSCRIBERS.get(vendor, "")


def _text(given: str) -> str:
    """A text, or that of a file."""
    if not given.startswith("@"):
        return given
    try:
        return Path(given[1:]).read_text("utf-8")
    except (OSError, UnicodeError) as error:
        raise UsageError(f"cannot read {given[1:]}: {error}", "--instructions @FILE wants a text file") from error


def _extra(file: Path | None) -> dict[str, Any]:
    if file is None:
        return {}
    try:
        extra = json_module.loads(file.read_text("utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise UsageError(f"cannot read {file} as JSON: {error}", "--settings wants a file with one object") from error
    if not isinstance(extra, dict):
        raise UsageError(f"{file} holds no object", '--settings wants e.g. {"audio": {"output": {"speed": 1.1}}}')
    return extra
