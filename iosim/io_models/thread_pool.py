"""A pool of threads that block: one thread waits for readiness, others serve.

    main:    epoll_wait (asleep) -> for each ready: put it in the queue, signal -> ...
    worker:  wait for work (asleep) -> recvfrom, handle, sendto -> arm the connection again

A request passes from thread to thread: main sleeps in epoll_wait, the worker on a condition
variable, so each costs two voluntary switches where nothing else goes on, and one more
whenever the worker preempts main inside the signal and then blocks on the mutex that main
still holds. In a busy pool workers find the queue filled and do not sleep.

A connection that a worker has must not be reported again: it is watched one-shot, and armed
again by one more epoll_ctl for each request. Where main reads (half-sync/half-async) that
is not needed, but then main does that part of every request.

A blocking call blocks its worker alone; so many of them at once are all that can be served.

Not modelled: pools that grow and shrink, a limit on the queue, leader and followers.
Source: pthread_cond_wait(3), epoll_ctl(2) on EPOLLONESHOT; Schmidt and Cranor,
"Half-Sync/Half-Async", PLoP 1995.
Validated by: tests/conformance, tests/timeline/test_pools.py, tests/shape/test_thread_pool.py
"""

from collections import deque
from functools import partial
from typing import Literal

from pydantic import Field

from iosim.choice import Options as BaseOptions
from iosim.handler import Server, serve
from iosim.machine.kernel import Kernel
from iosim.machine.locks import Condition, Mutex
from iosim.machine.readiness import EPOLLIN, Epoll
from iosim.machine.request import Request
from iosim.machine.sockets import EAGAIN, EOF, PARTIAL, Socket
from iosim.machine.thread import Program
from iosim.units import PositiveCount


class Options(BaseOptions):
    """Thread pool: one thread waits for readiness, workers serve, one request each."""

    threads: PositiveCount = Field(
        default=8,
        description="Workers in the pool.",
    )
    reader: Literal["worker", "main"] = Field(
        default="worker",
        description="Who reads a request: the worker that serves it, or the main thread "
        "(half-sync/half-async).",
    )
    max_events: PositiveCount = Field(
        default=512,
        description="How many sockets one epoll_wait may report.",
    )


class Queue:
    """What main and workers share: connections to read from, or requests, and their lock."""

    def __init__(self) -> None:
        self.entries: deque[Socket | Request] = deque()
        self.mutex = Mutex("work queue")
        self.not_empty = Condition("work queue not empty")


def main(kernel: Kernel, server: Server, options: Options) -> Program:
    """Start the workers; accept, and queue what is ready."""
    queue = Queue()
    epoll = yield from kernel.epoll_create1()
    server.listener.nonblocking = True
    yield from kernel.epoll_ctl_add(epoll, server.listener)
    for number in range(options.threads):
        program = partial(work, server=server, queue=queue, epoll=epoll)
        yield from kernel.spawn(f"worker {number}", program)
    while True:
        timeout_ns = 0 if server.own_work.wanted else None
        events = yield from kernel.epoll_wait(epoll, options.max_events, timeout_ns)
        for socket in events:
            if socket is server.listener:
                while (connection := (yield from kernel.accept4(socket))) is not EAGAIN:
                    one_shot = options.reader == "worker"
                    yield from kernel.epoll_ctl_add(epoll, connection, oneshot=one_shot)
            elif options.reader == "worker":
                yield from put(kernel, queue, socket)
            else:
                request = yield from kernel.recvfrom(socket)
                if request is EOF:
                    yield from kernel.close(socket)
                elif request is not PARTIAL:
                    yield from put(kernel, queue, request)
        if server.own_work.wanted and not events:
            yield from server.own_work.do_chunk(kernel)


def put(kernel: Kernel, queue: Queue, entry: Socket | Request) -> Program:
    """Queue `entry` and signal a worker."""
    yield from kernel.lock(queue.mutex)
    kernel.operate_queue()
    if isinstance(entry, Request):
        entry.pause(kernel.now_ns)
    queue.entries.append(entry)
    yield from kernel.cond_signal(queue.not_empty)
    yield from kernel.unlock(queue.mutex)


def work(kernel: Kernel, server: Server, queue: Queue, epoll: Epoll) -> Program:
    """Serve what is in the queue, for ever."""
    kernel.enlist()
    while True:
        yield from kernel.lock(queue.mutex)
        while not queue.entries:
            yield from kernel.cond_wait(queue.not_empty, queue.mutex)
        kernel.operate_queue()
        entry = queue.entries.popleft()
        yield from kernel.unlock(queue.mutex)
        if isinstance(entry, Request):
            entry.begin(kernel.thread, kernel.now_ns)
            yield from answer(kernel, server, entry)
            continue
        while (request := (yield from kernel.recvfrom(entry))) is PARTIAL:
            pass
        if request is EOF:
            yield from kernel.close(entry)
        else:
            yield from answer(kernel, server, request)
            yield from kernel.epoll_ctl_mod(epoll, entry, EPOLLIN)


def answer(kernel: Kernel, server: Server, request: Request) -> Program:
    """Go through the handler, sleeping in what blocks, and answer."""
    yield from serve(kernel, server, request)
    yield from kernel.sendto(request.connection, request, request.reply_bytes)
