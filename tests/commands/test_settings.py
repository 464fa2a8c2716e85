"""Settings: which source wins, and what is said of a wrong file."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from audiotap.commands.settings import (
    LOCAL_FILE,
    Origin,
    found,
    inherited,
    keys,
    load,
    secrets,
    user_file,
    variable,
)
from audiotap.errors import Exit, MachineError, UsageError

SCHEMA = {
    "listen": {"host": False, "port": False, "out": False, "stdout-track": False, "output": False, "exec": False},
    "speak": {"bot": False, "output": False},
    "sim.bot": {"speed": False, "drop-at": False, "file": True},
}
"""Options, and whether they may be given more than once."""


class Files:
    """The user's own file and the one in the folder where the command was started."""

    def __init__(self, user: Path, local: Path) -> None:
        self.user = user
        self.local = local

    def load(self) -> dict[str, Any]:
        return load(SCHEMA)

    def refusal(self, local: str) -> UsageError:
        """What is said of a local file that is wrong."""
        self.local.write_text(local)
        with pytest.raises(UsageError) as caught:
            self.load()
        assert caught.value.status == Exit.USAGE
        assert str(LOCAL_FILE) in caught.value.message
        return caught.value


@pytest.fixture
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Files:
    """A user and a folder of their own, without any settings yet."""
    for name in [name for name in os.environ if name.startswith("AUDIOTAP_")]:
        monkeypatch.delenv(name)
    here = tmp_path / "here"
    here.mkdir()
    monkeypatch.chdir(here)
    monkeypatch.setenv("AUDIOTAP_CONFIG", str(tmp_path / "user.toml"))
    return Files(tmp_path / "user.toml", here / LOCAL_FILE)


def test_no_files_are_no_settings(files: Files) -> None:
    """Nobody needs one."""
    assert files.load() == {}


def test_each_file_is_read(files: Files) -> None:
    """Either alone is enough; options come out as typer calls them, and nested as its commands are."""
    files.user.write_text("[listen]\nport = 9000\nstdout-track = 'mixed'\n[sim.bot]\nspeed = 2.5\n")
    settings = {"listen": {"port": 9000, "stdout_track": "mixed"}, "sim": {"bot": {"speed": 2.5}}}
    assert files.load() == settings
    files.user.rename(files.local)
    assert files.load() == settings


def test_the_nearer_file_wins_option_by_option(files: Files) -> None:
    """The local file replaces what it names and leaves the rest of the user's."""
    files.user.write_text("[listen]\nport = 9000\nhost = '0.0.0.0'\n[speak]\nbot = 'a'\n[sim.bot]\nspeed = 2\n")
    files.local.write_text("[listen]\nport = 9001\nout = 'calls'\n[sim.bot]\ndrop-at = 3\n")
    assert files.load() == {
        "listen": {"port": 9001, "host": "0.0.0.0", "out": "calls"},
        "speak": {"bot": "a"},
        "sim": {"bot": {"speed": 2, "drop_at": 3}},
    }


def test_the_environment_wins_over_files(files: Files, monkeypatch: pytest.MonkeyPatch) -> None:
    """Option by option again; an empty variable is none."""
    files.local.write_text("[listen]\nport = 9001\nhost = 'a'\nout = 'calls'\n")
    monkeypatch.setenv("AUDIOTAP_LISTEN_PORT", "9002")
    monkeypatch.setenv("AUDIOTAP_LISTEN_HOST", "")
    monkeypatch.setenv(variable("sim.bot", "drop-at"), "3")
    assert variable("sim.bot", "drop-at") == "AUDIOTAP_SIM_BOT_DROP_AT"
    assert files.load() == {
        "listen": {"port": "9002", "host": "a", "out": "calls"},
        "sim": {"bot": {"drop_at": "3"}},
    }


def test_one_variable_sets_the_output_of_every_command(files: Files, monkeypatch: pytest.MonkeyPatch) -> None:
    """AUDIOTAP_OUTPUT is for all of them, unless a command has its own."""
    monkeypatch.setenv("AUDIOTAP_OUTPUT", "json")
    monkeypatch.setenv("AUDIOTAP_SPEAK_OUTPUT", "plain")
    assert files.load() == {"listen": {"output": "json"}, "speak": {"output": "plain"}}


def test_a_variable_has_no_room_for_a_list(files: Files, monkeypatch: pytest.MonkeyPatch) -> None:
    """An option that may be given more than once is set in a file, where lists exist."""
    files.local.write_text("[sim.bot]\nfile = ['a.wav', 'b.wav']\n")
    monkeypatch.setenv("AUDIOTAP_SIM_BOT_FILE", "c.wav")
    assert files.load() == {"sim": {"bot": {"file": ["a.wav", "b.wav"]}}}


@pytest.mark.parametrize(
    ("text", "wrong", "meant"),
    [
        ("[listen]\nprot = 1", "listen.prot", "listen.port"),
        ("[listne]\nport = 1", "listne", "listen"),
        ("[sim.bot]\nsped = 1", "sim.bot.sped", "sim.bot.speed"),
        ("[sim.bat]\nspeed = 1", "sim.bat", "sim.bot"),
        ("[listen]\nstdout_track = 'mixed'", "listen.stdout_track", "listen.stdout-track"),
    ],
)
def test_an_unknown_setting_is_an_error_with_a_guess(files: Files, text: str, wrong: str, meant: str) -> None:
    """A slip of the pen is not ignored; the nearest known name is offered."""
    error = files.refusal(text)
    assert wrong in error.message
    assert error.hint == f"did you mean {meant}?"


@pytest.mark.parametrize("text", ["zzz = 1", "[zzz]", "[listen.zzz]\na = 1", "[sim]\nzzz = 1", "listen = 1"])
def test_a_setting_like_no_other_is_an_error_all_the_same(files: Files, text: str) -> None:
    """Tables that are none, options outside a table, tables within tables."""
    assert files.refusal(text).hint


@pytest.mark.parametrize("text", ["[listen\n", "port =\n", "[listen]\nport = 1\nport = 2\n[speak]"])
def test_bad_toml_is_told_with_its_place(files: Files, text: str) -> None:
    """The message names the file and the line."""
    assert "at line" in files.refusal(text).message


def test_the_users_file_is_checked_as_well(files: Files) -> None:
    """And the message says which of the two it is."""
    files.user.write_text("[listen]\nprot = 1")
    with pytest.raises(UsageError, match=r"user\.toml"):
        files.load()


@pytest.mark.parametrize("make", [Path.mkdir, lambda path: path.write_bytes(b"\xff\xfe")], ids=["folder", "no text"])
def test_a_file_that_cannot_be_read_is_the_machines_fault(files: Files, make: Any) -> None:
    """Another exit status than a wrong setting, and never a traceback."""
    make(files.local)
    with pytest.raises(MachineError, match="cannot read"):
        files.load()


def test_the_users_file_has_a_usual_place(files: Files, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the system keeps settings, unless AUDIOTAP_CONFIG says otherwise."""
    assert user_file() == files.user
    monkeypatch.delenv("AUDIOTAP_CONFIG")
    assert user_file().parts[-2:] == ("audiotap", "audiotap.toml")


def test_a_secret_is_no_setting(files: Files) -> None:
    """Settings files are copied and kept with code, so a secret in one is an error, which does not repeat it."""
    error = files.refusal("[listen]\nsecret = 'a-secret-in-a-file'")
    assert "AUDIOTAP_SECRET" in error.hint
    assert "a-secret-in-a-file" not in error.message


@pytest.mark.parametrize("table", ["listen", "profile.office.listen"])
def test_a_folder_has_nothing_run(files: Files, table: str) -> None:
    """Who starts a listener in somebody's folder does not run their program; one's own file may name one."""
    command = f"[{table}]\nexec = './hook'\n"
    assert str(files.user) in files.refusal(command).hint
    files.local.unlink()
    files.user.write_text(command)
    assert load(SCHEMA, "office" if "office" in table else "")["listen"] == {"exec": "./hook"}


def test_ones_own_file_stays_ones_own_where_it_is(files: Files, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who stands in its folder meets it as the folder's file, too."""
    monkeypatch.setenv("AUDIOTAP_CONFIG", str(files.local))
    files.local.write_text("[listen]\nexec = './hook'\n")
    assert files.load() == {"listen": {"exec": "./hook"}}


def test_programs_get_no_secrets_of_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    """What lets bots in stays here, and keys that a program may need are handed on; none of them is told."""
    hidden = {"AUDIOTAP_SECRET", "AUDIOTAP_LISTEN_SECRET", "AUDIOTAP_RECALL_SECRET", "AUDIOTAP_TWILIO_TOKEN"}
    for name in sorted(hidden | {"ATTENDEE_API_KEY", "AWS_SECRET_ACCESS_KEY", "AUDIOTAP_LISTEN_OUT"}):
        monkeypatch.setenv(name, f"one-of-{name} two-of-{name}")
    assert not hidden & inherited().keys()
    assert {"ATTENDEE_API_KEY", "AWS_SECRET_ACCESS_KEY", "AUDIOTAP_LISTEN_OUT"} <= inherited().keys()
    told = {f"{number}-of-{name}" for name in hidden | {"ATTENDEE_API_KEY"} for number in ("one", "two")}
    assert told <= secrets()
    assert "one-of-AUDIOTAP_LISTEN_OUT" not in secrets()
    assert keys()["AUDIOTAP_TWILIO_TOKEN"]


OFFICE = (
    "[listen]\nport = 1\nhost = 'a'\nout = 'x'\n[profile.office.listen]\nport = 2\n[profile.home.sim.bot]\nspeed = 2\n"
)


def test_a_profile_wins_over_files(files: Files, monkeypatch: pytest.MonkeyPatch) -> None:
    """Over those of everybody, in both files, and the nearer file's profile over the other; variables win over it."""
    files.user.write_text(OFFICE + "[profile.office.speak]\nbot = 'b'\n")
    files.local.write_text("[listen]\nport = 3\nhost = 'c'\n[profile.office.listen]\nout = 'y'\n")
    assert files.load()["listen"] == {"port": 3, "host": "c", "out": "x"}
    office = {"listen": {"port": 2, "host": "c", "out": "y"}, "speak": {"bot": "b"}}
    assert load(SCHEMA, "office") == office
    assert load(SCHEMA, "home")["sim"] == {"bot": {"speed": 2}}
    monkeypatch.setenv("AUDIOTAP_PROFILE", "office")
    assert files.load() == office
    assert load(SCHEMA, "home")["listen"]["port"] == 3
    monkeypatch.setenv("AUDIOTAP_LISTEN_PORT", "4")
    assert files.load()["listen"]["port"] == "4"


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        (OFFICE, "did you mean office?"),
        ("[profile.a.listen]\n[profile.b.listen]\n", "known are: a, b"),
        ("", "write [profile.ofice.listen]"),
    ],
)
def test_an_unknown_profile_is_an_error_with_a_guess(files: Files, text: str, hint: str) -> None:
    """A slip of the pen does not become no profile."""
    files.user.write_text(text)
    with pytest.raises(UsageError, match="no profile ofice") as caught:
        load(SCHEMA, "ofice")
    assert caught.value.hint == hint


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        ("[profile.office.listen]\nprot = 1", "did you mean listen.port?"),
        ("[profile.office.listne]\nport = 1", "did you mean listen?"),
        ("[profile.office]\nport = 1", "known are: listen, sim.bot, speak"),
        ("[profile]\noffice = 1", "write e.g. [profile.office.listen]"),
        ("profile = 1", "write e.g. [profile.office.listen]"),
        ("[profile.office.listen]\nsecret = 'x'", "files are copied: set AUDIOTAP_SECRET"),
    ],
)
def test_a_profile_is_checked_though_nobody_chose_it(files: Files, text: str, hint: str) -> None:
    """As strictly as everything else in a settings file."""
    assert files.refusal(text).hint == hint


def test_where_a_value_comes_from(files: Files, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each has its file or its variable."""
    files.user.write_text("[listen]\nport = 1\nhost = 'a'\n[profile.office.listen]\nout = 'y'\n")
    files.local.write_text("[listen]\nport = 2\n")
    monkeypatch.setenv("AUDIOTAP_OUTPUT", "json")
    assert found(SCHEMA, "office")["listen"] == {
        "port": (2, Origin.FILE, str(LOCAL_FILE)),
        "host": ("a", Origin.FILE, str(files.user)),
        "out": ("y", Origin.PROFILE, str(files.user)),
        "output": ("json", Origin.ENVIRONMENT, "AUDIOTAP_OUTPUT"),
    }
