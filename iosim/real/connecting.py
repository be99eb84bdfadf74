"""How the clients' connections are opened, and what they share.

Validated by: tests/real/test_load.py
"""

import os
import socket as sockets
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from time import monotonic_ns
from typing import TYPE_CHECKING

from iosim.real import plan as plans
from iosim.real.loop import Loop
from iosim.real.process import give_up

if TYPE_CHECKING:
    from iosim.real.connections import Connection

CONNECTING = 64
"""Connections that are being opened at once before the load starts."""
CONNECT_AGAIN_NS = 100_000_000
"""When a connection is refused, another is tried after so long."""
ADDRESSES = 64
"""Clients have so many addresses of 127.0.0.0/8: one has 28,000 ports, and a port is not used
again for a while."""
IP_BIND_ADDRESS_NO_PORT = 24
LEAST_BUFFER = 8_192
"""A slow reader's receive buffer holds what it reads in 10 ms, but no less than this: what it has
not read is to wait at the server."""
SLOW_READER_MSS = 1_448
"""The loopback's own segments, of 64 KiB, do not fit into that buffer."""


@dataclass
class Counts:
    """What `done` says of the clients."""

    wrong: int = 0
    retries: int = 0
    connections_opened: int = 0
    connect_failures: int = 0
    connections_lost: int = 0


class Connections:
    """All connections of the load, and what they share."""

    def __init__(self, loop: Loop, plan: plans.Plan, table: "memoryview[int]") -> None:
        self.loop = loop
        self.plan = plan
        self.table = table
        self.counts = Counts()
        self.address = ("127.0.0.1", 0)
        self._calls: list[range] = []
        column = plans.FIXED_COLUMNS
        for step in plan.steps:
            if step.device >= 0:
                self._calls.append(range(column, column + step.attempts))
            column += step.columns
        # Not after the start: then a connection that cannot be opened is tried again.
        self._on_all_open: Callable[[], None] | None = None
        self._left: deque[Connection] = deque()
        self._n_open = 0
        self._wanting: list[Connection] = []

    def open_all(self, all_: "list[Connection]", on_all_open: Callable[[], None]) -> None:
        """Open them, not all at once; any failure is the end."""
        self._on_all_open = on_all_open
        self._left.extend(all_)
        self._n_open = -len(all_)
        for _ in range(min(CONNECTING, len(all_))):
            self._left.popleft().connect()

    def opened(self) -> bool:
        """One has been opened; whether that was before the start."""
        if self._n_open == 0:
            self.counts.connections_opened += 1
            return False
        self._n_open += 1
        if self._left:
            self._left.popleft().connect()
        if self._n_open == 0:
            assert self._on_all_open is not None
            self._on_all_open()
        return True

    def failed(self, connection: "Connection", error: int) -> None:
        """One could not be opened: it is tried again, after the start."""
        self.counts.connect_failures += 1
        if self._n_open:
            give_up(f"connection {connection.number}: {os.strerror(error)}")
        again_ns = monotonic_ns() + CONNECT_AGAIN_NS
        self.loop.at(again_ns, lambda _: self.want(connection))

    def want(self, connection: "Connection") -> None:
        """Open it, but not at once: what is left of a batch of events may be the closed one's."""
        self._wanting.append(connection)

    def open_wanted(self) -> int:
        """Open those that are wanted; how many there were."""
        if not self._wanting:
            return 0
        wanting, self._wanting = self._wanting, []
        for connection in wanting:
            connection.connect()
        return len(wanting)

    def new_socket(self, number: int) -> sockets.socket:
        """The socket of a connection that is being opened. Raises OSError."""
        socket = sockets.socket(type=sockets.SOCK_STREAM | sockets.SOCK_NONBLOCK)
        try:
            socket.setsockopt(sockets.IPPROTO_TCP, sockets.TCP_NODELAY, 1)
            # The port is chosen by connect(2), which may share it between destinations.
            socket.setsockopt(sockets.IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, 1)
            if rate := self.plan.receive_bytes_per_s:
                buffer = min(max(rate // 100, LEAST_BUFFER), (1 << 31) - 1)
                socket.setsockopt(sockets.IPPROTO_TCP, sockets.TCP_MAXSEG, SLOW_READER_MSS)
                socket.setsockopt(sockets.SOL_SOCKET, sockets.SO_RCVBUF, buffer)
            socket.bind((f"127.0.0.{1 + number % ADDRESSES}", 0))
            with suppress(BlockingIOError):
                socket.connect(self.address)
        except OSError:
            socket.close()
            raise
        return socket

    def must_fail(self, row: int) -> bool:
        """Whether a call of the request's must have failed for good, so that its answer is an
        error."""
        first = row * self.plan.columns
        return any(all(self.table[first + column] & 1 for column in call) for call in self._calls)
