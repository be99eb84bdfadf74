"""Whether a core runs at two speeds, as one does whose sibling hardware thread is busy or not.

A fixed piece of work is timed again and again. Where its times fall into two heaps that are far
apart for how wide they are, there are two speeds:

    times  .:|:.                     .:|:.
           fast         D            slow        slowdown = slow / fast

Scope: two heaps in the logarithms of the times, by the cut that leaves the least variance; D is
Ashman's, the distance of the means over the heaps' mean width. Any single heap cut in two has a
D of some 3 (normal 2.6, uniform 3.5), so that 5 is no accident.
Not done: three speeds (turbo), or one that drifts: a drift is a wide heap, and no two.
Source: Ashman, Bird and Zepf, "Detecting bimodality in astronomical datasets", The Astronomical
Journal 108, 1994.
Validated by: tests/calibration/test_speeds.py
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate
from math import exp, hypot, log, sqrt
from statistics import fmean, pstdev
from time import perf_counter_ns
from typing import Final

APART_LEAST: Final = 5.0
"""Ashman's D."""
SLOWDOWN_LEAST: Final = 1.2
"""Costs that differ by less are within any row's quartiles."""
SHARE_LEAST: Final = 0.05
"""Of the times in the smaller heap, and three of them: fewer are accidents."""
WIDTH_LEAST: Final = 0.01
"""Of a heap: clocks and loops are no better than that."""

_REFERENCE_LOOPS: Final = 20_000
_REFERENCE_TRIES: Final = 3


@dataclass(frozen=True, slots=True)
class TwoSpeeds:
    """What was found."""

    slowdown: float
    """The slow heap's times over the fast one's, above 1."""
    slow_share: float
    """Of the times, in (0, 1)."""
    limit: float
    """A time above it is slow, in the unit of the times."""


def two_speeds(times: Sequence[float]) -> TwoSpeeds | None:
    """What `times` of one piece of work, each above 0, tell of two speeds; None if of one."""
    logs = sorted(map(log, times))
    n = len(logs)
    least = max(3, round(SHARE_LEAST * n))
    if n < 2 * least:
        return None
    # The least variance within the heaps is the most between them.
    sums = list(accumulate(logs))
    cut = max(
        range(least, n - least + 1),
        key=lambda i: (sums[i - 1] / i - (sums[-1] - sums[i - 1]) / (n - i)) ** 2 * i * (n - i),
    )
    fast, slow = logs[:cut], logs[cut:]
    width = hypot(max(pstdev(fast), WIDTH_LEAST), max(pstdev(slow), WIDTH_LEAST)) / sqrt(2)
    distance = fmean(slow) - fmean(fast)
    if distance < APART_LEAST * width or exp(distance) < SLOWDOWN_LEAST:
        return None
    return TwoSpeeds(exp(distance), len(slow) / n, exp((fast[-1] + slow[0]) / 2))


def reference_loop_ns() -> int:
    """How long a fixed loop takes now, on the core that this thread runs on: the best of three,
    since an interrupt is no slow core."""
    return min(_loop_ns() for _ in range(_REFERENCE_TRIES))


def _loop_ns() -> int:
    begun_ns = perf_counter_ns()
    for _ in range(_REFERENCE_LOOPS):
        pass
    return perf_counter_ns() - begun_ns
