"""Rows of several passes as one figure each, with what it is uncertain by.

The figure is the geometric mean of the passes' medians. Its standard error, in logarithms, has
three parts: what the samples of a pass say, how far the passes lie apart, and a floor, as no
equation is better than that. Two passes hardly tell how far passes lie apart, so a row's variance
between passes is mixed with that of all rows (a pooled variance with `POOLED` degrees of freedom).

Scope: rows in ns.
Not done: what all rows of a pass have in common, as a core's pace, is not parted from the rest.
Source: Gelman et al., Bayesian Data Analysis, 3rd ed., section 5.4 (variances that borrow from each
other).
Validated by: tests/calibration/test_solving.py
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from math import exp, log, sqrt
from statistics import NormalDist, fmean, median

from iosim.calibration.rows import Row

POOLED = 4
"""Degrees of freedom that the variance between passes of all rows has in that of one row."""
BETWEEN_PASSES = 0.07
"""Standard deviation of the log of a median between passes, where there is but one pass."""
FLOOR = 0.02
"""An equation is no better than this, however well a row is measured."""
_QUARTILES = 2 * NormalDist().inv_cdf(0.75)
_OF_A_MEDIAN = 1.2533
"""Standard error of a normal sample's median over that of its mean."""


@dataclass(frozen=True, slots=True)
class Measured:
    """A row over its passes: the middle in ns, and the standard error of its log."""

    row: str
    ns: float
    sigma: float
    passes: int


def measured(rows: Iterable[Row]) -> list[Measured]:
    """Rows of several passes as one figure each, of those that are ns."""
    by_key: dict[str, list[Row]] = {}
    for row in rows:
        if row.unit == "ns" and row.median > 0:
            by_key.setdefault(row.key, []).append(row)
    between = {key: _variance([log(r.median) for r in own]) for key, own in by_key.items()}
    known = sorted(variance for variance in between.values() if variance is not None)
    # The median of a chi-square with one degree of freedom is 0.455 of its mean.
    pooled = max(median(known) / 0.455, FLOOR**2) if known else BETWEEN_PASSES**2
    found = []
    for key, own in by_key.items():
        variance = between[key]
        freedom = 0 if variance is None else len(own) - 1
        mixed = (POOLED * pooled + freedom * (variance or 0.0)) / (POOLED + freedom)
        within = fmean(_within(row) ** 2 for row in own)
        sigma = sqrt((mixed + within) / len(own) + FLOOR**2)
        middle = exp(fmean(log(row.median) for row in own))
        found.append(Measured(key, middle, sigma, len(own)))
    return found


def _variance(values: Sequence[float]) -> float | None:
    if len(values) < 2:
        return None
    mean = fmean(values)
    return sum((value - mean) ** 2 for value in values) / (len(values) - 1)


def _within(row: Row) -> float:
    """Standard error of the log of one pass' median."""
    if row.q1 <= 0 or row.q3 <= row.q1:
        return 0.0
    return _OF_A_MEDIAN * log(row.q3 / row.q1) / _QUARTILES / sqrt(row.count)
