"""Synchronous blocking I/O: a thread per connection, asleep in the kernel.

Twin of: iosim/io_models/blocking.py
Validated by: tests/real/test_servers.py, tests/real/test_twins.py
"""

from dataclasses import dataclass
from functools import partial

from iosim.real.handler import Server, serve
from iosim.real.kernel import EOF, PARTIAL, Kernel, Socket


@dataclass(frozen=True)
class Options:
    """Synchronous blocking: a thread per connection sleeps in recvfrom."""

    own_work_thread: bool = False


def main(kernel: Kernel, server: Server, options: Options) -> None:
    """Accept each connection and give it a thread."""
    if options.own_work_thread and server.own_work.wanted:
        kernel.spawn("own work", partial(work, server=server))
    while True:
        connection = kernel.accept4(server.listener)
        kernel.spawn("connection", partial(converse, server=server, connection=connection))


def converse(kernel: Kernel, server: Server, connection: Socket) -> None:
    """Serve one connection to its end."""
    while True:
        while (request := kernel.recvfrom(connection)) is PARTIAL:
            pass
        if request is EOF:
            break
        serve(kernel, server, request)
        kernel.sendall(connection, request)
    kernel.close(connection)


def work(kernel: Kernel, server: Server) -> None:
    """The server's own work, for ever."""
    while True:
        server.own_work.do_chunk(kernel)
