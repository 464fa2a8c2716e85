"""Settings: flag, then AUDIOTAP_*, then ./audiotap.toml, then the user's file, then the default.

Nobody else reads the environment.
"""

from __future__ import annotations

import difflib
import os
import tempfile
import tomllib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from audiotap.errors import MachineError, UsageError

LOCAL_FILE = Path("audiotap.toml")
LONGEST_RUNTIME_DIR = 70
"""Bytes that leave room for `/audiotap/PORT-PID.sock` in a Unix socket's path (macOS takes 104, Linux 108)."""

KEYS = {"attendee": ("ATTENDEE_API_KEY",), "recall": ("RECALL_API_KEY", "RECALLAI_API_KEY")}
"""Environment variables of the providers' keys; the first that is set counts."""

AGENT_KEYS = {
    "openai": ("OPENAI_API_KEY",),
    "azure": ("AZURE_OPENAI_API_KEY",),
    "botify": (),
    "deepgram": ("DEEPGRAM_API_KEY",),
    "amigo": ("AMIGO_TOKEN", "AMIGO_API_KEY"),
}
"""Environment variables of the agents' keys; the first that is set counts."""
AGENT_URLS = {"azure": ("AZURE_OPENAI_ENDPOINT",)}
AGENT_MODELS = {"azure": ("AZURE_OPENAI_REALTIME_DEPLOYMENT", "AZURE_OPENAI_REALTIME_MODEL_NAME")}
"""Names that vendors' pages and samples have for what others are told by an option."""

SHARED = {"output": "AUDIOTAP_OUTPUT", "fleet": "AUDIOTAP_FLEET"}
"""Variables that are short for an option of every command that has it."""
SECRETS = frozenset({"secret"})
"""Options that no settings file may have."""

Schema = Mapping[str, Mapping[str, bool]]
"""The options of every command, by command (`sim bot` is `sim.bot`), and whether they may be repeated."""


def control_folder() -> Path:
    """Where listeners' control sockets live: `audiotap` in AUDIOTAP_RUNTIME_DIR or in the user's runtime folder.

    Without either, or where a socket's path would be too long for the system, a folder of the user's own in the
    temporary one, where nobody else can replace it.
    """
    runtime = os.environ.get("AUDIOTAP_RUNTIME_DIR") or os.environ.get("XDG_RUNTIME_DIR")
    if runtime and len(os.fsencode(runtime)) <= LONGEST_RUNTIME_DIR:
        return Path(runtime) / "audiotap"
    return Path(tempfile.gettempdir()) / (f"audiotap-{os.getuid()}" if hasattr(os, "getuid") else "audiotap")


def state_folder() -> Path:
    """Where what outlives a listener is kept: AUDIOTAP_STATE_DIR, or the user's own folder for that."""
    override = os.environ.get("AUDIOTAP_STATE_DIR")
    if override:
        return Path(override)
    from platformdirs import user_state_path

    return user_state_path("audiotap")


def secret() -> str:
    """The secret in the listener's address, if the user chose it."""
    return os.environ.get("AUDIOTAP_SECRET", "").strip()


def recall_secrets() -> str:
    """The secrets with which Recall signs, apart by spaces or commas."""
    return os.environ.get("AUDIOTAP_RECALL_SECRET", "")


def invocation() -> str:
    """How the user started us, for hints that can be pasted."""
    return os.environ.get("AUDIOTAP_INVOKED_AS", "audiotap")


def api_key(provider: str) -> str:
    """The key of the user's account with a provider; empty if none is set."""
    return _first(*KEYS[provider])


def agent_key(vendor: str) -> str:
    """The key of the user's account with an agent's vendor; empty if none is set."""
    return _first(*AGENT_KEYS[vendor])


def agent_url(vendor: str) -> str:
    """Where an agent is, if the user says so for all commands: OPENAI_URL, BOTIFY_URL, …"""
    return _first(f"{vendor.upper()}_URL", *AGENT_URLS.get(vendor, ()))


def agent_organization(vendor: str) -> str:
    """The user's organization at an agent's vendor: AMIGO_ORGANIZATION."""
    return _first(f"{vendor.upper()}_ORGANIZATION")


def agent_model(vendor: str) -> str:
    """The model that is meant where no option names one."""
    return _first(*AGENT_MODELS.get(vendor, ()))


def _first(*names: str) -> str:
    """The first of some variables that is set."""
    return next((value for name in names if (value := os.environ.get(name, "").strip())), "")


def api_url(provider: str) -> str:
    """Where a provider's REST interface is, if the user says so for all commands: ATTENDEE_API_URL, RECALL_API_URL."""
    return os.environ.get(f"{provider.upper()}_API_URL", "").strip()


def user_file() -> Path:
    """The user's own settings file."""
    override = os.environ.get("AUDIOTAP_CONFIG")
    if override:
        return Path(override)
    from platformdirs import user_config_path

    return user_config_path("audiotap") / "audiotap.toml"


def load(schema: Schema) -> dict[str, Any]:
    """Defaults for the commands out of the settings files and the environment, the nearer winning.

    Nested as typer wants them. UsageError for an unknown table or key in a file, with the nearest known one.
    """
    merged: dict[str, Any] = {}
    for source in (_read(user_file(), schema), _read(LOCAL_FILE, schema), _environment(schema)):
        for command, options in source.items():
            place = merged
            for part in command.split("."):
                place = place.setdefault(part, {})
            place.update(options)
    return merged


def variable(command: str, option: str) -> str:
    """The environment variable of an option: AUDIOTAP_LISTEN_PORT, AUDIOTAP_SIM_BOT_URL."""
    return f"AUDIOTAP_{command}_{option}".replace(".", "_").replace("-", "_").upper()


def _environment(schema: Schema) -> dict[str, dict[str, Any]]:
    """What the environment sets; the command's own variable counts before one for all of them."""
    found: dict[str, dict[str, Any]] = {}
    for command, options in schema.items():
        for option in (option for option, repeatable in options.items() if not repeatable):
            names = [variable(command, option), *([SHARED[option]] if option in SHARED else [])]
            values = [os.environ[name] for name in names if os.environ.get(name)]
            if values:
                found.setdefault(command, {})[option.replace("-", "_")] = values[0]
    return found


def _read(path: Path, schema: Schema) -> dict[str, dict[str, Any]]:
    try:
        document = tomllib.loads(path.read_text("utf-8"))
    except FileNotFoundError:
        return {}
    except (OSError, UnicodeError) as error:
        raise MachineError(f"cannot read {path}: {error}") from error
    except tomllib.TOMLDecodeError as error:
        raise UsageError(f"{path} is no valid TOML: {error}") from error
    return _checked(path, document, schema, "")


def _checked(path: Path, table: dict[str, Any], schema: Schema, prefix: str) -> dict[str, dict[str, Any]]:
    found: dict[str, dict[str, Any]] = {}
    for key, value in table.items():
        name = f"{prefix}{key}"
        if isinstance(value, dict) and (name in schema or any(known.startswith(f"{name}.") for known in schema)):
            options = {k: v for k, v in value.items() if not isinstance(v, dict)}
            _check_keys(path, name, options, schema.get(name, {}))
            found[name] = {k.replace("-", "_"): v for k, v in options.items()}
            found |= _checked(path, {k: v for k, v in value.items() if isinstance(v, dict)}, schema, f"{name}.")
        else:
            raise _unknown(path, name, [f"{known}" for known in schema])
    return found


def _check_keys(path: Path, command: str, options: dict[str, Any], known: Iterable[str]) -> None:
    for key in options:
        if key in SECRETS:
            raise UsageError(f"{path}: {command}.{key} is no setting", "files are copied: set AUDIOTAP_SECRET")
        if key not in known:
            raise _unknown(path, f"{command}.{key}", [f"{command}.{option}" for option in known])


def _unknown(path: Path, name: str, known: list[str]) -> UsageError:
    near = difflib.get_close_matches(name, known, 1)
    hint = f"did you mean {near[0]}?" if near else f"known are: {', '.join(sorted(known))}"
    return UsageError(f"{path}: unknown setting {name}", hint)
