"""An open workload: requests arrive whether or not earlier ones have been answered.

What it models: arrivals at a given rate, each on a connection chosen at random among the
active ones; Poisson (exponential gaps) or deterministic (equal gaps). Response times
count from the intended arrival, so a slow server is not spared.

Not modelled: bursts (see `on_off`), rates that change (see `varying`), requests that depend on
earlier answers.
Source: Schroeder, Wierman, Harchol-Balter, "Open Versus Closed", NSDI 2006.
Validated by: tests/theory, tests/timeline/test_clients.py
"""

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field

from iosim.machine.alarm import FAR_NS, Alarm
from iosim.streams import block_iterator
from iosim.units import Rate
from iosim.workload import Requests

if TYPE_CHECKING:
    import numpy

    from iosim.clients import Clients
    from iosim.streams import Streams

TRAFFIC = "requests"
LOAD = "requests/s"

Arrivals = Literal["poisson", "deterministic"]


class Options(Requests):
    """Requests arrive at a rate, whether or not earlier ones are answered."""

    rate: Rate = Field(description="Mean arrivals per second, over all connections.")
    arrivals: Arrivals = Field(
        default="poisson",
        description="Exponential gaps between arrivals, or equal ones.",
    )

    @property
    def load(self) -> float:
        """Requests a second."""
        return self.rate

    def at_load(self, load: float) -> "Options":
        """The same with so many requests a second."""
        return self.model_copy(update={"rate": load})


def gaps(
    arrivals: Arrivals, mean: float, streams: "Streams"
) -> "Callable[[int], numpy.ndarray[Any, numpy.dtype[numpy.float64]]]":
    """What draws so many gaps from one arrival to the next, in the unit of their mean."""
    import numpy as np

    rng = streams.generator("arrivals")
    if arrivals == "poisson":
        return lambda n: rng.exponential(mean, n)
    return lambda n: np.full(n, mean)


def intended_times(options: Options, streams: "Streams", start_ns: int) -> Iterator[int]:
    """Endless intended send times in ns, from `start_ns` on."""
    import numpy as np

    draw = gaps(options.arrivals, 1e9 / options.rate, streams)
    last_ns = float(start_ns)

    def block(n: int) -> "numpy.ndarray[Any, numpy.dtype[numpy.int64]]":
        nonlocal last_ns
        times_ns = last_ns + np.cumsum(draw(n))
        last_ns = float(times_ns[-1])
        # A rare request of a slow rate lies beyond what an int64 can hold, and any run's end.
        return np.minimum(times_ns, FAR_NS).astype(np.int64)

    return block_iterator(block)


class Source:
    """Offers requests to the clients; one re-armed alarm for all of them.

    Other workloads differ in the times alone: they override `intended_times`.
    """

    def __init__(self, options: Any, clients: "Clients", streams: "Streams") -> None:
        self._options = options
        self._clients = clients
        self._streams = streams
        rng = streams.generator("connections")
        active = options.connections.active_count
        self._choice = block_iterator(lambda n: rng.integers(0, active, n))
        # With a latency that varies requests may overtake each other on their way, and some have
        # to open a connection first: then each is sent at its time, and the clients keep track
        # of when it arrives.
        in_order = clients.at_arrival and clients.network.fixed_delays_ns is not None
        self._env = clients.machine.env
        self._network = clients.network
        self._alarm = Alarm(
            self._env, self._arrive if in_order else self._send, quiet=clients.quiet
        )
        self._times: Iterator[int] = iter(())
        self._intended_ns = 0
        self._delays_ns = (clients.network.fixed_delays_ns if in_order else None) or (0, 0)
        # From being sent to the arrival.
        self._way_ns = self._delays_ns[0]

    intended_times: Callable[[Any, "Streams", int], Iterator[int]] = staticmethod(intended_times)
    """From options, streams and the start: endless times in ns, ascending."""

    def start(self) -> None:
        """The server is ready: the clock of the load starts now."""
        now = self._env._now
        self._times = self.intended_times(self._options, self._streams, now)
        self._set_next()

    def _set_next(self) -> None:
        self._intended_ns = intended_ns = next(self._times)
        # Set for its arrival, not for its sending: one event a request.
        free_ns = self._network.free_ns
        self._alarm.set((intended_ns if intended_ns > free_ns else free_ns) + self._way_ns)

    def _send(self) -> None:
        clients = self._clients
        clients.offer_later(self._intended_ns, clients.clients[next(self._choice)])
        self._set_next()

    def _arrive(self) -> None:
        arrival_ns = self._network.free_ns + self._way_ns
        if arrival_ns > self._env._now:
            self._alarm.set(arrival_ns)  # the clients' core has been busy meanwhile
            return
        clients = self._clients
        clients.offer(self._intended_ns, clients.clients[next(self._choice)], self._delays_ns)
        # As `_set_next`, written out: this is one of the simulator's busiest spots.
        self._intended_ns = intended_ns = next(self._times)
        free_ns = self._network.free_ns
        self._alarm.due_ns = (intended_ns if intended_ns > free_ns else free_ns) + self._way_ns
