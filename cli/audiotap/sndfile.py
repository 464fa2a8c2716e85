"""libsndfile, by which audio files are read and written: there, or a clear error wherever it is first needed."""

from __future__ import annotations

import sys

from audiotap.errors import MachineError

INSTALL = f"{sys.executable} -m pip install --upgrade --force-reinstall soundfile"

try:
    import soundfile
except (ImportError, OSError) as error:
    raise MachineError(f"soundfile does not find libsndfile: {error}", INSTALL) from error

__all__ = ["INSTALL", "soundfile"]
