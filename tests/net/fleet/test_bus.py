"""What is told of a NATS that does not take us."""

from __future__ import annotations

import asyncio
import socket
import struct
from asyncio import StreamReader, StreamWriter

import pytest

from audiotap.errors import NobodyError
from audiotap.net.fleet import bus

INFO = b'INFO {"server_id":"x","version":"2.9.10","max_payload":1048576,"auth_required":true}\r\n'
HANGS_UP_AT_ONCE = struct.pack("ii", 1, 0)


async def test_why_we_were_refused_outlasts_a_word_that_was_lost() -> None:
    """A server that hangs up before it read all takes its own words back; whoever tried twice was told once."""
    asked = 0

    async def refuse(reader: StreamReader, writer: StreamWriter) -> None:
        nonlocal asked
        asked += 1
        writer.write(INFO)
        await reader.readline()
        if asked == 1:
            writer.write(b"-ERR 'Authorization Violation'\r\n")
        else:
            writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, HANGS_UP_AT_ONCE)
        writer.close()

    async with await asyncio.start_server(refuse, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        with pytest.raises(NobodyError, match="Authorization Violation"):
            async with bus.connected(f"nats://me:pass@127.0.0.1:{port}", patience=4 * bus.AGAIN_SECONDS):
                pass
    assert asked > 1
