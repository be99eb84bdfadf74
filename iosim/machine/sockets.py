"""Sockets: what arrives, who waits for it, and the syscalls on them.

What it models: a connected stream socket carries whole messages, a listening one new
connections. Arrival wakes the thread that sleeps in `recvfrom` or `accept4`, and calls
back whatever watches the socket (`iosim.machine.readiness`).

`recvfrom` takes a message out of the socket at the moment of the call; nothing else can
take it, so the time it costs may be worked off later, together with what follows.
`sendto` lets the message leave at an exact moment: everything is worked off first, unless
nothing else can happen before that.

A message may arrive in parts, and `recvfrom` then says `PARTIAL` until it has the last; it
may leave through a send buffer that is full (`iosim.machine.sending`), and `sendto` then
takes a part of it.

Not modelled: urgent data, shutdown(2), reset connections.
Source: recvfrom(2), sendto(2), accept4(2), listen(2), close(2).
Validated by: tests/timeline/test_sockets.py
"""

from collections.abc import Generator
from typing import TYPE_CHECKING, Any, Final, Protocol

from iosim.machine.calls import Calls
from iosim.machine.costs import REFILL_STEP_BITS, REFILL_STEPS
from iosim.machine.thread import (
    ENTRY,
    INTERRUPTED,
    REFILL,
    RUN,
    SOFTIRQ,
    SYSCALL,
    USER,
    Thread,
    WaitQueue,
)

if TYPE_CHECKING:
    from iosim.machine.sending import SendBuffer

READ_BYTES: Final = 65_536
"""What the programs pass to recvfrom(2) as their buffer's size."""


class Sentinel:
    """A named answer of a syscall."""

    def __init__(self, name: str) -> None:
        self.name = name

    def __repr__(self) -> str:
        return self.name


EAGAIN: Final = Sentinel("EAGAIN")
PARTIAL: Final = Sentinel("PARTIAL")
"""recvfrom has taken bytes of a message, but not yet its last."""


class Part:
    """Some bytes of a message, on their way or in a socket; `last`: its last ones."""

    __slots__ = ("bytes", "last", "message")

    def __init__(self, message: Any, size_bytes: int, last: bool) -> None:
        self.message = message
        self.bytes = size_bytes
        self.last = last

    def delivered(self, now: int) -> None:
        """It has reached the machine's socket."""
        if self.last and self.message is not None:
            self.message.delivered(now)

    def __repr__(self) -> str:
        return "EOF" if self.message is None else f"<{self.bytes} bytes of {self.message}>"


EOF: Final = Part(None, 0, last=True)
"""What recvfrom finds after all else when the peer has closed the connection."""


class Watcher(Protocol):
    """Something that wants to know when a socket becomes readable."""

    def on_readable(self, socket: "Socket") -> object:
        """Something has arrived on `socket`. Plain call at that instant."""

    def on_writable(self, socket: "Socket") -> None:
        """A socket whose send buffer was full has room again."""

    def on_closed(self, socket: "Socket") -> None:
        """The program is about to close `socket`: watch it no longer."""


class Arrival(Protocol):
    """What reaches a socket."""

    bytes: int

    def delivered(self, now: int) -> None:
        """It has reached the machine's socket."""


class Message(Arrival, Protocol):
    """What travels over a connection, on behalf of a request."""

    def begin(self, thread: Thread, now: int) -> None:
        """`thread` has received it and works on it from now on."""

    def pause(self, now: int) -> None:
        """It leaves the machine; its thread stops working on it."""

    def has_room(self, now: int) -> None:
        """There is room for the rest of it in the socket that it leaves through."""


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
        "flow",
        "hung_up",
        "name",
        "nonblocking",
        "outgoing",
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
        # Whether the peer has closed its end.
        self.hung_up = False
        # What the peer has not taken yet, where it may be slower than the program.
        self.outgoing: SendBuffer | None = None
        # A list: seldom long, and a tenth of an empty deque in memory.
        self.received: list[Any] = []
        self.wait_queue = WaitQueue(name)
        self.watchers: list[Watcher] = []
        self.descriptor = -1
        # The network's number for the connection, which it has before it is accepted.
        self.flow = -1
        # Where and when (the core's cache clock) it was last worked on.
        self.core: Any = None
        self.touched_bytes = 0
        # The program's own note on it, as epoll_event.data is.
        self.user_data: Any = None

    @property
    def full(self) -> bool:
        """True if a listening socket can queue no further connection."""
        return len(self.received) > self.backlog  # sk_acceptq_is_full has room for one more

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
        # Other threads may accept from the same listener: whoever comes first has it.
        if thread.debt_ns and not (listener.received and self.undisturbed()):
            yield RUN
        while not listener.received:
            if listener.nonblocking:
                yield RUN
                if self.woken_for == [listener]:  # another thread was faster
                    self.machine.spurious_wakeups += 1
                    self.woken_for = []
                return EAGAIN
            if (yield listener.wait_queue) is not INTERRUPTED and not listener.received:
                self.machine.spurious_wakeups += 1
        self.woken_for = []
        connection = listener.received.pop(0)
        thread.charge(SYSCALL, costs.accept4_ns, "accept4")
        self.machine.open_descriptor(connection)
        if thread.debt_ns and not self.undisturbed():
            yield RUN
        connection.peer.accepted(connection, self.env._now + thread.debt_ns)
        return connection

    def describe(self, name: str) -> None:
        """Set or ask what a connection is: setsockopt, getsockname, getpeername. Plain call."""
        self.syscalls[name] += 1
        self.thread.charge(ENTRY, self.costs.syscall_ns, name)

    def recvfrom(self, socket: Socket, name: str = "recvfrom") -> Generator[Any, Any, Any]:
        """Take the next message; sleep until there is one, or EAGAIN; EOF at the end.

        `name`: the same by `read`(2).
        """
        thread, costs = self.thread, self.costs
        self.syscalls[name] += 1
        received = socket.received
        if received:
            cause = ENTRY
            ns = costs.recvfrom_whole_ns
        else:
            cause = SYSCALL
            ns = costs.recvfrom_ns
            thread.charge(ENTRY, costs.syscall_ns, name)
            if thread.debt_ns:
                yield RUN
            while not received:
                if socket.nonblocking:
                    self.machine.wasted_polls += 1
                    thread.charge(SYSCALL, costs.recvfrom_eagain_ns, name)
                    if not thread.debt_ns:
                        yield RUN  # even where nothing costs anything the core sees it
                    return EAGAIN
                yield socket.wait_queue
        message = received.pop(0)
        if type(message) is Part:
            return self._receive_parts(received, message, cause, ns, name)
        message.begin(thread, self.env._now + thread.debt_ns)
        core = thread.core
        touched_bytes = core.touched_bytes
        if socket.core is core:
            step = (touched_bytes - socket.touched_bytes) >> REFILL_STEP_BITS
        else:
            step = costs.moved_step
            socket.core = core
        core.touched_bytes = socket.touched_bytes = touched_bytes + costs.connection_bytes
        # As calls of `charge`, written out: this is one of the simulator's busiest spots.
        segments, cpu_ns = thread.segments, core.cpu_ns
        ns += message.bytes * costs.recvfrom_per_kib_ns >> 10
        segments.append((cause, ns, name))
        cpu_ns[cause] += ns
        if step:
            refill_ns = costs.connection_refill_ns[step if step < REFILL_STEPS else -1]
            segments.append((REFILL, refill_ns, "connection refill"))
            cpu_ns[REFILL] += refill_ns
            ns += refill_ns
        thread.debt_ns += ns
        return message

    def _receive_parts(
        self, received: list[Any], part: Part, cause: int, ns: int, name: str
    ) -> Any:
        """Take a part, and what of the same message comes right after it. Plain call."""
        thread = self.thread
        size_bytes = part.bytes
        while not part.last and received and size_bytes + received[0].bytes <= READ_BYTES:
            part = received.pop(0)
            size_bytes += part.bytes
        message = part.message
        if part.last and message is not None:
            message.begin(thread, self.env._now + thread.debt_ns)
        ns += size_bytes * self.costs.recvfrom_per_kib_ns >> 10
        thread.charge(cause, ns, name)
        if not part.last:
            return PARTIAL
        return EOF if message is None else message

    def sendto(
        self, socket: Socket, message: Any, size_bytes: int, name: str = "sendto"
    ) -> Generator[Any, Any, int]:
        """Send `message`, which leaves when this returns; give back how many bytes went.

        Fewer than `size_bytes`, or none (EAGAIN), if the send buffer is full and the socket
        non-blocking; otherwise it sleeps until there has been room for all. `name`: the same
        by `write`(2).
        """
        if socket.outgoing is not None:
            outgoing = socket.outgoing
            return (yield from self._send_buffered(socket, outgoing, message, size_bytes, name))
        thread, costs, env = self.thread, self.costs, self.env
        self.syscalls[name] += 1
        peer: Any = socket.peer
        # As calls of `charge`, written out: this is one of the simulator's busiest spots.
        segments, cpu_ns = thread.segments, thread.core.cpu_ns
        ns = costs.sendto_whole_ns + (size_bytes * costs.sendto_per_kib_ns >> 10)
        if message_ns := self.message_ns:
            segments.append((USER, message_ns, "message"))
            cpu_ns[USER] += message_ns
        segments.append((ENTRY, ns, name))
        cpu_ns[ENTRY] += ns
        ns += message_ns
        if peer.softirq_on_sender:
            softirq_ns = costs.receive_softirq_ns
            segments.append((SOFTIRQ, softirq_ns, "receive softirq"))
            cpu_ns[SOFTIRQ] += softirq_ns
            ns += softirq_ns
        thread.debt_ns = ns = thread.debt_ns + ns
        if not ns:
            thread.core.count_step(thread, env._now)
        elif not self.undisturbed():
            yield RUN
        at_ns = env._now + thread.debt_ns
        message.pause(at_ns)
        peer.receive(socket, message, at_ns)
        return size_bytes

    def _send_buffered(
        self, socket: Socket, outgoing: "SendBuffer", message: Any, size_bytes: int, name: str
    ) -> Generator[Any, Any, int]:
        """`sendto` where the peer may be slower than the program."""
        thread, costs = self.thread, self.costs
        self.syscalls[name] += 1
        thread.charge(USER, self.message_ns, "message")
        thread.charge(ENTRY, costs.sendto_whole_ns, name)
        if socket.peer is not None and socket.peer.softirq_on_sender:
            thread.charge(SOFTIRQ, costs.receive_softirq_ns, "receive softirq")
        outgoing.take_up(message)
        sent_bytes = 0
        while True:
            if thread.debt_ns:
                yield RUN
            part_bytes = min(size_bytes - sent_bytes, outgoing.room_bytes)
            if part_bytes:
                thread.charge(SYSCALL, part_bytes * costs.sendto_per_kib_ns >> 10, name)
                if thread.debt_ns:
                    yield RUN
                sent_bytes += part_bytes
                outgoing.put(message, part_bytes, last=sent_bytes == size_bytes)
            message.pause(self.env._now)
            if sent_bytes == size_bytes:
                return sent_bytes
            outgoing.wait_for_room(message)
            if socket.nonblocking:
                yield RUN  # even where nothing costs anything the core sees it
                return sent_bytes
            yield outgoing.wait_queue
            message.begin(thread, self.env._now)

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
