"""Callbacks over a thread pool, as Node.js and libuv do it.

Twin of: iosim/io_models/thread_pool_callbacks.py
Validated by: tests/real/test_servers.py, tests/real/test_twins.py
"""

import os
from collections import deque
from dataclasses import dataclass
from select import EPOLLIN
from threading import Condition, Lock

from iosim.real.handler import NO_STEP, Replies, Server, call, serve
from iosim.real.kernel import EAGAIN, EOF, Kernel, Query, Request, Socket
from iosim.real.plan import CPU


@dataclass(frozen=True)
class Options:
    """Node.js style: an event loop, a pool for what would block, callbacks on the loop."""

    threads: int = 4
    offload: str = "calls"
    max_events: int = 1024


class Pool:
    """What loop and workers share: the work, the results, and their locks."""

    def __init__(self) -> None:
        self.work: deque[Request] = deque()
        self.work_mutex = Lock()
        self.work_there = Condition(self.work_mutex)
        self.results: deque[Request] = deque()
        self.results_mutex = Lock()


def main(kernel: Kernel, server: Server, options: Options) -> None:
    """Start the pool and run the event loop."""
    Loop(kernel, server, options).run()


class Loop:
    """The event loop, its pool, and the callbacks."""

    def __init__(self, kernel: Kernel, server: Server, options: Options) -> None:
        self.kernel = kernel
        self.server = server
        self.options = options
        self.pool = Pool()
        self.async_wakeup = os.eventfd(0)

    def run(self) -> None:
        """Wait; accept, read, and call back."""
        kernel, server, options = self.kernel, self.server, self.options
        epoll = kernel.epoll_create1()
        sockets: dict[int, Socket | None] = {self.async_wakeup: None}
        epoll.register(self.async_wakeup, EPOLLIN)
        self.replies = Replies(kernel, lambda socket, events: epoll.modify(socket.fd, events))
        server.listener.nonblocking = True
        sockets[server.listener.fd] = server.listener
        epoll.register(server.listener.fd, EPOLLIN)
        for number in range(options.threads):
            kernel.spawn(f"worker {number}", self.worker)
        while True:
            timeout_ns = 0 if server.own_work.wanted else None
            events = kernel.epoll_wait(epoll, sockets, options.max_events, timeout_ns)
            for socket in events:
                if socket is None:
                    self.call_back()
                elif socket is server.listener:
                    while (connection := kernel.accept4(socket)) is not EAGAIN:
                        connection.nonblocking = True
                        sockets[connection.fd] = connection
                        epoll.register(connection.fd, EPOLLIN)
                elif socket.user_data is not None:
                    self.replies.go_on(socket)
                else:
                    request = kernel.recvfrom(socket)
                    if request is EOF:
                        del sockets[socket.fd]
                        kernel.close(socket)
                    elif isinstance(request, Request):
                        self.advance(request)
            if server.own_work.wanted and not events:
                server.own_work.do_chunk(kernel)

    def advance(self, request: Request) -> None:
        """Do the request's steps up to one for the pool, or answer it."""
        kernel, steps = self.kernel, self.server.steps
        while request.next_step < len(steps) and not request.failed:
            if self.server.cancel and self.server.gave_up(request):
                return
            kind, _, columns = steps[request.next_step]
            if self.options.offload == "handler" or kind is not CPU:
                self.submit(request)
                return
            kernel.compute(request.amounts[columns.start])
            request.next_step += 1
        size_bytes = request.reply_bytes
        if request.connection.user_data is not None:
            self.replies.queue(request)
            return
        sent_bytes = kernel.sendto(request.connection, request, size_bytes)
        if sent_bytes < size_bytes:
            self.replies.keep(request, size_bytes - sent_bytes)

    def submit(self, request: Request) -> None:
        """Hand the request's next step to the pool."""
        pool = self.pool
        with pool.work_mutex:
            pool.work.append(request)
            pool.work_there.notify()

    def worker(self, kernel: Kernel) -> None:
        """Do one piece of work after the other."""
        pool, server = self.pool, self.server
        while True:
            with pool.work_mutex:
                while not pool.work:
                    pool.work_there.wait()
                request = pool.work.popleft()
            if self.options.offload == "handler":
                serve(kernel, server, request)
                request.next_step = NO_STEP
            else:
                _, device, columns = server.steps[request.next_step]
                amounts = request.amounts[columns]
                if device is None:
                    kernel.nanosleep(amounts[0])
                else:
                    call(kernel, server, device, Query(request, device.number, amounts))
                request.next_step += 1
            with pool.results_mutex:
                first = not pool.results
                pool.results.append(request)
            if first:  # else the loop has been told and has not looked yet
                os.eventfd_write(self.async_wakeup, 1)

    def call_back(self) -> None:
        """Run the callback of each result that has come in."""
        pool = self.pool
        os.eventfd_read(self.async_wakeup)
        with pool.results_mutex:
            results, pool.results = pool.results, deque()
        for request in results:
            self.advance(request)
