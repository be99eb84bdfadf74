"""All probes, several passes of them, and whether the machine was quiet enough to believe them.

    pass 1:  syscalls  sockets  readiness ... io_uring
    pass 2:  syscalls  sockets  readiness ... io_uring

A machine's speed moves by minutes: passes that are interleaved see that as a difference between
their rows, which a figure's samples in one go cannot. Between probes a fixed loop is timed on
both cores, which tells whether they run at two speeds.

A figure is a median with its quartiles, so that outliers do not move it. They are told of, as
is everything else for which to distrust the rows (trust.py).

Scope: CPython and, where there is a compiler, C. What is not possible here is skipped, and why.
Not done: no cost is worked out here; no sample is left out or corrected.
Validated by: tests/calibration/test_probing.py
"""

import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Final

from iosim.calibration import trust
from iosim.calibration.probes import needs
from iosim.calibration.probes.registry import Place, Probe, catalogue
from iosim.calibration.probes.running import run
from iosim.calibration.rows import Row, of_samples
from iosim.calibration.speeds import TwoSpeeds, reference_loop_ns, two_speeds
from iosim.errors import MeasurementError

Progress = Callable[[int, int], None]

QUICK_PASSES: Final = 2
FULL_PASSES: Final = 4
QUICK_SHARE: Final = 4
"""A quick pass has a fourth of the samples."""
SAMPLES_LEAST: Final = 8


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
    begun = trust.Watch.now(probing.cpus)
    for number in range(1, wanted + 1):
        for i, each in enumerate(chosen):
            probing.go(number, each)
            if progress is not None:
                progress((number - 1) * len(chosen) + i + 1, wanted * len(chosen))
    return probing.outcome(trust.Watch.now(probing.cpus).since(begun))


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
            self.outliers += trust.outliers(row, samples)

    def outcome(self, watch: trust.Watch) -> Probed:
        found = {cpu: two_speeds(times) for cpu, times in self.loops_ns.items()}
        speeds = {cpu: each for cpu, each in found.items() if each is not None}
        told = [
            *trust.of_speeds(speeds),
            *trust.of_passes(self.rows),
            *trust.of_outliers(self.outliers, self.samples),
            *trust.of_others(watch),
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
