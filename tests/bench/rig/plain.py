"""The shortest Python peer: `websockets` as its documentation has it, `json`, `base64`, and files that are appended to.

python plain.py FOLDER
"""

from __future__ import annotations

import asyncio
import base64
import json
import sys
from pathlib import Path
from typing import BinaryIO

from websockets.asyncio.server import ServerConnection, serve

FOLDER = Path(sys.argv[1])
FILES: dict[str, BinaryIO] = {}


def append(session: str, track: str | int, audio: str) -> None:
    name = f"{session}-{track}.raw"
    if name not in FILES:
        FILES[name] = (FOLDER / name).open("ab", buffering=0)
    FILES[name].write(base64.b64decode(audio))


async def receive(connection: ServerConnection) -> None:
    async for wire in connection:
        message = json.loads(wire)
        data = message["data"]
        if "trigger" in message:
            append(message["bot_id"], data.get("participant_uuid", "mixed"), data["chunk"])
        else:
            heard = data["data"]
            append(data["recording"]["id"], heard.get("participant", {"id": "mixed"})["id"], heard["buffer"])


async def main() -> None:
    async with serve(receive, "127.0.0.1", 0) as server:
        port = next(iter(server.sockets)).getsockname()[1]
        print(json.dumps({"event": "listening", "port": port}), flush=True)
        await asyncio.get_running_loop().create_future()


if __name__ == "__main__":
    asyncio.run(main())
