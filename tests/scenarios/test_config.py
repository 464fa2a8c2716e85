"""What is set, and where it comes from, as a user asks for it."""

from __future__ import annotations

import pytest
from tests.scenarios.harness import Place

SETTINGS = """
[listen]
port = 9000
public-url = "wss://example.com/path-that-is-a-secret"
[profile.office.listen]
port = 9100
"""
HIDDEN = ["path-that-is-a-secret", "the-flag-that-nobody-sees", "the-key-that-nobody-sees", "agent-key"]


@pytest.fixture
def configured(place: Place) -> Place:
    """A place with a settings file, variables and secrets."""
    (place.folder / "audiotap.toml").write_text(SETTINGS)
    place.environment |= {
        "AUDIOTAP_LISTEN_HOST": "0.0.0.0",
        "AUDIOTAP_LISTEN_SECRET": "the-flag-that-nobody-sees",
        "AUDIOTAP_SIM_AGENT_KEY": "agent-key",
        "RECALL_API_KEY": "the-key-that-nobody-sees",
    }
    return place


async def test_every_option_has_its_origin(configured: Place) -> None:
    """As JSON: the value and the file, the profile's file or the variable; secrets are only there or not."""
    ended = await configured.run("--profile", "office", "config", "show", "--json")
    assert (ended.status, ended.err) == (0, "")
    options = {(one["command"], one["option"]): one for one in ended.json["options"]}
    told = {
        name: list(options["listen", name].values())[2:] for name in ("port", "host", "out", "secret", "public-url")
    }
    assert told == {
        "port": [9100, "profile", "audiotap.toml"],
        "host": ["0.0.0.0", "environment", "AUDIOTAP_LISTEN_HOST"],
        "out": ["recordings", "default", None],
        "secret": ["set", "environment", "AUDIOTAP_LISTEN_SECRET"],
        "public-url": ["wss://example.com/…", "file", "audiotap.toml"],
    }
    assert {"speak", "sim bot", "bot create", "config show"} <= {command for command, _ in options}
    assert ended.json["keys"]["RECALL_API_KEY"] is True
    assert ended.json["keys"]["ATTENDEE_API_KEY"] is False
    assert not [hidden for hidden in HIDDEN if hidden in ended.out.decode()]


async def test_one_command_as_lines(configured: Place) -> None:
    """What is meant is a command or a group of them; one that is none is an error."""
    ended = await configured.run("config", "show", "sim")
    shown = ended.out.decode().splitlines()
    assert [line for line in shown if not line.startswith(" ")] == ["sim bot", "sim agent"]
    assert "key       set        AUDIOTAP_SIM_AGENT_KEY" in ended.out.decode()
    whole = (await configured.run("config", "show")).out.decode()
    assert "  port                9000                 audiotap.toml\n" in whole
    assert not [hidden for hidden in HIDDEN if hidden in whole]
    assert (await configured.run("config", "show", "sin")).status == 2


async def test_a_profile_is_used(configured: Place) -> None:
    """By the option or the variable; one that is nowhere is an error with a guess."""
    configured.environment |= {"AUDIOTAP_PROFILE": "office", "AUDIOTAP_LISTEN_HOST": "192.0.2.1"}
    ended = await configured.run("listen")
    assert ended.status == 3
    assert "192.0.2.1:9100" in ended.err
    ended = await configured.run("--profile", "ofice", "status")
    assert (ended.status, ended.out) == (2, b"")
    assert "did you mean office?" in ended.err


async def test_where_the_users_file_is(place: Place) -> None:
    """One line that an editor can be given."""
    ended = await place.run("config", "path")
    assert ended.out.decode() == f"{place.folder / 'none.toml'}\n"
