"""The listener's end of control: `speak`, `pause`, `stop` and `status`; the public port never serves this."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress

from websockets.exceptions import ConnectionClosed

from audiotap.audio import Chunk
from audiotap.dialects import native
from audiotap.errors import AudiotapError, WireError
from audiotap.events import (
    Ask,
    Attach,
    Attached,
    ControlEvent,
    Done,
    Fault,
    Finish,
    Finished,
    Pause,
    Progress,
    Speak,
    Stop,
    Tail,
    Watch,
)
from audiotap.net.control.audience import Audience
from audiotap.net.control.live import air
from audiotap.net.control.sockets import Talk, say
from audiotap.net.live import Live
from audiotap.net.mouth import Utterance
from audiotap.net.tap import Tap
from audiotap.net.tasks import first_of

PROGRESS_SECONDS = 0.25

Air = Callable[[Tap, Live, str, Talk], Awaitable[None]]
"""Lets a client hear a track of a session until it goes away."""


async def serve(tap: Tap, audience: Audience, connection: Talk, air: Air = air) -> None:
    """Answer one control client; to speak, to watch or to listen is the last thing it can ask for."""
    live: Live | None = None
    with suppress(ConnectionClosed):
        async for wire in connection:
            try:
                event = native.decode(wire)
                if isinstance(event, Watch):
                    await audience.watch(tap, connection)
                    return
                if isinstance(event, Speak | Finish):
                    await _speak(tap, connection, _attached(live), event)
                    return
                if isinstance(event, Tail):
                    await air(tap, _attached(live), event.track, connection)
                    return
                live = await _answer(tap, connection, live, event)
            except WireError as error:
                await say(connection, Fault("USAGE", f"not understood: {error}"))
            except AudiotapError as error:
                await say(connection, Fault(error.status.name, error.message, error.hint))


async def _answer(tap: Tap, connection: Talk, live: Live | None, event: ControlEvent) -> Live | None:
    match event:
        case Ask():
            await say(connection, tap.status())
        case Attach(bot, away, deaf):
            live = tap.choose(bot, away=away, deaf=deaf)
            provider, session = live.session.key
            await say(connection, Attached(provider, session, 0 if deaf else tap.mouth(live).rate))
        case Pause():
            told = await tap.pause(_attached(live), event)
            await say(connection, Done(event.seconds, told))
        case Stop():
            dropped, told = await tap.stop(_attached(live))
            await say(connection, Done(dropped, told))
        case _:
            raise WireError(f"{type(event).__name__} is for the listener to say")
    return live


def _attached(live: Live | None) -> Live:
    if live is None:
        raise WireError("nothing was attached to")
    return live


async def _speak(tap: Tap, connection: Talk, live: Live, first: Speak | Finish) -> None:
    """Play what the client sends until it says Finish; a client that goes away takes its speech with it."""
    utterance = Utterance()
    telling = asyncio.create_task(_tell(connection, utterance))
    try:
        await first_of(tap.mouth(live).speak(utterance, _chunks(connection, first)), connection.wait_closed())
    finally:
        telling.cancel()
        await asyncio.gather(telling, return_exceptions=True)
    await say(connection, Finished(utterance.sent, utterance.stopped))


async def _chunks(connection: Talk, first: Speak | Finish) -> AsyncIterator[Chunk]:
    event: ControlEvent = first
    while isinstance(event, Speak):
        yield event.chunk
        event = native.decode(await connection.recv())
    if not isinstance(event, Finish):
        raise WireError(f"{type(event).__name__} in the middle of speech")


async def _tell(connection: Talk, utterance: Utterance) -> None:
    with suppress(ConnectionClosed):
        while True:
            await say(connection, Progress(utterance.sent, utterance.state))
            await asyncio.sleep(PROGRESS_SECONDS)
