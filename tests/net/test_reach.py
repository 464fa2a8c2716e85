"""From where bots can dial a URL, and who says so where they cannot."""

from __future__ import annotations

from contextlib import nullcontext

import pytest

from audiotap.errors import UsageError
from audiotap.net.reach import Reach, check_reach, reach


@pytest.mark.parametrize(
    ("url", "who"),
    [
        ("ws://0.0.0.0:8765", Reach.NOWHERE),
        ("wss://[::]/x", Reach.NOWHERE),
        ("wss://0/", Reach.NOWHERE),
        ("ws://127.0.0.1:8765", Reach.HERE),
        ("wss://127.1/", Reach.HERE),
        ("wss://[::1]:1/", Reach.HERE),
        ("wss://[::ffff:127.0.0.1]/", Reach.HERE),
        ("wss://localhost.:8765/x", Reach.HERE),
        ("wss://demo.localhost/", Reach.HERE),
        ("ws://192.168.1.4/", Reach.NEAR),
        ("ws://10.0.0.5/", Reach.NEAR),
        ("wss://172.31.0.1/", Reach.NEAR),
        ("wss://100.101.102.103/", Reach.NEAR),
        ("wss://169.254.0.7/", Reach.NEAR),
        ("wss://[fe80::1]/", Reach.NEAR),
        ("wss://[fd00::1]/", Reach.NEAR),
        ("wss://[::ffff:192.168.1.4]/", Reach.NEAR),
        ("ws://myhost:8765/", Reach.NEAR),
        ("wss://printer.local/", Reach.NEAR),
        ("wss://example.org", Reach.ANYWHERE),
        ("wss://172.32.0.1/", Reach.ANYWHERE),
        ("ws://192.0.2.7:8765", Reach.ANYWHERE),
        ("wss://[2001:db8::1]/", Reach.ANYWHERE),
    ],
)
def test_who_can_dial_it(url: str, who: Reach) -> None:
    """However an address is written, it leads as far as it leads."""
    assert reach(url) is who


def test_who_is_as_near_as_that() -> None:
    """What leads to this machine or its network only is for whoever is there, and what leads nowhere is for nobody."""
    refused = {
        "wss://0.0.0.0/": [*Reach],
        "wss://127.0.0.1/": [Reach.NEAR, Reach.ANYWHERE],
        "wss://10.0.0.5/": [Reach.ANYWHERE],
        "wss://example.org/": [],
    }
    for url, far in refused.items():
        for whence in Reach:
            with pytest.raises(UsageError) if whence in far else nullcontext():
                check_reach(url, "bots", whence)


def test_what_to_type_where_bots_cannot_dial() -> None:
    """A tunnel for that port, or the name that is known already; and no secret."""
    with pytest.raises(UsageError, match=r"^bots cannot reach wss://127\.0\.0\.1:9000/…, which is this ma") as refused:
        check_reach("wss://127.0.0.1:9000/s3cret", "bots")
    assert "--port 9000 --tunnel cloudflared" in refused.value.hint
    assert "--public-url wss://YOUR-NAME:PORT/" in refused.value.hint
