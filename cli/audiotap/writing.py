"""Writing: WAV and bare samples that are true after every write, however it ends."""

from __future__ import annotations

import errno
import os
import struct
from functools import lru_cache
from pathlib import Path

from audiotap.audio import SAMPLE_BYTES
from audiotap.files import append, draft_of, is_gone

WAV_HEADER = 80
RATE_AT = 60
"""Where in the header the rate stands, as four bytes."""
_MAX_32 = 0xFFFFFFFF


class RawWriter:
    """Bare S16LE. Silence is left as a hole, which reads as zeros and takes no space.

    `again` goes on with a file that is there; otherwise it must not be there. `samples` is where it ends.
    """

    header = 0

    def __init__(self, path: Path, rate: int, *, again: bool = False) -> None:
        self.path = path
        self.rate = rate
        self._fd = os.open(path, os.O_RDWR) if again else self._create()
        self.samples = (os.fstat(self._fd).st_size - self.header) // SAMPLE_BYTES

    @property
    def gone(self) -> bool:
        """Whether somebody removed the file."""
        return is_gone(self._fd)

    def write(self, position: int, pcm: bytes) -> None:
        """Put S16LE at a position. OSError when the disk refuses; what it took before is kept and counted."""
        begin = at = self.header + position * SAMPLE_BYTES
        end = at + len(pcm)
        try:
            at += os.pwrite(self._fd, pcm, at)
            while at < end:
                at += os.pwrite(self._fd, pcm[at - end :], at)
        finally:
            if at > begin:
                self.samples = max(self.samples, (at - self.header) // SAMPLE_BYTES)
                self._count()

    def sync(self) -> None:
        """Return when everything is on the disk's surface."""
        os.fdatasync(self._fd)

    def close(self) -> None:
        os.close(self._fd)

    def _create(self) -> int:
        return os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)

    def _count(self) -> None:
        """Make the file say how many samples it has."""


class WavWriter(RawWriter):
    """A WAV whose header tells the truth after every write, so that a killed recorder leaves a valid file.

    Sources: Microsoft, "Multimedia Programming Interface and Data Specifications 1.0", WAVE, PCM format; EBU Tech 3306,
    which has 32-bit sizes replaced by an RF64 header in the place that a JUNK chunk kept free.
    """

    header = WAV_HEADER

    def _create(self) -> int:
        """The file gets its name when it has its header."""
        if self.path.exists():
            raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), str(self.path))
        draft = draft_of(self.path)
        fd = os.open(draft, os.O_RDWR | os.O_CREAT | os.O_TRUNC, 0o600)
        try:
            append(fd, wav_header(self.rate, 0))
            draft.rename(self.path)
        except OSError:
            os.close(fd)
            draft.unlink(missing_ok=True)
            raise
        return fd

    def _count(self) -> None:
        os.pwrite(self._fd, wav_header(self.rate, self.samples), 0)


@lru_cache(maxsize=64)
def _format(rate: int) -> bytes:
    return struct.pack("<4sIHHIIHH", b"fmt ", 16, 1, 1, rate, rate * SAMPLE_BYTES, SAMPLE_BYTES, 16)


def wav_header(rate: int, samples: int) -> bytes:
    """The 80 bytes before `samples` mono S16LE samples: WAVE up to 4 GiB, beyond it RF64."""
    size = samples * SAMPLE_BYTES
    whole = size + WAV_HEADER - 8
    if whole <= _MAX_32:
        start = struct.pack("<4sI4s4sI28x", b"RIFF", whole, b"WAVE", b"JUNK", 28)
    else:
        start = struct.pack("<4sI4s4sIQQQI", b"RF64", _MAX_32, b"WAVE", b"ds64", 28, whole, size, samples, 0)
    return start + _format(rate) + struct.pack("<4sI", b"data", min(size, _MAX_32))
