"""A remote service: a database, a cache, another server.

What it models: a station with `concurrency` places, each call taking one for a time
drawn from `latency`; calls beyond wait in order of arrival. The answer comes back over
the scenario's network.

Not modelled: failures, stalls, the machine it runs on, the way to it apart from
`latency`.
Validated by: tests/theory/test_networks.py, tests/timeline/test_devices.py
"""

from collections import deque
from typing import Literal

from pydantic import Field

from iosim.choice import Options as BaseOptions
from iosim.devices import Network, Usage
from iosim.distributions import Distribution
from iosim.handler import Query
from iosim.machine.agenda import Agenda
from iosim.machine.machine import Machine
from iosim.machine.sockets import Socket
from iosim.units import PositiveCount

ROLE = "backend"


class Options(BaseOptions):
    """A service that answers after a while, so many calls at a time."""

    latency: Distribution = Field(
        description="From a call's start at the service to its answer, the way included.",
    )
    concurrency: PositiveCount | None = Field(
        default=None,
        description="Calls in service at once; more wait there. If left out, none has to wait.",
    )
    interface: Literal["socket", "blocking"] = Field(
        default="socket",
        description="`socket`: its answer can be awaited with others; `blocking`: only in it.",
    )


class Device:
    """The service, seen from the machine's sockets."""

    def __init__(self, name: str, options: Options, machine: Machine, network: Network) -> None:
        self.name = name
        self.interface = options.interface
        self.softirq_on_sender = network.softirq_on_sender
        self._network = network
        self._machine = machine
        self._concurrency = options.concurrency
        self._in_service = Agenda(machine.env, self._done)
        self._queue: deque[tuple[Socket, Query]] = deque()
        self.calls = 0
        self.busy_ns = 0
        self._queued_ns = 0
        self._changed_ns = 0

    def _integrate(self, now: int) -> None:
        passed_ns = now - self._changed_ns
        self._changed_ns = now
        self.busy_ns += passed_ns * len(self._in_service)
        self._queued_ns += passed_ns * len(self._queue)

    def receive(self, socket: Socket, message: Query, at_ns: int) -> None:
        self._integrate(at_ns)
        self.calls += 1
        if self._concurrency is None or len(self._in_service) < self._concurrency:
            self._in_service.at(at_ns + message.service_ns, (socket, message))
        else:
            self._queue.append((socket, message))

    def _done(self, call: tuple[Socket, Query]) -> None:
        # The agenda has already forgotten this call; it was in service until now.
        now = self._machine.env._now
        self.busy_ns += now - self._changed_ns
        self._integrate(now)
        if self._queue:
            socket, message = self._queue.popleft()
            self._in_service.at(now + message.service_ns, (socket, message))
        self._network.deliver(*call)

    def accepted(self, socket: Socket, at_ns: int) -> None:
        raise AssertionError("devices do not connect to the server")

    def closed(self, socket: Socket) -> None:
        pass

    def usage(self) -> Usage:
        self._integrate(self._machine.env._now)
        return Usage(self.calls, self.busy_ns, self._queued_ns, self._concurrency)
