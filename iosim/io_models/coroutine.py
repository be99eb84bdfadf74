"""Coroutines: one thread, many flows of control, each written as if it could block.

    coroutine n:  recv (others run) -> compute -> call a device (others run) -> send -> ...
    scheduler:    epoll_wait (asleep) -> resume every coroutine whose socket is ready ...

Each connection's coroutine reads like the blocking model's thread; where that would sleep
the coroutine yields to a scheduler in the same thread, which resumes another. Such a
switch stays in user space: no mode switch, no run queue, no lock, a fraction of a context
switch's cost. It is counted apart.

Not modelled: stealing of coroutines by other threads (see goroutine); a coroutine's cache
refill.
Source: Conway, "Design of a Separable Transition-Diagram Compiler", CACM 6(7), 1963;
Beazley, "A Curious Course on Coroutines and Concurrency", PyCon 2009;
what a switch costs: the profile.
Validated by: tests/conformance, tests/timeline/test_models.py,
tests/timeline/test_coroutine_flavours.py
"""

from collections import deque
from collections.abc import Generator
from heapq import heappop, heappush
from typing import Any, Final, Literal

from pydantic import Field

from iosim.choice import Options as BaseOptions
from iosim.handler import CPU, Query, Server, call
from iosim.machine.kernel import SWAPCONTEXT_CALLS, Kernel
from iosim.machine.readiness import EPOLLIN, EPOLLOUT, NOTHING
from iosim.machine.request import Request
from iosim.machine.sockets import EAGAIN, EOF, PARTIAL, Socket
from iosim.machine.thread import Program
from iosim.units import PositiveCount, Size


class Options(BaseOptions):
    """Coroutines: synchronous style on one thread over epoll."""

    flavour: Literal["generator", "swapcontext", "longjmp", "greenlet"] = Field(
        default="generator",
        description="How it switches. `generator`: the runtime's plain coroutines (in a native "
        "program they cost as swapcontext does); with a stack each: `swapcontext`(3), setjmp and "
        "`longjmp`(3), CPython's `greenlet`.",
    )
    stack: Size = Field(
        default="0B",
        validate_default=True,
        description="Memory of one coroutine's stack or frame; 0B: as the flavour has it.",
    )
    max_events: PositiveCount = Field(
        default=512,
        description="How many sockets one epoll_wait may report.",
    )


def main(kernel: Kernel, server: Server, options: Options) -> Program:
    """Start the accepting coroutine and run the scheduler."""
    scheduler = Scheduler(kernel, server, options)
    scheduler.start(accept(scheduler))
    return scheduler.run()


# ------------------------------------------------------- what the programmer writes


def accept(scheduler: "Scheduler") -> Program:
    """Accept each connection and give it a coroutine."""
    kernel, listener = scheduler.kernel, scheduler.server.listener
    listener.nonblocking = True
    yield from scheduler.watch(listener)
    while True:
        yield from scheduler.readable(listener)
        while (connection := (yield from kernel.accept4(listener))) is not EAGAIN:
            scheduler.start(converse(scheduler, connection))


def converse(scheduler: "Scheduler", connection: Socket) -> Program:
    """Serve one connection to its end."""
    kernel = scheduler.kernel
    connection.nonblocking = True
    yield from scheduler.watch(connection)
    while True:
        yield from scheduler.readable(connection)
        request = yield from kernel.recvfrom(connection)
        if request is PARTIAL:
            continue
        if request is EOF:
            break
        yield from handle(scheduler, request)
        yield from send(scheduler, request)
    yield from scheduler.close(connection)


def send(scheduler: "Scheduler", request: Request) -> Program:
    """Answer `request`; others run while there is no room for the rest of the answer."""
    kernel, connection = scheduler.kernel, request.connection
    left_bytes = request.reply_bytes
    left_bytes -= yield from kernel.sendto(connection, request, left_bytes)
    while left_bytes:
        yield from scheduler.writable(connection)
        request.begin(kernel.thread, kernel.now_ns)
        left_bytes -= yield from kernel.sendto(connection, request, left_bytes)


def handle(scheduler: "Scheduler", request: Request) -> Program:
    """Go through all steps of `request`; others run while one blocks."""
    kernel, server = scheduler.kernel, scheduler.server
    for (kind, device), amount in zip(request.steps, request.amounts, strict=True):
        if server.cancel and (yield from server.gave_up(kernel, request)):
            return
        if kind is CPU:
            yield from kernel.compute(amount)
        elif device is None:
            yield from scheduler.sleep(request, amount)
        elif device.interface == "blocking":
            yield from call(kernel, server, device, Query(request, amount))
        else:
            socket, is_new = yield from server.connection_to(kernel, device)
            if is_new:
                socket.nonblocking = True
                yield from scheduler.watch(socket)
            query = Query(request, amount)
            while True:
                yield from kernel.sendto(socket, query, query.bytes)
                yield from scheduler.readable(socket)
                yield from kernel.recvfrom(socket)
                if not query.try_again():
                    break
            server.release(device, socket)
        if request.failed:
            break


# ------------------------------------------------------- what makes it work


def costs_of(flavour: str, kernel: Kernel) -> tuple[int, int, int]:
    """What a switch costs, in ns, how many syscalls it makes, what a coroutine keeps, in bytes."""
    costs = kernel.costs
    stack_bytes = costs.coroutine_memory_bytes
    return {
        "generator": (
            kernel.coroutine_switch_ns,
            kernel.coroutine_switch_calls,
            kernel.coroutine_memory_bytes,
        ),
        "swapcontext": (costs.coroutine_switch_ns, SWAPCONTEXT_CALLS, stack_bytes),
        "longjmp": (costs.coroutine_longjmp_ns, 0, stack_bytes),
        "greenlet": (costs.greenlet_switch_ns, 0, costs.greenlet_memory_bytes),
    }[flavour]


class Suspend:
    """What a coroutine yields to its scheduler; anything else is for the core."""


SUSPEND: Final = Suspend()


class Scheduler:
    """Runs coroutines on one thread, each until it suspends itself."""

    def __init__(self, kernel: Kernel, server: Server, options: Options) -> None:
        self.kernel = kernel
        self.server = server
        self._max_events = options.max_events
        self._switch_ns, self._switch_calls, memory_bytes = costs_of(options.flavour, kernel)
        self._stack_bytes = options.stack or memory_bytes
        self._runnable: deque[Program] = deque()
        self._timers: list[tuple[int, int, Program, Request]] = []
        self._current: Program | None = None
        # What is waited for in a socket, where it is not or has not always been data.
        self._others: dict[Socket, str] = {}
        self._epoll: Any = None

    def start(self, coroutine: Program) -> None:
        """Let `coroutine` run when its turn comes. Plain call."""
        self.kernel.machine.memory.take("coroutines", self._stack_bytes)
        self._runnable.append(coroutine)

    def watch(self, socket: Socket) -> Program:
        """Let coroutines wait for `socket`."""
        yield from self.kernel.epoll_ctl_add(self._epoll, socket)

    def readable(self, socket: Socket) -> Generator[Any, Any, None]:
        """Let others run until `socket` is readable."""
        yield from self._suspend_for(socket, EPOLLIN)

    def _suspend_for(self, socket: Socket, events: str) -> Generator[Any, Any, None]:
        if self._others.get(socket, EPOLLIN) is not events:
            yield from self.kernel.epoll_ctl_mod(self._epoll, socket, events)
            self._others[socket] = events
        socket.user_data = self._current
        yield SUSPEND

    def writable(self, socket: Socket) -> Generator[Any, Any, None]:
        """Let others run until `socket` has room."""
        yield from self._suspend_for(socket, EPOLLOUT)

    def close(self, socket: Socket) -> Generator[Any, Any, None]:
        """Close `socket`, for which no coroutine waits any more."""
        self._others.pop(socket, None)
        yield from self.kernel.close(socket)

    def sleep(self, request: Request, ns: int) -> Generator[Any, Any, None]:
        """Let others run for `ns`."""
        kernel = self.kernel
        yield from kernel.settle()
        request.pause(kernel.now_ns)
        until_ns = kernel.now_ns + ns
        assert self._current is not None
        heappush(self._timers, (until_ns, request.number, self._current, request))
        yield SUSPEND
        request.device_done(min(until_ns + kernel.costs.timer_slack_ns, kernel.now_ns))
        request.begin(kernel.thread, kernel.now_ns)

    def run(self) -> Program:
        """Resume whoever can go on; when nobody can, wait."""
        kernel, own_work = self.kernel, self.server.own_work
        self._epoll = yield from kernel.epoll_create1()
        while True:
            while self._runnable:
                yield from self._resume(self._runnable.popleft())
            timeout_ns = 0 if own_work.wanted else self._timeout_ns()
            events = yield from kernel.epoll_wait(self._epoll, self._max_events, timeout_ns)
            for socket in events:
                if socket.user_data is None:
                    # Its coroutine waits for something else: let it not be reported for now.
                    yield from kernel.epoll_ctl_mod(self._epoll, socket, NOTHING)
                    self._others[socket] = NOTHING
                else:
                    self._runnable.append(socket.user_data)
                    socket.user_data = None
            while self._timers and self._timers[0][0] <= kernel.now_ns:
                self._runnable.append(heappop(self._timers)[2])
            if own_work.wanted and not self._runnable:
                yield from own_work.do_chunk(kernel)

    def _timeout_ns(self) -> int | None:
        return max(0, self._timers[0][0] - self.kernel.now_ns) if self._timers else None

    def _resume(self, coroutine: Program) -> Program:
        """Run `coroutine` until it suspends itself or ends."""
        self.kernel.switch_coroutine(self._switch_ns, self._switch_calls)
        self._current = coroutine
        value = None
        try:
            while True:
                wanted: Any = coroutine.send(value)
                if wanted is SUSPEND:
                    return
                value = yield wanted
        except StopIteration:
            self.kernel.machine.memory.give_back("coroutines", self._stack_bytes)
