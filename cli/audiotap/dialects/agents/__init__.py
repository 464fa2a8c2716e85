"""The register of agents' dialects: one line each."""

from __future__ import annotations

from audiotap.dialects.agents.amigo import Amigo
from audiotap.dialects.agents.base import AgentDialect
from audiotap.dialects.agents.deepgram import Deepgram

AGENTS: dict[str, type[AgentDialect]] = {
    "amigo": Amigo,
    "deepgram": Deepgram,
}
