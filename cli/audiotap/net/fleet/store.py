"""An object store by its URL: S3, Google's, Azure's, or a folder. Every call blocks.

What a store says when it refuses may hold signatures and keys, so none of it is ever told: only its status is.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import urlsplit

from audiotap.errors import AudiotapError, Exit, MachineError, UsageError

if TYPE_CHECKING:
    from obstore.store import ObjectStore

SCHEMES = ("s3", "gs", "az", "abfs", "abfss", "file")
NEEDED = ">=0.8"
TIMEOUT = 30.0
"""Seconds that one answer may take, unless more is wanted."""
_STATUS = re.compile(r"status code: (\d{3})")
_PASSING = {"408", "409", "425", "429"}
"""Refusals that are over when the same is asked again."""
_METADATA = "169.254."
"""Where clouds tell machines their keys: what is asked where no other key is set."""


class StoreError(AudiotapError):
    """A store that did not do what it was asked. `refused` is whether it will not either when it is asked again."""

    status = Exit.ENVIRONMENT

    def __init__(self, message: str, hint: str = "", *, refused: bool) -> None:
        super().__init__(message, hint)
        self.refused = refused


class Listed(NamedTuple):
    """An object: its name below the store's URL, its bytes, and when it was written."""

    name: str
    size: int
    written: datetime


def check_store_url(url: str) -> str:
    """The URL of a store, without a slash at its end; UsageError where it is none, or holds more than a place."""
    try:
        parts = urlsplit(url)
    except ValueError:
        parts = urlsplit("")
    place = parts.path if parts.scheme == "file" else parts.netloc
    if parts.scheme not in SCHEMES or not place:
        raise UsageError(
            f"{parts.scheme or 'that'} is no object store",
            "write it as s3://BUCKET/PREFIX, gs://…, az://… or file:///…",
        )
    if parts.query or parts.fragment or parts.password or (parts.username and not parts.scheme.startswith("abfs")):
        raise UsageError("a store's URL is a bucket and a prefix only", "keys come from the environment")
    return url.rstrip("/")


class Store:
    """What lies below a URL; an answer may take `timeout` seconds. `make` makes the folder of a `file:` URL.

    StoreError where the store refuses or cannot be reached.
    """

    def __init__(self, url: str, *, timeout: float = TIMEOUT, make: bool = False) -> None:
        self.url = check_store_url(url)
        try:
            import obstore
            from obstore.store import from_url
        except ImportError as error:
            raise MachineError(
                "object stores need obstore", f"{sys.executable} -m pip install 'obstore{NEEDED}'"
            ) from error
        self._obstore = obstore
        with self._asked():
            self._store: ObjectStore = (
                from_url(self.url, mkdir=make)
                if self.url.startswith("file:")
                else from_url(
                    self.url,
                    client_options={"timeout": f"{timeout:.0f}s", "connect_timeout": "10s", "allow_http": True},
                    retry_config={"max_retries": 0},
                )
            )

    def create(self, name: str, data: bytes) -> None:
        """Write an object unless there is one of that name already, which is left as it is."""
        with self._asked():
            try:
                self._obstore.put(self._store, name, data, mode="create")
            except self._obstore.exceptions.AlreadyExistsError as error:
                if _status(error) == "409":
                    raise

    def replace(self, name: str, data: bytes | Path) -> None:
        """Write an object, or a file as one."""
        with self._asked():
            self._obstore.put(self._store, name, data)

    def get(self, name: str) -> bytes | None:
        """An object; None where there is none of that name."""
        with self._asked():
            try:
                return self._obstore.get(self._store, name).bytes().to_bytes()
            except FileNotFoundError:
                return None

    def folders(self, name: str = "") -> list[str]:
        """The names of what other names begin with, up to the next slash, in order."""
        with self._asked():
            found = self._obstore.list_with_delimiter(self._store, name or None)["common_prefixes"]
        return sorted(prefix.rpartition("/")[2] for prefix in found)

    def objects(self, name: str) -> list[Listed]:
        """All objects below a name."""
        with self._asked():
            return [
                Listed(one["path"], one["size"], one["last_modified"])
                for page in self._obstore.list(self._store, name or None)
                for one in page
            ]

    @contextmanager
    def _asked(self) -> Iterator[None]:
        """What goes wrong in the block as a StoreError."""
        try:
            yield
        except FileNotFoundError as error:
            raise _refusal(self.url, "there is no such bucket", "create it, or name another one") from error
        except (self._obstore.exceptions.BaseError, OSError, ValueError) as error:
            raise self._translated(error) from error

    def _translated(self, error: Exception) -> StoreError:
        text, status = str(error), _status(error)
        known = self._obstore.exceptions
        if _METADATA in text or "must be specified" in text:
            hint = "set what the store asks for: AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, GOOGLE_…, or AZURE_…"
            return _refusal(self.url, "there are no keys for it", hint)
        if isinstance(error, (known.PermissionDeniedError, known.UnauthenticatedError)):
            return _refusal(self.url, f"our keys may not do that ({status})", "see who may list, read and write there")
        if "region" in text:
            return _refusal(self.url, "it is in another region", "set AWS_REGION to the bucket's")
        if "canonicalize" in text or status == "404":
            return _refusal(self.url, "there is no such place", "see the URL, and AWS_ENDPOINT_URL if it is set")
        if status.startswith("4") and status not in _PASSING:
            return _refusal(self.url, f"it refuses ({status})", "see the URL, and AWS_ENDPOINT_URL if it is set")
        why = f"it answers {status}" if status else "it cannot be reached"
        return StoreError(f"{self.url}: {why}", "see the network, and AWS_ENDPOINT_URL if it is set", refused=False)


def _refusal(url: str, why: str, hint: str) -> StoreError:
    return StoreError(f"{url}: {why}", hint, refused=True)


def _status(error: Exception) -> str:
    """The HTTP status in an error, or nothing."""
    match = _STATUS.search(str(error))
    return match[1] if match else ""
