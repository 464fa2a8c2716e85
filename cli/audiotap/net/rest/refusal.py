"""A provider's no as one error: its words without our secrets, what to do about it, and when to ask again."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from urllib.parse import unquote_plus, urlsplit

import msgspec

from audiotap.errors import AudiotapError, Exit
from audiotap.text import printable

MOST_SAID = 300
"""Characters of a provider's own words that an error repeats."""
HIDDEN = "[key]"
HIDDEN_PATH = "[path]"
HIDDEN_QUERY = "[query]"
LONG = 16
"""Characters from which on a part of a path may be a secret."""
SHORT = 4
"""Characters from which on a value of a query may be one; shorter ones are in many words."""
WAITABLE = frozenset({429, 503, 507})
"""Answers that mean that nothing was done, so that asking again after `Retry-After` is safe."""
LEAST_WAIT = 1.0
"""Seconds before anybody is asked again, whatever they say; twice as long each time."""
MOST_WAITS = 4
USUAL_WAIT = "30 s"
TROUBLE = "it has trouble right now: try again in a while"
CORRECT = "correct what it complains of; audiotap bot create --help has the options"
HINTS = {
    400: CORRECT,
    401: "is {variable} right, and of this server or region?",
    402: "top up the account's credit in the provider's dashboard",
    403: "may the key in {variable} do that, and is there a firewall between?",
    404: "is the id right, and the bot of this account and region?",
    405: "the bot is past that or not there yet; else, is that the address of the REST interface?",
    409: "try again",
    413: "that was too much at once: send less",
    422: CORRECT,
    429: "too many requests: try again in {wait}",
    500: TROUBLE,
    502: TROUBLE,
    503: TROUBLE,
    504: TROUBLE,
    507: "no bot is free right now: try again in {wait}",
}


class RestError(AudiotapError):
    """A provider did not do what it was asked.

    `code` is its HTTP status, None where it gave no answer; `retry_after` are the seconds that it asks to wait.
    """

    def __init__(
        self, message: str, hint: str, status: Exit, code: int | None = None, retry_after: float | None = None
    ) -> None:
        super().__init__(message, hint)
        self.status = status
        self.code = code
        self.retry_after = retry_after


class Answer(msgspec.Struct, frozen=True):
    """What came back. `wait` are the seconds that it asks to wait, `location` is where it sends us instead."""

    code: int
    body: bytes
    wait: float | None = None
    location: str = ""

    @property
    def is_yes(self) -> bool:
        """Whether it is what was asked for."""
        return 200 <= self.code < 300


class Patience:
    """How often and how long one is waited for who asks to wait; times are on the event loop's clock."""

    def __init__(self, deadline: float) -> None:
        self._latest = deadline - LEAST_WAIT
        self._least = LEAST_WAIT
        self._left = MOST_WAITS

    def wait(self, answer: Answer, now: float) -> float | None:
        """Seconds until it is asked again; None when that is of no use, or would leave no time to answer."""
        if answer.code not in WAITABLE or answer.wait is None or not self._left:
            return None
        wait = max(answer.wait, self._least)
        if now + wait > self._latest:
            return None
        self._least *= 2
        self._left -= 1
        return wait


class Secrets:
    """What nobody may see, and foreign words without it."""

    def __init__(self, key: str) -> None:
        self._hidden = {key: HIDDEN}

    def add(self, url: str) -> None:
        """Hide what a URL may hold of secrets: long parts of its path, and the values of its query."""
        parts = urlsplit(url)
        values = (pair.partition("=")[2] for pair in parts.query.split("&"))
        found = dict.fromkeys((parts.query, *values), HIDDEN_QUERY)
        found = {value: shown for value, shown in found.items() if len(value) >= SHORT}
        found |= {part: HIDDEN_PATH for part in (parts.path.strip("/"), *parts.path.split("/")) if len(part) >= LONG}
        found |= {unquote_plus(part): shown for part, shown in found.items()}
        self._hidden |= dict(sorted(found.items(), key=lambda one: len(one[0]), reverse=True))

    def without(self, text: str) -> str:
        """Foreign words as one short line in which nothing of it is left."""
        for secret, shown in self._hidden.items():
            text = text.replace(secret, shown)
        words = printable(" ".join(text.split()))
        return words if len(words) <= MOST_SAID else words[: MOST_SAID - 1] + "…"


def refusal(answer: Answer, name: str, variable: str, secrets: Secrets) -> RestError:
    """A provider's no; `variable` is the environment's for its key."""
    code = answer.code
    said = secrets.without(words(answer.body))
    wait = USUAL_WAIT if answer.wait is None else f"{answer.wait:g} s"
    hint = HINTS.get(code, "").format(variable=variable, wait=wait)
    return RestError(
        f"{name} answered {code}{_phrase(code)}{': ' + said if said else ''}",
        _elsewhere(answer.location) if 300 <= code < 400 else hint,
        _status(code),
        code,
        answer.wait,
    )


def words(content: bytes) -> str:
    """What an error's body says, without its punctuation; nothing where it is no JSON."""
    try:
        return _flat(msgspec.json.decode(content))
    except (msgspec.MsgspecError, UnicodeError, RecursionError):
        return ""


def asked_wait(text: str, now: datetime) -> float | None:
    """The seconds that a `Retry-After` asks to wait, as such or as a date; at least one, None where it asks nothing."""
    if re.fullmatch(r"\d{1,6}(\.\d{1,6})?", text):
        return max(LEAST_WAIT, float(text))
    try:
        until = parsedate_to_datetime(text)
    except (TypeError, ValueError, OverflowError):
        return None
    return max(LEAST_WAIT, ((until if until.tzinfo else until.replace(tzinfo=UTC)) - now).total_seconds())


def _elsewhere(location: str) -> str:
    try:
        host = urlsplit(location).netloc.rpartition("@")[2]
    except ValueError:
        host = ""
    where = f"to {printable(host)[:MOST_SAID]}" if host else "elsewhere"
    return f"it points {where}: is the address of its REST interface right (--api)?"


def _phrase(code: int) -> str:
    try:
        return f" {HTTPStatus(code).phrase}"
    except ValueError:
        return ""


def _status(code: int) -> Exit:
    """401 to 403 and most others of their kind are the provider's no, 404 is nobody there, the rest is trouble."""
    if code == 404:
        return Exit.NOBODY
    return Exit.REFUSED if 400 <= code < 500 and code != 429 else Exit.FAILED


def _flat(value: object) -> str:
    match value:
        case dict():
            return "; ".join(filter(None, (_named(str(key), _flat(inner)) for key, inner in value.items())))
        case list():
            return "; ".join(filter(None, map(_flat, value)))
        case None:
            return ""
        case _:
            return str(value)


def _named(key: str, words: str) -> str:
    return words if not words or key in {"error", "detail", "message", "non_field_errors"} else f"{key}: {words}"
