"""Options that several commands have in common, as a command that takes them is called and described."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple, cast

import pytest
import typer
from typer.testing import CliRunner

from audiotap.commands.app import app as program
from audiotap.commands.options import Command, taking
from audiotap.errors import UsageError

if TYPE_CHECKING:
    from audiotap.dialects.agents.base import Account


class Place(NamedTuple):
    """What a maker makes."""

    host: str
    port: int


def place(
    host: Annotated[str, typer.Option(help="Where.")] = "here",
    port: Annotated[int, typer.Option(help="Which one.", min=1)] = 80,
) -> Place:
    """A place."""
    if host == "nowhere":
        raise UsageError("there is no such place", "name another")
    return Place(host, port)


def account(key: str = "") -> Account:
    """Something whose type is known to type checkers only."""
    return cast("Account", key)


def command(seen: list[object], **makers: Callable[..., Any]) -> typer.Typer:
    """A program of one command that takes what these make, and keeps what it was called with."""
    app = typer.Typer()

    @app.command()
    @taking(**makers)
    def visit(where: Place, who: Account, name: str, loud: Annotated[bool, typer.Option("--loud")] = False) -> None:
        """Visit a place.

        Or two.
        """
        seen.append((where, who, name, loud))

    return app


def run(*arguments: str) -> tuple[list[object], Any]:
    seen: list[object] = []
    return seen, CliRunner().invoke(command(seen, where=place, who=account), list(arguments))


def test_a_command_gets_what_its_makers_make() -> None:
    """Each maker is called with its own options, and the command with the values and its own options."""
    seen, ended = run("ana", "--host", "there", "--port", "8", "--loud", "--key", "k")
    assert ended.exit_code == 0
    assert seen == [(Place("there", 8), "k", "ana", True)]


def test_defaults_are_the_makers() -> None:
    """What isn't typed is as the maker has it."""
    assert run("ana")[0] == [(Place("here", 80), "", "ana", False)]


def test_the_limits_of_an_option_are_kept() -> None:
    """Whatever typer does for an option it does for one of a maker."""
    seen, ended = run("ana", "--port", "0")
    assert ended.exit_code == 2
    assert seen == []


def test_help_shows_all_options_and_no_maker() -> None:
    """The command's own words, every option, and none that is called like what is made."""
    text = run("--help")[1].output
    assert "Visit a place." in text
    assert all(option in text for option in ("--host", "--port", "--key", "--loud", "Which one."))
    assert "--where" not in text
    assert "--who" not in text


def test_an_error_of_a_maker_is_the_commands() -> None:
    """It goes up as it is, and the command isn't called."""
    seen, ended = run("ana", "--host", "nowhere")
    assert isinstance(ended.exception, UsageError)
    assert seen == []


def test_two_options_of_one_name_are_an_error() -> None:
    """As soon as the command is made: between two makers, and between a maker and the command."""
    with pytest.raises(TypeError, match="visit: two options have one name"):

        @taking(a=place, b=place)
        def visit(a: Place, b: Place) -> None: ...

    with pytest.raises(TypeError, match="call: two options have one name"):

        @taking(a=place)
        def call(a: Place, port: int) -> None: ...


def test_a_command_can_be_called_from_code() -> None:
    """It returns what the command returns, and tells of itself what the command does."""

    @taking(where=place)
    def visit(where: Place, times: int = 1) -> str:
        """Visit a place."""
        return f"{where.host} {times}"

    assert visit(host="there", port=1, times=2) == "there 2"
    assert (visit.__name__, visit.__doc__) == ("visit", "Visit a place.")
    parameters = inspect.signature(visit).parameters
    assert list(parameters) == ["host", "port", "times"]
    assert {one.kind for one in parameters.values()} == {inspect.Parameter.KEYWORD_ONLY}
    assert parameters["times"].annotation is int


def test_makers_of_several_floors() -> None:
    """A command that takes something may be what another one is made with."""

    @taking(where=place)
    def plan(where: Place, stay: int = 3) -> tuple[Place, int]:
        return where, stay

    @taking(plan=plan)
    def travel(plan: tuple[Place, int], name: str) -> object:
        return plan, name

    assert travel(host="there", port=1, stay=2, name="ana") == ((Place("there", 1), 2), "ana")


@pytest.mark.parametrize("number", ["nan", "inf"])
@pytest.mark.parametrize(
    "line", [("listen", "--ping-interval"), ("listen", "--linger"), ("pause",), ("converse", "openai", "--interrupt")]
)
def test_numbers_are_finite(line: tuple[str, ...], number: str) -> None:
    """A time that is none, or never ends, is refused with status 2 before anything begins."""
    ended = CliRunner().invoke(program, [*line, number])
    assert ended.exit_code == 2
    assert f"{number} is no number to count with" in ended.output


def test_numbers_of_a_settings_file_are_finite(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """TOML has a word for what is no number."""
    (tmp_path / "audiotap.toml").write_text("[listen]\nlinger = nan\n")
    monkeypatch.chdir(tmp_path)
    ended = CliRunner().invoke(program, ["listen"])
    assert ended.exit_code == 2
    assert "--linger" in ended.output


def test_all_commands_have_finite_numbers() -> None:
    """There is none of another kind."""
    assert [command.name for command in commands(typer.main.get_command(program)) if type(command) is not Command] == []


def commands(group: Any) -> Iterator[Any]:
    """All that can be typed."""
    for command in group.commands.values():
        if hasattr(command, "commands"):
            yield from commands(command)
        else:
            yield command
