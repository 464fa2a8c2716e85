"""`audiotap doctor`: every line of it passing and failing, and the outside played by a host on this machine."""

from __future__ import annotations

import asyncio
import os
import re
import socket
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path
from typing import Any

import pytest
from tests.scenarios.harness import ROOT, Arg, Place
from tests.scenarios.outside import Outside, outside

CHECKS = ["python", "libsndfile", "open files", "folder", "port", "clock", "certificate", "round trip"]
NOBODY = "http://127.0.0.1:1"


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[Outside]:
    async with outside(tmp_path) as found:
        yield found


@pytest.fixture
def port() -> int:
    """A port that was free a moment ago."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


@pytest.fixture(autouse=True)
def _no_network(place: Place) -> None:
    """Providers' clocks are asked of nobody."""
    place.environment |= {"ATTENDEE_API_URL": NOBODY, "RECALL_API_URL": NOBODY}


async def examined(
    place: Place, *args: Arg, environment: Mapping[str, str] | None = None, within: Sequence[Arg] = ()
) -> tuple[int, dict[str, dict[str, Any]]]:
    """The exit status, and what was found, by check."""
    running = await place.start("doctor", "--json", *args, environment=environment, within=within)
    ended = await running.ended()
    return ended.status, {finding["check"]: finding for finding in ended.json}


def assert_only_failure(result: tuple[int, dict[str, dict[str, Any]]], check: str, message: str, hint: str) -> None:
    """One line failed, said why, and ends in what to type; the status is 1."""
    status, found = result
    assert {name for name, finding in found.items() if finding["verdict"] == "failed"} == {check}
    assert re.search(message, found[check]["message"])
    assert hint in found[check]["hint"]
    assert status == 1


@asynccontextmanager
async def clock(ahead: float) -> AsyncIterator[dict[str, str]]:
    """A web server whose clock is ahead of ours; the environment in which it is Attendee's."""

    async def tell(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        now = format_datetime(datetime.now(UTC) + timedelta(seconds=ahead), usegmt=True)
        writer.write(f"HTTP/1.1 404 Not Found\r\nDate: {now}\r\nContent-Length: 0\r\n\r\n".encode())
        writer.close()

    async with await asyncio.start_server(tell, "127.0.0.1", 0) as server:
        yield {"ATTENDEE_API_URL": f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"}


async def test_all_is_well(place: Place, world: Outside, port: int) -> None:
    """Before anything listens, doctor answers in the listener's place, and leaves nothing behind."""
    world.lead_to(port)
    before = {*place.folder.iterdir()}
    async with clock(0) as known:
        environment = world.environment | known
        status, found = await examined(place, "--port", port, "--public-url", world.url, environment=environment)
    assert {name: finding["verdict"] for name, finding in found.items()} == dict.fromkeys(CHECKS, "ok")
    assert not any(finding["hint"] for finding in found.values())
    assert status == 0
    assert {*place.folder.iterdir()} == before


async def test_listener_with_a_tunnel_is_known(place: Place, world: Outside) -> None:
    """The port is ours, the public URL is the tunnel's, and the frame goes to the listener, which records nothing."""
    listener = await place.listen("--tunnel", "ngrok", environment=world.tunnel("ngrok"))
    world.lead_to(listener.port)
    await listener.event("reachable")
    status, found = await examined(place, "--port", listener.port, environment=world.environment)
    assert found["port"]["message"] == f"{listener.port} has your listener, with 0 sessions"
    assert (found["certificate"]["verdict"], found["round trip"]["verdict"]) == ("ok", "ok")
    assert status == 0
    assert (await listener.stop()).status == 130
    assert listener.warnings() == []


async def test_url_that_the_listener_was_told(place: Place, world: Outside) -> None:
    """What `listen --public-url` takes is what doctor takes: the secret of the listener's address is not asked for."""
    listener = await place.listen("--public-url", world.url)
    world.lead_to(listener.port)
    url = ("--port", listener.port, "--public-url", world.url)
    status, found = await examined(place, *url, environment=world.environment)
    assert found["round trip"]["verdict"] == "ok"
    assert status == 0


async def test_the_listener_that_runs(place: Place, port: int) -> None:
    """Its port needs no telling where it is the only one; and a URL that leads to it leads to no other port."""
    listener = await place.listen()
    status, found = await examined(place)
    assert found["port"]["message"] == f"{listener.port} has your listener, with 0 sessions"
    assert status == 0
    status, found = await examined(place, "--port", port, "--public-url", f"{listener.url}/")
    assert found["round trip"]["verdict"] == "failed"
    assert found["round trip"]["message"] == "127.0.0.1 leads to another server than this listener"
    assert status == 1
    other = await place.listen()
    ended = await place.run("doctor")
    assert ended.status == 2
    for one in (listener, other):
        assert f"--port {one.port}" in ended.err


async def test_lines_for_people(place: Place, world: Outside, port: int) -> None:
    """A mark and a word begin each line, and whatever is to be typed ends it."""
    world.lead_to(port)
    ended = await place.run("doctor", "--port", port, "--min-free", "1000T")
    lines = ended.out.decode().splitlines()
    assert [re.split(r"  +", line[10:])[0] for line in lines] == CHECKS
    assert lines[0].startswith("✓ ok      python       CPython 3.")
    assert re.fullmatch(r"✗ failed  folder +.* 1000\.0 TiB should be free → .*--out FOLDER", lines[3])
    assert re.fullmatch(r"- skipped clock +no answer from 127\.0\.0\.1 or 127\.0\.0\.1", lines[5])
    assert lines[7].endswith(" → audiotap doctor --public-url wss://YOUR-TUNNEL-HOST/")
    assert ended.err == ""
    assert ended.status == 1


async def test_a_terminal_without_marks(place: Place, port: int) -> None:
    """An encoding that has no tick still has the words."""
    running = await place.start("doctor", "--port", port, environment={"PYTHONIOENCODING": "ascii"})
    ended = await running.ended()
    assert ended.out.startswith(b"? ok      python")
    assert ended.status == 0


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ('raise OSError("sndfile library not found")', "does not find libsndfile: sndfile library not found"),
        (
            '__libsndfile_version__ = "1.0.31"; available_formats = lambda: {"FLAC": ""}; available_subtypes = dict',
            r"libsndfile 1\.0\.31 is without MP3, OPUS",
        ),
    ],
)
async def test_libsndfile_is_missing_or_old(place: Place, port: int, source: str, message: str) -> None:
    """A library that cannot write what is needed is told before a recording needs it."""
    library = place.folder / "library"
    library.mkdir()
    (library / "soundfile.py").write_text(source)
    environment = {"PYTHONPATH": f"{library}{os.pathsep}{ROOT}"}
    result = await examined(place, "--port", port, environment=environment)
    assert_only_failure(result, "libsndfile", message, "-m pip install --upgrade")


async def test_too_few_files_may_be_open(place: Place, port: int) -> None:
    """The hard limit counts, since listen raises the soft one."""
    result = await examined(place, "--port", port, within=("prlimit", "--nofile=256:256"))
    assert_only_failure(result, "open files", "only 256", "prlimit --pid $$ --nofile=65536")


async def test_soft_limit_of_files_does_not_matter(place: Place, port: int) -> None:
    """What listen raises by itself is nobody's concern."""
    status, _ = await examined(place, "--port", port, within=("prlimit", "--nofile=256:4096"))
    assert status == 0


async def test_folder_cannot_be_written(place: Place, port: int) -> None:
    """A file stands where the folder of the recordings was to be."""
    (place.folder / "file").touch()
    result = await examined(place, "--port", port, "--out", place.folder / "file" / "recordings")
    assert_only_failure(result, "folder", "cannot write in .*file: Not a directory", "--out FOLDER")


async def test_port_is_somebody_elses(place: Place) -> None:
    """A port that another program has is told with the command that says which."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        result = await examined(place, "--port", port)
    assert_only_failure(result, "port", "Address already in use", f"lsof -i :{port}")


@pytest.mark.parametrize(("ahead", "message"), [(-600, "(600|599|601) s ahead of"), (600, "(600|599|601) s behind")])
async def test_clock_is_wrong(place: Place, port: int, ahead: float, message: str) -> None:
    """Ten minutes are told, and to which side."""
    async with clock(ahead) as environment:
        result = await examined(place, "--port", port, environment=environment)
    assert_only_failure(result, "clock", message, "set-ntp true")


async def test_clock_a_little_off_is_well(place: Place, port: int) -> None:
    """Web servers tell seconds, and answers take a while."""
    async with clock(2) as environment:
        _, found = await examined(place, "--port", port, environment=environment)
    assert found["clock"]["verdict"] == "ok"


async def test_ctrl_c(place: Place, port: int) -> None:
    """Whoever does not want to wait for somebody slow need not."""
    asked = asyncio.Event()

    async def ponder(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked.set()
        await reader.read()
        writer.close()

    async with await asyncio.start_server(ponder, "127.0.0.1", 0) as server:
        slow = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        running = await place.start("doctor", "--port", port, environment={"ATTENDEE_API_URL": slow})
        await asked.wait()
        ended = await running.stop()
    assert ended.status == 130
    assert ended.err == "audiotap: interrupted before everything was tried\n"
    assert len(ended.out.splitlines()) == CHECKS.index("clock")


async def test_certificate_is_not_trusted(place: Place, world: Outside, port: int) -> None:
    """A chain that ends nowhere fails here as it does at the bots."""
    world.lead_to(port)
    status, found = await examined(place, "--port", port, "--public-url", world.url)
    for check in ("certificate", "round trip"):
        assert "no client trusts the certificate of localhost: unable to get" in found[check]["message"]
        assert "--tunnel" in found[check]["hint"]
    assert status == 1


async def test_certificate_is_about_to_end(place: Place, tmp_path: Path, port: int) -> None:
    """One of an hour is told of, although it is good yet."""
    async with outside(tmp_path, days=0) as world:
        world.lead_to(port)
        result = await examined(place, "--port", port, "--public-url", world.url, environment=world.environment)
    assert_only_failure(result, "certificate", "that of localhost ends in 1 h", "renew it")


async def test_url_without_tls(place: Place, port: int) -> None:
    """A frame goes there and back, but no bot of Attendee would."""
    result = await examined(place, "--port", port, "--public-url", f"ws://127.0.0.1:{port}")
    assert_only_failure(result, "certificate", "without TLS", "--tunnel")
    assert result[1]["round trip"]["verdict"] == "ok"


async def test_tunnel_finds_nobody_behind_it(place: Place, world: Outside, port: int) -> None:
    """The host answers, but not for us."""
    world.lead_to(None)
    result = await examined(place, "--port", port, "--public-url", world.url, environment=world.environment)
    assert_only_failure(result, "round trip", "answers 502 Bad Gateway", "audiotap listen")


async def test_nobody_is_there(place: Place, port: int) -> None:
    """A host that is gone fails twice, and says where to look."""
    status, found = await examined(place, "--port", port, "--public-url", "wss://127.0.0.1:1/")
    for check in ("certificate", "round trip"):
        assert found[check]["message"].startswith("cannot connect to 127.0.0.1: ")
        assert "audiotap url" in found[check]["hint"]
    assert status == 1


@pytest.mark.parametrize("url", ["https://tunnel.example/", "wss://a..b/", f"wss://{'x' * 70}.example/"])
async def test_no_url_at_all(place: Place, port: int, url: str) -> None:
    """What is no websocket URL is a mistake on the command line."""
    ended = await place.run("doctor", "--port", port, "--public-url", url)
    assert ended.status == 2
    assert "wss://" in ended.err
