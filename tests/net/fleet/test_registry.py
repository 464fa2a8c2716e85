"""What is written down of sessions: who counts, what goes on, and what is safe to be a subject."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from audiotap.errors import WireError
from audiotap.net.fleet.registry import (
    REFRESH_SECONDS,
    SESSION_SECONDS,
    Directory,
    Entry,
    control_subject,
    decode,
    encode,
    live_subject,
    token,
)
from audiotap.session import TimeLine

NOW = datetime(2026, 1, 1, tzinfo=UTC)
LINE = TimeLine("one", NOW, 1_700_000_000.0, 0.0, 12.5, NOW)
ENTRY = Entry("attendee", "bot_1", None, "one", 10.0, connected=True, ended=False, line=LINE)


def test_the_last_connection_counts() -> None:
    """Whatever the order in which it is heard of; a node that is late with its word changes nothing."""
    directory = Directory()
    later = msgspec.structs.replace(ENTRY, node="two", since=11.0)
    assert directory.take(later)
    assert not directory.take(ENTRY)
    assert directory.get(ENTRY.key) == later


def test_what_is_gone_on_with() -> None:
    """A session that nobody holds is, one that ended or was not heard of for long is not."""
    directory = Directory()
    assert directory.line(ENTRY.key, NOW) is None
    directory.take(msgspec.structs.replace(ENTRY, node=""))
    assert directory.line(ENTRY.key, NOW + timedelta(seconds=SESSION_SECONDS)) == LINE
    assert directory.line(ENTRY.key, NOW + timedelta(seconds=SESSION_SECONDS + 1)) is None
    directory.take(msgspec.structs.replace(ENTRY, ended=True))
    assert directory.line(ENTRY.key, NOW) is None


def test_what_is_old_is_forgotten() -> None:
    """A node runs for months, and bots' ids never come again."""
    directory = Directory()
    directory.take(ENTRY)
    directory.forget(NOW + timedelta(seconds=SESSION_SECONDS + 1))
    assert directory.get(ENTRY.key) is None


def test_time_alone_is_seldom_written_down() -> None:
    """A session that only goes on is written down again every two minutes, a new connection at once."""
    later = msgspec.structs.replace(LINE, seconds=99.0, touched=NOW + timedelta(seconds=REFRESH_SECONDS))
    much_later = msgspec.structs.replace(later, touched=NOW + timedelta(seconds=REFRESH_SECONDS + 1))
    assert not msgspec.structs.replace(ENTRY, line=later).says_more(ENTRY)
    assert msgspec.structs.replace(ENTRY, line=much_later).says_more(ENTRY)
    assert msgspec.structs.replace(ENTRY, since=11.0).says_more(ENTRY)
    assert msgspec.structs.replace(ENTRY, connected=False).says_more(ENTRY)


@given(st.text(), st.text(), st.text())
def test_subjects_are_safe_whatever_the_ids_are(provider: str, session: str, track: str) -> None:
    """No dot, space, wildcard or line end of an id gets into one, and none is long."""
    for subject in (live_subject((provider, session), track), control_subject(session)):
        assert re.fullmatch(r"audiotap\.(live|node)(\.[0-9a-f]{40}){1,2}", subject)


def test_words_are_kept_apart() -> None:
    """Two sessions never have one key."""
    assert token("a", "bc") != token("ab", "c") != token("abc")


@given(st.text(), st.text())
def test_an_entry_comes_back(session: str, bot: str) -> None:
    """Written down and read again it is the same."""
    entry = msgspec.structs.replace(ENTRY, session=session, bot=bot)
    assert decode(encode(entry)) == entry


@pytest.mark.parametrize("data", [b"", b"{}", b"\xff", b"[" * 100_000, b"null"])
def test_what_others_write_there(data: bytes) -> None:
    """Nothing that anybody writes is more than unread."""
    with pytest.raises(WireError):
        decode(data)
