"""What options of several commands have in common: they are made once, into one value each, and numbers are finite."""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any, TypeVar, get_type_hints

import typer
from typer.core import TyperCommand

F = TypeVar("F", bound=Callable[..., Any])


class Command(TyperCommand):
    """A command whose numbers are finite: `nan` is within any range, and no time is endless."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Parse, and refuse what is no number one could mean."""
        rest: list[str] = super().parse_args(ctx, args)
        for one in self.params:
            value = ctx.params.get(one.name)
            if isinstance(value, float) and not math.isfinite(value):
                raise typer.BadParameter(f"{value} is no number to count with: write e.g. 0.5 or 30", ctx, one)
        return rest


class Program(typer.Typer):
    """Commands of that kind."""

    def command(self, name: str | None = None, **more: Any) -> Callable[[F], F]:
        return super().command(name, cls=Command, **more)


def taking(**makers: Callable[..., Any]) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """A command that has the options of some makers, too, and is handed what each of them makes out of its own.

    The command's parameters that are called like a maker are no options. Two options of one name are an error.
    """

    def made(command: Callable[..., Any]) -> Callable[..., Any]:
        own = [one for one in inspect.signature(command).parameters.values() if one.name not in makers]
        theirs = {name: list(inspect.signature(maker).parameters.values()) for name, maker in makers.items()}
        everything = [*(one for some in theirs.values() for one in some), *own]
        if len({one.name for one in everything}) != len(everything):
            raise TypeError(f"{command.__name__}: two options have one name")

        def run(**options: Any) -> Any:
            values = {name: makers[name](**{one.name: options[one.name] for one in theirs[name]}) for name in makers}
            return command(**{one.name: options[one.name] for one in own}, **values)

        run.__name__, run.__doc__ = command.__name__, command.__doc__
        hints: dict[str, Any] = {}
        for function, some in (*((makers[name], theirs[name]) for name in makers), (command, own)):
            hints |= _hints(function, [one.name for one in some])
        keyword = inspect.Parameter.KEYWORD_ONLY
        options = [one.replace(kind=keyword, annotation=hints[one.name]) for one in everything]
        run.__signature__ = inspect.Signature(options)  # type: ignore[attr-defined]
        run.__annotations__ = {one.name: one.annotation for one in options}
        return run

    return made


def _hints(function: Callable[..., Any], names: list[str]) -> dict[str, Any]:
    """What some parameters are; the types of others may be known to type checkers only."""
    told = SimpleNamespace(__annotations__={name: function.__annotations__[name] for name in names})
    return get_type_hints(told, function.__globals__, include_extras=True)


def check_fleet(url: str) -> None:
    """UsageError for what names no NATS servers, MachineError where NATS' library is missing."""
    from audiotap.net.fleet.bus import servers

    servers(url)
