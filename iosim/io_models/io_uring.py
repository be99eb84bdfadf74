"""Completion-based I/O with io_uring: the kernel is told what to do, and tells what is done.

    loop:    look at each CQE: handle the request, fill SQEs (send, next recv) ...
             io_uring_enter: all of them are issued; asleep until something is complete
    kernel:  data arrives -> task work for the loop's thread -> it receives, posts a CQE

Where epoll needs a syscall to learn that a socket is ready and one each to read and to
answer, here one io_uring_enter hands over a batch of SQEs and waits. The larger the batch
and the dearer a syscall, the more that is worth; against it stand the costs of each SQE,
each CQE, and of arming each recv. At light load a send's own completion ends the wait at
once, so that a request takes two io_uring_enter; `skip_send` avoids that.

An answer leaves when its SQE is handed over, not when it is ready: the first of several
CQEs' answers waits until the last has been handled. With demands that are long against a
syscall that costs more than it saves; `batch: 1` hands over each SQE before the next.

Where a client is slow to take its answers, one send is under way on a connection; the
next is submitted on its completion, or their bytes would mix.

With `sqpoll` a thread of the kernel, on a core that it keeps busy, takes the SQEs: the
program makes no syscall but to sleep, or to wake that thread. A call to a device that only
blocks goes to a worker thread of the kernel; a sleep is a timeout. That worker does a name
look-up, too, for which a real program needs a thread of its own.

Not modelled: provided buffers, registered files, linked SQEs; connections are closed by
close(2); one ring.
Source: io_uring_enter(2); Axboe, "Efficient IO with io_uring", 2019.
Validated by: tests/conformance, tests/timeline/test_uring.py, tests/shape/test_r6_io_uring.py
"""

from collections import deque
from functools import partial

from pydantic import Field

from iosim.choice import Options as BaseOptions
from iosim.handler import CPU, Query, Server, call
from iosim.machine.kernel import Kernel
from iosim.machine.request import Request
from iosim.machine.sockets import EOF, PARTIAL, Message, Socket
from iosim.machine.thread import Program
from iosim.machine.uring import ACCEPT, ECANCELED, READ, RECV, SEND, TIMEOUT, Cqe, Sqe, Uring
from iosim.units import Count, PositiveCount, PositiveDuration


class Options(BaseOptions):
    """Completions: SQEs are submitted in batches; CQEs tell what has been done."""

    entries: PositiveCount = Field(
        default=256,
        description="SQEs that the submission ring holds; the completion ring holds twice as many.",
    )
    batch: Count = Field(
        default=0,
        description="SQEs that are handed over at once, at most; 0: as many as the ring holds.",
    )
    multishot: bool = Field(
        default=False,
        description="One SQE accepts all connections, one receives all of a connection's messages.",
    )
    skip_send: bool = Field(
        default=False,
        description="No CQE for a send that succeeds (IOSQE_CQE_SKIP_SUCCESS).",
    )
    sqpoll: bool = Field(
        default=False,
        description="A thread of the kernel looks for SQEs (IORING_SETUP_SQPOLL).",
    )
    sq_thread_idle: PositiveDuration = Field(
        default="1s",
        validate_default=True,
        description="How long that thread spins in vain before it sleeps.",
    )
    workers: Count = Field(
        default=0,
        description="Threads of the kernel for calls that block, at most; 0: 4 a core, or "
        "`entries` if that is less.",
    )


def main(kernel: Kernel, server: Server, options: Options) -> Program:
    """Set up the ring and run the event loop."""
    idle_ns = options.sq_thread_idle if options.sqpoll else None
    ring = yield from kernel.io_uring_setup(options.entries, idle_ns, options.workers)
    loop = Loop(kernel, server, options, ring)
    yield from loop.run()


class Loop:
    """The event loop: hand over SQEs, wait for CQEs, go on with what is complete."""

    def __init__(self, kernel: Kernel, server: Server, options: Options, ring: Uring) -> None:
        self.kernel = kernel
        self.server = server
        self.options = options
        self.ring = ring
        self._batch = options.batch or options.entries

    def run(self) -> Program:
        """Submit and wait, for ever; do own work when there is nothing to do."""
        kernel, own_work = self.kernel, self.server.own_work
        yield from self.submit(Sqe(ACCEPT, self.server.listener, multishot=self.options.multishot))
        wait_nr = 0 if own_work.wanted else 1
        while True:
            cqes = yield from kernel.io_uring_submit_and_wait(self.ring, wait_nr)
            for cqe in cqes:
                yield from self.on_complete(cqe)
            if own_work.wanted and not cqes:
                yield from own_work.do_chunk(kernel)

    def submit(self, sqe: Sqe) -> Program:
        """Fill in an SQE; hand over those before it first if the batch or the ring is full."""
        kernel, ring = self.kernel, self.ring
        if ring.full or len(ring.filled) >= self._batch:
            yield from kernel.io_uring_submit(ring)
            if ring.full:  # the kernel's thread has not taken any yet
                yield from kernel.io_uring_sqring_wait(ring)
        kernel.fill(ring, sqe)

    def on_complete(self, cqe: Cqe) -> Program:
        """Go on where the SQE was submitted."""
        kernel, sqe = self.kernel, cqe.sqe
        if sqe.kind is ACCEPT:
            multishot = self.options.multishot
            if not cqe.more:
                yield from self.submit(Sqe(ACCEPT, sqe.socket, multishot=multishot))
            yield from self.submit(Sqe(RECV, cqe.result, multishot=multishot))
        elif sqe.kind is SEND:
            yield from self.on_sent(sqe.socket, cqe.result is ECANCELED)
        elif sqe.kind is RECV:
            yield from self.on_received(cqe)
        elif sqe.kind is READ:
            sqe.message.begin(kernel.thread, kernel.now_ns)
            yield from self.advance(sqe.message.request)
        elif sqe.kind is TIMEOUT:
            request = sqe.message
            request.device_done(sqe.due_ns)
            request.begin(kernel.thread, kernel.now_ns)
            yield from self.advance(request)

    def on_received(self, cqe: Cqe) -> Program:
        """A request or a part of it, a device's answer, or the end of a connection."""
        kernel, sqe, message = self.kernel, cqe.sqe, cqe.result
        if message is EOF:
            yield from kernel.close(sqe.socket)
        elif isinstance(message, Query):
            message.begin(kernel.thread, kernel.now_ns)
            yield from self.on_answer(sqe.socket, message)
        else:
            if message is not PARTIAL:
                message.begin(kernel.thread, kernel.now_ns)
            if not cqe.more:
                multishot = self.options.multishot
                yield from self.submit(Sqe(RECV, sqe.socket, multishot=multishot))
            if message is not PARTIAL:
                yield from self.advance(message)

    def on_answer(self, socket: Socket, query: Query) -> Program:
        """A device has answered: ask again, or its connection is free, the request goes on."""
        if query.try_again():
            yield from self.ask(socket, query)
            return
        self.server.release(query.request.device, socket)
        yield from self.advance(query.request)

    def advance(self, request: Request) -> Program:
        """Do the request's steps up to one that takes time elsewhere, or answer it."""
        kernel, server = self.kernel, self.server
        while request.next_step < request.last_step:
            if server.cancel and (yield from server.gave_up(kernel, request)):
                return
            kind, device = request.steps[request.next_step]
            amount = request.amounts[request.next_step]
            request.next_step += 1
            if kind is CPU:
                yield from kernel.compute(amount)
                continue
            if device is None:
                yield from self.submit(Sqe(TIMEOUT, message=request, ns=amount))
                return
            query = Query(request, amount)
            if device.interface == "blocking":
                perform = partial(call, server=server, device=device, query=query)
                yield from self.submit(Sqe(READ, message=query, perform=perform))
                return
            request.device = device
            socket, _ = yield from server.connection_to(kernel, device)
            yield from self.ask(socket, query)
            return
        yield from self.answer(request)

    def ask(self, socket: Socket, query: Query) -> Program:
        """Submit a device's query, and the recv of its answer."""
        yield from self.send(socket, query, query.bytes, self.options.skip_send)
        yield from self.submit(Sqe(RECV, socket))

    def answer(self, request: Request) -> Program:
        """Submit the answer; after those before it, if a send may have to wait for room."""
        kernel, socket = self.kernel, request.connection
        silent = self.options.skip_send
        if socket.outgoing is not None:
            if socket.user_data is not None:
                request.pause(kernel.now_ns)
                socket.user_data.append(request)
                return
            socket.user_data = deque()
            silent = False
        yield from self.send(socket, request, request.reply_bytes, silent)

    def on_sent(self, socket: Socket, closed: bool) -> Program:
        """A send is complete: submit the next on that connection, unless it is closed."""
        if socket.user_data is None:
            return
        if closed or not socket.user_data:
            socket.user_data = None
            return
        request = socket.user_data.popleft()
        request.begin(self.kernel.thread, self.kernel.now_ns)
        yield from self.send(socket, request, request.reply_bytes, silent=False)

    def send(self, socket: Socket, message: Message, size_bytes: int, silent: bool) -> Program:
        """Submit a send."""
        yield from self.submit(Sqe(SEND, socket, message, size_bytes, silent=silent))
