"""Who may connect: secrets in the path, Recall's signatures, web pages, and what of all that may be seen."""

from __future__ import annotations

import asyncio
import base64
import os
import secrets
import signal
import stat
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from standardwebhooks.webhooks import Webhook
from tests.scenarios.harness import HELLO, Listener, Place, attendee, call, ramp, recall
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus

SOUND = ramp(0.5)
PUBLIC = "wss://tunnel.example/"
LAN = "ws://192.168.1.4:8765/"
CHOSEN = "a-secret-that-somebody-chose"
WORKSPACE, OTHER_WORKSPACE = (f"whsec_{base64.b64encode(name * 6).decode()}" for name in (b"work", b"rest"))


def signed(
    secret: str = WORKSPACE, *, name: str = "", age: float = 0.0, **changed: str | None
) -> list[tuple[str, str]]:
    """The headers by which Recall signs the request of a websocket; `changed` ones afterwards, None leaves out."""
    name = name or f"msg_{secrets.token_hex(8)}"
    time = datetime.now(UTC) - timedelta(seconds=age)
    headers: dict[str, str | None] = {
        "webhook-id": name,
        "webhook-timestamp": str(int(time.timestamp())),
        "webhook-signature": Webhook(secret).sign(name, time, ""),
    }
    headers |= {f"webhook-{key}": value for key, value in changed.items()}
    return [(key, value) for key, value in headers.items() if value is not None]


def legacy(headers: list[tuple[str, str]]) -> list[tuple[str, str]]:
    """The same under the older names."""
    return [(name.replace("webhook-", "svix-"), value) for name, value in headers]


async def answer(url: str, headers: list[tuple[str, str]] | None = None) -> int:
    """What a bot that dials is answered: 101 if it is let in."""
    try:
        async with connect(url, additional_headers=headers, compression=None):
            return 101
    except InvalidStatus as error:
        return error.response.status_code


async def address(place: Place, listener: Listener) -> str:
    """What `audiotap url` prints, at this machine's own address."""
    ended = await place.run("url", "--port", listener.port)
    assert ended.status == 0, ended.err
    return f"{listener.url}{urlsplit(ended.out.decode().strip()).path}"


async def refused(place: Place) -> dict[str, int]:
    """What `audiotap status` counted."""
    (status,) = (await place.run("status", "--json")).json
    counts: dict[str, int] = status["refused"]
    return counts


# The secret in the path


async def test_on_loopback_everybody_is_let_in(place: Place) -> None:
    """The quick start needs no secret: none is made, and any path will do."""
    listener = await place.listen()
    assert await answer(listener.url) == 101
    assert await answer(f"{listener.url}/any/path?x=1") == 101
    assert not listener.told("listening")[0]["guarded"]
    assert not (place.folder / "state").exists()


@pytest.mark.parametrize("options", [["--public-url", PUBLIC], ["--host", "0.0.0.0", "--public-url", LAN]])
async def test_a_port_that_others_reach_has_a_secret(place: Place, options: list[str]) -> None:
    """Only the address that `audiotap url` prints lets a bot in, and the next start has the same one."""
    addresses = []
    for _ in range(2):
        listener = await place.listen(*options)
        addresses.append(urlsplit(await address(place, listener)).path)
        for path in ("", "/", "/wrong", addresses[-1][:-1], addresses[-1] + "x", f"/?{addresses[-1][1:]}", "/%ff"):
            assert await answer(f"ws://127.0.0.1:{listener.port}{path}") == 404
        assert await refused(place) == {"path": 7}
        await call(f"ws://127.0.0.1:{listener.port}{addresses[-1]}", attendee(SOUND, 0.5))
        await listener.event("session.started", session="bot_1")
        assert listener.told("listening")[0]["guarded"]
        await listener.stop()
    assert addresses[0] == addresses[1]
    assert len(addresses[0]) > 32


async def test_the_secret_is_kept_for_its_user_alone(place: Place) -> None:
    """A file of mode 0600 in a folder of mode 0700; one that others can read is refused."""
    await (await place.listen("--public-url", PUBLIC)).stop()
    kept = place.folder / "state" / "secret"
    assert stat.S_IMODE(kept.stat().st_mode) == 0o600
    assert stat.S_IMODE(kept.parent.stat().st_mode) == 0o700
    kept.chmod(0o644)
    ended = await place.run("listen", "--port", 0, "--public-url", PUBLIC)
    assert ended.status == 3
    assert f"chmod 600 {kept}" in ended.err


async def test_listeners_that_start_together_have_one_secret(place: Place) -> None:
    """Whoever makes it first, the others take the same."""
    listeners = await asyncio.gather(*(place.listen("--public-url", PUBLIC) for _ in range(3)))
    paths = {urlsplit(await address(place, listener)).path for listener in listeners}
    assert len(paths) == 1
    assert [path.name for path in (place.folder / "state").iterdir()] == ["secret"]


@pytest.mark.parametrize("way", ["flag", "variable"])
async def test_a_secret_that_was_chosen(place: Place, way: str) -> None:
    """On loopback, too; behind a proxy something may stand before it, and a slash or a query behind it."""
    if way == "variable":
        place.environment["AUDIOTAP_SECRET"] = CHOSEN
    listener = await place.listen(*(["--secret", CHOSEN] if way == "flag" else []))
    if way == "flag":
        for path in (f"/{CHOSEN}", f"/{CHOSEN}/", f"/audio/{CHOSEN}", f"/{CHOSEN}?bot=1"):
            assert await answer(listener.url + path) == 101
        for path in (f"/{CHOSEN}/more", f"/x?{CHOSEN}", f"/{CHOSEN.upper()}"):
            assert await answer(listener.url + path) == 404
    assert await answer(f"{listener.url}/{CHOSEN}") == 101
    assert await answer(listener.url) == 404
    assert not (place.folder / "state").exists()


@pytest.mark.parametrize("secret", ["short", "with spaces in the middle", "a/path/of/several/parts", "é" * 20])
async def test_a_secret_that_is_none(place: Place, secret: str) -> None:
    """Status 2, and it is not repeated."""
    place.environment["AUDIOTAP_SECRET"] = secret
    ended = await place.run("listen", "--port", 0)
    assert ended.status == 2
    assert secret not in ended.err


@pytest.mark.parametrize("options", [["--public-url", PUBLIC], ["--host", "0.0.0.0"]])
async def test_an_open_port_is_warned_of(place: Place, options: list[str]) -> None:
    """--no-secret lets everybody in, and says loudly what that means."""
    listener = await place.listen("--no-secret", *options)
    assert await answer(f"ws://127.0.0.1:{listener.port}/") == 101
    await listener.says("warning: everybody who finds this port is let in")


async def test_no_secret_on_loopback_is_nothing_to_warn_of(place: Place) -> None:
    """Nobody else reaches it."""
    listener = await place.listen("--no-secret")
    assert await answer(listener.url) == 101
    assert listener.warnings() == []


async def test_a_tunnel_that_nobody_told_of(place: Place) -> None:
    """Who came through one to a port that is open to this machine's users is let in, and that is told once."""
    listener = await place.listen()
    assert await answer(listener.url) == 101
    assert listener.warnings() == []
    for _ in range(3):
        assert await answer(listener.url, [("X-Forwarded-For", "203.0.113.7")]) == 101
    assert "--public-url" in (await listener.event("warning"))["message"]
    await listener.stop()
    assert len(listener.warnings()) == 1


@pytest.mark.parametrize("url", ["https://tunnel.example/", "wss://tunnel.example/?a=b", "wss://a:b@tunnel.example/"])
async def test_a_public_url_that_is_none(place: Place, url: str) -> None:
    """Status 2 and how to write it."""
    ended = await place.run("listen", "--port", 0, "--public-url", url)
    assert ended.status == 2
    assert "wss://HOST/" in ended.err


async def test_refusals_do_not_fill_the_log(place: Place) -> None:
    """Of fifty wrong paths one line is told at once, and how many it were at the end; none is repeated."""
    listener = await place.listen("--secret", CHOSEN)
    for n in range(50):
        assert await answer(f"{listener.url}/guess-{n}") == 404
    assert await refused(place) == {"path": 50}
    assert len(listener.warnings()) == 1
    ended = await listener.stop()
    assert [warning.split(" refused")[0] for warning in listener.warnings()] == ["1 connection", "50 connections"]
    assert "guess" not in ended.err + ended.out.decode()
    assert list(place.out.iterdir()) == []


@pytest.mark.filterwarnings("ignore:.*multi-threaded, use of fork:DeprecationWarning")
async def test_workers_count_together(place: Place) -> None:
    """Several processes tell of the refused once, and a signature that one of them saw is used up for all."""
    place.environment["AUDIOTAP_RECALL_SECRET"] = WORKSPACE
    listener = await place.listen("--workers", 2)
    headers = signed()
    assert sorted([await answer(listener.url, headers) for _ in range(12)]) == [101] + 11 * [401]
    assert [await answer(listener.url) for _ in range(12)] == 12 * [404]
    assert await answer(await address(place, listener)) == 101
    assert await refused(place) == {"replay": 11, "path": 12}
    assert len(listener.warnings()) == 2


# Web pages


async def test_web_pages_are_refused(place: Place) -> None:
    """A browser says which page sent it; that is refused on loopback, too, and with the right secret."""
    listener = await place.listen("--secret", CHOSEN)
    for origin in ("https://evil.example", "null", listener.url.replace("ws", "http", 1)):
        assert await answer(f"{listener.url}/{CHOSEN}", [("Origin", origin)]) == 403
    assert await refused(place) == {"origin": 3}
    assert "evil" not in str(listener.warnings())


async def test_a_page_that_is_allowed(place: Place) -> None:
    """--allow-origin lets that page in and no other; it still needs the secret."""
    listener = await place.listen("--secret", CHOSEN, "--allow-origin", "https://good.example")
    good = ("Origin", "https://good.example")
    assert await answer(f"{listener.url}/{CHOSEN}", [good]) == 101
    assert await answer(listener.url, [good]) == 404
    assert await answer(f"{listener.url}/{CHOSEN}", [good, ("Origin", "https://evil.example")]) == 403


# Recall's signatures


async def test_a_signed_bot_is_recorded(place: Place) -> None:
    """Who is signed with the workspace's secret needs no other; who is not needs the secret in the path."""
    place.environment["AUDIOTAP_RECALL_SECRET"] = WORKSPACE
    listener = await place.listen()
    async with connect(listener.url, additional_headers=signed(), compression=None) as bot:
        await bot.send(recall(SOUND, 0.0))
        await listener.event("session.started", session="rec")
    assert await answer(listener.url) == 404
    assert await answer(await address(place, listener)) == 101


@pytest.mark.parametrize(
    "headers",
    [
        pytest.param(signed(OTHER_WORKSPACE), id="another secret"),
        pytest.param(signed(id="msg_other"), id="another id"),
        pytest.param(signed(signature=None), id="no signature"),
        pytest.param(signed(id=None), id="no id"),
        pytest.param(signed(timestamp=None), id="no time"),
        pytest.param(signed(timestamp="now"), id="a word as time"),
        pytest.param(signed(timestamp="nan"), id="no number as time"),
        pytest.param(signed(signature="v1,!"), id="no base64"),
        pytest.param(signed(signature="v1"), id="no comma"),
        pytest.param(signed(signature="v1,a,b c,"), id="commas"),
        pytest.param([*signed(), ("webhook-id", "msg_two")], id="two ids"),
        pytest.param(legacy(signed(OTHER_WORKSPACE)), id="another secret under the older names"),
        pytest.param([*legacy(signed()), ("webhook-id", "msg_two")], id="the older names beside a newer one"),
        pytest.param([*legacy(signed())[:2], *signed()[2:]], id="names of both kinds"),
    ],
)
async def test_a_signature_that_is_none(place: Place, headers: list[tuple[str, str]]) -> None:
    """Refused with 401, on the right path, too: whoever claims to be Recall must be."""
    place.environment["AUDIOTAP_RECALL_SECRET"] = WORKSPACE
    listener = await place.listen("--secret", CHOSEN)
    assert await answer(f"{listener.url}/{CHOSEN}", headers) == 401
    assert await refused(place) == {"signature": 1}


@pytest.mark.parametrize(("age", "status"), [(290, 101), (-290, 101), (310, 401), (-310, 401), (86400, 401)])
async def test_a_signature_is_good_for_five_minutes(place: Place, age: float, status: int) -> None:
    """Before and after its time."""
    place.environment["AUDIOTAP_RECALL_SECRET"] = WORKSPACE
    listener = await place.listen()
    assert await answer(listener.url, signed(age=age)) == status


async def test_a_signature_is_good_once(place: Place) -> None:
    """Also after a restart, and in another spelling of its time; a retry that Recall signs anew is let in."""
    place.environment["AUDIOTAP_RECALL_SECRET"] = WORKSPACE
    listener = await place.listen()
    headers = signed(name="msg_1", age=3)
    assert await answer(listener.url, headers) == 101
    assert await answer(listener.url, headers) == 401
    assert await answer(listener.url, [(k, f"{v}.0" if "time" in k else v) for k, v in headers]) == 401
    assert await answer(listener.url, signed(name="msg_1")) == 101
    assert await refused(place) == {"replay": 2}
    await listener.stop()
    again = await place.listen()
    assert await answer(again.url, headers) == 401


async def test_the_older_names_of_a_signature(place: Place) -> None:
    """They are as good as the newer ones, and what was used under the ones is used under the others."""
    place.environment["AUDIOTAP_RECALL_SECRET"] = WORKSPACE
    listener = await place.listen()
    one, other = signed(), signed()
    assert [await answer(listener.url, headers) for headers in (legacy(one), legacy(one), one)] == [101, 401, 401]
    assert [await answer(listener.url, headers) for headers in (other, legacy(other))] == [101, 401]
    assert await refused(place) == {"replay": 3}


@pytest.mark.parametrize("way", ["variable", "file"])
async def test_secrets_are_rotated(place: Place, way: str) -> None:
    """Several are good at once, and of several signatures one is enough."""
    if way == "variable":
        place.environment["AUDIOTAP_RECALL_SECRET"] = f"{WORKSPACE} {OTHER_WORKSPACE}"
        listener = await place.listen()
    else:
        file = place.folder / "recall-secrets"
        file.write_text(f"{WORKSPACE}\n{OTHER_WORKSPACE}\n")
        listener = await place.listen("--recall-secret-file", file)
    assert await answer(listener.url, signed(WORKSPACE)) == 101
    assert await answer(listener.url, signed(OTHER_WORKSPACE)) == 101
    old, new = (
        dict(signed(secret, name="msg_1"))["webhook-signature"] for secret in (f"{WORKSPACE[:-4]}AAAA", WORKSPACE)
    )
    assert await answer(listener.url, signed(name="msg_1", signature=f"{old} v2,x {new}")) == 101


async def test_signatures_alone(place: Place) -> None:
    """With --no-secret there is no other way in."""
    place.environment["AUDIOTAP_RECALL_SECRET"] = WORKSPACE
    listener = await place.listen("--no-secret", "--public-url", PUBLIC)
    assert await answer(listener.url) == 401
    assert await answer(listener.url, signed()) == 101
    assert await refused(place) == {"unsigned": 1}


async def test_a_recall_secret_that_is_none(place: Place) -> None:
    """Status 2, and it is not repeated."""
    place.environment["AUDIOTAP_RECALL_SECRET"] = f"{WORKSPACE} whsec_broken!x"
    ended = await place.run("listen", "--port", 0)
    assert ended.status == 2
    assert "whsec_broken" not in ended.err
    missing = await place.run("listen", "--port", 0, "--recall-secret-file", place.folder / "none")
    assert missing.status == 2


# Nobody else


async def test_the_port_never_speaks_control(place: Place) -> None:
    """What `speak` and `status` say is no language of the public port, and the control socket is its user's alone."""
    listener = await place.listen()
    async with connect(listener.url, compression=None) as stranger:
        await stranger.send(attendee(SOUND, 0.5))
        await listener.event("session.started", session="bot_1")
        await stranger.send('{"type": "ask"}')
        await stranger.send('{"type": "attach", "bot": "bot_1"}')
        await stranger.close()
        assert [wire async for wire in stranger] == []
    (control,) = (Path(place.environment["AUDIOTAP_RUNTIME_DIR"]) / "audiotap").iterdir()
    assert stat.S_ISSOCK(control.stat().st_mode)
    assert stat.S_IMODE(control.stat().st_mode) == 0o600


async def test_nothing_that_is_seen_holds_a_secret(place: Place) -> None:
    """After a whole run, neither output nor files have one, but the file where ours is kept."""
    place.environment["AUDIOTAP_RECALL_SECRET"] = WORKSPACE
    listener = await place.listen("--public-url", PUBLIC)
    bot_url = await address(place, listener)
    secret = bot_url.rpartition("/")[2]
    assert await answer(f"{listener.url}/x{secret}") == 404
    assert await answer(listener.url, signed(OTHER_WORKSPACE)) == 401
    bot = await place.start("sim", "bot", "--url", bot_url, "--file", HELLO, "--seconds", 1, "--speed", 5)
    ended = [await bot.ended(), await place.run("status"), await place.run("status", "--json")]
    ended.append(await place.run("url", "--for", "attendee", "--public-url", f"ws://tunnel.example/{secret}"))
    ended.append(await listener.stop(signal.SIGTERM))

    assert listener.told("session.finished")
    told = b"".join(one.out + one.err.encode() for one in ended)
    files = [Path(folder) / name for folder, _, names in os.walk(place.folder) for name in names]
    kept = place.folder / "state" / "secret"
    assert kept in files
    written = b"".join(path.read_bytes() for path in files if path != kept)
    for hidden in (secret, WORKSPACE, OTHER_WORKSPACE):
        assert hidden.encode() not in told + written
        assert not any(hidden in str(path) for path in files)
