"""What replications say about a metric, and how much of a run is warm-up.

A metric is estimated from independent replications by its mean and Student's t interval, which is
exact for normally distributed replication means. Two models that ran under common random numbers
are compared by the interval of their paired differences. The transient at the start of a run is
found by MSER-5: cut where the standard error of the remaining mean would be smallest.

*Scope*: two-sided intervals; undefined values (None: nothing completed in that replication) are
left out and show in `n`. No result is ever NaN: what is unknown is None.

*Not done*: no batch-means interval of one long run, no correction for comparing many models.

*Source*: t intervals, sequential procedure and paired differences: Law, "Simulation Modeling and
Analysis", 5th ed., sections 4.5, 9.4.1, 10.2.1. Incomplete beta series for t's distribution:
Abramowitz and Stegun, 26.5.4 and 26.7.1. MSER: White, "An effective truncation heuristic for bias
reduction in simulation output", Simulation 69(6), 1997; batches of five: White, Cobb and Spratt,
"A comparison of five steady-state truncation heuristics for simulation", WSC 2000; restriction to
the first half and its meaning: Franklin and White, "Stationarity tests and MSER-5", WSC 2008.

*Validated by*: tests/unit/test_statistics.py
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from math import ceil, exp, fsum, hypot, isfinite, lgamma, log, log1p, pi, sqrt, tan
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

# Nearer to 1, a probability summed in floating point might never reach it.
_MOST_CONFIDENT = 0.999999


@dataclass(frozen=True, slots=True)
class Estimate:
    """A mean over `n` replications and the interval that holds the true mean with `confidence`.

    `low` and `high` are None when the interval is unknown (n < 2), `mean` too when n is 0.
    """

    mean: float | None
    low: float | None
    high: float | None
    n: int
    confidence: float = 0.95


def student_t(values: Sequence[float | None], confidence: float = 0.95) -> Estimate:
    """Estimate the mean of a metric from its values in independent replications.

    None stands for a replication in which the metric is undefined, and is left out. `confidence`
    is in (0, 0.999999]. Raises ValueError for another one, or for a value that is not finite.
    """
    _require_confidence(confidence)
    defined = [value for value in values if value is not None]
    for value in defined:
        if not isfinite(value):
            raise ValueError(f"replication value: expected a finite number or None, found {value}")
    n = len(defined)
    if n == 0:
        return Estimate(None, None, None, 0, confidence)
    # The clamp keeps rounding from moving the mean of identical values off their value.
    mean = min(max(fsum(defined) / n, min(defined)), max(defined))
    if n == 1:
        return Estimate(mean, None, None, 1, confidence)
    deviation = hypot(*(value - mean for value in defined)) / sqrt(n - 1)
    half = t_quantile(n - 1, confidence) * deviation / sqrt(n)
    return Estimate(mean, mean - half, mean + half, n, confidence)


def paired_difference(
    a_values: Sequence[float | None], b_values: Sequence[float | None], confidence: float = 0.95
) -> Estimate:
    """Estimate the mean of a - b, replication by replication, under common random numbers.

    Both models are equal at this confidence if the interval holds 0. A pair with an undefined side
    is left out. Raises ValueError for unequal lengths, and as `student_t` does.
    """
    if len(a_values) != len(b_values):
        raise ValueError(
            "paired replications: expected equal numbers,"
            f" found {len(a_values)} and {len(b_values)}"
        )
    pairs = zip(a_values, b_values, strict=True)
    return student_t([a - b for a, b in pairs if a is not None and b is not None], confidence)


def relative_half_width(estimate: Estimate) -> float | None:
    """Return half the interval's width over the mean, a ratio >= 0; None when undefined.

    It is undefined without an interval, and around a mean of 0 (unless the width is 0 as well).
    """
    if estimate.mean is None or estimate.low is None or estimate.high is None:
        return None
    # The wider side: the other may have been cut off, where the metric cannot be negative.
    half = max(estimate.high - estimate.mean, estimate.mean - estimate.low)
    if half == 0:
        return 0.0
    return half / abs(estimate.mean) if estimate.mean else None


def is_precise(estimate: Estimate, target: float) -> bool:
    """Return whether the relative error is at most `target`, a ratio in (0, 1), at this confidence.

    The error is relative to the true mean, the half width to the estimated one, which may be the
    larger: half width / mean has to be at most target / (1 + target) (Law 9.4.1).
    """
    relative = relative_half_width(estimate)
    return relative is not None and relative <= target / (1 + target)


def no_finer(estimate: Estimate, resolution: float) -> Estimate:
    """Return the estimate with an interval no finer than the values it comes from.

    `resolution` is a value's largest error, relative to it (a ratio >= 0).
    """
    if estimate.mean is None or estimate.low is None or estimate.high is None:
        return estimate
    half = abs(estimate.mean) * resolution
    low, high = min(estimate.low, estimate.mean - half), max(estimate.high, estimate.mean + half)
    return replace(estimate, low=low, high=high)


def not_negative(estimate: Estimate) -> Estimate:
    """Return the estimate of a quantity that cannot be negative: no bound is."""
    if estimate.low is None:
        return estimate
    return replace(estimate, low=max(estimate.low, 0.0))


def replications_needed(estimate: Estimate, target: float) -> int | None:
    """Return how many replications in all should bring the relative error down to `target`.

    `target` is a ratio in (0, 1), 0.05 for 5 %. The answer is at least `estimate.n`, assumes that
    mean and variance stay as estimated, and is None where `relative_half_width` is. The half width
    aimed at is target / (1 + target) of the mean, because the error is relative to the true mean,
    not to the estimated one (Law 9.4.1). Raises ValueError for a target outside (0, 1).
    """
    if not 0 < target < 1:
        raise ValueError(f"target precision: expected a ratio in (0, 1), found {target}")
    relative = relative_half_width(estimate)
    if relative is None:
        return None
    n, confidence = estimate.n, estimate.confidence
    deviation = relative * sqrt(n) / t_quantile(n - 1, confidence)
    aim = target / (1 + target)

    def precise(count: int) -> bool:
        return t_quantile(count - 1, confidence) * deviation / sqrt(count) <= aim

    if relative <= aim:
        return n
    # The half width falls with the count: double until it suffices, then bisect.
    too_few, enough = n, 2 * n
    while not precise(enough):
        too_few, enough = enough, 2 * enough
    while enough - too_few > 1:
        middle = (too_few + enough) // 2
        too_few, enough = (too_few, middle) if precise(middle) else (middle, enough)
    return enough


@lru_cache(maxsize=256)
def t_quantile(df: int, confidence: float) -> float:
    """Return the t with P(|T| <= t) = confidence, for Student's T with `df` degrees of freedom.

    Accurate to 1e-8 relative, to 1e-12 at 95 %. Computed here because importing scipy.stats for it
    takes longer than many a simulation. Raises ValueError for df < 1 or a confidence outside
    (0, 0.999999].
    """
    _require_confidence(confidence)
    if df < 1:
        raise ValueError(f"degrees of freedom: expected an integer >= 1, found {df}")
    # The two heaviest tails, where the series below converges slowly, have closed forms.
    if df == 1:
        return tan(pi * confidence / 2)
    if df == 2:
        return confidence * sqrt(2 / (1 - confidence * confidence))
    log_scale = _log_gamma_ratio(df / 2) - log(df * pi) / 2
    # P is concave in t > 0, so Newton's steps from 0 climb to the root and never pass it.
    t = 0.0
    while True:
        density = exp(log_scale - (df + 1) / 2 * log1p(t * t / df))
        step = confidence / (2 * density) - t * _central_series(t, df)
        t += step
        if step <= 1e-13 * t:
            return t


def _log_gamma_ratio(x: float) -> float:
    """Return ln(gamma(x + 1/2) / gamma(x)), x > 0."""
    if x < 50:
        return lgamma(x + 0.5) - lgamma(x)
    # The difference loses digits as x grows; the asymptotic series has them all from here on.
    return log(x) / 2 - 1 / (8 * x) + 1 / (192 * x**3) - 1 / (640 * x**5)


def _central_series(t: float, df: int) -> float:
    """Return P(|T| <= t) / (2 t density(t)), the incomplete beta series: all terms positive."""
    y = t * t / (df + t * t)
    term = total = 1.0
    k = 0
    while term > 1e-17 * total:
        term *= ((df + 1) / 2 + k) / (1.5 + k) * y
        total += term
        k += 1
    return total


def _require_confidence(confidence: float) -> None:
    if not 0 < confidence <= _MOST_CONFIDENT:
        raise ValueError(
            f"confidence: expected a ratio above 0, at most {_MOST_CONFIDENT}, found {confidence}"
        )


_CAPACITY = 4096
_FIRST_BATCH = 5
_FEWEST_BATCHES = 10
# A minimum this close to the end of the search (as a part of it) counts as lying at its edge:
# noise alone moves it by a few batches.
_EDGE = 0.05


@dataclass(frozen=True, slots=True)
class Truncation:
    """The first `observations` of a run are warm-up: the given `fraction` (0 to 0.5) of them all.

    `batch` is the number of observations in a batch, and so the resolution of the answer.
    `warning` says why not to trust the truncation; None if there is no reason.
    """

    observations: int
    fraction: float
    batch: int
    warning: str | None
    settled: bool = True
    """False if the search ran to the end of the first half: warm-up may still go on there."""


class Mser:
    """Find the warm-up of a run, or of several averaged, by MSER-5, in flat memory.

    Observations come in the order in which the run made them. They are averaged in batches of 5;
    when 4,096 batch means are held, neighbours are merged and a batch is 10 observations, then 20,
    and so on, so that a long run is cut at one of 1,024 to 2,048 places, whatever its length.
    """

    __slots__ = ("_batch", "_means", "_partial_count", "_partial_sum", "_used", "count")

    def __init__(self) -> None:
        import numpy as np

        self.count = 0
        self._batch = _FIRST_BATCH
        self._means: NDArray[np.float64] = np.empty(_CAPACITY)
        self._used = 0
        self._partial_sum = 0.0
        self._partial_count = 0

    def add_many(self, values: NDArray[Any] | Sequence[float]) -> None:
        """Add observations (finite numbers of any one unit), in order.

        Raises ValueError if one is not finite; nothing is added then.
        """
        import numpy as np

        rest = np.asarray(values, np.float64)
        if not np.isfinite(rest).all():
            raise ValueError("observations: expected finite numbers")
        self.count += rest.size
        while rest.size:
            if self._partial_count or rest.size < self._batch:
                rest = self._fill_partial(rest)
            else:
                rest = self._add_whole(rest)
            if self._used == _CAPACITY:
                self._merge_neighbours()

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Mser):
            return NotImplemented
        own, its = (
            (run.count, run._batch, run._partial_sum, run._means[: run._used].tolist())
            for run in (self, other)
        )
        return own == its

    __hash__ = None  # type: ignore[assignment]  # it may be added to

    @classmethod
    def average(cls, runs: Sequence[Mser]) -> Mser:
        """Return the mean, observation by observation, of several runs of the same experiment.

        What the runs share, the warm-up, stays; each one's own rare excursions fade. Cutting
        every run at an excursion of its own instead biases the mean over runs low. As long as the
        shortest run; at least one run.
        """
        import numpy as np

        batch = max(run._batch for run in runs)
        coarse = [run._coarsened(batch) for run in runs]
        used = min(len(means) for means in coarse)
        average = cls()
        average._batch = batch
        average._used = used
        average._means[:used] = np.mean([means[:used] for means in coarse], axis=0)
        average.count = min(run.count for run in runs)
        return average

    def _coarsened(self, batch: int) -> NDArray[np.float64]:
        """Return the means of batches of `batch` observations, a multiple of the present size."""
        merged = batch // self._batch
        whole = self._used // merged
        means: NDArray[np.float64] = self._means[: whole * merged].reshape(whole, merged)
        coarse: NDArray[np.float64] = means.mean(axis=1)
        return coarse

    def truncation(self) -> Truncation:
        """Return where to cut: the start, in the first half, that minimises the MSER statistic.

        The statistic for leaving out d of n batches is the sum of squared deviations of the others
        from their mean, over (n - d)**2.
        """
        n = self._used
        if n < _FEWEST_BATCHES:
            return Truncation(
                0,
                0.0,
                self._batch,
                f"warm-up unknown: {self.count} observations are too few to look for it"
                f" ({_FEWEST_BATCHES * self._batch} needed)",
            )
        limit = n // 2
        best, smallest = 0, float("inf")
        mean = squares = 0.0
        # Backwards with Welford's update: one pass, and no difference of large sums.
        for kept, value in enumerate(reversed(self._means[:n].tolist()), start=1):
            deviation = value - mean
            mean += deviation / kept
            squares += deviation * (value - mean)
            statistic = squares / (kept * kept)
            # On a tie the shorter truncation wins, which this pass meets later.
            if kept >= n - limit and statistic <= smallest:
                best, smallest = n - kept, statistic
        observations = best * self._batch
        warning = None
        if best >= limit - ceil(_EDGE * limit):
            warning = (
                f"warm-up eats half the run: the search ended at {observations} of {self.count}"
                " observations; the run may never have become steady, make it longer"
            )
        return Truncation(
            observations, observations / self.count, self._batch, warning, settled=warning is None
        )

    def _fill_partial(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        """Complete the open batch as far as the values go; return those left over."""
        taken = values[: self._batch - self._partial_count]
        self._partial_sum += float(taken.sum())
        self._partial_count += taken.size
        if self._partial_count == self._batch:
            self._means[self._used] = self._partial_sum / self._batch
            self._used += 1
            self._partial_sum, self._partial_count = 0.0, 0
        return values[taken.size :]

    def _add_whole(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        """Append as many whole batches as there is room for; return the values left over."""
        batches = min(values.size // self._batch, _CAPACITY - self._used)
        taken = batches * self._batch
        means = values[:taken].reshape(batches, self._batch).mean(axis=1)
        self._means[self._used : self._used + batches] = means
        self._used += batches
        return values[taken:]

    def _merge_neighbours(self) -> None:
        half = _CAPACITY // 2
        # mean() builds its result before the assignment, so reading and writing do not overlap.
        self._means[:half] = self._means.reshape(half, 2).mean(axis=1)
        self._used = half
        self._batch *= 2
