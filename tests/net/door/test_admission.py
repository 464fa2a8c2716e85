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

from audiotap.errors import MachineError, UsageError
from audiotap.jobs.secret import kept
from audiotap.net.door.admission import (
    LEGACY,
    SIGNATURE,
    Admission,
    Refusal,
    Rules,
    came_from_afar,
    origin,
    twilio_signature,
)
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


KEY = "12345"


def dialled(address: str, host: str = "mycompany.com", signer: str = KEY) -> Headers:
    """The headers of a request that Twilio signed."""
    return Headers({"Host": host, "X-Twilio-Signature": twilio_signature(signer.encode(), address).decode()})


def test_twilios_own_example() -> None:
    """The signature on Twilio's page is that of the address and the form there."""
    form = {
        "CallSid": "CA1234567890ABCDE",
        "Caller": "+14158675309",
        "Digits": "1234",
        "From": "+14158675309",
        "To": "+18005551212",
    }
    text = "https://mycompany.com/myapp.php?foo=1&bar=2" + "".join(name + form[name] for name in sorted(form))
    assert twilio_signature(KEY.encode(), text) == b"RSOYDt4T1cUTdK1PDd93/VVr8B8="


@pytest.mark.parametrize(
    ("signed", "public", "path"),
    [
        ("wss://mycompany.com/tap", "", "/tap"),
        ("wss://mycompany.com/tap", "", "/tap/"),
        ("wss://mycompany.com/tap/", "", "/tap"),
        ("https://mycompany.com/tap", "", "/tap"),
        ("wss://mycompany.com", "", "/"),
        ("wss://tunnel.example/tap", "wss://tunnel.example/", "/tap"),
        ("wss://proxy.example/in/tap", "wss://proxy.example/in/", "/tap"),
        ("wss://proxy.example/in/tap", "wss://proxy.example/in/", "/in/tap"),
    ],
)
def test_twilio_is_let_in_by_its_signature(signed: str, public: str, path: str) -> None:
    """However the address was written, and whatever stands between; no secret has to be in it."""
    for secret in ("", SECRET):
        admission = Admission(Rules(secret, twilio=("another", KEY), public=public))
        assert admission.refuses(path, dialled(signed), NOW) is None


@pytest.mark.parametrize(
    "headers",
    [
        dialled("wss://mycompany.com/another"),
        dialled("wss://mycompany.com/tap", signer="stolen"),
        dialled("wss://mycompany.com/tap", "another.com"),
        Headers({"Host": "mycompany.com", "X-Twilio-Signature": ""}),
        Headers({"Host": "mycompany.com", "X-Twilio-Signature": "é"}),
        Headers([*dialled("wss://mycompany.com/tap").raw_items(), ("X-Twilio-Signature", "x")]),
        Headers([*dialled("wss://mycompany.com/tap").raw_items(), ("Host", "mycompany.com")]),
    ],
)
def test_a_wrong_signature_of_twilios_is_refused(headers: Headers) -> None:
    """Another address, another token, another host, none or two: the right path does not help."""
    admission = Admission(Rules(SECRET, twilio=(KEY,)))
    assert admission.refuses("/tap", headers, NOW) is Refusal.SIGNATURE
    assert admission.refuses(f"/{SECRET}", headers, NOW) is Refusal.SIGNATURE


def test_who_is_not_signed_by_twilio_needs_the_secret() -> None:
    """Without one there is no way in; without tokens the header means nothing."""
    assert Admission(Rules(twilio=(KEY,))).refuses("/tap", Headers(), NOW) is Refusal.UNSIGNED
    assert Admission(Rules(SECRET, twilio=(KEY,))).refuses(f"/{SECRET}", Headers(), NOW) is None
    assert Admission(Rules(SECRET)).refuses(f"/{SECRET}", dialled("wss://mycompany.com/x"), NOW) is None
    assert KEY not in repr(Rules(twilio=(KEY,)))


@pytest.mark.parametrize(
    ("text", "sent"),
    [
        ("https://good.example", "https://good.example"),
        ("https://Good.example/", "https://good.example"),
        ("https://good.example:443", "https://good.example"),
        ("http://localhost:3000/", "http://localhost:3000"),
        ("http://[::1]:80", "http://[::1]"),
        ("chrome-extension://abc", "chrome-extension://abc"),
    ],
)
def test_an_origin_is_what_browsers_send(text: str, sent: str) -> None:
    """In small letters, without a path and without the usual port."""
    admission = Admission(Rules(origins=(origin(text),)))
    assert admission.refuses("/", Headers([("Origin", sent)]), NOW) is None


@pytest.mark.parametrize(
    "text",
    ["", "*", "null", "good.example", "//good.example", "https://", "https://*.example", "https://a/b", "https://a@b"],
)
def test_what_no_browser_sends_is_no_origin(text: str) -> None:
    """It would never match, so it is refused with how to write it."""
    with pytest.raises(UsageError, match="--allow-origin"):
        origin(text)


@pytest.mark.parametrize(
    ("headers", "afar"),
    [
        ([], False),
        ([("Host", "127.0.0.1:8765")], False),
        ([("Host", "localhost")], False),
        ([("Host", "LOCALHOST:8765")], False),
        ([("Host", "[::1]:8765")], False),
        ([("Host", "[::1]")], False),
        ([("Host", "abc.ngrok-free.app")], True),
        ([("Host", "10.0.0.7:8765")], True),
        ([("Host", "localhost"), ("X-Forwarded-For", "203.0.113.7")], True),
        ([("Host", "")], True),
    ],
)
def test_who_came_from_afar(headers: list[tuple[str, str]], afar: bool) -> None:
    """A tunnel's host, or what a proxy adds, tells that a port of this machine is reached from elsewhere."""
    assert came_from_afar(Headers(headers)) == afar


def test_a_folder_where_everybody_writes_keeps_nothing(tmp_path: Path) -> None:
    """Neither the secret nor used signatures: anybody could replace them."""
    tmp_path.chmod(0o777)
    for keep in (lambda: Replays(tmp_path / "replays"), lambda: kept(tmp_path)):
        with pytest.raises(MachineError, match="everybody can write there") as caught:
            keep()
        assert "AUDIOTAP_STATE_DIR" in caught.value.hint
    tmp_path.chmod(0o755)
    assert kept(tmp_path)
