"""What lies outside the simulated machine, one file each.

Two roles; a file's `ROLE` says which it plays:

- `network`: how messages reach the server and leave it. Holds `Options` and a class
  `Network(options, machine, streams)` that fulfils `Network` below.
- `backend`: what the handler's `call` steps call. Holds `Options` and a class
  `Device(name, options, machine, network)` that fulfils `Device` below.

The file's name is its name in scenarios.

Validated by: tests/conformance
"""

from typing import Any, Protocol

from iosim.machine.sockets import Message, Socket


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

    def deliver(self, socket: Socket, message: Message) -> None:
        """A message arrives at the server now: it is in `socket` when that is done."""


class Device(Protocol):
    """A backend as `call` steps see it; the peer of the sockets connected to it."""

    name: str
    softirq_on_sender: bool
    interface: str
    """`socket`: its answer can be waited for with others; `blocking`: only in the call."""

    def receive(self, socket: Socket, message: Any, at_ns: int) -> None:
        """A query leaves the machine at `at_ns`."""

    def accepted(self, socket: Socket, at_ns: int) -> None:
        """Never called: devices do not connect to the server."""

    def closed(self, socket: Socket) -> None:
        """The machine has closed its connection to the device."""

    def usage(self) -> "Usage":
        """What has been going on up to now."""


class Usage:
    """Time-integrals of a backend since the start."""

    __slots__ = ("busy_ns", "calls", "concurrency", "queued_ns")

    def __init__(self, calls: int, busy_ns: int, queued_ns: int, concurrency: int) -> None:
        self.calls = calls
        self.busy_ns = busy_ns
        self.queued_ns = queued_ns
        self.concurrency = concurrency
