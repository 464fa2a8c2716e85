"""A capture being written: moments gather in the event loop, and a thread makes lines of them.

The recording never waits for it. A disk that is full, too slow or gone ends the capture, and so does its limit; a kill
costs at most what gathers and what is being written, which is less than a second of it.
"""

from __future__ import annotations

import asyncio
import os
import zlib
from collections.abc import Callable
from functools import partial
from itertools import count
from pathlib import Path

from audiotap.capture import MAX_LINE, Ended, Hello, Moment, Spoke, Took, lines
from audiotap.errors import MachineError
from audiotap.files import append
from audiotap.net.tasks import Worker
from audiotap.reports import Capturing, Odd, Report
from audiotap.text import human_size

GATHER_SECONDS = 0.25
"""How long moments gather before the thread has them."""
MOST_WAITING = 64 * 1024 * 1024
"""Bytes of messages that may wait for the disk."""
LEVEL = 1
"""Of compression: base64 gives away its quarter at any level, and speech gives away little more."""
GZIP = 31
"""zlib's word for a gzip header and trailer."""
SMALL = 256
"""Bytes that any moment counts as."""
CLOSING_SECONDS = 10.0
"""That the end waits for the disk."""
STOPPED = "the capture stopped, and the recording goes on"


class CaptureWriter:
    """The writer of one capture of at most about `most` bytes. `take` and `close` are for the event loop's thread."""

    def __init__(self, path: Path, most: int, tell: Callable[[Report], None]) -> None:
        self._fd, self._path = _made(path)
        self._most = most
        self._tell = tell
        self._loop = asyncio.get_running_loop()
        self._worker = Worker("audiotap: the capture")
        self._zip = zlib.compressobj(LEVEL, wbits=GZIP)
        self._moments: list[Moment] = []
        self._waiting = self._size = 0
        self._gathering: asyncio.TimerHandle | None = None
        self._over = self._sealed = False

    def begin(self, hello: Hello) -> None:
        """Write the first line, at once: it makes the file a capture."""
        self.take(hello)
        self._pass_on()
        self._tell(Capturing(str(self._path)))

    def take(self, moment: Moment) -> None:
        """Have a moment written, unless the capture has stopped."""
        if self._over:
            return
        self._waiting += _weight(moment)
        if self._waiting > MOST_WAITING:
            self._stop(moment.t, f"{self._path} cannot be written as fast as bots send")
            return
        self._moments.append(moment)
        if self._gathering is None:
            self._gathering = self._loop.call_later(GATHER_SECONDS, self._pass_on)

    async def close(self) -> None:
        """Write what has gathered, and let go of the file."""
        self._over = True
        self._pass_on()
        closed = self._worker.do(partial(os.close, self._fd))
        await asyncio.wait({closed}, timeout=CLOSING_SECONDS)
        self._worker.stop()
        if not closed.done():
            self._tell(Odd(f"{self._path} is left without its end: the disk does not answer"))

    def _pass_on(self) -> None:
        """Give the thread what has gathered."""
        if self._gathering is not None:
            self._gathering.cancel()
            self._gathering = None
        moments, self._moments = self._moments, []
        if moments:
            written = self._worker.do(partial(self._write, moments))
            written.add_done_callback(partial(self._settle, moments))

    def _settle(self, moments: list[Moment], written: asyncio.Future[None]) -> None:
        """Hear from the thread what became of them."""
        self._waiting -= sum(map(_weight, moments))
        error = written.exception()
        if isinstance(error, OSError):
            self._stop(moments[-1].t, f"cannot write {self._path}: {error.strerror}")
        elif error is not None:
            self._stop(moments[-1].t, str(error))

    def _stop(self, now: float, why: str) -> None:
        if self._over:
            return
        self._moments.append(Ended(now, STOPPED))
        self._over = True
        self._pass_on()
        self._tell(Odd(f"{STOPPED}: {why}"))

    # In the thread

    def _write(self, moments: list[Moment]) -> None:
        """Write moments so that a reader finds them there at once. ValueError where no more of them may come."""
        if self._sealed:
            return
        for moment in moments:
            for line in lines(moment):
                if len(line) > MAX_LINE:
                    raise ValueError("a message is longer than a capture holds")
                self._put(self._zip.compress(line))
            self._sealed = isinstance(moment, Ended)
        self._put(self._zip.flush(zlib.Z_FINISH if self._sealed else zlib.Z_SYNC_FLUSH))
        if self._size >= self._most and not self._sealed:
            raise ValueError(f"{self._path} has {human_size(self._size)}, as much as --max-capture allows")

    def _put(self, data: bytes) -> None:
        append(self._fd, data)
        self._size += len(data)


def _weight(moment: Moment) -> int:
    """Bytes that a moment takes while it waits."""
    match moment:
        case Took():
            return SMALL + sum(map(len, moment.wires))
        case Spoke():
            return SMALL + len(moment.data)
    return SMALL


def _made(path: Path) -> tuple[int, Path]:
    """A new file for this user alone; where the name is taken, `-2`, `-3`, … follow. MachineError if it cannot be."""
    stem, dot, ending = path.name.partition(".")
    for number in count(1):
        numbered = path if number == 1 else path.with_name(f"{stem}-{number}{dot}{ending}")
        try:
            return os.open(numbered, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), numbered
        except FileExistsError:
            continue
        except OSError as error:
            raise MachineError(
                f"cannot write {path}: {error.strerror}", "choose another file with --capture"
            ) from error
    raise AssertionError(path)
