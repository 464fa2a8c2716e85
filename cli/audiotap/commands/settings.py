"""Settings: flag, then AUDIOTAP_*, then the profile, then ./audiotap.toml, then the user's file, then the default.

Nobody else reads the environment.
"""

from __future__ import annotations

import difflib
import os
import tempfile
import tomllib
from collections.abc import Collection, Iterable, Mapping
from enum import StrEnum
from pathlib import Path
from typing import Any, NamedTuple

from audiotap.errors import MachineError, UsageError

LOCAL_FILE = Path("audiotap.toml")
PROFILE = "profile"
"""The table of a settings file that has those of the profiles."""
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
AGENT_ORGANIZATIONS = {"amigo": ("AMIGO_ORGANIZATION",)}
AGENT_MODELS = {"azure": ("AZURE_OPENAI_REALTIME_DEPLOYMENT", "AZURE_OPENAI_REALTIME_MODEL_NAME")}
"""Names that vendors' pages and samples have for what others are told by an option."""

SHARED = {"output": "AUDIOTAP_OUTPUT", "fleet": "AUDIOTAP_FLEET"}
"""Variables that are short for an option of every command that has it."""
SECRETS = frozenset({"secret"})
"""Options that no settings file may have."""
HIDDEN = SECRETS | {"key"}
"""Options whose values nobody is shown."""
COMMANDS = frozenset({"exec"})
"""Options that the file of a folder may not have: who stands in a folder does not run what somebody put there."""

DOOR = ("AUDIOTAP_SECRET", "AUDIOTAP_RECALL_SECRET", "AUDIOTAP_TWILIO_TOKEN")
"""Variables of the secrets that let bots in."""
OURS = "AUDIOTAP_"
SECRET_VARIABLES = ("_SECRET", "_TOKEN", "_KEY", "_PASSWORD")
"""How the names of variables end that hold secrets."""
SHORTEST_SECRET = 8
"""Characters; what is shorter may be in any text."""

Schema = Mapping[str, Mapping[str, bool]]
"""The options of every command, by command (`sim bot` is `sim.bot`), and whether they may be repeated."""

Options = dict[str, dict[str, Any]]
"""Values by command and by option."""


class Origin(StrEnum):
    """Where a value comes from; the later one wins."""

    DEFAULT = "default"
    FILE = "file"
    PROFILE = "profile"
    ENVIRONMENT = "environment"


class Setting(NamedTuple):
    """A value, and where it comes from: `where` is the file or the variable."""

    value: Any
    origin: Origin
    where: str


Found = dict[str, dict[str, Setting]]
"""Settings by command and by option, as typer calls it."""


class File(NamedTuple):
    """What a settings file says: for everybody, and by profile."""

    path: Path
    options: Options
    profiles: dict[str, Options]


def options(command: Any, prefix: str = "") -> dict[str, list[Any]]:
    """The parameters that are options of every command below one."""
    found: dict[str, list[Any]] = {}
    for name, sub in getattr(command, "commands", {}).items():
        found[f"{prefix}{name}"] = [p for p in sub.params if p.param_type_name == "option" and p.name != "help"]
        found |= options(sub, f"{prefix}{name}.")
    return found


def schema(command: Any) -> Schema:
    """The same as a settings file may name them: with `-` or with `_`."""
    return {
        name: {spelling: one.multiple for one in some for spelling in (one.name, one.name.replace("_", "-"))}
        for name, some in options(command).items()
    }


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


def secret() -> str | None:
    """The secret in the listener's address, if the user chose it; one that is set and empty is a mistake."""
    chosen = os.environ.get("AUDIOTAP_SECRET")
    return None if chosen is None else chosen.strip()


def recall_secrets() -> str:
    """The secrets with which Recall signs, apart by spaces or commas."""
    return os.environ.get("AUDIOTAP_RECALL_SECRET", "")


def twilio_tokens() -> str:
    """The tokens with which Twilio signs, apart by spaces or commas."""
    return os.environ.get("AUDIOTAP_TWILIO_TOKEN", "")


def completing() -> bool:
    """Whether a shell asks what could come next, for somebody in the middle of a line."""
    return os.environ.get("_AUDIOTAP_COMPLETE", "").startswith("complete_")


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
    return _first(*AGENT_ORGANIZATIONS.get(vendor, ()))


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


def inherited() -> dict[str, str]:
    """What programs that we start are handed: all but what lets somebody in here."""
    return {name: value for name, value in os.environ.items() if not (name.startswith(OURS) and _hides(name))}


def secrets() -> set[str]:
    """All secrets and keys of the environment, to be left out of what is told."""
    values = (value for name, value in os.environ.items() if _hides(name))
    return {one for value in values for one in value.replace(",", " ").split() if len(one) >= SHORTEST_SECRET}


def _hides(name: str) -> bool:
    """Whether a variable holds secrets, by its name."""
    return name.endswith(SECRET_VARIABLES)


def without_secrets() -> dict[str, str]:
    """The environment without our settings and vendors' keys; what tunnels keep in theirs is named alike, and stays."""
    known = keys()
    return {name: value for name, value in os.environ.items() if not (name.startswith(OURS) or name in known)}


def keys() -> dict[str, bool]:
    """The variables of secrets and keys, and whether they are set."""
    names = {name for some in (*KEYS.values(), *AGENT_KEYS.values()) for name in some}
    return {name: bool(_first(name)) for name in sorted({*DOOR, *names})}


def profile() -> str:
    """The profile that is meant where no option names one."""
    return _first("AUDIOTAP_PROFILE")


def files(schema: Schema) -> tuple[File, ...]:
    """The settings files that are there, the nearer one last.

    UsageError for an unknown table or key, with the nearest known one.
    """
    own = _read(user_file(), schema)
    nearer = _read(LOCAL_FILE, schema) if user_file().absolute() != LOCAL_FILE.absolute() else None
    if nearer is not None:
        _check_harmless(nearer)
    return tuple(file for file in (own, nearer) if file is not None)


def _check_harmless(file: File) -> None:
    """UsageError for the file of a folder that has something run."""
    for options in (file.options, *file.profiles.values()):
        for command, some in options.items():
            for option in COMMANDS & some.keys():
                raise UsageError(
                    f"{file.path}: {command}.{option} is no setting of a folder: whoever put it there would run it",
                    f"type --{option}, or set it in your own file: {user_file()}",
                )


def found(schema: Schema, chosen: str = "") -> Found:
    """What files, a profile and the environment set. UsageError for a profile that is nowhere."""
    there = files(schema)
    chosen = chosen or profile()
    known = {name for file in there for name in file.profiles}
    if chosen and chosen not in known:
        raise UsageError(f"there is no profile {chosen}", _guess(chosen, known) or f"write [profile.{chosen}.listen]")
    layers = [
        *(_set(file.options, Origin.FILE, str(file.path)) for file in there),
        *(_set(file.profiles.get(chosen, {}), Origin.PROFILE, str(file.path)) for file in there),
        _environment(schema),
    ]
    merged: Found = {}
    for layer in layers:
        for command, options in layer.items():
            merged.setdefault(command, {}).update(options)
    return merged


def load(schema: Schema, chosen: str = "") -> dict[str, Any]:
    """Defaults for the commands out of what is found, nested as typer wants them."""
    nested: dict[str, Any] = {}
    for command, options in found(schema, chosen).items():
        place = nested
        for part in command.split("."):
            place = place.setdefault(part, {})
        place.update({option: setting.value for option, setting in options.items()})
    return nested


def _set(options: Options, origin: Origin, where: str) -> Found:
    return {
        command: {option: Setting(value, origin, where) for option, value in some.items()}
        for command, some in options.items()
    }


def variable(command: str, option: str) -> str:
    """The environment variable of an option: AUDIOTAP_LISTEN_PORT, AUDIOTAP_SIM_BOT_URL."""
    return f"AUDIOTAP_{command}_{option}".replace(".", "_").replace("-", "_").upper()


def _environment(schema: Schema) -> Found:
    """What the environment sets; the command's own variable counts before one for all of them."""
    found: Found = {}
    for command, options in schema.items():
        for option in (option for option, repeatable in options.items() if not repeatable):
            names = [variable(command, option), *([SHARED[option]] if option in SHARED else [])]
            name = next((name for name in names if os.environ.get(name)), None)
            if name is not None:
                setting = Setting(os.environ[name], Origin.ENVIRONMENT, name)
                found.setdefault(command, {})[option.replace("-", "_")] = setting
    return found


def _read(path: Path, schema: Schema) -> File | None:
    """A settings file; None where there is none."""
    try:
        document = tomllib.loads(path.read_text("utf-8"))
    except FileNotFoundError:
        return None
    except (OSError, UnicodeError) as error:
        raise MachineError(f"cannot read {path}: {error}") from error
    except tomllib.TOMLDecodeError as error:
        raise UsageError(f"{path} is no valid TOML: {error}") from error
    profiles = document.pop(PROFILE, {})
    if not isinstance(profiles, dict) or not all(isinstance(profile, dict) for profile in profiles.values()):
        raise UsageError(f"{path}: a profile is a table for each command", "write e.g. [profile.office.listen]")
    told = {name: _checked(f"{path}: {PROFILE}.{name}", table, schema, "") for name, table in profiles.items()}
    return File(path, _checked(str(path), document, schema, ""), told)


def _checked(where: str, table: dict[str, Any], schema: Schema, prefix: str) -> Options:
    found: Options = {}
    for key, value in table.items():
        name = f"{prefix}{key}"
        if isinstance(value, dict) and (name in schema or any(known.startswith(f"{name}.") for known in schema)):
            options = {k: v for k, v in value.items() if not isinstance(v, dict)}
            _check_keys(where, name, options, schema)
            found[name] = {k.replace("-", "_"): v for k, v in options.items()}
            found |= _checked(where, {k: v for k, v in value.items() if isinstance(v, dict)}, schema, f"{name}.")
        else:
            raise _unknown(where, name, schema)
    return found


def _check_keys(where: str, command: str, options: Iterable[str], schema: Schema) -> None:
    below = [f"{name}.{option}" for name, some in schema.items() for option in some]
    known = [name for name in below if name.startswith(f"{command}.")]
    for key in options:
        if key in SECRETS:
            raise UsageError(f"{where}: {command}.{key} is no setting", "files are copied: set AUDIOTAP_SECRET")
        if f"{command}.{key}" not in known:
            raise _unknown(where, f"{command}.{key}", known)


def _unknown(where: str, name: str, known: Collection[str]) -> UsageError:
    return UsageError(f"{where}: unknown setting {name}", _guess(name, known))


def _guess(name: str, known: Collection[str]) -> str:
    """What was probably meant; everything there is where nothing is near, and nothing where nothing is."""
    near = difflib.get_close_matches(name, known, 1)
    if near:
        return f"did you mean {near[0]}?"
    return f"known are: {', '.join(sorted(known))}" if known else ""
