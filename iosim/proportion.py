"""The interval of a share of requests, where hardly any of them shows what is counted.

A share, as that of errors, is estimated from replications like any other metric. Where only a few
requests show it, replications are far from normal: where none does, all of them say zero, and
Student's interval has no width at all. What N independent requests can tell is then the least
that is unknown: the interval of Clopper and Pearson, which for no event in N ends at
1 - 0.025**(1/N), about 3.7/N, and for one at 5.6/N. No interval of a share is narrower than that.

Scope: fewer than `FEW` events, or requests without one. Of more, replications are nearly normal,
and Student's interval also holds that errors come in bursts, which this one does not.
Source: Clopper and Pearson, "The use of confidence or fiducial limits illustrated in the case of
the binomial", Biometrika 26(4), 1934.
Validated by: tests/unit/test_proportion.py
"""

from collections.abc import Callable
from dataclasses import replace
from math import ceil, exp, log, log1p
from typing import Final

from iosim.statistics import Estimate

FEW: Final = 30
"""Below so many events, replications are far from normal."""
_HALVINGS: Final = 60


def no_narrower(estimate: Estimate, events: int, of: int) -> Estimate:
    """The estimate of a share, at least as wide as `events` of so many requests leave it.

    Unchanged without an interval (n < 2), and from `FEW` events on. Raises ValueError unless
    0 <= events <= of.
    """
    if not 0 <= events <= of:
        raise ValueError(f"events: expected 0..{of}, found {events}")
    if estimate.low is None or estimate.high is None or FEW <= events <= of - FEW:
        return estimate
    low, high = interval(events, of, estimate.confidence)
    return replace(estimate, low=min(estimate.low, low), high=max(estimate.high, high))


def interval(events: int, of: int, confidence: float = 0.95) -> tuple[float, float]:
    """The two-sided interval of a share of which so many independent requests were seen.

    events: 0..of, fewer than `FEW` or more than of - `FEW`. All of [0, 1] of no requests.
    """
    if events > of - events:
        low, high = interval(of - events, of, confidence)
        return 1 - high, 1 - low
    tail = (1 - confidence) / 2
    low = _root(lambda share: _at_most(events - 1, of, share) > 1 - tail) if events else 0.0
    return low, _root(lambda share: _at_most(events, of, share) > tail)


def requests_without(limit: float, confidence: float = 0.95) -> int:
    """Of how many requests none may show what is counted, for the share to be below `limit`.

    limit: in (0, 1).
    """
    return ceil(log((1 - confidence) / 2) / log1p(-limit)) + 1


def _at_most(events: int, of: int, share: float) -> float:
    """The probability of at most so many events."""
    if share >= 1:
        return float(events >= of)
    term = total = exp(of * log1p(-share))
    for event in range(1, events + 1):
        term *= (of - event + 1) / event * share / (1 - share)
        total += term
    return total


def _root(still: Callable[[float], bool]) -> float:
    """The share in [0, 1] from which on `still` is false; it is true before."""
    low, high = 0.0, 1.0
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        low, high = (middle, high) if still(middle) else (low, middle)
    return high
