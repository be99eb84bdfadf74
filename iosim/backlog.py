"""What a run leaves over of its load: whether what is under way becomes ever more.

    left_over(observations)   ->  of each run, the part of what was asked that was left over

What it does: takes from the requests under way at the end what is always under way, by Little's
law: the rate of answers times the mean response early in the run. A queue that grows is in the
later responses, and so not in these.

Scope: what a Poisson number varies is not counted; the rest varies much from run to run.
Source: Little, "A proof for the queuing formula: L = lambda W", Operations Research 9(3), 1961.
Validated by: tests/studies/test_keeping_up.py, tests/unit/test_recording.py
"""

from collections.abc import Iterable, Sequence
from math import sqrt
from typing import TYPE_CHECKING

from iosim.histogram import Histogram

if TYPE_CHECKING:
    from iosim.recording import Observation


def left_over(observations: Iterable["Observation"]) -> list[float | None]:
    """Of each run what is left over, as a part of what it was asked; None if it was nothing."""
    return [_left_over(each) for each in observations]


def _left_over(run: "Observation") -> float | None:
    offered, in_flight = int(run.fates["offered"]), int(run.fates["in_flight"])
    if not offered:
        return None
    usual = _usual(run)
    chance = 2 * sqrt(max(usual, 1.0))  # of a Poisson number, as where nobody waits
    return max(0.0, in_flight - usual - chance) / offered


def _usual(run: "Observation") -> float:
    """So many requests would be under way if all of them took as long as the early ones."""
    half = len(run.histograms) // 2
    early_ns = _mean_ns(run.histograms[:half]) or _mean_ns(run.histograms)
    duration_ns = run.snapshots[-1].at_ns - run.snapshots[0].at_ns
    # What was answered is what arrived until a response before the end.
    return float(run.fates["completed"]) * early_ns / max(1.0, duration_ns - early_ns)


def _mean_ns(histograms: Sequence[Histogram]) -> float:
    count = sum(histogram.count for histogram in histograms)
    return sum(histogram.total_ns for histogram in histograms) / count if count else 0.0
