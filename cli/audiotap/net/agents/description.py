"""What an agent's server tells of itself over HTTP, before it is dialled; nothing depends on it."""

from __future__ import annotations

from collections.abc import Callable

from audiotap.dialects.agents.base import Account, AgentDialect, AgentSettings, Described
from audiotap.errors import WireError
from audiotap.text import printable

SECONDS = 2.0
"""That a description may take: whoever has none answers at once."""
MOST = 1024 * 1024


async def described(
    dialect: type[AgentDialect], account: Account, settings: AgentSettings, tell: Callable[[str], None]
) -> AgentSettings:
    """The settings by what a server tells of itself, which is told; as they were where it tells nothing."""
    if not isinstance(dialect, Described):
        return settings
    import httpx2

    try:
        async with httpx2.AsyncClient(timeout=SECONDS) as client:
            answer = await client.get(dialect.description_url(account))
        if not answer.is_success or len(answer.content) > MOST:
            return settings
        settings, told = dialect.described(settings, answer.text)
    except (httpx2.HTTPError, httpx2.InvalidURL, WireError):
        return settings
    tell(printable(told))
    return settings
