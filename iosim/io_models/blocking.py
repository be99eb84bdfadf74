"""Synchronous blocking I/O: a thread per connection, asleep in the kernel.

    thread 1:  accept ... accept ... accept ...
    thread n:  recvfrom (asleep) -> handle -> sendto -> recvfrom (asleep) -> ...

Each request wakes a thread and that thread goes back to sleep: two context switches on
an otherwise idle core, and a stack for each connection. Device calls simply block.

Not modelled: a limit on the number of threads.
Source: Stevens, UNIX Network Programming vol. 1, 6.2 "Blocking I/O Model", 26.
Validated by: tests/conformance, tests/timeline/test_models.py
"""

from functools import partial

from pydantic import Field

from iosim.choice import Options as BaseOptions
from iosim.handler import Server, serve
from iosim.machine.kernel import Kernel
from iosim.machine.sockets import EOF, PARTIAL, Socket
from iosim.machine.thread import Program


class Options(BaseOptions):
    """Synchronous blocking: a thread per connection sleeps in recvfrom."""

    own_work_thread: bool = Field(
        default=False,
        description="Do the server's own work in a thread of its own; otherwise it is not done: "
        "every thread sleeps in the kernel.",
    )


def main(kernel: Kernel, server: Server, options: Options) -> Program:
    """Accept each connection and give it a thread."""
    if options.own_work_thread and server.own_work.wanted:
        yield from kernel.spawn("own work", partial(work, server=server))
    while True:
        connection = yield from kernel.accept4(server.listener)
        yield from kernel.spawn(
            connection.name, partial(converse, server=server, connection=connection)
        )


def converse(kernel: Kernel, server: Server, connection: Socket) -> Program:
    """Serve one connection to its end."""
    while True:
        while (request := (yield from kernel.recvfrom(connection))) is PARTIAL:
            pass
        if request is EOF:
            break
        yield from serve(kernel, server, request)
        yield from kernel.sendto(connection, request, request.reply_bytes)
    yield from kernel.close(connection)


def work(kernel: Kernel, server: Server) -> Program:
    """The server's own work, for ever."""
    while True:
        yield from server.own_work.do_chunk(kernel)
