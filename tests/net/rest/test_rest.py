"""REST without a network: addresses, words, and who may see a key."""

from __future__ import annotations

import pytest

from audiotap.errors import UsageError
from audiotap.net.rest.attendee import AttendeeRest
from audiotap.net.rest.base import Access, with_path
from audiotap.net.rest.recall import RecallRest
from audiotap.net.rest.refusal import words

KEY = "k3y-of-nobody"


@pytest.mark.parametrize(
    ("api", "base"),
    [
        ("", "https://us-east-1.recall.ai"),
        ("eu-central-1", "https://eu-central-1.recall.ai"),
        ("https://api.recall.ai/", "https://api.recall.ai"),
        ("http://127.0.0.1:8000/mock/", "http://127.0.0.1:8000/mock"),
    ],
)
def test_a_region_is_short_for_its_address(api: str, base: str) -> None:
    """Recall's regions by name, anything else as it is written, and no doubled slashes."""
    assert RecallRest(Access(api, KEY)).base == base


@pytest.mark.parametrize(
    "api", ["app.attendee.dev", "ftp://host", "https://", "https://key@host", "https://host?key=1", "http://[", "x:y"]
)
def test_what_is_no_address(api: str) -> None:
    """It is said, and not repeated: somebody may have pasted a key into it."""
    with pytest.raises(UsageError) as refused:
        AttendeeRest(Access(api, KEY))
    assert api not in refused.value.message


@pytest.mark.parametrize("key", ["Token abc", "ключ", "a\nb", "a\x00b"])
def test_what_is_no_key(key: str) -> None:
    """A key that no header can hold is refused without being shown."""
    with pytest.raises(UsageError, match="ATTENDEE_API_KEY") as refused:
        AttendeeRest(Access("", key))
    assert key not in str(refused.value)


def test_a_key_is_not_printed() -> None:
    """Not by a debugger's or a logger's way of showing things either."""
    assert KEY not in repr(Access("", KEY))
    assert KEY not in repr(AttendeeRest(Access("", KEY)))


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (b'{"error": "Bot not found"}', "Bot not found"),
        (b'{"detail": "Invalid key."}', "Invalid key."),
        (b'{"code": "x", "detail": "y"}', "code: x; y"),
        (b'{"meeting_url": ["Not a URL", "Too long"]}', "meeting_url: Not a URL; Too long"),
        (b'{"a": {"b": {"non_field_errors": ["deep"]}}}', "a: b: deep"),
        (b'["one", null, 2]', "one; 2"),
        (b'{"detail": null}', ""),
        (b"<html>403</html>", ""),
        (b"[" * 100_000, ""),
        (b"", ""),
    ],
)
def test_what_a_provider_says(body: bytes, said: str) -> None:
    """The words of an error without their brackets; pages made for browsers say nothing."""
    assert words(body) == said


def test_a_url_has_a_path() -> None:
    """One is added where a query follows the host, and nothing else is touched."""
    assert with_path("wss://host?key=1") == "wss://host/?key=1"
    assert with_path("wss://host") == "wss://host/"
    assert with_path("wss://host/a?b=c") == "wss://host/a?b=c"
