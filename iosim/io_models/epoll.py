"""I/O multiplexing with epoll(7): one thread, told what is ready.

    epoll_wait (asleep) -> for each ready: recvfrom, handle, sendto -> epoll_wait ...

The kernel keeps the interest list; arrival puts a socket on the ready list. A wait costs
what is ready, not what is watched, and a busy loop finds several requests in one wait
without ever sleeping: its switches per request fall as the load rises.

Level-triggered, a socket is reported as long as it holds data. Edge-triggered, only when
more arrives, so the program must read until EAGAIN.

With `min_wait` the program sleeps before it asks, so that more is ready when it does:
fewer switches and calls, for longer response times. It stands for a minimum wait inside
epoll_wait, as was proposed for Linux, at the price of a syscall more.

Not modelled: EPOLLONESHOT; several threads on one epoll.
Source: epoll(7); Linux 6.18 fs/eventpoll.c.
Validated by: tests/conformance, tests/shape/test_r1_descriptors.py, tests/shape/test_r4_batching.py
"""

from typing import Literal

from pydantic import Field

from iosim.choice import Options as BaseOptions
from iosim.handler import Jobs, Server
from iosim.machine.kernel import Kernel
from iosim.machine.sockets import EAGAIN, Socket
from iosim.machine.thread import Program
from iosim.units import Duration, PositiveCount


class Options(BaseOptions):
    """I/O multiplexing: one thread in epoll_wait, which is told what is ready."""

    trigger: Literal["level", "edge"] = Field(
        default="level",
        description="Report a socket while it is readable, or once for each arrival.",
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


def main(kernel: Kernel, server: Server, options: Options) -> Program:
    """The event loop around epoll_wait."""
    edge = options.trigger == "edge"
    epoll = yield from kernel.epoll_create1()
    server.listener.nonblocking = True
    yield from kernel.epoll_ctl_add(epoll, server.listener)

    def watch(socket: Socket) -> Program:
        return kernel.epoll_ctl_add(epoll, socket, edge)

    jobs = Jobs(kernel, server, watch)
    while True:
        if options.min_wait:
            yield from kernel.nanosleep(options.min_wait)
        timeout_ns = 0 if server.own_work.wanted else jobs.timeout_ns()
        events = yield from kernel.epoll_wait(epoll, options.max_events, timeout_ns)
        for socket in events:
            if socket is server.listener:
                while (connection := (yield from kernel.accept4(socket))) is not EAGAIN:
                    connection.nonblocking = True
                    yield from watch(connection)
            elif edge:
                while (yield from jobs.on_readable(socket)):
                    pass
            else:
                yield from jobs.on_readable(socket)
        if jobs.sleeping:
            yield from jobs.run_due()
        if server.own_work.wanted and not events:
            yield from server.own_work.do_chunk(kernel)
