"""What a server does with a request: a list of steps, and how a thread gets through them.

What it models: a request's handler is a list of steps: `cpu` burns time on a core, `call`
sends a query to a device and needs its answer, `sleep` lets time pass. Every I/O model
serves the same handler; they differ in what a thread does while a call or a sleep is
under way:

- `serve` goes through all steps in the order of the program: the thread sleeps in them.
- `Jobs` starts what would block and turns to something else: the step is left, and the
  request taken up again when its descriptor is readable or its time has come.

`OwnWork` is what the server would like to compute besides.

Not modelled: steps in parallel, branches, steps that depend on one another's results.
Validated by: tests/conformance, tests/timeline/test_models.py
"""

from collections import deque
from collections.abc import Callable, Generator
from dataclasses import dataclass, field
from heapq import heappop, heappush
from typing import TYPE_CHECKING, Any, Final

from iosim.machine.readiness import EPOLLIN, EPOLLOUT
from iosim.machine.request import Request
from iosim.machine.sockets import EOF, PARTIAL, Socket

if TYPE_CHECKING:
    from iosim.devices import Device
    from iosim.machine.kernel import Kernel
    from iosim.machine.thread import Thread

QUERY_BYTES: Final = 128
"""Size of a query to a device, and of its answer."""

CPU: Final = "cpu"
CALL: Final = "call"
SLEEP: Final = "sleep"

Step = tuple[str, "Device | None"]
"""(`CPU` | `CALL` | `SLEEP`, the device called)."""


Attempts = tuple[tuple[int, bool], ...]
"""For each attempt at a call: (ns at the device, whether that answers with an error)."""

TURN: Final = 16
"""So many messages are read from one socket before the others are looked at again."""

NO_STEP: Final = 2**31
"""The next step of a request whose handler has nothing more to do."""


class Query:
    """A call to a device on behalf of a request."""

    __slots__ = ("attempts", "bytes", "failed", "request", "service_ns")

    def __init__(self, request: Request, amount: "int | Attempts") -> None:
        self.request = request
        self.bytes = QUERY_BYTES
        # Of the attempt under way: its time at the device, and whether it fails.
        self.service_ns: int
        self.failed = False
        self.attempts: Attempts = ()
        if isinstance(amount, tuple):
            (self.service_ns, self.failed), *rest = amount
            self.attempts = tuple(rest)
        else:
            self.service_ns = amount

    def try_again(self) -> bool:
        """Now that it is answered: if with an error, turn to the next attempt, if there is one.

        If there is none, the request has failed: its answer is an error, and nothing more is
        to be done for it.
        """
        if not self.failed:
            return False
        if self.attempts:
            self.service_ns, self.failed = self.attempts[0]
            self.attempts = self.attempts[1:]
            return True
        self.request.failed = True
        self.request.next_step = NO_STEP
        return False

    def delivered(self, now: int) -> None:
        self.request.device_done(now)

    def begin(self, thread: "Thread", now: int) -> None:
        self.request.begin(thread, now)

    def pause(self, now: int) -> None:
        self.request.pause(now)

    def has_room(self, now: int) -> None:
        self.request.has_room(now)


@dataclass
class Server:
    """What an I/O model's program is given: whom to serve, and how."""

    listener: Socket
    own_work: "OwnWork"
    connections: int | None
    """How many connections are open when the load starts; None: none is."""
    come_and_go: bool = False
    """Whether connections are closed, and others opened, under load."""
    cancel: bool = False
    """Whether work on a request is given up when its client has closed the connection."""
    idle_sockets: dict["Device", list[Socket]] = field(default_factory=dict)
    """Connections to devices that no call is using."""

    def connection_to(
        self, kernel: "Kernel", device: "Device"
    ) -> Generator[Any, Any, tuple[Socket, bool]]:
        """A free connection to `device`, and whether it is a new one."""
        idle = self.idle_sockets.setdefault(device, [])
        if idle:
            return idle.pop(), False
        return (yield from kernel.connect(device)), True

    def gave_up(self, kernel: "Kernel", request: Request) -> Generator[Any, Any, bool]:
        """Look whether nobody waits for `request` any more."""
        if kernel.thread.debt_ns and not kernel.undisturbed():
            yield from kernel.settle()
        hung_up: bool = request.connection.hung_up
        return hung_up

    def release(self, device: "Device", socket: Socket) -> None:
        """Let another call use this connection."""
        self.idle_sockets[device].append(socket)


class OwnWork:
    """CPU work that the server would like to do meanwhile, in chunks."""

    def __init__(self, chunk_ns: int) -> None:
        self.chunk_ns = chunk_ns
        # Whether there is any.
        self.wanted = chunk_ns > 0

    def do_chunk(self, kernel: "Kernel") -> Generator[Any, Any, None]:
        """Compute one chunk."""
        yield from kernel.compute(self.chunk_ns, "own work")
        yield from kernel.settle()
        kernel.machine.own_work_ns += self.chunk_ns


def serve(kernel: "Kernel", server: Server, request: Request) -> Generator[Any, Any, None]:
    """Go through all steps of `request`, sleeping in those that block."""
    for (kind, device), amount in zip(request.steps, request.amounts, strict=True):
        if server.cancel and (yield from server.gave_up(kernel, request)):
            return
        if kind is CPU:
            yield from kernel.compute(amount)
        elif device is not None:
            yield from call(kernel, server, device, Query(request, amount))
        else:
            yield from sleep(kernel, request, amount)
        if request.failed:
            break


def call(
    kernel: "Kernel", server: Server, device: "Device", query: Query
) -> Generator[Any, Any, None]:
    """Have `device` answer `query`; the thread sleeps meanwhile."""
    return device.perform(kernel, server, query)


def exchange(
    kernel: "Kernel", server: Server, device: "Device", query: Query
) -> Generator[Any, Any, None]:
    """Send `query` over a connection and sleep until its answer has been received."""
    socket, _ = yield from server.connection_to(kernel, device)
    socket.nonblocking = False
    while True:
        yield from kernel.sendto(socket, query, query.bytes)
        yield from kernel.recvfrom(socket)
        if not query.try_again():
            break
    server.release(device, socket)


def sleep(kernel: "Kernel", request: Request, ns: int) -> Generator[Any, Any, None]:
    """Let `ns` pass in nanosleep(2)."""
    yield from kernel.settle()
    request.pause(kernel.now_ns)
    until_ns = kernel.now_ns + ns
    yield from kernel.nanosleep(ns)
    request.device_done(min(until_ns + kernel.costs.timer_slack_ns, kernel.now_ns))
    request.begin(kernel.thread, kernel.now_ns)


class Unsent(deque[tuple[Request, int]]):
    """What a connection has had no room for: (request, bytes left) of each answer, in order."""

    taken = False
    """Whether a thread is sending it: of several that are told of room one is to."""


class Replies:
    """Answers on sockets that do not block: what did not fit is sent when there is room.

    The socket's `user_data` says so meanwhile.
    """

    def __init__(
        self, kernel: "Kernel", wait_for: Callable[[Socket, str], Generator[Any, Any, None]]
    ) -> None:
        self._kernel = kernel
        # `wait_for(socket, EPOLLOUT)`: wait for room in `socket` from now on; or `EPOLLIN`.
        self._wait_for = wait_for

    def keep(self, request: Request, left_bytes: int) -> Generator[Any, Any, None]:
        """So much of the answer to `request` has not been sent: wait for room."""
        request.connection.user_data = Unsent([(request, left_bytes)])
        yield from self._wait_for(request.connection, EPOLLOUT)

    def queue(self, request: Request) -> None:
        """Answer `request` after those that its connection has no room for. Plain call."""
        request.pause(self._kernel.now_ns)
        request.connection.user_data.append((request, request.reply_bytes))

    def go_on(self, socket: Socket) -> Generator[Any, Any, bool]:
        """There is room in `socket`: send more; whether that was all."""
        kernel, unsent = self._kernel, socket.user_data
        if unsent.taken:
            return False
        unsent.taken = True
        while unsent:
            request, left_bytes = unsent[0]
            request.begin(kernel.thread, kernel.now_ns)
            sent_bytes = yield from kernel.sendto(socket, request, left_bytes)
            if sent_bytes < left_bytes:
                unsent[0] = (request, left_bytes - sent_bytes)
                unsent.taken = False
                return False
            unsent.popleft()
        socket.user_data = None
        yield from self._wait_for(socket, EPOLLIN)
        return True


class Jobs:
    """The requests that one thread has under way at once, none of which it waits for."""

    def __init__(
        self,
        kernel: "Kernel",
        server: Server,
        watch: Callable[[Socket], Generator[Any, Any, None]],
        wait_for: Callable[[Socket, str], Generator[Any, Any, None]],
    ) -> None:
        self._replies = Replies(kernel, wait_for)
        self._kernel = kernel
        self._server = server
        self._cancel = server.cancel
        self._watch = watch
        # (until when, number, request): those in a `sleep` step.
        self.sleeping: list[tuple[int, int, Request]] = []

    def on_readable(
        self, socket: Socket | None, request: Request | None = None
    ) -> Generator[Any, Any, bool]:
        """Receive what `socket` has, a request or a device's answer, and go on with it.

        That is: do the request's steps, up to one that would block, or answer it. False if
        there was nothing, or no more will come: the socket is then closed. Without a socket
        `request` is gone on with. A socket whose answer did not fit has room: send the rest.
        """
        kernel = self._kernel
        if socket is not None:
            if socket.user_data is not None:
                return (yield from self._replies.go_on(socket))
            message = yield from kernel.recvfrom(socket)
            if isinstance(message, Request):
                request = message
            elif isinstance(message, Query):
                request = message.request
                if message.try_again():
                    yield from kernel.sendto(socket, message, message.bytes)
                    return True
                self._server.release(request.device, socket)
            elif message is PARTIAL:
                return True
            elif message is EOF:
                yield from kernel.close(socket)
        if request is None:
            return False
        steps, amounts = request.steps, request.amounts
        for index in range(request.next_step, len(steps)):
            kind, device = steps[index]
            amount = amounts[index]
            if self._cancel and (yield from self._server.gave_up(kernel, request)):
                return True
            if kind is CPU:
                yield from kernel.compute(amount)
                continue
            request.next_step = index + 1
            if device is None:
                yield from kernel.settle()
                request.pause(kernel.now_ns)
                heappush(self.sleeping, (kernel.now_ns + amount, request.number, request))
                return True
            if device.interface == "socket":
                yield from self._start_call(device, Query(request, amount))
                return True
            yield from call(kernel, self._server, device, Query(request, amount))
            if request.failed:
                break
        size_bytes = request.reply_bytes
        if request.connection.user_data is not None:
            self._replies.queue(request)
            return True
        sent_bytes = yield from kernel.sendto(request.connection, request, size_bytes)
        if sent_bytes < size_bytes:
            yield from self._replies.keep(request, size_bytes - sent_bytes)
        return True

    def drain(self, socket: Socket) -> Generator[Any, Any, bool]:
        """Go on with all that `socket` has, until EAGAIN; False if that was not reached.

        After `TURN` messages it is the others' turn: who never falls silent would have it all.
        """
        for _ in range(TURN):
            if not (yield from self.on_readable(socket)):
                return True
        return False

    def may_read(self, socket: Socket) -> bool:
        """Whether the answer before has been sent as a whole."""
        return socket.user_data is None

    def _start_call(self, device: "Device", query: Query) -> Generator[Any, Any, None]:
        socket, is_new = yield from self._server.connection_to(self._kernel, device)
        socket.nonblocking = True
        query.request.device = device
        if is_new:
            yield from self._watch(socket)
        yield from self._kernel.sendto(socket, query, query.bytes)

    def timeout_ns(self) -> int | None:
        """How long the thread may wait for readiness: until the next sleep is over."""
        if not self.sleeping:
            return None
        return max(0, self.sleeping[0][0] - self._kernel.now_ns)

    def run_due(self) -> Generator[Any, Any, None]:
        """Take up the requests whose sleep is over."""
        kernel = self._kernel
        while self.sleeping and self.sleeping[0][0] <= kernel.now_ns:
            due_ns, _, request = heappop(self.sleeping)
            request.device_done(min(due_ns + kernel.costs.timer_slack_ns, kernel.now_ns))
            request.begin(kernel.thread, kernel.now_ns)
            yield from self.on_readable(None, request)
