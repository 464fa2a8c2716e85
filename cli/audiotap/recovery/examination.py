"""A session's folder that nobody records: what is wrong in it, what the manifest should say, and how it is repaired.

Looking changes nothing. Repairing writes the manifest first and mends the files after it, so it may be cut short: the
next look finds what is left to do.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime
from functools import partial
from pathlib import Path, PurePath

from msgspec.structs import replace

from audiotap.errors import ManifestError
from audiotap.files import changes, write_atomically
from audiotap.manifest import BESIDE, EVENT_LOG, NAME, UPLOADS, Manifest
from audiotap.recovery.mending import Problem, Verdict, event_log_problems, held, is_json, same_samples
from audiotap.recovery.salvage import rebuilt, strays
from audiotap.track import TrackSummary

KILLED, REBUILT = "the recorder was killed", "rebuilt by check"
"""Reasons for the end of a session that nobody ended."""
_MANIFEST_DRAFT = f".{NAME}.tmp"
_DRAFT = re.compile(rf"\.({re.escape(NAME)}|.+\.(wav|flac))\.tmp")
_TWINS = {".wav": ".flac", ".flac": ".wav"}


class Examination:
    """One look at a folder: its `problems`, and when one of its files was changed last (`touched`).

    `settled` is the manifest with what the files really hold; None where there is none to be had.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.problems: list[Problem] = []
        self._files = changes(folder)
        self.touched = _last(self._files) or datetime.fromtimestamp(folder.stat().st_mtime, UTC)
        self._reason = KILLED
        self._known = {NAME, *BESIDE}
        self._grows = True
        self._there = self._read(NAME)
        self.settled: Manifest | None = None
        base = self._there or self._salvaged()
        if base is not None:
            self.settled = self._settle(base)
            self._look_around()

    @property
    def after(self) -> Manifest | None:
        """The manifest that should be there: one with an end, since nobody records."""
        manifest = self.settled
        if manifest is None or manifest.summary.ended is not None:
            return manifest
        return replace(manifest, summary=replace(manifest.summary, ended=self.touched, reason=self._reason))

    @property
    def resumable(self) -> Manifest | None:
        """The manifest with which today's recorder can go on; None if it cannot."""
        open_still = self.settled is not None and self.settled.summary.ended is None
        return self.settled if open_still and self._grows else None

    def repair(self) -> None:
        """Make true what can be; what the disk refuses is for a person to solve."""
        after = self.after
        try:
            if after is not None and after != self._there:
                write_atomically(self.folder / NAME, after.document(), durable=True)
        except OSError as error:
            self._find(NAME, f"it cannot be written: {error.strerror}", "unsolved")
            return
        self.problems = [_repaired(problem) for problem in self.problems]

    def mend(self) -> None:
        """Make the files true, and leave the manifest as it is. OSError when the disk refuses."""
        for problem in self.problems:
            if problem.mend is not None:
                problem.mend()

    def _find(self, file: str, text: str, verdict: Verdict = "repairable") -> None:
        self.problems.append(Problem(file, text, verdict))

    # The manifest

    def _read(self, name: str) -> Manifest | None:
        """A manifest, or None; a JSON document that is another one is not ours to replace."""
        if name not in self._files:
            return None
        data = (self.folder / name).read_bytes()
        try:
            return Manifest.parse(data)
        except ManifestError as error:
            if name == NAME and is_json(data):
                self._find(NAME, error.message, "unsolved")
            return None

    def _salvaged(self) -> Manifest | None:
        """What there is instead of a manifest that is missing or torn."""
        if self.problems:
            return None
        lost = "it is torn" if NAME in self._files else "it is missing"
        draft = self._read(_MANIFEST_DRAFT)
        if draft is not None:
            self._find(NAME, f"{lost}; a draft of it is whole")
            return draft
        manifest = rebuilt(self.folder, self._files)
        if manifest is None:
            self._find(NAME, f"{lost}, and the folder's name does not tell whose session it was", "unsolved")
        else:
            self._reason = REBUILT
            self._find(NAME, f"{lost}; the files and their names tell the rest, but ids as they were and all counts")
        return manifest

    # The tracks

    def _settle(self, base: Manifest) -> Manifest:
        """A manifest that says what the files hold; once a session has ended, what they lack is not taken off it."""
        over = base.summary.ended is not None
        tracks: list[TrackSummary] = []
        files: dict[str, str] = {}
        lost = base.lost
        for track, named in self._pairs(base):
            samples = track.samples
            if named is not None:
                files[track.track] = file = self._choose(named, track, base)
                there = self._compare(file, track)
                samples = max(there, samples) if over else there
            lost += max(0, track.samples - samples)
            tracks.append(replace(track, samples=samples))
        return replace(base, summary=replace(base.summary, tracks=tuple(tracks)), files=files, lost=lost)

    def _pairs(self, base: Manifest) -> list[tuple[TrackSummary, str | None]]:
        """Tracks and their files; of a session without an end also those that its manifest does not know yet."""
        pairs = [(track, base.files.get(track.track)) for track in base.summary.tracks]
        if base.summary.ended is None:
            for file, track, guessed in strays(self.folder, self._files, base):
                pairs.append((track, file))
                if guessed:
                    self._find(file, f"nothing tells its rate: {track.rate} Hz is a guess")
                elif self._reason != REBUILT:
                    self._find(file, "the manifest does not know it yet")
        return pairs

    def _choose(self, named: str, track: TrackSummary, base: Manifest) -> str:
        """The file of a track: what the manifest names, unless the FLAC or the WAV beside it is the better one."""
        path = PurePath(named)
        twin = f"{path.stem}{_TWINS.get(path.suffix, path.suffix)}"
        self._known |= {named, twin}
        if twin not in self._files or twin == named or twin in base.files.values():
            return named
        if self._is_whole(named, track):
            self._spare(twin, named)
        elif self._is_whole(twin, track):
            self._find(named, f"it is {'damaged' if named in self._files else 'missing'}, but {twin} is whole")
            return twin
        else:
            self._find(twin, f"it is no whole copy of {named}", "noted")
        return named

    def _is_whole(self, file: str, track: TrackSummary) -> bool:
        if file not in self._files:
            return False
        seen = held(self.folder / file, track.rate)
        mendable = all(problem.verdict == "repairable" for problem in seen.problems)
        return mendable and seen.rate in {None, track.rate} and (seen.samples or 0) >= track.samples

    def _spare(self, twin: str, named: str) -> None:
        """What is there twice was to be converted when that was cut short."""
        flac, wav = sorted((self.folder / twin, self.folder / named), key=lambda path: path.suffix)
        if same_samples(wav, flac):
            mend = partial((self.folder / twin).unlink, missing_ok=True)
            self.problems.append(Problem(twin, f"{named} holds the same", mend=mend))
        else:
            self._find(twin, f"it holds something else than {named}", "noted")

    def _compare(self, file: str, track: TrackSummary) -> int:
        """How many samples a file holds, as far as it can be told."""
        seen = held(self.folder / file, track.rate)
        self.problems += seen.problems
        self._grows &= seen.grows
        if seen.rate not in {None, track.rate}:
            self._find(file, f"it tells {seen.rate} Hz, and the manifest {track.rate} Hz", "unsolved")
        if seen.samples is None:
            return track.samples
        short = (track.samples - seen.samples) / track.rate
        if short > 0:
            self._find(file, f"{short:.2f} s of {track.seconds:.2f} s are missing", "lost")
        elif short < 0:
            self._find(file, f"the manifest counts {-short:.2f} s less than it holds")
        return seen.samples

    # The rest

    def _look_around(self) -> None:
        """What lies in the folder besides the tracks' files."""
        if self.settled is not None and self.settled.summary.ended is None and self._reason == KILLED:
            self._find(NAME, f"it has no end: {KILLED}")
        if EVENT_LOG in self._files:
            self.problems += event_log_problems(self.folder / EVENT_LOG)
        for file in sorted(self._files.keys() - self._known):
            if _DRAFT.fullmatch(file):
                mend = partial((self.folder / file).unlink, missing_ok=True)
                self.problems.append(Problem(file, "a draft that was never finished", mend=mend))
            elif not file.startswith("."):
                self._find(file, "the manifest does not know it", "noted")


def _last(files: dict[str, datetime]) -> datetime | None:
    """The last change of a file by its recorder: repairs that were cut short leave drafts, and uploads go on later."""
    ours = (time for file, time in files.items() if file != UPLOADS and not _DRAFT.fullmatch(file))
    return max(ours, default=None)


def _repaired(problem: Problem) -> Problem:
    if problem.verdict != "repairable":
        return problem
    try:
        if problem.mend is not None:
            problem.mend()
    except OSError as error:
        return problem._replace(text=f"{problem.text}, and cannot be mended: {error.strerror}", verdict="unsolved")
    return problem._replace(verdict="repaired")
