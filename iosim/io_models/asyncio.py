"""asyncio: coroutines as tasks on CPython's event loop, with all that it does for each of them.

    a pass:   epoll_wait, a handle for each event and timer | run the handles that were ready
    streams:  event: recv, feed the buffer, wake the task   | next pass: the task goes on
    sockets:  event: recv, the future is done               | next pass: the task goes on

A coroutine runs as a *task*; the loop runs *handles*, callbacks in the queue that `call_soon`
fills. What waits for a future goes on through that queue, so one pass after the event: between
them the loop asks epoll once more, without waiting. With streams the loop reads as soon as
there is something, into a buffer so large that it is mapped for each read, and keeps it; with the
loop's socket calls the task reads first, and a socket that has nothing is registered with epoll
for that one wait. What the send buffer has no room for is sent by the loop whenever there is some;
the task goes on after the last byte.

Sleeps end late: the wait in epoll is rounded up to milliseconds.

These are CPython's costs; under `runtime: native` the way from Python to each syscall and the
interpreter lock are left out, and nothing else.

Not modelled: executors, flow control by the buffers' limits (streams drain as with a limit of 0:
until all is sent; meanwhile the loop does not read the socket), the garbage collector, copying
that grows with a message.
Source: CPython 3.11 Lib/asyncio/base_events.py (_run_once), selector_events.py (sock_recv,
sock_sendall, _SelectorSocketTransport: max_size), streams.py (StreamReader), Lib/selectors.py
(EpollSelector).
Validated by: tests/timeline/test_coroutine_flavours.py, tests/conformance
"""

from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable, Generator
from functools import partial
from heapq import heappop, heappush
from typing import Any, Final, Literal

from pydantic import Field

from iosim.choice import Options as BaseOptions
from iosim.handler import CPU, Query, Server, call
from iosim.machine.kernel import Kernel
from iosim.machine.readiness import EPOLLIN, EPOLLOUT
from iosim.machine.request import Request
from iosim.machine.sockets import EAGAIN, EOF, PARTIAL, Socket
from iosim.machine.thread import USER, Program

ALL_EVENTS: Final = 2**31 - 1
"""One epoll_wait reports whatever is ready."""
MILLISECOND_NS: Final = 1_000_000


class Options(BaseOptions):
    """asyncio: tasks on CPython's event loop, by streams or by the loop's socket calls."""

    api: Literal["streams", "sockets"] = Field(
        default="streams",
        description="`streams`: the loop reads into a buffer and wakes the task; `sockets`: "
        "loop.sock_recv, which registers the socket for each wait.",
    )


def main(kernel: Kernel, server: Server, options: Options) -> Program:
    """Serve on the event loop."""
    return Loop(kernel, server, options).run()


# ------------------------------------------------------- what the programmer writes


def converse(loop: "TaskLoop", connection: Socket) -> Program:
    """Serve one connection to its end."""
    stream = yield from loop.open(connection)
    while True:
        request = yield from stream.read()
        if request is EOF:
            break
        yield from handle(loop, request)
        yield from stream.write(request, request.reply_bytes)
    yield from stream.close()


def handle(loop: "TaskLoop", request: Request) -> Program:
    """Go through all steps of `request`; other tasks run while one awaits."""
    kernel, server = loop.kernel, loop.server
    for (kind, device), amount in zip(request.steps, request.amounts, strict=True):
        if server.cancel and (yield from server.gave_up(kernel, request)):
            return
        if kind is CPU:
            yield from kernel.compute(amount)
        elif device is None:
            yield from loop.sleep(request, amount)
        elif device.interface == "blocking":
            yield from call(kernel, server, device, Query(request, amount))
        else:
            socket, is_new = yield from server.connection_to(kernel, device)
            if is_new:
                socket.user_data = yield from loop.open(socket)
            stream = socket.user_data
            query = Query(request, amount)
            while True:
                yield from stream.write(query, query.bytes)
                yield from stream.read()
                if not query.try_again():
                    break
            server.release(device, socket)
        if request.failed:
            break


# ------------------------------------------------------- what makes it work


class Await:
    """What a task yields to the loop when it awaits a future; anything else is for the core."""


AWAIT: Final = Await()


class StreamReader:
    """What a loop has read and a task has not taken yet."""

    def __init__(self, loop: "TaskLoop") -> None:
        self.loop = loop
        self._buffer: deque[Any] = deque()
        self._waiter: Program | None = None

    def feed(self, message: Any) -> None:
        """The loop has read `message`: wake the task that waits for it. Plain call."""
        loop = self.loop
        loop.charge(loop.costs.asyncio_feed_ns, "feed the stream")
        loop.lay_down(message)
        self._buffer.append(message)
        if self._waiter is not None:
            loop.resume_soon(self._waiter)
            self._waiter = None

    def read(self) -> Generator[Any, Any, Any]:
        """The next message; other tasks run until all of it is in the buffer."""
        while True:
            if not self._buffer:
                self._waiter = self.loop.task
                yield AWAIT
            message = self._buffer.popleft()
            if message is not PARTIAL:
                return self.loop.take_up(message)


class Stream(StreamReader):
    """A StreamReader and StreamWriter: the loop reads, the task takes from the buffer."""

    loop: "Loop"

    def __init__(self, loop: "Loop", socket: Socket) -> None:
        super().__init__(loop)
        self.socket = socket

    def open(self) -> Program:
        """Have the loop read from now on."""
        yield from self.loop.add_reader(self.socket, self.on_readable)

    def on_readable(self) -> Program:
        """The transport's callback: receive, feed the reader, wake its task."""
        loop = self.loop
        # Of 256 KiB, twice malloc's M_MMAP_THRESHOLD.
        loop.kernel.map_buffer(loop.costs.asyncio_buffer_ns)
        message = yield from loop.kernel.recvfrom(self.socket)
        if message is EOF:
            yield from loop.remove_reader(self.socket)
        loop.charge(loop.costs.asyncio_stream_ns, "transport and protocol")
        self.feed(message)

    def write(self, message: Any, size_bytes: int) -> Generator[Any, Any, None]:
        """Send at once, as the transport does while its own buffer is empty; drain the rest."""
        loop = self.loop
        loop.charge(loop.costs.asyncio_write_ns, "write to the transport")
        sent_bytes = yield from loop.kernel.sendto(self.socket, message, size_bytes)
        if sent_bytes < size_bytes:
            unsent = Unsent(loop, message, size_bytes - sent_bytes)
            yield from loop.add_writer(self.socket, partial(self.on_writable, unsent))
            yield AWAIT

    def on_writable(self, unsent: "Unsent") -> Program:
        """The transport's callback: send more; after the last of it wake the task."""
        loop = self.loop
        yield from unsent.send(self.socket)
        if not unsent.left_bytes:
            yield from loop.remove_writer(self.socket)
            loop.resume_soon(unsent.task)

    def close(self) -> Program:
        """Close the transport: its callback closes the connection in the next pass."""
        self.loop.call_soon(partial(self.loop.kernel.close, self.socket))
        return
        yield


class SocketCalls:
    """loop.sock_recv and loop.sock_sendall: the task tries first, and waits if it must."""

    def __init__(self, loop: "Loop", socket: Socket) -> None:
        self.loop = loop
        self.socket = socket

    def open(self) -> Program:
        """Nothing: the socket is registered when there is something to wait for."""
        return
        yield

    def read(self) -> Generator[Any, Any, Any]:
        """The next message; other tasks run until all of it is there."""
        while True:
            message = yield from self.receive()
            if message is not PARTIAL:
                return message

    def receive(self) -> Generator[Any, Any, Any]:
        """sock_recv: what there is; other tasks run until there is something."""
        loop = self.loop
        message = yield from loop.kernel.recvfrom(self.socket)
        if message is not EAGAIN:
            return message
        future = Received(loop)
        yield from loop.add_reader(self.socket, partial(self.on_readable, future))
        yield AWAIT
        return loop.take_up(future.message)

    def on_readable(self, future: "Received") -> Program:
        """The reader's callback: receive; what waits for the future is for the next pass."""
        loop = self.loop
        if future.message is not None:  # the future is done already
            return
        future.message = yield from loop.kernel.recvfrom(self.socket)
        loop.lay_down(future.message)
        # The future's first callback: watch the socket no longer.
        loop.call_soon(partial(loop.remove_reader, self.socket))
        loop.resume_soon(future.task)

    def write(self, message: Any, size_bytes: int) -> Generator[Any, Any, None]:
        """sock_sendall: send; other tasks run while there is no room for the rest."""
        loop = self.loop
        sent_bytes = yield from loop.kernel.sendto(self.socket, message, size_bytes)
        if sent_bytes < size_bytes:
            unsent = Unsent(loop, message, size_bytes - sent_bytes)
            yield from loop.add_writer(self.socket, partial(self.on_writable, unsent))
            yield AWAIT

    def on_writable(self, unsent: "Unsent") -> Program:
        """The writer's callback: send more; what waits for the last of it is for the next pass."""
        loop = self.loop
        if not unsent.left_bytes:  # the future is done already
            return
        yield from unsent.send(self.socket)
        if not unsent.left_bytes:
            loop.call_soon(partial(loop.remove_writer, self.socket))
            loop.resume_soon(unsent.task)

    def close(self) -> Program:
        """Close the connection."""
        yield from self.loop.kernel.close(self.socket)


class Received:
    """The future of a message; the running task awaits it."""

    def __init__(self, loop: "Loop") -> None:
        self.task = loop.running
        self.message: Any = None


class Unsent:
    """What did not fit into the send buffer; the running task awaits that it is sent."""

    def __init__(self, loop: "Loop", message: Any, left_bytes: int) -> None:
        self.task = loop.running
        self.kernel = loop.kernel
        self.message = message
        self.left_bytes = left_bytes

    def send(self, socket: Socket) -> Program:
        """There is room: send as much as it takes."""
        kernel = self.kernel
        self.message.begin(kernel.thread, kernel.now_ns)
        self.left_bytes -= yield from kernel.sendto(socket, self.message, self.left_bytes)


Handle = Callable[[], Program]


class TaskLoop(ABC):
    """An event loop's tasks, and the queue of handles through which it runs them."""

    def __init__(
        self, kernel: Kernel, server: Server, handle_ns: int, resume_ns: int, task_bytes: int
    ) -> None:
        self.kernel = kernel
        self.server = server
        self.costs = kernel.costs
        self._handle_ns = handle_ns
        self._resume_ns = resume_ns
        self._task_bytes = task_bytes
        # The task that runs.
        self.task: Program | None = None
        self._ready: deque[Handle] = deque()

    @property
    def running(self) -> Program:
        """The task that runs."""
        assert self.task is not None
        return self.task

    def charge(self, ns: int, label: str) -> None:
        """Owe time in the loop's own code. Plain call."""
        self.kernel.thread.charge(USER, ns, label)

    def start_task(self, task: Program) -> None:
        """Let `task` begin in the next pass. Plain call."""
        self.kernel.machine.memory.take("coroutines", self._task_bytes)
        self.resume_soon(task)

    def call_soon(self, handle: Handle) -> None:
        """Run `handle` in the next pass. Plain call."""
        self.charge(self._handle_ns, "a handle")
        self._ready.append(handle)

    def resume_soon(self, task: Program) -> None:
        """Let `task` go on in the next pass. Plain call."""
        self._ready.append(partial(self._step, task))

    def run_ready(self) -> Program:
        """Run the handles that are ready; what these add is for the next pass."""
        for _ in range(len(self._ready)):
            yield from self._ready.popleft()()

    def _step(self, task: Program) -> Program:
        """Run `task` until it awaits something or ends; with its handle."""
        self.kernel.switch_coroutine(self._resume_ns)
        self.task = task
        value = None
        try:
            while True:
                wanted: Any = task.send(value)
                if wanted is AWAIT:
                    return
                value = yield wanted
        except StopIteration:
            self.kernel.machine.memory.give_back("coroutines", self._task_bytes)

    @abstractmethod
    def open(self, socket: Socket) -> Generator[Any, Any, Any]:
        """Read and write `socket` from tasks, by what this gives back."""

    @abstractmethod
    def sleep(self, request: Request, ns: int) -> Generator[Any, Any, None]:
        """Let other tasks run for `ns`."""

    # A message that the loop has received waits for its task.

    def lay_down(self, message: Any) -> None:
        """Nobody works on `message` from now on. Plain call."""
        if message is not EOF and message is not PARTIAL:
            message.pause(self.kernel.now_ns)

    def take_up(self, message: Any) -> Any:
        """The running task works on `message` from now on. Plain call."""
        if message is not EOF and message is not PARTIAL:
            message.begin(self.kernel.thread, self.kernel.now_ns)
        return message


class Loop(TaskLoop):
    """The event loop of one thread."""

    def __init__(self, kernel: Kernel, server: Server, options: Options) -> None:
        costs = kernel.costs
        super().__init__(
            kernel,
            server,
            costs.asyncio_handle_ns,
            costs.asyncio_resume_ns,
            costs.asyncio_task_memory_bytes,
        )
        self._streams = options.api == "streams"
        self._readers: dict[Socket, Handle] = {}
        self._writers: dict[Socket, Handle] = {}
        self._timers: list[tuple[int, int, Program]] = []
        self._epoll: Any = None

    # -------------------------------------------------------------------- the one pass

    def run(self) -> Program:
        """Pass after pass, for ever."""
        kernel, own_work = self.kernel, self.server.own_work
        self._epoll = yield from kernel.epoll_create1()
        self.server.listener.nonblocking = True
        yield from self.add_reader(self.server.listener, self.accept)
        while True:
            self.charge(self.costs.asyncio_pass_ns, "a pass of the loop")
            timeout_ns = 0 if self._ready or own_work.wanted else self._timeout_ns()
            events = yield from kernel.epoll_wait(self._epoll, ALL_EVENTS, timeout_ns)
            for socket in events:
                self.call_soon(self._writers.get(socket) or self._readers[socket])
            while self._timers and self._timers[0][0] <= kernel.now_ns:
                self.call_soon(partial(self.on_time, heappop(self._timers)[2]))
            if own_work.wanted and not self._ready:
                yield from own_work.do_chunk(kernel)
            yield from self.run_ready()

    def _timeout_ns(self) -> int | None:
        if not self._timers:
            return None
        left_ns = max(0, self._timers[0][0] - self.kernel.now_ns)
        return -(-left_ns // MILLISECOND_NS) * MILLISECOND_NS

    # ------------------------------------------------------------------ what tasks call

    def accept(self) -> Program:
        """The listener's callback: make a task for each new connection."""
        kernel, listener = self.kernel, self.server.listener
        while (connection := (yield from kernel.accept4(listener))) is not EAGAIN:
            self.start_task(converse(self, connection))

    def open(self, socket: Socket) -> Generator[Any, Any, Stream | SocketCalls]:
        """Read and write `socket` from tasks."""
        socket.nonblocking = True
        stream = Stream(self, socket) if self._streams else SocketCalls(self, socket)
        yield from stream.open()
        return stream

    def add_reader(self, socket: Socket, handle: Handle) -> Program:
        """Call `handle` whenever `socket` is readable."""
        self._readers[socket] = handle
        yield from self.kernel.epoll_ctl_add(self._epoll, socket)

    def remove_reader(self, socket: Socket) -> Program:
        """Let nobody know any longer when `socket` is readable."""
        del self._readers[socket]
        if socket in self._writers:
            yield from self.kernel.epoll_ctl_mod(self._epoll, socket, EPOLLOUT)
        else:
            yield from self.kernel.epoll_ctl_del(self._epoll, socket)

    def add_writer(self, socket: Socket, handle: Handle) -> Program:
        """Call `handle` whenever `socket` has room; what it has to read is for later."""
        self._writers[socket] = handle
        if socket in self._readers:
            yield from self.kernel.epoll_ctl_mod(self._epoll, socket, EPOLLOUT)
        else:
            yield from self.kernel.epoll_ctl_add(self._epoll, socket, events=EPOLLOUT)

    def remove_writer(self, socket: Socket) -> Program:
        """Let nobody know any longer when `socket` has room."""
        del self._writers[socket]
        if socket in self._readers:
            yield from self.kernel.epoll_ctl_mod(self._epoll, socket, EPOLLIN)
        else:
            yield from self.kernel.epoll_ctl_del(self._epoll, socket)

    def sleep(self, request: Request, ns: int) -> Generator[Any, Any, None]:
        """Let other tasks run for `ns`."""
        kernel = self.kernel
        yield from kernel.settle()
        request.pause(kernel.now_ns)
        until_ns = kernel.now_ns + ns
        heappush(self._timers, (until_ns, request.number, self.running))
        yield AWAIT
        request.device_done(min(until_ns + kernel.costs.timer_slack_ns, kernel.now_ns))
        request.begin(kernel.thread, kernel.now_ns)

    def on_time(self, task: Program) -> Program:
        """A timer's handle: the future is done, its task is for the next pass."""
        self.resume_soon(task)
        return
        yield
