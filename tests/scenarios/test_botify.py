"""Botify's proxy keeps what happens to itself: what a user of `converse` gets to know of it."""

from __future__ import annotations

import json
from pathlib import Path

from tests.scenarios.harness import Place

import audiotap

HELLO = Path(audiotap.__file__).parent / "speech" / "hello.flac"


async def test_a_proxy_that_does_not_reach_its_agent(place: Place) -> None:
    """What it says before it drops the line is the reason, and the hint says where to look."""
    agent = await place.agent("botify", "--option", "setup-fails")
    ended = await place.run("converse", "botify", HELLO, "--url", agent.url, "--out", place.out)
    assert ended.status == 1
    assert "Cannot connect to Azure OpenAI Realtime API" in ended.err
    assert "look at Botify's log" in ended.err


async def test_a_proxy_that_lost_its_agent(place: Place) -> None:
    """It says nothing and drops the line at our next word: that's said, and what was asked is not answered."""
    agent = await place.agent("botify", "--option", "upstream-ends", "--think", 20)
    ended = await place.run(
        "converse", "botify", HELLO, "--url", agent.url, "--out", place.out, "--timeout", 4, "--json"
    )
    assert ended.status == 1
    told = [json.loads(line) for line in ended.out.splitlines()]
    assert any("its own one to Azure has ended" in one["message"] for one in told if one["event"] == "warning")
    assert [one["status"] for one in told if one["event"] == "turn"] == ["missing"]


async def test_its_second_answer_belongs_to_the_same_turn(place: Place) -> None:
    """While it searches by itself one answer ends and another one begins; the turn is answered once."""
    agent = await place.agent("botify", "--tool", 0.2, "--think", 0, "--faster", 0)
    ended = await place.run("converse", "botify", "--url", agent.url, "--out", place.out, "--json", "--text", "hi")
    assert ended.status == 0, ended.err
    told = [json.loads(line) for line in ended.out.splitlines()]
    assert [(one["number"], one["status"]) for one in told if one["event"] == "turn"] == [(1, "completed")]
