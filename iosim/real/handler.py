"""What a server does with a request: the twin of `iosim.handler`, for real.

`serve` goes through all steps and sleeps in those that block; `Jobs` starts what would block
and turns to something else. `OwnWork` is what the server would like to compute besides.

Validated by: tests/real
"""

import threading
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from heapq import heappop, heappush
from select import EPOLLIN, EPOLLOUT
from typing import Final

from iosim.real.kernel import EOF, PARTIAL, Kernel, Query, Request, Socket
from iosim.real.plan import CPU, QUERY_BYTES, SLEEP, DevicePlan, Plan, Step

NO_STEP: Final = 2**31
"""The next step of a request whose handler has nothing more to do."""


class Device:
    """Something that is called; one that blocks has a place for each call, or so many."""

    def __init__(self, number: int, plan: DevicePlan) -> None:
        self.number = number
        self.interface = plan.interface
        self.places = threading.Semaphore(plan.concurrency) if plan.concurrency else None


@dataclass
class Server:
    """What an I/O model's program is given: whom to serve, and how."""

    listener: Socket
    steps: tuple[tuple[str, Device | None, slice], ...]
    """Each one's kind, device, and which of a row's columns are its."""
    own_work: "OwnWork"
    connections: int | None
    """How many connections the clients will open; None: they come and go."""
    cancel: bool = False
    """Whether work on a request is given up when its client has closed the connection."""
    idle_sockets: dict[Device, list[Socket]] = field(default_factory=dict)
    """Connections to devices that no call is using."""

    def connection_to(self, kernel: Kernel, device: Device) -> tuple[Socket, bool]:
        """A free connection to `device`, and whether it is a new one."""
        idle = self.idle_sockets.setdefault(device, [])
        try:
            return idle.pop(), False
        except IndexError:
            return kernel.connect(device.number), True

    def release(self, device: Device, socket: Socket) -> None:
        """Let another call use this connection."""
        self.idle_sockets[device].append(socket)

    def gave_up(self, request: Request) -> bool:
        """Look whether nobody waits for `request` any more."""
        return request.connection.hung_up()


def make_server(plan: Plan, listener: Socket) -> Server:
    """The server of a plan."""
    devices = [Device(number, device) for number, device in enumerate(plan.devices)]
    return Server(
        listener=listener,
        steps=tuple(_steps(plan.steps, devices)),
        own_work=OwnWork(plan.own_work_chunk_ns),
        connections=None if plan.lifetime or plan.close_on_timeout else plan.connections,
        cancel=bool(plan.cancel),
    )


def _steps(
    steps: Sequence[Step], devices: Sequence[Device]
) -> "list[tuple[str, Device | None, slice]]":
    found, first = [], 0
    for step in steps:
        device = devices[step.device] if step.device >= 0 else None
        found.append((step.kind, device, slice(first, first + step.columns)))
        first += step.columns
    return found


class OwnWork:
    """CPU work that the server would like to do meanwhile, in chunks."""

    def __init__(self, chunk_ns: int) -> None:
        self.chunk_ns = chunk_ns
        # Whether there is any.
        self.wanted = chunk_ns > 0

    def do_chunk(self, kernel: Kernel) -> None:
        """Compute one chunk."""
        kernel.compute(self.chunk_ns)
        kernel.counters.own_work_ns += self.chunk_ns


def serve(kernel: Kernel, server: Server, request: Request) -> None:
    """Go through all steps of `request`, sleeping in those that block."""
    for kind, device, columns in server.steps:
        if server.cancel and server.gave_up(request):
            return
        if kind is CPU:
            kernel.compute(request.amounts[columns.start])
        elif device is not None:
            call(kernel, server, device, Query(request, device.number, request.amounts[columns]))
        else:
            kernel.nanosleep(request.amounts[columns.start])
        if request.failed:
            break


def call(kernel: Kernel, server: Server, device: Device, query: Query) -> None:
    """Have `device` answer `query`; the thread sleeps meanwhile."""
    if device.interface == "socket":
        exchange(kernel, server, device, query)
    else:
        occupy(kernel, device, query)


def exchange(kernel: Kernel, server: Server, device: Device, query: Query) -> None:
    """Send `query` over a connection and sleep until its answer has been received."""
    socket, _ = server.connection_to(kernel, device)
    while True:
        kernel.sendto(socket, query, QUERY_BYTES)
        while (message := kernel.recvfrom(socket)) is PARTIAL:
            pass
        if message is EOF:
            kernel.close(socket)
            query.request.failed = True
            return
        if not query.try_again():
            break
    server.release(device, socket)


def occupy(kernel: Kernel, device: Device, query: Query) -> None:
    """Sleep for as long as each attempt takes, at a place of the device's."""
    while True:
        if query.service_ns:  # without, there is nothing to wait for: it is in a cache
            if device.places is None:
                kernel.nanosleep(query.service_ns)
            else:
                with device.places:
                    kernel.nanosleep(query.service_ns)
        if not query.try_again():
            break


class Replies:
    """Answers on sockets that do not block: what did not fit is sent when there is room.

    The socket's `user_data` says so meanwhile: [request, bytes left] for each, in order.
    """

    def __init__(self, kernel: Kernel, wait_for: Callable[[Socket, int], None]) -> None:
        self._kernel = kernel
        # `wait_for(socket, EPOLLOUT)`: wait for room in `socket` from now on; or `EPOLLIN`.
        self._wait_for = wait_for

    def keep(self, request: Request, left_bytes: int) -> None:
        """So much of the answer to `request` has not been sent: wait for room."""
        request.connection.user_data = deque([[request, left_bytes]])
        self._wait_for(request.connection, EPOLLOUT)

    def queue(self, request: Request) -> None:
        """Answer `request` after those that its connection has no room for."""
        request.connection.user_data.append([request, request.reply_bytes])

    def go_on(self, socket: Socket) -> bool:
        """There is room in `socket`: send more; whether that was all."""
        unsent = socket.user_data
        while unsent:
            request, left_bytes = unsent[0]
            sent_bytes = self._kernel.sendto(socket, request, left_bytes)
            if sent_bytes < left_bytes:
                unsent[0][1] -= sent_bytes
                return False
            unsent.popleft()
        socket.user_data = None
        self._wait_for(socket, EPOLLIN)
        return True


class Jobs:
    """The requests that one thread has under way at once, none of which it waits for."""

    def __init__(
        self,
        kernel: Kernel,
        server: Server,
        watch: Callable[[Socket], None],
        wait_for: Callable[[Socket, int], None],
        forget: Callable[[Socket], None] = lambda socket: None,
    ) -> None:
        self._replies = Replies(kernel, wait_for)
        self._kernel = kernel
        self._server = server
        self._watch = watch
        # Called with each socket before it is closed.
        self._forget = forget
        # (until when, number, request): those in a `sleep` step.
        self.sleeping: list[tuple[int, int, Request]] = []

    def on_readable(self, socket: Socket | None, request: Request | None = None) -> bool:
        """Receive what `socket` has, a request or a device's answer, and go on with it.

        That is: do the request's steps, up to one that would block, or answer it. False if
        there was nothing, or no more will come: the socket is then closed. Without a socket
        `request` is gone on with. A socket whose answer did not fit has room: send the rest.
        """
        kernel, server = self._kernel, self._server
        if socket is not None:
            if socket.user_data is not None:
                return self._replies.go_on(socket)
            message = kernel.recvfrom(socket)
            if isinstance(message, Request):
                request = message
            elif isinstance(message, Query):
                request = message.request
                if message.try_again():
                    kernel.sendto(socket, message, QUERY_BYTES)
                    return True
                server.release(self._device(message), socket)
            elif message is PARTIAL:
                return True
            elif message is EOF:
                self._forget(socket)
                kernel.close(socket)
        if request is None:
            return False
        steps = server.steps[request.next_step :] if not request.failed else ()
        for kind, device, columns in steps:
            if server.cancel and server.gave_up(request):
                return True
            request.next_step += 1
            if kind is CPU:
                kernel.compute(request.amounts[columns.start])
            elif kind is SLEEP:
                until_ns = kernel.now_ns + request.amounts[columns.start]
                heappush(self.sleeping, (until_ns, request.number, request))
                return True
            else:
                assert device is not None
                query = Query(request, device.number, request.amounts[columns])
                if device.interface == "socket":
                    self._start_call(device, query)
                    return True
                call(kernel, server, device, query)
                if request.failed:
                    break
        if request.connection.user_data is not None:
            self._replies.queue(request)
            return True
        size_bytes = request.reply_bytes
        sent_bytes = kernel.sendto(request.connection, request, size_bytes)
        if sent_bytes < size_bytes:
            self._replies.keep(request, size_bytes - sent_bytes)
        return True

    def may_read(self, socket: Socket) -> bool:
        """Whether the answer before has been sent as a whole."""
        return socket.user_data is None

    def _device(self, query: Query) -> Device:
        return next(d for _, d, _ in self._server.steps if d and d.number == query.device)

    def _start_call(self, device: Device, query: Query) -> None:
        socket, is_new = self._server.connection_to(self._kernel, device)
        if is_new:
            socket.nonblocking = True
            self._watch(socket)
        self._kernel.sendto(socket, query, QUERY_BYTES)

    def timeout_ns(self) -> int | None:
        """How long the thread may wait for readiness: until the next sleep is over."""
        if not self.sleeping:
            return None
        return max(0, self.sleeping[0][0] - self._kernel.now_ns)

    def run_due(self) -> None:
        """Take up the requests whose sleep is over."""
        while self.sleeping and self.sleeping[0][0] <= self._kernel.now_ns:
            _, _, request = heappop(self.sleeping)
            self.on_readable(None, request)
