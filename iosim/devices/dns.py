"""A name lookup as getaddrinfo(3) does it: the thread asks a server and sleeps until it answers.

    cached:    [read /etc/hosts and the like]
    else:      [the same] connect, sendto, poll zzz answer, recvfrom, close
    lost:      ... poll zzz 5 s zzz sendto, poll zzz answer ...

What it models: a part of the lookups finds its name at hand (`cached`). The others send a
datagram to the name server and wait in poll(2); a lost one is sent again after `timeout`,
`attempts` times in all, and then the call has failed. There is no way to wait for it with
others: event loops stop, and programs with a pool have it done there, where it takes a
worker for as long as it takes.

Not modelled: AAAA beside A records, search domains, several servers, nscd; an answer
later than the time-out counts as lost; the socket is charged as a TCP one.
Source: getaddrinfo(3), resolv.conf(5) (timeout, attempts).
Validated by: tests/timeline/test_name_lookups.py, tests/conformance
"""

from collections.abc import Generator, Iterator
from functools import partial
from typing import TYPE_CHECKING, Any

from pydantic import Field

from iosim.choice import Options as BaseOptions
from iosim.devices import Network, Station, Usage
from iosim.distributions import Distribution
from iosim.handler import Query, Server
from iosim.machine.kernel import Kernel
from iosim.machine.machine import Machine
from iosim.machine.readiness import DescriptorSet
from iosim.machine.sockets import Socket
from iosim.streams import Streams, block_iterator, columns
from iosim.units import Fraction, PositiveCount, PositiveDuration

if TYPE_CHECKING:
    import numpy as np

ROLE = "backend"

PLACES = 1_000_000
"""Lookups that the name server serves at once: no limit."""


class Options(BaseOptions):
    """A resolver: name lookups that block, some of them for seconds."""

    latency: Distribution = Field(description="From asking the name server to its answer.")
    cached: Fraction = Field(
        default="0%", validate_default=True, description="Lookups that ask no server."
    )
    loss: Fraction = Field(
        default="0%", validate_default=True, description="Questions that get no answer."
    )
    timeout: PositiveDuration = Field(
        default="5s", validate_default=True, description="Before it asks again."
    )
    attempts: PositiveCount = Field(
        default=2, description="So often it asks at most; then the call has failed."
    )

    def amounts(self, streams: Streams, step: int, attempts: int) -> Iterator[Any]:
        """For each request 0, if its name is at hand, or each question's (ns, whether lost).

        `attempts` at the call are whole lookups, the resolver's own attempts in each.
        """
        asked = block_iterator(partial(self._is_asked, streams.generator("cache", step)))
        questions = zip(
            *(
                columns(
                    partial(self._answer_ns, streams.generator(f"lookup {number}", step)),
                    partial(self._is_lost, streams.generator(f"loss {number}", step)),
                )
                for number in range(self.attempts * attempts)
            ),
            strict=True,
        )
        return (
            tuple((ns, lost or ns >= self.timeout) for ns, lost in each) if ask else 0
            for ask, each in zip(asked, questions, strict=True)
        )

    def _is_asked(self, rng: "np.random.Generator", n: int) -> Any:
        return rng.random(n) >= self.cached

    def _answer_ns(self, rng: "np.random.Generator", n: int) -> Any:
        return self.latency.options.sample(rng, n).clip(1)  # 0 would say: at hand

    def _is_lost(self, rng: "np.random.Generator", n: int) -> Any:
        return rng.random(n) < self.loss


class Device:
    """The resolver, and the name server that it asks."""

    interface = "blocking"

    def __init__(
        self, name: str, options: Options, machine: Machine, network: Network, streams: Streams
    ) -> None:
        self.name = name
        self.softirq_on_sender = network.softirq_on_sender
        self._network = network
        self._timeout_ns = options.timeout
        self._station = Station(machine.env, PLACES, self._answered)

    def perform(self, kernel: Kernel, server: Server, query: Query) -> Generator[Any, Any, None]:
        return kernel.call_library(partial(self._getaddrinfo, query=query))

    def _getaddrinfo(self, kernel: Kernel, query: Query) -> Generator[Any, Any, None]:
        yield from kernel.compute(kernel.costs.getaddrinfo_ns, "getaddrinfo")
        if not query.service_ns:
            return
        socket = yield from kernel.connect(self)
        answers = DescriptorSet(kernel.machine)
        answers.add(socket)
        while True:
            yield from kernel.sendto(socket, query, query.bytes)
            if query.failed:
                yield from self._wait_in_vain(kernel, answers, query)
            else:
                while not (yield from kernel.poll(answers)):  # a signal ends it early
                    pass
                yield from kernel.recvfrom(socket)
            if not query.try_again():
                break
        yield from kernel.close(socket)

    def _wait_in_vain(
        self, kernel: Kernel, answers: DescriptorSet, query: Query
    ) -> Generator[Any, Any, None]:
        until_ns = kernel.now_ns + self._timeout_ns
        while (left_ns := until_ns - kernel.now_ns) > 0:
            yield from kernel.poll(answers, left_ns)
            yield from kernel.settle()
        query.request.device_done(min(until_ns + kernel.costs.timer_slack_ns, kernel.now_ns))
        query.begin(kernel.thread, kernel.now_ns)

    def receive(self, socket: Socket, message: Query, at_ns: int) -> None:
        if not message.failed:
            self._station.enter((socket, message), message.service_ns, at_ns)

    def _answered(self, call: tuple[Socket, Query]) -> None:
        self._network.deliver(*call)

    def accepted(self, socket: Socket, at_ns: int) -> None:
        raise AssertionError("a name server does not connect to the server")

    def closed(self, socket: Socket) -> None:
        pass

    def usage(self) -> Usage:
        return self._station.usage()
