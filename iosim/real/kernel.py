"""The syscalls of `iosim.machine.kernel`, made for real: same names, same answers.

A program for the simulated kernel, less its `yield from`, runs on this one. A connection is
read one message at a time, as there: `recvfrom` asks for no more than what is missing of it,
and answers the request, `PARTIAL` if it is not whole yet, `EOF`, or `EAGAIN` (a socket that
does not block). What nobody could have meant (a row or a size that the plan does not have, a
reset) is an `EOF`. The plan's usual size of a request must be its smallest.

A connection costs no more syscalls than there, but for a getsockname(2) of Python's own: it
inherits TCP_NODELAY from the listener, and where it is not to block each call says so
(MSG_DONTWAIT), as Python cannot ask accept4 for that.

Not done: what only one I/O model needs is in that model's file.
Validated by: tests/real
"""

import os
import select as readiness
import socket as sockets
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from traceback import print_exc
from typing import Any, Final

from iosim.real.plan import FAILED, FIXED_COLUMNS, HEADER, QUERY, QUERY_BYTES, REPLY_FILL, Plan
from iosim.real.process import give_up

GAP_NS: Final = 5_000
"""A loop of `burn` never takes so long: something else ran."""

NS_PER_S: Final = 1_000_000_000
NS_PER_MS: Final = 1_000_000


class Refused(Exception):
    """What this machine, its kernel or the installed packages do not allow."""


class Over(Exception):
    """The load is over: what a thread raises that has nothing more to do."""


class Sign:
    """What a call answers instead of a message."""

    def __init__(self, name: str) -> None:
        self._name = name

    def __repr__(self) -> str:
        return self._name


EAGAIN: Final = Sign("EAGAIN")
PARTIAL: Final = Sign("PARTIAL")
EOF: Final = Sign("EOF")


class Request:
    """A request that has been received."""

    __slots__ = ("amounts", "connection", "failed", "next_step", "number", "reply_bytes")

    def __init__(
        self, number: int, connection: "Socket", amounts: Sequence[int], reply_bytes: int
    ) -> None:
        self.number = number
        self.connection = connection
        # The row's columns of the steps, one after the other.
        self.amounts = amounts
        self.reply_bytes = reply_bytes
        # Whether a call on its behalf has failed: its answer then is an error.
        self.failed = False
        self.next_step = 0


class Query:
    """A call to a device on behalf of a request; `attempts` as in the plan's table."""

    __slots__ = ("attempts", "device", "failed", "request", "service_ns")

    def __init__(self, request: Request, device: int, attempts: Sequence[int]) -> None:
        self.request = request
        self.device = device
        self.attempts = attempts
        self.service_ns, self.failed = attempts[0] >> 1, attempts[0] & 1

    def try_again(self) -> bool:
        """Now that it is answered: if with an error, turn to the next attempt, if there is one."""
        if not self.failed:
            return False
        if len(self.attempts) > 1:
            self.attempts = self.attempts[1:]
            self.service_ns, self.failed = self.attempts[0] >> 1, self.attempts[0] & 1
            return True
        self.request.failed = True
        return False


class Socket:
    """A descriptor with what has come of its next message, and what has not been sent yet."""

    __slots__ = (
        "fd",
        "flags",
        "have",
        "query",
        "reader",
        "recv",
        "send",
        "socket",
        "unsent",
        "user_data",
        "wanted",
    )

    def __init__(self, socket: sockets.socket, wanted: int) -> None:
        self.socket = socket
        self.fd = socket.fileno()
        # Of each call: MSG_DONTWAIT or none.
        self.flags = 0
        self.recv = socket.recv
        self.send = socket.send
        # Bytes of the message that is coming: those that are here, and how many it will have.
        self.have = bytearray()
        self.wanted = wanted
        # To a device: what it is to answer.
        self.query: Query | None = None
        self.unsent: memoryview | None = None
        self.user_data: Any = None
        # Held by who reads, where several threads may read the same socket.
        self.reader: threading.Lock | None = None

    @property
    def nonblocking(self) -> bool:
        """Whether its calls answer EAGAIN instead of blocking."""
        return bool(self.flags)

    @nonblocking.setter
    def nonblocking(self, value: bool) -> None:
        self.flags = sockets.MSG_DONTWAIT if value else 0

    def hung_up(self) -> bool:
        """Whether the peer has closed it. A syscall more than the simulated program makes."""
        try:
            return self.recv(1, sockets.MSG_PEEK | sockets.MSG_DONTWAIT) == b""
        except BlockingIOError:
            return False
        except OSError:
            return True


class Listener(Socket):
    """A socket that accepts: accept4 has no flag of its own for not blocking."""

    __slots__ = ()

    @property
    def nonblocking(self) -> bool:
        """Whether accept4 answers EAGAIN instead of blocking."""
        return not self.socket.getblocking()

    @nonblocking.setter
    def nonblocking(self, value: bool) -> None:
        self.socket.setblocking(not value)


class Counters:
    """What the program counts about itself, per thread: no two threads share one."""

    NAMES = (
        "waits",
        "wait_events",
        "wasted_polls",
        "coroutine_switches",
        "own_work_ns",
        "answered",
    )
    __slots__ = NAMES

    def __init__(self) -> None:
        self.answered = self.coroutine_switches = self.own_work_ns = 0
        self.wait_events = self.waits = self.wasted_polls = 0


class Kernel:
    """The syscalls of one thread."""

    def __init__(self, machine: "Machine") -> None:
        self.machine = machine
        self.counters = Counters()
        self._table = machine.table
        self._columns = machine.plan.columns
        self._usual_bytes = machine.plan.request_bytes
        machine.running.append(self.counters)

    # ------------------------------------------------------------------------- sockets

    def accept4(self, listener: Socket) -> Any:
        """The next connection, or EAGAIN."""
        try:
            connection, _ = listener.socket.accept()
        except BlockingIOError:
            self.counters.wasted_polls += 1
            return EAGAIN
        except ConnectionAbortedError:
            return EAGAIN
        return self.connection(connection)

    def connection(self, accepted: sockets.socket) -> Socket:
        """What a client's connection is to the program. No syscall."""
        return Socket(accepted, self._usual_bytes)

    def recvfrom(self, socket: Socket) -> Any:
        """A request, a query that is answered, PARTIAL, EOF or EAGAIN."""
        if socket.reader is not None:
            with socket.reader:
                return self._recvfrom(socket)
        return self._recvfrom(socket)

    def _recvfrom(self, socket: Socket) -> Any:
        try:
            data = socket.recv(socket.wanted - len(socket.have), socket.flags)
        except BlockingIOError:
            self.counters.wasted_polls += 1
            return EAGAIN
        except OSError:
            return EOF
        return self.received(socket, data)

    def received(self, socket: Socket, data: bytes | bytearray) -> Any:
        """What `data`, no more than was wanted, makes of what `socket` has. No syscall."""
        if not data:
            return EOF
        if socket.have:
            socket.have += data
            data = socket.have
        if len(data) < HEADER.size:
            socket.have = bytearray(data)
            return PARTIAL
        if socket.query is not None:
            return self._answered(socket, data)
        number, size_bytes = HEADER.unpack_from(data)
        first = number * self._columns
        if first >= len(self._table) or size_bytes != self._table[first + 2]:
            return EOF
        if size_bytes > len(data):
            socket.have, socket.wanted = bytearray(data), size_bytes
            return PARTIAL
        if size_bytes < len(data):
            return EOF
        socket.have, socket.wanted = bytearray(), self._usual_bytes
        row = self._table[first : first + self._columns]
        return Request(number, socket, row[FIXED_COLUMNS:], row[3])

    @staticmethod
    def _answered(socket: Socket, data: bytes | bytearray) -> Any:
        if len(data) < QUERY_BYTES:
            socket.have = bytearray(data)
            return PARTIAL
        socket.have = bytearray()
        query, socket.query = socket.query, None
        return query

    def sendto(self, socket: Socket, message: Request | Query, left_bytes: int) -> int:
        """Send what is left of an answer, or a query; how many bytes were sent."""
        data: bytes | memoryview
        data = self.packed(socket, message) if socket.unsent is None else socket.unsent
        try:
            sent_bytes = socket.send(data, socket.flags)
        except BlockingIOError:
            sent_bytes = 0
        except OSError:  # the peer is gone: as if it had taken everything
            socket.unsent = None
            return left_bytes
        if sent_bytes == left_bytes:
            socket.unsent = None
            self.counters.answered += isinstance(message, Request)
        else:
            socket.unsent = memoryview(data)[sent_bytes:]
        return sent_bytes

    @staticmethod
    def packed(socket: Socket, message: Request | Query) -> bytes:
        """An answer or a query as it is sent over `socket`. No syscall."""
        if isinstance(message, Query):
            socket.query, socket.wanted = message, QUERY_BYTES
            number = message.request.number
            head = QUERY.pack(number, message.device, message.failed, message.service_ns)
            return head.ljust(QUERY_BYTES, b"\0")
        flag = FAILED if message.failed else 0
        head = HEADER.pack(message.number, message.reply_bytes | flag)
        return head.ljust(message.reply_bytes, REPLY_FILL)

    def sendall(self, socket: Socket, message: Request) -> None:
        """Answer `message`; a socket that blocks takes all of it."""
        left_bytes = message.reply_bytes
        while left_bytes:
            left_bytes -= self.sendto(socket, message, left_bytes)

    def connect(self, device: int) -> Socket:
        """A connection to a device."""
        connection = sockets.create_connection(("127.0.0.1", self.machine.devices_port))
        connection.setsockopt(sockets.IPPROTO_TCP, sockets.TCP_NODELAY, 1)
        return Socket(connection, QUERY_BYTES)

    def close(self, socket: Socket) -> None:
        """Close a connection."""
        socket.socket.close()

    # ------------------------------------------------------------- select and poll

    def select(self, descriptors: "DescriptorSet", timeout_ns: int | None) -> list[Socket]:
        """As `poll`, for descriptors below FD_SETSIZE."""
        timeout_s = None if timeout_ns is None else timeout_ns / NS_PER_S
        try:
            found = readiness.select(descriptors.reading, descriptors.writing, (), timeout_s)
        except ValueError:
            fd = max(descriptors.sockets)
            raise Refused(f"select cannot watch descriptor {fd}: only those below 1024") from None
        return self._ready(descriptors, [*found[0], *found[1]])

    def poll(self, descriptors: "DescriptorSet", timeout_ns: int | None) -> list[Socket]:
        """The sockets that are ready."""
        timeout_ms = None if timeout_ns is None else timeout_ns / NS_PER_MS
        return self._ready(descriptors, [fd for fd, _ in descriptors.poll.poll(timeout_ms)])

    def _ready(self, descriptors: "DescriptorSet", found: Sequence[int]) -> list[Socket]:
        self.counters.waits += 1
        self.counters.wait_events += len(found)
        return [descriptors.sockets[fd] for fd in found]

    # ---------------------------------------------------------------------- epoll

    def epoll_create1(self) -> readiness.epoll:
        """A new epoll."""
        return readiness.epoll()

    def epoll_wait(
        self,
        epoll: readiness.epoll,
        watched: "dict[int, Any]",
        max_events: int,
        timeout_ns: int | None,
    ) -> list[Any]:
        """What is ready, by its descriptor in `watched`."""
        found = epoll.poll(None if timeout_ns is None else timeout_ns / NS_PER_S, max_events)
        self.counters.waits += 1
        self.counters.wait_events += len(found)
        # One may have been closed by what was done for another.
        return [watched[fd] for fd, _ in found if fd in watched]

    # --------------------------------------------------------------------- time

    @property
    def now_ns(self) -> int:
        """CLOCK_MONOTONIC."""
        return time.monotonic_ns()

    def compute(self, ns: int) -> None:
        """Burn so much time of the thread's own; see `iosim.real`."""
        clock = time.perf_counter_ns
        last_ns = clock()
        until_ns = last_ns + ns
        while last_ns < until_ns:
            now_ns = clock()
            if now_ns - last_ns > GAP_NS:
                until_ns += now_ns - last_ns
            last_ns = now_ns

    def nanosleep(self, ns: int) -> None:
        """Let `ns` pass."""
        time.sleep(ns / NS_PER_S)

    # -------------------------------------------------------------------- threads

    def spawn(self, name: str, program: "Callable[[Kernel], None]") -> threading.Thread:
        """Run `program` in a thread of its own."""
        thread = threading.Thread(target=self.machine.run, args=(program,), name=name, daemon=True)
        try:
            thread.start()
        except RuntimeError:
            count = len(os.listdir("/proc/self/task"))
            raise Refused(f"no thread can be started beside {count} others") from None
        return thread

    def enlist(self) -> None:
        """This thread is one of several workers, whose shares of the requests are told."""
        self.machine.workers.append(self.counters)


class DescriptorSet:
    """The sockets that select or poll is passed, and what is waited for in each."""

    def __init__(self) -> None:
        self.sockets: dict[int, Socket] = {}
        self.reading: dict[int, None] = {}
        self.writing: dict[int, None] = {}
        self.poll = readiness.poll()

    def add(self, socket: Socket) -> None:
        """Wait for data in `socket`."""
        self.sockets[socket.fd] = socket
        self.change(socket, readiness.EPOLLIN)

    def change(self, socket: Socket, events: int) -> None:
        """Wait for `EPOLLIN` or `EPOLLOUT`, which are POLLIN and POLLOUT, in `socket`."""
        self.poll.register(socket.fd, events)
        self.reading.pop(socket.fd, None)
        self.writing.pop(socket.fd, None)
        (self.writing if events == readiness.EPOLLOUT else self.reading)[socket.fd] = None

    def discard(self, socket: Socket) -> None:
        """Wait for `socket` no longer: it is about to be closed."""
        del self.sockets[socket.fd]
        self.poll.unregister(socket.fd)
        self.reading.pop(socket.fd, None)
        self.writing.pop(socket.fd, None)


class Machine:
    """What all threads of the server's process share."""

    def __init__(self, plan: Plan, table: "memoryview[int]", devices_port: int) -> None:
        self.plan = plan
        self.table = table
        self.devices_port = devices_port
        # Of a server, on one port. A pipeline has none.
        self.listeners: list[Listener] = []
        self.running: list[Counters] = []
        self.workers: list[Counters] = []
        self._ended = Counters()
        self._ending = threading.Lock()

    def run(self, program: "Callable[[Kernel], None]") -> None:
        """What a thread does: run `program` to its end; what it cannot do ends the process."""
        kernel = Kernel(self)
        try:
            with suppress(Over):
                program(kernel)
        except (OSError, Refused) as error:
            give_up(f"{self.plan.model}: {error}")
        except BaseException as error:
            print_exc()
            give_up(f"{self.plan.model}: {error!r}")
        with self._ending:
            for name in Counters.NAMES:
                more = getattr(kernel.counters, name)
                setattr(self._ended, name, getattr(self._ended, name) + more)
            self.running.remove(kernel.counters)

    def count(self) -> dict[str, int]:
        """What the program counts, summed over all threads, ended ones included."""
        with self._ending:
            threads = [self._ended, *self.running]
        return {name: sum(getattr(each, name) for each in threads) for name in Counters.NAMES}


def listen(plan: Plan, port: int) -> Listener:
    """A listener on the loopback's `port`; 0: any that is free."""
    listener = sockets.socket(sockets.AF_INET, sockets.SOCK_STREAM)
    listener.setsockopt(sockets.SOL_SOCKET, sockets.SO_REUSEADDR, 1)
    listener.setsockopt(sockets.SOL_SOCKET, sockets.SO_REUSEPORT, 1)
    listener.setsockopt(sockets.IPPROTO_TCP, sockets.TCP_NODELAY, 1)  # connections inherit it
    if plan.send_buffer_bytes:  # connections inherit it; the kernel doubles what it is given
        listener.setsockopt(sockets.SOL_SOCKET, sockets.SO_SNDBUF, plan.send_buffer_bytes // 2)
    listener.bind(("127.0.0.1", port))
    listener.listen(plan.backlog)
    return Listener(listener, plan.request_bytes)
