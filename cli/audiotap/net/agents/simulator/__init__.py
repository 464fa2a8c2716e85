"""Simulated agents: a server that any client of a vendor can dial, with an actor on each connection."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from weakref import WeakKeyDictionary

from websockets.asyncio.server import ServerConnection, serve
from websockets.http11 import Request, Response
from websockets.typing import Subprotocol

from audiotap.actors.base import Actor, Refused
from audiotap.net.agents.simulator import reports
from audiotap.net.agents.simulator.mishaps import Mishap, Mishaps
from audiotap.net.agents.simulator.performance import Part, Performance, Tell
from audiotap.net.peer import MAX_MESSAGE, bind

CLOSE_SECONDS = 1.0
"""How long a client has for its side of a close."""
BACKLOG = 1024
"""Clients that may dial at once."""


@asynccontextmanager
async def simulating(
    actor: type[Actor],
    part: Part,
    mishaps: Sequence[Mishap] = (),
    *,
    tell: Tell = lambda _: None,
    host: str = "127.0.0.1",
    port: int = 0,
) -> AsyncIterator[Simulator]:
    """A server that clients may dial; at the end its connections are closed with 1001. MachineError for the port."""
    sockets, shown, number = await bind(host, port)
    simulator = Simulator(actor, part, mishaps, f"ws://{shown}:{number}", tell)
    async with AsyncExitStack() as servers:
        for sock in sockets:
            server = serve(
                simulator.perform,
                sock=sock,
                process_request=simulator.admit,
                select_subprotocol=simulator.subprotocol,
                compression=None,
                max_size=MAX_MESSAGE,
                close_timeout=CLOSE_SECONDS,
                backlog=BACKLOG,
            )
            await servers.enter_async_context(server)
        tell(reports.Listening(simulator.url, host, number, actor.name))
        yield simulator


class Simulator:
    """Any number of connections to one vendor's server; what happens on them is told, and summed up in `summary`."""

    def __init__(self, actor: type[Actor], part: Part, mishaps: Sequence[Mishap], url: str, tell: Tell) -> None:
        self.url = url
        self.summary = reports.Summary()
        self._actor = actor
        self._part = part
        self._mishaps = Mishaps(mishaps)
        self._out = tell
        self._began = asyncio.get_running_loop().time()
        self._admitted: WeakKeyDictionary[ServerConnection, Actor] = WeakKeyDictionary()

    def admit(self, connection: ServerConnection, request: Request) -> Response | None:
        """Let a client in, or answer its request with a status."""
        actor = self._actor(self._part.script)
        refused = self._mishap() or _refusal(actor, request)
        if refused is None:
            self._admitted[connection] = actor
            return None
        self._tell(reports.Refused(refused.status))
        return connection.respond(refused.status, refused.body)

    def subprotocol(self, connection: ServerConnection, offered: Sequence[Subprotocol]) -> Subprotocol | None:
        """The one that the vendor's server chooses."""
        chosen = self._admitted[connection].subprotocol(offered)
        return None if chosen is None else Subprotocol(chosen)

    async def perform(self, connection: ServerConnection) -> None:
        """One connection, to its end."""
        actor = self._admitted.pop(connection)
        fate = self._mishaps.fate()
        await Performance(connection, self.summary.connections + 1, actor, self._part, fate, self._tell).run()

    def _mishap(self) -> Refused | None:
        mishap = self._mishaps.refusal(asyncio.get_running_loop().time() - self._began)
        if mishap is None:
            return None
        self._tell(reports.Befell(0, mishap.told))
        return Refused(int(mishap.code))

    def _tell(self, report: reports.Report) -> None:
        self.summary.add(report)
        self._out(report)


def _refusal(actor: Actor, request: Request) -> Refused | None:
    if re.fullmatch(actor.paths, request.path.partition("?")[0]) is None:
        return Refused(404)
    headers = {name.lower(): value for name, value in request.headers.raw_items()}
    offered = ",".join(request.headers.get_all("Sec-WebSocket-Protocol")).split(",")
    return actor.admits(request.path, headers, [one.strip() for one in offered if one.strip()])
