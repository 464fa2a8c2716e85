"""What the meter costs: ten seconds of 200 tracks, redrawn twelve times a second on a screen of 120 x 50.

Run it with `PYTHONPATH=cli python tests/bench/meter.py`; it may take 4 % of a core.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path

import numpy as np
from rich.console import Console

from audiotap.audio import Chunk
from audiotap.jobs.screen import Screen
from audiotap.session import Placed
from audiotap.sinks.meter import FRAMES_PER_SECOND, Meter

TRACKS = 200
SECONDS = 10
RATE = 16_000
BLOCK = 320
"""Samples of a chunk: 20 ms, so that a screen takes four or five of each track at a time."""


def placed(turn: int, noise: np.ndarray) -> list[Placed]:
    """One chunk of every track; voices come and go, so that all bars move."""
    chunks = []
    for track in range(TRACKS):
        loudness = abs(np.sin(turn / 25 + track))
        begin = (turn * BLOCK + track * 7) % (RATE - BLOCK)
        pcm = (noise[begin : begin + BLOCK] * loudness).clip(-32768, 32767).astype("<i2").tobytes()
        chunks.append(Placed(("attendee", "bot"), f"track {track}", turn * BLOCK, Chunk(pcm, RATE)))
    return chunks


def cost() -> tuple[float, float]:
    """Processor seconds that were spent on taking chunks, and on measuring and drawing."""
    meter = Meter()
    noise = np.random.default_rng(1).normal(0.0, 8000.0, RATE)
    taking = drawing = frames = 0.0
    with Path("/dev/null").open("w", encoding="utf-8") as nowhere:
        console = Console(file=nowhere, width=120, height=50, force_terminal=True, color_system="256")
        with Screen(meter, console) as screen:
            for turn in range(SECONDS * RATE // BLOCK):
                chunks = placed(turn, noise)
                begin = time.process_time()
                for chunk in chunks:
                    meter.write((chunk,))
                taken = time.process_time()
                now = turn * BLOCK / RATE
                if now * FRAMES_PER_SECOND >= frames:
                    screen.refresh(now)
                    frames += 1
                taking += taken - begin
                drawing += time.process_time() - taken
    return taking, drawing


def main() -> None:
    taking, drawing = cost()
    sys.stdout.write(
        f"{TRACKS} tracks, {FRAMES_PER_SECOND} frames/s: {(taking + drawing) / SECONDS:.2%} of a core "
        f"(taking chunks {taking / SECONDS:.2%}, measuring and drawing {drawing / SECONDS:.2%})\n"
    )


if __name__ == "__main__":
    main()
