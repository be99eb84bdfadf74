"""Asynchronous I/O: submit a read, go on; a signal or a fresh thread brings the result.

glibc's aio_read(3), called through ctypes; its helper threads are glibc's own. Python's handlers
run in the main thread between two steps of the interpreter and are not told a signal's value:
the handler looks which control blocks are complete, at some 25 ns for each read under way. To
wait the program unblocks the signal by
sigsuspend(2): a signal that comes just before pause(2) would not end it, as Python's handler
would still be to come.

A call to a device that only blocks has a thread of the program for a helper.

Twin of: iosim/io_models/aio.py
Validated by: tests/real/test_servers.py, tests/real/test_twins.py
"""

import ctypes
import signal
import threading
import time
from collections import deque
from dataclasses import dataclass
from errno import EINPROGRESS
from functools import partial
from heapq import heappop, heappush
from typing import Any, Final

from iosim.real.handler import Device, Server, call, serve
from iosim.real.kernel import EOF, NS_PER_S, PARTIAL, Kernel, Query, Request, Socket
from iosim.real.plan import CPU, QUERY_BYTES

COMPLETE: Final = signal.SIGRTMIN + 2
SIGEV_SIGNAL: Final = 0
SIGEV_THREAD: Final = 2
FOR_EVER_S: Final = 10**8


@dataclass(frozen=True)
class Options:
    """Asynchronous: reads are submitted; a signal or a new thread brings each result."""

    notify: str = "signal"
    workers: int = 0


# --------------------------------------------------------------------- glibc's structures


class SigEvent(ctypes.Structure):
    """struct sigevent."""

    _fields_ = (
        ("value", ctypes.c_ssize_t),
        ("signo", ctypes.c_int),
        ("notify", ctypes.c_int),
        ("function", ctypes.c_void_p),
        ("rest", ctypes.c_byte * 40),
    )


class Aiocb(ctypes.Structure):
    """struct aiocb, those of its members included that are glibc's own."""

    _fields_ = (
        ("fildes", ctypes.c_int),
        ("lio_opcode", ctypes.c_int),
        ("reqprio", ctypes.c_int),
        ("buf", ctypes.c_void_p),
        ("nbytes", ctypes.c_size_t),
        ("sigevent", SigEvent),
        ("next_prio", ctypes.c_void_p),
        ("abs_prio", ctypes.c_int),
        ("policy", ctypes.c_int),
        ("error_code", ctypes.c_int),
        ("return_value", ctypes.c_ssize_t),
        ("offset", ctypes.c_int64),
        ("reserved", ctypes.c_byte * 32),
    )


class Blocks:
    """Control blocks side by side, so that one look finds those that are complete."""

    COUNT: Final = 64

    def __init__(self) -> None:
        size_bytes = ctypes.sizeof(Aiocb)
        memory = bytearray(self.COUNT * size_bytes)
        self._blocks = [Aiocb.from_buffer(memory, i * size_bytes) for i in range(self.COUNT)]
        self._errors = memoryview(memory).cast("i")[Aiocb.error_code.offset // 4 :: size_bytes // 4]
        self.free = list(range(self.COUNT))
        for block in self._blocks:
            block.error_code = EINPROGRESS  # a free one is never complete
        self._reads: dict[int, Read] = {}

    def lend(self, read: "Read") -> None:
        """Give `read` a block."""
        number = self.free.pop()
        read.blocks, read.number, read.block = self, number, self._blocks[number]
        self._reads[number] = read

    def give_back(self, read: "Read") -> None:
        """Its block is free again."""
        read.block.error_code = EINPROGRESS
        del self._reads[read.number]
        self.free.append(read.number)

    def complete(self) -> "list[Read]":
        """The reads that are."""
        errors = self._errors.tolist()
        if errors.count(EINPROGRESS) == self.COUNT:
            return []
        return [self._reads[i] for i, error in enumerate(errors) if error != EINPROGRESS]


class AioInit(ctypes.Structure):
    """struct aioinit."""

    _fields_ = (
        ("threads", ctypes.c_int),
        ("num", ctypes.c_int),
        ("unused", ctypes.c_int * 4),
        ("idle_time", ctypes.c_int),
        ("reserved", ctypes.c_int),
    )


class ItimerSpec(ctypes.Structure):
    """struct itimerspec, of a timer that expires once."""

    _fields_ = (
        ("interval_s", ctypes.c_long),
        ("interval_ns", ctypes.c_long),
        ("value_s", ctypes.c_long),
        ("value_ns", ctypes.c_long),
    )


LIBC: Final = ctypes.CDLL(None, use_errno=True)


# --------------------------------------------------------------------- the program


class Read:
    """An aio control block: a read under way on `socket`, and its result."""

    __slots__ = ("block", "blocks", "buffer", "number", "socket")

    blocks: Blocks
    number: int
    block: Aiocb

    def __init__(self, socket: Socket) -> None:
        self.socket = socket
        self.buffer = bytearray()

    def result(self, kernel: Kernel) -> Any:
        """aio_return(3): what the bytes that have been read make of what there was."""
        size_bytes = LIBC.aio_return(ctypes.byref(self.block))
        self.blocks.give_back(self)
        return kernel.received(self.socket, self.buffer[: max(0, size_bytes)])


class BlockingCall:
    """A call to a device that only blocks."""

    __slots__ = ("device", "query", "server")

    def __init__(self, server: Server, device: Device, query: Query) -> None:
        self.server = server
        self.device = device
        self.query = query

    def perform(self, kernel: Kernel) -> None:
        """What a helper does for it."""
        call(kernel, self.server, self.device, self.query)


class Aio:
    """The asynchronous I/O of one process: what is submitted, and its helpers."""

    def __init__(self, kernel: Kernel, server: Server, options: Options) -> None:
        self.kernel = kernel
        self.server = server
        self.options = options
        self.user = threading.get_ident()
        self.blocks: list[Blocks] = []
        self.lending = threading.Lock()
        # What is under way, by the number that a new thread is told.
        self.reads: dict[int, Read] = {}
        self.mutex = threading.Lock()
        self.submitted_there = threading.Condition(self.mutex)
        self.submitted: deque[BlockingCall] = deque()
        self.performed: deque[BlockingCall] = deque()
        self.helpers = 0
        self.idle_helpers = 0
        self.sleeping: list[tuple[int, int, Request]] = []
        self.timer = ctypes.c_void_p()
        self.handling = False
        self.signalled = False
        self.callback = ctypes.CFUNCTYPE(None, ctypes.c_ssize_t)(self.on_thread)
        threads = options.workers or 1 << 20
        LIBC.aio_init(ctypes.byref(AioInit(threads=threads, num=1024, idle_time=FOR_EVER_S)))

    def submit(self, read: Read) -> None:
        """aio_read(3): have a helper read, and return at once."""
        with self.lending:
            blocks = next((each for each in self.blocks if each.free), None)
            if blocks is None:
                blocks = Blocks()
                self.blocks.append(blocks)
            blocks.lend(read)
        socket, block, number = read.socket, read.block, id(read)
        read.buffer = bytearray(socket.wanted - len(socket.have))
        block.fildes = socket.fd
        block.buf = ctypes.addressof(ctypes.c_char.from_buffer(read.buffer))
        block.nbytes = len(read.buffer)
        event = block.sigevent
        event.value = number
        if self.options.notify == "signal":
            event.notify, event.signo = SIGEV_SIGNAL, COMPLETE
        else:
            event.notify = SIGEV_THREAD
            event.function = ctypes.cast(self.callback, ctypes.c_void_p)
        self.reads[number] = read
        if LIBC.aio_read(ctypes.byref(block)):
            raise OSError(ctypes.get_errno(), "aio_read")

    def submit_call(self, block: BlockingCall) -> None:
        """Have a helper perform `block`, and return at once."""
        with self.mutex:
            self.submitted.append(block)
            limit = self.options.workers
            if len(self.submitted) > self.idle_helpers and (not limit or self.helpers < limit):
                self.helpers += 1
                self.kernel.spawn(f"helper {self.helpers}", self.helper)
            else:
                self.submitted_there.notify()

    def helper(self, kernel: Kernel) -> None:
        """Perform one submitted call after the other, and notify."""
        signal.pthread_sigmask(signal.SIG_BLOCK, {COMPLETE})
        while True:
            with self.mutex:
                while not self.submitted:
                    self.idle_helpers += 1
                    self.submitted_there.wait()
                    self.idle_helpers -= 1
                block = self.submitted.popleft()
            block.perform(kernel)
            self.performed.append(block)
            signal.pthread_kill(self.user, COMPLETE)

    # ------------------------------------------------------------------- completions

    def on_signal(self, number: int, frame: object) -> None:
        """The signal handler: something is complete, or a request's sleep is over."""
        self.signalled = True
        if self.handling:  # a handler interrupts the program, and no other
            return
        self.handling = True
        while self.signalled:
            self.signalled = False
            self.look()
        self.handling = False

    def look(self) -> None:
        """Go on with all that is complete."""
        kernel = self.kernel
        for blocks in list(self.blocks):
            for read in blocks.complete():
                del self.reads[id(read)]
                self.on_complete(kernel, read)
        while self.performed:
            self.advance(kernel, self.performed.popleft().query.request)
        while self.sleeping and self.sleeping[0][0] <= kernel.now_ns:
            self.advance(kernel, heappop(self.sleeping)[2])
            self.set_timer()

    def on_thread(self, number: int) -> None:
        """What a new thread runs for a result."""
        read = self.reads.pop(number)
        self.kernel.machine.run(partial(self.on_complete, read=read))

    def on_complete(self, kernel: Kernel, read: Read) -> None:
        """The program's completion handler, for a request, or for a device's answer."""
        message = read.result(kernel)
        if message is EOF:
            kernel.close(read.socket)
        elif message is PARTIAL:
            self.submit(read)
        elif isinstance(message, Query):
            if message.try_again():
                kernel.sendto(read.socket, message, QUERY_BYTES)
                self.submit(read)
                return
            self.server.release(self.device(message), read.socket)
            self.advance(kernel, message.request)
        else:
            self.advance(kernel, message)

    def device(self, query: Query) -> Device:
        """Whom `query` has asked."""
        return next(
            each for _, each, _ in self.server.steps if each and each.number == query.device
        )

    def advance(self, kernel: Kernel, request: Request) -> None:
        """Do the request's steps; a call is submitted, too, and ends the handler."""
        server = self.server
        if self.options.notify == "thread":
            serve(kernel, server, request)
            request.next_step = len(server.steps)
        while request.next_step < len(server.steps) and not request.failed:
            if server.cancel and server.gave_up(request):
                break
            kind, device, columns = server.steps[request.next_step]
            amounts = request.amounts[columns]
            request.next_step += 1
            if kind is CPU:
                kernel.compute(amounts[0])
            elif device is None:
                heappush(self.sleeping, (kernel.now_ns + amounts[0], request.number, request))
                self.set_timer()
                return
            elif device.interface == "blocking":
                query = Query(request, device.number, amounts)
                self.submit_call(BlockingCall(server, device, query))
                return
            else:
                socket, _ = server.connection_to(kernel, device)
                kernel.sendto(socket, Query(request, device.number, amounts), QUERY_BYTES)
                self.submit(Read(socket))
                return
        self.answer(kernel, request)

    def set_timer(self) -> None:
        """Have a signal sent when the first of the sleeps is over."""
        if self.sleeping:
            seconds, ns = divmod(self.sleeping[0][0], NS_PER_S)
            when = ItimerSpec(value_s=seconds, value_ns=ns)
            LIBC.timer_settime(self.timer, TIMER_ABSTIME, ctypes.byref(when), None)

    def answer(self, kernel: Kernel, request: Request) -> None:
        """Send the reply, and submit the read of the next request."""
        kernel.sendall(request.connection, request)
        self.submit(Read(request.connection))


TIMER_ABSTIME: Final = 1


def accept(kernel: Kernel, aio: Aio) -> None:
    """Submit a read on each connection as it comes; for ever, unless their number is known."""
    server = aio.server
    accepted = 0
    while accepted != server.connections:
        connection = kernel.accept4(server.listener)
        aio.submit(Read(connection))
        accepted += 1


def accept_for_ever(kernel: Kernel, aio: Aio) -> None:
    """`accept` in a thread of its own, which no signal is for."""
    signal.pthread_sigmask(signal.SIG_BLOCK, {COMPLETE})
    accept(kernel, aio)


def main(kernel: Kernel, server: Server, options: Options) -> None:
    """Submit a read on each connection; then do own work, or wait for signals."""
    signal.pthread_sigmask(signal.SIG_BLOCK, {COMPLETE})
    aio = Aio(kernel, server, options)
    signal.signal(COMPLETE, aio.on_signal)
    event = SigEvent(notify=SIGEV_SIGNAL, signo=COMPLETE)
    LIBC.timer_create(time.CLOCK_MONOTONIC, ctypes.byref(event), ctypes.byref(aio.timer))
    if server.connections is None:
        kernel.spawn("acceptor", partial(accept_for_ever, aio=aio))
    else:
        accept(kernel, aio)
    if server.own_work.wanted:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {COMPLETE})
        while True:
            server.own_work.do_chunk(kernel)
    nothing_blocked = ctypes.create_string_buffer(128)
    while True:
        LIBC.sigsuspend(nothing_blocked)
