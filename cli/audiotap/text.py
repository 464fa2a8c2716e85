"""Words for a terminal: what others send us as names is made harmless here."""

from __future__ import annotations

import re
import unicodedata
from functools import lru_cache

REPLACEMENT = "·"
"""Stands where a character cannot be printed."""
MARKS = 2
"""Combining marks that a letter may carry; more of them climb into the lines above."""

_INVISIBLE = frozenset({"Cf"})
_UNPRINTABLE = frozenset({"Cc", "Cs", "Co", "Cn", "Zl", "Zp"})
_COMBINING = frozenset({"Mn", "Me"})


_UNITS = "KMGT"


def printable(text: str, encoding: str = "utf-8") -> str:
    """Foreign text as one line that no terminal obeys, reorders or measures differently than we do.

    Control characters (so escapes and line ends too) and code points without a meaning become `·`. Invisible
    ones go: marks of direction, joiners, variation selectors, skin tones. Flags become their two letters, and
    spaces are plain; a letter carries two combining marks at most. What `encoding` cannot say becomes `?`.
    The length is not limited.
    """
    if not (text.isascii() and text.isprintable()):
        text = _without_towers("".join(map(_shown, unicodedata.normalize("NFC", text))))
    if not encoding.lower().startswith("utf"):
        text = text.encode(encoding, "replace").decode(encoding)
    return text


def is_text(text: str) -> bool:
    """Whether it can be said in UTF-8, as all bytes of a command line cannot."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def clock(seconds: float) -> str:
    """Seconds as mm:ss, and as h:mm:ss from the first hour on."""
    minutes, second = divmod(int(seconds), 60)
    hours, minute = divmod(minutes, 60)
    return f"{hours}:{minute:02}:{second:02}" if hours else f"{minute:02}:{second:02}"


def without_path(url: str) -> str:
    """A URL as it may be shown, for its path and its query may be secrets: `wss://host/…`."""
    scheme, mark, rest = url.partition("://") if "://" in url else ("", "", url)
    host, slash, path = rest.partition("/")
    host = re.split("[?#]", host.rpartition("@")[2])[0]
    return f"{scheme}{mark}{host}{slash}{'…' if path else ''}"


def counted(number: int, noun: str) -> str:
    """A number with its noun: `1 gap`, `2 gaps`."""
    return f"{number} {noun}{'' if number == 1 else 's'}"


@lru_cache(maxsize=4096)
def _shown(character: str) -> str:
    category = unicodedata.category(character)
    if category in _UNPRINTABLE:
        return REPLACEMENT
    if category in _INVISIBLE or _is_modifier(character):
        return ""
    if category == "Zs":
        return " "
    if "\U0001f1e6" <= character <= "\U0001f1ff":
        return chr(ord(character) - 0x1F1E6 + ord("A"))
    return character


def _is_modifier(character: str) -> bool:
    """Variation selectors and skin tones: terminals disagree on whether they change a width."""
    return (
        "\ufe00" <= character <= "\ufe0f"
        or "\U000e0100" <= character <= "\U000e01ef"
        or "\U0001f3fb" <= character <= "\U0001f3ff"
    )


def _without_towers(text: str) -> str:
    shown = []
    marks = MARKS
    for character in text:
        marks = marks + 1 if unicodedata.category(character) in _COMBINING else 0
        if marks <= MARKS:
            shown.append(character)
    return "".join(shown)


def parse_size(text: str) -> int:
    """Bytes out of `500M`, `1.5G` or `0`; K, M, G and T are powers of 1024. ValueError for anything else."""
    unit = text[-1:].upper()
    power = 1 + _UNITS.find(unit) if unit else 0
    size = float(text[:-1] if power else text) * 1024**power
    if not 0 <= size < 2**63:
        raise ValueError(text)
    return int(size)


def human_size(size: float) -> str:
    """Bytes in words: `1.5 GiB`."""
    for unit in ("bytes", "KiB", "MiB", "GiB"):
        if size < 1024:
            return f"{size:.0f} bytes" if unit == "bytes" else f"{size:.1f} {unit}"
        size /= 1024
    return f"{size:.1f} TiB"
