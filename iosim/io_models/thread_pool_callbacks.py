"""Callbacks over a thread pool, as Node.js and libuv do it.

    loop:      epoll_wait -> recvfrom, compute ... put the call in the queue, signal -> ...
    worker:    wait for work -> call the device (asleep) -> put the result back, wake the loop
    loop:      eventfd readable -> for each result: the callback computes, sendto

One thread runs all the program's own code; what would block it is done by a worker. Each
such call costs two hand-overs through a mutex, a condition variable and an eventfd, and
there are only so many workers: slow calls keep quick ones waiting.

Not modelled: libuv's limit on slow work (half the pool), work stealing, cancellation.
Source: libuv 1.48 src/threadpool.c, src/unix/async.c.
Validated by: tests/conformance, tests/timeline/test_models.py
"""

from collections import deque
from functools import partial
from typing import Annotated, Literal

from pydantic import Field

from iosim.choice import Options as BaseOptions
from iosim.handler import CPU, Query, Replies, Server, call, serve, sleep
from iosim.machine.kernel import Kernel
from iosim.machine.locks import Condition, Mutex
from iosim.machine.request import Request
from iosim.machine.sockets import EAGAIN, EOF
from iosim.machine.thread import Program
from iosim.units import Most, PositiveCount


class Options(BaseOptions):
    """Node.js style: an event loop, a pool for what would block, callbacks on the loop."""

    threads: Annotated[PositiveCount, Most(100_000)] = Field(
        default=4,
        description="Workers in the pool (libuv's UV_THREADPOOL_SIZE).",
    )
    offload: Literal["calls", "handler"] = Field(
        default="calls",
        description="What runs in the pool: each step that would block, or the handler as a whole.",
    )
    max_events: PositiveCount = Field(
        default=1024,
        description="How many sockets one epoll_wait may report.",
    )


class Pool:
    """What loop and workers share: the work, the results, and their locks."""

    def __init__(self) -> None:
        self.work: deque[Request] = deque()
        self.work_mutex = Mutex("work queue")
        self.work_there = Condition("work queue not empty")
        self.results: deque[Request] = deque()
        self.results_mutex = Mutex("results")


def main(kernel: Kernel, server: Server, options: Options) -> Program:
    """Start the pool and run the event loop."""
    loop = Loop(kernel, server, options)
    yield from loop.run()


class Loop:
    """The event loop, its pool, and the callbacks."""

    def __init__(self, kernel: Kernel, server: Server, options: Options) -> None:
        self.kernel = kernel
        self.server = server
        self.options = options
        self.pool = Pool()

    def run(self) -> Program:
        """Wait; accept, read, and call back."""
        kernel, server, options = self.kernel, self.server, self.options
        epoll = yield from kernel.epoll_create1()
        self.async_wakeup = yield from kernel.eventfd()
        yield from kernel.epoll_ctl_add(epoll, self.async_wakeup)
        self.replies = Replies(
            kernel, lambda socket, events: kernel.epoll_ctl_mod(epoll, socket, events)
        )
        server.listener.nonblocking = True
        yield from kernel.epoll_ctl_add(epoll, server.listener)
        for number in range(options.threads):
            yield from kernel.spawn(f"worker {number}", partial(self.worker))
        while True:
            timeout_ns = 0 if server.own_work.wanted else None
            events = yield from kernel.epoll_wait(epoll, options.max_events, timeout_ns)
            for socket in events:
                if socket is self.async_wakeup:
                    yield from self.call_back()
                elif socket is server.listener:
                    while (connection := (yield from kernel.accept4(socket))) is not EAGAIN:
                        connection.nonblocking = True
                        yield from kernel.epoll_ctl_add(epoll, connection)
                elif socket.user_data is not None:
                    yield from self.replies.go_on(socket)
                else:
                    request = yield from kernel.recvfrom(socket)
                    if request is EOF:
                        yield from kernel.close(socket)
                    elif isinstance(request, Request):
                        yield from self.advance(request)
            if server.own_work.wanted and not events:
                yield from server.own_work.do_chunk(kernel)

    def advance(self, request: Request) -> Program:
        """Do the request's steps up to one for the pool, or answer it."""
        kernel = self.kernel
        while request.next_step < request.last_step:
            if self.server.cancel and (yield from self.server.gave_up(kernel, request)):
                return
            if self.options.offload == "handler" or request.steps[request.next_step][0] is not CPU:
                yield from self.submit(request)
                return
            yield from kernel.compute(request.amounts[request.next_step])
            request.next_step += 1
        size_bytes = request.reply_bytes
        if request.connection.user_data is not None:
            self.replies.queue(request)
            return
        sent_bytes = yield from kernel.sendto(request.connection, request, size_bytes)
        if sent_bytes < size_bytes:
            yield from self.replies.keep(request, size_bytes - sent_bytes)

    def submit(self, request: Request) -> Program:
        """Hand the request's next step to the pool."""
        kernel, pool = self.kernel, self.pool
        yield from kernel.lock(pool.work_mutex)
        kernel.operate_queue()
        request.pause(kernel.now_ns)
        pool.work.append(request)
        yield from kernel.cond_signal(pool.work_there)
        yield from kernel.unlock(pool.work_mutex)

    def worker(self, kernel: Kernel) -> Program:
        """Do one piece of work after the other."""
        pool, server = self.pool, self.server
        while True:
            yield from kernel.lock(pool.work_mutex)
            while not pool.work:
                yield from kernel.cond_wait(pool.work_there, pool.work_mutex)
            kernel.operate_queue()
            request = pool.work.popleft()
            yield from kernel.unlock(pool.work_mutex)
            request.begin(kernel.thread, kernel.now_ns)
            if self.options.offload == "handler":
                yield from serve(kernel, server, request)
                request.next_step = request.last_step
            else:
                device = request.steps[request.next_step][1]
                amount = request.amounts[request.next_step]
                if device is None:
                    yield from sleep(kernel, request, amount)
                else:
                    yield from call(kernel, server, device, Query(request, amount))
                request.next_step += 1
            yield from kernel.lock(pool.results_mutex)
            kernel.operate_queue()
            request.pause(kernel.now_ns)
            first = not pool.results
            pool.results.append(request)
            yield from kernel.unlock(pool.results_mutex)
            if first:  # else the loop has been told and has not looked yet
                yield from kernel.eventfd_write(self.async_wakeup)

    def call_back(self) -> Program:
        """Run the callback of each result that has come in."""
        kernel, pool = self.kernel, self.pool
        yield from kernel.eventfd_read(self.async_wakeup)
        yield from kernel.lock(pool.results_mutex)
        results, pool.results = pool.results, deque()
        yield from kernel.unlock(pool.results_mutex)
        for request in results:
            request.begin(kernel.thread, kernel.now_ns)
            yield from self.advance(request)
