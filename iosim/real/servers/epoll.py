"""I/O multiplexing with epoll(7): a thread, or some, told what is ready.

Twin of: iosim/io_models/epoll.py
Validated by: tests/real/test_servers.py, tests/real/test_twins.py
"""

from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial
from select import EPOLLET, EPOLLEXCLUSIVE, EPOLLIN, EPOLLONESHOT, EPOLLOUT, epoll
from threading import Lock

from iosim.real.handler import Jobs, OwnWork, Server
from iosim.real.kernel import EAGAIN, Kernel, Socket


@dataclass(frozen=True)
class Options:
    """I/O multiplexing: a thread in epoll_wait, which is told what is ready; or several."""

    trigger: str = "level"
    max_events: int = 512
    min_wait: int = 0
    workers: int = 1
    sharing: str = "shared_epoll"


class Watched:
    """An epoll, and the sockets that it watches by their descriptors."""

    def __init__(self, kernel: Kernel, shared: bool) -> None:
        self.epoll: epoll = kernel.epoll_create1()
        self.sockets: dict[int, Socket] = {}
        # Whether several threads may read the same socket at once.
        self.shared = shared


def listeners(options: Options) -> int:
    """How many listeners there have to be before the first client comes."""
    return options.workers if options.sharing == "reuseport" else 1


def main(kernel: Kernel, server: Server, options: Options) -> None:
    """Run the event loop, in as many threads as there are workers."""
    if options.workers == 1:
        event_loop(kernel, server, options)
    else:
        start_workers(kernel, server, options)


def event_loop(
    kernel: Kernel, server: Server, options: Options, watched: Watched | None = None
) -> None:
    """The event loop around epoll_wait, on an epoll of its own if it is given none."""
    if watched is None:
        watched = watch_listener(kernel, server.listener, options)
    epoll, sockets = watched.epoll, watched.sockets
    edge, one_shot = options.trigger == "edge", options.trigger == "oneshot"
    how = EPOLLET if edge else EPOLLONESHOT if one_shot else 0

    def watch(socket: Socket) -> None:
        if watched.shared:
            socket.reader = Lock()
        sockets[socket.fd] = socket
        epoll.register(socket.fd, EPOLLIN | how)

    def wait_for(socket: Socket, events: int) -> None:
        with suppress(OSError):  # another worker may have closed it
            epoll.modify(socket.fd, events | how)

    def watches(socket: Socket) -> bool:
        # It, and not a later one with its descriptor.
        return sockets.get(socket.fd) is socket

    def forget(socket: Socket) -> None:
        if watches(socket):
            del sockets[socket.fd]

    jobs = Jobs(kernel, server, watch, wait_for, forget)
    while True:
        if options.min_wait:
            kernel.nanosleep(options.min_wait)
        timeout_ns = 0 if server.own_work.wanted else jobs.timeout_ns()
        events = kernel.epoll_wait(epoll, sockets, options.max_events, timeout_ns)
        for socket in events:
            if socket is server.listener:
                while (connection := kernel.accept4(socket)) is not EAGAIN:
                    connection.nonblocking = True
                    watch(connection)
                    if options.workers > 1:
                        break
            elif edge:
                while jobs.on_readable(socket):
                    pass
            else:
                jobs.on_readable(socket)
                if one_shot and watches(socket):
                    wait_for(socket, EPOLLIN if jobs.may_read(socket) else EPOLLOUT)
        if jobs.sleeping:
            jobs.run_due()
        if server.own_work.wanted and not events:
            server.own_work.do_chunk(kernel)


def watch_listener(kernel: Kernel, listener: Socket, options: Options) -> Watched:
    """A new epoll, which watches `listener`."""
    watched = Watched(kernel, options.workers > 1 and options.sharing == "shared_epoll")
    listener.nonblocking = True
    exclusive = options.workers > 1 and options.sharing == "exclusive"
    watched.sockets[listener.fd] = listener
    watched.epoll.register(listener.fd, EPOLLIN | (EPOLLEXCLUSIVE if exclusive else 0))
    return watched


def start_workers(kernel: Kernel, server: Server, options: Options) -> None:
    """Start the workers with what they have in common; be the first of them."""
    watched = None
    servers = [server, *(replace(server, own_work=OwnWork(0)) for _ in range(1, options.workers))]
    if options.sharing == "shared_epoll":
        watched = watch_listener(kernel, server.listener, options)
    else:  # a connection to a device is watched by one epoll: not lent to another's worker
        servers = [replace(one, idle_sockets={}) for one in servers]
    if options.sharing == "reuseport":
        for one, listener in zip(servers, kernel.machine.listeners, strict=True):
            one.listener = listener
    for number, one in enumerate(servers[1:], 1):
        program = partial(work, server=one, options=options, watched=watched)
        kernel.spawn(f"worker {number}", program)
    work(kernel, servers[0], options, watched)


def work(kernel: Kernel, server: Server, options: Options, watched: Watched | None) -> None:
    """Run the event loop as one of several."""
    kernel.enlist()
    event_loop(kernel, server, options, watched)
