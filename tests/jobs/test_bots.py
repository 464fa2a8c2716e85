"""What is a meeting's link."""

from __future__ import annotations

import pytest

from audiotap.jobs.bots import is_link


@pytest.mark.parametrize(
    ("text", "whether"),
    [
        ("https://meet.google.com/abc-defg-hij", True),
        ("HTTPS://zoom.us/j/1?pwd=x", True),
        ("http://localhost:8000/x", True),
        ("abc-defg-hij", False),
        ("https://", False),
        ("https:///x", False),
        ("ftp://host/x", False),
        ("https://[", False),
        ("https://host/a b", False),
        ("https://host/\udcff", False),
    ],
)
def test_a_link(text: str, whether: bool) -> None:
    """Something with a host that a browser would open, as it was copied."""
    assert is_link(text) is whether
