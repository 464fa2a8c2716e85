"""Providers' REST interfaces as a server on this machine, written from the providers' own pages.

Attendee: `docs/openapi.yml` of attendee-labs/attendee. Recall: the pages bot_create, bot_leave_call_create,
bot_output_audio_create and "API Errors" of docs.recall.ai.
"""

from __future__ import annotations

import json
from typing import Any

from pytest_httpserver import HTTPServer
from tests.scenarios.harness import Place

ATTENDEE_KEY = "attendee-k3y-that-nobody-may-see"
RECALL_KEY = "recall-k3y-that-nobody-may-see"
KEYS = {"attendee": ATTENDEE_KEY, "recall": RECALL_KEY}
AUTHORIZATION = {"attendee": f"Token {ATTENDEE_KEY}", "recall": RECALL_KEY}
BOTS = {"attendee": "/api/v1/bots", "recall": "/api/v1/bot/"}
ATTENDEE_BOT = "bot_weIAju4OXNZkDTpZ"
RECALL_BOT = "6e1f5adb-3340-4f50-900d-9aa2cdc53d6c"
IDS = {"attendee": ATTENDEE_BOT, "recall": RECALL_BOT}
MEETING = "https://meet.google.com/abc-defg-hij"
PUBLIC = "wss://tunnel.example/"
CREATED = {
    "attendee": {
        "id": ATTENDEE_BOT,
        "meeting_url": MEETING,
        "state": "joining",
        "events": [{"type": "join_requested", "created_at": "2026-01-18T12:34:56Z"}],
        "transcription_state": "not_started",
        "recording_state": "not_started",
    },
    "recall": {"id": RECALL_BOT, "meeting_url": {"meeting_id": "abc"}, "bot_name": "audiotap", "status_changes": []},
}


def know(place: Place, server: HTTPServer) -> None:
    """Give a place the keys, and the server in the providers' stead."""
    address = server.url_for("").rstrip("/")
    place.environment |= {
        "ATTENDEE_API_KEY": ATTENDEE_KEY,
        "RECALL_API_KEY": RECALL_KEY,
        "ATTENDEE_API_URL": address,
        "RECALL_API_URL": address,
    }


def asked(server: HTTPServer) -> list[tuple[str, str]]:
    """What was asked so far: methods and paths."""
    return [(request.method, request.path) for request, _ in server.log]


def body(server: HTTPServer, number: int = -1) -> Any:
    """What a request said."""
    request, _ = server.log[number]
    assert request.headers["Content-Type"] == "application/json"
    return json.loads(request.get_data())


def assert_authorized(server: HTTPServer, provider: str) -> None:
    """Every request had the key, in the provider's form."""
    assert {request.headers["Authorization"] for request, _ in server.log} == {AUTHORIZATION[provider]}
