"""Every line of README.md and docs/ in which audiotap is typed runs in bash as it stands there, and does what it says.

A line belongs to the first row below that it begins with, and runs on the stage whose table that is.
"""

from __future__ import annotations

import asyncio
import re
import ssl
import tempfile
from collections.abc import Awaitable, Callable, Iterator
from contextlib import nullcontext
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import pytest
from pytest_httpserver import HTTPServer
from tests.scenarios.harness import Place, attendee, tone
from tests.scenarios.meeting import joined, voice
from tests.scenarios.nats_server import NatsServer, needs_nats
from tests.scenarios.outside import SECRET, Outside, outside
from tests.scenarios.providers import ATTENDEE_BOT, BOTS, CREATED, PUBLIC, RECALL_BOT, know
from tests.scenarios.stage import RECORDING, SECONDS, Shell, Stage
from tests.scenarios.store import BUCKET, bucket_at, s3
from tests.scenarios.test_names import PARTICIPANTS, page
from tests.scenarios.test_tls import Authority
from tests.typed import PAGES, lines
from websockets.asyncio.client import connect

LINES = [*dict.fromkeys(line for page in PAGES for line in lines(page))]
AT_ONCE = 4
"""Lines of one stage that run side by side."""
IN_TURN = re.compile(r"audiotap (speak|pause|stop|converse amigo)")
"""Lines that would interrupt each other: one bot is spoken through, and one user has one conversation."""


@dataclass(frozen=True)
class Shows:
    """What a line prints, and the files that it makes, which are not empty."""

    says: str = ""
    makes: str = ""
    until_stopped: bool = False


def stays(says: str, makes: str = "") -> Shows:
    """What a line shows that runs until Ctrl-C."""
    return Shows(says, makes, until_stopped=True)


AT_HOME = {
    "report --embed": Shows(makes="meeting.html"),
    "report": Shows(makes="recordings/*/report.html"),
    "mix --as mono": Shows(makes="recordings/*.mono.opus"),
    "mix": Shows("channel 2: spoken", makes="recordings/*.stereo.wav"),
    "check": Shows(": ok"),
    "assemble .* --out": Shows(makes="calls/*/spoken.wav"),
    "assemble": Shows(f"s3://{BUCKET}/recordings/attendee_bot_1"),
    "replay .* --out": Shows(makes="again/*/spoken.wav"),
    "replay .* --url": Shows("1 connection, [1-9]"),
    "doctor .*--json": Shows('"round trip","verdict":"ok"'),
    "doctor .*--public-url": Shows("ok +round trip"),
    "doctor": Shows("ok +port"),
    "config show listen": Shows("port .* AUDIOTAP_LISTEN_PORT"),
    "config show --json": Shows('"command":"listen"'),
    "config show sim bot": Shows("loop +true +profile in audiotap.toml"),
    r"config path\)": Shows(makes="editor.told"),
    "config path": Shows("none.toml"),
    "--install-completion": Shows("completion installed", makes=".bash_completions/*"),
}
WITH_A_LISTENER = {
    "bot create .*attendee": Shows(ATTENDEE_BOT),
    "bot create .*recall": Shows(RECALL_BOT),
    "bot leave": Shows("leave the meeting"),
    "speak .*--provider recall": Shows("Recall plays it"),
    "speak": Shows(f"sent {SECONDS} s"),
    "pause": Shows("paused bot_1"),
    "stop": Shows("stopped bot_1"),
    "status --json": Shows('"session":"bot_1"'),
    "status": Shows("attendee bot_1"),
    "watch --json --levels": stays('"event":"levels"'),
    "watch": stays("warning: .* no provider known"),
    r"tail \|": stays("listening to mixed of bot_1", makes="ffplay.heard"),
    "tail": stays("listening to .* of bot_1", makes="ana.s16le"),
    "url --for attendee": Shows('"websocket_settings"'),
    "url --for twilio": Shows("<Stream url="),
    "url": Shows(f"{PUBLIC}{SECRET}"),
}
WITH_AGENTS = {
    "converse .*--json": Shows('"event":"conversation.finished"', makes="recordings/*/transcript.txt"),
    "converse": Shows("answer heard after", makes="recordings/*/agent.wav"),
}
SIMULATORS = {
    "sim bot .*--record": Shows("the meeting heard [1-9]", makes="heard/played.wav"),
    "sim bot .*--loop": stays("dialling"),
    "sim bot": Shows("[56].00 s of call"),
    "sim agent": stays("listening"),
}
LISTENERS = {
    "bridge": stays("listening on", makes="recordings/*/spoken.wav"),
    "listen .*--exec ./transcribe.py": stays("listening on", makes="transcribe.told"),
    'listen .*--exec "./upload.sh': stays("listening on", makes="upload.told"),
    "listen .*--exec 'rclone": stays("listening on", makes="rclone.told"),
    "listen .*--exec 'sh": stays("listening on", makes="recordings/*.tgz"),
    "listen .*--capture": stays("listening on", makes="call.jsonl.gz"),
    "listen .*ffplay": stays("listening on", makes="ffplay.heard"),
    "listen .*--track 100 .*transcribe.py": stays("listening on", makes="transcribe.heard"),
    "listen .*--format bin": stays("listening on", makes="recordings/*/mixed.bin"),
    "listen .*--out /data/calls --json": stays('"listening"', makes="calls/*/mixed.wav"),
    "listen .*--json": stays('"listening"', makes="recordings/*/mixed.wav"),
    "listen": stays("listening on", makes="recordings/*/mixed.wav"),
}
ELSEWHERE = {"demo": "tests/scenarios/test_terminal.py"}
"""Where other lines are run."""
TABLES = (AT_HOME, WITH_A_LISTENER, WITH_AGENTS, SIMULATORS, LISTENERS)

Run = Callable[[str, Shows], Awaitable[None]]
Visit = Callable[[Shell], Awaitable[None]]


def row(line: str) -> str | None:
    """The row that a line belongs to."""
    typed = line.replace("python3 cli ", "audiotap ")
    known = (row for table in (*TABLES, ELSEWHERE) for row in table)
    return next((row for row in known if re.search(rf"\baudiotap (--profile \w+ )?{row}", typed)), None)


def of(table: dict[str, Shows]) -> Iterator[tuple[str, Shows]]:
    """The lines of a table, and what they show."""
    rows = ((line, row(line)) for line in LINES)
    return ((line, table[row]) for line, row in rows if row in table)


def test_every_line_is_run() -> None:
    """Each line of the pages has a row that says what it shows, and each row a line."""
    assert len(LINES) > 90
    strangers = [line for line in LINES if row(line) is None]
    assert not strangers, "say in a table of tests/scenarios/test_documented.py where these run, and what they show"
    unused = [one for table in (*TABLES, ELSEWHERE) for one in table if one not in {row(line) for line in LINES}]
    assert not unused, "no page has such a line any more"


@pytest.fixture
def stage(place: Place) -> Stage:
    """What a reader has."""
    return Stage(place)


async def run_all(table: dict[str, Shows], run: Run) -> None:
    """Run the lines of a table, some at once, and tell of all that do not do what they should."""
    gate, turn = asyncio.Semaphore(AT_ONCE), asyncio.Lock()

    async def complaint(line: str, shows: Shows) -> str:
        async with turn if IN_TURN.search(line) else nullcontext(), gate:
            try:
                await run(line, shows)
            except (pytest.fail.Exception, AssertionError) as error:
                return f"{line}\n{error}"
            return ""

    async with asyncio.TaskGroup() as group:
        running = [group.create_task(complaint(*one)) for one in of(table)]
    complaints = [task.result() for task in running if task.result()]
    assert not complaints, "\n\n".join(complaints)


async def nobody(_: Shell) -> None:
    """No visitor."""


async def do(stage: Stage, line: str, shows: Shows, visit: Visit = nobody, **environment: str) -> None:
    """Run a line to its end, which comes with Ctrl-C, after a visit, where it stays."""
    shell = await stage.type(line, environment)
    if shows.until_stopped:
        await shell.shows(shows.says)
        await visit(shell)
    ended = await (shell.stop() if shows.until_stopped else shell.ended())
    assert ended.status == 0, f"ended with {ended.status}:\n{shell.text}"
    assert re.search(shows.says, shell.text), f"it does not say {shows.says}:\n{shell.text}"
    if shows.makes:
        made = any(path.stat().st_size for path in shell.folder.glob(shows.makes))
        assert made, f"there is no {shows.makes}:\n{shell.text}"


async def test_at_home(stage: Stage) -> None:
    """What somebody has recorded is looked at, repaired and played again, and the machine is examined."""
    place = stage.place
    with s3() as address:
        async with bucket_at(*address) as bucket, outside(place.folder) as world:
            await record(stage, f"s3://{BUCKET}/recordings", bucket.environment)
            plain = await place.listen()
            world.lead_to(plain.port)
            offline = dict.fromkeys(("ATTENDEE_API_URL", "RECALL_API_URL"), "http://127.0.0.1:1")
            doctors = {"AUDIOTAP_DOCTOR_PORT": str(plain.port)} | offline
            servers = ("ws://127.0.0.1:9000", "ws://127.0.0.1:8765", "wss://my-server/path")
            stage.has(bucket.environment | world.environment | doctors, dict.fromkeys(servers, plain.url))
            stage.has(
                {}, {"s3://BUCKET": f"s3://{BUCKET}", "YOUR-TUNNEL-HOST": world.host, "//HOST": f"//{world.host}"}
            )
            await run_all(AT_HOME, partial(do, stage))


async def record(stage: Stage, store: str, environment: dict[str, str]) -> None:
    """Bring a recording, its capture and its copy in a store onto a stage."""
    place = stage.place
    capture = ("--capture", stage.things / "call.jsonl.gz")
    listener = await place.listen("--linger", 0.1, "--upload", store, *capture, environment=environment)
    bot = await place.bot(listener.url, "--id", "bot_1", "--file", stage.things / "speech.flac", "--loop")
    await listener.event("track.started")
    assert (await place.run("speak", stage.things / "hello.wav")).status == 0
    await bot.stop()
    recording = await listener.finished("bot_1")
    assert (await listener.stop()).status == 0
    recordings = stage.things / "recordings"
    recordings.mkdir()
    recording.folder.rename(recordings / RECORDING)


@needs_nats
async def test_with_a_listener(stage: Stage, nats: NatsServer, httpserver: HTTPServer) -> None:
    """From another terminal: speaking through a bot, looking on, and sending more bots."""
    know(stage.place, httpserver)
    for provider, created in CREATED.items():
        httpserver.expect_request(BOTS[provider], "POST").respond_with_json(created, 201)
    httpserver.expect_request(PARTICIPANTS).respond_with_json(page())
    for more in (f"/api/v1/bots/{ATTENDEE_BOT}/leave", f"/api/v1/bot/{RECALL_BOT}/output_audio/"):
        httpserver.expect_request(more, "POST").respond_with_json({})
    listener = await stage.place.listen("--public-url", PUBLIC, "--fleet", nats.url, environment=stage.environment)
    bots = f"{listener.url}/{SECRET}"
    async with connect(bots) as stranger:
        await stranger.send("nothing that anybody reads")
        await listener.event("warning")
    ana = ("--file", stage.things / "ana.wav", "--name", "Ana", "--names", "--loop")
    await stage.place.bot(bots, "--id", "bot_1", *ana)
    await listener.event("track.started", name="Ana")
    api = stage.place.environment["RECALL_API_URL"]
    stage.has({}, {f"{where}us-west-2": f"{where}{api}" for where in ("--api ", "RECALL_API_URL=")})
    stage.has({}, {"--port 8765": f"--port {listener.port}"})
    stage.has({}, {"nats://nats.internal:4222": nats.url})

    async def run(line: str, shows: Shows) -> None:
        async def visit(shell: Shell) -> None:
            if shows.makes:
                await stage.filled(shell.folder / shows.makes)

        await do(stage, line, shows, visit)

    await run_all(WITH_A_LISTENER, run)


async def test_with_agents(stage: Stage) -> None:
    """Being the user of every vendor's agent."""
    await stage.agents("openai", "azure", "botify", "deepgram", "amigo")
    await run_all(WITH_AGENTS, partial(do, stage))


async def test_simulators(stage: Stage) -> None:
    """Bots that dial a meeting with an agent in it, and agents that wait for users."""
    await stage.agents("openai")
    bridge = await stage.place.bridge("openai", stage.environment["OPENAI_URL"])
    servers = ("wss://your-own-server/", "wss://my-server/path")
    stage.has({"AUDIOTAP_SIM_BOT_URL": bridge.url}, dict.fromkeys(servers, bridge.url))

    async def run(line: str, shows: Shows) -> None:
        name = f"bot_{LINES.index(line)}"

        async def visit(_: Shell) -> None:
            if "sim bot" in line:
                await bridge.event("track.started", session=name)

        await do(stage, line, shows, visit, AUDIOTAP_SIM_BOT_ID=name)

    await run_all(SIMULATORS, run)


@needs_nats
async def test_listeners(stage: Stage, nats: NatsServer) -> None:
    """Whatever a listener is told, it records the bot that dials it, and a bridge has its agent speak."""
    authority = Authority(stage.place.folder)
    authority.cert.rename(stage.things / "fullchain.pem")
    authority.key.rename(stage.things / "privkey.pem")
    await stage.agents("openai", "deepgram", "amigo")
    with s3() as address:
        async with bucket_at(*address) as bucket:
            stage.has(bucket.environment, {"s3://BUCKET": f"s3://{BUCKET}", "nats://nats.internal:4222": nats.url})

            async def run(line: str, shows: Shows) -> None:
                async with outside(Path(tempfile.mkdtemp(dir=stage.place.folder))) as world:
                    tunnel = stage.with_programs(world.tunnel("cloudflared"), world.bin)
                    await do(stage, line, shows, partial(dial, line, world, authority.context), **tunnel)

            await run_all(LISTENERS, run)
            assert bucket.road.asked["PUT"] > 0


async def dial(line: str, world: Outside, trust: ssl.SSLContext, shell: Shell) -> None:
    """Be a bot, which is heard, or the one that asks an agent and hears it."""
    scheme, port = (await shell.shows(r"(wss?)://[\d.]+:(\d+)")).groups()
    if "--tunnel" in line:
        world.lead_to(int(port))
        await shell.shows("reachable through cloudflared")
    shell.url = f"{scheme}://127.0.0.1:{port}/{SECRET}"
    if "audiotap bridge" in line:
        async with joined(shell, ready=False) as bot:
            await bot.ask(voice(SECONDS))
            await bot.plays(1)
        return
    async with connect(shell.url, ssl=trust if scheme == "wss" else None) as peer:
        for track in ("", "100"):
            await peer.send(attendee(tone(SECONDS), SECONDS, track))
