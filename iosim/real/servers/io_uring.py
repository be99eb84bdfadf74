"""Completion-based I/O with io_uring: the kernel is told what to do, and tells what is done.

The rings are those of the package liburing. Its C functions are called through ctypes, as its
Python ones keep the interpreter lock while they wait. A call to a device that only blocks has a
thread of the program for a worker, which tells of its end through an eventfd: no SQE does what
is needed.

Real send buffers are never without limit: one send is under way on a connection, the next is
submitted on its completion. Without a completion (`skip_send`) a client must have its answer
before it asks again: with a plan that pipelines the option is not used.

Twin of: iosim/io_models/io_uring.py
Validated by: tests/real/test_servers.py, tests/real/test_twins.py
"""

import ctypes
import os
import socket as sockets
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from errno import ENOBUFS
from threading import Condition, Lock
from typing import Any, Final

from iosim.real.handler import Device, Server, call
from iosim.real.kernel import (
    EOF,
    NS_PER_MS,
    NS_PER_S,
    PARTIAL,
    Kernel,
    Query,
    Refused,
    Request,
    Socket,
)
from iosim.real.plan import CPU

ACCEPT: Final = "accept"
RECV: Final = "recv"
SEND: Final = "send"
TIMEOUT: Final = "timeout"
READ: Final = "read"

IORING_SETUP_SQPOLL: Final = 1 << 1
IORING_SETUP_SINGLE_ISSUER: Final = 1 << 12
IORING_SETUP_DEFER_TASKRUN: Final = 1 << 13
IOSQE_BUFFER_SELECT: Final = 1 << 5
IOSQE_CQE_SKIP_SUCCESS: Final = 1 << 6
IORING_CQE_F_MORE: Final = 1 << 1
BUFFER_SHIFT: Final = 16
BUFFER_BYTES: Final = 4096
BUFFERS: Final = 1024
"""Provided for multishot recv, of so many bytes each."""
BOUNDED_WORKERS_PER_CORE: Final = 4


@dataclass(frozen=True)
class Options:
    """Completions: SQEs are submitted in batches; CQEs tell what has been done."""

    entries: int = 256
    batch: int = 0
    multishot: bool = False
    skip_send: bool = False
    sqpoll: bool = False
    sq_thread_idle: int = 1_000_000_000
    workers: int = 0


class Sqe:
    """What is submitted, and what must stay where it is until that is complete."""

    __slots__ = ("kind", "memory", "message", "socket")

    def __init__(self, kind: str, socket: Socket | None = None, message: Any = None) -> None:
        self.kind = kind
        self.socket: Any = socket
        self.message = message
        self.memory: Any = None


def main(kernel: Kernel, server: Server, options: Options) -> None:
    """Set up the ring and run the event loop."""
    idle_ns = options.sq_thread_idle if options.sqpoll else None
    ring = Uring(options.entries, idle_ns)
    loop = Loop(kernel, server, options, ring)
    loop.run()


class Loop:
    """The event loop: hand over SQEs, wait for CQEs, go on with what is complete."""

    def __init__(self, kernel: Kernel, server: Server, options: Options, ring: "Uring") -> None:
        self.kernel = kernel
        self.server = server
        self.options = options
        self.ring = ring
        self._batch = options.batch or options.entries
        usual = min(options.entries, BOUNDED_WORKERS_PER_CORE * len(os.sched_getaffinity(0)))
        self._workers = Workers(kernel, server, options.workers or usual)
        self._silent = options.skip_send and kernel.machine.plan.pipeline == 1
        if options.multishot:
            ring.provide_buffers()

    def run(self) -> None:
        """Submit and wait, for ever; do own work when there is nothing to do."""
        kernel, own_work = self.kernel, self.server.own_work
        self.submit_accept()
        if any(device and device.interface == "blocking" for _, device, _ in self.server.steps):
            self.submit_read()
        wait_nr = 0 if own_work.wanted else 1
        while True:
            cqes = self.ring.submit_and_wait(wait_nr)
            kernel.counters.waits += 1
            kernel.counters.wait_events += len(cqes)
            for sqe, result, flags in cqes:
                self.on_complete(sqe, result, flags)
            if own_work.wanted and not cqes:
                own_work.do_chunk(kernel)

    def submit(self, sqe: Sqe, prepare: Callable[..., None], *given: Any, flags: int = 0) -> None:
        """Fill in an SQE; hand over those before it first if the batch or the ring is full."""
        ring = self.ring
        if ring.full or ring.filled >= self._batch:
            ring.submit()
            if ring.full:  # the kernel's thread has not taken any yet
                ring.sqring_wait()
        ring.fill(sqe, prepare, given, flags)

    def submit_accept(self) -> None:
        """Accept a connection, or all."""
        listener = self.server.listener
        prep = PREP.multishot_accept if self.options.multishot else PREP.accept
        self.submit(Sqe(ACCEPT, listener), prep, listener.fd, None, None, sockets.SOCK_CLOEXEC)

    def submit_recv(self, socket: Socket, multishot: bool) -> None:
        """Receive what is missing of a message; or all there is, again and again."""
        sqe = Sqe(RECV, socket)
        if multishot:
            self.submit(sqe, PREP.recv_multishot, socket.fd, None, 0, 0, flags=IOSQE_BUFFER_SELECT)
            return
        size_bytes = socket.wanted - len(socket.have)
        sqe.memory = (ctypes.c_char * size_bytes)()
        self.submit(sqe, PREP.recv, socket.fd, ctypes.addressof(sqe.memory), size_bytes, 0)

    def submit_read(self) -> None:
        """Be told of blocking calls that have ended."""
        sqe = Sqe(READ)
        sqe.memory = ctypes.c_uint64()
        self.submit(sqe, PREP.read, self._workers.ended, ctypes.addressof(sqe.memory), 8, 0)

    def on_complete(self, sqe: Sqe, result: int, flags: int) -> None:
        """Go on where the SQE was submitted."""
        more = bool(flags & IORING_CQE_F_MORE)
        if sqe.kind is ACCEPT:
            if not more:
                self.submit_accept()
            if result >= 0:
                family, kind = sockets.AF_INET, sockets.SOCK_STREAM
                connection = self.kernel.connection(sockets.socket(family, kind, 0, result))
                self.submit_recv(connection, self.options.multishot)
        elif sqe.kind is SEND:
            if result >= 0 and isinstance(sqe.message, Request):
                self.kernel.counters.answered += 1
            self.on_sent(sqe.socket)
        elif sqe.kind is RECV:
            self.on_received(sqe, result, flags, more)
        elif sqe.kind is READ:
            self.submit_read()
            for query in self._workers.take():
                self.advance(query.request)
        elif sqe.kind is TIMEOUT:
            self.advance(sqe.message)

    def on_received(self, sqe: Sqe, result: int, flags: int, more: bool) -> None:
        """A request or a part of it, a device's answer, or the end of a connection."""
        kernel, socket = self.kernel, sqe.socket
        if sqe.memory is not None:
            data = sqe.memory.raw[: max(0, result)]
        elif result > 0:
            data = self.ring.take_buffer(flags >> BUFFER_SHIFT, result)
        else:
            data = b""
        if result == -ENOBUFS:
            self.submit_recv(socket, multishot=True)
            return
        messages = []
        while True:  # several messages may have come at once into a provided buffer
            wanted_bytes = socket.wanted - len(socket.have)
            message = kernel.received(socket, data[:wanted_bytes])
            messages.append(message)
            data = data[wanted_bytes:]
            if message is EOF or not data:
                break
        if messages[-1] is EOF:
            kernel.close(socket)
            messages.pop()
        elif isinstance(message, Query):
            self.on_answer(socket, message)
            return
        elif not more:
            self.submit_recv(socket, self.options.multishot and socket.query is None)
        for message in messages:
            if message is not PARTIAL:
                self.advance(message)

    def on_answer(self, socket: Socket, query: Query) -> None:
        """A device has answered: ask again, or its connection is free, the request goes on."""
        if query.try_again():
            self.ask(socket, query)
            return
        device = next(d for _, d, _ in self.server.steps if d and d.number == query.device)
        self.server.release(device, socket)
        self.advance(query.request)

    def advance(self, request: Request) -> None:
        """Do the request's steps up to one that takes time elsewhere, or answer it."""
        kernel, server = self.kernel, self.server
        while request.next_step < len(server.steps) and not request.failed:
            if server.cancel and server.gave_up(request):
                return
            kind, device, columns = server.steps[request.next_step]
            amounts = request.amounts[columns]
            request.next_step += 1
            if kind is CPU:
                kernel.compute(amounts[0])
                continue
            if device is None:
                sqe = Sqe(TIMEOUT, message=request)
                sqe.memory = (ctypes.c_int64 * 2)(*divmod(amounts[0], NS_PER_S))
                self.submit(sqe, PREP.timeout, ctypes.addressof(sqe.memory), 0, 0)
                return
            query = Query(request, device.number, amounts)
            if device.interface == "blocking":
                self._workers.submit(device, query)
                return
            socket, _ = server.connection_to(kernel, device)
            self.ask(socket, query)
            return
        self.answer(request)

    def ask(self, socket: Socket, query: Query) -> None:
        """Submit a device's query, and the recv of its answer."""
        self.send(socket, query, self._silent)
        self.submit_recv(socket, multishot=False)

    def answer(self, request: Request) -> None:
        """Submit the answer; after those before it, as a send may have to wait for room."""
        socket = request.connection
        if socket.socket.fileno() < 0:  # closed meanwhile
            return
        if not self._silent:
            if socket.user_data is not None:
                socket.user_data.append(request)
                return
            socket.user_data = deque()
        self.send(socket, request, self._silent)

    def on_sent(self, socket: Socket) -> None:
        """A send is complete: submit the next on that connection."""
        if socket.user_data is None:
            return
        if not socket.user_data or socket.socket.fileno() < 0:
            socket.user_data = None
            return
        self.send(socket, socket.user_data.popleft(), silent=False)

    def send(self, socket: Socket, message: Request | Query, silent: bool) -> None:
        """Submit a send."""
        sqe = Sqe(SEND, socket, message)
        data = sqe.memory = self.kernel.packed(socket, message)
        how, flags = sockets.MSG_WAITALL | sockets.MSG_NOSIGNAL, 0
        if silent:
            socket.user_data = sqe  # until the next is sent: by then this one has arrived
            self.kernel.counters.answered += isinstance(message, Request)
            flags = IOSQE_CQE_SKIP_SUCCESS
        self.submit(sqe, PREP.send, socket.fd, data, len(data), how, flags=flags)


class Workers:
    """Threads for calls that block, and the calls that have ended."""

    def __init__(self, kernel: Kernel, server: Server, most: int) -> None:
        self.ended = os.eventfd(0)
        self._kernel = kernel
        self._server = server
        self._most = most
        self._count = self._idle = 0
        self._calls: deque[tuple[Device, Query]] = deque()
        self._calls_there = Condition(Lock())
        self._results: deque[Query] = deque()

    def submit(self, device: Device, query: Query) -> None:
        """Have a worker do it: an idle one, a new one, or the next to be free."""
        with self._calls_there:
            self._calls.append((device, query))
            if len(self._calls) > self._idle and self._count < self._most:
                self._count += 1
                self._kernel.spawn(f"worker {self._count}", self._work)
            else:
                self._calls_there.notify()

    def _work(self, kernel: Kernel) -> None:
        while True:
            with self._calls_there:
                self._idle += 1
                while not self._calls:
                    self._calls_there.wait()
                self._idle -= 1
                device, query = self._calls.popleft()
            call(kernel, self._server, device, query)
            self._results.append(query)
            os.eventfd_write(self.ended, 1)

    def take(self) -> list[Query]:
        """Those whose call has ended."""
        return [self._results.popleft() for _ in range(len(self._results))]


# ------------------------------------------------------------------------ liburing


class Cqe(ctypes.Structure):
    """struct io_uring_cqe."""

    _fields_ = (("user_data", ctypes.c_uint64), ("res", ctypes.c_int32), ("flags", ctypes.c_uint32))


class Params(ctypes.Structure):
    """struct io_uring_params."""

    _fields_ = (
        ("sq_entries", ctypes.c_uint32),
        ("cq_entries", ctypes.c_uint32),
        ("flags", ctypes.c_uint32),
        ("sq_thread_cpu", ctypes.c_uint32),
        ("sq_thread_idle", ctypes.c_uint32),
        ("rest", ctypes.c_uint32 * 25),
    )


class Prep:
    """The functions that fill in an SQE, by their names."""

    FUNCTIONS: Final = {
        "accept": "ippi",
        "multishot_accept": "ippi",
        "recv": "ipzi",
        "recv_multishot": "ipzi",
        "send": "ipzi",
        "timeout": "pii",
        "read": "ipiq",
    }
    """Each one's arguments after the SQE: int, pointer, size_t, 64 bits."""
    TYPES: Final = {
        "i": ctypes.c_int,
        "p": ctypes.c_void_p,
        "z": ctypes.c_size_t,
        "q": ctypes.c_uint64,
    }
    accept: Callable[..., None]
    multishot_accept: Callable[..., None]
    recv: Callable[..., None]
    recv_multishot: Callable[..., None]
    send: Callable[..., None]
    timeout: Callable[..., None]
    read: Callable[..., None]

    def load(self, library: ctypes.PyDLL) -> None:
        """Find them in `library`."""
        for name, given in self.FUNCTIONS.items():
            function = getattr(library, f"io_uring_prep_{name}")
            function.restype = None
            function.argtypes = [ctypes.c_void_p, *(self.TYPES[each] for each in given)]
            setattr(self, name, function)


PREP: Final = Prep()


class Uring:
    """An io_uring instance."""

    def __init__(self, entries: int, idle_ns: int | None) -> None:
        try:
            from liburing import liburing
        except ModuleNotFoundError:
            raise Refused("needs the package liburing") from None
        # Calls that may sleep let other threads run; those that only fill in memory do not.
        self._calls = ctypes.CDLL(liburing.__file__)
        self._memory = ctypes.PyDLL(liburing.__file__)
        PREP.load(self._memory)
        self._memory.io_uring_get_sqe.restype = ctypes.c_void_p
        self._memory.io_uring_sqe_set_data64.argtypes = [ctypes.c_void_p, ctypes.c_uint64]
        self._memory.io_uring_sqe_set_flags.argtypes = [ctypes.c_void_p, ctypes.c_uint]
        self._ring = ctypes.create_string_buffer(1024)
        self._sqpoll = idle_ns is not None
        params = Params(flags=IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN)
        if idle_ns is not None:
            params.flags = IORING_SETUP_SQPOLL
            params.sq_thread_idle = max(1, idle_ns // NS_PER_MS)
        error = self._calls.io_uring_queue_init_params(entries, self._ring, ctypes.byref(params))
        if error:
            raise Refused(f"io_uring_setup: {os.strerror(-error)}")
        self._cqes = (ctypes.POINTER(Cqe) * params.cq_entries)()
        # Filled by the program and not handed over.
        self.filled = 0
        # Those under way, by the numbers that come back with their completions.
        self._sqes: dict[int, Sqe] = {}
        self._number = 0
        self._buffers: Any = None
        self._buffer_ring = 0

    @property
    def full(self) -> bool:
        """True if there is no room for another SQE."""
        return not self._memory.io_uring_sq_space_left(self._ring)

    def fill(
        self, sqe: Sqe, prepare: Callable[..., None], given: tuple[Any, ...], flags: int
    ) -> None:
        """Fill in an SQE; there must be room."""
        entry = self._memory.io_uring_get_sqe(self._ring)
        prepare(entry, *given)
        self._number += 1
        self._memory.io_uring_sqe_set_data64(entry, self._number)
        if flags:
            self._memory.io_uring_sqe_set_flags(entry, flags)
        if not flags & IOSQE_CQE_SKIP_SUCCESS:
            self._sqes[self._number] = sqe
        self.filled += 1

    def submit(self) -> None:
        """Hand over what is filled; with SQPOLL without a syscall while its thread is awake."""
        self._calls.io_uring_submit(self._ring)
        self.filled = 0

    def sqring_wait(self) -> None:
        """With SQPOLL, sleep until its thread has made room in the submission ring."""
        self._calls.io_uring_sqring_wait(self._ring)

    def submit_and_wait(self, wait_nr: int) -> list[tuple[Sqe, int, int]]:
        """Hand over what is filled, wait for completions, and take all there are.

        Each is what was submitted, the result, and flags.
        """
        memory, ring = self._memory, self._ring
        if not wait_nr:
            self._calls.io_uring_submit_and_get_events(ring)
        elif self._sqpoll:
            self._calls.io_uring_submit(ring)
            if memory.io_uring_cq_ready(ring) < wait_nr:
                self._calls.io_uring_submit_and_wait(ring, wait_nr)
        else:
            self._calls.io_uring_submit_and_wait(ring, wait_nr)
        self.filled = 0
        count = memory.io_uring_peek_batch_cqe(ring, self._cqes, len(self._cqes))
        found = []
        for i in range(count):
            cqe = self._cqes[i].contents
            number, flags = cqe.user_data, cqe.flags
            more = flags & IORING_CQE_F_MORE
            sqe = self._sqes.get(number) if more else self._sqes.pop(number, None)
            if sqe is not None:  # else a send without a completion that has failed
                found.append((sqe, cqe.res, flags))
        memory.io_uring_cq_advance(ring, count)
        return found

    # ------------------------------------------------------------------ provided buffers

    def provide_buffers(self) -> None:
        """Let the kernel choose a buffer whenever it receives for a multishot SQE."""
        error = ctypes.c_int()
        setup = self._calls.io_uring_setup_buf_ring
        setup.restype = ctypes.c_void_p
        found = setup(self._ring, BUFFERS, 0, 0, ctypes.byref(error))
        if found is None:
            raise Refused(f"io_uring_setup_buf_ring: {os.strerror(-error.value)}")
        self._buffer_ring = found
        self._buffers = ctypes.create_string_buffer(BUFFERS * BUFFER_BYTES)
        self._memory.io_uring_buf_ring_add.argtypes = [
            ctypes.c_void_p,
            ctypes.c_void_p,
            ctypes.c_uint,
            ctypes.c_ushort,
            ctypes.c_int,
            ctypes.c_int,
        ]
        self._memory.io_uring_buf_ring_advance.argtypes = [ctypes.c_void_p, ctypes.c_int]
        for number in range(BUFFERS):
            self._give_back(number)

    def take_buffer(self, number: int, size_bytes: int) -> bytes:
        """What has been received into this buffer, which is free again."""
        data = ctypes.string_at(self._address(number), size_bytes)
        self._give_back(number)
        return data

    def _address(self, number: int) -> int:
        return ctypes.addressof(self._buffers) + number * BUFFER_BYTES

    def _give_back(self, number: int) -> None:
        mask = BUFFERS - 1
        add = self._memory.io_uring_buf_ring_add
        add(self._buffer_ring, self._address(number), BUFFER_BYTES, number, mask, 0)
        self._memory.io_uring_buf_ring_advance(self._buffer_ring, 1)
