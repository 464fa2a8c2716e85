"""Naming: what a network says becomes the name of a file, safe and never given twice."""

from __future__ import annotations

import hashlib
import unicodedata

NAME_LENGTH = 60
_RESERVED = {"con", "prn", "aux", "nul", *(f"{port}{n}" for port in ("com", "lpt") for n in range(10))}
_HASH_LENGTH = 8


def safe_name(text: str, length: int = NAME_LENGTH) -> str:
    """A file name part out of anything a network says: letters and digits of any script, `-`, `_`, `.`.

    Whatever had to be changed gets eight hex digits of its hash, so that only an input made up to look like another
    one's safe name can share it; `Names` keeps those apart.
    """
    plain = unicodedata.normalize("NFKC", text)
    kept = "".join(c if c.isalnum() or c in "-_." else "_" for c in plain)
    kept = kept.strip("._") or "_"
    kept = kept.encode("utf-8", "ignore")[:length].decode("utf-8", "ignore").rstrip("._") or "_"
    if kept.split(".")[0].casefold() in _RESERVED:
        kept = f"_{kept}"
    if kept == text:
        return kept
    digest = hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:_HASH_LENGTH]
    return f"{kept}-{digest}"


class Names:
    """Names given out in one folder: never the same twice, also where a file system ignores case."""

    def __init__(self) -> None:
        self._taken: set[str] = set()

    def give(self, name: str) -> str:
        """The name itself, or the name with a number where it is taken."""
        given, number = name, 2
        while given.casefold() in self._taken:
            given, number = f"{name}-{number}", number + 1
        self._taken.add(given.casefold())
        return given
