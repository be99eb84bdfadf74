"""uvloop: asyncio's tasks and streams on libuv's event loop.

    a pass:  the handles that are ready: tasks go on, and write | epoll_wait | for each event: read,
             feed the buffer, wake the task | the timers that are due

The program is asyncio's, and so are its tasks, futures and StreamReaders; what runs them is C. What
has been read in one pass is worked on in the next, which begins with it: libuv runs *idle* handles
before it waits, so that epoll is asked once for all that has come together, and not a second time.
An answer is written by its task, before the task after it goes on; so the first of a batch leaves
when everything that came with it has been read.

Reading and waiting leave the interpreter lock to others; writing does not. There is one buffer for
all reads. What is to be watched is told by a ring of io_uring, when the loop next waits.

libuv's clock counts whole milliseconds: a sleep ends in the first pass in which so many have begun,
up to one of them early. A timer, or a connection, that has been closed makes the loop go round once
more without waiting.

These are CPython's costs; under `runtime: native` the interpreter lock is left out, and nothing
else. read(2) and write(2) cost what recvfrom and sendto do.

Not modelled: the loop's socket calls (sock_recv); what asyncio leaves out, too: executors, flow
control by the buffers' limits, the garbage collector, copying that grows with a message; a kernel
that refuses io_uring (epoll_ctl takes its place), more than 1,024 events at once, the getpid(2) in
each sleep under CPython 3.11.
Source: uvloop 0.23 uvloop/loop.pyx (_on_idle), handles/stream.pyx, handles/timer.pyx; its libuv
1.52 src/unix/core.c (uv_run), linux.c (uv__io_poll), stream.c (uv__read), src/timer.c.
Validated by: tests/timeline/test_uvloop.py, tests/conformance
"""

from collections.abc import Callable, Generator
from functools import partial
from heapq import heappop, heappush
from itertools import islice
from typing import Any, Final

from iosim.choice import Options as BaseOptions
from iosim.handler import Server
from iosim.io_models.asyncio import AWAIT, StreamReader, TaskLoop, converse
from iosim.machine.kernel import Kernel
from iosim.machine.readiness import EPOLLIN, EPOLLOUT
from iosim.machine.request import Request
from iosim.machine.sockets import EAGAIN, EOF, Socket
from iosim.machine.thread import SYSCALL, Program

MOST_EVENTS: Final = 1_024
"""That one epoll_wait reports."""
RING_ENTRIES: Final = 256
MILLISECOND_NS: Final = 1_000_000


class Options(BaseOptions):
    """uvloop: asyncio's tasks and streams on libuv's event loop."""


def main(kernel: Kernel, server: Server, options: Options) -> Program:
    """Serve on the event loop, by the program that `asyncio` runs."""
    return Loop(kernel, server).run()


class Stream(StreamReader):
    """asyncio's StreamReader over libuv's stream, which the loop reads and the task writes."""

    loop: "Loop"

    def __init__(self, loop: "Loop", socket: Socket) -> None:
        super().__init__(loop)
        self._socket = socket
        # What did not fit into the send buffer, and who awaits that it is sent.
        self._unsent: Any = None
        self._unsent_bytes = 0
        self._writer: Program | None = None

    def on_ready(self) -> Program:
        """libuv's callback: there is something to read, or room for what is unsent."""
        if self._unsent is not None:
            yield from self._on_writable()
        else:
            yield from self._on_readable()

    def _on_readable(self) -> Program:
        """Read once; feed the reader, and wake its task."""
        loop = self.loop
        message = yield from loop.without_lock(loop.c.recvfrom(self._socket, "read"))
        if message is EOF:
            loop.stop_reading(self._socket)
        loop.charge(loop.costs.uvloop_stream_ns, "from libuv to the protocol")
        self.feed(message)

    def write(self, message: Any, size_bytes: int) -> Generator[Any, Any, None]:
        """Write at once while nothing is unsent; drain the rest."""
        loop = self.loop
        loop.kernel.work_on_message()
        loop.charge(loop.costs.uvloop_write_ns, "write to the transport")
        self._unsent, self._unsent_bytes = message, size_bytes
        yield from self._send()
        if self._unsent_bytes:
            yield from self._send_more()  # now by uv_write, which tries first, too
            loop.wait_for(self._socket, EPOLLOUT)
            self._writer = loop.running
            yield AWAIT
        else:
            self._unsent = None

    def _send(self) -> Generator[Any, Any, None]:
        sent_bytes = yield from self.loop.c.sendto(
            self._socket, self._unsent, self._unsent_bytes, "write"
        )
        self._unsent_bytes -= sent_bytes

    def _send_more(self) -> Generator[Any, Any, None]:
        self._unsent.begin(self.loop.kernel.thread, self.loop.kernel.now_ns)
        yield from self._send()

    def _on_writable(self) -> Program:
        """Send more; after the last of it wake the task."""
        loop = self.loop
        if self._unsent_bytes:
            yield from loop.without_lock(self._send_more())
        if not self._unsent_bytes:
            self._unsent = None
            loop.wait_for(self._socket, EPOLLIN)
            assert self._writer is not None
            loop.resume_soon(self._writer)

    def close(self) -> Program:
        """Close the transport: its callback closes the connection in the next pass."""
        self.loop.call_soon(partial(self.loop.close, self._socket))
        return
        yield


class Loop(TaskLoop):
    """libuv's loop under uvloop's, in one thread."""

    def __init__(self, kernel: Kernel, server: Server) -> None:
        costs = kernel.costs
        super().__init__(
            kernel,
            server,
            costs.uvloop_handle_ns,
            costs.uvloop_resume_ns,
            costs.asyncio_task_memory_bytes,
        )
        # The kernel as libuv, a library in C, sees it.
        self.c = kernel.of_extension()
        self.without_lock = kernel.without_lock
        self._epoll: Any = None
        self._ring: Any = None
        self._callbacks: dict[Socket, Callable[[], Program]] = {}
        self._streams: dict[Socket, Stream] = {}
        # What the kernel is to be told to watch before the loop waits.
        self._changes: dict[Socket, str] = {}
        # What is read no longer and still watched.
        self._stopped: list[Socket] = []
        # Whether a handle of libuv has been closed since the loop last waited.
        self._closing = False
        self._timers: list[tuple[int, int, Program]] = []
        self._now_ms = 0

    # -------------------------------------------------------------------- the one pass

    def run(self) -> Program:
        """Pass after pass, for ever."""
        listener, costs = self.server.listener, self.costs
        self._epoll = yield from self.c.epoll_create1()
        self._ring = yield from self.c.io_uring_setup(RING_ENTRIES)
        listener.nonblocking = True
        self._callbacks[listener] = self._accept
        self.wait_for(listener, EPOLLIN)
        if self.server.own_work.wanted:
            self.call_soon(self._work)
        while True:
            self.charge(costs.uvloop_pass_ns, "a pass of the loop")
            yield from self.run_ready()
            yield from self._poll()
            self._update_time()
            while self._timers and self._timers[0][0] <= self._now_ms:
                self._closing = True  # libuv's handle of the timer
                self.charge(costs.uvloop_handle_ns, "a handle")
                self.resume_soon(heappop(self._timers)[2])

    def _poll(self) -> Program:
        """Wait, unless there is something to be run, and read what has come."""
        c = self.c
        while self._changes:
            batch = tuple(islice(self._changes.items(), self._ring.entries))
            for socket, _ in batch:
                del self._changes[socket]
            yield from self.without_lock(c.io_uring_epoll_ctl(self._ring, self._epoll, batch))
        hurry = self._ready or self._closing or self._stopped
        timeout_ns = 0 if hurry else self._timeout_ns()
        self._closing = False
        events = yield from self.without_lock(c.epoll_wait(self._epoll, MOST_EVENTS, timeout_ns))
        # A socket at its end stays readable, and is told of once more.
        stopped, self._stopped = self._stopped, []
        for socket in stopped:
            self.kernel.thread.charge(SYSCALL, self.costs.epoll_wait_per_event_ns, "epoll_wait")
            yield from c.epoll_ctl_del(self._epoll, socket)
        for socket in events:
            yield from self._callbacks[socket]()

    def _timeout_ns(self) -> int | None:
        if not self._timers:
            return None
        return max(0, self._timers[0][0] - self._now_ms) * MILLISECOND_NS

    def _update_time(self) -> None:
        self._now_ms = self.kernel.now_ns // MILLISECOND_NS

    def _work(self) -> Program:
        """A callback that does a chunk of the server's own work, and has itself called again."""
        yield from self.server.own_work.do_chunk(self.kernel)
        self.call_soon(self._work)

    # -------------------------------------------------------------- what callbacks call

    def wait_for(self, socket: Socket, events: str) -> None:
        """Watch `socket` for `events` when the loop next waits. Plain call."""
        self._changes[socket] = events

    def stop_reading(self, socket: Socket) -> None:
        """Nobody reads `socket` any more: it is taken out when it is told of again. Plain call."""
        self._stopped.append(socket)

    def _accept(self) -> Program:
        """The listener's callback: one connection a pass, whose task begins two passes later."""
        connection = yield from self.without_lock(self.c.accept4(self.server.listener))
        if connection is EAGAIN:
            return
        self.c.describe("setsockopt")
        self._connect(connection, partial(self.start_task, converse(self, connection)))

    def _connect(self, socket: Socket, then: Callable[[], None]) -> None:
        """Make a transport: its first callback has `socket` read from then on. Plain call."""
        socket.nonblocking = True
        self._streams[socket] = Stream(self, socket)
        self.call_soon(partial(self._on_connected, socket, then))

    def _on_connected(self, socket: Socket, then: Callable[[], None]) -> Program:
        self.c.describe("getsockname")
        self.c.describe("getpeername")
        self._callbacks[socket] = self._streams[socket].on_ready
        self.wait_for(socket, EPOLLIN)
        then()
        return
        yield

    def close(self, socket: Socket) -> Program:
        """A transport's last callback."""
        del self._callbacks[socket], self._streams[socket]
        self._changes.pop(socket, None)
        yield from self.c.epoll_ctl_del(self._epoll, socket)
        yield from self.c.close(socket)
        self._closing = True

    # ------------------------------------------------------------------ what tasks call

    def open(self, socket: Socket) -> Generator[Any, Any, Stream]:
        """The stream of a connection; one to a device is made first."""
        if socket not in self._streams:
            self._connect(socket, partial(self.resume_soon, self.running))
            yield AWAIT
        return self._streams[socket]

    def sleep(self, request: Request, ns: int) -> Generator[Any, Any, None]:
        """Let other tasks run for `ns`, in whole milliseconds."""
        kernel = self.kernel
        yield from kernel.settle()
        request.pause(kernel.now_ns)
        until_ns = kernel.now_ns + ns
        delay_ms = round(ns / MILLISECOND_NS)
        if delay_ms:
            self._update_time()
            heappush(self._timers, (self._now_ms + delay_ms, request.number, self.running))
        else:
            self.call_soon(partial(self._on_time, self.running))
        yield AWAIT
        request.device_done(min(until_ns + kernel.costs.timer_slack_ns, kernel.now_ns))
        request.begin(kernel.thread, kernel.now_ns)

    def _on_time(self, task: Program) -> Program:
        """The handle of a sleep too short for a timer: its task is for the next pass."""
        self.resume_soon(task)
        return
        yield
