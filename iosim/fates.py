"""What became of requests in the window of a measured run, from the rows of the load generator.

A row says when its request was meant to be sent, when it was answered, and how it ended. One that
was refused was so when it was meant to be sent, one that timed out ended a timeout later: this is
taken for when it did, though the clients may have been a little late.

Scope: the rows of `responses` (`iosim.real`), by numpy.
Validated by: tests/unit/test_fates.py
"""

from array import array
from dataclasses import dataclass

from iosim.histogram import Histogram
from iosim.real.request import ANSWERED_WITH_ERROR, IN_FLIGHT, REFUSED, TIMED_OUT


@dataclass(frozen=True)
class Fates:
    """What ended in a window, and for how long the others had been under way, in ns."""

    refused: int
    timed_out: int
    failed: int
    """Answered with an error."""
    under_way_before: Histogram
    """Of those in flight when the window began."""
    under_way_after: Histogram
    """Of those in flight when it ended."""


def fates_between(responses: "array[int]", begin_ns: int, end_ns: int, timeout_ns: int) -> Fates:
    """What the rows say of the window from `begin_ns` to `end_ns`; timeout_ns: 0 without one."""
    import numpy as np

    rows = np.frombuffer(responses, dtype=np.int64).reshape(-1, 5)
    intended_ns, ended_ns, state = rows[:, 1], rows[:, 3].copy(), rows[:, 4]
    ended_ns[state == REFUSED] = intended_ns[state == REFUSED]
    ended_ns[state == TIMED_OUT] = intended_ns[state == TIMED_OUT] + timeout_ns
    ended_ns[state == IN_FLIGHT] = np.iinfo(np.int64).max
    within = (ended_ns >= begin_ns) & (ended_ns < end_ns)

    def count(fate: int) -> int:
        return int((within & (state == fate)).sum())

    def under_way(at_ns: int) -> Histogram:
        ages_ns = Histogram()
        ages_ns.add_many(at_ns - intended_ns[(intended_ns <= at_ns) & (ended_ns >= at_ns)])
        return ages_ns

    return Fates(
        refused=count(REFUSED),
        timed_out=count(TIMED_OUT),
        failed=count(ANSWERED_WITH_ERROR),
        under_way_before=under_way(begin_ns),
        under_way_after=under_way(end_ns),
    )
