"""What servers wrote: how much there is already, and whether it is what was sent, byte by byte."""

from __future__ import annotations

import json
import os
import struct
import time
from pathlib import Path

import msgspec

from rig.frames import Call, session_of
from rig.processes import Server, VoidError

LOOK_SECONDS = 0.02
STILL_LOOKS = 10
"""Looks at files that do not grow any more, until they count as complete."""
STALLED_SECONDS = 60.0
"""Without any growth while something is missing, a server has lost it."""


def data_chunk(path: Path) -> tuple[int, int]:
    """Where a WAV's samples begin, and how many bytes of them its header counts."""
    with path.open("rb") as file:
        if file.read(12)[8:] != b"WAVE":
            raise VoidError(f"{path} is no WAV")
        while header := file.read(8):
            name, size = struct.unpack("<4sI", header)
            if name == b"data":
                return file.tell(), size
            file.seek(size + size % 2, os.SEEK_CUR)
    raise VoidError(f"{path} has no samples")


class Output:
    """The files of one server, one for each connection of a call; `header` is what comes before their samples."""

    def __init__(self, out: Path, call: Call) -> None:
        self._out = out
        self._call = call
        self._files: list[Path] = []
        self.header = 0

    def files(self) -> list[Path]:
        """The audio files that are there by now."""
        if len(self._files) < self._call.connections:
            names = (Path(folder, name) for folder, _, names in os.walk(self._out) for name in names)
            self._files = [path for path in names if path.suffix in {".wav", ".raw"}]
            wav = next((path for path in self._files if path.suffix == ".wav" and path.stat().st_size), None)
            self.header = data_chunk(wav)[0] if wav else 0
        return self._files

    def held(self) -> int:
        """Bytes of samples in all files."""
        return sum(path.stat().st_size - self.header for path in self.files())

    def settled(self, server: Server, frames: int) -> tuple[float, float]:
        """Wait until the files hold so many frames of each connection and grow no more.

        Returns the server's processor time and the clock's, both at the second look that found the files complete:
        what a header needs after the last sample is done by then.
        """
        wanted = frames * self._call.connections * self._call.chunk_bytes
        readings: list[tuple[float, float]] = []
        before, grown = -1, time.monotonic()
        while len(readings) < STILL_LOOKS:
            held, now = self.held(), time.monotonic()
            if held != before:
                readings, before, grown = [], held, now
            if held >= wanted:
                readings.append((server.cpu_seconds(), now))
            elif now - grown > STALLED_SECONDS:
                raise VoidError(f"{server.name} wrote {held} of {wanted} bytes: {server.complaints()}")
            time.sleep(LOOK_SECONDS)
        return readings[1]

    def check(self, server: str) -> None:
        """VoidError unless every connection's track holds exactly the samples that it was sent."""
        tracks = self._by_session()
        for connection in range(self._call.connections):
            path = tracks.pop(session_of(connection), None)
            if path is None:
                raise VoidError(f"{server} has no track of connection {connection}")
            if wrong := difference(self._call.sound(connection), samples(path)):
                raise VoidError(f"{server}, {path.name} of connection {connection}: {wrong}")
        if tracks:
            raise VoidError(f"{server} made files of nobody: {list(tracks)}")

    def _by_session(self) -> dict[str, Path]:
        """Ours by the manifests; others put the session's id in front of their files' names."""
        if not any(self._out.glob("*/manifest.json")):
            return {path.name[: len(session_of(0))]: path for path in self._out.glob("*.raw")}
        tracks = {}
        for session, files in recorded(self._out).items():
            if len(files) != 1:
                raise VoidError(f"{session} has {list(files)}")
            tracks[session] = next(iter(files.values())).path
        return tracks


class Recorded(msgspec.Struct, frozen=True):
    """A track as our manifest has it."""

    path: Path
    gaps: int


def recorded(out: Path) -> dict[str, dict[str, Recorded]]:
    """Each session's tracks, by our manifests; VoidError if one does not end well."""
    files = {}
    for manifest in out.glob("*/manifest.json"):
        told = json.loads(manifest.read_text("utf-8"))
        if told["ended"] is None or told["lossy"]:
            raise VoidError(f"{manifest}: ended {told['ended']}, lossy {told['lossy']}")
        files[told["session"]] = {
            track["track"]: Recorded(manifest.parent / track["file"], track["gaps"]) for track in told["tracks"]
        }
    return files


def samples(path: Path) -> bytes:
    """A file's samples; a WAV's header has to count exactly those that are there."""
    written = path.read_bytes()
    if path.suffix != ".wav":
        return written
    begin, size = data_chunk(path)
    if begin + size != len(written):
        raise VoidError(f"{path} counts {size} bytes of samples and holds {len(written) - begin}")
    return written[begin:]


def difference(sent: bytes, written: bytes) -> str:
    """What is wrong, in words; empty if nothing is."""
    if sent == written:
        return ""
    first = next((at for at, (a, b) in enumerate(zip(sent, written, strict=False)) if a != b), None)
    lengths = f"{len(sent)} bytes were sent, {len(written)} are there"
    return lengths if first is None else f"byte {first} is another one; {lengths}"
