"""Asynchronous I/O: submit a read, go on; a signal or a fresh thread brings the result.

    main:     aio_read(1), aio_read(2), ... own work ... own work ... (or pause)
    helper:   wait for the data of one read (asleep), read it, lock, notify, unlock
    main:     <- signal: its handler computes, sendto, aio_read again; own work goes on

The program is neither blocked nor does it ask: its own work goes on until the signal
interrupts it. Under it, one helper thread waits for each read under way, as glibc has it:
with fewer helpers than reads, the others are not even begun. A call that only blocks (a
file, a name lookup: getaddrinfo_a(3)) is made by a helper, too.

With `notify: thread` every result starts a new thread that runs the callback.

Not modelled: lio_listio, aio_cancel, helpers that end when idle. (The real twins' helpers for
calls that only block are their own, with a mutex of their own.)
Source: aio(7); glibc 2.36 rt/aio_misc.c (a blocking read in a helper thread), aio_sigqueue.c.
Validated by: tests/conformance, tests/timeline/test_models.py
"""

from collections import deque
from functools import partial
from typing import Annotated, Any, Literal

from pydantic import Field

from iosim.choice import Options as BaseOptions
from iosim.handler import CPU, Query, Server, call, serve
from iosim.machine.kernel import Kernel
from iosim.machine.locks import Condition, Mutex
from iosim.machine.request import Request
from iosim.machine.signals import Signals
from iosim.machine.sockets import EOF, PARTIAL, Socket
from iosim.machine.thread import Program, Thread
from iosim.units import Count, Most


class Options(BaseOptions):
    """Asynchronous: reads are submitted; a signal or a new thread brings each result."""

    notify: Literal["signal", "thread"] = Field(
        default="signal",
        description="SIGEV_SIGNAL: a handler interrupts the program; SIGEV_THREAD: a new thread.",
    )
    workers: Annotated[Count, Most(100_000)] = Field(
        default=0,
        description="Helper threads (aio_threads in glibc, which has 20); 0: one for each read.",
    )


class Read:
    """An aio control block: a read under way on `socket`, and its result."""

    __slots__ = ("result", "socket")

    def __init__(self, socket: Socket) -> None:
        self.socket = socket
        self.result: Any = None

    def perform(self, kernel: Kernel) -> Program:
        """What a helper does for it, asleep most of the time."""
        yield from kernel.pread64_of_socket()  # glibc tries this first
        while (result := (yield from kernel.recvfrom(self.socket))) is PARTIAL:
            pass
        self.result = result


class BlockingCall:
    """A control block for a call to a device that only blocks; the result is its query."""

    __slots__ = ("device", "result", "server")

    def __init__(self, server: Server, device: Any, query: Query) -> None:
        self.server = server
        self.device = device
        self.result = query

    def perform(self, kernel: Kernel) -> Program:
        """What a helper does for it."""
        self.result.begin(kernel.thread, kernel.now_ns)
        yield from call(kernel, self.server, self.device, self.result)


class Aio:
    """The asynchronous I/O of one process: what is submitted, and its helpers."""

    def __init__(self, server: Server, options: Options) -> None:
        self.server = server
        self.options = options
        self.mutex = Mutex("aio requests")
        self.submitted_there = Condition("aio requests not empty")
        self.submitted: deque[Read | BlockingCall] = deque()
        self.helpers = 0
        self.idle_helpers = 0
        self.user: Thread | None = None
        self.signals: Signals | None = None

    def submit(self, kernel: Kernel, block: "Read | BlockingCall") -> Program:
        """aio_read(3): have a helper perform `block`, and return at once."""
        return kernel.call_library(partial(self.enqueue, block=block))

    def enqueue(self, kernel: Kernel, block: "Read | BlockingCall") -> Program:
        """What the library does for that."""
        yield from kernel.lock(self.mutex)
        kernel.operate_queue()
        if isinstance(block, BlockingCall):
            block.result.pause(kernel.now_ns)
        self.submitted.append(block)
        limit = self.options.workers
        if len(self.submitted) > self.idle_helpers and (not limit or self.helpers < limit):
            self.helpers += 1
            yield from kernel.unlock(self.mutex)
            name = f"aio helper {self.helpers}"
            yield from kernel.spawn(name, self.helper, native=True)
        else:
            yield from kernel.cond_signal(self.submitted_there)
            yield from kernel.unlock(self.mutex)

    def helper(self, kernel: Kernel) -> Program:
        """Perform one submitted control block after the other, and notify.

        That, and looking for more to do, is done with the mutex in hand, as glibc does it: a
        handler that submits the next read may have to wait for it.
        """
        yield from kernel.lock(self.mutex)
        while True:
            while not self.submitted:
                self.idle_helpers += 1
                yield from kernel.cond_wait(self.submitted_there, self.mutex)
                self.idle_helpers -= 1
            kernel.operate_queue()
            block = self.submitted.popleft()
            yield from kernel.unlock(self.mutex)
            yield from block.perform(kernel)
            yield from kernel.settle()
            if block.result is not EOF:
                block.result.pause(kernel.now_ns)
            yield from kernel.lock(self.mutex)
            if self.options.notify == "signal":
                assert self.user is not None and self.signals is not None
                yield from kernel.sigqueue(self.user, self.signals, block)
            else:
                yield from kernel.spawn("aio callback", partial(self.on_complete, block=block))

    def on_signal(self, kernel: Kernel, what: "Read | BlockingCall | Request") -> Program:
        """The signal handler: something is complete, or a request's sleep is over."""
        if isinstance(what, Request):
            what.device_done(kernel.env._now)
            what.begin(kernel.thread, kernel.now_ns)
            yield from self.advance(kernel, what)
        else:
            yield from self.on_complete(kernel, what)

    def on_complete(self, kernel: Kernel, block: "Read | BlockingCall") -> Program:
        """The program's completion handler, for a request, or for a device's answer."""
        message = block.result
        if isinstance(block, Read) and message is EOF:
            yield from kernel.close(block.socket)
            return
        message.begin(kernel.thread, kernel.now_ns)
        if isinstance(message, Query):
            if isinstance(block, Read):
                if message.try_again():
                    yield from kernel.sendto(block.socket, message, message.bytes)
                    yield from self.submit(kernel, block)
                    return
                self.server.release(message.request.device, block.socket)
            yield from self.advance(kernel, message.request)
        else:
            yield from self.advance(kernel, message)

    def advance(self, kernel: Kernel, request: Request) -> Program:
        """Do the request's steps; a call is submitted, too, and ends the handler."""
        server = self.server
        if self.options.notify == "thread":
            yield from serve(kernel, server, request)
            request.next_step = request.last_step
        while request.next_step < request.last_step:
            if server.cancel and (yield from server.gave_up(kernel, request)):
                break
            kind, device = request.steps[request.next_step]
            amount = request.amounts[request.next_step]
            request.next_step += 1
            if kind is CPU:
                yield from kernel.compute(amount)
            elif device is None:
                assert self.signals is not None
                yield from kernel.settle()
                request.pause(kernel.now_ns)
                yield from kernel.timer_settime(self.signals, amount, request)
                return
            elif device.interface == "blocking":
                query = Query(request, amount)
                yield from self.submit(kernel, BlockingCall(server, device, query))
                return
            else:
                socket, _ = yield from server.connection_to(kernel, device)
                request.device = device
                query = Query(request, amount)
                yield from kernel.sendto(socket, query, query.bytes)
                yield from self.submit(kernel, Read(socket))
                return
        yield from self.answer(kernel, request)

    def answer(self, kernel: Kernel, request: Request) -> Program:
        """Send the reply, and submit the read of the next request."""
        yield from kernel.sendto(request.connection, request, request.reply_bytes)
        yield from self.submit(kernel, Read(request.connection))


def accept(kernel: Kernel, aio: Aio) -> Program:
    """Submit a read on each connection as it comes; for ever, unless their number is known."""
    server = aio.server
    accepted = 0
    while server.come_and_go or accepted != server.connections:
        connection = yield from kernel.accept4(server.listener)
        yield from aio.submit(kernel, Read(connection))
        accepted += 1


def main(kernel: Kernel, server: Server, options: Options) -> Program:
    """Submit a read on each connection; then do own work, or wait for signals."""
    aio = Aio(server, options)
    aio.user = kernel.thread
    aio.signals = yield from kernel.sigaction(partial(aio.on_signal, kernel))
    if server.come_and_go:
        yield from kernel.spawn("acceptor", partial(accept, aio=aio), native=True)
    else:
        yield from accept(kernel, aio)
    while True:
        if server.own_work.wanted:
            yield from server.own_work.do_chunk(kernel)
        else:
            yield from kernel.pause()
