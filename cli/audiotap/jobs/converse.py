"""The work of `audiotap converse`: one conversation, from the dial to its files."""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Protocol
from uuid import uuid4

import msgspec

from audiotap.audio import Chunk
from audiotap.channels import write_stereo
from audiotap.dialects.agents.base import Account, AgentDialect, AgentSettings, Ending
from audiotap.errors import AudiotapError, Exit, MachineError, UsageError
from audiotap.files import write_atomically
from audiotap.jobs.mode import Output
from audiotap.jobs.output import talk, write
from audiotap.jobs.running import Signals, run
from audiotap.jobs.show import Shown, show
from audiotap.manifest import BOTH_SIDES
from audiotap.net.agents.agent import Agent, as_error
from audiotap.net.agents.conversation import Conversation, Early, Manner
from audiotap.net.agents.description import described
from audiotap.net.agents.sources import Audio, Encoded, Source
from audiotap.net.agents.tape import Tape
from audiotap.net.lanes import BatchLane, DirectLane, Lane
from audiotap.net.peer import check_url
from audiotap.net.tasks import first_of, from_thread, in_loop
from audiotap.reading import read_audio, read_stream
from audiotap.reports import AgentReady, ConversationFinished, Failed, Report, SaidAloud, SessionFinished
from audiotap.sinks.recording import Policy, Recorder
from audiotap.text import clock, printable, without_path

MP3_PART = 600_000
"""Bytes of a file in one message: below a megabyte as base64."""


class Wants(Protocol):
    """What is wanted of an agent."""

    @property
    def settings(self) -> AgentSettings: ...


class Plan(msgspec.Struct):
    """What a conversation is to be."""

    dialect: type[AgentDialect]
    account: Account
    settings: AgentSettings
    sources: Sequence[Source]
    manner: Manner
    out: Path
    resume: str = ""


def sources(files: Sequence[str], raw: int | None, wants: Wants) -> list[Source]:
    """The turns that are spoken. UsageError and AudioFileError for what can't be."""
    if files.count("-") > 1 or ("-" in files and files[-1] != "-"):
        raise UsageError("standard input is the last turn, and one only", "name - once, behind the files")
    if raw is not None and "-" not in files:
        raise UsageError("--raw is for standard input", "add - as the file, or leave --raw out")
    return [_source(file, raw, wants.settings) for file in files]


def converse(plan: Plan, mode: Output) -> Exit:
    """Converse until every turn was answered, or a signal asks for the end; all files are finished then."""
    check_url(plan.dialect.address(plan.account, plan.settings).url)
    try:
        plan.out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise MachineError(f"cannot write in {plan.out}: {error.strerror}", "choose another with --out") from error
    return run(_converse(plan, mode))


async def _converse(plan: Plan, mode: Output) -> Exit:
    signals = Signals()
    with show(mode) as shown:
        tell = _teller(shown, mode)
        early = Early()
        plan.settings = await described(plan.dialect, plan.account, plan.settings, talk)
        agent = Agent(plan.dialect, plan.account, plan.settings, early, tell, plan.resume)
        try:
            await shown.during(first_of(agent.open(), signals.asked.wait()))
            if signals.asked.is_set():
                return Exit.INTERRUPTED
            return await _recorded(plan, agent, early, shown, signals, tell)
        finally:
            await agent.close()


async def _recorded(
    plan: Plan, agent: Agent, early: Early, shown: Shown, signals: Signals, tell: Callable[[Report], None]
) -> Exit:
    """Record the conversation with an agent that is ready."""
    session = agent.id or uuid4().hex[:12]
    done: list[SessionFinished] = []

    def heard(report: Report) -> None:
        tell(report)
        if isinstance(report, SessionFinished):
            done.append(report)

    aloud = in_loop(heard)
    recorder = Recorder(Policy(plan.out), aloud)
    lanes: list[Lane] = [
        BatchLane(recorder, "the recording", aloud),
        *(DirectLane(w, "the meter", tell) for w in shown.watchers),
    ]
    tape = Tape((agent.name, session), lanes)
    conversation = Conversation(agent, tape, session, plan.manner, tell, text=plan.settings.text)
    tell(AgentReady(agent.name, session, without_path(agent.address.url), agent.connections))
    early.pass_to(conversation)
    ending = Ending("it failed")
    try:
        written = bool(plan.settings.transcribe)
        talking = conversation.run(plan.sources, vad=plan.settings.vad, written=written)
        await shown.during(first_of(talking, signals.asked.wait()))
        ending = _ending(agent, conversation, signals)
        await agent.leave(finish=plan.manner.finish)
    finally:
        await conversation.close()
        tape.malformed, tape.connections = agent.malformed, agent.connections
        await tape.close(ending.message)
    folder = Path(done[0].path) if done and done[0].path else None
    files = _write(folder, conversation, tell) if folder is not None else []
    turns = conversation.turns.turns
    missing = sum(not turn.answered for turn in turns)
    broken = sum(turn.broken for turn in turns)
    path = str(folder) if folder is not None else None
    told = ConversationFinished(
        agent.name,
        session,
        path,
        tuple(files),
        len(turns),
        missing,
        broken,
        round(done[0].seconds if done else 0, 3),
        ending.message,
    )
    tell(told)
    if ending.status is not Exit.OK:
        raise as_error(agent.name, ending)
    if (missing or broken) and not signals.asked.is_set():
        return Exit.FAILED
    return Exit.LOSSY if recorder.failed or (done and done[0].lossy) else Exit.OK


def _ending(agent: Agent, conversation: Conversation, signals: Signals) -> Ending:
    """Why the conversation is over."""
    if signals.asked.is_set():
        return Ending("it was interrupted", status=Exit.OK)
    if conversation.concluded:
        return Ending("the agent ended it", status=Exit.OK)
    if agent.lost is not None:
        return agent.lost
    return Ending("all was said", status=Exit.OK)


def _write(folder: Path, conversation: Conversation, tell: Callable[[Report], None]) -> list[str]:
    """Everything beside the tracks: both sides in one file, the transcript, the figures."""
    rows = conversation.dialogue.rows()
    plain = "".join(f"{clock(row['at'])} {row['role']}: {printable(row['text'])}\n" for row in rows)
    turns = [turn.row() for turn in conversation.turns.turns]
    documents = {
        "transcript.json": msgspec.json.format(msgspec.json.encode(rows), indent=2) + b"\n",
        "transcript.txt": plain.encode(),
        "turns.json": msgspec.json.format(msgspec.json.encode(turns), indent=2) + b"\n",
    }
    if conversation.encoded:
        documents["agent.mp3"] = b"".join(conversation.encoded)
    sides = [path if path.exists() else None for path in (folder / "user.wav", folder / "agent.wav")]
    written = [path for path in sides if path is not None]
    try:
        for name, data in documents.items():
            write_atomically(folder / name, data)
            written.append(folder / name)
        if any(sides):
            write_stereo(sides[0], sides[1], folder / BOTH_SIDES)
            written.append(folder / BOTH_SIDES)
    except (OSError, AudiotapError) as error:
        tell(Failed(f"cannot write in {folder}: {error}", "the tracks are there; free the disk"))
    return [str(path) for path in written]


def _teller(shown: Shown, mode: Output) -> Callable[[Report], None]:
    """Reports as everywhere; in plain mode the transcript is what stdout is for."""

    def tell(report: Report) -> None:
        if mode is Output.PLAIN and isinstance(report, SaidAloud):
            write(sys.stdout, f"{clock(report.at)} {printable(report.role)}: {printable(report.text)}\n")
        else:
            shown.tell(report)

    return tell if mode is Output.PLAIN else shown.tell


def _source(file: str, raw: int | None, settings: AgentSettings) -> Source:
    if file == "-":
        return Audio("stdin", _kept(read_stream(sys.stdin.buffer, raw)), live=True)
    path = Path(file)
    if path.suffix.lower() == ".mp3" and settings.form == "mp3" and not settings.vad:
        with suppress(OSError):
            data = path.read_bytes()
            parts = tuple(data[at : at + MP3_PART] for at in range(0, len(data), MP3_PART))
            return Encoded(path.name, _kept(read_audio(path)), parts, "mp3")
    return Audio(path.name, _kept(read_audio(path)))


async def _kept(chunks: Iterator[Chunk]) -> AsyncIterator[Chunk]:
    """Chunks that a thread reads once somebody wants them."""
    async for chunk in from_thread(chunks):
        yield chunk
