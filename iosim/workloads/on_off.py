"""Bursts: an open workload that is on and off in turns.

    on          off     on     off
    |.. . ...|          |. .. |         |...

What it models: spells, each drawn from its distribution, the load beginning with one that
is on. While on, requests arrive at `rate`, as in `open`; while off, none. The gaps
between arrivals count the time that is on only, so equal gaps go on over a pause.
With exponential spells this is the interrupted Poisson process.

Not modelled: two rates (see `varying`, whose pieces are of fixed lengths); sources that are
on and off each for itself.
Source: Kuczura, "The Interrupted Poisson Process As An Overflow Process", Bell System
Technical Journal 52(3), 1973.
Validated by: tests/timeline/test_arrivals_over_time.py, tests/theory/test_arrivals.py
"""

from collections.abc import Iterator
from functools import partial
from itertools import repeat
from typing import TYPE_CHECKING, Annotated

from pydantic import AfterValidator, Field

from iosim.distributions import Distribution
from iosim.errors import Mismatch
from iosim.machine.alarm import FAR_NS
from iosim.streams import block_iterator, columns
from iosim.units import Rate
from iosim.workload import Requests
from iosim.workloads import open as steady

if TYPE_CHECKING:
    from iosim.streams import Streams

TRAFFIC = "requests"
LOAD = "requests/s"


def _lasting(spell: Distribution) -> Distribution:
    if spell.options.mean_ns() <= 0:
        raise Mismatch("spells that last", "spells of no length")
    return spell


class Options(Requests):
    """Bursts: requests arrive in spells, with pauses between."""

    rate: Rate = Field(description="Mean arrivals per second while on, over all connections.")
    on: Annotated[Distribution, AfterValidator(_lasting)] = Field(
        description="How long requests arrive at a time."
    )
    off: Distribution = Field(description="How long none does, until they begin again.")
    arrivals: steady.Arrivals = Field(
        default="poisson",
        description="Exponential gaps between arrivals, or equal ones.",
    )

    @property
    def requests_per_s(self) -> float:
        """Over spells and pauses together."""
        on_ns, off_ns = self.on.options.mean_ns(), self.off.options.mean_ns()
        return self.rate * on_ns / (on_ns + off_ns)

    @property
    def load(self) -> float:
        """Requests a second, over spells and pauses together."""
        return self.requests_per_s

    def at_load(self, load: float) -> "Options":
        """The same with so many requests a second, in the same spells."""
        return self.model_copy(update={"rate": self.rate * load / self.load})


def intended_times(options: Options, streams: "Streams", start_ns: int) -> Iterator[int]:
    """Endless intended send times in ns, from `start_ns` on."""
    gaps_ns = block_iterator(steady.gaps(options.arrivals, 1e9 / options.rate, streams))
    spells = columns(
        partial(options.on.options.sample, streams.generator("on")),
        partial(options.off.options.sample, streams.generator("off")),
    )
    due_ns = next(gaps_ns)  # from the beginning of the spell
    for on_ns, off_ns in spells:
        while due_ns < on_ns:
            yield min(start_ns + int(due_ns), FAR_NS)
            due_ns += next(gaps_ns)
        due_ns -= on_ns
        start_ns += on_ns + off_ns
        if start_ns >= FAR_NS:
            break
    yield from repeat(FAR_NS)


class Source(steady.Source):
    """Offers requests while it is on."""

    intended_times = staticmethod(intended_times)
