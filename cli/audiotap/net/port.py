"""The port that bots dial. All sockets are read together on one tick: waking up costs more than the work does.

Handshakes, control frames, fragments and everything odd are for the websockets library's own protocol, without its I/O;
what bots send all day is taken out before it by the law of `frames` (docs/decisions/0010-one-tick.md).
"""

from __future__ import annotations

import asyncio
import math
import selectors
import socket
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from ipaddress import ip_address, ip_network
from time import monotonic
from typing import Protocol

import msgspec
from websockets.exceptions import InvalidUpgrade, PayloadTooBig, ProtocolError
from websockets.frames import CloseCode, Frame, Opcode
from websockets.http11 import Request, Response
from websockets.protocol import SEND_EOF, State
from websockets.server import ServerProtocol

from audiotap.events import UNASKED
from audiotap.net.door.admission import Refusal
from audiotap.net.door.door import Door
from audiotap.net.door.limits import Limits
from audiotap.net.door.tls import RECORD, RefusedError, TlsSocket
from audiotap.net.frames import frame_end, take_texts

TICK = 0.02
"""Seconds between two looks at all sockets: invisible to a recording, a meter and a person."""
TURN = 0.02
"""Seconds of reading after which the event loop has its turn, whoever is still to be read: speech may be due."""
AT_ONCE = 128 * 1024
"""Bytes that are read of one socket before the next one has its turn."""
SMALL = 64
"""Bytes of a frame, with its head; one with less says hardly anything, and costs as much as any other."""
MAX_REQUEST = 32 * 1024
"""Bytes of a request for a connection."""
MAX_UNSENT = 1024 * 1024
"""Bytes that wait for a peer that does not read, before who sends waits for it as well.

Only answers to its own pings can become more; with twice as many the connection is over."""
CLOSING = 1.0
"""Seconds that a peer has to say goodbye."""
BACKLOG = 1024
BROKE_RULES = "a connection was ended: it broke the rules of websockets"
NO_TEXT = "a connection was ended: its text is no UTF-8"
TOO_LONG = "a connection was ended: its message is longer than --max-message"
TOO_MUCH_PENDING = (
    "a connection was ended: unfinished messages are more than --max-pending, and it has the most of them"
)
NEVER_READS = "a connection was ended: it asks for answers and does not read them"
TOO_MANY_SMALL = f"a connection was ended: it sends more frames of less than {SMALL} bytes than --max-small allows"
TOO_SLOW = "a connection was ended: its handshake took longer than --handshake-timeout"
IDLE = "a connection was ended: it said nothing for --idle-timeout"
TOO_MANY = "a connection was refused: there are as many as --max-connections, or as files may be open, allows"
TOO_MANY_OF_ONE = "a connection was refused: its address has as many as --max-per-address allows"
NO_DESCRIPTOR = "connections wait: this system lets nobody open more files"
TLS_HELLO = b"\x16\x03"
"""How who speaks TLS begins."""


class Host(Protocol):
    """Whose port it is. All is asked and told in the event loop's thread."""

    def connect(self, peer: Peer, request: Request, /) -> Receiver:
        """Somebody was let in, for that request; who takes what they say."""

    def ready(self) -> bool:
        """Whether anybody is to be read."""

    def calm(self) -> bool:
        """Whether what did not fit into one read is to be read at once, and not after a tick."""

    def refuse(self, what: str) -> None:
        """A connection was refused, or ended for what it did; one of a few sentences says so."""


class Receiver(Protocol):
    """Who takes what a peer says."""

    def take(self, wires: Sequence[str | bytes]) -> None:
        """What was read at once, in order."""

    def leave(self, *, lost: bool) -> None:
        """The connection is over; `lost` is whether without a goodbye."""


class Carried(msgspec.Struct, frozen=True):
    """What a connection takes along to another process besides its socket.

    `frames` are what its peer said and nobody took, as they would come over the socket; `unsent` is for the peer.
    """

    frames: bytes
    unsent: bytes


class Peer:
    """One connection, from its request, or from where another process let go of it, to its end."""

    def __init__(self, sock: socket.socket, port: Port, address: str, state: State) -> None:
        self.heard = self.spoke = True
        self.pinged = False
        self.spoke_at = 0.0
        self.address = address
        self.asked = UNASKED
        self._sock = sock
        self._spare = RECORD if isinstance(sock, TlsSocket) else 1
        self._port = port
        self._protocol = ServerProtocol(max_size=port.limits.message, state=state)
        self._longest = port.limits.message
        self._receiver: Receiver | None = None
        self._pending = bytearray()
        self._needed = 0
        self._part: Opcode | None = None
        self._parts = bytearray()
        self._weight = self._small = 0
        self._small_since = -math.inf
        self._said: list[str | bytes] = []
        self._unsent = bytearray()
        self._ends = False
        self._over = False
        self._plain = False
        self._room = asyncio.Event()

    @property
    def open(self) -> bool:
        return self._protocol.state is State.OPEN and not self._over

    @property
    def asking(self) -> bool:
        """Whether it is no websocket yet."""
        return self._protocol.state is State.CONNECTING and not self._over

    @property
    def weight(self) -> int:
        """Bytes that are kept of a message that has not ended."""
        return self._weight

    async def send(self, wire: str | bytes) -> bool:
        """Say a message; waits while the peer takes nothing. False when the connection is over."""
        if not self.open:
            return False
        self._put(_frame(wire).serialize(mask=False))
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
        match self._protocol.parser_exc:
            case PayloadTooBig():
                self._port.host.refuse(TOO_LONG)
            case ProtocolError():
                self._port.host.refuse(BROKE_RULES)
        self._protocol.receive_eof()
        self._hand_on()
        self._port.forget(self._sock)
        self._pending, self._parts = bytearray(), bytearray()
        self._sock.close()
        if self._receiver is not None:
            self._receiver.leave(lost=self._protocol.close_code != CloseCode.NORMAL_CLOSURE)

    def let_go(self, untaken: Sequence[str | bytes]) -> tuple[socket.socket, Carried]:
        """Leave the connection to another process, with messages that nobody took; nothing here happens to it then."""
        self._over = True
        self._receiver = None
        self._room.set()
        self._port.forget(self._sock)
        frames = [_frame(wire) for wire in untaken]
        if self._part is not None:
            frames.append(Frame(self._part, bytes(self._parts), fin=False))
        if self._protocol.close_rcvd is not None:
            frames.append(Frame(Opcode.CLOSE, self._protocol.close_rcvd.serialize()))
        said = b"".join(frame.serialize(mask=True) for frame in frames)
        return socket.socket(fileno=self._sock.detach()), Carried(said + self._pending, bytes(self._unsent))

    def go_on(self, receiver: Receiver, carried: Carried) -> None:
        """Go on where another process let go."""
        self._receiver = receiver
        self._unsent += carried.unsent
        self._cut(memoryview(carried.frames))
        if not self._over:
            self._pass_on()
            self.write()

    def read(self, buffer: memoryview) -> bool:
        """Take what the socket holds, up to a buffer full; whether there may be more."""
        kept = len(self._pending)
        short = kept < len(buffer) // 2
        room = buffer[kept:] if short else buffer
        try:
            size = self._sock.recv_into(room)
        except (BlockingIOError, InterruptedError):
            return False
        except RefusedError as error:
            self._port.door.refused(error.refusal)
            size = 0
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
            else:
                self._weigh()
        return size > len(room) - self._spare

    def _cut(self, data: memoryview) -> None:
        """Take whole frames out of bytes, keep the rest for the next ones, and hand on what they said."""
        taken = self._take(data)
        if taken < len(data) and not self._over:
            self._pending = bytearray(data[taken:])
        elif self._pending:
            self._pending = bytearray()
        if self._weight or self._parts:
            self._weigh()
        self._hand_on()

    def _hand_on(self) -> None:
        """Give the receiver what was said."""
        if self._said and self._receiver is not None:
            said, self._said = self._said, []
            self.spoke = True
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

    def _weigh(self) -> None:
        """Have the port know how much is kept here of a message that has not ended."""
        if self._over:
            return
        before, self._weight = self._weight, len(self._pending) + len(self._parts)
        self._port.weigh(self._weight - before)

    def write(self) -> None:
        """Send what waits, as far as the socket takes it."""
        if self._over:
            return
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
        at, size = 0, len(data)
        if self._protocol.state is State.CONNECTING:
            at = self._take_request(data)
        while at < size and not self._over and self._protocol.state is not State.CONNECTING:
            if self._plain:
                at = self._take_texts(data, at)
            if at < size:
                end = frame_end(data, at, self._longest)
                if end > size:
                    self._needed = end - at
                    break
                if end < 0 or self._protocol.state is not State.OPEN:
                    end = size
                elif end - at < SMALL and self._is_too_small(1):
                    continue
                self._take_odd(data[at:end])
                at = end
        return at

    def _take_texts(self, data: memoryview, at: int) -> int:
        """Take the texts that come first, by the law of `frames`."""
        texts: list[bytes] = []
        begin, at = at, take_texts(data, at, self._longest, texts)
        small = len(texts) - (at - begin) // SMALL
        if small > 0:
            if self._is_too_small(small):
                return at
        elif self._small:
            self._small = max(0, self._small + small)
        try:
            self._said.extend(map(bytes.decode, texts))
        except UnicodeDecodeError as error:
            self._fail_text(error)
        return at

    def _is_too_small(self, more: int) -> bool:
        """Count small frames, for which large ones make up; who sends too many within a second has to go."""
        now = monotonic()
        if now - self._small_since >= 1.0:
            self._small, self._small_since = 0, now
        self._small += more
        if self._small <= self._port.limits.small:
            return False
        self._fail(TOO_MANY_SMALL, CloseCode.POLICY_VIOLATION, "too many frames that say nothing")
        return True

    def _fail_text(self, error: UnicodeDecodeError) -> None:
        """End the connection of who sends text that is none."""
        self._fail(NO_TEXT, CloseCode.INVALID_DATA, f"{error.reason} at position {error.start}")

    def _fail(self, what: str, code: CloseCode, reason: str) -> None:
        self._port.host.refuse(what)
        self._protocol.fail(code, reason)
        self._pass_on()

    def _take_request(self, data: memoryview) -> int:
        """Answer a request when all of it is there; what follows one that was refused is nobody's."""
        if self._protocol.eof_sent:
            return len(data)
        request = bytes(data)
        if request.startswith(TLS_HELLO):
            self._port.door.refused(Refusal.TLS)
            self.abort()
            return 0
        end = request.find(b"\r\n\r\n") + 4
        if end < 4:
            self._needed = len(data) + 1
            if len(data) > MAX_REQUEST:
                self._port.door.refused(Refusal.REQUEST)
                self.abort()
            return 0
        self._take_odd(data[:end])
        if (wrong := self._protocol.handshake_exc) is not None:
            self._port.door.refused(Refusal.UPGRADE if isinstance(wrong, InvalidUpgrade) else Refusal.REQUEST)
        return end

    def _take_odd(self, data: memoryview) -> None:
        """Leave something to the library: a request, a control frame, a fragment, or what breaks the rules."""
        self._protocol.receive_data(bytes(data))
        for event in self._protocol.events_received():
            if isinstance(event, Request):
                self._protocol.send_response(self._answer(event))
                if self.open:
                    self._receiver = self._port.host.connect(self, event)
            elif isinstance(event, Frame) and event.opcode in {Opcode.TEXT, Opcode.BINARY, Opcode.CONT}:
                self._gather(event)
        self._pass_on()

    def _answer(self, request: Request) -> Response:
        refusal = self._port.door.refuses(request)
        if refusal is None:
            self.asked = self._port.door.asked(request)
            return self._port.door.answer(request, self._protocol.accept(request))
        return self._protocol.reject(refusal.status, f"{refusal.answer}\n")

    def _gather(self, frame: Frame) -> None:
        """Join the frames of a message; only their bytes are kept, since there may be millions of them."""
        kind = frame.opcode if self._part is None else self._part
        self._parts += frame.data
        if not frame.fin:
            self._part = kind
            return
        data, self._parts, self._part = bytes(self._parts), bytearray(), None
        if kind is Opcode.BINARY:
            self._said.append(data)
        else:
            try:
                self._said.append(data.decode())
            except UnicodeDecodeError as error:
                self._fail_text(error)

    def _pass_on(self) -> None:
        """Send what the library wants to be sent, and see whether it wants the end."""
        if self._over:
            return
        for data in self._protocol.data_to_send():
            if data == SEND_EOF:
                self._ends = True
            else:
                self._put(data)
        self._plain = self.open and self._part is None
        if self._ends:
            self.write()
        if len(self._unsent) > 2 * MAX_UNSENT:
            self._port.host.refuse(NEVER_READS)
            self.abort()
        if not self.open and not self._over and self._protocol.close_expected():
            self._port.expect_end(self)


def _frame(wire: str | bytes) -> Frame:
    return Frame(Opcode.TEXT, wire.encode()) if isinstance(wire, str) else Frame(Opcode.BINARY, wire)


class Port:
    """The port of a host, and the peers that its door let in. All methods belong to the event loop's thread."""

    def __init__(
        self,
        sockets: list[socket.socket],
        host: Host,
        limits: Limits,
        door: Door | None = None,
        tick: float = TICK,
    ) -> None:
        self._tick_seconds = tick
        self.sockets = sockets
        self.limits = limits
        self.host = host
        self.door = door or Door()
        self._loop = asyncio.get_running_loop()
        self._selector = selectors.DefaultSelector()
        self._peers: dict[int, Peer] = {}
        self._addresses: Counter[str] = Counter()
        self._pending = 0
        self._buffer = memoryview(bytearray(AT_ONCE))
        self._ticking: asyncio.Handle | None = None
        self._rounds: asyncio.Handle | None = None
        self._held = self._closed = self._busy = False
        self._looking: Iterator[tuple[selectors.SelectorKey, int]] | None = None
        self._empty = asyncio.Event()
        self._empty.set()

    def start(self) -> None:
        """Take connections from now on."""
        for sock in self.sockets:
            sock.listen(BACKLOG)
            self._loop.add_reader(sock, self._accept, sock)
        self._rounds = self._loop.call_later(self.limits.ping, self._round)

    def settle(self) -> None:
        """Take nobody new, and what was sent so far."""
        for sock in self.sockets:
            self._loop.remove_reader(sock)
            sock.close()
        self.sockets = []
        self._looking = None
        self._look(math.inf)

    @property
    def connections(self) -> int:
        """Connections that are open, or being opened."""
        return len(self._peers)

    async def close(self, code: CloseCode = CloseCode.GOING_AWAY) -> None:
        """Take what was sent so far, say goodbye to every peer, and wait a little for theirs."""
        if self._closed:
            return
        self._closed = True
        self.settle()
        if self._rounds is not None:
            self._rounds.cancel()
        for peer in list(self._peers.values()):
            peer.close(code)
        try:
            async with asyncio.timeout(CLOSING):
                await self._empty.wait()
        except TimeoutError:
            for peer in list(self._peers.values()):
                peer.abort()
        if self._ticking is not None:
            self._ticking.cancel()
        self._selector.close()

    def adopt(self, sock: socket.socket, carried: Carried, connect: Callable[[Peer], Receiver]) -> None:
        """Go on with a connection that another process let go of; `connect` is asked for its receiver."""
        peer = self._add(sock, _network(sock), State.OPEN)
        peer.go_on(connect(peer), carried)
        self._go()

    # For peers

    def watch(self, sock: socket.socket, peer: Peer, *, writing: bool) -> None:
        """Have a socket read, and written if something waits."""
        events = selectors.EVENT_READ | (selectors.EVENT_WRITE if writing else 0)
        if self._selector.get_key(sock).events != events:
            self._selector.modify(sock, events, peer)

    def forget(self, sock: socket.socket) -> None:
        peer = self._peers.pop(sock.fileno(), None)
        if peer is None:
            return
        self._pending -= peer.weight
        self._addresses[peer.address] -= 1
        if not self._addresses[peer.address]:
            del self._addresses[peer.address]
        self._selector.unregister(sock)
        if not self._peers:
            self._empty.set()

    def expect_end(self, peer: Peer) -> None:
        self._loop.call_later(CLOSING, peer.abort)

    def weigh(self, more: int) -> None:
        """So many bytes more are kept of messages that have not ended; who has the most of too many has to go."""
        self._pending += more
        if self._pending > self.limits.pending:
            self.host.refuse(TOO_MUCH_PENDING)
            max(self._peers.values(), key=lambda peer: peer.weight).abort()

    # The tick

    def _accept(self, listening: socket.socket) -> None:
        for _ in range(BACKLOG):
            try:
                sock, _ = listening.accept()
            except (BlockingIOError, InterruptedError, ConnectionAbortedError):
                break
            except OSError:
                self.host.refuse(NO_DESCRIPTOR)
                self._loop.remove_reader(listening)
                self._loop.call_later(CLOSING, self._accept_again, listening)
                break
            network = _network(sock)
            if not self._has_room(network):
                sock.close()
                continue
            try:
                peer = self._add(self.door.take(sock), network, State.CONNECTING)
                self._loop.call_later(self.limits.handshake, self._hurry, peer)
            except OSError:
                sock.close()
        self._go()

    def _accept_again(self, listening: socket.socket) -> None:
        if listening in self.sockets:
            self._loop.add_reader(listening, self._accept, listening)

    def _has_room(self, network: str) -> bool:
        """Whether one more connection may come from there."""
        if len(self._peers) >= self.limits.connections:
            self.host.refuse(TOO_MANY)
            return False
        if self._addresses[network] >= self.limits.per_address:
            self.host.refuse(TOO_MANY_OF_ONE)
            return False
        return True

    def _hurry(self, peer: Peer) -> None:
        """End a connection that is no websocket by now; who is held back cannot be heard."""
        if not peer.asking:
            return
        if self._held:
            self._loop.call_later(self.limits.handshake, self._hurry, peer)
        else:
            self.host.refuse(TOO_SLOW)
            peer.abort()

    def _add(self, sock: socket.socket, network: str, state: State) -> Peer:
        sock.setblocking(False)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        peer = self._peers[sock.fileno()] = Peer(sock, self, network, state)
        self._addresses[network] += 1
        self._selector.register(sock, selectors.EVENT_READ, peer)
        self._empty.clear()
        return peer

    def _go(self) -> None:
        if self._ticking is None and self._peers:
            self._tick()

    def _tick(self) -> None:
        whole = self._look(TURN)
        if not self._peers:
            self._ticking = None
        elif not whole or (self._busy and self.host.calm()):
            self._ticking = self._loop.call_soon(self._tick)
        else:
            self._ticking = self._loop.call_later(self._tick_seconds, self._tick)

    def _look(self, seconds: float) -> bool:
        """Read and write sockets for so long, from where the last look ended; whether all had their turn by now."""
        until = monotonic() + seconds
        if self._looking is None:
            self._looking = iter(self._selector.select(0))
            self._busy = False
        for key, events in self._looking:
            peer: Peer = key.data
            try:
                if events & selectors.EVENT_WRITE:
                    peer.write()
                if events & selectors.EVENT_READ:
                    if self.host.ready():
                        self._busy |= peer.read(self._buffer)
                    else:
                        self._held = True
            except Exception as error:  # noqa: BLE001 - one peer's failure must not end the others
                self._loop.call_exception_handler({"message": "a connection failed", "exception": error})
                peer.abort()
            if monotonic() >= until:
                return False
        self._looking = None
        return True

    def _round(self) -> None:
        """Ping who said nothing, and drop who did not even answer; who is held back cannot be heard."""
        now = self._loop.time()
        for peer in list(self._peers.values()):
            if self._held or peer.spoke:
                peer.spoke, peer.spoke_at = False, now
            if self._held or peer.heard:
                peer.heard = False
            elif peer.pinged or not peer.open:
                peer.abort()
            else:
                peer.ping()
            if self.limits.idle and peer.open and now - peer.spoke_at >= self.limits.idle:
                self.host.refuse(IDLE)
                peer.close(CloseCode.GOING_AWAY)
        self._held = False
        self._rounds = self._loop.call_later(self.limits.ping, self._round)


def _network(sock: socket.socket) -> str:
    """Whose connection it is; nobody's if it is over already."""
    try:
        return customer_of(sock.getpeername()[0])
    except OSError:
        return ""


def customer_of(text: str) -> str:
    """An address, or the 64 bits of an IPv6 address that one customer has."""
    address = ip_address(text.partition("%")[0])
    return str(ip_network((address, 64), strict=False) if address.version == 6 else address)
