"""A request on its way through client, network, server and devices, and where its time goes.

What it models: each instant between the intended send time and the answer's arrival
belongs to exactly one part of the response time:

- client: waiting at the client for its connection, which an earlier request occupies;
- network: on the way to the server's socket, and the answer's way back;
- queue: ready, while the thread that will serve it is busy with others;
- wake_up: the serving thread is being woken: idle exit, context switch, refill;
- run_queue: the serving thread is runnable and waits for a core;
- cpu: the thread works on it (syscalls and interrupts included);
- lock: the serving thread sleeps for a lock;
- device: a device call, or a `sleep` step, is under way.

Scope: the parts add up to the response time exactly.
Not modelled: which of several threads delayed a request.
Validated by: tests/timeline/test_request_parts.py, tests/conformance
"""

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any, ClassVar, Final

if TYPE_CHECKING:
    from iosim.machine.thread import Thread
    from iosim.machine.trace import Trace

PARTS: Final = ("client", "network", "queue", "wake_up", "run_queue", "cpu", "lock", "device")

WAITING: Final = 0
ANSWERED: Final = 1
REFUSED: Final = 2
TIMED_OUT: Final = 3


class Request:
    """One request. Times are ns of the simulated clock; sizes bytes.

    What all requests of a class have in common belongs to a class of its own (`request_type`).
    """

    __slots__ = (
        "amounts",
        "answered_ns",
        "attempt",
        "begun_ns",
        "bytes",
        "client",
        "client_ns",
        "connection",
        "cpu_ns",
        "delays_ns",
        "device",
        "device_ns",
        "failed",
        "intended_ns",
        "lock_ns",
        "network_ns",
        "next_step",
        "number",
        "off_core",
        "queue_ns",
        "ready_ns",
        "reply_bytes",
        "run_queue_ns",
        "state",
        "thread",
        "wake_up_ns",
    )

    class_name: ClassVar[str] = ""
    """Its class's; empty where all requests are alike."""
    steps: ClassVar[tuple[Any, ...]] = ()
    """The handler's steps (`iosim.handler.Step`)."""
    last_step: ClassVar[int] = 0
    """How many there are."""
    like: ClassVar[Iterator[Any]]
    """What further requests of its class ask for, without end."""
    attempt: int
    """How often it has been asked before, by a client that asks again."""
    client: Any
    """Who has sent it."""
    delays_ns: tuple[int, int]
    """Its way to the server, and its answer's way back."""
    connection: Any
    """The server's socket on which it came."""
    device: Any
    """The device whose answer it waits for."""
    answered_ns: int
    """When the client has its answer."""
    thread: "Thread"
    """Who works, or has worked last, on it."""

    def __init__(
        self,
        number: int,
        intended_ns: int,
        amounts: tuple[Any, ...],
        bytes_: int,
        reply_bytes: int,
    ) -> None:
        self.number = number
        self.intended_ns = intended_ns
        # For each step of the handler: ns to compute or to sleep, what a call takes.
        self.amounts = amounts
        self.bytes = bytes_
        self.reply_bytes = reply_bytes
        self.state = WAITING
        # Whether a call on its behalf has failed: its answer then is an error.
        self.failed = False
        self.client_ns = self.network_ns = self.queue_ns = self.wake_up_ns = self.run_queue_ns = 0
        self.cpu_ns = self.lock_ns = self.device_ns = 0
        # The server's note of how far the handler has come.
        self.next_step = 0

    def delivered(self, now: int) -> None:
        """It has reached the server's socket."""
        self.network_ns = now - self.intended_ns - self.client_ns
        self.ready_ns = now

    def begin(self, thread: "Thread", now: int) -> None:
        """`thread` starts, or goes on, to work on it: account for the wait until now."""
        wait_ns = now - self.ready_ns
        if thread.woken_ns >= self.ready_ns and wait_ns:
            # It was asleep when the request became ready, and woken no earlier.
            part_ns = thread.last_wake_up_ns
            if part_ns > wait_ns:
                part_ns = wait_ns
            self.wake_up_ns += part_ns
            wait_ns -= part_ns
            part_ns = thread.last_run_queue_ns
            if part_ns > wait_ns:
                part_ns = wait_ns
            self.run_queue_ns += part_ns
            wait_ns -= part_ns
        self.queue_ns += wait_ns
        self.begun_ns = now
        self.thread = thread
        self.off_core = thread.off_core

    def pause(self, now: int) -> None:
        """Its thread stops working on it (a call, a hand-over, the answer sent)."""
        worked_ns = now - self.begun_ns
        then, off_core = self.off_core, self.thread.off_core
        if then is not off_core:  # its thread has been off the core meanwhile
            run_queue_ns = off_core[0] - then[0]
            wake_up_ns = off_core[1] - then[1]
            lock_ns = off_core[2] - then[2]
            self.run_queue_ns += run_queue_ns
            self.wake_up_ns += wake_up_ns
            self.lock_ns += lock_ns
            worked_ns -= run_queue_ns + wake_up_ns + lock_ns
        self.cpu_ns += worked_ns
        self.ready_ns = now

    def has_room(self, now: int) -> None:
        """There is room again for what of its answer did not fit into the send buffer."""
        self.network_ns += now - self.ready_ns
        self.ready_ns = now

    def device_done(self, now: int) -> None:
        """What it waited for outside the machine is there."""
        self.device_ns += now - self.ready_ns
        self.ready_ns = now


def summed_parts(requests: Iterable[Request]) -> tuple[int, ...]:
    """The sum of each of `PARTS` over all of them, in ns."""
    client_ns = network_ns = queue_ns = wake_up_ns = run_queue_ns = cpu_ns = lock_ns = device_ns = 0
    for request in requests:  # one loop, of plain additions: the quickest way through
        client_ns += request.client_ns
        network_ns += request.network_ns
        queue_ns += request.queue_ns
        wake_up_ns += request.wake_up_ns
        run_queue_ns += request.run_queue_ns
        cpu_ns += request.cpu_ns
        lock_ns += request.lock_ns
        device_ns += request.device_ns
    return client_ns, network_ns, queue_ns, wake_up_ns, run_queue_ns, cpu_ns, lock_ns, device_ns


def request_type(
    trace: "Trace | None", steps: tuple[Any, ...] = (), class_name: str = ""
) -> type[Request]:
    """The type of the requests of one class; where there is a trace, they tell it."""
    # What is an attribute of the type costs no request anything.
    common = {"steps": steps, "last_step": len(steps), "class_name": class_name}
    return type("RequestOfClass", (_watched(trace),), {"__slots__": (), **common})


def _watched(trace: "Trace | None") -> type[Request]:
    """Plain requests, or, where there is a trace, ones that tell it."""
    if trace is None:
        return Request
    watching: Trace = trace

    class Watched(Request):
        """A request whose way a trace follows."""

        __slots__ = ()

        def __init__(self, *what: Any) -> None:
            super().__init__(*what)
            watching.offered(self)

        def delivered(self, now: int) -> None:
            super().delivered(now)
            watching.delivered(self, now)

        def begin(self, thread: "Thread", now: int) -> None:
            super().begin(thread, now)
            watching.begun(self, thread, now)

        def pause(self, now: int) -> None:
            super().pause(now)
            watching.paused(self, now)

        def device_done(self, now: int) -> None:
            super().device_done(now)
            watching.resumable(self, now)

    return Watched
