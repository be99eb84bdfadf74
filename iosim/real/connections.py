"""One client's connection: it is opened and closed, requests are sent and answers are read, each
of which is compared with what was to come.

    CLOSED -> OPENING -> OPEN -> CLOSED -> ...

A slow sender's pieces and a slow reader's bites have timers; whether one is still meant is known
by the socket that it was for.

Validated by: tests/real/test_load.py
"""

import select
import socket as sockets
from abc import ABC, abstractmethod
from collections import deque
from time import monotonic_ns

from iosim.real.connecting import Connections
from iosim.real.plan import FAILED, HEADER, REPLY_FILL, REQUEST_FILL
from iosim.real.request import Request

READ_BYTES = 65_536
LEAST_PIECE, MOST_PIECE = 512, 16_384
"""A slow reader takes what comes in a ms, but no less and no more than this, at once."""
MOST_BYTES = 1 << 30
SENDS_ALL = 1 << 62

REPLY = REPLY_FILL * READ_BYTES

CLOSED, OPENING, OPEN = range(3)


class Connection(ABC):
    """One client's connection, which is opened again and again."""

    __slots__ = (
        "_answered",
        "_bad",
        "_blocked",
        "_connections",
        "_dripping",
        "_header",
        "_hungry",
        "_left_bytes",
        "_loop",
        "_plan",
        "_rest",
        "_socket",
        "_swallowed_ns",
        "_unsent",
        "number",
        "sent",
        "state",
        "under_way",
    )

    def __init__(self, number: int, connections: Connections) -> None:
        self.number = number
        self._connections = connections
        self._loop = connections.loop
        self._plan = connections.plan
        self._socket: sockets.socket | None = None
        self.state = CLOSED
        self.under_way: list[Request] = []
        self._swallowed_ns = 0
        self._clear()

    def _clear(self) -> None:
        # Requests sent, or being sent.
        self.sent = 0
        # Those under way that are not sent as a whole, and the rest of the first of them.
        self._unsent: deque[Request] = deque()
        self._rest: memoryview | None = None
        # There was no room to send.
        self._blocked = False
        # A slow sender: its next piece has its time.
        self._dripping = False
        # A slow reader: there was nothing to read.
        self._hungry = True
        # The answer that is coming.
        self._header = b""
        self._left_bytes = 0
        self._answered: Request | None = None
        self._bad = False

    @abstractmethod
    def on_open(self) -> None:
        """It is open, after the start."""

    @abstractmethod
    def on_lost(self, now_ns: int) -> None:
        """The server has closed it, or what it sends makes no sense."""

    @abstractmethod
    def on_answer(self, request: Request, failed: bool, now_ns: int) -> None:
        """The answer to `request` has been read."""

    # ---------------------------------------------------------------------------- opening

    def want(self) -> None:
        """Open it soon."""
        self.state = OPENING
        self._connections.want(self)

    def connect(self) -> None:
        """Begin to open it."""
        self.state = OPENING
        try:
            self._socket = self._connections.new_socket(self.number)
        except OSError as error:
            self._connections.failed(self, error.errno or 0)
            return
        self._loop.watch(self._socket.fileno(), self._on_ready, select.EPOLLOUT)

    def _on_connected(self) -> None:
        assert self._socket is not None
        error = self._socket.getsockopt(sockets.SOL_SOCKET, sockets.SO_ERROR)
        if error:
            self._close()
            self._connections.failed(self, error)
            return
        self.state = OPEN
        self._watch()
        if not self._connections.opened():
            self.on_open()

    def _watch(self) -> None:
        assert self._socket is not None
        slow_reader = self._plan.receive_bytes_per_s > 0
        events = select.EPOLLIN | (select.EPOLLET if slow_reader else 0)
        self._loop.watch_for(
            self._socket.fileno(), events | (select.EPOLLOUT if self._blocked else 0)
        )

    def _on_ready(self, events: int) -> None:
        if self.state == OPENING:
            self._on_connected()
            return
        socket = self._socket
        if events & ~select.EPOLLOUT:
            if not self._plan.receive_bytes_per_s:
                self._receive(READ_BYTES)
            elif self._hungry:
                self._take_up(monotonic_ns())
        if events & select.EPOLLOUT and self._socket is socket and self._blocked:
            self._flush(monotonic_ns())

    # ---------------------------------------------------------------------------- closing

    def _close(self) -> None:
        assert self._socket is not None
        self._loop.forget(self._socket.fileno())
        self._socket.close()
        self._socket = None

    def hang_up(self) -> int:
        """Close it; how many requests were under way, whose answers are lost."""
        self._close()
        self.state = CLOSED
        self._clear()
        for request in self.under_way:
            request.under_way = False
        lost = len(self.under_way)
        self.under_way.clear()
        return lost

    def _lose(self, now_ns: int) -> None:
        self._connections.counts.connections_lost += 1
        self.on_lost(now_ns)

    # ---------------------------------------------------------------------------- sending

    @property
    def may_send(self) -> bool:
        """Whether a request may be sent on the connection that is there."""
        return self.state == OPEN and not 0 < self._plan.lifetime <= self.sent

    def send(self, request: Request, could_ns: int) -> None:
        """Send `request`, which could be sent from `could_ns` on; what cannot go yet follows."""
        self.sent += 1
        request.under_way = True
        self.under_way.append(request)
        self._unsent.append(request)
        if self.number >= self._plan.slow:
            self._flush(could_ns)
        elif not self._dripping:
            self._drip(self._socket, could_ns)

    def _send_some(self, most: int, could_ns: int) -> bool:
        # Not more than `most` bytes of the first unsent request; False: there is no room.
        assert self._socket is not None
        rest = self._rest
        if rest is None:
            request = self._unsent[0]
            size = self._connections.table[request.row * self._plan.columns + 2]
            rest = memoryview(HEADER.pack(request.row, size).ljust(size, REQUEST_FILL))
            request.sent_ns = monotonic_ns()
            request.late_ns = max(0, request.sent_ns - could_ns)
        piece = rest[:most]
        try:
            sent = self._socket.send(piece)
        except BlockingIOError:
            self._rest = rest
            return False
        except OSError:
            self._lose(monotonic_ns())
            return False
        if sent == len(rest):
            self._unsent.popleft()
            self._rest = None
        else:
            self._rest = rest[sent:]
        return sent == len(piece)

    def _flush(self, could_ns: int) -> None:
        # Send all there is to send, or wait for room.
        socket = self._socket
        while self._unsent and self._send_some(SENDS_ALL, could_ns):
            pass
        if self._socket is socket and self._blocked != bool(self._unsent):
            self._blocked = not self._blocked
            self._watch()

    def _drip(self, socket: sockets.socket | None, due_ns: int) -> None:
        # A slow sender's next piece; the one after it follows `gap_ns` later, also if that is of
        # another request.
        if self._socket is not socket:
            return
        self._dripping = bool(self._unsent)
        if not self._unsent:
            return
        self._send_some(self._plan.piece_bytes, due_ns)
        if self._socket is socket:
            self._loop.at(due_ns + self._plan.gap_ns, self._drip, socket)

    # -------------------------------------------------------------------------- receiving

    def _receive(self, most: int) -> bool:
        # Read once; whether there was something.
        assert self._socket is not None
        try:
            data = self._socket.recv(most)
        except BlockingIOError:
            return False
        except OSError:
            data = b""
        now_ns = monotonic_ns()
        if data:
            self._take_in(data, now_ns)
        else:
            self._lose(now_ns)
        return bool(data)

    def _take_in(self, data: bytes, now_ns: int) -> None:
        socket, at = self._socket, 0
        while at < len(data) and self._socket is socket:
            if len(self._header) < HEADER.size:
                part = data[at : at + HEADER.size - len(self._header)]
                self._header += part
                at += len(part)
                if len(self._header) < HEADER.size:
                    return
                if not self._begin_answer():
                    self._connections.counts.wrong += 1
                    self._lose(now_ns)
                    return
            else:
                length = min(self._left_bytes, len(data) - at)
                self._bad |= not data.startswith(REPLY[:length], at)
                self._left_bytes -= length
                at += length
            if not self._left_bytes:
                self._end_answer(now_ns)

    def _begin_answer(self) -> bool:
        # Its header has come: whose is it? False: what follows cannot be understood.
        row, word = HEADER.unpack(self._header)
        size = word & ~FAILED
        self._answered = self._sent_request(row)
        self._bad = (
            self._answered is None
            or size != self._connections.table[row * self._plan.columns + 3]
            or bool(word & FAILED) != self._connections.must_fail(row)
        )
        self._left_bytes = size - HEADER.size
        return bool(HEADER.size <= size <= MOST_BYTES)

    def _sent_request(self, row: int) -> Request | None:
        unsent = self._unsent[0] if self._unsent else None
        for request in self.under_way:
            if request is unsent:
                return None
            if request.row == row:
                return request
        return None

    def _end_answer(self, now_ns: int) -> None:
        _, word = HEADER.unpack(self._header)
        self._header = b""
        self._connections.counts.wrong += self._bad
        if self._answered is not None:
            self.on_answer(self._answered, bool(word & FAILED), now_ns)

    # ----------------------------------------------------------------------- slow readers

    def _bite(self) -> int:
        # How much is read next: not more than of this answer is to come, so that its end is read
        # when its time has come.
        if len(self._header) < HEADER.size:
            return HEADER.size - len(self._header)
        piece = min(max(self._plan.receive_bytes_per_s // 1_000, LEAST_PIECE), MOST_PIECE)
        return min(self._left_bytes, piece)

    def _bite_ns(self) -> int:
        return self._bite() * 1_000_000_000 // self._plan.receive_bytes_per_s

    def _take_up(self, now_ns: int) -> None:
        # There is something to read again. Within an answer the time since the last bite counts,
        # up to one bite's: it was this client's small buffer that kept the rest away.
        at_ns = max(now_ns - self._bite_ns(), self._swallowed_ns) if self._header else now_ns
        self._hungry = False
        self._loop.at(at_ns + self._bite_ns(), self._swallow, self._socket)

    def _swallow(self, socket: sockets.socket, due_ns: int) -> None:
        if self._socket is not socket:
            return
        self._swallowed_ns = due_ns
        self._hungry = not self._receive(self._bite())
        if self._socket is socket and not self._hungry:
            self._loop.at(due_ns + self._bite_ns(), self._swallow, socket)
