"""Loopback: clients on the same host, on a core of their own.

What it models: sending is a function call into the receiver. The sender's core does the
receiver's softirq work: the clients' for requests, the server's for replies. The client
program is a serial machine: it sends and receives one message at a time, so a burst of
requests arrives spaced by what sending costs it.

Not modelled: a clients' core that falls idle (the load generator is taken to spin);
clients on several cores.
Source: mechanisms 8 and "the client is a serial machine too" of the measured costs.
Validated by: tests/timeline/test_devices.py
"""

from iosim.choice import Options as BaseOptions
from iosim.machine.machine import Machine
from iosim.machine.sockets import Arrival, Socket
from iosim.streams import Streams

ROLE = "network"
IS_HERE = True
"""This machine has it: servers can be measured on it."""


class Options(BaseOptions):
    """Clients on the same host: the sender's core does the receiver's work."""


class Network:
    """The loopback interface with the clients behind it."""

    softirq_on_sender = True

    def __init__(self, options: Options, machine: Machine, streams: Streams) -> None:
        costs = machine.costs
        self._machine = machine
        self._env = machine.env
        send_ns = costs.syscall_ns + costs.sendto_ns + costs.receive_softirq_ns
        self.fixed_delays_ns = (send_ns, costs.syscall_ns + costs.recvfrom_ns)
        self.free_ns = 0

    def delays_ns(self) -> tuple[int, int]:
        return self.fixed_delays_ns

    def connect(self) -> tuple[int, int]:
        costs, now = self._machine.costs, self._machine.env._now
        self.free_ns = max(now, self.free_ns) + costs.syscall_ns + costs.connect_ns
        return self.free_ns, self.free_ns

    def open(self, listener: Socket, connection: Socket) -> None:
        self._machine.arrive(listener, connection)

    def close(self, at_ns: int) -> int:
        costs = self._machine.costs
        self.free_ns = max(at_ns, self.free_ns) + costs.syscall_ns + costs.close_ns
        return self.free_ns

    def piece_ns(self, size_bytes: int) -> int:
        return self.fixed_delays_ns[0] + (size_bytes * self._machine.costs.sendto_per_kib_ns >> 10)

    def reply_arrival_ns(self, at_ns: int, delay_ns: int, size_bytes: int) -> int:
        self.free_ns = end_ns = (self.free_ns if self.free_ns > at_ns else at_ns) + delay_ns
        return end_ns

    def deliver(self, socket: Socket, message: Arrival) -> None:
        now: int = self._env._now
        if now > self.free_ns:
            self.free_ns = now
        message.delivered(now)
        self._machine.arrive(socket, message)
