"""Recall.ai's REST interface (v1.11), by the pages "Real-Time Websocket Endpoints", "Output Audio" and "API Errors"."""

from __future__ import annotations

import base64
import re
from collections.abc import Iterable
from typing import Any, ClassVar

from audiotap.audio import Chunk
from audiotap.dialects.recall import RATE
from audiotap.errors import UsageError
from audiotap.mp3 import Mp3, encode, silence
from audiotap.net.rest.base import Rest, Streams, with_path

MOST_B64 = 1_835_008
"""Characters of `b64_data` that output_audio takes."""
MOST_MP3 = MOST_B64 // 4 * 3
SILENCE_SECONDS = 0.1


class RecallRest(Rest):
    """Recall.ai, in one of its regions."""

    name: ClassVar = "Recall"
    home: ClassVar = "https://us-east-1.recall.ai"
    variable: ClassVar = "RECALL_API_KEY"
    authorization: ClassVar = "{}"
    bots: ClassVar = "/api/v1/bot/"

    @classmethod
    def address(cls, api: str) -> str:
        """A region's name is short for its URL."""
        return f"https://{api}.recall.ai" if re.fullmatch(r"[a-z]+-[a-z]+-\d", api) else api

    @classmethod
    def subscription(cls, streams: Streams) -> dict[str, Any]:
        """`recording_config`: what is subscribed must be configured too, or nothing comes."""
        if streams.rate != RATE:
            raise UsageError(f"Recall sends {RATE} Hz only, not {streams.rate}", "leave --rate out")
        if streams.threshold is not None:
            raise UsageError("Recall's bots have no threshold", "leave --threshold out")
        artifacts = [f"audio_{kind}_raw" for kind in ("mixed", "separate") if getattr(streams, kind)]
        events = [f"{artifact}.data" for artifact in artifacts]
        events += ["participant_events.join", "participant_events.leave"]
        endpoint = {"type": "websocket", "url": with_path(streams.url), "events": events}
        return {"recording_config": {artifact: {} for artifact in artifacts} | {"realtime_endpoints": [endpoint]}}

    @classmethod
    def extras(cls) -> dict[str, Any]:
        """Only a bot that plays something by itself can be spoken to later, so it plays silence."""
        return {"automatic_audio_output": {"in_call_recording": {"data": _mp3(silence(SILENCE_SECONDS))}}}

    async def leave(self, bot: str) -> None:
        """Have a bot leave its meeting."""
        await self.insist(type(None), "POST", self.path(bot, "leave_call/"))

    async def speak(self, bot: str, mp3: bytes) -> None:
        """Have a bot play an MP3."""
        await self.insist(type(None), "POST", self.path(bot, "output_audio/"), _mp3(mp3))

    async def hush(self, bot: str) -> None:
        """Have a bot play nothing any more; what it played is gone."""
        await self.insist(type(None), "DELETE", self.path(bot, "output_audio/"))


def speech(chunks: Iterable[Chunk]) -> tuple[bytes, float]:
    """Speech as Recall takes it, and its seconds. UsageError when it is too long."""
    return encode(chunks, MOST_MP3)


def encoder() -> Mp3:
    """What makes speech as Recall takes it, piece by piece."""
    return Mp3(MOST_MP3)


def _mp3(mp3: bytes) -> dict[str, str]:
    return {"kind": "mp3", "b64_data": base64.b64encode(mp3).decode()}
