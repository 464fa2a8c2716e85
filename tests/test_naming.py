"""Names that are safe."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from audiotap.naming import Names, safe_name

HOSTILE = [
    "",
    ".",
    "..",
    "../../etc/passwd",
    "/etc/passwd",
    "..\\windows",
    "a\0b",
    "a\nb",
    "x" * 300,
    "日本語" * 100,
    "CON",
    "nul.txt",
    "com1",
    "\u202eecod.exe",
    "\u200f",
    "\x1b[31mred\x1b[0m",
    "*?<>|:\"'`$(rm -rf)",
    "8:orgid:00000000-0000-0000-0000-000000000000",
    "spaces/devices/123",
    "👩‍👩‍👧",
    "e\u0301",
    "é",
    "ﬁ",
    "fi",
    " ",
    "\ud800",
    "x" * 59 + "..",
    "x" * 59 + "./",
]


def is_safe(name: str) -> bool:
    """One path component that every file system and every terminal takes."""
    return (
        0 < len(name.encode()) <= 80
        and not name.startswith(".")
        and not name.endswith(".")
        and name.partition(".")[0].casefold() not in {"con", "nul", "com1", "aux", "prn"}
        and all(c.isalnum() or c in "-_." for c in name)
    )


def test_hostile_ids_become_safe_names() -> None:
    """Nothing climbs out of its folder, hides, reorders, or is too long; and all stay distinct."""
    names = [safe_name(text) for text in HOSTILE]
    assert [text for text, name in zip(HOSTILE, names, strict=True) if not is_safe(name)] == []
    assert len({name.casefold() for name in names}) == len(HOSTILE)


@pytest.mark.parametrize("text", ["bot_12345abcdef", "Ana", "7", "3f2a-9c.1", "José", "山田"])
def test_decent_ids_stay_as_they_are(text: str) -> None:
    """A name that is safe already can be found again by whoever knows the id."""
    assert safe_name(text) == text


@settings(max_examples=300)
@given(st.text(), st.text())
def test_names_are_safe_and_distinct(one: str, other: str) -> None:
    """Whatever a network says is a name of its own."""
    assert is_safe(safe_name(one))
    assert (safe_name(one) == safe_name(other)) == (one == other)


@given(st.lists(st.sampled_from(["mixed", "Mixed", "MIXED", "a", "A", "mixed-2", "straße", "STRASSE"])))
def test_names_in_a_folder_differ_in_more_than_case(wanted: list[str]) -> None:
    """A file system that ignores case keeps every track's file."""
    names = Names()
    given = [names.give(name) for name in wanted]
    assert len({name.casefold() for name in given}) == len(wanted)


def test_a_name_that_somebody_imitates_is_given_once() -> None:
    """Who calls himself like another one's safe name gets a number."""
    names = Names()
    hidden = safe_name("../a")
    assert names.give(hidden) != names.give(safe_name(hidden))
