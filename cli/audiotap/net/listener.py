"""A running listener: the public port, the control socket, the tap between them, and the sinks it records to."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import msgspec

from audiotap.net.control import control_server
from audiotap.net.lanes import BatchLane, DirectLane, Lane
from audiotap.net.peer import serve_bots
from audiotap.net.tap import Tap, Tell
from audiotap.reports import Listening, Report
from audiotap.sinks.base import Sink
from audiotap.sinks.recording import Format, Recorder
from audiotap.sinks.stream import PcmStream


class Config(msgspec.Struct, frozen=True):
    """What a listener is told. `control` is the folder of control sockets; None opens none."""

    out: Path
    host: str = "127.0.0.1"
    port: int = 8765
    form: Format = "wav"
    linger: float | None = None
    threshold: float | None = None
    control: Path | None = None
    pcm: tuple[int, str] | None = None
    """A file descriptor and the track whose samples go there."""


class Listener:
    """A listener that is running."""

    def __init__(self, tap: Tap, recorder: Recorder, recording: BatchLane) -> None:
        self.tap = tap
        self.url = tap.url
        self._recorder = recorder
        self._recording = recording

    @property
    def lossy(self) -> bool:
        """Whether any recording lacks something."""
        return self.tap.lossy or self._recorder.failed or self._recording.failed


@asynccontextmanager
async def listening(config: Config, tell: Tell, watchers: Sequence[Sink] = ()) -> AsyncIterator[Listener]:
    """Run a listener while the block runs, then finish every file. `watchers` are sinks that only look (the meter).

    `tell` is called in the event loop's thread. MachineError when the port or a folder refuses.
    """
    aloud = _in_loop(tell)
    tap = Tap(tell, config.linger, config.threshold)
    recorder = Recorder(config.out, config.form, aloud)
    async with AsyncExitStack() as stack:
        server, host, port = await serve_bots(config.host, config.port, tap.receive)
        stack.callback(server.close)
        tap.url = f"ws://{host}:{port}"
        if config.control is not None:
            await stack.enter_async_context(control_server(tap, config.control, port))
        recording = BatchLane(recorder, "the recording", aloud)
        lanes: list[Lane] = [recording]
        if config.pcm is not None:
            lanes.append(BatchLane(PcmStream(*config.pcm), "standard output", aloud))
        lanes += [DirectLane(watcher, "the meter", aloud) for watcher in watchers]
        tap.start(lanes)
        tell(Listening(tap.url, config.host, port, str(config.out)))
        listener = Listener(tap, recorder, recording)
        try:
            yield listener
        finally:
            server.close()
            await server.wait_closed()
            await tap.close("the listener was stopped")
            await asyncio.sleep(0)


def _in_loop(tell: Callable[[Report], None]) -> Callable[[Report], None]:
    """`tell`, callable from any thread, in order."""
    loop = asyncio.get_running_loop()

    def aloud(report: Report) -> None:
        loop.call_soon_threadsafe(tell, report)

    return aloud
