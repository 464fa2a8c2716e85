"""How a running command talks. Light, since the options of commands need it."""

from __future__ import annotations

import os
from enum import StrEnum


class Output(StrEnum):
    """`auto` is rich where stderr is a terminal, else plain."""

    AUTO = "auto"
    RICH = "rich"
    PLAIN = "plain"
    JSON = "json"

    def resolved(self, *, json: bool = False) -> Output:
        """The mode that is meant; the file descriptor is asked, since FORCE_COLOR and its like lie."""
        if json:
            return Output.JSON
        if self is not Output.AUTO:
            return self
        return Output.RICH if os.isatty(2) else Output.PLAIN
