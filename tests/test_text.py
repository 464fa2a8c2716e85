"""Sizes, as people write and read them, and addresses that may be shown."""

from __future__ import annotations

import pytest

from audiotap.text import human_size, parse_size, without_path


@pytest.mark.parametrize(
    ("text", "size"), [("0", 0), ("17", 17), ("500M", 500 * 2**20), ("1.5g", 3 * 2**29), ("2T", 2**41), ("1K", 1024)]
)
def test_sizes_have_units_of_1024(text: str, size: int) -> None:
    """Either case, whole or not, or bare bytes."""
    assert parse_size(text) == size


@pytest.mark.parametrize("text", ["", "M", "-1", "1X", "1MB", "nan", "inf", "1e30", "ten"])
def test_what_is_no_size(text: str) -> None:
    """Nothing is guessed."""
    with pytest.raises(ValueError, match=r".*"):
        parse_size(text)


@pytest.mark.parametrize(
    ("size", "text"),
    [(0, "0 bytes"), (1023, "1023 bytes"), (1024, "1.0 KiB"), (3 * 2**29, "1.5 GiB"), (2**42, "4.0 TiB")],
)
def test_sizes_in_words(size: int, text: str) -> None:
    """The largest unit that is not a fraction."""
    assert human_size(size) == text


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("wss://host/secret", "wss://host/…"),
        ("wss://host:9000/a/secret?b=c", "wss://host:9000/…"),
        ("wss://host?secret", "wss://host"),
        ("wss://name:secret@host/", "wss://host/"),
        ("ws://[::1]:80", "ws://[::1]:80"),
        ("wss://host#secret", "wss://host"),
        ("host/secret", "host/…"),
    ],
)
def test_an_address_without_its_path(url: str, shown: str) -> None:
    """What may be a secret goes, what tells whom it is about stays."""
    assert without_path(url) == shown
