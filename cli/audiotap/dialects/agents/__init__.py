"""The register of agents' dialects: one line each."""

from __future__ import annotations

from audiotap.dialects.agents.amigo import Amigo
from audiotap.dialects.agents.base import AgentDialect

AGENTS: dict[str, type[AgentDialect]] = {
    Amigo.name: Amigo,
}
