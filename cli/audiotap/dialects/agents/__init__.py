"""The register of agents' dialects: one line each."""

from __future__ import annotations

from audiotap.dialects.agents.amigo import Amigo
from audiotap.dialects.agents.base import AgentDialect
from audiotap.dialects.agents.deepgram import Deepgram
from audiotap.dialects.agents.openai import Azure, Botify, OpenAI

AGENTS: dict[str, type[AgentDialect]] = {dialect.name: dialect for dialect in (OpenAI, Azure, Botify, Deepgram, Amigo)}
