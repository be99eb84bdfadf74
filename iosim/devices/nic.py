"""A network card: clients on other hosts, interrupts on the server's cores.

What it models: each message takes a one-way latency. A link of finite bandwidth then
carries one message at a time each way, so that messages queue for it:

    sent       latency      link (FIFO)                 interrupt, softirq
    |----------------------|....waits....|-- bytes/bandwidth --|....|--- received

Without `coalesce` each message is softirq work of its own, the profile's
`receive_softirq`, and the interrupt itself costs nothing on top. With it, messages
gather in the ring of their receive queue until the first has waited for `delay`, or
there are `frames` of them. Then the core pays `interrupt` once, and polls (NAPI): it
takes message after message out of the ring, `receive_softirq` each, and interrupts stay
off until the ring is empty:

    ring    1   2     3      (4 and 5 arrive while polling)
            |--delay--|interrupt|--1--|--2--|--3--|--4--|--5--|

After `budget` messages in a row the rest is left to ksoftirqd, which has to share the
core with the threads: it goes on at once if none wants the core, and otherwise after as
long as it has just taken.

Each receive queue interrupts one core. Connections are dealt out to the queues in turn,
or by a hash (receive-side scaling), which is uneven as hashes are.

Not modelled: frames smaller than a message, headers, loss, transmit interrupts, adaptive
coalescing, ksoftirqd as a thread that the scheduler sees; queries to remote services do
not load the link, their answers do. Messages may overtake each other when the latency
is random.
Source: Linux Documentation/networking/napi.rst, scaling.rst; ethtool(8), rx-usecs and
rx-frames; net/core/dev.c, netdev_budget. Costs from the profile.
Validated by: tests/timeline/test_nic.py, tests/timeline/test_devices.py, tests/theory/test_link.py
"""

from collections import deque
from collections.abc import Iterator
from functools import partial
from typing import Any, Literal

from pydantic import Field

from iosim.choice import Options as BaseOptions
from iosim.distributions import Distribution
from iosim.machine.agenda import Agenda
from iosim.machine.alarm import Alarm
from iosim.machine.core import Core
from iosim.machine.machine import Machine
from iosim.machine.sockets import Arrival, Socket
from iosim.streams import Streams, columns
from iosim.units import Bandwidth, Duration, PositiveCount

ROLE = "network"

GOLDEN_RATIO = 0x9E3779B1
"""2**32 over the golden ratio: Knuth's multiplier for hashing whole numbers."""


class Coalesce(BaseOptions):
    """When the card interrupts, and how much is then received in one go."""

    delay: Duration = Field(description="The longest that a message waits for an interrupt.")
    frames: PositiveCount | None = Field(
        default=None, description="So many messages are not kept waiting; none: any number is."
    )
    budget: PositiveCount = Field(
        default=300, description="Messages received in a row before threads get a chance."
    )


class Options(BaseOptions):
    """Clients on other hosts: messages arrive as interrupts."""

    latency: Distribution = Field(description="One way, per message.")
    bandwidth: Bandwidth | None = Field(
        default=None, description="Bytes per second, each way; none: messages take no time."
    )
    coalesce: Coalesce | None = Field(
        default=None, description="Gather messages; none: each is received by itself."
    )
    queues: PositiveCount | None = Field(
        default=None, description="Receive queues, dealt out to the cores; none: one a core."
    )
    steering: Literal["in_turn", "hash", "first_core"] = Field(
        default="in_turn",
        description="Connections to queues: evenly, by a hash (RSS), or all to core 0.",
    )


class Link:
    """One direction of a link: messages go one after the other."""

    def __init__(self, bytes_per_s: int) -> None:
        self._bytes_per_s = bytes_per_s
        self._free_ns = 0

    def carried_ns(self, at_ns: int, size_bytes: int) -> int:
        """When a message that comes to the link at `at_ns` has been carried."""
        start_ns = self._free_ns if self._free_ns > at_ns else at_ns
        self._free_ns = start_ns + -(-size_bytes * 1_000_000_000 // self._bytes_per_s)
        return self._free_ns


class ReceiveQueue:
    """A ring of messages, and the core that polls it when it is interrupted."""

    def __init__(self, machine: Machine, core: Core, coalesce: Coalesce) -> None:
        costs = machine.costs
        self._machine = machine
        self._core = core
        self._delay_ns = coalesce.delay
        self._frames = coalesce.frames
        self._budget = coalesce.budget
        self._interrupt_ns = costs.interrupt_ns
        self._softirq_ns = costs.receive_softirq_ns
        self._ring: deque[tuple[Socket, Arrival]] = deque()
        # Goes off when the first message has waited long enough, or ksoftirqd goes on.
        self._alarm = Alarm(machine.env, self._on_alarm)
        self._polling = False
        self._in_a_row = 0
        self._since_ns = 0

    def put(self, socket: Socket, message: Arrival) -> None:
        """A message arrives at the card."""
        self._ring.append((socket, message))
        if self._polling:
            return  # interrupts are off; it will be found
        if len(self._ring) == self._frames:
            self._alarm.cancel()
            self._interrupt()
        elif len(self._ring) == 1:
            self._alarm.set(self._machine.env._now + self._delay_ns)

    def _on_alarm(self) -> None:
        if self._polling:
            self._begin_round()
            self._core.interrupt(self._softirq_ns, self._received)
        else:
            self._interrupt()

    def _interrupt(self) -> None:
        self._polling = True
        self._begin_round()
        self._core.interrupt(self._interrupt_ns + self._softirq_ns, self._received)

    def _begin_round(self) -> None:
        self._in_a_row = 0
        self._since_ns = self._machine.env._now

    def _received(self) -> None:
        """The softirq has worked on the oldest message: pass it on, and look for another."""
        machine = self._machine
        now = machine.env._now
        socket, message = self._ring.popleft()
        message.delivered(now)
        machine.arrive(socket, message)
        self._in_a_row += 1
        if not self._ring:
            self._polling = False
        elif self._in_a_row < self._budget or self._core.is_idle:
            self._core.interrupt(self._softirq_ns, self._received)
        else:
            self._alarm.set(now + (now - self._since_ns))


class Network:
    """A card with its link, and receive queues steered to cores."""

    softirq_on_sender = False
    free_ns = 0
    fixed_delays_ns = None

    def __init__(self, options: Options, machine: Machine, streams: Streams) -> None:
        self._machine = machine
        self._softirq_ns = machine.costs.receive_softirq_ns
        sample = options.latency.options.sample
        # Drawn in the order of the requests, so that all models meet the same network.
        self._delays: Iterator[Any] = columns(
            partial(sample, streams.generator("network latency", 0)),
            partial(sample, streams.generator("network latency", 1)),
        )
        self._inward = self._outward = None
        if options.bandwidth is not None:
            self._inward, self._outward = Link(options.bandwidth), Link(options.bandwidth)
            self._on_link = Agenda(machine.env, lambda carried: self._interrupt(*carried))
        cores = machine.cores
        self._steering = options.steering
        # Connections that have been seen.
        self._flows = 0
        # The core of each receive queue.
        self._cores = [cores[queue % len(cores)] for queue in range(options.queues or len(cores))]
        if options.steering == "first_core":
            self._cores = [cores[0] for _ in self._cores]
        coalesce = options.coalesce
        self._queues = (
            None
            if coalesce is None
            else [ReceiveQueue(machine, core, coalesce) for core in self._cores]
        )
        # Connections come when a model has answered: they have numbers of their own.
        self._handshakes: Iterator[Any] = columns(
            partial(sample, streams.generator("network latency", 2)),
            partial(sample, streams.generator("network latency", 3)),
        )
        self._goodbyes = columns(partial(sample, streams.generator("network latency", 4)))

    def delays_ns(self) -> tuple[int, int]:
        delays_ns: tuple[int, int] = next(self._delays)
        return delays_ns

    def connect(self) -> tuple[int, int]:
        there_ns, back_ns = next(self._handshakes)
        arrives_ns = self._machine.env._now + there_ns
        return arrives_ns, arrives_ns + back_ns

    def open(self, listener: Socket, connection: Socket) -> None:
        machine = self._machine
        core = self._cores[self._queue_of(connection)]
        core.interrupt(self._softirq_ns, lambda: machine.arrive(listener, connection))

    def close(self, at_ns: int) -> int:
        there_ns: int = next(self._goodbyes)[0]
        return at_ns + there_ns

    def piece_ns(self, size_bytes: int) -> int:
        return 0  # the link itself spaces them

    def reply_arrival_ns(self, at_ns: int, delay_ns: int, size_bytes: int) -> int:
        if self._outward is not None:
            at_ns = self._outward.carried_ns(at_ns, size_bytes)
        return at_ns + delay_ns

    def deliver(self, socket: Socket, message: Arrival) -> None:
        if self._inward is None:
            self._interrupt(socket, message)
        else:
            carried_ns = self._inward.carried_ns(self._machine.env._now, message.bytes)
            self._on_link.at(carried_ns, (socket, message))

    def _queue_of(self, socket: Socket) -> int:
        """The receive queue of a connection: the same from its first packet to its last."""
        number = socket.flow
        if number < 0:
            number = socket.flow = self._flows
            self._flows += 1
        if self._steering == "hash":
            number = (number * GOLDEN_RATIO & 0xFFFFFFFF) >> 16
        return number % len(self._cores)

    def _interrupt(self, socket: Socket, message: Arrival) -> None:
        """A message has come over the link."""
        machine = self._machine
        queue = self._queue_of(socket)
        if self._queues is not None:
            self._queues[queue].put(socket, message)
            return

        def arrived() -> None:
            message.delivered(machine.env._now)
            machine.arrive(socket, message)

        self._cores[queue].interrupt(self._softirq_ns, arrived)
