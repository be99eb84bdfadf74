"""The socket devices: stations which answer each query after its service time.

    query 1   ####........####___ answer       at most `concurrency` at once in service,
    query 2        ___####........#### ...     the others wait in the order they came

All devices have one port, as a query names its device. Mirrors iosim/devices/remote.py: a
failing query that takes no time is an error `at once`, and takes no place either.

Not done: stalls.
Validated by: tests/real/test_load.py
"""

import socket as sockets
from collections import deque
from collections.abc import Sequence
from contextlib import suppress
from time import monotonic_ns

from iosim.real.loop import Loop
from iosim.real.plan import QUERY, QUERY_BYTES, DevicePlan
from iosim.real.process import give_up

READ_BYTES = 64 * QUERY_BYTES


class Devices:
    """All devices of a plan."""

    def __init__(self, loop: Loop, plans: Sequence[DevicePlan]) -> None:
        self.loop = loop
        self._stations = [Station(loop, plan.concurrency) for plan in plans]
        self._listener = sockets.create_server(("127.0.0.1", 0), backlog=4096)
        self._listener.setblocking(False)
        self.port: int = self._listener.getsockname()[1]
        loop.watch(self._listener.fileno(), self._on_connection)

    def _on_connection(self, _: int) -> None:
        with suppress(BlockingIOError, ConnectionAbortedError):
            while True:
                Link(self, self._listener.accept()[0])

    def enter(self, link: "Link", query: bytes) -> None:
        """A query has come."""
        _, device, failed, service_ns = QUERY.unpack_from(query)
        if device >= len(self._stations) or service_ns < 0:
            give_up(f"a query to device {device}, of {service_ns} ns")
        if failed and not service_ns:
            link.answer(query)
        else:
            self._stations[device].enter(link, query, service_ns)


class Link:
    """A connection of the server's."""

    def __init__(self, devices: Devices, socket: sockets.socket) -> None:
        self._devices = devices
        self._socket: sockets.socket | None = socket
        self._received = b""
        socket.setblocking(False)
        socket.setsockopt(sockets.IPPROTO_TCP, sockets.TCP_NODELAY, 1)
        devices.loop.watch(socket.fileno(), self._on_query)

    def _on_query(self, _: int) -> None:
        assert self._socket is not None
        try:
            data = self._socket.recv(READ_BYTES)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:
            self._hang_up()
            return
        data = self._received + data
        whole = len(data) // QUERY_BYTES * QUERY_BYTES
        for first in range(0, whole, QUERY_BYTES):
            self._devices.enter(self, data[first : first + QUERY_BYTES])
        self._received = data[whole:]

    def answer(self, query: bytes) -> None:
        """Answer, if the caller is still there."""
        if self._socket is None:
            return
        try:
            sent = self._socket.send(query)
        except OSError:
            sent = 0
        if sent != QUERY_BYTES:  # who does not read its answers is not worth a queue
            self._hang_up()

    def _hang_up(self) -> None:
        if self._socket is not None:
            self._devices.loop.forget(self._socket.fileno())
            self._socket.close()
            self._socket = None


class Station:
    """One device: places, and a queue before them."""

    def __init__(self, loop: Loop, concurrency: int) -> None:
        self._loop = loop
        self._concurrency = concurrency
        self._busy = 0
        self._queue: deque[tuple[Link, bytes, int]] = deque()

    def enter(self, link: Link, query: bytes, service_ns: int) -> None:
        """Serve the query now, or when its turn has come."""
        if not self._concurrency or self._busy < self._concurrency:
            self._busy += 1
            self._loop.at(monotonic_ns() + service_ns, self._end_service, link, query)
        else:
            self._queue.append((link, query, service_ns))

    def _end_service(self, link: Link, query: bytes, due_ns: int) -> None:
        link.answer(query)
        if self._queue:
            link, query, service_ns = self._queue.popleft()
            self._loop.at(due_ns + service_ns, self._end_service, link, query)
        else:
            self._busy -= 1
