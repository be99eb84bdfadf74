"""I/O multiplexing with poll(2): one thread, every descriptor looked at on each call.

Twin of: iosim/io_models/poll.py
Validated by: tests/real/test_servers.py, tests/real/test_twins.py
"""

from collections.abc import Callable
from dataclasses import dataclass

from iosim.real.handler import Jobs, Server
from iosim.real.kernel import EAGAIN, DescriptorSet, Kernel, Socket


@dataclass(frozen=True)
class Options:
    """I/O multiplexing: one thread in poll, which scans every descriptor."""


def main(kernel: Kernel, server: Server, options: Options) -> None:
    """The event loop around poll."""
    multiplex(kernel, server, kernel.poll)


def multiplex(
    kernel: Kernel, server: Server, wait: Callable[[DescriptorSet, int | None], list[Socket]]
) -> None:
    """An event loop around a call that is passed all descriptors each time."""
    descriptors = DescriptorSet()
    server.listener.nonblocking = True
    descriptors.add(server.listener)
    jobs = Jobs(kernel, server, descriptors.add, descriptors.change, descriptors.discard)
    while True:
        timeout_ns = 0 if server.own_work.wanted else jobs.timeout_ns()
        readable = wait(descriptors, timeout_ns)
        for socket in readable:
            if socket is server.listener:
                while (connection := kernel.accept4(socket)) is not EAGAIN:
                    connection.nonblocking = True
                    descriptors.add(connection)
            else:
                jobs.on_readable(socket)
        jobs.run_due()
        if server.own_work.wanted and not readable:
            server.own_work.do_chunk(kernel)
