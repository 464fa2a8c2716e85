"""The work of `audiotap sim bot`: read the voices, run the bot, tell what became of it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import msgspec

from audiotap.errors import Exit, UsageError
from audiotap.jobs.output import emit, talk
from audiotap.jobs.running import Signals, run
from audiotap.net.peer import check_url
from audiotap.net.sim.line import Retry
from audiotap.net.sim.manners import MANNERS
from audiotap.net.sim.simulator import Outcome, Script, SimulatedBot, Voice
from audiotap.reading import read_all
from audiotap.text import without_path

FIRST_ID = 100


def bot(script: Script, *, json: bool) -> Exit:
    """Run a bot to its end, or until a signal. UsageError for a bad URL, NobodyError when nobody ever answered."""
    check_url(script.url)
    outcome = run(_run(script))
    if json:
        emit(outcome)
    else:
        _tell(outcome)
    return Exit.FAILED if outcome.gave_up else Exit.OK


def rate(provider: str, wanted: int | None) -> int:
    """The rate at which a bot sends. UsageError for one at which that provider's bots send nothing."""
    rates = MANNERS[provider].rates
    if wanted is not None and wanted not in rates:
        raise UsageError(f"{provider} sends no {wanted} Hz", f"choose --rate out of {', '.join(map(str, rates))}")
    return wanted or rates[0]


def streams(provider: str, *, mixed: bool, separate: bool) -> tuple[bool, bool]:
    """Whether the mix and whether participants are sent. UsageError where that provider's bots send none of it."""
    sent = MANNERS[provider].streams(mixed=mixed, separate=separate)
    if not any(sent):
        other = "separate" if mixed else "mixed"
        raise UsageError(f"{provider} sends no such stream", f"leave --streams out, or choose {other}")
    return sent


def voices(
    provider: str, files: Sequence[Path], names: Sequence[str], mutes: Sequence[str], rate: int
) -> tuple[Voice, ...]:
    """The participants. Recall's ids are numbers and others take any, so 100, 101, … serve all.

    UsageError for more of them than a provider has tracks, where these have names of their own.
    """
    ids = MANNERS[provider].tracks or [str(FIRST_ID + n) for n in range(len(files))]
    if len(files) > len(ids):
        raise UsageError(f"{provider} has {len(ids)} participants only", f"give {len(ids)} files: {', '.join(ids)}")
    called = [names[n] if n < len(names) else path.stem for n, path in enumerate(files)]
    muted: dict[str, list[tuple[float, float]]] = {}
    for text in mutes:
        who, times = _mute(text)
        if who not in called:
            raise UsageError(f"--mute {text}: nobody is called {who}", f"there are: {', '.join(called)}")
        muted.setdefault(who, []).append(times)
    return tuple(
        Voice(ids[n], who, read_all(path, rate), tuple(muted.get(who, ())))
        for n, (path, who) in enumerate(zip(files, called, strict=True))
    )


def drops(texts: Sequence[str]) -> tuple[tuple[float, float], ...]:
    """`AT` or `AT:AWAY` in seconds, as the simulator takes them."""
    return tuple(_drop(text) for text in texts)


def retry(provider: str, delay: float | None) -> Retry | None:
    """The vendor's way to reconnect with another delay; None where the vendor's own is meant."""
    if delay is None:
        return None
    usual = MANNERS[provider].retry
    return msgspec.structs.replace(usual, delay=delay, first=min(usual.first, delay))


async def _run(script: Script) -> Outcome:
    signals = Signals()
    talk(f"{script.provider} bot {script.id}: {len(script.voices)} participant(s), dialling {without_path(script.url)}")
    return await SimulatedBot(script, talk).run(signals.asked)


def _mute(text: str) -> tuple[str, tuple[float, float]]:
    who, _, times = text.rpartition(":")
    begin, _, end = times.partition("-")
    try:
        return who, (float(begin), float(end))
    except ValueError as error:
        raise UsageError(f"--mute {text} is not NAME:FROM-TO", "e.g. --mute ana:2-4.5") from error


def _drop(text: str) -> tuple[float, float]:
    at, _, away = text.partition(":")
    try:
        return float(at), float(away or 0)
    except ValueError as error:
        raise UsageError(f"--drop {text} is not AT or AT:AWAY", "e.g. --drop 3 or --drop 3:12") from error


def _tell(outcome: Outcome) -> None:
    talk(f"{outcome.seconds:.2f} s of call over {outcome.connections} connection(s)")
    for track in outcome.sent:
        dropped = f", {track.dropped} not sent for want of a connection" if track.dropped else ""
        talk(f"  {track.track}: {track.messages} messages{dropped}")
    received = ", ".join(f"{count} {kind}" for kind, count in outcome.received.items()) or "nothing"
    talk(f"  told: {received}; the meeting heard {outcome.played_seconds:.2f} s of it")
    if outcome.residue_lost:
        talk(f"  {outcome.residue_lost:.3f} s were lost as left-overs below 100 ms")
    if outcome.unplayable:
        talk(f"  {outcome.unplayable} messages at a rate that Attendee plays nothing of (8000, 16000, 24000 work)")
    if outcome.malformed:
        talk(f"  {outcome.malformed} malformed messages came from the server")
