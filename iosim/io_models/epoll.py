"""I/O multiplexing with epoll(7): a thread, or some, told what is ready.

    epoll_wait (asleep) -> for each ready: recvfrom, handle, sendto -> epoll_wait ...

The kernel keeps the interest list; arrival puts a socket on the ready list. A wait costs
what is ready, not what is watched, and a busy loop finds several requests in one wait
without ever sleeping: its switches per request fall as the load rises.

Level-triggered, a socket is reported as long as it holds data. Edge-triggered, only when
more arrives, so the program must read until EAGAIN; a socket that has more to say than its
turn is long it keeps in mind, and looks at the others first (epoll(7), "Possible pitfalls").
One-shot, only after the program has armed it again, for one more epoll_ctl a request.

With `min_wait` the program sleeps before it asks, so that more is ready when it does:
fewer switches and calls, for longer response times. It stands for a minimum wait inside
epoll_wait, as was proposed for Linux, at the price of a syscall more.

One loop uses one core. With more `workers`, each a thread with such a loop, `sharing` says
what they have in common:

- `shared_epoll`: all wait on one epoll. Any worker serves any request: the one that came
  last is woken first, so at light load it serves nearly all. Level-triggered, each report
  wakes one more worker, mostly in vain.
- `shared_listener`: each has an epoll of its own for the connections that it has accepted;
  all watch the one listener. A new connection wakes all of them, one of which gets it.
- `exclusive`: the same with EPOLLEXCLUSIVE. A new connection wakes one: of those that wait
  always the first that has come to watch, which so gets the most.
- `reuseport`: a listener for each, too; a hash spreads the connections.

Several workers accept one connection for each report, or the first to wake would take all.
The server's own work is the first worker's.

Not modelled: processes for workers; taking a listener out and adding it again, as nginx
does to even out `exclusive`.
Source: epoll(7), epoll_ctl(2); Linux 6.18 fs/eventpoll.c; Majkowski, "Why does one NGINX
worker take all the load?", 2017.
Validated by: tests/conformance, tests/shape/test_r1_descriptors.py,
tests/shape/test_r4_batching.py, tests/timeline/test_pools.py
"""

from collections.abc import Generator
from dataclasses import replace
from functools import partial
from typing import Any, Literal

from pydantic import Field

from iosim.choice import Options as BaseOptions
from iosim.handler import Jobs, OwnWork, Server
from iosim.machine.kernel import Kernel
from iosim.machine.readiness import EPOLLIN, EPOLLOUT, Epoll
from iosim.machine.sockets import EAGAIN, Socket
from iosim.machine.thread import Program
from iosim.units import Duration, PositiveCount


class Options(BaseOptions):
    """I/O multiplexing: a thread in epoll_wait, which is told what is ready; or several."""

    trigger: Literal["level", "edge", "oneshot"] = Field(
        default="level",
        description="Report a socket while it is readable, once for each arrival, or once until "
        "it is armed again.",
    )
    max_events: PositiveCount = Field(
        default=512,
        description="How many sockets one epoll_wait may report.",
    )
    min_wait: Duration = Field(
        default="0s",
        validate_default=True,
        description="Sleep so long before each epoll_wait, so that more gets ready.",
    )
    workers: PositiveCount = Field(
        default=1,
        description="Threads that run the event loop.",
    )
    sharing: Literal["shared_epoll", "shared_listener", "exclusive", "reuseport"] = Field(
        default="shared_epoll",
        description="What several workers have in common: one epoll; the listener in an epoll of "
        "each, without or with EPOLLEXCLUSIVE; or only the port.",
    )


def main(kernel: Kernel, server: Server, options: Options) -> Program:
    """Run the event loop, in as many threads as there are workers."""
    if options.workers == 1:
        return event_loop(kernel, server, options)
    return start_workers(kernel, server, options)


def event_loop(
    kernel: Kernel, server: Server, options: Options, epoll: Epoll | None = None
) -> Program:
    """The event loop around epoll_wait, on an epoll of its own if it is given none."""
    if epoll is None:
        epoll = yield from watch_listener(kernel, server.listener, options)
    edge, one_shot = options.trigger == "edge", options.trigger == "oneshot"
    min_wait_ns, max_events = options.min_wait, options.max_events

    def watch(socket: Socket) -> Program:
        return kernel.epoll_ctl_add(epoll, socket, edge, one_shot)

    def wait_for(socket: Socket, events: str) -> Program:
        if socket is in_hand:  # armed when it is done with: from then on another may have it
            return
        yield from kernel.epoll_ctl_mod(epoll, socket, events)

    in_hand: Socket | None = None
    jobs = Jobs(kernel, server, watch, wait_for)
    # Edge-triggered: those that have been told of, and not yet read until EAGAIN.
    unread: dict[Socket, None] = {}
    while True:
        if min_wait_ns:
            yield from kernel.nanosleep(min_wait_ns)
        timeout_ns = 0 if server.own_work.wanted or unread else jobs.timeout_ns()
        events = yield from kernel.epoll_wait(epoll, max_events, timeout_ns)
        for socket in events:
            if socket is server.listener:
                while (connection := (yield from kernel.accept4(socket))) is not EAGAIN:
                    connection.nonblocking = True
                    yield from watch(connection)
                    if options.workers > 1:
                        break
            elif edge:
                unread[socket] = None
            else:
                if one_shot:
                    in_hand = socket
                yield from jobs.on_readable(socket)
                in_hand = None
                if one_shot and socket in epoll.interest:
                    yield from wait_for(socket, EPOLLIN if jobs.may_read(socket) else EPOLLOUT)
        for socket in tuple(unread):
            if socket.descriptor < 0 or (yield from jobs.drain(socket)):
                del unread[socket]
        if jobs.sleeping:
            yield from jobs.run_due()
        if server.own_work.wanted and not events and not unread:
            yield from server.own_work.do_chunk(kernel)


def watch_listener(
    kernel: Kernel, listener: Socket, options: Options
) -> Generator[Any, Any, Epoll]:
    """A new epoll, which watches `listener`."""
    epoll = yield from kernel.epoll_create1()
    listener.nonblocking = True
    exclusive = options.workers > 1 and options.sharing == "exclusive"
    yield from kernel.epoll_ctl_add(epoll, listener, exclusive=exclusive)
    return epoll


def start_workers(kernel: Kernel, server: Server, options: Options) -> Program:
    """Start the workers with what they have in common; be the first of them."""
    epoll = None
    servers = [server, *(replace(server, own_work=OwnWork(0)) for _ in range(1, options.workers))]
    if options.sharing == "shared_epoll":
        epoll = yield from watch_listener(kernel, server.listener, options)
    else:  # a connection to a device is watched by one epoll: not lent to another's worker
        servers = [replace(one, idle_sockets={}) for one in servers]
    if options.sharing == "reuseport":
        listeners = yield from kernel.listen_reuseport(server.listener, options.workers)
        for one, listener in zip(servers, listeners, strict=True):
            one.listener = listener
    first, *others = [partial(work, server=one, options=options, epoll=epoll) for one in servers]
    for number, program in enumerate(others, 1):
        yield from kernel.spawn(f"worker {number}", program)
    yield from first(kernel)


def work(kernel: Kernel, server: Server, options: Options, epoll: Epoll | None) -> Program:
    """Run the event loop as one of several."""
    kernel.enlist()
    yield from event_loop(kernel, server, options, epoll)
