"""The port that bots dial. All sockets are read together on one tick: waking up costs more than the work does.

Handshakes, control frames, fragments and everything odd are for the websockets library's own protocol, without its I/O;
what real bots send all day, whole masked text frames, is taken out before it (docs/decisions/0010-one-tick.md).
Source: RFC 6455, section 5.2, for the frame.
"""

from __future__ import annotations

import asyncio
import selectors
import socket
import struct
from collections.abc import Callable, Sequence
from typing import Protocol

from websockets.frames import CloseCode, Frame, Opcode
from websockets.http11 import Request
from websockets.protocol import SEND_EOF, State
from websockets.server import ServerProtocol

from audiotap.net.peer import MAX_MESSAGE

try:
    from websockets.speedups import apply_mask
except ImportError:
    from websockets.utils import apply_mask

TICK = 0.02
"""Seconds between two looks at all sockets: invisible to a recording, a meter and a person."""
AT_ONCE = 256 * 1024
"""Bytes that are read of one socket before the next one has its turn."""
MAX_REQUEST = 32 * 1024
"""Bytes of a request for a connection."""
MAX_UNSENT = 1024 * 1024
"""Bytes that wait for a peer that does not read, before who sends waits for it as well."""
ROUND = 20.0
"""Seconds after which who said nothing is pinged, and after as many more is taken for dead."""
CLOSING = 1.0
"""Seconds that a peer has to say goodbye."""
BACKLOG = 1024

_WHOLE_TEXT = 0x80 | Opcode.TEXT
_MASKED = 0x80
_MASK = 4


class Receiver(Protocol):
    """Who takes what a peer says."""

    def take(self, wires: Sequence[str | bytes]) -> None:
        """What was read at once, in order."""

    def leave(self, *, lost: bool) -> None:
        """The connection is over; `lost` is whether without a goodbye."""


class Peer:
    """One connection, from its request to its end."""

    def __init__(self, sock: socket.socket, port: Port) -> None:
        self.heard = True
        self.pinged = False
        self._sock = sock
        self._port = port
        self._protocol = ServerProtocol(max_size=MAX_MESSAGE)
        self._receiver: Receiver | None = None
        self._pending = bytearray()
        self._needed = 0
        self._parts: list[Frame] = []
        self._said: list[str | bytes] = []
        self._unsent = bytearray()
        self._ends = False
        self._over = False
        self._room = asyncio.Event()

    @property
    def open(self) -> bool:
        return self._protocol.state is State.OPEN

    async def send(self, wire: str) -> bool:
        """Say a text message; waits while the peer takes nothing. False when the connection is over."""
        if not self.open:
            return False
        self._put(_text_frame(wire.encode()))
        while len(self._unsent) > MAX_UNSENT and not self._over:
            self._room.clear()
            await self._room.wait()
        return not self._over

    def ping(self) -> None:
        self.pinged = True
        self._protocol.send_ping(b"")
        self._pass_on()

    def close(self, code: CloseCode) -> None:
        """Say goodbye; the connection is over when the peer did, too."""
        if self.open:
            self._protocol.send_close(code)
            self._pass_on()
        else:
            self.abort()

    def abort(self) -> None:
        """End the connection without a word."""
        if self._over:
            return
        self._over = True
        self._room.set()
        self._protocol.receive_eof()
        self._port.forget(self._sock)
        self._sock.close()
        if self._receiver is not None:
            self._receiver.leave(lost=self._protocol.close_code != CloseCode.NORMAL_CLOSURE)

    def read(self, buffer: memoryview) -> bool:
        """Take what the socket holds, up to a buffer full; whether there may be more."""
        kept = len(self._pending)
        short = kept < len(buffer) // 2
        room = buffer[kept:] if short else buffer
        try:
            size = self._sock.recv_into(room)
        except (BlockingIOError, InterruptedError):
            return False
        except OSError:
            size = 0
        if not size:
            self.abort()
            return False
        self.heard, self.pinged = True, False
        if short:
            buffer[:kept] = self._pending
            self._cut(buffer[: kept + size])
        else:
            self._pending += buffer[:size]
            if len(self._pending) >= self._needed:
                self._cut(memoryview(self._pending))
        return size == len(room)

    def _cut(self, data: memoryview) -> None:
        """Take whole frames out of bytes, keep the rest for the next ones, and hand on what they said."""
        taken = self._take(data)
        self._pending = bytearray() if self._over else bytearray(data[taken:])
        if self._said and self._receiver is not None:
            said, self._said = self._said, []
            self._receiver.take(said)

    def _put(self, data: bytes) -> None:
        """Send at once what the socket takes, if nothing waits; the rest waits for room."""
        if self._over:
            return
        if not self._unsent:
            try:
                data = data[self._sock.send(data) :]
            except (BlockingIOError, InterruptedError):
                pass
            except OSError:
                self.abort()
                return
        if data:
            self._unsent += data
            self._port.watch(self._sock, self, writing=True)

    def write(self) -> None:
        """Send what waits, as far as the socket takes it."""
        try:
            while self._unsent:
                del self._unsent[: self._sock.send(self._unsent)]
            if self._ends:
                self._ends = False
                self._sock.shutdown(socket.SHUT_WR)
        except (BlockingIOError, InterruptedError):
            pass
        except OSError:
            self.abort()
            return
        self._port.watch(self._sock, self, writing=bool(self._unsent))
        if len(self._unsent) <= MAX_UNSENT:
            self._room.set()

    def _take(self, data: memoryview) -> int:
        """Take every whole frame; how many bytes that were. `_needed` tells when the next one is whole."""
        at = 0
        if self._protocol.state is State.CONNECTING:
            at = self._take_request(data)
        while not self._over and self._protocol.state is not State.CONNECTING:
            end = self._frame_end(data, at)
            if end > len(data):
                self._needed = end - at
                return at
            if end < 0 or self._protocol.state is not State.OPEN:
                self._take_odd(data[at:])
                return len(data)
            if data[at] == _WHOLE_TEXT and not self._parts:
                self._take_text(data, at, end)
            else:
                self._take_odd(data[at:end])
            at = end
        return at

    def _frame_end(self, data: memoryview, at: int) -> int:
        """Where a frame ends that begins at `at`, or at least would; -1 for one that cannot be."""
        room = len(data) - at
        if room < 2:
            return at + 2
        length = data[at + 1] ^ _MASKED
        if length > 127:
            return -1
        if length < 126:
            return at + 2 + _MASK + length
        wide = 2 if length == 126 else 8
        if room < 2 + wide:
            return at + 2 + wide
        (length,) = struct.unpack_from("!H" if wide == 2 else "!Q", data, at + 2)
        return at + 2 + wide + _MASK + length if length <= MAX_MESSAGE else -1

    def _take_text(self, data: memoryview, at: int, end: int) -> None:
        length = data[at + 1] ^ _MASKED
        begin = at + (2 if length < 126 else 4 if length == 126 else 10)
        payload = apply_mask(bytes(data[begin + _MASK : end]), bytes(data[begin : begin + _MASK]))
        self._take_words(payload)

    def _take_words(self, data: bytes) -> None:
        try:
            self._said.append(data.decode())
        except UnicodeDecodeError as error:
            self._protocol.fail(CloseCode.INVALID_DATA, f"{error.reason} at position {error.start}")
            self._pass_on()

    def _take_request(self, data: memoryview) -> int:
        """Answer a request when all of it is there."""
        request = bytes(data)
        end = request.find(b"\r\n\r\n") + 4
        if end < 4:
            self._needed = len(data) + 1
            if len(data) > MAX_REQUEST:
                self.abort()
            return 0
        self._take_odd(data[:end])
        return end

    def _take_odd(self, data: memoryview) -> None:
        """Leave something to the library: a request, a control frame, a fragment, or what breaks the rules."""
        self._protocol.receive_data(bytes(data))
        for event in self._protocol.events_received():
            if isinstance(event, Request):
                self._protocol.send_response(self._protocol.accept(event))
                if self.open:
                    self._receiver = self._port.welcome(self)
            elif isinstance(event, Frame) and event.opcode in {Opcode.TEXT, Opcode.BINARY, Opcode.CONT}:
                self._gather(event)
        self._pass_on()

    def _gather(self, frame: Frame) -> None:
        """Join the frames of a message."""
        self._parts.append(frame)
        if not frame.fin:
            return
        parts, self._parts = self._parts, []
        data = b"".join(part.data for part in parts)
        if parts[0].opcode is Opcode.BINARY:
            self._said.append(data)
        else:
            self._take_words(data)

    def _pass_on(self) -> None:
        """Send what the library wants to be sent, and see whether it wants the end."""
        for data in self._protocol.data_to_send():
            if data == SEND_EOF:
                self._ends = True
            else:
                self._put(data)
        if self._ends:
            self.write()
        if self._protocol.state is not State.OPEN and not self._over and self._protocol.close_expected():
            self._port.expect_end(self)


def _text_frame(payload: bytes) -> bytes:
    """A whole message of text, as servers send it."""
    size = len(payload)
    if size < 126:
        return struct.pack("!BB", _WHOLE_TEXT, size) + payload
    if size < 1 << 16:
        return struct.pack("!BBH", _WHOLE_TEXT, 126, size) + payload
    return struct.pack("!BBQ", _WHOLE_TEXT, 127, size) + payload


class Port:
    """A port and the peers that dialled it. `connect` is asked for each peer's receiver; `ready` whether to read.

    All methods belong to the event loop's thread.
    """

    def __init__(
        self, sockets: list[socket.socket], connect: Callable[[Peer], Receiver], ready: Callable[[], bool]
    ) -> None:
        self.sockets = sockets
        self._connect = connect
        self._ready = ready
        self._loop = asyncio.get_running_loop()
        self._selector = selectors.DefaultSelector()
        self._peers: dict[int, Peer] = {}
        self._buffer = memoryview(bytearray(AT_ONCE))
        self._ticking: asyncio.Handle | None = None
        self._rounds: asyncio.Handle | None = None
        self._held = self._closed = False
        self._empty = asyncio.Event()
        self._empty.set()

    def start(self) -> None:
        """Take connections from now on."""
        for sock in self.sockets:
            sock.listen(BACKLOG)
            self._loop.add_reader(sock, self._accept, sock)
        self._rounds = self._loop.call_later(ROUND, self._round)

    async def close(self) -> None:
        """Take what was sent so far, say goodbye to every peer, and wait a little for theirs."""
        if self._closed:
            return
        self._closed = True
        for sock in self.sockets:
            self._loop.remove_reader(sock)
            sock.close()
        if self._rounds is not None:
            self._rounds.cancel()
        self._look()
        for peer in list(self._peers.values()):
            peer.close(CloseCode.GOING_AWAY)
        try:
            async with asyncio.timeout(CLOSING):
                await self._empty.wait()
        except TimeoutError:
            for peer in list(self._peers.values()):
                peer.abort()
        if self._ticking is not None:
            self._ticking.cancel()
        self._selector.close()

    # For peers

    def welcome(self, peer: Peer) -> Receiver:
        return self._connect(peer)

    def watch(self, sock: socket.socket, peer: Peer, *, writing: bool) -> None:
        """Have a socket read, and written if something waits."""
        events = selectors.EVENT_READ | (selectors.EVENT_WRITE if writing else 0)
        if self._selector.get_key(sock).events != events:
            self._selector.modify(sock, events, peer)

    def forget(self, sock: socket.socket) -> None:
        self._selector.unregister(sock)
        del self._peers[sock.fileno()]
        if not self._peers:
            self._empty.set()

    def expect_end(self, peer: Peer) -> None:
        self._loop.call_later(CLOSING, peer.abort)

    # The tick

    def _accept(self, listening: socket.socket) -> None:
        for _ in range(BACKLOG):
            try:
                sock, _ = listening.accept()
            except (BlockingIOError, InterruptedError, ConnectionAbortedError):
                break
            except OSError:
                self._loop.remove_reader(listening)
                self._loop.call_later(CLOSING, self._loop.add_reader, listening, self._accept, listening)
                break
            sock.setblocking(False)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            peer = self._peers[sock.fileno()] = Peer(sock, self)
            self._selector.register(sock, selectors.EVENT_READ, peer)
            self._empty.clear()
        if self._ticking is None and self._peers:
            self._tick()

    def _tick(self) -> None:
        busy = self._look()
        if not self._peers:
            self._ticking = None
        elif busy:
            self._ticking = self._loop.call_soon(self._tick)
        else:
            self._ticking = self._loop.call_later(TICK, self._tick)

    def _look(self) -> bool:
        """Read and write all sockets once; whether one of them has more."""
        busy = False
        for key, events in self._selector.select(0):
            peer: Peer = key.data
            try:
                if events & selectors.EVENT_WRITE:
                    peer.write()
                if events & selectors.EVENT_READ:
                    if self._ready():
                        busy |= peer.read(self._buffer)
                    else:
                        self._held = True
            except Exception as error:  # noqa: BLE001 - one peer's failure must not end the others
                self._loop.call_exception_handler({"message": "a connection failed", "exception": error})
                peer.abort()
        return busy

    def _round(self) -> None:
        """Ping who said nothing, and drop who did not even answer; who is held back cannot be heard."""
        for peer in list(self._peers.values()):
            if self._held or peer.heard:
                peer.heard = False
            elif peer.pinged or not peer.open:
                peer.abort()
            else:
                peer.ping()
        self._held = False
        self._rounds = self._loop.call_later(ROUND, self._round)
