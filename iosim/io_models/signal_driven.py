"""Signal-driven I/O: a queued real-time signal for each arrival, taken by sigwaitinfo.

    arrival:  signal (connection 7) queued     signal (connection 3) queued
    main:     sigwaitinfo (asleep) -> 7: recvfrom, handle, sendto -> sigwaitinfo -> 3 ...

O_ASYNC and F_SETSIG have the kernel queue a signal whenever something arrives; main keeps
the signals blocked, waits for the next, and serves the socket that it names. One call
tells of one arrival, so there is no batching, and nothing is scanned.

A signal is a hint of what was: by the time that it is taken, its socket may have been read
or closed. And the queue has a limit: beyond it SIGIO is all that comes. Main then throws
away what is queued, asks poll about every descriptor, and goes back to signals. In this
order: what arrives after the queue was emptied is signalled, what came before is seen by
poll. What had arrived before O_ASYNC was set is signalled to nobody, and so is looked for.

As with any edge, each socket has to be read until EAGAIN.

Not modelled: one signal for several arrivals on a socket; several threads with a signal
number each; a helper thread for the time of overflow, as phhttpd had.
Source: fcntl(2), sigwaitinfo(2); Chandra, Mosberger, "Scalability of Linux Event-Dispatch
Mechanisms", USENIX 2001; Provos, Lever, "Scalable Network I/O in Linux", USENIX 2000;
Stevens, UNIX Network Programming vol. 1, 25.
Validated by: tests/conformance, tests/timeline/test_signal_driven.py
"""

from pydantic import Field

from iosim.choice import Options as BaseOptions
from iosim.handler import Jobs, Server
from iosim.machine.kernel import Kernel
from iosim.machine.readiness import DescriptorSet
from iosim.machine.signals import F_SETFL, F_SETOWN, F_SETSIG, SIGIO
from iosim.machine.sockets import EAGAIN, Socket
from iosim.machine.thread import Program
from iosim.units import PositiveCount


class Options(BaseOptions):
    """Signal-driven: a queued signal names each socket on which something arrives."""

    queue: PositiveCount = Field(
        default=1024,
        description="Signals that can be queued (RLIMIT_SIGPENDING); beyond it SIGIO, and poll.",
    )


def main(kernel: Kernel, server: Server, options: Options) -> Program:
    """The loop around sigwaitinfo."""
    signals = yield from kernel.sigprocmask(options.queue)
    descriptors = DescriptorSet(kernel.machine)
    server.listener.nonblocking = True

    def watch(socket: Socket) -> Program:
        for command in (F_SETOWN, F_SETSIG, F_SETFL):
            yield from kernel.fcntl(socket, command, signals)
        descriptors.add(socket)

    def wait_for(socket: Socket, events: str) -> Program:
        # Both are signalled; only poll has to know.
        descriptors.change(socket, events)
        return
        yield

    jobs = Jobs(kernel, server, watch, wait_for)
    # Those that have had their turn and not been read until EAGAIN.
    unread: dict[Socket, None] = {}

    def drain(socket: Socket) -> Program:
        if socket is server.listener:
            while (connection := (yield from kernel.accept4(socket))) is not EAGAIN:
                connection.nonblocking = True
                yield from watch(connection)
                yield from drain(connection)
        elif not (yield from jobs.drain(socket)):
            unread[socket] = None  # the others first

    yield from watch(server.listener)
    yield from drain(server.listener)
    while True:
        timeout_ns = 0 if server.own_work.wanted or unread else jobs.timeout_ns()
        signal = yield from kernel.sigtimedwait(signals, timeout_ns)
        if signal is SIGIO:
            yield from kernel.discard_signals(signals)
            for socket in (yield from kernel.poll(descriptors, 0)):
                yield from drain(socket)
        elif signal is not None and signal.descriptor in descriptors.sockets:
            yield from drain(signal)
        for socket in tuple(unread):
            del unread[socket]
            if socket.descriptor >= 0:
                yield from drain(socket)
        yield from jobs.run_due()
        if server.own_work.wanted and signal is None:
            yield from server.own_work.do_chunk(kernel)
