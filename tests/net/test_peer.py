"""Addresses of servers, before anybody dials them."""

from __future__ import annotations

import pytest

from audiotap.errors import UsageError
from audiotap.net.peer import check_url


@pytest.mark.parametrize("url", ["ws://host", "wss://host:1/a?b=c", "wss://[::1]/", "wss://bücher.example/"])
def test_an_address(url: str) -> None:
    """With and without a port, a path and a query."""
    check_url(url)


@pytest.mark.parametrize(
    "url",
    ["https://host/SECRET", "wss://", "host/SECRET", "wss://t.ex ample/SECRET", "wss://h/\x1bSECRET", "wss://h/\udcff"],
)
def test_what_is_none(url: str) -> None:
    """It is refused, without what of it may be a secret."""
    with pytest.raises(UsageError, match="no websocket URL") as refused:
        check_url(url)
    assert "SECRET" not in refused.value.message
