"""Processes forked beforehand, each blocked in accept, then in its connection's recvfrom.

    parent:     fork ... fork, then pause
    process n:  accept (asleep) -> recvfrom (asleep) -> handle -> sendto -> ... EOF -> accept

As `blocking`, with a fixed number of processes for threads: each serves one connection to
its end, so there are never more connections served than processes. Processes share nothing,
an interpreter lock neither, and each has memory of its own.

All wait in accept on one listener. A new connection wakes the process that has waited
longest; `wake: herd` is how kernels before Linux 2.4 did it: all are woken, one finds the
connection, and the others have been switched to for nothing and sleep again.

Connections stay open for the whole run, so the ones beyond the number of processes would
wait in the accept queue for ever and the load would never start: such a scenario is refused.

Not modelled: starting and ending processes by demand; what switching to another address
space costs beyond switching to a thread (page tables, TLB); a file lock around accept.
Source: Stevens, UNIX Network Programming vol. 1, 30.6 "TCP Preforked Server, No Locking
Around accept"; Linux 6.18 net/ipv4/inet_connection_sock.c (inet_csk_wait_for_connect).
Validated by: tests/conformance, tests/timeline/test_pools.py,
tests/timeline/test_shared_readiness.py
"""

from functools import partial
from typing import Final, Literal

from pydantic import Field

from iosim.choice import Options as BaseOptions
from iosim.errors import SimulationError
from iosim.handler import Server, serve
from iosim.machine.kernel import Kernel
from iosim.machine.sockets import EOF, PARTIAL
from iosim.machine.thread import Herd, Program
from iosim.units import PositiveCount

PROCESSES: Final = 8
"""Where connections come and go."""


class Options(BaseOptions):
    """Preforked processes: each accepts a connection and serves it to its end, blocking."""

    processes: PositiveCount | None = Field(
        default=None,
        description="Processes that accept; at least as many as there are connections that stay: "
        "by default as many, and 8 where connections come and go.",
    )
    wake: Literal["exclusive", "herd"] = Field(
        default="exclusive",
        description="Whom a new connection wakes: the process that has waited longest, or all.",
    )


def main(kernel: Kernel, server: Server, options: Options) -> Program:
    """Fork the processes and leave the rest to them. Raises SimulationError."""
    processes = options.processes or server.connections or PROCESSES
    if server.connections is not None and server.connections > processes:
        raise SimulationError(
            kernel.machine.model,
            None,
            f"{server.connections:,} connections stay open for ever and {processes:,} "
            "processes serve one each: the others would wait in accept's queue for ever; set "
            "'processes' to at least the number of connections",
        )
    if options.wake == "herd":
        server.listener.wait_queue = Herd("listener")
    for number in range(processes):
        yield from kernel.fork(f"process {number}", partial(accept_and_serve, server=server))
    while True:
        yield from kernel.pause()


def accept_and_serve(kernel: Kernel, server: Server) -> Program:
    """Serve one connection after the other, each to its end."""
    kernel.enlist()
    while True:
        connection = yield from kernel.accept4(server.listener)
        while (request := (yield from kernel.recvfrom(connection))) is not EOF:
            if request is PARTIAL:
                continue
            yield from serve(kernel, server, request)
            yield from kernel.sendto(connection, request, request.reply_bytes)
        yield from kernel.close(connection)
