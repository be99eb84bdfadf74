"""A remote service: a database, a cache, another server.

What it models: a station with `concurrency` places, each call taking one for a time
drawn from `latency`; calls beyond wait in order of arrival. The answer comes back over
the scenario's network. A part of the answers are errors (`error_rate`), given after the
call's time or at once, by who does not even queue the call. Now and then the service
stalls: no call makes progress for a while, as in a garbage collection or a failover.

    call        ___####........####___ answer     (. stalled)

Not modelled: errors that come in bursts, answers that never come, a pause before another
attempt, the machine it runs on, the way to it apart from `latency`.
Validated by: tests/theory/test_networks.py, tests/timeline/test_devices.py,
tests/timeline/test_failures.py
"""

from collections import deque
from collections.abc import Generator, Iterator
from functools import partial
from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field, model_validator

from iosim.choice import Options as BaseOptions
from iosim.devices import Network, Station, Usage
from iosim.distributions import Distribution
from iosim.errors import Mismatch
from iosim.handler import Query, Server, exchange
from iosim.machine.kernel import Kernel
from iosim.machine.machine import Machine
from iosim.machine.sockets import Socket
from iosim.streams import Streams, block_iterator, columns
from iosim.units import Fraction, PositiveCount, canonical_duration

if TYPE_CHECKING:
    from typing import Self

    import numpy as np

ROLE = "backend"


class Stalling(BaseOptions):
    """When the service stops, from the first call on."""

    gap: Distribution = Field(description="From the end of one stall to the next.")
    length: Distribution = Field(description="How long a stall lasts.")

    @model_validator(mode="after")
    def _ends(self) -> "Self":
        if not self.gap.options.mean_ns():
            raise Mismatch("a gap of more than 0s", "0s: the service would never go on")
        return self


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
    error_rate: Fraction = Field(
        default="0%", validate_default=True, description="Calls that are answered with an error."
    )
    errors: Literal["late", "at once"] = Field(
        default="late",
        description="`late`: an error takes a place and as long as any answer; `at once`: neither.",
    )
    stalls: Stalling | None = Field(
        default=None, description="Times in which no call makes progress; none: never."
    )

    def amounts(self, streams: Streams, step: int, attempts: int) -> Iterator[Any]:
        """For each request the call's ns; where calls can fail, those of each attempt."""
        sample = self.latency.options.sample
        if not self.error_rate:
            return block_iterator(partial(sample, streams.generator("handler", step)))
        return zip(
            *(
                columns(
                    partial(sample, streams.generator(_named("handler", attempt), step)),
                    partial(self._fails, streams.generator(_named("errors", attempt), step)),
                )
                for attempt in range(attempts)
            ),
            strict=True,
        )

    def assumed(self, name: str, tails: bool) -> Iterator[str]:
        """What an objective on response times turns on, and nobody has said.

        tails: it is about a percentile.
        """
        if tails and self.latency.kind == "deterministic":
            always = canonical_duration(round(self.latency.options.mean_ns()))
            yield (
                f"{name} is taken to answer in {always} each time, and an objective is about a "
                "percentile: say what its own p99 is, latency: {lognormal: {median: ..., p99: ...}}"
            )
        if "interface" not in self.model_fields_set:
            yield (
                f"the program is taken not to block in calls to {name}; if its driver does, say "
                "interface: blocking (with it an event loop stops for each call), else "
                "interface: socket"
            )

    def _fails(self, rng: "np.random.Generator", n: int) -> Any:
        return rng.random(n) < self.error_rate


def _named(stream: str, attempt: int) -> str:
    return f"{stream}, attempt {attempt}" if attempt else stream


class Stalls:
    """Where the stalls lie, and so when a call ends that they interrupt."""

    def __init__(self, gaps: Iterator[int], lengths: Iterator[int]) -> None:
        self._gaps = gaps
        self._lengths = lengths
        # (start, end), those that are not over, and the first after them.
        self._stalls: deque[tuple[int, int]] = deque()
        self._until_ns: int | None = None

    def end_ns(self, at_ns: int, ns: int) -> int:
        """When a call ends that begins at `at_ns`, no earlier than the last, and takes `ns`."""
        if self._until_ns is None:
            self._until_ns = at_ns
        stalls = self._stalls
        while stalls and stalls[0][1] <= at_ns:
            stalls.popleft()
        end_ns = at_ns + ns
        index = 0
        while True:
            if index == len(stalls):
                start_ns = self._until_ns + next(self._gaps)
                self._until_ns = start_ns + next(self._lengths)
                stalls.append((start_ns, self._until_ns))
            start_ns, over_ns = stalls[index]
            if start_ns >= end_ns:
                return end_ns
            end_ns += max(0, over_ns - max(start_ns, at_ns))
            index += 1


class Device:
    """The service, seen from the machine's sockets."""

    def __init__(
        self, name: str, options: Options, machine: Machine, network: Network, streams: Streams
    ) -> None:
        self.name = name
        self.interface: str = options.interface
        self.softirq_on_sender = network.softirq_on_sender
        self._network = network
        self._machine = machine
        self._errors_at_once = options.errors == "at once"
        self._station = Station(
            machine.env,
            options.concurrency,
            self._done,
            _end_ns(name, options.stalls, streams),
            quiet=network.softirq_on_sender,
        )

    def perform(self, kernel: Kernel, server: Server, query: Query) -> Generator[Any, Any, None]:
        return exchange(kernel, server, self, query)

    def receive(self, socket: Socket, message: Query, at_ns: int) -> None:
        if message.failed and self._errors_at_once:
            self._station.calls += 1
            self._machine.timers.at(at_ns, partial(self._network.deliver, socket, message))
        else:
            self._station.enter((socket, message), message.service_ns, at_ns)

    def _done(self, call: tuple[Socket, Query]) -> None:
        self._network.deliver(*call)

    def accepted(self, socket: Socket, at_ns: int) -> None:
        raise AssertionError("devices do not connect to the server")

    def closed(self, socket: Socket) -> None:
        pass

    def usage(self) -> Usage:
        return self._station.usage()


def _end_ns(name: str, stalls: Stalling | None, streams: Streams) -> Any:
    if stalls is None:
        return None
    gaps, lengths = (
        block_iterator(partial(each.options.sample, streams.generator(f"stalls of {name}", index)))
        for index, each in enumerate((stalls.gap, stalls.length))
    )
    return Stalls(gaps, lengths).end_ns
