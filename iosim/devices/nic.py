"""A network card: clients on other hosts, interrupts on the server's cores.

What it models: each message takes a one-way latency; its arrival is an interrupt whose
softirq work pushes the running thread aside on the core that the connection is steered
to. The server's own sends cost it no receive work.

Not modelled: bandwidth, interrupt coalescing, loss, transmit interrupts; messages may
overtake each other when the latency is random.
Source: receive softirq cost from the profile.
Validated by: tests/timeline/test_devices.py
"""

from collections.abc import Iterator
from functools import partial
from typing import Any

from pydantic import Field

from iosim.choice import Options as BaseOptions
from iosim.distributions import Distribution
from iosim.machine.machine import Machine
from iosim.machine.sockets import Message, Socket
from iosim.streams import Streams, columns

ROLE = "network"


class Options(BaseOptions):
    """Clients on other hosts: messages arrive as interrupts."""

    latency: Distribution = Field(description="One way, per message.")


class Network:
    """A card that steers connections to cores by their descriptor."""

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

    def delays_ns(self) -> tuple[int, int]:
        delays_ns: tuple[int, int] = next(self._delays)
        return delays_ns

    def reply_arrival_ns(self, at_ns: int, delay_ns: int) -> int:
        return at_ns + delay_ns

    def deliver(self, socket: Socket, message: Message) -> None:
        machine = self._machine
        core = machine.cores[socket.descriptor % len(machine.cores)]

        def arrived() -> None:
            message.delivered(machine.env._now)
            machine.arrive(socket, message)

        core.interrupt(self._softirq_ns, arrived)
