"""What is said of a URL that a user gives for bots, although a listener runs that knows its own."""

from __future__ import annotations

import pytest

from audiotap.jobs.bots import doubted

PUBLIC = "wss://tunnel.example/a-secret-0123456789"
BOUND = "wss://0.0.0.0:8765/a-secret-0123456789"
OPEN = "ws://127.0.0.1:8765"


@pytest.mark.parametrize(
    ("url", "addresses"),
    [
        ("wss://anything.example/", []),
        (PUBLIC, [PUBLIC]),
        (f"{PUBLIC}/", [OPEN, PUBLIC]),
        ("wss://tunnel.example/behind/a-proxy/a-secret-0123456789", [PUBLIC]),
        ("wss://my.example:8765/a-secret-0123456789", [BOUND]),
        ("ws://127.0.0.1:8765/", [OPEN]),
    ],
)
def test_url_that_leads_to_a_listener(url: str, addresses: list[str]) -> None:
    """It is one of theirs, or has the secret of one that knows no name for itself; or nothing runs here at all."""
    assert doubted(url, addresses) == ""


@pytest.mark.parametrize(
    ("url", "addresses", "said"),
    [
        ("wss://tunnel.example/", [PUBLIC], "without the secret: leave the URL out"),
        ("wss://tunnel.example/another-secret", [PUBLIC], "without the secret: leave the URL out"),
        ("wss://other.example/a-secret-0123456789", [PUBLIC], "--public-url wss://other.example/"),
        ("wss://my.example:8765/", [BOUND], "--public-url wss://my.example:8765/"),
        ("wss://tunnel.example/", [OPEN], "lets everybody in: audiotap listen --public-url wss://tunnel.example/"),
    ],
)
def test_url_that_is_doubted(url: str, addresses: list[str], said: str) -> None:
    """Bots that were told it are kept out, or everybody is let in; and no secret is repeated."""
    doubt = doubted(url, addresses)
    assert said in doubt
    assert "secret-" not in doubt
