"""A rate that changes over time: a day with its peaks, a step, a ramp in small steps.

    rates: [{for: 10s, rate: 5k/s}, {for: 2s, rate: 20k/s}]      and again from the first

What it models: an open workload whose rate is constant within each piece; after the last
piece the first one follows. Poisson arrivals by inversion: those of rate one, each
put where the expected number of arrivals so far, a line with a bend at each change of the
rate, reaches it. So the same draws serve whatever the rates are.

Not modelled: a rate of zero (see `on_off`), rates that change at random.
Source: Law, "Simulation Modeling and Analysis", 5th ed., section 8.6.2 (nonstationary Poisson
processes); Cinlar, "Introduction to Stochastic Processes", 1975, section 4.7.
Validated by: tests/timeline/test_arrivals_over_time.py, tests/theory/test_arrivals.py
"""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from pydantic import Field, SerializerFunctionWrapHandler, model_serializer

from iosim.choice import Many
from iosim.choice import Options as BaseOptions
from iosim.machine.alarm import FAR_NS
from iosim.streams import block_iterator
from iosim.units import PositiveDuration, Rate
from iosim.workload import Requests
from iosim.workloads import open as steady

if TYPE_CHECKING:
    import numpy

    from iosim.streams import Streams

TRAFFIC = "requests"


class Piece(BaseOptions):
    """A time with one rate."""

    for_: PositiveDuration = Field(alias="for", description="How long.")
    rate: Rate = Field(description="Mean arrivals per second meanwhile, over all connections.")

    @model_serializer(mode="wrap")
    def _as_written(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """`for`, which is no name in Python."""
        return {key.removesuffix("_"): value for key, value in handler(self).items()}


class Options(Requests):
    """Requests arrive at a rate that changes over time, and again."""

    rates: Many[Piece] = Field(
        min_length=1, description="The rates in turn, each with how long it lasts; repeated."
    )
    arrivals: steady.Arrivals = Field(
        default="poisson",
        description="A Poisson process, or one arrival whenever one more is expected.",
    )

    @property
    def requests_per_s(self) -> float:
        """Over all pieces."""
        whole_ns = sum(piece.for_ for piece in self.rates)
        return sum(piece.rate * piece.for_ for piece in self.rates) / whole_ns


def intended_times(options: Options, streams: "Streams", start_ns: int) -> Iterator[int]:
    """Endless intended send times in ns, from `start_ns` on."""
    import numpy as np

    draw = steady.gaps(options.arrivals, 1.0, streams)
    lengths_ns = np.array([piece.for_ for piece in options.rates], dtype=float)
    rates_per_ns = np.array([piece.rate for piece in options.rates]) / 1e9
    edges_ns = np.concatenate([[0.0], np.cumsum(lengths_ns)])
    expected = np.concatenate([[0.0], np.cumsum(lengths_ns * rates_per_ns)])
    last = 0.0

    def block(n: int) -> "numpy.ndarray[Any, numpy.dtype[numpy.int64]]":
        nonlocal last
        reached = last + np.cumsum(draw(n))
        last = float(reached[-1])
        rounds, rest = np.divmod(reached, expected[-1])
        times_ns = start_ns + rounds * edges_ns[-1] + np.interp(rest, expected, edges_ns)
        whole: numpy.ndarray[Any, numpy.dtype[numpy.int64]]
        whole = np.minimum(np.rint(times_ns), FAR_NS).astype(np.int64)
        return whole

    return block_iterator(block)


class Source(steady.Source):
    """Offers requests at the rate of the moment."""

    intended_times = staticmethod(intended_times)
