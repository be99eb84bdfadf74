"""A pool of threads that block: one thread waits for readiness, others serve.

Twin of: iosim/io_models/thread_pool.py
Validated by: tests/real/test_servers.py, tests/real/test_twins.py
"""

from collections import deque
from dataclasses import dataclass
from functools import partial
from select import EPOLLIN, EPOLLONESHOT, epoll
from threading import Condition, Lock

from iosim.real.handler import Server, serve
from iosim.real.kernel import EAGAIN, EOF, PARTIAL, Kernel, Request, Socket


@dataclass(frozen=True)
class Options:
    """Thread pool: one thread waits for readiness, workers serve, one request each."""

    threads: int = 8
    reader: str = "worker"
    max_events: int = 512


class Queue:
    """What main and workers share: connections to read from, or requests, and their lock."""

    def __init__(self) -> None:
        self.entries: deque[Socket | Request] = deque()
        self.mutex = Lock()
        self.not_empty = Condition(self.mutex)


def main(kernel: Kernel, server: Server, options: Options) -> None:
    """Start the workers; accept, and queue what is ready."""
    queue = Queue()
    epoll = kernel.epoll_create1()
    sockets = {server.listener.fd: server.listener}
    server.listener.nonblocking = True
    epoll.register(server.listener.fd, EPOLLIN)
    for number in range(options.threads):
        program = partial(work, server=server, queue=queue, epoll=epoll, sockets=sockets)
        kernel.spawn(f"worker {number}", program)
    while True:
        timeout_ns = 0 if server.own_work.wanted else None
        events = kernel.epoll_wait(epoll, sockets, options.max_events, timeout_ns)
        for socket in events:
            if socket is server.listener:
                while (connection := kernel.accept4(socket)) is not EAGAIN:
                    sockets[connection.fd] = connection
                    one_shot = EPOLLONESHOT if options.reader == "worker" else 0
                    epoll.register(connection.fd, EPOLLIN | one_shot)
            elif options.reader == "worker":
                put(queue, socket)
            else:
                request = kernel.recvfrom(socket)
                if request is EOF:
                    del sockets[socket.fd]
                    kernel.close(socket)
                elif request is not PARTIAL:
                    put(queue, request)
        if server.own_work.wanted and not events:
            server.own_work.do_chunk(kernel)


def put(queue: Queue, entry: Socket | Request) -> None:
    """Queue `entry` and signal a worker."""
    with queue.mutex:
        queue.entries.append(entry)
        queue.not_empty.notify()


def work(
    kernel: Kernel, server: Server, queue: Queue, epoll: epoll, sockets: dict[int, Socket]
) -> None:
    """Serve what is in the queue, for ever."""
    kernel.enlist()
    while True:
        with queue.mutex:
            while not queue.entries:
                queue.not_empty.wait()
            entry = queue.entries.popleft()
        if isinstance(entry, Request):
            answer(kernel, server, entry)
            continue
        while (request := kernel.recvfrom(entry)) is PARTIAL:
            pass
        if request is EOF:
            del sockets[entry.fd]
            kernel.close(entry)
        else:
            answer(kernel, server, request)
            epoll.modify(entry.fd, EPOLLIN | EPOLLONESHOT)


def answer(kernel: Kernel, server: Server, request: Request) -> None:
    """Go through the handler, sleeping in what blocks, and answer."""
    serve(kernel, server, request)
    kernel.sendall(request.connection, request)
