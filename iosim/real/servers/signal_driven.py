"""Signal-driven I/O: a queued real-time signal for each arrival, taken by sigwaitinfo.

Python's siginfo has no `si_fd`; but in the kernel's structure of 64-bit machines `si_status`,
which it has, is at the same place (sigaction(2): a union).

Twin of: iosim/io_models/signal_driven.py
Validated by: tests/real/test_servers.py, tests/real/test_twins.py
"""

import os
import signal
from dataclasses import dataclass
from fcntl import F_SETFL, F_SETOWN, F_SETSIG, FASYNC, fcntl
from resource import RLIMIT_SIGPENDING, getrlimit, setrlimit
from typing import Final

from iosim.real.handler import Jobs, Server
from iosim.real.kernel import EAGAIN, NS_PER_S, DescriptorSet, Kernel, Refused, Socket

READY: Final = signal.SIGRTMIN + 1
SIGNALS: Final = {READY, signal.SIGIO}


@dataclass(frozen=True)
class Options:
    """Signal-driven: a queued signal names each socket on which something arrives."""

    queue: int = 1024


def main(kernel: Kernel, server: Server, options: Options) -> None:
    """The loop around sigwaitinfo."""
    block_signals(options.queue)
    own_pid = os.getpid()
    descriptors = DescriptorSet()

    def watch(socket: Socket) -> None:
        fcntl(socket.fd, F_SETOWN, own_pid)
        fcntl(socket.fd, F_SETSIG, READY)
        fcntl(socket.fd, F_SETFL, os.O_NONBLOCK | FASYNC)
        descriptors.add(socket)

    def wait_for(socket: Socket, events: int) -> None:
        # Both are signalled; only poll has to know.
        descriptors.change(socket, events)

    jobs = Jobs(kernel, server, watch, wait_for, descriptors.discard)

    def drain(socket: Socket) -> None:
        if socket is server.listener:
            while (connection := kernel.accept4(socket)) is not EAGAIN:
                watch(connection)
                drain(connection)
        else:
            while jobs.on_readable(socket):
                pass

    watch(server.listener)
    drain(server.listener)
    while True:
        timeout_ns = 0 if server.own_work.wanted else jobs.timeout_ns()
        taken = take_signal(timeout_ns)
        if taken is not None and taken.si_signo == signal.SIGIO:
            discard_signals()
            for socket in kernel.poll(descriptors, 0):
                drain(socket)
        elif taken is not None and taken.si_status in descriptors.sockets:
            drain(descriptors.sockets[taken.si_status])
        jobs.run_due()
        if server.own_work.wanted and taken is None:
            server.own_work.do_chunk(kernel)


def block_signals(limit: int) -> None:
    """Block the signals of I/O, of which `limit` can be queued."""
    signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)
    _, most = getrlimit(RLIMIT_SIGPENDING)
    if limit > most >= 0:
        raise Refused(f"no more than {most} signals can be queued (RLIMIT_SIGPENDING)")
    setrlimit(RLIMIT_SIGPENDING, (limit, most))


def take_signal(timeout_ns: int | None) -> signal.struct_siginfo | None:
    """The next signal; None when the time is over."""
    if timeout_ns is None:
        return signal.sigwaitinfo(SIGNALS)
    return signal.sigtimedwait(SIGNALS, timeout_ns / NS_PER_S)


def discard_signals() -> None:
    """Throw away what is queued: ignore the signal, and set it back."""
    signal.signal(READY, signal.SIG_IGN)
    signal.signal(READY, signal.SIG_DFL)
