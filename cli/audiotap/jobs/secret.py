"""The secret in the listener's address: made once, kept for its user alone, the same after every start."""

from __future__ import annotations

import os
import re
import secrets
from pathlib import Path

from audiotap.errors import MachineError, UsageError
from audiotap.files import is_private, make_own

FILE = "secret"
BYTES = 32
FORM = re.compile(r"[A-Za-z0-9_-]{16,200}")
OTHER_FOLDER = "set AUDIOTAP_STATE_DIR to a folder of yours, or give the secret in AUDIOTAP_SECRET"


def checked(secret: str) -> str:
    """A secret that a user chose. UsageError, without it, for one that cannot stand in a path or is easily guessed."""
    if not secret.strip():
        raise UsageError(
            "the secret of the address is empty, which would let everybody in",
            "set AUDIOTAP_SECRET or --secret to one, or leave both unset; who wants none says --no-secret",
        )
    if not FORM.fullmatch(secret):
        raise UsageError(
            "that is no secret for an address", "take 16 or more letters, digits, - or _, such as: openssl rand -hex 24"
        )
    return secret


def kept(folder: Path) -> str:
    """The secret in a folder, made there if there is none. MachineError where that cannot be, or others can read it."""
    path = folder / FILE
    try:
        make_own(folder)
        if not path.exists():
            _make(path)
        found = path.stat()
        if not is_private(found):
            raise MachineError(f"{path} can be read by others", f"chmod 600 {path}; or remove it, to have a new one")
        secret = path.read_text("ascii").strip()
    except (OSError, UnicodeError) as error:
        raise MachineError(f"cannot keep a secret in {folder}: {error}", OTHER_FOLDER) from error
    if not FORM.fullmatch(secret):
        raise MachineError(f"{path} holds no secret", "remove it, to have a new one")
    return secret


def _make(path: Path) -> None:
    """Make it as a whole, for another listener may be about to do the same; the first one counts."""
    draft = path.with_name(f".{FILE}-{secrets.token_hex(8)}")
    fd = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(fd, "w") as file:
            file.write(secrets.token_urlsafe(BYTES) + "\n")
        os.link(draft, path)
    except FileExistsError:
        return
    finally:
        draft.unlink()
