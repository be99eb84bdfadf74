"""Sockets: what arrives, who waits for it, and the syscalls on them.

What it models: a connected stream socket carries whole messages, a listening one new
connections. Arrival wakes the thread that sleeps in `recvfrom` or `accept4`, and calls
back whatever watches the socket (`iosim.machine.readiness`).

`recvfrom` takes a message out of the socket at the moment of the call; nothing else can
take it, so the time it costs may be worked off later, together with what follows.
`sendto` lets the message leave at an exact moment: everything is worked off first, unless
nothing else can happen before that.

Scope: messages up to the socket buffers' size, one read each.
Not modelled: partial reads and writes, a full send buffer, urgent data, shutdown(2).
Source: recvfrom(2), sendto(2), accept4(2), listen(2), close(2).
Validated by: tests/timeline/test_sockets.py
"""

from collections.abc import Generator
from typing import Any, Final, Protocol

from iosim.machine.calls import Calls
from iosim.machine.costs import REFILL_STEP_BITS, REFILL_STEPS
from iosim.machine.thread import ENTRY, REFILL, RUN, SOFTIRQ, SYSCALL, Thread, WaitQueue


class Sentinel:
    """A named answer of a syscall."""

    def __init__(self, name: str) -> None:
        self.name = name

    def __repr__(self) -> str:
        return self.name


EAGAIN: Final = Sentinel("EAGAIN")
EOF: Final = Sentinel("EOF")


class Watcher(Protocol):
    """Something that wants to know when a socket becomes readable."""

    def on_readable(self, socket: "Socket") -> None:
        """Something has arrived on `socket`. Plain call at that instant."""

    def on_closed(self, socket: "Socket") -> None:
        """The program is about to close `socket`: watch it no longer."""


class Message(Protocol):
    """What travels over a connection, on behalf of a request."""

    bytes: int

    def delivered(self, now: int) -> None:
        """It has reached the machine's socket."""

    def begin(self, thread: Thread, now: int) -> None:
        """`thread` has received it and works on it from now on."""

    def pause(self, now: int) -> None:
        """It leaves the machine; its thread stops working on it."""


class Peer(Protocol):
    """The other end of a connection, outside the simulated machine."""

    softirq_on_sender: bool
    """True on loopback: the sender's core does the receiver's softirq work."""

    def accepted(self, socket: "Socket", at_ns: int) -> None:
        """The machine accepts the connection `socket` at `at_ns`."""

    def receive(self, socket: "Socket", message: Any, at_ns: int) -> None:
        """A message leaves the machine through `socket` at `at_ns`.

        That may lie ahead of the clock; then nothing else happens until that instant.
        """

    def closed(self, socket: "Socket") -> None:
        """The machine has closed `socket`."""


class Socket:
    """A descriptor: one end of a connection, or a listening socket."""

    __slots__ = (
        "accepting",
        "backlog",
        "core",
        "descriptor",
        "name",
        "nonblocking",
        "peer",
        "received",
        "touched_bytes",
        "user_data",
        "wait_queue",
        "watchers",
    )

    def __init__(self, name: str, peer: Peer | None, backlog: int = 0) -> None:
        self.name = name
        self.peer = peer
        self.backlog = backlog
        self.nonblocking = False
        # A list: seldom long, and a tenth of an empty deque in memory.
        self.received: list[Any] = []
        self.wait_queue = WaitQueue(name)
        self.watchers: list[Watcher] = []
        self.descriptor = -1
        # Where and when (the core's cache clock) it was last worked on.
        self.core: Any = None
        self.touched_bytes = 0
        # The program's own note on it, as epoll_event.data is.
        self.user_data: Any = None

    @property
    def full(self) -> bool:
        """True if a listening socket can queue no further connection."""
        return len(self.received) >= self.backlog

    def __repr__(self) -> str:
        return f"<socket {self.name}>"


class SocketCalls(Calls):
    """Syscalls on sockets."""

    __slots__ = ()

    def accept4(self, listener: Socket) -> Generator[Any, Any, Any]:
        """Take a new connection from the queue; sleep until there is one, or EAGAIN."""
        thread, costs = self.thread, self.costs
        self.syscalls["accept4"] += 1
        thread.charge(ENTRY, costs.syscall_ns, "accept4")
        if not listener.received:
            if thread.debt_ns:
                yield RUN
            while not listener.received:
                if listener.nonblocking:
                    yield RUN
                    return EAGAIN
                yield listener.wait_queue
        connection = listener.received.pop(0)
        thread.charge(SYSCALL, costs.accept4_ns, "accept4")
        self.machine.open_descriptor(connection)
        if thread.debt_ns and not self.undisturbed():
            yield RUN
        connection.peer.accepted(connection, self.env._now + thread.debt_ns)
        return connection

    def recvfrom(self, socket: Socket) -> Generator[Any, Any, Any]:
        """Take the next message; sleep until there is one, or EAGAIN; EOF at the end."""
        thread, costs = self.thread, self.costs
        self.syscalls["recvfrom"] += 1
        received = socket.received
        if received:
            cause = ENTRY
            ns = costs.recvfrom_whole_ns
        else:
            cause = SYSCALL
            ns = costs.recvfrom_ns
            thread.charge(ENTRY, costs.syscall_ns, "recvfrom")
            if thread.debt_ns:
                yield RUN
            while not received:
                if socket.nonblocking:
                    self.machine.wasted_polls += 1
                    thread.charge(SYSCALL, costs.recvfrom_eagain_ns, "recvfrom")
                    if not thread.debt_ns:
                        yield RUN  # even where nothing costs anything the core sees it
                    return EAGAIN
                yield socket.wait_queue
        message = received.pop(0)
        if message is EOF:
            thread.charge(cause, ns, "recvfrom")
            return EOF
        message.begin(thread, self.env._now + thread.debt_ns)
        core = thread.core
        touched_bytes = core.touched_bytes
        if socket.core is core:
            step = (touched_bytes - socket.touched_bytes) >> REFILL_STEP_BITS
        else:
            step = REFILL_STEPS
            socket.core = core
        core.touched_bytes = socket.touched_bytes = touched_bytes + costs.connection_bytes
        # As calls of `charge`, written out: this is one of the simulator's busiest spots.
        segments, cpu_ns = thread.segments, core.cpu_ns
        ns += message.bytes * costs.recvfrom_per_kib_ns >> 10
        segments.append((cause, ns, "recvfrom"))
        cpu_ns[cause] += ns
        if step:
            refill_ns = costs.connection_refill_ns[step if step < REFILL_STEPS else -1]
            segments.append((REFILL, refill_ns, "connection refill"))
            cpu_ns[REFILL] += refill_ns
            ns += refill_ns
        thread.debt_ns += ns
        return message

    def sendto(self, socket: Socket, message: Any, size_bytes: int) -> Generator[Any, Any, None]:
        """Send `message`, which leaves when this returns."""
        thread, costs, env = self.thread, self.costs, self.env
        self.syscalls["sendto"] += 1
        peer: Any = socket.peer
        # As calls of `charge`, written out: this is one of the simulator's busiest spots.
        segments, cpu_ns = thread.segments, thread.core.cpu_ns
        ns = costs.sendto_whole_ns + (size_bytes * costs.sendto_per_kib_ns >> 10)
        segments.append((ENTRY, ns, "sendto"))
        cpu_ns[ENTRY] += ns
        if peer.softirq_on_sender:
            softirq_ns = costs.receive_softirq_ns
            segments.append((SOFTIRQ, softirq_ns, "receive softirq"))
            cpu_ns[SOFTIRQ] += softirq_ns
            ns += softirq_ns
        thread.debt_ns = ns = thread.debt_ns + ns
        if not ns:
            thread.core.count_step(thread, env._now)
        else:
            heap = env._queue
            if (  # not self.undisturbed(), written out
                (heap and heap[0][0] <= env._now + ns)
                or thread.core.run_queue.rivals
                or thread.pending
                or thread.core.pace != 1.0
            ):
                yield RUN
        at_ns = env._now + thread.debt_ns
        message.pause(at_ns)
        peer.receive(socket, message, at_ns)

    def close(self, socket: Socket) -> Generator[Any, Any, None]:
        """Close a connection; whatever watched it no longer does."""
        thread, costs = self.thread, self.costs
        self.syscalls["close"] += 1
        thread.charge(ENTRY, costs.syscall_ns + costs.close_ns, "close")
        if thread.debt_ns:
            yield RUN
        for watcher in tuple(socket.watchers):
            watcher.on_closed(socket)
        self.machine.close_descriptor(socket)
        if socket.peer is not None:
            socket.peer.closed(socket)
