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
from iosim.machine.sockets import Arrival, Socket
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
        core = machine.cores[listener.descriptor % len(machine.cores)]
        core.interrupt(self._softirq_ns, lambda: machine.arrive(listener, connection))

    def close(self, at_ns: int) -> int:
        there_ns: int = next(self._goodbyes)[0]
        return at_ns + there_ns

    def piece_ns(self, size_bytes: int) -> int:
        return 0

    def reply_arrival_ns(self, at_ns: int, delay_ns: int) -> int:
        return at_ns + delay_ns

    def deliver(self, socket: Socket, message: Arrival) -> None:
        machine = self._machine
        core = machine.cores[socket.descriptor % len(machine.cores)]

        def arrived() -> None:
            message.delivered(machine.env._now)
            machine.arrive(socket, message)

        core.interrupt(self._softirq_ns, arrived)
