"""Distributions of durations: what a service, a think time or a delay takes, drawn at random.

    20us                                           always the same
    {exponential: 20us}                            memoryless, by its mean
    {uniform: {low: 10us, high: 30us}}             every whole nanosecond equally likely
    {lognormal: {median: 20us, p99: 200us}}        skewed, by what a latency report shows
    {lognormal: {mean: 20us, cv: 1.5}}             the same, by mean and coefficient of variation
    {pareto: {minimum: 5us, shape: 2.5}}           heavy tail; or {mean: ..., shape: ...}
    {bimodal: {low: 5us, high: 1ms, high_fraction: 1%}}    hits and misses
    {empirical: {file: times.csv, column: ms, unit: ms}}   measured: the values of a file

Each kind gives its exact mean, for theory and for load factors, and blocks of samples.

*Scope*: independent draws of whole nanoseconds, never negative. A continuous draw is rounded up or
down at random, in proportion, so that the mean is kept even where it is a few nanoseconds.

*Not modelled*: correlation between draws (the order of a file's lines is not kept), a mean that
does not exist (a Pareto shape of 1 or less). A draw above 2**62 ns (146 years) is cut to that.

*Source*: Law, Simulation Modeling and Analysis, 5th ed., chapter 6 (the families and their
moments); lognormal from quantiles: sigma = ln(p99 / median) / 2.3263, the normal's 99 % quantile.

*Validated by*: tests/unit/test_distributions.py, tests/unit/test_empirical.py.
"""

from __future__ import annotations

import math
import re
from abc import abstractmethod
from array import array
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import Field, ValidationInfo, model_validator

from iosim import csv_source
from iosim.choice import Chosen, OneOf, Options
from iosim.errors import Mismatch, ScenarioError, did_you_mean, shown
from iosim.units import DURATION_NS, Duration, Fraction, PositiveDuration, canonical_duration

if TYPE_CHECKING:
    from typing import Self

    import numpy as np
    import numpy.typing as npt

    Samples = npt.NDArray[np.int64]

_LONGEST_NS = 2**62
_NUMBER = re.compile(r"[+-]?[0-9]*\.?[0-9]+(?:[eE][+-]?[0-9]{1,3})?")
_NORMAL_P99 = 2.3263478740408408


class DurationDistribution(Options):
    """What every distribution of durations offers."""

    @abstractmethod
    def mean_ns(self) -> float:
        """Return the exact mean in ns, before any rounding."""

    @abstractmethod
    def sample(self, rng: np.random.Generator, n: int) -> Samples:
        """Draw an int64 array of `n` durations in ns, each >= 0.

        Blocks of other sizes consume the generator in another order: to repeat a sequence, repeat
        the block size too.
        """


class Deterministic(DurationDistribution):
    """Always the same duration."""

    value: Duration = Field(description="The duration, every time.")

    @classmethod
    def from_shorthand(cls, value: object) -> dict[str, object]:
        """Read `deterministic: 20us`."""
        return {"value": value}

    def mean_ns(self) -> float:
        """Return the value, in ns."""
        return float(self.value)

    def sample(self, rng: np.random.Generator, n: int) -> Samples:
        """Return the value `n` times, in ns; the generator is not touched."""
        import numpy as np

        return np.full(n, self.value, dtype=np.int64)


class Exponential(DurationDistribution):
    """Memoryless, as the service time in M/M/c."""

    mean: PositiveDuration = Field(description="The mean.")

    @classmethod
    def from_shorthand(cls, value: object) -> dict[str, object]:
        """Read `exponential: 20us`."""
        return {"mean": value}

    def mean_ns(self) -> float:
        """Return the mean, in ns."""
        return float(self.mean)

    def sample(self, rng: np.random.Generator, n: int) -> Samples:
        """Draw `n` durations in ns."""
        return _whole_ns(rng.exponential(self.mean, n), rng)


class Uniform(DurationDistribution):
    """Every whole nanosecond from low to high, both included, equally likely."""

    low: Duration = Field(description="The shortest.")
    high: Duration = Field(description="The longest; at least `low`.")

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        _at_least("high", self.high, "low", self.low)
        return self

    def mean_ns(self) -> float:
        """Return the mean, in ns."""
        return (self.low + self.high) / 2

    def sample(self, rng: np.random.Generator, n: int) -> Samples:
        """Draw `n` durations in ns."""
        import numpy as np

        return rng.integers(self.low, self.high, size=n, dtype=np.int64, endpoint=True)


class Lognormal(DurationDistribution):
    """Skewed to the right, as most measured latencies: by median and p99, or by mean and cv."""

    median: PositiveDuration | None = Field(
        default=None, description="Half of the draws are below it."
    )
    p99: PositiveDuration | None = Field(
        default=None, description="99 of 100 draws are below it; more than `median`."
    )
    mean: PositiveDuration | None = Field(default=None, description="The mean.")
    cv: Annotated[float, Field(gt=0, le=100)] | None = Field(
        default=None, description="Standard deviation / mean, from 0 (excluded) to 100."
    )

    @model_validator(mode="after")
    def _one_pair(self) -> Self:
        _exactly_one_pair(self, ("median", "p99"), ("mean", "cv"))
        if self.median is not None and self.p99 is not None and self.p99 <= self.median:
            raise Mismatch(
                f"p99 above the median, {canonical_duration(self.median)}",
                f"p99 {canonical_duration(self.p99)}",
            )
        _no_longer_than_the_longest(self.mean_ns())
        return self

    def _mu_sigma(self) -> tuple[float, float]:
        """Return mean and standard deviation of the logarithm of the duration in ns."""
        if self.median is not None and self.p99 is not None:
            return math.log(self.median), math.log(self.p99 / self.median) / _NORMAL_P99
        assert self.mean is not None
        assert self.cv is not None
        variance = math.log1p(self.cv**2)
        return math.log(self.mean) - variance / 2, math.sqrt(variance)

    def mean_ns(self) -> float:
        """Return the mean, in ns: above the median, the more so the longer the tail."""
        mu, sigma = self._mu_sigma()
        return math.exp(mu + sigma**2 / 2)

    def sample(self, rng: np.random.Generator, n: int) -> Samples:
        """Draw `n` durations in ns."""
        mu, sigma = self._mu_sigma()
        return _whole_ns(rng.lognormal(mu, sigma, n), rng)


class Pareto(DurationDistribution):
    """Heavy-tailed, as file sizes and job lengths: by shape and minimum, or by shape and mean."""

    minimum: PositiveDuration | None = Field(default=None, description="The shortest.")
    mean: PositiveDuration | None = Field(default=None, description="The mean.")
    shape: Annotated[float, Field(gt=1)] = Field(
        description="Tail index: the lower the heavier; above 1 for a mean, above 2 for a variance."
    )

    @model_validator(mode="after")
    def _one_pair(self) -> Self:
        _exactly_one_pair(self, ("minimum", "shape"), ("mean", "shape"))
        _no_longer_than_the_longest(self.mean_ns())
        return self

    def _minimum_ns(self) -> float:
        if self.minimum is not None:
            return float(self.minimum)
        assert self.mean is not None
        return self.mean * (self.shape - 1) / self.shape

    def mean_ns(self) -> float:
        """Return the mean, in ns."""
        return self._minimum_ns() * self.shape / (self.shape - 1)

    def sample(self, rng: np.random.Generator, n: int) -> Samples:
        """Draw `n` durations in ns."""
        return _whole_ns(self._minimum_ns() * (1 + rng.pareto(self.shape, n)), rng)


class Bimodal(DurationDistribution):
    """One of two durations, as a cache's hits and misses."""

    low: Duration = Field(description="The common one.")
    high: Duration = Field(description="The other one; at least `low`.")
    high_fraction: Fraction = Field(description="How many of the draws are `high`.")

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        _at_least("high", self.high, "low", self.low)
        return self

    def mean_ns(self) -> float:
        """Return the mean, in ns."""
        return self.low * (1 - self.high_fraction) + self.high * self.high_fraction

    def sample(self, rng: np.random.Generator, n: int) -> Samples:
        """Draw `n` durations in ns."""
        import numpy as np

        is_high = rng.random(n) < self.high_fraction
        return np.where(is_high, np.int64(self.high), np.int64(self.low))


FOLDER = "folder"
"""What a validation's context calls the folder from which a file's path counts."""

MOST_VALUES = 10_000_000


class Empirical(DurationDistribution):
    """Measured durations, a column of a CSV file, drawn with replacement.

    Each line's value, rounded to whole ns, is equally likely, whatever was drawn before: the
    inverse of the file's empirical distribution function, which is a step function. Nothing is
    drawn between two values or beyond the largest: a short file has a short tail.
    """

    file: str = Field(min_length=1, description="The file's path, from the scenario's folder.")
    column: str = Field(description="The column's name, as the first line has it.")
    unit: Literal["ns", "us", "ms", "s", "min", "h"] = Field(description="What its numbers count.")

    @model_validator(mode="after")
    def _read(self, info: ValidationInfo) -> Self:
        # Not a field: it is the file's, not the scenario's.
        self.__dict__["sorted_ns"] = self._sorted_ns((info.context or {}).get(FOLDER, Path()))
        return self

    def _sorted_ns(self, folder: Path) -> array[int]:
        try:
            return array("q", sorted(array("q", self._values_ns(folder / self.file))))
        except ScenarioError as error:
            (problem,) = error.problems
            line = f", line {problem.line}, column {problem.column}" if problem.line else ""
            expected = f"{problem.expected} in {problem.file}{line}"
            raise Mismatch(expected, problem.found, problem.hint) from None

    def _values_ns(self, path: Path) -> Iterator[int]:
        """The column's values. Raises ScenarioError at the first mistake."""
        unit_ns = DURATION_NS[self.unit]
        count = 0
        for row in csv_source.rows(path, self._check_columns):
            text = row.cells[row.names.index(self.column)].strip()
            value_ns = float(text) * unit_ns if _NUMBER.fullmatch(text) else math.nan
            if not 0 <= value_ns <= _LONGEST_NS:
                row.refuse(self.column, f"a number of {self.unit}, not negative", shown(text))
            count += 1
            if count > MOST_VALUES:
                most = f"at most {MOST_VALUES:,} values"
                csv_source.refuse(path, row.line, 1, most, "more")
            yield round(value_ns)
        if not count:
            csv_source.refuse(path, 0, 0, "a value in a line of its own", "none")

    def _check_columns(self, path: Path, names: list[str]) -> None:
        if names.count(self.column) != 1:
            found = "two of them" if self.column in names else ", ".join(names) or "nothing"
            hint = did_you_mean(self.column, names)
            csv_source.refuse(path, 1, 1, f"one column {shown(self.column)}", found, hint)

    def mean_ns(self) -> float:
        """Return the mean of the file's values, in ns."""
        values: array[int] = self.__dict__["sorted_ns"]
        return sum(values) / len(values)

    def sample(self, rng: np.random.Generator, n: int) -> Samples:
        """Draw `n` durations in ns."""
        import numpy as np

        values: Samples = np.frombuffer(self.__dict__["sorted_ns"], dtype=np.int64)
        drawn: Samples = values[(rng.random(n) * len(values)).astype(np.int64)]
        return drawn


KINDS: Mapping[str, type[DurationDistribution]] = {
    "deterministic": Deterministic,
    "exponential": Exponential,
    "uniform": Uniform,
    "lognormal": Lognormal,
    "pareto": Pareto,
    "bimodal": Bimodal,
    "empirical": Empirical,
}

Distribution = Annotated[
    Chosen[DurationDistribution],
    OneOf("distribution", lambda: KINDS, default_kind="deterministic"),
]
"""A distribution of durations, written `20us` or `{exponential: 20us}`."""


def _whole_ns(values: npt.NDArray[np.float64], rng: np.random.Generator) -> Samples:
    """Round to whole ns without bias: 2.3 is 3 in three of ten draws, 2 in the others."""
    import numpy as np

    # Rounding to the nearest would take 4 % off the mean of an exponential of 1 ns.
    np.minimum(values, _LONGEST_NS, out=values)
    values += rng.random(len(values))
    return values.astype(np.int64)


def _at_least(larger: str, larger_ns: int, smaller: str, smaller_ns: int) -> None:
    if larger_ns < smaller_ns:
        raise Mismatch(
            f"{larger} at least {smaller}, {canonical_duration(smaller_ns)}",
            f"{larger} {canonical_duration(larger_ns)}",
        )


def _no_longer_than_the_longest(mean_ns: float) -> None:
    if mean_ns > _LONGEST_NS:
        years = mean_ns / (365.25 * 24 * 3.6e12)
        raise Mismatch("a tail with a mean below 146 years", f"one with {years:.3g} years")


def _exactly_one_pair(options: Options, one: tuple[str, str], other: tuple[str, str]) -> None:
    """Check that the options given are those of one pair, all of it and nothing else."""
    names = dict.fromkeys((*one, *other))
    given: list[Any] = [name for name in names if getattr(options, name) is not None]
    if set(given) not in (set(one), set(other)):
        raise Mismatch(
            f"{' and '.join(one)}, or {' and '.join(other)}", " and ".join(given) or "neither"
        )
