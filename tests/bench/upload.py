"""What it costs to bring recordings into a store: CPU, bytes and requests per hour of a track.

Run it with `PYTHONPATH=cli python tests/bench/upload.py FOLDER [--sessions 8] [--minutes 10] [--segment 60]`; FOLDER
gets recordings of speech (a third of the time) and is emptied again. The store is a folder, so the network's part, TLS
and signatures, is missing.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory

from audiotap.inspection import Findings
from audiotap.intake import Flaws
from audiotap.manifest import NAME, UPLOADS, Manifest
from audiotap.net.fleet.upload import Uploads, uploading
from audiotap.reading import read_all
from audiotap.reports import Report
from audiotap.session import Summary
from audiotap.track import TrackCounts, TrackSummary
from audiotap.writing import WavWriter

RATE = 16_000
SPEECH = Path(__file__).parents[2] / "cli" / "audiotap" / "speech" / "ana.flac"
STARTED = datetime(2026, 11, 21, tzinfo=UTC)


def record(out: Path, sessions: int, minutes: int) -> None:
    """Sessions of one track that are over, as a listener leaves them."""
    said = read_all(SPEECH, RATE)
    turn = said + bytes(2 * len(said))
    size = minutes * 60 * RATE * 2
    for number in range(sessions):
        folder = out / f"20261121T000000Z_attendee_bot_{number}"
        folder.mkdir()
        file = WavWriter(folder / "mixed.wav", RATE)
        file.write(0, (turn * (size // len(turn) + 1))[:size])
        file.close()
        track = TrackSummary("mixed", (), RATE, 0, size // 2, 0.0, TrackCounts(), Flaws(), Findings())
        key = ("attendee", f"bot_{number}")
        end = STARTED + timedelta(minutes=minutes)
        summary = Summary(key, None, STARTED, end, "over", 0.0, 0, 1, 0, 0, {}, (track,))
        (folder / NAME).write_bytes(Manifest(summary, "wav", {"mixed": "mixed.wav"}).document())
        (folder / UPLOADS).touch()


def tell(report: Report) -> None:
    sys.stdout.write(f"{report}\n")


async def upload(uploads: Uploads, out: Path) -> None:
    """Everything that is due."""
    async with uploading(uploads, out) as uploader:
        uploader.start(tell)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=Path)
    parser.add_argument("--sessions", type=int, default=8)
    parser.add_argument("--minutes", type=int, default=10)
    parser.add_argument("--segment", type=float, default=60.0)
    options = parser.parse_args()
    with TemporaryDirectory(dir=options.folder) as place:
        out, store = Path(place) / "recordings", Path(place) / "store"
        out.mkdir()
        record(out, options.sessions, options.minutes)
        cpu, wall = time.process_time(), time.perf_counter()
        asyncio.run(upload(Uploads(store.as_uri(), options.segment, 3600.0), out))
        cpu, wall = time.process_time() - cpu, time.perf_counter() - wall
        objects = [path for path in store.rglob("*") if path.is_file()]
        size = sum(path.stat().st_size for path in objects)
        wav = sum(path.stat().st_size for path in out.rglob("*.wav"))
    hours = options.sessions * options.minutes / 60
    sys.stdout.write(
        f"{hours:.2f} hours of tracks: {cpu / hours:.2f} s of CPU, {size / hours / 1e6:.1f} MB "
        f"({size / wav:.0%} of WAV) and {len(objects) / hours:.0f} objects an hour; {wall:.1f} s in all\n"
    )


if __name__ == "__main__":
    main()
