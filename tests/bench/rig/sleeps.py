"""How speech is sent in Python where nobody keeps a clock: `websockets`, and a sleep as long as each chunk.

python sleeps.py SPEECH, a file of JSON: the chunks in base64, their rate and seconds, how many each bot gets, and how
many later than the bot before it begins. It speaks to each bot from its first message on.
"""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path

from websockets.asyncio.server import ServerConnection, serve

SPEECH = json.loads(Path(sys.argv[1]).read_text("utf-8"))


async def speak(connection: ServerConnection, bot: int) -> None:
    for number in range(SPEECH["each"]):
        chunk = SPEECH["chunks"][(bot * SPEECH["step"] + number) % len(SPEECH["chunks"])]
        data = {"chunk": chunk, "sample_rate": SPEECH["rate"]}
        await connection.send(json.dumps({"trigger": "realtime_audio.bot_output", "data": data}, separators=(",", ":")))
        await asyncio.sleep(SPEECH["seconds"])


async def meet(connection: ServerConnection) -> None:
    first = json.loads(await connection.recv())
    speaking = asyncio.create_task(speak(connection, int(first["bot_id"][-12:])))
    async for _ in connection:
        pass
    await speaking


async def main() -> None:
    async with serve(meet, "127.0.0.1", 0) as server:
        port = next(iter(server.sockets)).getsockname()[1]
        print(json.dumps({"event": "listening", "port": port}), flush=True)
        await asyncio.get_running_loop().create_future()


if __name__ == "__main__":
    asyncio.run(main())
