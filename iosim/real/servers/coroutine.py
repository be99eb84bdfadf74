"""Coroutines: one thread, many flows of control, each written as if it could block.

What is left of `yield from` stands where a coroutine lets others run. A greenlet does so by
switching to its scheduler inside that call, which then yields nothing.

Twin of: iosim/io_models/coroutine.py
Validated by: tests/real/test_servers.py, tests/real/test_twins.py
"""

from collections import deque
from collections.abc import Callable, Generator
from dataclasses import dataclass
from functools import partial
from heapq import heappop, heappush
from select import EPOLLET, EPOLLIN, EPOLLOUT
from typing import Any, Final

from iosim.real.handler import Server, call
from iosim.real.kernel import EAGAIN, EOF, PARTIAL, Kernel, Query, Refused, Request, Socket
from iosim.real.plan import CPU, QUERY_BYTES

NOTHING: Final = EPOLLET
"""To wait for when that is nothing; a peer that is gone is then reported but once."""

Coroutine = Generator[None, None, None]


@dataclass(frozen=True)
class Options:
    """Coroutines: synchronous style on one thread over epoll."""

    flavour: str = "generator"
    stack: int = 0
    """What a simulated one keeps in memory; here it is what it is."""
    max_events: int = 512


def main(kernel: Kernel, server: Server, options: Options) -> None:
    """Start the accepting coroutine and run the scheduler."""
    kinds = {"generator": Scheduler, "greenlet": GreenletScheduler}
    if options.flavour not in kinds:
        raise Refused(f"flavour {options.flavour} is a native program's: runtime: native")
    scheduler = kinds[options.flavour](kernel, server, options)
    scheduler.start(accept(scheduler))
    scheduler.run()


# ------------------------------------------------------- what the programmer writes


def accept(scheduler: "Scheduler") -> Coroutine:
    """Accept each connection and give it a coroutine."""
    kernel, listener = scheduler.kernel, scheduler.server.listener
    listener.nonblocking = True
    scheduler.watch(listener)
    while True:
        yield from scheduler.readable(listener)
        while (connection := kernel.accept4(listener)) is not EAGAIN:
            scheduler.start(converse(scheduler, connection))


def converse(scheduler: "Scheduler", connection: Socket) -> Coroutine:
    """Serve one connection to its end."""
    kernel = scheduler.kernel
    connection.nonblocking = True
    scheduler.watch(connection)
    while True:
        yield from scheduler.readable(connection)
        request = kernel.recvfrom(connection)
        if request is PARTIAL or request is EAGAIN:
            continue
        if request is EOF:
            break
        yield from handle(scheduler, request)
        yield from send(scheduler, request)
    scheduler.close(connection)


def send(scheduler: "Scheduler", request: Request) -> Coroutine:
    """Answer `request`; others run while there is no room for the rest of the answer."""
    kernel, connection = scheduler.kernel, request.connection
    left_bytes = request.reply_bytes
    left_bytes -= kernel.sendto(connection, request, left_bytes)
    while left_bytes:
        yield from scheduler.writable(connection)
        left_bytes -= kernel.sendto(connection, request, left_bytes)


def handle(scheduler: "Scheduler", request: Request) -> Coroutine:
    """Go through all steps of `request`; others run while one blocks."""
    kernel, server = scheduler.kernel, scheduler.server
    for kind, device, columns in server.steps:
        if server.cancel and server.gave_up(request):
            return
        if kind is CPU:
            kernel.compute(request.amounts[columns.start])
        elif device is None:
            yield from scheduler.sleep(request, request.amounts[columns.start])
        elif device.interface == "blocking":
            call(kernel, server, device, Query(request, device.number, request.amounts[columns]))
        else:
            socket, is_new = server.connection_to(kernel, device)
            if is_new:
                socket.nonblocking = True
                scheduler.watch(socket)
            query = Query(request, device.number, request.amounts[columns])
            while True:
                kernel.sendto(socket, query, QUERY_BYTES)
                yield from scheduler.readable(socket)
                while kernel.recvfrom(socket) is PARTIAL:
                    yield from scheduler.readable(socket)
                if not query.try_again():
                    break
            server.release(device, socket)
        if request.failed:
            break


# ------------------------------------------------------- what makes it work


class Scheduler:
    """Runs coroutines on one thread, each until it suspends itself."""

    def __init__(self, kernel: Kernel, server: Server, options: Options) -> None:
        self.kernel = kernel
        self.server = server
        self._max_events = options.max_events
        # What resumes a coroutine until it suspends itself or ends.
        self._runnable: deque[Callable[[], object]] = deque()
        self._timers: list[tuple[int, int, Callable[[], object]]] = []
        self._current: Any = None
        # What is waited for in a socket, where it is not or has not always been data.
        self._others: dict[Socket, int] = {}
        self._sockets: dict[int, Socket] = {}
        self._epoll = kernel.epoll_create1()

    def start(self, coroutine: Coroutine) -> None:
        """Let `coroutine` run when its turn comes."""
        self._runnable.append(partial(next, coroutine, None))

    def suspend(self) -> Coroutine:
        """Let others run until something resumes the running coroutine."""
        yield

    def watch(self, socket: Socket) -> None:
        """Let coroutines wait for `socket`."""
        self._sockets[socket.fd] = socket
        self._epoll.register(socket.fd, EPOLLIN)

    def readable(self, socket: Socket) -> Coroutine:
        """Let others run until `socket` is readable."""
        return self._suspend_for(socket, EPOLLIN)

    def _suspend_for(self, socket: Socket, events: int) -> Coroutine:
        if self._others.get(socket, EPOLLIN) != events:
            self._epoll.modify(socket.fd, events)
            self._others[socket] = events
        socket.user_data = self._current
        return self.suspend()

    def writable(self, socket: Socket) -> Coroutine:
        """Let others run until `socket` has room."""
        return self._suspend_for(socket, EPOLLOUT)

    def close(self, socket: Socket) -> None:
        """Close `socket`, for which no coroutine waits any more."""
        self._others.pop(socket, None)
        del self._sockets[socket.fd]
        self.kernel.close(socket)

    def sleep(self, request: Request, ns: int) -> Coroutine:
        """Let others run for `ns`."""
        heappush(self._timers, (self.kernel.now_ns + ns, request.number, self._current))
        return self.suspend()

    def run(self) -> None:
        """Resume whoever can go on; when nobody can, wait."""
        kernel, own_work = self.kernel, self.server.own_work
        while True:
            while self._runnable:
                self._resume(self._runnable.popleft())
            timeout_ns = 0 if own_work.wanted else self._timeout_ns()
            events = kernel.epoll_wait(self._epoll, self._sockets, self._max_events, timeout_ns)
            for socket in events:
                if socket.user_data is None:
                    # Its coroutine waits for something else: let it not be reported for now.
                    if self._others.get(socket) != NOTHING:
                        self._epoll.modify(socket.fd, NOTHING)
                        self._others[socket] = NOTHING
                else:
                    self._runnable.append(socket.user_data)
                    socket.user_data = None
            while self._timers and self._timers[0][0] <= kernel.now_ns:
                self._runnable.append(heappop(self._timers)[2])
            if own_work.wanted and not self._runnable:
                own_work.do_chunk(kernel)

    def _timeout_ns(self) -> int | None:
        return max(0, self._timers[0][0] - self.kernel.now_ns) if self._timers else None

    def _resume(self, coroutine: Callable[[], object]) -> None:
        """Run a coroutine until it suspends itself or ends."""
        self.kernel.counters.coroutine_switches += 1
        self._current = coroutine
        coroutine()


class GreenletScheduler(Scheduler):
    """The same with a stack for each coroutine, which can let others run from any call."""

    def __init__(self, kernel: Kernel, server: Server, options: Options) -> None:
        super().__init__(kernel, server, options)
        try:
            from greenlet import getcurrent, greenlet
        except ModuleNotFoundError:
            raise Refused("flavour greenlet needs the package greenlet") from None
        # Whoever ends goes on here, too.
        self._new = partial(greenlet, parent=getcurrent())
        self._switch_here = getcurrent().switch

    def start(self, coroutine: Coroutine) -> None:
        self._runnable.append(self._new(partial(next, coroutine, None)).switch)

    def suspend(self) -> Coroutine:
        self._switch_here()
        return
        yield
