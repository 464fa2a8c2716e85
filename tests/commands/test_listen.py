"""What `listen` makes of its options before anything begins."""

from __future__ import annotations

import base64
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from audiotap.commands.listen import prepared
from audiotap.errors import UsageError
from audiotap.net.door.admission import Admission

MIB = 1024 * 1024
CHOSEN = "a-secret-that-somebody-chose"
PLAN = partial(prepared, min_free=0, buffer=MIB, max_disk=0, max_capture=MIB, max_pending=MIB)


@pytest.fixture(autouse=True)
def alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody's own variables."""
    monkeypatch.setenv("AUDIOTAP_STATE_DIR", str(tmp_path))
    for name in ("SECRET", "RECALL_SECRET", "TWILIO_TOKEN"):
        monkeypatch.delenv(f"AUDIOTAP_{name}", raising=False)


@pytest.mark.parametrize(
    ("options", "what"),
    [
        ({"secret": ""}, "empty"),
        ({"secret": " "}, "empty"),
        ({"secret": "", "public_url": "wss://HOST/"}, "empty"),
        ({"secret": "", "no_secret": True}, "exclude"),
        ({"public_url": ""}, "--public-url is empty"),
        ({"tls_cert": Path()}, "--tls-cert or --tls-key is empty"),
        ({"tls_cert": Path("cert.pem"), "tls_key": Path()}, "--tls-cert or --tls-key is empty"),
        ({"allow_origin": ["*"]}, "--allow-origin"),
        ({"max_message": 0}, "--max-message"),
        ({"max_message": 64 * 1024 - 1}, "--max-message"),
    ],
)
def test_a_value_that_is_none_opens_no_port(options: dict[str, Any], what: str) -> None:
    """An unset `"$VARIABLE"` is a mistake with status 2, and not a listener that lets everybody in."""
    with pytest.raises(UsageError, match=what) as caught:
        PLAN(**{"max_message": MIB, **options})
    assert caught.value.hint


@pytest.mark.parametrize("value", ["", "  "])
def test_an_empty_variable_is_no_secret(value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same for AUDIOTAP_SECRET, unless it does not count."""
    monkeypatch.setenv("AUDIOTAP_SECRET", value)
    with pytest.raises(UsageError, match="empty"):
        PLAN(max_message=MIB)
    assert PLAN(max_message=MIB, secret=CHOSEN).config.rules.secret == CHOSEN
    assert PLAN(max_message=MIB, no_secret=True).config.rules.open


def test_a_short_secret_of_recalls_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    """Three bytes are guessed; Standard Webhooks has 24 and more."""
    for size, fine in ((3, False), (15, False), (24, True), (64, True)):
        monkeypatch.setenv("AUDIOTAP_RECALL_SECRET", f"whsec_{base64.b64encode(b'x' * size).decode()}")
        rules = PLAN(max_message=MIB).config.rules
        if fine:
            Admission(rules)
        else:
            with pytest.raises(UsageError, match="one of Recall's secrets is none"):
                Admission(rules)


def test_what_hooks_must_not_tell(monkeypatch: pytest.MonkeyPatch) -> None:
    """All secrets that the listener knows: the address's own, that of variables, and keys."""
    monkeypatch.setenv("AUDIOTAP_TWILIO_TOKEN", "one-token two-tokens")
    monkeypatch.setenv("ATTENDEE_API_KEY", "a-key-of-attendee")
    hook = PLAN(max_message=MIB, secret=CHOSEN, exec="true", names=False).hook
    assert {CHOSEN, "one-token", "two-tokens", "a-key-of-attendee"} <= set(hook.secrets)
    assert "AUDIOTAP_TWILIO_TOKEN" not in hook.environment
    assert CHOSEN not in repr(hook)
