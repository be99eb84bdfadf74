"""Synchronous non-blocking I/O: ask every connection, again and again.

Asking is receiving: what answers EAGAIN has been asked in vain. The listener is asked by
accept4, where the simulated program counts a recvfrom.

Twin of: iosim/io_models/nonblocking.py
Validated by: tests/real/test_servers.py, tests/real/test_twins.py
"""

from dataclasses import dataclass

from iosim.real.handler import Jobs, Server
from iosim.real.kernel import EAGAIN, Kernel, Socket


@dataclass(frozen=True)
class Options:
    """Synchronous non-blocking: one thread asks every connection again and again."""

    pause: int = 0


class Ring:
    """Sockets that a program asks one after the other, round and round."""

    def __init__(self) -> None:
        self.sockets: list[Socket] = []
        self.position = 0
        # So many have been asked in vain since the last one that answered.
        self.fruitless = 0

    def add(self, socket: Socket) -> None:
        """Ask `socket` too, last in the round."""
        self.sockets.append(socket)

    def discard(self, socket: Socket) -> None:
        """Ask `socket`, the last that was asked, no longer."""
        self.sockets.remove(socket)
        self.position -= 1

    def ask_next(self) -> Socket | None:
        """Whom to ask next; None after a round in vain."""
        if self.fruitless >= len(self.sockets):
            self.fruitless = 0
            return None
        if self.position >= len(self.sockets):
            self.position = 0
        socket = self.sockets[self.position]
        self.position += 1
        self.fruitless += 1
        return socket


def main(kernel: Kernel, server: Server, options: Options) -> None:
    """Go round all sockets; turn to other things after a round in vain."""
    ring = Ring()
    server.listener.nonblocking = True
    ring.add(server.listener)

    def watch(socket: Socket) -> None:
        ring.add(socket)

    def wait_for(socket: Socket, events: int) -> None:
        """Nothing: what there is to do with a socket, receive or send, it knows itself."""

    jobs = Jobs(kernel, server, watch, wait_for, ring.discard)
    while True:
        socket = ring.ask_next()
        if socket is None:
            if server.own_work.wanted:
                server.own_work.do_chunk(kernel)
            if options.pause:
                kernel.nanosleep(options.pause)
        elif socket is server.listener:
            connection = kernel.accept4(socket)
            if connection is not EAGAIN:
                connection.nonblocking = True
                ring.add(connection)
                ring.fruitless = 0
        elif jobs.on_readable(socket):
            ring.fruitless = 0
        if jobs.sleeping:
            jobs.run_due()
