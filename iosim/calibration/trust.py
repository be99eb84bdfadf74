"""Whether measured rows can be believed: what the machine did while they were taken.

    PASSES_DIFFER_MOST  the passes' medians of half of the figures lie apart by a factor of 1.25
                        at most; on a rented machine left alone it was 1.07.
    STOLEN_MOST, OTHERS_MOST  of the cores' time: as for runs of real servers.
    OUTLIERS_MOST       2% of all samples lie three interquartile ranges beyond the quartiles: of
                        a normal distribution two in a million do.

Scope: words for a person, who decides. Not done: no row is left out or corrected.
Validated by: tests/calibration/test_probing.py
"""

import resource
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Final

from iosim.calibration.rows import Row
from iosim.calibration.speeds import TwoSpeeds
from iosim.real.disturbance import OTHERS_MOST, STOLEN_MOST, CoreTimes, core_times
from iosim.units import format_percent

PASSES_DIFFER_MOST: Final = 1.25
OUTLIERS_MOST: Final = 0.02
FENCE: Final = 3.0
"""Tukey's outer one, in interquartile ranges."""


def outliers(row: Row, samples: Sequence[float]) -> int:
    """How many of a row's samples lie beyond Tukey's outer fences."""
    reach = FENCE * (row.q3 - row.q1)
    return sum(not row.q1 - reach <= sample <= row.q3 + reach for sample in samples)


def passes_differ(rows: Sequence[Row]) -> dict[str, float]:
    """The largest over the smallest of the passes' medians, by figure; of those with two."""
    medians: dict[str, list[float]] = {}
    for row in rows:
        medians.setdefault(row.key, []).append(row.median)
    return {
        key: max(found) / min(found)
        for key, found in medians.items()
        if len(found) > 1 and min(found) > 0
    }


@dataclass(frozen=True, slots=True)
class Watch:
    """What some cores did, and what of it was ours; of a span when it is a difference."""

    cores: CoreTimes
    own_ns: int
    wall_ns: int
    cpus: int

    @classmethod
    def now(cls, cpus: Sequence[int]) -> "Watch":
        """Of `cpus`, and of this process with those that it has ended."""
        own_s = sum(
            usage.ru_utime + usage.ru_stime
            for usage in map(resource.getrusage, (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
        )
        return cls(core_times(cpus), round(own_s * 1e9), time.monotonic_ns(), len(cpus))

    def since(self, then: "Watch") -> "Watch":
        """The span from then on."""
        return Watch(
            self.cores.since(then.cores),
            self.own_ns - then.own_ns,
            self.wall_ns - then.wall_ns,
            self.cpus,
        )

    @property
    def stolen_share(self) -> float:
        """Of all cores' time, what the host gave to others."""
        return self.cores.stolen_ns / (self.wall_ns * self.cpus)

    @property
    def others_share(self) -> float:
        """Of all cores' time, what other processes had."""
        all_ns = self.wall_ns * self.cpus
        others_ns = all_ns - self.cores.idle_ns - self.cores.stolen_ns - self.own_ns
        return max(0.0, others_ns / all_ns)


def of_speeds(speeds: Mapping[int, TwoSpeeds]) -> list[str]:
    """Of cores at two speeds, by core."""
    return [
        f"core {cpu} ran at two speeds, a factor of {each.slowdown:.2g} apart, at the slow one "
        f"{format_percent(each.slow_share)} of the time: costs lie as far apart"
        for cpu, each in speeds.items()
    ]


def of_passes(rows: Sequence[Row]) -> list[str]:
    """Of passes that lie far apart, by the rows of all of them."""
    differ = passes_differ(rows)
    if not differ:
        return ["one pass: how much the machine moves from one to the next is not known"]
    middle = median(differ.values())
    if middle <= PASSES_DIFFER_MOST:
        return []
    worst = max(differ, key=differ.__getitem__)
    return [
        f"too noisy to trust: between the passes half of the figures moved by a factor of "
        f"{middle:.2f} or more ({worst!r} by {differ[worst]:.1f}), where {PASSES_DIFFER_MOST} "
        "is the most that is usual"
    ]


def of_outliers(count: int, samples: int) -> list[str]:
    """Of `count` outliers among so many samples."""
    share = count / samples if samples else 0
    if share <= OUTLIERS_MOST:
        return []
    return [f"{format_percent(share)} of the samples are outliers: something cuts in all the time"]


def of_others(watch: Watch) -> list[str]:
    """Of what the host and other processes took."""
    told = []
    if watch.stolen_share > STOLEN_MOST:
        told.append(f"the host took {format_percent(watch.stolen_share)} of its cores' time")
    if watch.others_share > OTHERS_MOST:
        told.append(f"other processes had {format_percent(watch.others_share)} of its cores' time")
    return [f"too noisy to trust: {' and '.join(told)}"] if told else []
