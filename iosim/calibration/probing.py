"""All probes, several passes of them, and whether the machine was quiet enough to believe them.

    pass 1:  syscalls  sockets  readiness ... io_uring
    pass 2:  syscalls  sockets  readiness ... io_uring

A machine's speed moves by minutes: passes that are interleaved see that as a difference between
their rows, which a figure's samples in one go cannot. Between probes a fixed loop is timed on
both cores, which tells whether they run at two speeds.

A figure is a median with its quartiles, so that outliers do not move it. They are told of, as
is everything else for which to distrust the rows:

    PASSES_DIFFER_MOST  the passes' medians of half of the figures lie apart by a factor of 1.25
                        at most; on a rented machine left alone it was 1.07.
    STOLEN_MOST, OTHERS_MOST  of both cores' time: as for runs of real servers.
    OUTLIERS_MOST       2% of all samples lie three interquartile ranges beyond the quartiles: of
                        a normal distribution two in a million do.

Scope: CPython and, where there is a compiler, C. What is not possible here is skipped, and why.
Not done: no cost is worked out here; no sample is left out or corrected.
Validated by: tests/calibration/test_probing.py
"""

import os
import resource
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from statistics import median
from typing import Final

from iosim.calibration.probes import needs
from iosim.calibration.probes.registry import Place, Probe, catalogue
from iosim.calibration.probes.running import run
from iosim.calibration.rows import Row, of_samples
from iosim.calibration.speeds import TwoSpeeds, reference_loop_ns, two_speeds
from iosim.errors import MeasurementError
from iosim.real.disturbance import OTHERS_MOST, STOLEN_MOST, CoreTimes, core_times
from iosim.units import format_percent

Progress = Callable[[int, int], None]

QUICK_PASSES: Final = 2
FULL_PASSES: Final = 3
QUICK_SHARE: Final = 4
"""A quick pass has a fourth of the samples."""
SAMPLES_LEAST: Final = 8

PASSES_DIFFER_MOST: Final = 1.25
OUTLIERS_MOST: Final = 0.02
FENCE: Final = 3.0
"""Tukey's outer one, in interquartile ranges."""


@dataclass(frozen=True, slots=True)
class Probed:
    """What all passes gave."""

    rows: tuple[Row, ...]
    """In order of passes, then of probes."""
    skipped: Mapping[str, str]
    """Why a figure, named as in a profile's `rows`, is missing."""
    warnings: tuple[str, ...]
    """Why not to trust the rows; empty where nothing was seen."""
    speeds: Mapping[int, TwoSpeeds]
    """Of the cores that run at two speeds."""


def probe(
    quick: bool = False, passes: int | None = None, progress: Progress | None = None
) -> Probed:
    """Run every probe (a quick selection with fewer samples) `passes` times, interleaved.

    `progress` is called with how many of all have been run.
    """
    chosen = [each for each in catalogue() if each.quick or not quick]
    wanted = passes or (QUICK_PASSES if quick else FULL_PASSES)
    probing = _Probing(quick, *_two_cores())
    begun = _Watch.now(probing.cpus)
    for number in range(1, wanted + 1):
        for i, each in enumerate(chosen):
            probing.go(number, each)
            if progress is not None:
                progress((number - 1) * len(chosen) + i + 1, wanted * len(chosen))
    return probing.outcome(_Watch.now(probing.cpus).since(begun))


def _two_cores() -> tuple[int, int]:
    """The server's, and another; the same one where there is but one."""
    usable = needs.usable_cpus()
    return usable[0], usable[min(1, len(usable) - 1)]


@dataclass
class _Probing:
    """One call of `probe`: what has been found so far."""

    quick: bool
    server_cpu: int
    other_cpu: int
    rows: list[Row] = field(default_factory=list)
    skipped: dict[str, str] = field(default_factory=dict)
    loops_ns: dict[int, list[float]] = field(default_factory=dict)
    samples: int = 0
    outliers: int = 0

    @property
    def cpus(self) -> list[int]:
        return sorted({self.server_cpu, self.other_cpu})

    def go(self, number: int, probe: Probe) -> None:
        """One probe in one pass, then how fast the cores are."""
        reason = needs.missing(probe)
        if reason is None:
            try:
                self._run(number, probe)
            except MeasurementError as error:
                reason = str(error)
        if reason is not None:
            for name, param in probe.figures:
                self.skipped.setdefault(f"{probe.lang} {name} {param}".strip(), reason)
        for cpu in self.cpus:
            with _pinned(cpu):
                self.loops_ns.setdefault(cpu, []).append(reference_loop_ns())

    def _run(self, number: int, probe: Probe) -> None:
        count = max(SAMPLES_LEAST, probe.samples // QUICK_SHARE) if self.quick else probe.samples
        found = run(probe, Place(self.server_cpu, self.other_cpu, count))
        for (name, param), samples in found.items():
            row = of_samples(number, probe.lang, name, param, samples, probe.unit)
            self.rows.append(row)
            self.samples += row.count
            self.outliers += outliers(row, samples)

    def outcome(self, watch: "_Watch") -> Probed:
        found = {cpu: two_speeds(times) for cpu, times in self.loops_ns.items()}
        speeds = {cpu: each for cpu, each in found.items() if each is not None}
        told = [
            *_of_speeds(speeds),
            *_of_passes(self.rows),
            *_of_outliers(self.outliers, self.samples),
            *_of_others(watch),
        ]
        return Probed(tuple(self.rows), self.skipped, tuple(told), speeds)


@contextmanager
def _pinned(cpu: int) -> Iterator[None]:
    """This thread on `cpu`."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {cpu})
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


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
class _Watch:
    """What two cores did, with what of it was ours."""

    cores: CoreTimes
    own_ns: int
    wall_ns: int
    cpus: int

    @classmethod
    def now(cls, cpus: Sequence[int]) -> "_Watch":
        own_s = sum(
            usage.ru_utime + usage.ru_stime
            for usage in map(resource.getrusage, (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
        )
        return cls(core_times(cpus), round(own_s * 1e9), time.monotonic_ns(), len(cpus))

    def since(self, then: "_Watch") -> "_Watch":
        return _Watch(
            self.cores.since(then.cores),
            self.own_ns - then.own_ns,
            self.wall_ns - then.wall_ns,
            self.cpus,
        )

    @property
    def stolen_share(self) -> float:
        return self.cores.stolen_ns / (self.wall_ns * self.cpus)

    @property
    def others_share(self) -> float:
        all_ns = self.wall_ns * self.cpus
        others_ns = all_ns - self.cores.idle_ns - self.cores.stolen_ns - self.own_ns
        return max(0.0, others_ns / all_ns)


def _of_speeds(speeds: Mapping[int, TwoSpeeds]) -> list[str]:
    return [
        f"core {cpu} ran at two speeds, a factor of {each.slowdown:.2g} apart, at the slow one "
        f"{format_percent(each.slow_share)} of the time: costs lie as far apart"
        for cpu, each in speeds.items()
    ]


def _of_passes(rows: Sequence[Row]) -> list[str]:
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


def _of_outliers(count: int, samples: int) -> list[str]:
    share = count / samples if samples else 0
    if share <= OUTLIERS_MOST:
        return []
    return [f"{format_percent(share)} of the samples are outliers: something cuts in all the time"]


def _of_others(watch: _Watch) -> list[str]:
    told = []
    if watch.stolen_share > STOLEN_MOST:
        told.append(f"the host took {format_percent(watch.stolen_share)} of its cores' time")
    if watch.others_share > OTHERS_MOST:
        told.append(f"other processes had {format_percent(watch.others_share)} of its cores' time")
    return [f"too noisy to trust: {' and '.join(told)}"] if told else []
