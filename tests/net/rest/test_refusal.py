"""A provider's no: how long it is waited for, what of it is shown, and what a user is told to do."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from audiotap.errors import Exit
from audiotap.net.rest.refusal import Answer, Patience, Secrets, asked_wait, refusal

KEY = "k3y-of-nobody"
NOW = datetime(2026, 11, 21, 22, 0, tzinfo=UTC)
LONG_PATH = "aVeryLongPathThatIsASecret"


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("7", 7),
        ("2.5", 2.5),
        ("0", 1),
        ("Sat, 21 Nov 2026 22:01:30 GMT", 90),
        ("Sat, 21 Nov 2026 22:01:30 -0000", 90),
        ("Sat, 21 Nov 2026 21:00:00 GMT", 1),
        ("", None),
        ("soon", None),
        ("-5", None),
        ("nan", None),
        ("Sat, 21 Nov 99999999999999999999 22:01:30 GMT", None),
    ],
)
def test_how_long_one_is_asked_to_wait(text: str, seconds: float | None) -> None:
    """As seconds or as a date, and never less than a second."""
    assert asked_wait(text, NOW) == seconds


@pytest.mark.parametrize("code", [429, 503, 507])
def test_who_asks_to_wait_is_not_hammered(code: int) -> None:
    """However soon one may come again: the waits double, and after a few the no is believed."""
    patience = Patience(1000.0)
    assert [patience.wait(Answer(code, b"", 1.0), 0.0) for _ in range(5)] == [1, 2, 4, 8, None]


def test_nobody_is_asked_again_who_had_no_time_to_answer() -> None:
    """A wait that ends within the last second is none, so that the last no is what is told."""
    assert Patience(10.0).wait(Answer(429, b"", 9.0), 0.0) == 9
    assert Patience(10.0).wait(Answer(429, b"", 9.1), 0.0) is None


@pytest.mark.parametrize("answer", [Answer(429, b""), Answer(500, b"", 1.0), Answer(201, b"", 1.0)])
def test_who_is_not_waited_for(answer: Answer) -> None:
    """Who asks for none, who may have done it, and who has."""
    assert Patience(1000.0).wait(answer, 0.0) is None


@pytest.mark.parametrize(
    ("url", "said", "shown"),
    [
        ("wss://h/", f"no such key: {KEY}", "no such key: [key]"),
        (f"wss://h/a/{LONG_PATH}", f"wss://h/a/{LONG_PATH} is odd", "wss://h/[path] is odd"),
        (f"wss://h/a/{LONG_PATH}/b", f"{LONG_PATH} is odd", "[path] is odd"),
        ("wss://h/a?token=QUERYSECRET&x=1", "wss://h/a?token=QUERYSECRET&x=1 is odd", "wss://h/a?[query] is odd"),
        ("wss://h/a?token=QUERYSECRET&x=1", "the token QUERYSECRET is 1", "the token [query] is 1"),
        ("wss://h/?t=a%20secret", "a secret and a%20secret", "[query] and [query]"),
        ("wss://h/audio", "audio is odd", "audio is odd"),
    ],
)
def test_what_is_ours_is_not_shown(url: str, said: str, shown: str) -> None:
    """Neither the key nor what an address holds of secrets, in whatever piece and spelling it comes back."""
    secrets = Secrets(KEY)
    secrets.add(url)
    assert secrets.without(said) == shown


@pytest.mark.parametrize(
    ("code", "location", "words"),
    [
        (301, "https://eu-central-1.recall.ai/api/v1/bot/", "it points to eu-central-1.recall.ai: "),
        (307, f"https://{KEY}@[::1]:80/x", "it points to [::1]:80: "),
        (302, "/elsewhere", "it points elsewhere: "),
        (302, "http://[", "it points elsewhere: "),
        (400, "", "correct what it complains of"),
        (401, "", "is RECALL_API_KEY right"),
        (403, "", "RECALL_API_KEY"),
        (405, "", "the bot is past that"),
        (413, "", "send less"),
        (422, "", "correct what it complains of"),
        (429, "", "try again in 30 s"),
    ],
)
def test_what_to_do_about_it(code: int, location: str, words: str) -> None:
    """Every no that a user can do something about ends in what that is, and shows no key."""
    error = refusal(Answer(code, b"", None, location), "Recall", "RECALL_API_KEY", Secrets(KEY))
    assert words in error.hint
    assert KEY not in error.hint
    assert error.status is (Exit.REFUSED if 400 <= code < 500 and code != 429 else Exit.FAILED)
