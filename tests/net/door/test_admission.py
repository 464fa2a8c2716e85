"""Who may connect, as a decision without a network."""

from __future__ import annotations

import base64
import hmac
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from standardwebhooks.webhooks import Webhook
from websockets.datastructures import Headers

from audiotap.net.door.admission import LEGACY, SIGNATURE, Admission, Refusal, Rules
from audiotap.net.door.replays import MEMORY, Replays

SECRET = "x" * 32
WORKSPACE = f"whsec_{base64.b64encode(b'workspace' * 3).decode()}"
NOW = 1_800_000_000.0


@given(path=st.text(max_size=80))
def test_no_other_path_is_let_in(path: str) -> None:
    """Whatever it holds, only the secret as its last part is right."""
    right = path.partition("?")[0].rstrip("/").rpartition("/")[2] == SECRET
    assert (Admission(Rules(SECRET)).refuses(path, Headers(), NOW) is None) == right


@given(values=st.lists(st.tuples(st.sampled_from(SIGNATURE + LEGACY), st.text("v1,. =abc0", max_size=40)), min_size=1))
def test_no_made_up_signature_is_let_in(values: list[tuple[str, str]]) -> None:
    """Whatever the headers hold, it is a refusal and never an error."""
    admission = Admission(Rules(SECRET, (WORKSPACE,)))
    assert admission.refuses(f"/{SECRET}", Headers(values), NOW) is Refusal.SIGNATURE


def test_secrets_are_compared_in_constant_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """How much of a guess is right must not show in how long the answer takes."""
    compared = []

    def compare(one: bytes, other: bytes) -> bool:
        compared.append((one, other))
        return one == other

    monkeypatch.setattr(hmac, "compare_digest", compare)
    admission = Admission(Rules(SECRET, (WORKSPACE,)))
    assert admission.refuses("/guess", Headers(), NOW) is Refusal.PATH
    signed = Webhook(WORKSPACE).sign("msg", datetime.now(UTC), "")
    headers = Headers(zip(SIGNATURE, ("msg", str(int(datetime.now(UTC).timestamp())), signed), strict=True))
    assert admission.refuses("/", headers, NOW) is None
    assert compared[0] == (b"guess", SECRET.encode())
    assert len(compared) == 2


def test_a_signature_without_secrets_means_nothing() -> None:
    """Who has no secret of Recall's cannot judge, so the path counts."""
    headers = Headers([(name, "x") for name in SIGNATURE + LEGACY])
    assert Admission(Rules(SECRET)).refuses("/", headers, NOW) is Refusal.PATH
    assert Admission(Rules(SECRET)).refuses(f"/{SECRET}", headers, NOW) is None


def test_rules_tell_no_secret() -> None:
    """Not in a traceback either."""
    assert SECRET not in repr(Rules(SECRET, (WORKSPACE,)))
    assert WORKSPACE not in repr(Rules(SECRET, (WORKSPACE,)))


def test_what_was_used_is_forgotten_when_it_is_too_old_anyway(tmp_path: Path) -> None:
    """Neither memory nor folder grow for ever."""
    now = datetime.now(UTC).timestamp()
    replays = Replays(tmp_path / "used")
    assert replays.is_first("one", now)
    assert not replays.is_first("one", now + MEMORY / 2)
    assert not Replays(tmp_path / "used").is_first("one", now)
    assert replays.is_first("two", now + 3 * MEMORY)
    assert len(list((tmp_path / "used").iterdir())) == 1
    assert replays.is_first("one", now + 3 * MEMORY)


def test_a_disk_that_refuses_leaves_our_own_memory(tmp_path: Path) -> None:
    """Bots are let in all the same, once."""
    replays = Replays(tmp_path / "used")
    (tmp_path / "used").rmdir()
    now = datetime.now(UTC).timestamp()
    assert replays.is_first("one", now)
    assert not replays.is_first("one", now)
