"""What lies outside the simulated machine, one file each.

Two roles; a file's `ROLE` says which it plays:

- `network`: how messages reach the server and leave it. Holds `Options` and a class
  `Network(options, machine, streams)` that fulfils `Network` below.
- `backend`: what the handler's `call` steps call. Holds `Options`, whose method
  `amounts(streams, step, attempts)` draws for each request what the call takes, and a
  class `Device(name, options, machine, network, streams)` that fulfils `Device` below. If
  its options have `assumed(name, tails)`, it says what an objective turns on and they leave
  open (`iosim.assumptions`).

The file's name is its name in scenarios.

Validated by: tests/conformance
"""

from collections import deque
from collections.abc import Callable, Generator
from typing import TYPE_CHECKING, Any, Protocol

from iosim.machine.agenda import Agenda
from iosim.machine.clock import Clock
from iosim.machine.sockets import Arrival, Socket

if TYPE_CHECKING:
    from iosim.handler import Query, Server
    from iosim.machine.kernel import Kernel


class Network(Protocol):
    """The way between the server's machine and everything else."""

    softirq_on_sender: bool
    """True if the sender's core does the receiver's softirq work, as on loopback."""

    free_ns: int
    """Before this instant the sending side cannot send another message."""

    fixed_delays_ns: tuple[int, int] | None
    """A request's way to the server and its answer's way back, if always the same."""

    def delays_ns(self) -> tuple[int, int]:
        """The same for the next request."""

    def reply_arrival_ns(self, at_ns: int, delay_ns: int, size_bytes: int) -> int:
        """When an answer that leaves at `at_ns` and takes `delay_ns` has been received."""

    def deliver(self, socket: Socket, message: Arrival) -> None:
        """A message arrives at the server now: it is in `socket` when that is done."""

    def connect(self) -> tuple[int, int]:
        """A client asks for a connection now: when it arrives, and when the client has it."""

    def open(self, listener: Socket, connection: Socket) -> None:
        """The connection arrives at the server now."""

    def close(self, at_ns: int) -> int:
        """A client closes its connection at `at_ns`: when the server hears of it."""

    def piece_ns(self, size_bytes: int) -> int:
        """From a piece of a large request to the next, `size_bytes` each."""


class Device(Protocol):
    """A backend as `call` steps see it."""

    name: str
    interface: str
    """`socket`: its answer can be waited for with others; `blocking`: only in the call."""

    def perform(
        self, kernel: "Kernel", server: "Server", query: "Query"
    ) -> Generator[Any, Any, None]:
        """Have `query` answered; the thread sleeps meanwhile."""

    def usage(self) -> "Usage":
        """What has been going on up to now."""


class Service(Device, Protocol):
    """A device that is called over connections: the peer of the sockets at its other end."""

    softirq_on_sender: bool

    def receive(self, socket: Socket, message: Any, at_ns: int) -> None:
        """A query leaves the machine at `at_ns`."""

    def accepted(self, socket: Socket, at_ns: int) -> None:
        """Never called: devices do not connect to the server."""

    def closed(self, socket: Socket) -> None:
        """The machine has closed its connection to the device."""


class Usage:
    """Time-integrals of a backend since the start."""

    __slots__ = ("busy_ns", "calls", "concurrency", "queued_ns")

    def __init__(self, calls: int, busy_ns: int, queued_ns: int, concurrency: int | None) -> None:
        self.calls = calls
        self.busy_ns = busy_ns
        self.queued_ns = queued_ns
        self.concurrency = concurrency


class Station:
    """Places for so many calls at once, and a queue in order of arrival before them."""

    def __init__(
        self,
        env: Clock,
        places: int | None,
        done: Callable[[Any], None],
        end_ns: Callable[[int, int], int] | None = None,
        quiet: bool = False,
    ) -> None:
        """`done(call)` is called at each call's end: `end_ns(start, ns)`, if not start + ns.

        places: None: no limit. quiet: as of an `Alarm`.
        """
        self._env = env
        self._places = places
        self._done = done
        self._end_ns = end_ns
        self._in_service = Agenda(env, self._ended, quiet)
        self._queue: deque[tuple[Any, int]] = deque()
        self.calls = 0
        self._busy_ns = 0
        self._queued_ns = 0
        self._changed_ns = 0

    def enter(self, call: Any, ns: int, at_ns: int) -> None:
        """`call`, which takes `ns`, comes at `at_ns`."""
        self._integrate(at_ns)
        self.calls += 1
        if self._places is None or len(self._in_service) < self._places:
            self._begin(call, ns, at_ns)
        else:
            self._queue.append((call, ns))

    def _begin(self, call: Any, ns: int, at_ns: int) -> None:
        end_ns = at_ns + ns if self._end_ns is None else self._end_ns(at_ns, ns)
        self._in_service.at(end_ns, call)

    def _ended(self, call: Any) -> None:
        # The agenda has already forgotten this call; it was in service until now.
        now = self._env._now
        self._busy_ns += now - self._changed_ns
        self._integrate(now)
        if self._queue:
            self._begin(*self._queue.popleft(), now)
        self._done(call)

    def _integrate(self, now: int) -> None:
        passed_ns = now - self._changed_ns
        self._changed_ns = now
        self._busy_ns += passed_ns * len(self._in_service)
        self._queued_ns += passed_ns * len(self._queue)

    def usage(self) -> Usage:
        """What has been going on up to now."""
        self._integrate(self._env._now)
        return Usage(self.calls, self._busy_ns, self._queued_ns, self._places)
