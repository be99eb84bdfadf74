"""How much one metric differs between two models, two machines or two runs.

    difference("throughput_per_s", a_values, b_values, paired=True)   ->  Difference of b to a

What it does: the difference of two means and their ratio, each with its 95% interval. Values of
replications that met the same random numbers are paired, which takes out of the interval what
both had in common; of others it is Welch's interval. The ratio's interval is Fieller's, which
leaves out 1 exactly where that of the difference leaves out 0, and does not exist where the
first mean may be 0. Both are no finer than the metric is measured.

A metric that is not known in every replication has no verdict: those that know a p99 are the ones
with more answers, and so the busier ones.

Scope: whether less or more of a metric is better is said here, by its name; most of them are
neither, as utilization is.
Not done: correcting for the number of comparisons; where one is wanted (`confidence`), whoever
makes them knows it.
Source: paired and Welch's intervals: Law, Simulation Modeling and Analysis, 5th ed., 10.2;
Fieller, "Some problems in interval estimation", J. R. Stat. Soc. B 16(2), 1954.
Validated by: tests/studies/test_differences.py
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from math import fsum, sqrt
from typing import Literal

from iosim.metrics import Metric, describe
from iosim.statistics import Estimate, paired_difference, student_t, t_quantile

Better = Literal["less", "more"]
Verdict = Literal["better", "worse", "differs", "no difference shown", "unknown"]

_BETTER: dict[Better, tuple[str, ...]] = {
    "less": (
        "response_time_*",
        "class_*_response_time_*",
        "time_*_ns",
        "cpu_time_per_request_ns",
        "cpu_spin_fraction",
        "*switches_per_request",
        "*switches_per_s",
        "migrations_per_request",
        "wakeups_per_request",
        "spurious_wakeups_per_request",
        "syscalls_*",
        "wasted_polls_per_request",
        "interpreter_lock_wait*",
        "memory*_bytes",
        "error_fraction",
        "failed_fraction",
        "refused",
        "timed_out",
        "retries",
        "listen_overflows",
    ),
    "more": ("throughput_per_s", "class_*_throughput_per_s", "own_work_*"),
}


def better(metric: str) -> Better | None:
    """Whether less or more of a metric is better; None where neither is by itself."""
    for direction, patterns in _BETTER.items():
        if any(fnmatchcase(metric, pattern) for pattern in patterns):
            return direction
    return None


@dataclass(frozen=True)
class Difference:
    """One metric of two: each mean, b - a, and b / a."""

    metric: str
    unit: str
    a: Estimate
    b: Estimate
    difference: Estimate
    """Of b to a, in the metric's unit."""
    ratio: Estimate | None
    """b over a; None where a may be 0, or nothing is known of how far each is off."""
    paired: bool
    missing: str | None = None
    """In how many replications it is known, where only in some: there is no verdict then."""

    @property
    def judged(self) -> bool:
        """Whether anything can be said: there is an interval, from every replication."""
        return self.difference.low is not None and self.missing is None

    @property
    def shown(self) -> bool:
        """Whether they differ: the interval of the difference leaves out 0."""
        low, high = self.difference.low, self.difference.high
        return self.judged and low is not None and high is not None and (low > 0 or high < 0)

    def within(self, half: float) -> bool:
        """Whether they differ by less than `half`, in the metric's unit: the interval says so."""
        low, high = self.difference.low, self.difference.high
        return self.judged and low is not None and high is not None and -half < low <= high < half

    @property
    def verdict(self) -> Verdict:
        """What the difference means for b."""
        mean = self.difference.mean
        if mean is None or not self.judged:
            return "unknown"
        if not self.shown:
            return "no difference shown"
        wanted = better(self.metric)
        if wanted is None:
            return "differs"
        return "better" if (mean < 0) == (wanted == "less") else "worse"


def difference(
    metric: str,
    a_values: Sequence[float | None],
    b_values: Sequence[float | None],
    paired: bool,
    confidence: float = 0.95,
    described: Metric | None = None,
) -> Difference:
    """How much `metric` differs from a to b, from its values by replication.

    paired: whether the values at one position met the same random numbers. Raises ValueError
    if they then differ in number. `described` is for what is no metric of its own, as a part of
    one: its unit and how finely it is measured.
    """
    metric_is = described or describe(metric)
    if paired:
        pairs = [
            (a, b)
            for a, b in zip(a_values, b_values, strict=True)
            if a is not None and b is not None
        ]
        a_known, b_known = [a for a, _ in pairs], [b for _, b in pairs]
        apart = paired_difference(b_known, a_known, confidence)
    else:
        a_known = [a for a in a_values if a is not None]
        b_known = [b for b in b_values if b is not None]
        apart = _welch(a_known, b_known, confidence)
    a, b = student_t(a_known, confidence), student_t(b_known, confidence)
    over = _ratio(a_known, b_known, paired, confidence)
    floor = max(abs(a.mean or 0.0), abs(b.mean or 0.0)) * metric_is.resolution
    if over is not None and a.mean:
        over = _at_least(over, floor / abs(a.mean))
    anywhere = any(value is not None for value in (*a_values, *b_values))
    missing = _missing((a.n, len(a_values)), (b.n, len(b_values))) if anywhere else None
    return Difference(metric, metric_is.unit, a, b, _at_least(apart, floor), over, paired, missing)


def _missing(*sides: tuple[int, int]) -> str | None:
    """In how many of its replications each side has a value; None where all have."""
    if all(known == count for known, count in sides):
        return None
    told = dict.fromkeys(f"{known} of {count}" for known, count in sides)
    return f"known in {' and '.join(told)} replications"


@dataclass(frozen=True)
class _Spread:
    """How far two means may be off: their variances, their covariance, degrees of freedom."""

    a: float
    b: float
    both: float
    freedom: int


def _spread(a: Sequence[float], b: Sequence[float], paired: bool) -> _Spread | None:
    """None where there are too few values to tell."""
    if min(len(a), len(b)) < 2:
        return None
    a_off, b_off = _deviations(a), _deviations(b)
    a_squared, b_squared = _of_mean(a_off, a_off), _of_mean(b_off, b_off)
    if paired:
        return _Spread(a_squared, b_squared, _of_mean(a_off, b_off), len(a) - 1)
    total = a_squared + b_squared
    if not total:
        return _Spread(0.0, 0.0, 0.0, min(len(a), len(b)) - 1)
    # In units of the sum, so that no square of a tiny one is lost. Rounded down: rather too wide.
    parts = (a_squared / total) ** 2 / (len(a) - 1) + (b_squared / total) ** 2 / (len(b) - 1)
    return _Spread(a_squared, b_squared, 0.0, max(1, int(1 / parts + 1e-9)))


def _deviations(values: Sequence[float]) -> list[float]:
    mean = fsum(values) / len(values)
    return [value - mean for value in values]


def _of_mean(x: Sequence[float], y: Sequence[float]) -> float:
    """The covariance of two means, from their values' deviations."""
    return fsum(p * q for p, q in zip(x, y, strict=True)) / (len(x) - 1) / len(x)


def _welch(a: Sequence[float], b: Sequence[float], confidence: float) -> Estimate:
    n = min(len(a), len(b))
    if not n:
        return Estimate(None, None, None, 0, confidence)
    mean = fsum(b) / len(b) - fsum(a) / len(a)
    spread = _spread(a, b, paired=False)
    if spread is None:
        return Estimate(mean, None, None, n, confidence)
    half = t_quantile(spread.freedom, confidence) * sqrt(spread.a + spread.b)
    return Estimate(mean, mean - half, mean + half, n, confidence)


def _ratio(
    a: Sequence[float], b: Sequence[float], paired: bool, confidence: float
) -> Estimate | None:
    """b / a of the means, with Fieller's interval; None if a may be 0."""
    if not a or not b or not fsum(a):
        return None
    a_mean, b_mean = fsum(a) / len(a), fsum(b) / len(b)
    n, ratio = min(len(a), len(b)), b_mean / a_mean
    spread = _spread(a, b, paired)
    if spread is None:
        return Estimate(ratio, None, None, n, confidence)
    # All r with |b - r a| within its interval: a quadratic in r, of which the roots are the ends.
    t = t_quantile(spread.freedom, confidence)
    squared = a_mean**2 - t * t * spread.a
    if squared <= 0:
        return None
    middle = a_mean * b_mean - t * t * spread.both
    last = b_mean**2 - t * t * spread.b
    half = sqrt(max(0.0, middle**2 - squared * last))
    low, high = (middle - half) / squared, (middle + half) / squared
    # Rounding must not put an end on the wrong side of what it is an end of.
    return Estimate(ratio, min(low, ratio), max(high, ratio), n, confidence)


def _at_least(estimate: Estimate, half: float) -> Estimate:
    """The estimate with an interval of at least `half` to either side."""
    if estimate.mean is None or estimate.low is None or estimate.high is None:
        return estimate
    low, high = min(estimate.low, estimate.mean - half), max(estimate.high, estimate.mean + half)
    return replace(estimate, low=low, high=high)
