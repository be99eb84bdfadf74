"""I/O multiplexing with poll(2): one thread, every descriptor looked at on each call.

    poll (asleep) -> scan the answer -> for each ready: recvfrom, handle, sendto -> poll ...

Several requests may be found by one call, so the busier the server, the fewer switches a
request costs. But kernel and program look at every descriptor each time, ready or not.

Source: poll(2); Stevens, UNIX Network Programming vol. 1, 6.10.
Validated by: tests/conformance, tests/shape/test_r1_descriptors.py
"""

from collections.abc import Callable, Generator
from typing import Any

from iosim.choice import Options as BaseOptions
from iosim.handler import Jobs, Server
from iosim.machine.kernel import Kernel
from iosim.machine.readiness import DescriptorSet
from iosim.machine.sockets import EAGAIN, Socket
from iosim.machine.thread import Program


class Options(BaseOptions):
    """I/O multiplexing: one thread in poll, which scans every descriptor."""


def main(kernel: Kernel, server: Server, options: Options) -> Program:
    """The event loop around poll."""
    return multiplex(kernel, server, kernel.poll)


def multiplex(
    kernel: Kernel,
    server: Server,
    wait: Callable[[DescriptorSet, int | None], Generator[Any, Any, list[Socket]]],
) -> Program:
    """An event loop around a call that is passed all descriptors each time."""
    descriptors = DescriptorSet(kernel.machine)
    server.listener.nonblocking = True
    descriptors.add(server.listener)

    def watch(socket: Socket) -> Program:
        descriptors.add(socket)
        return
        yield

    def wait_for(socket: Socket, events: str) -> Program:
        descriptors.change(socket, events)
        return
        yield

    jobs = Jobs(kernel, server, watch, wait_for)
    while True:
        timeout_ns = 0 if server.own_work.wanted else jobs.timeout_ns()
        readable = yield from wait(descriptors, timeout_ns)
        for socket in readable:
            if socket is server.listener:
                while (connection := (yield from kernel.accept4(socket))) is not EAGAIN:
                    connection.nonblocking = True
                    descriptors.add(connection)
            else:
                yield from jobs.on_readable(socket)
        yield from jobs.run_due()
        if server.own_work.wanted and not readable:
            yield from server.own_work.do_chunk(kernel)
