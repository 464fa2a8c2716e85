"""Stores by their URLs: which are any, and what is told of those that refuse."""

from __future__ import annotations

from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest

from audiotap.errors import UsageError
from audiotap.net.fleet.store import Store, StoreError, check_store_url

SECRET = "a-secret-that-nobody-is-told"  # noqa: S105 - opens nothing


class Refusing(BaseHTTPRequestHandler):
    """A server that says a status and, as some do, what it was asked with."""

    status = 500

    def do_PUT(self) -> None:
        self.rfile.read(int(self.headers["content-length"]))
        body = f"<Error><Code>No</Code><Message>{self.path} {self.headers} {SECRET}</Message></Error>".encode()
        self.send_response(self.status)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Nothing."""


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[type[Refusing]]:
    """A store that the environment leads to."""
    handler = type("Handler", (Refusing,), {})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}).start()
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{server.server_port}")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "key")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SECRET)
    yield handler
    server.shutdown()
    server.server_close()


@pytest.mark.parametrize(
    ("status", "refused", "told"),
    [
        (400, True, "400"),
        (401, True, "our keys"),
        (403, True, "our keys"),
        (404, True, "no such bucket"),
        (301, True, "another region"),
        (409, False, "409"),
        (413, True, "413"),
        (429, False, "429"),
        (500, False, "500"),
        (503, False, "503"),
    ],
)
def test_refusals(server: type[Refusing], status: int, refused: bool, told: str) -> None:
    """What will not work the next time is told apart from what may, and of the answer only the status is told."""
    server.status = status
    store = Store("s3://bucket/calls")
    with pytest.raises(StoreError) as caught:
        store.create("name", b"data")
    assert caught.value.refused == refused
    assert told in caught.value.message
    assert caught.value.hint
    assert SECRET not in f"{caught.value.message} {caught.value.hint}"


def test_what_is_there_already_stays(tmp_path: Path) -> None:
    """Creating is done once; replacing as often as wanted."""
    store = Store(tmp_path.joinpath("new").as_uri(), make=True)
    store.create("a/b", b"first")
    store.create("a/b", b"second")
    assert store.get("a/b") == b"first"
    store.replace("a/b", b"third")
    assert store.get("a/b") == b"third"
    assert store.get("a/c") is None
    assert (store.folders(), store.folders("a")) == (["a"], [])
    assert [listed.name for listed in store.objects("a")] == ["a/b"]


def test_a_folder_that_is_not_there(tmp_path: Path) -> None:
    """Whoever only reads makes none."""
    with pytest.raises(StoreError, match="no such place"):
        Store(tmp_path.joinpath("none").as_uri())


@pytest.mark.parametrize(
    "url", ["s3://bucket", "gs://b/c", "az://c/p", "abfss://c@a.dfs.core.windows.net/p", "file:///x"]
)
def test_urls_of_stores(url: str) -> None:
    """With or without a slash behind."""
    assert check_store_url(f"{url}/") == check_store_url(url) == url


@pytest.mark.parametrize(
    "url",
    [
        "",
        "bucket/prefix",
        "ftp://host/x",
        "http://host/x",
        "memory:///",
        "s3:///prefix",
        "file://",
        f"s3://key:{SECRET}@bucket/x",
        f"s3://{SECRET}@bucket/x",
        f"abfs://c:{SECRET}@a.dfs.core.windows.net/p",
        f"az://container/x?sig={SECRET}",
        f"s3://bucket/x#{SECRET}",
        "s3://[bucket/x",
    ],
)
def test_urls_that_are_none(url: str) -> None:
    """How to write one, and nothing of what it held."""
    with pytest.raises(UsageError) as caught:
        check_store_url(url)
    assert SECRET not in f"{caught.value.message} {caught.value.hint}"
