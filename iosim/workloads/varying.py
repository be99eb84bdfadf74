"""A rate that changes over time: a day with its peaks, a step, a ramp in small steps.

    rates: [{for: 10s, rate: 5k/s}, {for: 2s, rate: 20k/s}, {for: 8s, rate: 0/s}]      and again

What it models: an open workload whose rate is constant within each piece; after the last
piece the first one follows. Poisson arrivals by inversion: those of rate one, each
put where the expected number of arrivals so far, a line with a bend at each change of the
rate, reaches it. So the same draws serve whatever the rates are. A piece may have a rate of zero,
as long as not all have.

Not modelled: rates that change at random (but see `on_off`).
Source: Law, "Simulation Modeling and Analysis", 5th ed., section 8.6.2 (nonstationary Poisson
processes); Cinlar, "Introduction to Stochastic Processes", 1975, section 4.7.
Validated by: tests/timeline/test_arrivals_over_time.py, tests/theory/test_arrivals.py
"""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import AfterValidator, Field, SerializerFunctionWrapHandler, model_serializer

from iosim.choice import Many
from iosim.choice import Options as BaseOptions
from iosim.errors import Mismatch
from iosim.machine.alarm import FAR_NS
from iosim.streams import block_iterator
from iosim.units import PositiveDuration, RateOrZero
from iosim.workload import Requests
from iosim.workloads import open as steady

if TYPE_CHECKING:
    import numpy

    from iosim.streams import Streams

TRAFFIC = "requests"
LOAD = "requests/s"

ROUNDING = 1e-9
"""An arrival that is due by so little after the end of a piece is due at its end."""


class Piece(BaseOptions):
    """A time with one rate."""

    for_: PositiveDuration = Field(alias="for", description="How long.")
    rate: RateOrZero = Field(
        description="Mean arrivals per second meanwhile, over all connections; may be 0/s."
    )

    @model_serializer(mode="wrap")
    def _as_written(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """`for`, which is no name in Python."""
        return {key.removesuffix("_"): value for key, value in handler(self).items()}


def _some(rates: tuple[Piece, ...]) -> tuple[Piece, ...]:
    if rates and not any(piece.rate for piece in rates):
        raise Mismatch("a rate above 0/s in one of them at least", "none")
    return rates


class Options(Requests):
    """Requests arrive at a rate that changes over time, and again."""

    rates: Annotated[Many[Piece], AfterValidator(_some)] = Field(
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

    @property
    def load(self) -> float:
        """Requests a second, over all pieces."""
        return self.requests_per_s

    def at_load(self, load: float) -> "Options":
        """The same with so many requests a second: each piece's rate times one factor."""
        factor = load / self.load
        pieces = [piece.model_copy(update={"rate": piece.rate * factor}) for piece in self.rates]
        return self.model_copy(update={"rates": tuple(pieces)})


def intended_times(options: Options, streams: "Streams", start_ns: int) -> Iterator[int]:
    """Endless intended send times in ns, from `start_ns` on."""
    import numpy as np

    draw = steady.gaps(options.arrivals, 1.0, streams)
    lengths_ns = np.array([piece.for_ for piece in options.rates], dtype=float)
    rates_per_ns = np.array([piece.rate for piece in options.rates]) / 1e9
    begins_ns = np.cumsum(lengths_ns) - lengths_ns
    reached_at_end = np.cumsum(lengths_ns * rates_per_ns)
    whole_ns, whole = float(np.sum(lengths_ns)), float(reached_at_end[-1])
    # What is due when a piece without arrivals begins comes before it, not after it.
    some = rates_per_ns > 0
    begins_ns, rates_per_ns, ends = begins_ns[some], rates_per_ns[some], reached_at_end[some]
    begins = np.concatenate([[0.0], ends[:-1]])
    last = 0.0

    def block(n: int) -> "numpy.ndarray[Any, numpy.dtype[numpy.int64]]":
        nonlocal last
        reached = last + np.cumsum(draw(n))
        last = float(reached[-1])
        rounds = np.ceil((reached - ROUNDING) / whole) - 1
        rest = reached - rounds * whole
        piece = np.minimum(np.searchsorted(ends, rest - ROUNDING), len(ends) - 1)
        in_round_ns = begins_ns[piece] + (rest - begins[piece]) / rates_per_ns[piece]
        times_ns = np.rint(start_ns + rounds * whole_ns + in_round_ns)
        found: numpy.ndarray[Any, numpy.dtype[numpy.int64]]
        found = np.minimum(times_ns, FAR_NS).astype(np.int64)
        return found

    return block_iterator(block)


class Source(steady.Source):
    """Offers requests at the rate of the moment."""

    intended_times = staticmethod(intended_times)
