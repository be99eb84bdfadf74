"""Synchronous non-blocking I/O: ask every connection, again and again.

    recvfrom(1) EAGAIN, recvfrom(2) EAGAIN, recvfrom(3) -> handle -> sendto, recvfrom(4) ...

No thread ever sleeps, so nothing needs waking and nothing is switched; the core is busy
all the time, mostly in vain. A pause between rounds gives the core away, at the price
of answering late.

Source: Stevens, UNIX Network Programming vol. 1, 6.2 "Nonblocking I/O Model".
Validated by: tests/conformance, tests/timeline/test_models.py
"""

from pydantic import Field

from iosim.choice import Options as BaseOptions
from iosim.handler import Jobs, Server
from iosim.machine.kernel import Kernel
from iosim.machine.readiness import Ring
from iosim.machine.sockets import Socket
from iosim.machine.thread import Program
from iosim.units import Duration


class Options(BaseOptions):
    """Synchronous non-blocking: one thread asks every connection again and again."""

    pause: Duration = Field(
        default="0s",
        validate_default=True,
        description="Sleep between two rounds; 0s: none.",
    )


def main(kernel: Kernel, server: Server, options: Options) -> Program:
    """Go round all sockets; turn to other things after a round in vain."""
    ring = Ring(kernel.machine)
    server.listener.nonblocking = True
    ring.add(server.listener)

    def watch(socket: Socket) -> Program:
        ring.add(socket)
        return
        yield

    def wait_for(socket: Socket, events: str) -> Program:
        ring.change(socket, events)
        return
        yield

    jobs = Jobs(kernel, server, watch, wait_for)
    while True:
        timeout_ns = jobs.timeout_ns()
        rounds = None
        if options.pause or server.own_work.wanted:
            rounds = 1
        elif timeout_ns is not None:  # until the first sleep step is over
            rounds = 1 + timeout_ns // (len(ring.sockets) * max(1, kernel.ask_ns()))
        socket = yield from kernel.ask_each(ring, rounds)
        if socket is None:
            if server.own_work.wanted:
                yield from server.own_work.do_chunk(kernel)
            if options.pause:
                yield from kernel.nanosleep(options.pause)
        elif socket is server.listener:
            connection = yield from kernel.accept4(server.listener)
            connection.nonblocking = True
            ring.add(connection)
        else:
            yield from jobs.on_readable(socket)
        yield from jobs.run_due()
