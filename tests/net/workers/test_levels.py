"""The meter over several processes: one list of sessions, in the order in which they came."""

from __future__ import annotations

from audiotap.net.workers.levels import Board
from audiotap.sinks.meter import MeterSession


def shown(session: str, seconds: float = 0.0) -> MeterSession:
    return MeterSession(("attendee", session), None, seconds, 1, 0, ())


def names(board: Board) -> list[str]:
    return [one.session[1] for one in board.measure(0.0)]


def test_the_newest_session_is_first() -> None:
    """Whichever worker has it; and those that stay keep their places."""
    board = Board()
    board.put(0, [shown("a")])
    assert names(board) == ["a"]
    board.put(1, [shown("c"), shown("b")])
    assert names(board) == ["c", "b", "a"]
    board.put(0, [shown("d"), shown("a")])
    assert names(board) == ["d", "c", "b", "a"]


def test_what_was_shown_last_counts() -> None:
    """A session that is not shown any more is gone, and so are those of a worker that died."""
    board = Board()
    board.put(0, [shown("b"), shown("a")])
    board.put(1, [shown("c")])
    board.put(0, [shown("a", 7.0)])
    assert [one.seconds for one in board.measure(0.0) if one.session[1] == "a"] == [7.0]
    assert set(names(board)) == {"a", "c"}
    board.put(1, ())
    assert names(board) == ["a"]
    board.put(0, [shown("b"), shown("a")])
    assert names(board) == ["b", "a"]
