"""The demo's verdict: are the recordings what the simulators sent, sample by sample?"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import msgspec
import numpy as np
from numpy.typing import NDArray

from audiotap.audio import Chunk, Level
from audiotap.events import SPOKEN
from audiotap.jobs.output import talk
from audiotap.manifest import NAME, Manifest
from audiotap.net.sim.simulator import Outcome
from audiotap.reports import SessionFinished
from audiotap.sndfile import soundfile
from audiotap.text import counted

Samples = NDArray[np.int16]


class Check(msgspec.Struct, frozen=True):
    """One thing that was compared."""

    what: str
    good: bool
    detail: str


class Verdict(msgspec.Struct, frozen=True):
    """All that was compared, and where it lies."""

    checks: tuple[Check, ...]
    folders: tuple[str, ...]

    @classmethod
    def of(cls, outcomes: Sequence[Outcome], finished: Sequence[SessionFinished], *further: Check) -> Verdict:
        """Compare each finished session with what its simulator sent and heard; `further` things were compared."""
        checks: list[Check] = []
        told = {report.session: report for report in finished if report.path is not None}
        for outcome in outcomes:
            if outcome.session not in told:
                checks.append(Check(outcome.session, good=False, detail="was not recorded"))
                continue
            folder = Path(str(told[outcome.session].path))
            checks += recorded_checks(folder, outcome)
            if outcome.received.get("speak"):
                checks.append(spoken_check(folder, outcome))
        return cls((*checks, *further), tuple(str(report.path) for report in told.values()))

    @property
    def good(self) -> bool:
        return bool(self.checks) and all(check.good for check in self.checks)

    def tell(self) -> None:
        """The verdict in words on stderr."""
        for check in self.checks:
            talk(
                f"  {'ok ' if check.good else 'BAD'} {check.what}: {check.detail}",
                color=None if check.good else "red",
            )
        if not self.good:
            talk("the recordings are NOT what was sent: please report this as a bug", color="red")
            return
        talk("every recorded sample is what the simulated bots sent; the files are here:", color="green")
        for folder in self.folders:
            talk(f"  {folder}")


def recorded_checks(folder: Path, outcome: Outcome) -> list[Check]:
    """Every track that was sent against the file that was recorded, from the session's first sample on."""
    manifest = Manifest.parse((folder / NAME).read_bytes())
    recorded = {track.track: track for track in manifest.summary.tracks}
    sent = [track for track in outcome.sent if track.first is not None]
    origin = min((track.first for track in sent if track.first is not None), default=0)
    checks = []
    for track in sent:
        told = recorded.get(track.track)
        what = f"{outcome.session} {track.track}"
        if told is None or track.file is None:
            checks.append(Check(what, good=False, detail="was sent but not recorded"))
            continue
        expected = read(Path(track.file))[origin:]
        got = read(folder / manifest.files[track.track])
        checks.append(_compared(f"{what} {' '.join(told.names)}".strip(), expected, got, told.rate))
    return checks


def _compared(what: str, expected: Samples, recorded: Samples, rate: int) -> Check:
    if len(expected) == len(recorded) and bool(np.array_equal(expected, recorded)):
        loudest = Level.of(recorded.tobytes()).peak
        return Check(
            what,
            good=True,
            detail=f"{len(recorded) / rate:.2f} s identical, peak {loudest:.1f} dBFS",
        )
    common = min(len(expected), len(recorded))
    differing = int(np.count_nonzero(expected[:common] != recorded[:common]))
    return Check(what, good=False, detail=f"{len(expected)} samples sent, {len(recorded)} recorded, {differing} differ")


def spoken_check(folder: Path, outcome: Outcome) -> Check:
    """What we recorded as spoken against what the meeting heard; the silence between is each clock's own."""
    what = f"{outcome.session} {SPOKEN}"
    if outcome.played_file is None:
        return Check(what, good=False, detail="the meeting heard nothing")
    spoken, played = (_sounding(read(path)) for path in (folder / "spoken.wav", Path(outcome.played_file)))
    if not np.array_equal(spoken, played):
        return Check(what, good=False, detail=f"{len(spoken)} samples recorded, {len(played)} heard, or others")
    paused = f"{counted(len(outcome.pauses), 'pause')} on the way"
    return Check(what, good=True, detail=f"{outcome.played_seconds:.2f} s, as the meeting heard it; {paused}")


def answers_check(session: str, finished: Sequence[SessionFinished], voice: Chunk) -> Check:
    """What an agent said that was spoken into: its answer until then, followed by the whole of another one."""
    what = f"{session} answers"
    folder = next((report.path for report in finished if report.session == session), None)
    if folder is None or not (Path(folder) / "spoken.wav").exists():
        return Check(what, good=False, detail="the agent said nothing")
    spoken = _sounding(read(Path(folder) / "spoken.wav"))
    answer = _sounding(np.frombuffer(voice.pcm, "<i2"))
    cut = len(spoken) - len(answer)
    if not 0 < cut < len(answer) or not np.array_equal(spoken, np.concatenate([answer[:cut], answer])):
        return Check(what, good=False, detail=f"{len(spoken)} samples of two answers of {len(answer)} each, or others")
    return Check(
        what, good=True, detail=f"cut after {cut / voice.rate:.2f} s, as it was interrupted; the next one whole"
    )


def _sounding(samples: Samples) -> Samples:
    return np.asarray(samples[samples != 0])


def read(path: Path) -> Samples:
    """All samples of a WAV file."""
    samples, _ = soundfile.read(str(path), dtype="int16")
    return np.asarray(samples, dtype=np.int16)
